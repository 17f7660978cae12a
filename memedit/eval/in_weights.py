"""Methods that write edits into weights, or beside them, as contenders: no memory is asked, the model knows it all.

The edits of a namespace are written when it is first asked, all together, one after the other, or in turns. What
becomes of the model on the way is written down: perplexity of running text, ‖W‖ / ‖W₀‖, and which of the edits written
so far the model still says.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from memedit.answers import Answer, Scored
from memedit.editable import EditableLLM
from memedit.errors import EditDiverged, EditRejected, FileRejected
from memedit.eval.remembered import Remembered
from memedit.gate import Hits
from memedit.llms import LLM
from memedit.memory import EditMemory
from memedit.methods.base import Recall

if TYPE_CHECKING:
    from memedit.parametric.local_model import LocalModel
    from memedit.parametric.methods import Writer
    from memedit.parametric.rewrites import Rewrite
    from memedit.parametric.slots import Change

Said = TypeVar("Said", Answer, Scored)
WEIGHTS = "weights.jsonl"
LOOKS = 10
"""At how many places of a stream the model is looked at, at most."""


@dataclass(frozen=True, slots=True)
class Look:
    """A model on its way through a stream of edits.

    Args:
        method: By which they are written.
        namespace: Whose.
        written: Edits so far.
        left: Edits so far that the method could not write.
        seconds: That writing them took.
        perplexity: Of running text.
        norms: ‖W‖ / ‖W₀‖ of each layer that is written.
        changed: ‖W - W₀‖ / ‖W₀‖ of each.
        kept: Of each edit written so far, oldest first: whether every token of its object is the first choice behind
            its own prompt.
    """

    method: str
    namespace: str
    written: int
    left: int
    seconds: float
    perplexity: float
    norms: dict[int, float]
    changed: dict[int, float]
    kept: tuple[bool, ...]


class InWeights(EditableLLM):
    """A local model in whose weights the edits are.

    Args:
        llm: The model.
        memory: Whose edits are written.
        name: Of the method.
        turn: Edits that are written together; None for all of a namespace.
        log: Is told every look.

    Raises:
        UnknownMethod: None of this name writes weights.
        CapabilityMissing: It is no local model, or its weights are quantised.
        UnsupportedModel: Its family is not known, or the method cannot write it.
    """

    def __init__(
        self, llm: LLM, memory: EditMemory, name: str, *, turn: int | None = None,
        log: Callable[[Look], None] = lambda look: None,
    ) -> None:  # fmt: skip
        from memedit.parametric.delta import overlay_of
        from memedit.parametric.local_model import require_weights
        from memedit.parametric.method import Local
        from memedit.parametric.methods import find_writer
        from memedit.parametric.running_text import RunningText

        plain = llm.plain if isinstance(llm, Remembered) else llm  # what is remembered is the unedited model's
        super().__init__(plain, memory, method="in_context")
        self._name, self._turn, self._log = name, turn, log
        self._writer: Writer = find_writer(name)
        self._inner: LocalModel = require_weights(plain)
        self._text = RunningText.of()
        self._local = Local.of(overlay_of(self._inner.model), self._inner.tokenizer, self._text.read)
        self._where: str | None = None
        self._names: list[str] = []

    def recall(self, namespace: str, asked: Sequence[Recall]) -> list[Hits]:
        return [Hits(one.query) for one in asked]

    def batch(self, inputs: Iterable[Any], *, namespace: Any = None, **options: Any) -> list[Answer]:
        found: list[Answer] = []
        for where, part in _parts(inputs, namespace):
            self._lay(where)
            found += super().batch(part, namespace=where, **options)
        return _changed(found)

    def score(
        self, inputs: Iterable[Any], continuations: Sequence[Sequence[str]], *, namespace: Any = None, **options: Any
    ) -> list[Scored]:
        found: list[Scored] = []
        for where, part in _parts(inputs, namespace):
            self._lay(where)
            endings = continuations[len(found) : len(found) + len(part)]
            found += super().score(part, endings, namespace=where, **options)
        return _changed(found)

    def close(self) -> None:
        """Take the edits out again."""
        self._clear()
        super().close()

    def _lay(self, where: str) -> None:
        """Have a namespace's edits in the weights, and no others."""
        if where == self._where:
            return
        self._clear()
        self._where = where
        with self._inner.lock:
            self._write(where)
        self._inner.forget_prefix()

    def _write(self, namespace: str) -> None:
        """Write a namespace's edits, in turns, and look at the model on the way."""
        from memedit.parametric.beside import Beside
        from memedit.parametric.method import Stream
        from memedit.parametric.rewrites import as_rewrite
        from memedit.parametric.slots import SlotBank

        rewrites: list[Rewrite] = []
        left, seconds, stream, bank = 0, 0.0, Stream(), None
        for edit in self.memory.edits(namespace=namespace):
            try:
                rewrites.append(as_rewrite(edit))
            except EditRejected:
                left += 1
        size = self._turn or max(1, len(rewrites))
        turns = [rewrites[start : start + size] for start in range(0, len(rewrites), size)]
        looks = {round(place) for place in np.linspace(1, len(turns), min(LOOKS, len(turns)))} if turns else set()
        written: list[Rewrite] = []
        for place, turn in enumerate(turns, start=1):
            began = time.perf_counter()
            try:
                if isinstance(self._writer, Beside):
                    change: Change = self._writer.write(self._local, turn, bank)
                else:
                    change = self._writer.write(self._local, turn, stream)
                    stream = stream.behind(change)
            except EditDiverged:
                left += len(turn)
            else:
                if isinstance(change, SlotBank):  # it holds the earlier edits too
                    bank = change
                    self._take()
                written += turn
                self._put(f"{self._name} {namespace} {place}", change)
            seconds += time.perf_counter() - began
            if place in looks:
                self._log(self._look(namespace, written, left, seconds))

    def _look(self, namespace: str, written: Sequence[Rewrite], left: int, seconds: float) -> Look:
        from memedit.parametric.measuring import likelihoods, perplexity

        anatomy, tokenizer, overlay = self._local.anatomy, self._local.tokenizer, self._local.overlay
        found = likelihoods(anatomy, tokenizer, [(one.text, one.target) for one in written])
        return Look(
            self._name, namespace, len(written), left, round(seconds, 2),
            perplexity(anatomy, tokenizer, self._text.held), overlay.norms(), overlay.relative_norms(),
            tuple(all(one.matched) for one in found),
        )  # fmt: skip

    def _put(self, name: str, change: Change) -> None:
        self._local.overlay.put(name, change)
        self._names.append(name)

    def _take(self) -> None:
        while self._names:
            self._local.overlay.take(self._names.pop())

    def _clear(self) -> None:
        with self._inner.lock:
            self._take()
        self._where = None
        self._inner.forget_prefix()


def writes_weights(name: str) -> bool:
    """Whether a method of this name writes weights, or beside them; False where torch is not installed."""
    from importlib.util import find_spec

    from memedit.errors import UnknownMethod

    if find_spec("torch") is None:
        return False
    from memedit.parametric.methods import find_writer

    try:
        find_writer(name)
    except UnknownMethod:
        return False
    return True


def logging_to(folder: Path) -> Callable[[Look], None]:
    """Writes looks down in a run's folder."""

    def log(look: Look) -> None:
        with (folder / WEIGHTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(look)) + "\n")

    return log


def looks_of(folder: Path) -> list[Look]:
    """What `logging_to` wrote; where a run was gone on with, the last look at a place.

    Raises:
        FileRejected: It is damaged.
    """
    file = folder / WEIGHTS
    if not file.exists():
        return []
    found: dict[tuple[str, str, int], Look] = {}
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            for name in ("norms", "changed"):
                record[name] = {int(layer): value for layer, value in record[name].items()}
            look = Look(**{**record, "kept": tuple(record["kept"])})
            found[look.method, look.namespace, look.written + look.left] = look
    except (ValueError, KeyError, TypeError) as error:
        raise FileRejected(f"{file} is damaged: {error}.", do="run it again in another folder") from error
    return list(found.values())


def retention(looks: Sequence[Look]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Of one stream: whether edit i is kept at look j, (looks, edits); NaN before it is written."""
    found = np.full((len(looks), max((len(look.kept) for look in looks), default=0)), np.nan)
    for row, look in zip(found, looks, strict=True):
        row[: len(look.kept)] = look.kept
    return found


def _changed(found: list[Said]) -> list[Said]:
    """Answers, marked: the requests are the caller's own, but the model is not."""
    for one in found:
        one.trace.untouched = False
    return found


def _parts(inputs: Iterable[Any], namespace: Any) -> Iterator[tuple[str, list[Any]]]:
    """Inputs that follow one another and ask of one namespace."""
    for where, part in groupby(zip(namespace, inputs, strict=True), key=lambda pair: pair[0]):
        yield str(where), [one for _, one in part]
