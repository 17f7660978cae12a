"""REMEDI (Hernandez et al. 2023, arXiv:2304.00740): a map from what a text says to what a state should be.

d = W h(attribute) + b, h(attribute) being the mean state of the attribute's tokens in a sentence that states it. Added
to the state of the subject's last token, it makes the model speak as if that held. W and b are learnt once, on edits of
other relations: log p(new) up, log p(old) down, and what is foretold between subject and end held as it was. The gate
decides when: where no edit is in scope nothing is added, and the model is the same bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from memedit.editable.look_up import looked_up
from memedit.eval.cases import Case, Kind
from memedit.gate import as_gate
from memedit.memory import EditMemory
from memedit.methods.base import Recall
from memedit.parametric.hooks import ending_at, recording, replacing
from memedit.parametric.layout import Anatomy
from memedit.parametric.method import Local, frozen
from memedit.parametric.reading import right_padded
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.teaching import descend
from memedit.systems.ground import Ground, asked, relation_of, rewrites_of, true_of
from memedit.systems.registry import Finding

KEEP = 10.0
"""Weight of what is held."""


@dataclass(frozen=True, slots=True, eq=False)
class Remedi:
    """A map.

    Args:
        layer: Behind whose block states are read and changed.
        weight: W, (width, width).
        bias: b, (width,).
    """

    layer: int
    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, attributes: torch.Tensor) -> torch.Tensor:
        """The directions of attributes, (n, width)."""
        return attributes @ self.weight.T + self.bias


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Prompts about subjects, and two things that may follow.

    Args:
        ids, mask: Right-padded, (n, longest).
        subjects, ends: Places of the subject's and the prompt's last token, (n,).
        new, old: First tokens of the two, (n,).
    """

    ids: torch.Tensor
    mask: torch.Tensor
    subjects: torch.Tensor
    ends: torch.Tensor
    new: torch.Tensor
    old: torch.Tensor

    @classmethod
    def of(cls, local: Local, pairs: Sequence[tuple[Rewrite, str]]) -> Asked:
        """Of rewrites, each with what was true before."""
        read = [one.read(local.tokenizer) for one, _ in pairs]
        other = [Rewrite(one.id, one.prompt, one.subject, old).read(local.tokenizer) for one, old in pairs]
        ids, mask = right_padded(local.anatomy, [one.ids[: one.target] for one in read], local.tokenizer)
        told = ([one.subject for one in read], [one.target - 1 for one in read],
                [one.ids[one.target] for one in read], [one.ids[one.target] for one in other])  # fmt: skip
        return cls(ids, mask, *(torch.tensor(one, device=ids.device) for one in told))

    def said(self, local: Local) -> torch.Tensor:
        """Log-probabilities at every token, (n, longest, vocabulary)."""
        run = local.anatomy.model(input_ids=self.ids, attention_mask=self.mask, use_cache=False)
        told: torch.Tensor = run.logits.float().log_softmax(-1)
        return told

    def likelier(self, said: torch.Tensor) -> list[bool]:
        """Whether the new one is the likelier of the two."""
        rows = torch.arange(len(self.ends), device=said.device)
        last = said[rows, self.ends]
        won: list[bool] = (last[rows, self.new] > last[rows, self.old]).tolist()
        return won


@contextmanager
def added(anatomy: Anatomy, layer: int, places: torch.Tensor, directions: torch.Tensor) -> Iterator[None]:
    """While it lasts, each row has its direction added at its place, (rows,) and (rows, width)."""

    def change(states: torch.Tensor) -> torch.Tensor:
        spot = torch.nn.functional.one_hot(places, states.shape[1])[..., None].to(states.dtype)
        return states + spot * directions[:, None].to(states.dtype)

    with replacing(anatomy.blocks[layer], change):
        yield


def attributes(local: Local, rewrites: Sequence[Rewrite], layer: int) -> torch.Tensor:
    """The mean state of each target's tokens in the sentence that states it, (n, width)."""
    read, block = [one.read(local.tokenizer) for one in rewrites], local.anatomy.blocks[layer]
    ids, mask = right_padded(local.anatomy, [one.ids for one in read], local.tokenizer)
    with torch.no_grad(), recording([block]) as kept, ending_at(block):
        local.anatomy.model(input_ids=ids, attention_mask=mask, use_cache=False)
    states = kept[0].reshape(*ids.shape, -1).float()
    return torch.stack([row[one.target : len(one.ids)].mean(0) for row, one in zip(states, read, strict=True)])


def trained(
    local: Local, pairs: Sequence[tuple[Rewrite, str]], layer: int, *, steps: int = 60, batch: int = 12,
    rate: float = 1e-3, seed: int = 0,
) -> Remedi:  # fmt: skip
    """A map that is learnt from rewrites, each with what was true before. It starts as the identity."""
    draw, done = torch.Generator().manual_seed(seed), 0
    order = torch.split(torch.randperm(len(pairs), generator=draw), batch)
    lessons = [[pairs[place] for place in rows.tolist()] for rows in order]
    with frozen(local.anatomy.model):
        read = [(Asked.of(local, one), attributes(local, [rewrite for rewrite, _ in one], layer)) for one in lessons]
        width = read[0][1].shape[1]
        with torch.no_grad():
            bare = [told.said(local) for told, _ in read]
        weight = torch.eye(width, device=local.anatomy.device).requires_grad_(True)
        bias = torch.zeros(width, device=local.anatomy.device, requires_grad=True)

        def loss() -> torch.Tensor:
            nonlocal done
            (told, attribute), before = read[done % len(read)], bare[done % len(read)]
            done += 1
            with added(local.anatomy, layer, told.subjects, Remedi(layer, weight, bias)(attribute)):
                after = told.said(local)
            return _loss(told, before, after)

        adam = torch.optim.AdamW([weight, bias], lr=rate)
        descend([weight, bias], adam, loss, steps=steps, enough=0.0, clip=1.0)
    return Remedi(layer, weight.detach(), bias.detach())


def _loss(told: Asked, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    rows, places = torch.arange(len(told.ends)), torch.arange(told.ids.shape[1])
    last = after[rows, told.ends]
    new, old = last[rows, told.new], last[rows, told.old].exp().clamp(max=1 - 1e-6)
    between = (places > told.subjects[:, None]) & (places < told.ends[:, None])
    moved = (before.exp() * (before - after)).sum(-1) * between
    return (-new - (-old).log1p()).mean() + KEEP * moved.sum() / between.sum().clamp(min=1)


def check(ground: Ground, held: int = 24, steps: int = 60, depth: float = 0.1) -> Finding:
    """Edits of relations that the map never saw: prompts, paraphrases, and neighbours, as the gate decides."""
    local, groups = ground.local, sorted({str(relation_of(case)) for case in ground.cases})
    apart = set(groups[:: max(1, len(groups) // 8)])
    seen = [case for case in ground.cases if str(relation_of(case)) not in apart]
    tests = [case for case in ground.cases if str(relation_of(case)) in apart][:held]
    layer = round(depth * (len(local.anatomy) - 1))
    pairs = [(one, true_of(case) or "") for case, one in zip(seen, rewrites_of(seen), strict=True)]
    found = trained(local, pairs, layer, steps=steps)
    same = Remedi(layer, torch.eye(len(found.bias)), torch.zeros_like(found.bias))
    own = [(one, true_of(case) or "") for case, one in zip(tests, rewrites_of(tests), strict=True)]
    other = [(Rewrite(one.id, text.replace(one.subject, "{}"), one.subject, one.target), old)
             for case, (one, old) in zip(tests, own, strict=True)
             for text, _, _ in asked([case], Kind.PARAPHRASE) if text.count(one.subject) == 1]  # fmt: skip
    shares = {name: (efficacy(local, mapped, own), efficacy(local, mapped, other))
              for name, mapped in (("before", None), ("identity", same), ("REMEDI", found))}  # fmt: skip
    fired = _fired(tests)
    shown = ", ".join(f"{name} {first:.0%}/{second:.0%}" for name, (first, second) in shares.items())
    figure = (
        f"learnt from {len(pairs)} edits, {len(own)} of other relations: the new object is likelier behind prompts/"
        f"paraphrases: {shown}; the gate adds at {fired[0]:.0%} of paraphrases, {fired[1]:.0%} of neighbours, and the "
        "others are the same bit by bit"
    )
    reached = shares["REMEDI"][0] >= 0.95 and shares["REMEDI"][1] >= 0.85 and fired[1] <= 0.05
    return Finding(figure, reached, {"shares": shares, "fired": fired})


def efficacy(local: Local, mapped: Remedi | None, pairs: Sequence[tuple[Rewrite, str]]) -> float:
    """The share where the new object is likelier than the old one, with a map, or without any."""
    told, won = Asked.of(local, pairs), list[bool]()
    with torch.no_grad():
        if mapped is None:
            won = told.likelier(told.said(local))
        else:
            directions = mapped(attributes(local, [one for one, _ in pairs], mapped.layer))
            with added(local.anatomy, mapped.layer, told.subjects, directions):
                won = told.likelier(told.said(local))
    return sum(won) / max(1, len(won))


def _fired(cases: Sequence[Case]) -> tuple[float, float]:
    """At which share of paraphrases and of neighbours the gate lets an edit through."""
    with EditMemory() as memory:
        list(memory.add_many([case.edits[0] for case in cases]))
        shares = []
        for kind in (Kind.PARAPHRASE, Kind.NEIGHBOURHOOD):
            texts = [text for text, _, _ in asked(cases, kind, 2)]
            hits = looked_up(memory, as_gate(), "default", [Recall(one) for one in texts])
            shares.append(sum(bool(one.passed) for one in hits) / len(hits))
    return shares[0], shares[1]
