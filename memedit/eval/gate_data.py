"""What a gate is trained and measured on, as users have it: their edits with probes, labelled look-ups, benchmarks."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from memedit.edits import AnyEdit, Fact, Probe
from memedit.errors import FileRejected
from memedit.eval.benchmarks.base import Source, find_benchmark, read
from memedit.eval.labelled import Held, is_labelled, labelled_set, values_of
from memedit.eval.scopes import scope_set
from memedit.gate.learning.scope_sets import Question, ScopeSet
from memedit.index.mentions import LONGEST_NAME
from memedit.memory import EditMemory
from memedit.memory.files import read_edits
from memedit.plumbing.plugins import plugins
from memedit.text import FUNCTION_WORDS, words


@dataclass(frozen=True, slots=True)
class GateData:
    """What the `--data` of a command hold.

    Args:
        sets: One for each, under names that differ.
        sources: The files, for a gate's card.
        notes: What a reader has to know: records that could not be read, questions left out by a limit.
        own: Names of the sets that are no benchmarks.
    """

    sets: tuple[ScopeSet, ...]
    sources: tuple[Source, ...]
    notes: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How many questions there are of each group of each set."""
        return {one.name: dict(Counter(question.group for question in one.questions)) for one in self.sets}


def read_data(
    specs: Sequence[str],
    *,
    memory: Callable[[], EditMemory] | None = None,
    namespace: str = "default",
    limit: int | None = None,
    seed: int = 0,
    bare: bool = False,
) -> GateData:
    """The scope sets of files; all of them can be read, or none is.

    Args:
        specs: Each a file of edits with probes (`.jsonl`, `.yaml`), a JSON lines file of labelled look-ups, or
            `NAME=FILE[,FILE…]` for a benchmark.
        memory: Opens the memory whose edits labelled look-ups name by id; only called where some do.
        namespace: Of that memory.
        limit: Questions of each set, drawn.
        seed: Of the draw.
        bare: Whether edits without probes will do.

    Raises:
        FileRejected: A file cannot be read, or asks nothing; the message names the file, and the line where there is
            one.
    """
    held = _held(memory, namespace)
    sets: list[ScopeSet] = []
    sources: list[Source] = []
    notes: list[str] = []
    own: set[str] = set()
    for spec in specs:
        made, files, said, is_own = _read(spec, held, bare=bare)
        if limit is not None and len(made.questions) > limit:
            drawn = random.Random(seed).sample(made.questions, limit)  # noqa: S311 - a sample, no secret
            said = [*said, f"{made.name}: {limit} of {len(made.questions)} questions are asked"]
            made = replace(made, questions=tuple(drawn))
        # The memory they come into now is none of the namespaces they may come from.
        edits = tuple(edit.model_copy(update={"namespace": None}) for edit in made.edits)
        sets.append(replace(made, name=_unused(made.name, sets), edits=edits))
        own |= {sets[-1].name} if is_own else set()
        sources += files
        notes += said
    return GateData(tuple(sets), tuple(sources), tuple(notes), frozenset(own))


def _read(spec: str, held: Callable[[], Held], *, bare: bool) -> tuple[ScopeSet, list[Source], list[str], bool]:
    name, equals, files = spec.partition("=")
    if equals and not Path(spec).exists():
        return (*_benchmark(name, [file for file in files.split(",") if file]), False)
    path = Path(spec)
    try:
        raw = path.read_bytes()
    except (OSError, ValueError) as error:
        do = f"give a file, or NAME=FILE for a benchmark ({', '.join(sorted(plugins('benchmarks'))[:4])}, …)"
        raise FileRejected(f"{spec} cannot be read: {getattr(error, 'strerror', error)}.", do=do) from error
    made, what = _own(path, raw, held)
    if not made.questions and not bare:
        raise FileRejected(
            f"None of the {len(made.edits)} edits of {path} has probes.",
            do="give them `probes` (prompt, must: change or stay), or train with --generate N",
        )
    return made, [Source(path.name, sha256(raw).hexdigest(), {what: len(made.questions)})], [], True


def _benchmark(name: str, files: Sequence[str]) -> tuple[ScopeSet, list[Source], list[str]]:
    if not files:
        raise FileRejected(f"`{name}=` names no file.", do="write NAME=FILE[,FILE…]")
    reading = read(find_benchmark(name), files)
    said = []
    if reading.malformed:
        first = reading.malformed[0]
        said = [f"{name}: {len(reading.malformed)} records cannot be read (first: {first.file}, record {first.number}: "
                f"{first.why})"]  # fmt: skip
    made = scope_set(name, reading.cases)
    if not made.questions or not made.edits:
        raise FileRejected(
            f"{', '.join(files)}: {len(made.edits)} Facts, {len(made.questions)} questions on them.",
            do="give a benchmark of Facts, with prompts that edits are and are not in scope of",
        )
    return made, list(reading.sources), said


def _own(path: Path, raw: bytes, held: Callable[[], Held]) -> tuple[ScopeSet, str]:
    """The set of a user's file, and what its questions are."""
    if path.suffix not in (".yaml", ".yml"):
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise FileRejected(f"{path} is not UTF-8: {error.reason} at byte {error.start}.", do="save it as UTF-8"
                               ) from error  # fmt: skip
        values = values_of(text, path)
        if is_labelled(values[0][1]):
            return labelled_set(path.stem, values, path, held), "labelled look-ups"
        if wrong := next((line for line, value in values if is_labelled(value)), None):
            raise FileRejected(f"{path}, line {wrong}: a labelled look-up among edits.", do="keep them in two files")
    return _probed(path.stem, read_edits(path), path), "probes"


def _probed(name: str, edits: Sequence[AnyEdit], path: Path) -> ScopeSet:
    """The probes of edits as questions.

    An edit of the same subject and relation answers what another one does. Where a probe must stay, only its own edit
    is known to be out of scope among those whose subject it names.
    """
    seen: dict[str, AnyEdit] = {}
    for number, edit in enumerate(edits, start=1):
        if seen.setdefault(edit.id, edit) is not edit:
            raise FileRejected(f"{path}, entry {number}: the id `{edit.id:.40}` stands there before.",
                               do="give each edit its own, or none")  # fmt: skip
    facts = [edit for edit in edits if isinstance(edit, Fact)]
    known = _Known(facts)
    questions: dict[tuple[str, str], Question] = {}
    for fact in facts:
        for probe in fact.probes:
            asked = known.question(fact, probe)
            place = asked.text, asked.group
            questions[place] = _both(questions[place], asked) if place in questions else asked
    return ScopeSet(name, tuple(edits), tuple(questions.values()))


class _Known:
    """Facts by name and by what their probes ask."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self._names: dict[tuple[str, ...], list[Fact]] = defaultdict(list)
        self._answers: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for fact in facts:
            for alias in fact.names:
                self._names[words(alias)].append(fact)
            for probe in fact.probes:
                if probe.must == "change":
                    self._answers[words(probe.prompt)].add(fact.id)

    def question(self, fact: Fact, probe: Probe) -> Question:
        """What a probe of a Fact asks."""
        named = {other.id: other for other in self._named(probe.prompt)}
        answers = frozenset(self._answers[words(probe.prompt)])
        if probe.must == "change":
            direct = answers | {other.id for other in self._same_slot(fact)}
            doubtful = {other.id for other in named.values() if _maybe_same(fact, other)}
            return Question(probe.prompt, direct=direct, unsure=frozenset(doubtful) - direct, group="must change")
        direct = answers - {fact.id}
        return Question(
            probe.prompt, direct=direct, unsure=frozenset(named.keys() - {fact.id}) - direct, group="must stay"
        )

    def _same_slot(self, fact: Fact) -> Iterator[Fact]:
        if fact.slot:
            yield from (one for one in self._names[words(fact.subject or "")] if one.slot == fact.slot)

    def _named(self, text: str) -> Iterator[Fact]:
        asked = words(text)
        for start in range(len(asked)):
            for end in range(start + 1, min(start + LONGEST_NAME, len(asked)) + 1):
                yield from self._names.get(asked[start:end], ())


def _both(one: Question, other: Question) -> Question:
    """One question that two edits have as a probe."""
    direct = one.direct | other.direct
    unsure = one.unsure & other.unsure if one.group == "must stay" else one.unsure | other.unsure
    return replace(one, direct=direct, unsure=unsure - direct)


def _maybe_same(fact: Fact, other: Fact) -> bool:
    """Whether two Facts of one subject may be of one relation: one names none, and their wordings share a word."""
    if fact.slot is not None and other.slot is not None:
        return False
    mine, theirs = ({*words(one.relation_text)} - FUNCTION_WORDS for one in (fact, other))
    return bool(mine & theirs)


def _held(memory: Callable[[], EditMemory] | None, namespace: str) -> Callable[[], Held]:
    """Gives the edits of the memory, when it is asked."""

    def held() -> Held:
        if memory is None:
            return Held({}, frozenset())
        opened = memory()
        ids = {event.edit_id for change in opened.history(namespace=namespace) for event in change.events}
        in_force = frozenset(edit.id for edit in opened.edits(namespace=namespace))
        return Held(opened.recorded(ids, namespace=namespace), in_force)

    return held


def _unused(name: str, sets: Sequence[ScopeSet]) -> str:
    taken, number, found = {one.name for one in sets}, 1, name
    while found in taken:
        number += 1
        found = f"{name} {number}"
    return found
