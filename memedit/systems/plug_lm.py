"""PlugLM (Cheng et al. 2023, arXiv:2211.13893), on a frozen model: a layer whose keys and values are a memory to swap.

Beside a block, each token asks a memory: its query is made of the mean state of the text so far, the five nearest keys
are attended to, and what they give is added. A key is the mean state of an edit's prompt, both without the first token,
whose state is large and says nothing, and as z-scores of what was learnt from; a value is what the edit's statement,
read before its prompt, adds to the state at the prompt's end. Both are read off the model, so that rows are added and
removed without any training. Queries, keys and values are maps that are learnt once, with edits present and absent. A
part of the attention goes to nothing, and an empty memory leaves the model as it is, bit by bit. The authors train the
whole model so, on eight GPUs; this is the layer alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from memedit.parametric.hooks import ending_at, recording, replacing
from memedit.parametric.layout import Anatomy
from memedit.parametric.method import Local, frozen
from memedit.parametric.reading import right_padded
from memedit.parametric.rewrites import Rewrite, read_tokens
from memedit.parametric.teaching import descend
from memedit.systems.ground import Ground, relation_of, rewrites_of, true_of
from memedit.systems.registry import Finding
from memedit.systems.remedi import Asked

NEAREST, ASKED = 5, 64
"""Rows that are attended to, and the width of queries and keys."""
READ = 16  # texts at once
SHARP, NOTHING = 20.0, 16.0
"""Of the attention at first: what a cosine of 1 weighs, and what nothing does."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A memory.

    Args:
        keys, values: One row an edit, (n, width).
    """

    keys: torch.Tensor
    values: torch.Tensor

    def and_(self, other: Rows) -> Rows:
        """With the rows of another."""
        return Rows(torch.cat([self.keys, other.keys]), torch.cat([self.values, other.values]))

    def without(self, places: Sequence[int]) -> Rows:
        """Without some rows."""
        stays = [one for one in range(len(self.keys)) if one not in places]
        return Rows(self.keys[stays], self.values[stays])


class Plug(torch.nn.Module):
    """The layer.

    Args:
        width: Of the states.
        asked: Of queries and keys.
        usual: Keys of which z-scores are taken, (n, width); none for no z-scores.
    """

    def __init__(self, width: int, asked: int = ASKED, usual: torch.Tensor | None = None) -> None:
        super().__init__()
        known = torch.stack([torch.zeros(width), torch.ones(width)]) if usual is None else torch.stack(
            [usual.mean(0), usual.std(0).clamp(min=1e-6)]
        )  # fmt: skip
        self.register_buffer("known", known)
        drawn = torch.randn(asked, width) / width**0.5
        self.query, self.key = torch.nn.Parameter(drawn.clone()), torch.nn.Parameter(drawn.clone())
        self.value = torch.nn.Parameter(torch.eye(width))
        self.sharp = torch.nn.Parameter(torch.tensor(SHARP))
        self.nothing = torch.nn.Parameter(torch.tensor(NOTHING))

    def forward(self, states: torch.Tensor, rows: Rows) -> torch.Tensor:
        """States with what the memory gives added, (texts, tokens, width); of an empty memory the very same."""
        if not len(rows.keys):
            return states
        wide, (mean, spread) = states.float(), torch.as_tensor(self.known)
        count = torch.arange(states.shape[1], device=states.device).clamp(min=1)[:, None]
        so_far = (wide.cumsum(1) - wide[:, :1]) / count
        query = torch.nn.functional.normalize(((so_far - mean) / spread) @ self.query.T, dim=-1)
        key = torch.nn.functional.normalize(((rows.keys - mean) / spread) @ self.key.T, dim=-1)
        near = (query @ key.T).topk(min(NEAREST, len(key)), dim=-1)
        scores = torch.cat([self.sharp * near.values, self.nothing.expand(*near.values.shape[:-1], 1)], dim=-1)
        share = scores.softmax(-1)[..., :-1]
        given = (share[..., None] * rows.values[near.indices]).sum(-2) @ self.value.T
        return states + given.to(states.dtype)

    @contextmanager
    def beside(self, anatomy: Anatomy, layer: int, rows: Rows) -> Iterator[None]:
        """The layer behind a block while it lasts."""
        with replacing(anatomy.blocks[layer], lambda states: self(states, rows)):
            yield


def rows_of(local: Local, rewrites: Sequence[Rewrite], layer: int) -> Rows:
    """The rows of rewrites, read behind a block."""
    alone = _states(local, layer, [one.text for one in rewrites])
    told = _states(local, layer, [f"{one.text} {one.target}. {one.text}" for one in rewrites])
    keys = [row[1:].sum(0) / max(1, len(row) - 1) for row in alone]
    return Rows(torch.stack(keys), torch.stack([one[-1] - row[-1] for one, row in zip(told, alone, strict=True)]))


def _states(local: Local, layer: int, texts: Sequence[str]) -> list[torch.Tensor]:
    """What a block gives at each token of each text, (tokens, width)."""
    block, found = local.anatomy.blocks[layer], []
    for start in range(0, len(texts), READ):
        read = [read_tokens(local.tokenizer, text, 1).ids for text in texts[start : start + READ]]
        ids, mask = right_padded(local.anatomy, read, local.tokenizer)
        with torch.no_grad(), recording([block]) as kept, ending_at(block):
            local.anatomy.model(input_ids=ids, attention_mask=mask, use_cache=False)
        states = kept[0].reshape(*ids.shape, -1).float()
        found += [row[: len(one)] for row, one in zip(states, read, strict=True)]
    return found


def trained(
    local: Local, pairs: Sequence[tuple[Rewrite, str]], layer: int, *, steps: int = 60, batch: int = 8,
    rate: float = 1e-3, seed: int = 0,
) -> Plug:  # fmt: skip
    """The layer, learnt from edits among all others, and from others alone, with which nothing shall change."""
    torch.manual_seed(seed)
    order, done = torch.split(torch.randperm(len(pairs)), batch), 0
    with frozen(local.anatomy.model):
        whole = rows_of(local, [one for one, _ in pairs], layer)
        read = [(Asked.of(local, [pairs[place] for place in rows.tolist()]), rows.tolist()) for rows in order]
        plug = Plug(whole.keys.shape[1], usual=whole.keys).to(local.anatomy.device)
        with torch.no_grad():
            bare = [told.said(local)[torch.arange(len(places)), told.ends] for told, places in read]

        def loss() -> torch.Tensor:
            nonlocal done
            (told, places), before = read[done % len(read)], bare[done % len(read)]
            done += 1
            rows = torch.arange(len(places))
            with plug.beside(local.anatomy, layer, whole):
                present = told.said(local)[rows, told.ends]
            with plug.beside(local.anatomy, layer, whole.without(places)):
                absent = told.said(local)[rows, told.ends]
            moved = (before.exp() * (before - absent)).sum(-1).mean()
            return -present[rows, told.new].mean() + moved

        moving = list(plug.parameters())
        descend(moving, torch.optim.Adam(moving, lr=rate), loss, steps=steps, enough=0.0, clip=1.0)
    return plug.eval()


def check(ground: Ground, held: int = 24, steps: int = 60, depth: float = 0.8) -> Finding:
    """Edits of relations that were never seen, put into the memory, with all that was learnt from beside them."""
    local, groups = ground.local, sorted({str(relation_of(case)) for case in ground.cases})
    apart, layer = set(groups[:: max(1, len(groups) // 8)]), round(depth * (len(ground.local.anatomy) - 1))
    parted = [[case for case in ground.cases if (str(relation_of(case)) in apart) == test] for test in (False, True)]
    learnt, tests = ([(one, true_of(case) or "") for case, one in zip(part, rewrites_of(part), strict=True)]
                     for part in (parted[0], parted[1][:held]))  # fmt: skip
    plug = trained(local, learnt, layer, steps=steps)
    own, foreign = (rows_of(local, [one for one, _ in part], layer) for part in (tests, learnt))
    told, none = Asked.of(local, tests), Rows(own.keys[:0], own.values[:0])

    def efficacy(rows: Rows) -> tuple[float, torch.Tensor]:
        with torch.no_grad(), plug.beside(local.anatomy, layer, rows):
            said = told.said(local)
        return sum(told.likelier(said)) / len(tests), said

    with torch.no_grad():
        bare = told.said(local)
    empty, still = efficacy(none)
    alone, among = efficacy(own)[0], efficacy(own.and_(foreign))[0]
    taken = efficacy(own.without(range(len(tests))))[1]
    same = torch.equal(still, bare) and torch.equal(taken, bare)
    figure = (
        f"learnt from {len(learnt)} edits; {len(tests)} of other relations put into the memory: the new object is "
        f"likelier in {empty:.0%} → {alone:.0%}, with {len(learnt)} foreign rows {among:.0%}; an empty memory, and one "
        f"whose rows were removed, leave the model {'the same bit by bit' if same else 'changed'}"
    )
    reached = alone >= 0.8 and among >= alone - 0.05 and same
    return Finding(figure, reached, {"empty": empty, "alone": alone, "among": among})
