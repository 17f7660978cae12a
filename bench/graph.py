"""RippleEdits' logical generalisation and composition, with and without what follows from the edits by rules.

python bench/graph.py            MEMEDIT_DATA names the folder with `knowedit/`

Of the 882 WikiData-counterfact edits every one is put in force, once alone and once with all that follows from it. No
language model is asked: a question counts as right where an edit that is let through as its answer holds the answer.
"""

from __future__ import annotations

import os
from pathlib import Path

from memedit import EditableLLM, EditMemory
from memedit.embedders import default_embedder
from memedit.eval import Kind, find_benchmark, read
from memedit.eval.stats import Share
from memedit.multihop.graph import derived_facts
from memedit.testing import FakeLLM
from memedit.text import says


class Silent(FakeLLM):
    """Says nothing, so that only the memory answers."""

    kind = "instruct"

    def __init__(self) -> None:
        super().__init__(lambda prompt: "")


def main() -> None:
    file = Path(os.environ["MEMEDIT_DATA"]) / "knowedit" / "wiki_counterfact_train.jsonl"
    cases = read(find_benchmark("wiki_counterfact"), [file]).cases
    edits = [edit for case in cases for edit in case.edits]
    print("| edits | in memory | logical generalisation | portability | same subject, answered |")
    print("|---|---:|---|---|---|")
    for name, more in (("alone", []), ("with what follows", derived_facts(edits))):
        llm = EditableLLM(Silent(), EditMemory(embedder=default_embedder()), method="multihop")
        added = list(llm.memory.add_many([*edits, *more], on_conflict="keep"))
        cells = []
        for kind in (Kind.LOGICAL, Kind.PORTABILITY, Kind.SAME_SUBJECT):
            probes = [probe for case in cases for probe in case.probes if probe.kind is kind and probe.answers]
            answers = llm.batch([probe.prompt for probe in probes])
            if kind is Kind.SAME_SUBJECT:
                right = Share(sum(answer.text != "" for answer in answers), len(probes))
            else:
                said = zip(answers, probes, strict=True)
                right = Share(sum(says(answer.text, probe.answers) for answer, probe in said), len(probes))
            low, high = right.interval
            cells.append(f"{100 * right.value:.1f} % ({100 * low:.1f}–{100 * high:.1f}; {right.good}/{right.of})")
        print(f"| {name} | {len(added)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
