"""Behaviours: whether opinions of edited entities move towards the wanted trait, and all others stay as they were.

    MEMEDIT_DATA=… python bench/behaviours.py [--limit 30]

PersonalityEdit (Mao et al. 2023): an entity, and opinions of it in three traits. Half of the entities are edited, all
in one memory. By likelihood: whether the opinion of the wanted trait gains on the other two. By generation: whether the
answer about an entity without an edit stays the same, and one about an edited entity changes.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch

from memedit import Behaviour, EditableLLM
from memedit.eval.benchmarks import find_benchmark, read
from memedit.eval.cases import Probe
from memedit.eval.stats import Share


def wanted(llm: EditableLLM, probes: list[Probe], namespace: str) -> np.ndarray:
    """The probability of the wanted opinion among the three, per token; (probes,)."""
    found = []
    for probe in probes:
        (one,) = llm.score([probe.prompt], [probe.choices], namespace=namespace)
        rates = np.array([likelihood.logprob / likelihood.tokens for likelihood in one.likelihoods])
        shares = np.exp(rates - rates.max()) / np.exp(rates - rates.max()).sum()
        found.append(shares[probe.choices.index(probe.answers[0])])
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llm", default="bundled")
    parser.add_argument("--limit", type=int, default=30, help="edited entities, and as many others")
    options = parser.parse_args()
    torch.set_num_threads(1)
    file = Path(os.environ["MEMEDIT_DATA"]) / "personality_edit" / "personality_edit.jsonl"
    cases = read(find_benchmark("personality_edit"), [file]).cases[: 2 * options.limit]
    edited, others = cases[: options.limit], cases[options.limit :]
    llm = EditableLLM(options.llm)
    for case in edited:
        patch = case.edits[0]
        llm.edit(Behaviour(topic=patch.condition.partition("opinion on ")[2], conduct=patch.consequence))
    probes = [next(probe for probe in case.probes if probe.form == "pick") for case in edited]
    before, after = wanted(llm, probes, "empty"), wanted(llm, probes, "default")
    print(f"the wanted opinion gains on the other two: {Share(int((after > before).sum()), len(probes))}")
    print(f"its mean probability among the three: {before.mean():.3f} before, {after.mean():.3f} after")
    for title, part in (("edited", edited), ("other", others)):
        asked = [case.probes[0].prompt for case in part]
        alone = [reply.text for reply in llm.ask_base(asked, max_tokens=16)]
        answers = llm.batch(asked, max_tokens=16)
        scope = Share(sum(answer.edited for answer in answers), len(asked))
        same = Share(sum(answer.text == text for answer, text in zip(answers, alone, strict=True)), len(asked))
        print(f"{title} entities: in scope {scope}; the same answer {same}")


if __name__ == "__main__":
    main()
