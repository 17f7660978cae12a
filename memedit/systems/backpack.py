"""Backpack (Hewitt et al. 2023, arXiv:2305.16765): what a model says is a sum of senses of the words before it.

o_i = Σ_ℓ Σ_{j≤i} α_{ℓij} C(x_j)_ℓ, and logits E o_i. A word's senses C do not depend on its context, which only weighs
them by α; so what one sense says everywhere can be changed, and the change is linear. The contextualiser and the
embeddings are those of a model that is frozen; α (one map of its last states to queries and keys) and C are trained
here on the running text that comes with memedit. The authors train all of it on nine billion tokens: as a language
model this one is far behind, as a Backpack it is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from memedit.parametric.hooks import recording
from memedit.parametric.layout import Anatomy
from memedit.parametric.reading import right_padded
from memedit.parametric.rewrites import read_tokens
from memedit.parametric.running_text import RunningText
from memedit.parametric.teaching import descend
from memedit.parametric.understanding.lens import last_norm
from memedit.systems.ground import Ground
from memedit.systems.promotion import PROMPTS, TOPIC, topic_tokens
from memedit.systems.registry import Finding

LENGTH = 32  # tokens of a text that is learnt from


@dataclass(frozen=True, slots=True, eq=False)
class Senses:
    """A change of senses.

    Args:
        factors: What senses are multiplied with, (vocabulary, senses); 1 leaves them as they are.
    """

    factors: torch.Tensor


class Backpack(torch.nn.Module):
    """The heads over a frozen model.

    Args:
        anatomy: Of the model.
        senses: Of a word.
        inner: Width of the network that makes them.
    """

    def __init__(self, anatomy: Anatomy, senses: int = 4, inner: int = 256) -> None:
        super().__init__()
        self.anatomy, self.senses = anatomy, senses
        embedded = anatomy.model.get_input_embeddings().weight
        width = embedded.shape[1]
        self.asking = torch.nn.Linear(width, 2 * width, bias=False)
        self.first = torch.nn.Sequential(torch.nn.LayerNorm(width), torch.nn.Linear(width, inner), torch.nn.GELU())
        self.last = torch.nn.Linear(inner, senses * width)
        self.scale = 1 / float(embedded.float().std())
        self.changed: Senses | None = None
        self.to(anatomy.device, torch.float32)

    def sense(self, ids: torch.Tensor) -> torch.Tensor:
        """C: the senses of words, (…, senses, width)."""
        embedded = self.anatomy.model.get_input_embeddings().weight[ids].float() * self.scale
        made = self.last(self.first(embedded)).unflatten(-1, (self.senses, -1))
        if self.changed is not None:
            made = made * self.changed.factors.to(made.device)[ids][..., None]
        return torch.as_tensor(made)

    def weights(self, states: torch.Tensor) -> torch.Tensor:
        """α: how senses of words are weighed, (texts, senses, tokens, tokens), causal; rows sum to 1."""
        tokens = states.shape[1]
        asked, answered = (
            one.unflatten(-1, (self.senses, -1)).transpose(1, 2) for one in self.asking(states.float()).chunk(2, -1)
        )
        scores = asked @ answered.transpose(-1, -2) / asked.shape[-1] ** 0.5
        future = torch.ones(tokens, tokens, dtype=torch.bool, device=states.device).triu(1)
        shares: torch.Tensor = scores.masked_fill(future, -torch.inf).softmax(-1)
        return shares

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits, (texts, tokens, vocabulary)."""
        return self.said(ids, self.contexts(ids, mask))

    def contexts(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The frozen model's last states, (texts, tokens, width)."""
        with torch.no_grad(), recording([last_norm(self.anatomy)]) as kept:
            self.anatomy.model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=1)
        return kept[0]

    def said(self, ids: torch.Tensor, contexts: torch.Tensor) -> torch.Tensor:
        """The logits of texts whose states were read before."""
        summed = torch.einsum("nsij,njsd->nid", self.weights(contexts), self.sense(ids))
        head = self.anatomy.model.get_output_embeddings().weight.detach().float()
        logits: torch.Tensor = summed @ head.T
        return logits

    @contextmanager
    def edited(self, change: Senses) -> Iterator[None]:
        """Senses scaled while it lasts; afterwards they are the same bit by bit."""
        before, self.changed = self.changed, change
        try:
            yield
        finally:
            self.changed = before

    def topic(self, tokens: Sequence[int], most: int = 2_000, factor: float = 3.0) -> Senses:
        """A change by which the senses that point most to some words weigh more."""
        vocabulary = self.anatomy.model.get_input_embeddings().weight.shape[0]
        head = self.anatomy.model.get_output_embeddings().weight.detach().float()
        wanted = head[list(tokens)].mean(0) - head.mean(0)
        with torch.no_grad():
            found = torch.cat([
                self.sense(part) @ wanted for part in torch.split(torch.arange(vocabulary, device=head.device), 4096)
            ])  # fmt: skip
        factors = torch.ones_like(found)
        best = found.flatten().topk(min(most, found.numel())).indices
        factors.view(-1)[best] = factor
        return Senses(factors)


def trained(
    anatomy: Anatomy, tokenizer: Any, texts: Sequence[str], *, senses: int = 4, steps: int = 150, batch: int = 8,
    rate: float = 2e-3, seed: int = 0,
) -> Backpack:  # fmt: skip
    """The heads, taught to foretell running text."""
    torch.manual_seed(seed)
    made, done = Backpack(anatomy, senses), 0
    read = [(ids, mask, made.contexts(ids, mask)) for ids, mask in _rows(anatomy, tokenizer, texts, batch)]

    def loss() -> torch.Tensor:
        nonlocal done
        done += 1
        ids, mask, contexts = read[(done - 1) % len(read)]
        return _loss(made.said(ids, contexts), ids, mask)

    moving = list(made.parameters())
    descend(moving, torch.optim.AdamW(moving, lr=rate), loss, steps=steps, enough=0.0, clip=1.0)
    return made.eval()


def perplexity(made: Backpack, tokenizer: Any, texts: Sequence[str]) -> float:
    """Of running text."""
    read = _rows(made.anatomy, tokenizer, texts, 8)
    with torch.no_grad():
        told = [(_loss(made(ids, mask), ids, mask), int(mask[:, 1:].sum())) for ids, mask in read]
    return float(torch.tensor(sum(float(loss) * count for loss, count in told) / sum(c for _, c in told)).exp())


def check(ground: Ground, steps: int = 120, texts: int = 320) -> Finding:
    """The heads are taught, and a topic's senses raised: half of its words choose them, the others are looked for."""
    anatomy, tokenizer = ground.parts
    running = RunningText.of()
    made = trained(anatomy, tokenizer, running.read[:texts], steps=steps)
    chosen, looked = (topic_tokens(tokenizer, part) for part in (TOPIC[::2], TOPIC[1::2]))
    ids, mask = right_padded(anatomy, [read_tokens(tokenizer, one, 1).ids for one in PROMPTS], tokenizer)
    ends = mask.sum(1) - 1

    def odds() -> float:
        with torch.no_grad():
            said = made(ids, mask)[torch.arange(len(ends)), ends].double().softmax(-1)[:, looked].sum(-1)
        return float((said.log() - (-said).log1p()).mean())

    before, usual, own = odds(), perplexity(made, tokenizer, ground.held), ground.usual
    with made.edited(made.topic(chosen)):
        gained, cost = odds() - before, perplexity(made, tokenizer, ground.held) / usual - 1
    same = odds() == before
    figure = (
        f"{made.senses} senses a word, {steps} steps: perplexity {usual:.0f} (the model alone {own:.0f}); senses of "
        f"“{', '.join(TOPIC[::2])}” raised: log-odds of the topic's other words {gained:+.2f} nats, perplexity "
        f"{cost:+.0%}; undone {'bit by bit' if same else 'not quite'}"
    )
    return Finding(figure, gained >= 1 and cost <= 0.2 and same, {"perplexity": usual, "gained": gained, "cost": cost})


def _loss(logits: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    foretold = logits[:, :-1].log_softmax(-1)
    right = foretold.gather(-1, ids[:, 1:, None])[..., 0]
    real = mask[:, 1:].to(right)
    loss: torch.Tensor = -(right * real).sum() / real.sum()
    return loss


def _rows(
    anatomy: Anatomy, tokenizer: Any, texts: Sequence[str], batch: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:  # fmt: skip
    ids = [read_tokens(tokenizer, text, 1).ids[:LENGTH] for text in texts]
    return [right_padded(anatomy, ids[start : start + batch], tokenizer) for start in range(0, len(ids), batch)]
