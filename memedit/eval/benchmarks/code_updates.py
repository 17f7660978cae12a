"""CodeUpdateArena (Liu et al. 2024, arXiv:2407.06249): functions of libraries whose interface changed, in programs.

The docstring of the change is the edit; a program that is easier with it is asked for. Whether a program is right, its
tests tell, which are run by the benchmark's own harness: memedit runs no code that a model wrote. Here a reply is
judged by a judge model, and by whether it calls the function with what is new.
"""

from __future__ import annotations

import re

from memedit.edits import Fact
from memedit.eval.benchmarks.base import Benchmark, Form, Place, Record
from memedit.eval.benchmarks.facts import text
from memedit.eval.benchmarks.gather import numbered
from memedit.eval.cases import Case, Kind, ask

ASKED = "{scenario}\n\n{problem}\n\nWrite the function `{signature}` in Python, with {path}."
CALLED = "Which parameter was added to `{path}`?"
PARAMETER = re.compile(r"[*\s]*(\w+)")


def update(record: Record, place: Place) -> Case:
    """A change of a function with a program to be written by it."""
    changed, program = record["update"], record["prog_syn"]
    path = text(changed, "api_path")
    said = (
        f"{path} has changed. {text(changed, 'update_description')} Its signature is now "
        f"{text(changed, 'new_function_signature')}. {text(changed, 'update_docstring')}"
    )
    fact = Fact(" ".join(said.split()), id=f"code-{text(record, 'specific_update_id')}", subject=path,
                source="CodeUpdateArena")  # fmt: skip
    prompt = ASKED.format(
        scenario=text(program, "scenario"), problem=text(program, "problem"),
        signature=text(program, "solution_signature"), path=path,
    )  # fmt: skip
    criterion = (
        f"Does the program in the reply solve the problem, and by {text(changed, 'new_function_signature')} as "
        "it is now?"
    )
    probes = ask(Kind.PORTABILITY, prompt, form="judge", criterion=criterion, max_tokens=400)
    added = _parameters(changed["new_function_signature"]) - _parameters(changed.get("old_signature", ""))
    if changed.get("update_type", "").startswith("add-argument") and len(added) == 1:
        probes += ask(Kind.EFFICACY, CALLED.format(path=path), answers=tuple(added), max_tokens=20)
    return Case(id=f"code_updates:{text(record, 'prog_syn_id')}", edits=(fact,), probes=numbered(probes))


def _parameters(signature: str) -> set[str]:
    _, _, inner = signature.partition("(")
    found = (PARAMETER.match(one) for one in inner.rpartition(")")[0].split(","))
    return {one[1] for one in found if one}


CODE_UPDATE_ARENA = Benchmark(
    name="code_update_arena",
    title="CodeUpdateArena",
    measures="programs by functions whose interface an edit changed",
    paper="Liu et al. 2024, arXiv:2407.06249",
    published="https://github.com/leo-liuzy/CodeUpdateArena",
    licence="see the repository",
    forms=(Form("arena", ("update", "prog_syn", "specific_update_id", "prog_syn_id"), update),),
    max_tokens=400,
)
