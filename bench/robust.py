"""Robust prompts: what each wording makes of counterfactual, irrelevant and empty context (KAFT, Li et al. 2022,
arXiv:2211.05110).

python bench/robust.py --llm bundled --cases 30
python bench/robust.py --llm gguf:FILE --cases 30

controllable    given the right edit, the answer says its object
irrelevant      given another case's edit, the answer is what the same wording gives without any
empty           given no edit, the answer is the model's own to the bare prompt; a completion is another prompt, and is
                only asked whether it knows as much (the true object said as often)

`completion` and `notes behind the question` are what memedit shows a small model (`methods/frames.py`), `notes in a
system message` a hosted one; the others are what was tried in their place.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import torch

from memedit.edits import AnyEdit, Fact
from memedit.eval.benchmarks.counterfact import bundled_cases
from memedit.eval.cases import Kind
from memedit.eval.stats import Share
from memedit.llms import LLM, as_llm
from memedit.messages import Message, Request, as_request
from memedit.methods.frames import CLOSE, EXAMPLES, HEADER, OPEN, completion, context
from memedit.text import as_data, says

TOKENS = 16
BRIEF = f"Notes, which are newer than what you learned; they are data, and end at {CLOSE}:"
Wording = Callable[[str, Sequence[AnyEdit]], Request]


def request(text: str) -> Request:
    return as_request(text, {"max_tokens": TOKENS})


def shortly(text: str, edits: Sequence[AnyEdit]) -> Request:
    facts = " ".join(f"{as_data(edit.text)}." for edit in edits)
    return request(f"Assume that this is true, where it matters: {facts}\n\n{text}" if edits else text)


def briefly_behind(text: str, edits: Sequence[AnyEdit]) -> Request:
    facts = "\n".join(f"- {as_data(edit.text)}" for edit in edits)
    return request(f"{text}\n\nNotes, which are newer than what you learned:\n{facts}" if edits else text)


def marked_behind(text: str, edits: Sequence[AnyEdit]) -> Request:
    facts = "\n".join(f"- {as_data(edit.text)}" for edit in edits)
    return request(f"{text}\n\n{BRIEF}\n{OPEN}\n{facts}\n{CLOSE}" if edits else text)


def between(text: str, edits: Sequence[AnyEdit]) -> Request:
    return request(f"{behind(text, edits).text}\n\n{text}" if edits else text)


def before(text: str, edits: Sequence[AnyEdit]) -> Request:
    return context(request(text), edits, kind="chat") if edits else request(text)


def behind(text: str, edits: Sequence[AnyEdit]) -> Request:
    return context(request(text), edits, kind="instruct") if edits else request(text)


def as_system(text: str, edits: Sequence[AnyEdit]) -> Request:
    asked = request(text)
    told = asked.with_messages([Message("system", "You answer shortly."), *asked.messages])
    return context(told, edits, kind="chat") if edits else asked


def few(text: str, edits: Sequence[AnyEdit]) -> Request:
    return completion(request(text), edits, text, examples=EXAMPLES[:4])


def turned(text: str, edits: Sequence[AnyEdit]) -> Request:
    return completion(request(text), edits, text, examples=EXAMPLES[::-1])


def headless(text: str, edits: Sequence[AnyEdit]) -> Request:
    shown = completion(request(text), edits, text)
    return request("").raw(shown.text.removeprefix(f"{HEADER}\n\n"), stop=["\n"])


WORDINGS: dict[str, Wording] = {
    "completion": lambda text, edits: completion(request(text), edits, text),
    "completion, four examples": few,
    "completion, examples turned round": turned,
    "completion, no header": headless,
    "notes before the question": before,
    "notes in a system message": as_system,
    "notes behind the question": behind,
    "notes behind the question, said briefly": marked_behind,
    "notes behind the question, without marks": briefly_behind,
    "notes between the question and itself": between,
    "one line before the question": shortly,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llm", default="bundled")
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--only", default="", help="wordings whose name has this in it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    llm = as_llm(options.llm, dtype="bfloat16")
    asked = []
    for case in bundled_cases()[: options.cases]:
        fact = case.edits[0]
        prompts = [probe.prompt for probe in case.probes if probe.kind in (Kind.EFFICACY, Kind.PARAPHRASE)][:2]
        asked += [(prompt, fact) for prompt in prompts if isinstance(fact, Fact)]
    print(f"{llm.name}, {options.cases} cases, {len(asked)} prompts\n")
    print("| wording | controllable | irrelevant | empty |\n|---|---|---|---|", flush=True)
    bare = said(llm, [request(prompt) for prompt, _ in asked])
    for name, wording in WORDINGS.items():
        if options.only not in name:
            continue
        print(f"| {name} | {' | '.join(map(cell, row(llm, wording, asked, bare)))} |", flush=True)


def row(llm: LLM, wording: Wording, asked: Sequence[tuple[str, Fact]], bare: Sequence[str]) -> list[Share]:
    others = [asked[(place + len(asked) // 2) % len(asked)][1] for place in range(len(asked))]
    told = said(llm, [wording(prompt, [fact]) for prompt, fact in asked])
    misled = said(llm, [wording(prompt, [other]) for (prompt, _), other in zip(asked, others, strict=True)])
    empty = said(llm, [wording(prompt, []) for prompt, _ in asked])
    follows = [says(text, (str(fact.object),)) for text, (_, fact) in zip(told, asked, strict=True)]
    same = [one == other for one, other in zip(misled, empty, strict=True)]
    if empty == bare:
        knows = [one == other for one, other in zip(empty, bare, strict=True)]
    else:
        knows = [says(text, (str(fact.previous_object),)) for text, (_, fact) in zip(empty, asked, strict=True)]
    return [Share(sum(good), len(good)) for good in (follows, same, knows)]


def said(llm: LLM, requests: Sequence[Request]) -> list[str]:
    return [reply.text.strip() for reply in llm.generate(requests)]


def cell(share: Share) -> str:
    low, high = share.interval
    return f"{100 * share.value:.0f} % ({100 * low:.0f}–{100 * high:.0f}; {share.good}/{share.of})"


if __name__ == "__main__":
    main()
