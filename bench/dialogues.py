"""The gate on the written dialogues of the tests: how often it fires where it should, and where it should not."""

from __future__ import annotations

import json
from pathlib import Path

from memedit import EditableLLM, EditMemory
from memedit.embedders import default_embedder
from memedit.eval.stats import Share
from memedit.testing import FakeLLM

DIALOGUES = Path(__file__).parent.parent / "tests/data/dialogues.jsonl"


def main() -> None:
    embedder = default_embedder()
    fired: dict[bool, list[bool]] = {True: [], False: []}
    for line in DIALOGUES.read_text(encoding="utf-8").splitlines():
        dialogue = json.loads(line)
        llm = EditableLLM(FakeLLM(), EditMemory(embedder=embedder))
        llm.edit(dialogue["edit"])
        messages = [{"role": role, "content": text} for role, text in dialogue["turns"]]
        fired[dialogue["in_scope"]].append(llm.invoke(messages).edited)
    print("fires in scope:    ", Share(sum(fired[True]), len(fired[True])))
    print("fires out of scope:", Share(sum(fired[False]), len(fired[False])))


if __name__ == "__main__":
    main()
