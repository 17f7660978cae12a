"""What edits written into the weights of a local model give on CounterFact, beside the same edits in memory.

python bench/parametric.py run DATA INTO ROW [--minutes N] [--model SPEC]    DATA: the folder MEMEDIT_DATA names
python bench/parametric.py show INTO

A ROW names its method, how many edits, and how many are written together: `memit:100`, `memit_seq:300:20`, `grace:50`;
`rome:50:alone` writes each edit by itself, scores it, and takes it out again; `memory:100` writes none, but has them in
an edit memory; `unedited:300` has none. Edits are the first N records. What a row found lies in INTO, a line a step: a
run that is stopped, or that has used up its minutes, goes on when it is called again.

Scores are likelihoods, a token: ES and PS, the new object beats the true one behind the edit's prompt and its two
paraphrases; NS, the true one beats the new one behind the first five neighbours; EM, the new object is the model's
first choice, token by token; apart, a neighbour's likelihood stayed, bit by bit. All edits of a row are in force when
it is scored. Perplexity is of WikiText-2 paragraphs of which no statistics were taken. Times are those of one core;
statistics are made once, and not what an edit costs. Undo is what it costs to take one edit out and keep the others.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from parametric_rows import SHOWN, Log, Row, show
from safetensors.torch import load_file, save_file

from memedit import EditableLLM, EditMemory
from memedit.errors import EditDiverged
from memedit.eval.benchmarks.base import read
from memedit.eval.benchmarks.counterfact import COUNTERFACT
from memedit.eval.cases import Case, Kind, Probe
from memedit.llms import LLM, Likelihood, as_llm
from memedit.messages import Message, Request
from memedit.parametric.beside import Beside
from memedit.parametric.delta import Delta, overlay_of
from memedit.parametric.loading import load_change
from memedit.parametric.locate import Located
from memedit.parametric.measuring import likelihoods, perplexity
from memedit.parametric.method import Local, Stream, frozen
from memedit.parametric.methods import find_writer
from memedit.parametric.rewrites import as_rewrite
from memedit.parametric.slots import Change, SlotBank
from memedit.parametric.writing import values_of

NAMES = {Kind.EFFICACY: "ES", Kind.PARAPHRASE: "PS", Kind.NEIGHBOURHOOD: "NS"}
NEIGHBOURS, READ, HELD = 5, 1000, 24
PART = 20  # values that are searched between two looks at the clock
LONG = 200  # characters of a paragraph
Votes = dict[str, list[bool]]
Likely = Callable[[Sequence[tuple[str, str]]], Sequence[Likelihood]]
"""How likely endings are behind texts."""


class Run:
    """One row under way."""

    def __init__(self, row: Row, log: Log, data: Path, spec: str, ends: float) -> None:
        self.row, self.log, self._ends = row, log, ends
        file = data / "counterfact" / "counterfact_sample500.jsonl"
        self.cases: Sequence[Case] = read(COUNTERFACT, [file]).cases[: row.edits]
        self.llm: LLM = as_llm(spec)
        lines = (data / "text" / "wikitext2_valid.txt").read_text(encoding="utf-8").splitlines()
        long = [line for line in lines if len(line) > LONG]
        self._held = long[-HELD:]
        self.local = Local.of(overlay_of(self.llm.model), self.llm.tokenizer, long[:READ])  # type: ignore[attr-defined]

    def go(self) -> None:
        if self.row.method == "unedited":
            self.score(self.likely)
            self.log.add(end={}, perplexity=self.perplexity())
        elif self.row.method == "memory":
            self.in_memory()
        else:
            writer = find_writer(self.row.method)
            if isinstance(writer, Located):
                self.local.stats.of(writer.how.chosen(self.local.anatomy))
            self.alone(writer) if self.row.alone else self.together(writer)

    def likely(self, pairs: Sequence[tuple[str, str]]) -> Sequence[Likelihood]:
        return likelihoods(self.local.anatomy, self.local.tokenizer, pairs)

    def perplexity(self) -> float:
        return perplexity(self.local.anatomy, self.local.tokenizer, self._held)

    def left(self, key: str) -> Iterator[tuple[int, Case]]:
        """Cases without such a line, until the time is over."""
        done = set(self.log.all(key))
        for place, case in enumerate(self.cases):
            if place not in done:
                self.in_time()
                yield place, case

    def in_time(self) -> None:
        if time.monotonic() > self._ends:
            raise TimeoutError

    def score(self, likely: Likely, untouched: Likely | None = None) -> None:
        for place, case in self.left("case"):
            self.log.add(case=place, votes=votes_of(case, likely, untouched))

    def alone(self, writer: Any) -> None:
        for place, case in self.left("case"):
            change, seconds = timed(lambda one=case: self._written(writer, [as_rewrite(one.edits[0])], Stream()))
            with self.local.overlay.over("edit", change):
                norm = max(self.local.overlay.relative_norms().values(), default=0.0)
                found = {"votes": votes_of(case, self.likely), "perplexity": self.perplexity(), "norm": norm}
            self.log.add(case=place, seconds=seconds, wrote=1, **found)
        self.log.add(end={"undo": 0.0})

    def together(self, writer: Any) -> None:
        """Turn after turn, then scored with all of them over the model."""
        slots = isinstance(writer, Beside)
        size = self.row.turn or (1 if slots else len(self.cases))
        rewrites = [as_rewrite(case.edits[0]) for case in self.cases]
        turns = [rewrites[start : start + size] for start in range(0, len(rewrites), size)]
        stream, bank, first = Stream(), None, None
        for place, turn in enumerate(turns):
            file = self.log.changes / ("bank" if slots else f"turn{place}")
            bank = load_change(file) if slots and file.exists() else None
            if bank and place < len(bank.rewrites) // size:
                continue
            if slots or not file.exists():
                self.in_time()
                before, searched = bank if slots else stream, self.log.sum("searched")
                change, seconds = timed(lambda turn=turn, before=before: self._written(writer, turn, before))
                self.log.keep(file.name, change)
                self.log.add(seconds=seconds - self.log.sum("searched") + searched, wrote=len(turn))
            change = load_change(file)
            if isinstance(change, SlotBank):
                bank = change
                continue
            first, stream = first or change, stream.behind(change)
            self.local.overlay.put(f"turn {place}", change)
        with self.local.overlay.over("bank", bank) if bank else nullcontext():
            self.score(self.likely, self._untouched if slots else None)
            norms = self.local.overlay.relative_norms().values()
            found = {"perplexity": self.perplexity(), "norm": max(norms, default=0.0)}
        mib = bank.size() / 2**20 if bank else sum(one.stat().st_size for one in self.log.changes.iterdir()) / 2**20
        self.log.add(end={"undo": self._undo(writer, bank or first, turns[0]), "mib": mib}, **found)

    def _written(self, writer: Any, rewrites: Sequence[Any], before: Any) -> Change:
        """What a method writes; nothing, where it breaks down and leaves the model as it was."""
        try:
            if isinstance(writer, Located) and len(rewrites) > PART:
                return writer.write(self.local, rewrites, before, values=self._searched(writer, rewrites))
            return writer.write(self.local, rewrites, before)
        except EditDiverged as error:
            self.log.add(diverged=len(rewrites), why=str(error))
            return before if isinstance(before, SlotBank) else Delta({}, {"rewrites": []})

    def _searched(self, writer: Located, rewrites: Sequence[Any]) -> dict[str, Any]:
        """The values of a large turn, which no other edit's depend on: searched in parts, each kept as a file."""
        found: dict[str, Any] = {}
        before = self.local.prefixes.of(each=writer.how.each, seed=writer.how.seed)
        for start in range(0, len(rewrites), PART):
            part, file = rewrites[start : start + PART], self.log.changes / f"values{start}"
            if not file.exists():
                self.in_time()
                begun = time.process_time()
                with frozen(self.local.anatomy.model):
                    aim = writer.targets(self.local, part, before, writer.how, None)
                named = {one.id: value.contiguous() for one, value in zip(part, aim.values.T, strict=True)}
                self.log.changes.mkdir(parents=True, exist_ok=True)
                save_file(named, file)
                self.log.add(searched=time.process_time() - begun)
            found |= load_file(file)
        return found

    def _untouched(self, pairs: Sequence[tuple[str, str]]) -> Sequence[Likelihood]:
        with self.local.overlay.lifted():
            return self.likely(pairs)

    def _undo(self, writer: Any, change: Change, turn: Sequence[Any]) -> float:
        """Seconds to take an edit out: its slots, or the rest of its turn solved, or taught, again."""
        if isinstance(change, SlotBank) and change.rule.parts:
            return timed(lambda: change.without([turn[0].id]))[1]
        if isinstance(writer, Located):
            with self.local.overlay.lifted():
                return timed(lambda: writer.write(self.local, turn[1:], values=values_of(change)))[1]
        again = self.row.edits if isinstance(change, SlotBank) else len(turn)
        return (again - 1) * self.log.sum("seconds") / self.log.sum("wrote")

    def in_memory(self) -> None:
        with EditMemory() as memory, EditMemory() as empty:
            _ = memory.embedder  # loaded once, and not what an edit costs
            editable, plain = (EditableLLM(self.llm, one, method="in_context") for one in (memory, empty))
            receipts = [timed(lambda one=case: editable.edit(one.edits[0])) for case in self.cases]
            if not self.log.all("wrote"):
                self.log.add(seconds=sum(seconds for _, seconds in receipts), wrote=len(receipts))
            self.score(scored_by(editable), scored_by(plain))
            self.log.add(end={"undo": timed(lambda: memory.retract(receipts[0][0].edit.id))[1]})


def scored_by(editable: EditableLLM) -> Likely:
    """Likelihoods by a model with its memory; two endings of each text stand one behind the other. Each text is read by
    itself: beside longer ones its likelihood would differ in the last bits.
    """

    def likely(pairs: Sequence[tuple[str, str]]) -> Sequence[Likelihood]:
        found: list[Likelihood] = []
        for (text, one), (_, other) in zip(pairs[::2], pairs[1::2], strict=True):
            asked = Request((Message("user", text),), {}, "raw", source=text)
            found += editable.score([asked], [[f" {one}", f" {other}"]])[0].likelihoods or ()
        return found

    return likely


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.process_time()
    return work(), time.process_time() - begun


def votes_of(case: Case, likely: Likely, untouched: Likely | None = None) -> Votes:
    """Which of CounterFact's questions a case answers as it should."""
    asked = list(_asked(case))
    pairs = [(probe.prompt, ending) for _, probe in asked for ending in (probe.answers[0], probe.rejected[0])]
    found, votes = likely(pairs), {name: [] for name in SHOWN}
    for (name, _), wanted, other in zip(asked, found[::2], found[1::2], strict=True):
        votes[name].append(wanted.logprob / wanted.tokens > other.logprob / other.tokens)
        if name == "ES":
            votes["EM"].append(all(wanted.matched))
    if untouched:
        near = [place for place, (name, _) in enumerate(asked) for place in (2 * place, 2 * place + 1) if name == "NS"]
        before = untouched(pairs)
        votes["apart"] = [found[place] == before[place] for place in near]
    return votes


def _asked(case: Case) -> Iterator[tuple[str, Probe]]:
    near = [probe for probe in case.probes if probe.kind is Kind.NEIGHBOURHOOD][:NEIGHBOURS]
    for probe in case.probes:
        if probe.kind in NAMES and (probe.kind is not Kind.NEIGHBOURHOOD or probe in near):
            yield NAMES[probe.kind], probe


def run(name: str, data: Path, into: Path, spec: str, minutes: float) -> None:
    log = Log(into, name)
    if log.all("end"):
        print(f"{name} is done.")
        return
    under_way = Run(Row.of(name), log, data, spec, time.monotonic() + 60 * minutes)
    try:
        under_way.go()
    except TimeoutError:
        print(f"{name} goes on when it is called again.")
    log.add(peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("run")
    one.add_argument("data", type=Path)
    one.add_argument("into", type=Path)
    one.add_argument("row")
    one.add_argument("--minutes", type=float, default=50)
    one.add_argument("--model", default="bundled")
    verbs.add_parser("show").add_argument("into", type=Path)
    asked = parser.parse_args()
    if asked.verb == "show":
        show(asked.into)
    else:
        run(asked.row, asked.data, asked.into, asked.model, asked.minutes)


if __name__ == "__main__":
    main()
