"""Concept promotion (Geva et al. 2022, arXiv:2203.14680): what a feed-forward layer gives is a sum of its values, each
raised by its activation, and each promotes words. Neurons whose values are near to a topic are held at an activation,
at every token, and the model speaks of the topic more.

A gated layer's activation is the product of gate and input, and may be negative: a value far from the topic is then
held below zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from memedit.parametric.hooks import recording
from memedit.parametric.layout import Anatomy
from memedit.parametric.reading import right_padded
from memedit.parametric.rewrites import read_tokens
from memedit.systems.ground import Ground
from memedit.systems.registry import Finding

TOPIC = ("sea", "ocean", "ship", "boat", "sailor", "harbour", "waves", "fish")
PROMPTS = ("I would like to tell you about the", "Yesterday we talked about the", "The book is about a", "He saw the")
ABOVE, AUTHORS = 0.5, 3.0
"""The upper half of the layers, and the activation that the authors hold values at, in GPT-2."""


@dataclass(frozen=True, slots=True)
class Held:
    """A neuron that is held.

    Args:
        layer, neuron: Which.
        activation: At what.
    """

    layer: int
    neuron: int
    activation: float


def summands(anatomy: Anatomy, tokenizer: Any, prompt: str, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Activations at the last token, (in,), and what each adds to the stream, (in, out).

    With the bias, where there is one, they sum to what the written matrix gives.
    """
    ids, mask = right_padded(anatomy, [read_tokens(tokenizer, prompt, 1).ids], tokenizer)
    with torch.no_grad(), recording([anatomy.written(layer)], inputs=True) as given:
        anatomy.model(input_ids=ids, attention_mask=mask, use_cache=False)
    activations = given[0].reshape(ids.shape[1], -1)[-1]
    return activations, activations[:, None] * anatomy.weight(layer).T


def nearest(
    anatomy: Anatomy, tokenizer: Any, words: Sequence[str], *, most: int = 10, activation: float = AUTHORS,
    above: float = ABOVE,
) -> list[Held]:  # fmt: skip
    """The neurons whose values are nearest to some words: by the cosine of value and the words' mean in the vocabulary.

    A value that points away from them is held at the negative activation.

    Args:
        anatomy: Of the model.
        tokenizer: Of the model.
        words: Of the topic.
        most: How many neurons.
        activation: At what they are held.
        above: The share of the depth from which on layers speak in words; what lies below is read by other layers.
    """
    head: torch.Tensor = anatomy.model.get_output_embeddings().weight.detach().float()
    wanted = head[topic_tokens(tokenizer, words)].mean(0) - head.mean(0)
    cosines = torch.stack(
        [torch.cosine_similarity(anatomy.weight(layer).float().T, wanted, dim=1) for layer in range(len(anatomy))]
    )
    cosines[: round(above * len(anatomy))] = 0
    flat = cosines.flatten()
    chosen = flat.abs().topk(min(most, len(flat))).indices.tolist()
    width = cosines.shape[1]
    return [Held(one // width, one % width, activation * (1 if flat[one] > 0 else -1)) for one in chosen]


@contextmanager
def promoting(anatomy: Anatomy, neurons: Sequence[Held]) -> Iterator[None]:
    """While it lasts, neurons have their activation at every token."""

    def holding(ones: Sequence[Held]) -> Any:
        def hook(_module: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
            states = given[0].clone()
            for one in ones:
                states[..., one.neuron] = one.activation
            return (states, *given[1:])

        return hook

    with ExitStack() as held:
        for layer in sorted({one.layer for one in neurons}):
            ones = [one for one in neurons if one.layer == layer]
            held.callback(anatomy.written(layer).register_forward_pre_hook(holding(ones)).remove)
        yield


def log_odds(anatomy: Anatomy, tokenizer: Any, prompts: Sequence[str], words: Sequence[str]) -> float:
    """The mean over prompts of the log-odds that the next token begins one of the words."""
    tokens, found = topic_tokens(tokenizer, words), []
    for prompt in prompts:
        ids, mask = right_padded(anatomy, [read_tokens(tokenizer, prompt, 1).ids], tokenizer)
        with torch.no_grad():
            said = anatomy.model(input_ids=ids, attention_mask=mask, use_cache=False).logits[0, -1].double()
        chance = said.softmax(-1)[tokens].sum()
        found.append(float(chance.log() - (-chance).log1p()))
    return sum(found) / len(found)


def topic_tokens(tokenizer: Any, words: Sequence[str]) -> list[int]:
    """The first tokens of words, each behind a blank."""
    read = [tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0] for word in words]
    return sorted(set(read))


def check(ground: Ground, most: int = 10, activation: float = AUTHORS, above: float = ABOVE) -> Finding:
    """Half of a topic's words choose the neurons, the other half are looked for."""
    anatomy, tokenizer = ground.parts
    chosen, looked = TOPIC[::2], TOPIC[1::2]
    before, usual = log_odds(anatomy, tokenizer, PROMPTS, looked), ground.usual
    neurons = nearest(anatomy, tokenizer, chosen, most=most, activation=activation, above=above)
    with promoting(anatomy, neurons):
        gained, cost = log_odds(anatomy, tokenizer, PROMPTS, looked) - before, ground.perplexity() / usual - 1
    generator = torch.Generator().manual_seed(0)
    width = anatomy.weight(0).shape[1]
    others = [Held(one.layer, int(torch.randint(width, (1,), generator=generator)), one.activation) for one in neurons]
    with promoting(anatomy, others):
        chance = log_odds(anatomy, tokenizer, PROMPTS, looked) - before
    figure = (
        f"{most} neurons near “{', '.join(chosen)}” held at ±{activation:g}: log-odds of “{', '.join(looked)}” "
        f"{gained:+.2f} nats (as many drawn ones {chance:+.2f}), perplexity {cost:+.1%}"
    )
    return Finding(figure, gained >= 1 and cost <= 0.1 and gained > chance, {"gained": gained, "cost": cost})
