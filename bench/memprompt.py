"""MemPrompt's streams: a user who objects to wrong answers, with probability p, to a model with and without a memory.

    python bench/memprompt.py train question_similarity.jsonl bench/out/look_up
    python bench/memprompt.py stream qa_all.jsonl --prompt prompt_lexical_qa.txt --look-up bench/out/look_up

As published, the model stands behind the task's few-shot prompt, which shows questions with and without
clarifications; no memory is that prompt alone. Without --prompt it gets the bare question, and `memprompt` shows
clarifications in its own frame, whose examples are of other tasks. An answer is right when it says what kind of thing
it gives. The user says "when I ask …, I want …" of the very question, through `EditableLLM.feedback`.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memedit import EditableLLM, EditMemory
from memedit.answers import Answer
from memedit.embedders import default_embedder
from memedit.eval.benchmarks import read
from memedit.eval.benchmarks.memprompt import MEMPROMPT, WORD
from memedit.eval.contenders import GrowingPrompt, Unedited
from memedit.eval.stats import Share
from memedit.gate.feedback import EditDistance, FeedbackGate, LookUp, TrainedLookUp
from memedit.gate.likeness import with_the_others
from memedit.gate.port import Gate, Verdict
from memedit.llms import LLM, as_llm
from memedit.memory import Recalled
from memedit.messages import Reply, Request
from memedit.methods.memprompt import memprompt
from memedit.text import says

MAX_TOKENS, BATCH = 24, 8  # feedback on a batch comes before the next
END = ["END", "\n"]


class Prompted(LLM):
    """A model behind a few-shot prompt in the publication's form, to which examples may be added until it is full."""

    kind = "chat"

    def __init__(self, llm: LLM, prompt: str, room: int) -> None:
        self.llm, self.prompt, self.room = llm, prompt.strip(), room
        self.name, self.capabilities = f"prompted {llm.name}", llm.capabilities
        self.grown: list[str] = []

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        head = "".join([self.prompt, *self.grown])
        return self.llm.generate([one.raw(f"{head}{one.text}[SEP]", stop=END) for one in requests])

    def grow(self, question: str, clarification: str, answer: str) -> None:
        """The publication's growing prompt: it gets the answer as well, which the memory never sees."""
        self.grown.append(f"{question} | clarification: {clarification}[SEP] {answer} END[SEP]")
        while sum(map(len, self.grown)) > self.room:
            self.grown.pop(0)


class ByLikeness(Gate):
    """How every gate of memedit judges Feedback when nothing else is asked for."""

    name = "likeness"

    def decide(self, recalled: Recalled) -> list[Verdict]:
        return with_the_others(recalled, ())


@dataclass(frozen=True)
class Asked:
    question: str
    wanted: tuple[str, ...]
    said: str
    answer: str


def stream_of(path: str, limit: int, seed: int) -> list[Asked]:
    """Questions in a drawn order, each with what the user says when it is misunderstood."""
    answers = {record["ques"]: record["ans"] for record in _records(path) if "ques" in record}
    found = []
    for case in read(MEMPROMPT, [path]).cases:
        (probe,) = case.probes
        meant = re.search(r"I want (.+?): the answer", case.edits[0].clarification)  # type: ignore[union-attr]
        assert meant
        phrase = " ".join(WORD.sub("…", probe.prompt).strip(" ?").split())
        said = f"when I ask {phrase}, I want {meant[1]}."
        found.append(Asked(probe.prompt, probe.answers, said, answers.get(probe.prompt, meant[1])))
    random.Random(seed).shuffle(found)
    return found[:limit]


@dataclass
class Played:
    right: list[bool]
    tokens: list[int]
    clarified: int = 0
    misled: int = 0


def replay(editable: EditableLLM, stream: Sequence[Asked], p: float, seed: int, *, grows: bool = False) -> Played:
    """Ask the stream, a batch at a time, and object to wrong answers with probability p."""
    played, draw = Played([], []), random.Random(seed)
    for start in range(0, len(stream), BATCH):
        batch = stream[start : start + BATCH]
        answers = editable.batch([one.question for one in batch], max_tokens=MAX_TOKENS)
        for one, answer in zip(batch, answers, strict=True):
            right = says(answer.text, one.wanted)
            played.right.append(right)
            played.tokens.append(sum(call.usage.get("input", 0) for call in answer.trace.calls))
            played.clarified += answer.edited
            played.misled += _misled(answer, one)
            if right or draw.random() >= p:
                continue
            if grows:
                editable.llm.grow(one.question, one.said, one.answer)  # type: ignore[attr-defined]
            elif not isinstance(editable, Unedited):
                editable.feedback(answer, one.said)
    return played


def _misled(answer: Answer, one: Asked) -> bool:
    """Whether one clarification was shown, and it is of a question that means something else."""
    return len(answer.citations) == 1 and not says(answer.citations[0].clarification, one.wanted)  # type: ignore[union-attr]


def contenders(llm: LLM, options: argparse.Namespace) -> Iterator[tuple[str, EditableLLM, bool]]:
    """(name, editable, whether it grows its prompt by itself)."""
    embedder = default_embedder()
    look_ups: dict[str, LookUp] = {"edit distance": EditDistance()}
    if options.look_up:
        look_ups["trained"] = TrainedLookUp.load(options.look_up)
    gates: dict[str, Gate] = {name: FeedbackGate(one, others=ByLikeness()) for name, one in look_ups.items()}
    gates["likeness"] = ByLikeness()
    prompt = Path(options.prompt).read_text(encoding="utf-8") if options.prompt else None
    frame: Any = "appended" if prompt else "auto"

    def base() -> LLM:
        return llm if prompt is None else Prompted(llm, prompt, options.room)

    def memory() -> EditMemory:
        return EditMemory(embedder=embedder)

    yield "no memory", Unedited(base(), memory(), gate=ByLikeness()), False
    if prompt is None:
        yield "growing prompt", GrowingPrompt(base(), memory(), gate=ByLikeness(), room=options.room), False
    else:
        yield "growing prompt", Unedited(base(), memory(), gate=ByLikeness()), True
    for name, gate in gates.items():
        yield f"memprompt, {name}", EditableLLM(base(), memory(), gate=gate, method=memprompt(frame=frame)), False


def play(options: argparse.Namespace) -> None:
    stream = stream_of(options.data, options.limit, options.seed)
    prompt = Path(options.prompt).name if options.prompt else "none"
    print(f"{Path(options.data).name}, {len(stream)} questions, p = {options.p}, {options.llm}, prompt: {prompt}")
    print("| | all | last quarter | quarters | clarified | of it misled | tokens in |")
    print("|---|---|---|---|---:|---:|---:|")
    llm = as_llm(options.llm)
    for name, editable, grows in contenders(llm, options):
        if options.only and not any(part in name for part in options.only.split(",")):
            continue
        played = replay(editable, stream, options.p, options.seed, grows=grows)
        size = -(-len(stream) // 4)
        parts = [played.right[at : at + size] for at in range(0, len(stream), size)]
        quarters = " → ".join(f"{100 * sum(part) / len(part):.0f}" for part in parts)
        whole, last = (Share(sum(part), len(part)) for part in (played.right, parts[-1]))
        tokens = sum(played.tokens) / len(stream)
        print(
            f"| {name} | {whole} | {last} | {quarters} | {played.clarified} | {played.misled} | {tokens:.0f} |",
            flush=True,
        )


def train(options: argparse.Namespace) -> None:
    from memedit.gate.learning.look_up import agreement, train_look_up

    pairs = [(one["sentence1"], one["sentence2"], bool(one["label"])) for one in _records(options.data)]
    random.Random(0).shuffle(pairs)
    held = len(pairs) // 10
    embedder = default_embedder()
    look_up = train_look_up(pairs[held:], embedder)
    scores = agreement(look_up, pairs[:held], embedder)
    print(f"{len(pairs) - held} pairs; on {held} others: {scores}")
    print(look_up.save(options.out, pairs=len(pairs) - held, scores=scores))


def _records(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    trains = verbs.add_parser("train", help="the trained look-up, from question_similarity.jsonl")
    trains.add_argument("data")
    trains.add_argument("out")
    trains.set_defaults(run=train)
    plays = verbs.add_parser("stream", help="replay a stream")
    plays.add_argument("data")
    plays.add_argument("--prompt", help="the task's few-shot prompt; the bare question when left out")
    plays.add_argument("--look-up", help="the folder of a trained look-up")
    plays.add_argument("--p", type=float, default=1.0, help="probability of feedback on a wrong answer")
    plays.add_argument("--limit", type=int, default=200)
    plays.add_argument("--seed", type=int, default=0)
    plays.add_argument("--room", type=int, default=5_000, help="characters a growing prompt may grow by")
    plays.add_argument("--llm", default="bundled")
    plays.add_argument("--only", help="contenders whose name holds one of these, split by commas")
    plays.add_argument("--threads", type=int, default=1)
    plays.set_defaults(run=play)
    options = parser.parse_args()
    if hasattr(options, "threads"):
        import torch

        torch.set_num_threads(options.threads)
    options.run(options)


if __name__ == "__main__":
    main()
