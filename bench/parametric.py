"""What edits written into the weights of a local model give on CounterFact, in the words of its paper.

python bench/parametric.py DATA METHOD [--edits N] [--turn N] [--model SPEC]    DATA: the folder MEMEDIT_DATA names

With --turn 1 and a closed form that remembers nothing, every edit is written by itself, scored, and taken out again;
else edits are written in turns of so many (all at once without --turn) and scored after the last. What is trained, or
put beside a layer, takes one edit after the other. Scores are likelihoods, a token: ES and PS, the new object beats the
true one behind the edit's prompt and its two paraphrases; NS, the true one beats the new one behind the first five
neighbours; EM, the new object is the model's first choice, token by token; apart, a neighbour's likelihood stayed, bit
by bit. Perplexity is of WikiText-2 paragraphs of which no statistics were taken. Edits are the first N records.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from memedit.eval.benchmarks.base import read
from memedit.eval.benchmarks.counterfact import COUNTERFACT
from memedit.eval.cases import Case, Kind, Probe
from memedit.eval.stats import Share
from memedit.llms import Likelihood, as_llm
from memedit.parametric.beside import Beside
from memedit.parametric.delta import overlay_of
from memedit.parametric.locate import Located
from memedit.parametric.measuring import likelihoods, perplexity
from memedit.parametric.method import Local, Stream
from memedit.parametric.methods import ATTACHED, Writer, find_writer
from memedit.parametric.rewrites import as_rewrite
from memedit.parametric.slots import laid

NEIGHBOURS, READ, HELD = 5, 1000, 24
LONG = 200  # characters of a paragraph
Votes = dict[str, list[bool]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("method")
    parser.add_argument("--edits", type=int, default=40)
    parser.add_argument("--turn", type=int, help="edits that are written together")
    parser.add_argument("--model", default="bundled")
    asked = parser.parse_args()
    local, held = open_local(asked.model, asked.data)
    writer = ATTACHED.get(asked.method) or find_writer(asked.method)
    cases = read(COUNTERFACT, [asked.data / "counterfact" / "counterfact_sample500.jsonl"]).cases[: asked.edits]
    if isinstance(writer, Located):
        local.stats.of(writer.how.chosen(local.anatomy))  # made once, and not what an edit costs
    before = score(local, cases)
    usual = perplexity(local.anatomy, local.tokenizer, held)
    print(f"{len(cases)} edits; unedited {said(before)}, perplexity {usual:.2f}", flush=True)
    alone = asked.turn == 1 and isinstance(writer, Located) and not writer.how.remembers
    how = one_by_one if alone else beside if isinstance(writer, Beside) else in_turns
    how(local, writer, cases, held, asked.turn or len(cases))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GiB, the model and what reads it among it")


def open_local(spec: str, data: Path) -> tuple[Local, Sequence[str]]:
    """The model, and the paragraphs for perplexity."""
    llm = as_llm(spec)
    overlay = overlay_of(llm.model)
    lines = (data / "text" / "wikitext2_valid.txt").read_text(encoding="utf-8").splitlines()
    long = [line for line in lines if len(line) > LONG]
    return Local.of(overlay, llm.tokenizer, long[:READ]), long[-HELD:]


def one_by_one(local: Local, writer: Located, cases: Sequence[Case], held: Sequence[str], _: int) -> None:
    votes, perplexities, norms, seconds = defaultdict(list), [], [], []
    for case in cases:
        begun = time.process_time()
        delta = writer.write(local, [as_rewrite(case.edits[0])])
        seconds.append(time.process_time() - begun)
        with local.overlay.over("edit", delta):
            for name, cast in score(local, [case]).items():
                votes[name] += cast
            perplexities.append(perplexity(local.anatomy, local.tokenizer, held))
            norms.append(max(local.overlay.relative_norms().values()))
        mean = sum(perplexities) / len(perplexities)
        print(
            f"{len(seconds)}: {said(votes)}, perplexity {mean:.2f} (worst {max(perplexities):.2f}), "
            f"norm {sum(norms) / len(norms):.3f}, {sum(seconds) / len(seconds):.1f} s of one core an edit",
            flush=True,
        )  # fmt: skip


def in_turns(local: Local, writer: Writer, cases: Sequence[Case], held: Sequence[str], turn: int) -> None:
    stream, seconds = Stream(), 0.0
    for place, part in enumerate(turns(cases, turn)):
        begun = time.process_time()
        delta = writer.write(local, [as_rewrite(case.edits[0]) for case in part], stream)
        seconds += time.process_time() - begun
        stream = stream.behind(delta)
        local.overlay.put(f"turn {place}", delta)
    norm = max(local.overlay.relative_norms().values())
    now = perplexity(local.anatomy, local.tokenizer, held)
    print(f"{said(score(local, cases))}, perplexity {now:.2f}, norm {norm:.3f}", flush=True)
    print(f"{seconds / len(cases):.1f} s of one core an edit")


def beside(local: Local, writer: Beside, cases: Sequence[Case], held: Sequence[str], _: int) -> None:
    untouched, begun = neighbours(local, cases), time.process_time()
    bank = writer.write(local, [as_rewrite(case.edits[0]) for case in cases])
    seconds = time.process_time() - begun
    with laid(local.overlay, bank):
        votes, now = score(local, cases), perplexity(local.anatomy, local.tokenizer, held)
        votes["apart"] = [one == other for one, other in zip(untouched, neighbours(local, cases), strict=True)]
    print(f"{said(votes)}, perplexity {now:.2f}, {bank.size() / 2**20:.2f} MiB", flush=True)
    print(f"{seconds / len(cases):.1f} s of one core an edit")


def neighbours(local: Local, cases: Sequence[Case]) -> list[Likelihood]:
    """How likely the true object is behind each neighbour."""
    probes = [probe for case in cases for name, probe in _asked(case) if name == "NS"]
    return likelihoods(local.anatomy, local.tokenizer, [(probe.prompt, probe.answers[0]) for probe in probes])


def turns(cases: Sequence[Case], size: int) -> Iterator[Sequence[Case]]:
    for start in range(0, len(cases), size):
        yield cases[start : start + size]


def score(local: Local, cases: Sequence[Case]) -> Votes:
    """Which of CounterFact's questions each case answers as it should."""
    asked = [(name, probe) for case in cases for name, probe in _asked(case)]
    pairs = [(probe.prompt, ending) for _, probe in asked for ending in (probe.answers[0], probe.rejected[0])]
    found = likelihoods(local.anatomy, local.tokenizer, pairs)
    votes: Votes = defaultdict(list)
    for (name, _), wanted, other in zip(asked, found[::2], found[1::2], strict=True):
        votes[name].append(wanted.logprob / wanted.tokens > other.logprob / other.tokens)
        if name == "ES":
            votes["EM"].append(all(wanted.matched))
    return votes


def _asked(case: Case) -> Iterator[tuple[str, Probe]]:
    names = {Kind.EFFICACY: "ES", Kind.PARAPHRASE: "PS", Kind.NEIGHBOURHOOD: "NS"}
    near = [probe for probe in case.probes if probe.kind is Kind.NEIGHBOURHOOD][:NEIGHBOURS]
    for probe in case.probes:
        if probe.kind in names and (probe.kind is not Kind.NEIGHBOURHOOD or probe in near):
            yield names[probe.kind], probe


def said(votes: Votes) -> str:
    """Shares with their 95 % intervals."""
    shown = []
    for name, cast in sorted(votes.items()):
        share = Share(sum(cast), len(cast))
        low, high = share.interval
        shown.append(f"{name} {100 * share.value:.1f} ({100 * low:.0f}-{100 * high:.0f}, n {share.of})")
    return ", ".join(shown)


if __name__ == "__main__":
    main()
