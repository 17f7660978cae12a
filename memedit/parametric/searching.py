"""Finding the value that makes a model say the target: gradient descent on one state (ROME, MEMIT, PMET, ENCORE).

A value is found by adding δ to what a module gives at the subject's last token, and moving δ until the target follows
every prefix, while what the model says of the subject by itself stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from memedit.errors import EditDiverged
from memedit.parametric.hooks import replacing
from memedit.parametric.layout import Anatomy
from memedit.parametric.reading import ROWS, Rows, cut_rows
from memedit.parametric.rewrites import Rewrite, Tokens, read_tokens

KEPT = "{} is a"


@dataclass(frozen=True, slots=True)
class Search:
    """How a value is searched.

    Args:
        steps: Of Adam, at most.
        rate: Its learning rate.
        decay: Of ‖δ‖ / ‖h‖², as in the authors' code.
        clamp: The largest ‖δ‖ / ‖h‖.
        keep: Weight of the divergence at the subject itself.
        enough: The search ends below this loss.
        settled: The search also ends when the target was the first choice behind every prefix for so many steps
            (ENCORE); None for never.
    """

    steps: int = 25
    rate: float = 0.5
    decay: float = 1e-3
    clamp: float = 4.0
    keep: float = 0.0625
    enough: float = 0.05
    settled: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Values that were searched.

    Args:
        deltas: One (rewrites, width) for each module, in float64.
        losses: Of each rewrite where its search ended.
    """

    deltas: tuple[torch.Tensor, ...]
    losses: tuple[float, ...]


def search(
    anatomy: Anatomy, tokenizer: Any, rewrites: Sequence[Rewrite], prefixes: Sequence[str], modules: Sequence[Any],
    sizes: Sequence[torch.Tensor], how: Search, progress: Callable[[int, int], None] | None = None,
) -> Found:  # fmt: skip
    """The δ of each rewrite for each module.

    Args:
        anatomy: Of the model.
        tokenizer: Of the model.
        rewrites: What shall follow.
        prefixes: Texts before it.
        modules: To whose output δ is added.
        sizes: ‖h‖ of each module at each subject, (rewrites,).
        how: The settings.
        progress: Is told (rewrites done, of how many).

    Raises:
        EditDiverged: A loss is no number any more.
    """
    at_once = max(1, ROWS // (len(prefixes) + 1))
    deltas: list[list[torch.Tensor]] = [[] for _ in modules]
    losses: list[float] = []
    for start in range(0, len(rewrites), at_once):
        here = slice(start, start + at_once)
        task = _Task(anatomy, tokenizer, rewrites[here], prefixes, modules, [size[here] for size in sizes], how)
        for kept, one in zip(deltas, task.run(), strict=True):
            kept.append(one)
        losses += task.losses.tolist()
        if progress:
            progress(min(start + at_once, len(rewrites)), len(rewrites))
    return Found(tuple(torch.cat(one).double() for one in deltas), tuple(losses))


class _Task:
    """Several rewrites that are searched side by side; those that are done leave the batch."""

    def __init__(
        self, anatomy: Anatomy, tokenizer: Any, rewrites: Sequence[Rewrite], prefixes: Sequence[str],
        modules: Sequence[Any], sizes: Sequence[torch.Tensor], how: Search,
    ) -> None:  # fmt: skip
        self._anatomy, self._modules, self._how = anatomy, modules, how
        device = anatomy.device
        self._sizes = [size.to(device, torch.float32) for size in sizes]
        read = [row for one in rewrites for row in _rows(tokenizer, one, prefixes)]
        self._per = len(prefixes) + 1
        self._rows = cut_rows(anatomy, read, tokenizer.pad_token_id or 0)
        foretold = _foretold(self._rows, read).to(device)
        needed = (foretold >= 0).any(0)
        needed[self._rows.places] = True
        self._columns = needed.nonzero()[:, 0]
        self._wanted = foretold[:, self._columns]
        self.losses = torch.full((len(rewrites),), float("inf"))

    def run(self) -> list[torch.Tensor]:
        """The δ of each module, (rewrites, width)."""
        count, device = len(self.losses), self._anatomy.device
        width = self._anatomy.weight(0).shape[0]
        deltas = [torch.zeros(count, width, device=device, requires_grad=True) for _ in self._modules]
        adam = torch.optim.Adam(deltas, lr=self._how.rate)
        active = torch.ones(count, dtype=torch.bool, device=device)
        settled = torch.zeros(count, dtype=torch.long, device=device)
        rows, wanted, before = self._rows, self._wanted, None
        for step in range(self._how.steps + 1):
            said = self._said(rows, [one[active] for one in deltas])
            if before is None:
                before = self._at_subject(said, rows).detach()
            loss, hit = self._loss(said, rows, wanted, before, deltas, active)
            if not bool(loss.isfinite().all()):
                raise EditDiverged(
                    "A search for a value diverged.", do="lower the learning rate, or leave the edit in memory"
                )
            self.losses[active.cpu()] = loss.detach().float().cpu()
            settled[active] = torch.where(hit, settled[active] + 1, 0)
            over = loss.detach() < self._how.enough
            if self._how.settled is not None:
                over |= settled[active] >= self._how.settled
            if step == self._how.steps or bool(over.all()):
                break
            if bool(over.any()):
                stays = ~over
                by_row = stays.repeat_interleave(self._per)
                rows, wanted, before = rows.only(by_row), wanted[by_row], before[stays]
                active = active.masked_scatter(active, stays)  # anew: the pass back still needs the old one
            adam.zero_grad()
            loss[~over].sum().backward()  # type: ignore[no-untyped-call]
            fixed = [one.detach().clone() for one in deltas]
            adam.step()
            self._bound(deltas, fixed, active)
        return [one.detach().cpu() for one in deltas]

    def _said(self, rows: Rows, deltas: Sequence[torch.Tensor]) -> torch.Tensor:
        with _added(self._modules, [one.repeat_interleave(self._per, 0) for one in deltas], rows):
            return rows.logits(self._anatomy, self._columns).float()

    def _at_subject(self, said: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Log-probabilities behind each subject by itself, (rewrites, vocabulary)."""
        last = torch.arange(self._per - 1, len(said), self._per, device=said.device)
        return said[last, torch.searchsorted(self._columns, rows.places[last])].log_softmax(-1)

    def _loss(
        self, said: torch.Tensor, rows: Rows, wanted: torch.Tensor, before: torch.Tensor,
        deltas: Sequence[torch.Tensor], active: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        """The loss of each rewrite, and whether its target is the first choice behind every prefix."""
        told, real = said.log_softmax(-1), wanted >= 0
        nll = -(told.gather(-1, wanted.clamp(min=0)[..., None])[..., 0] * real).sum(1) / real.sum(1).clamp(min=1)
        hit = ((told.argmax(-1) == wanted) | ~real).all(1)
        grouped = nll.reshape(-1, self._per)[:, :-1].mean(1)
        kept = torch.nn.functional.kl_div(self._at_subject(said, rows), before, log_target=True, reduction="none")
        pull = sum(
            one[active].norm(dim=1) / size[active].square() for one, size in zip(deltas, self._sizes, strict=True)
        )
        loss = grouped + self._how.keep * kept.sum(-1) + self._how.decay * pull
        return loss, hit.reshape(-1, self._per).all(1)

    def _bound(self, deltas: Sequence[torch.Tensor], fixed: Sequence[torch.Tensor], active: torch.Tensor) -> None:
        """Within the clamp; what is done stays as it was."""
        with torch.no_grad():
            for one, old, size in zip(deltas, fixed, self._sizes, strict=True):
                most = self._how.clamp * size
                one *= (most / one.norm(dim=1).clamp(min=1e-12)).clamp(max=1.0)[:, None]
                one[~active] = old[~active]


def _rows(tokenizer: Any, one: Rewrite, prefixes: Sequence[str]) -> list[Tokens]:
    """The rewrite behind each prefix, and last what is to stay: the subject by itself."""
    alone = KEPT.replace("{}", one.subject)
    return [*(one.read(tokenizer, prefix) for prefix in prefixes), read_tokens(tokenizer, alone, len(one.subject))]


def _foretold(rows: Rows, read: Sequence[Tokens]) -> torch.Tensor:
    """For each token of the rows the target's token that has to follow, -1 where none has to, (rows, longest)."""
    foretold = torch.full(rows.ids.shape, -1)
    for row, (one, place) in enumerate(zip(read, rows.places.tolist(), strict=True)):
        first = one.target - 1 - (one.subject - place)
        target = one.ids[one.target :]
        foretold[row, first : first + len(target)] = torch.tensor(target, dtype=torch.long)
    return foretold


@contextmanager
def _added(modules: Sequence[Any], deltas: Sequence[torch.Tensor], rows: Rows) -> Iterator[None]:
    """δ added to what each module gives at the subject's last token."""
    count, length = rows.ids.shape
    spot = torch.nn.functional.one_hot(rows.places, length)[..., None]

    def plus(delta: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        def change(states: torch.Tensor) -> torch.Tensor:
            given = states.reshape(count, length, -1)
            moved = given + (spot * delta[:, None]).to(given.dtype)
            return moved.reshape(states.shape)

        return change

    with ExitStack() as held:
        for module, delta in zip(modules, deltas, strict=True):
            held.enter_context(replacing(module, plus(delta)))
        yield
