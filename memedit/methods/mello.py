"""MeLLo (Zhong et al. 2023, arXiv:2305.14795): the model writes sub-questions, each of which is held against an edit.

The published loop: a sub-question and a tentative answer, the nearest edit, whether it contradicts the answer, and so
on up to a final answer. Quirks of the publication: its loop allows four rounds, one too few for four hops
(reproductions get half its score with them); its retrieval always returns an edit, so that false hits grow with the
memory. Here the gate decides what is retrieved; the baseline `mello_dense_top1` of `memedit eval` retrieves as
published.
"""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

from memedit.edits import AnyEdit
from memedit.errors import FileRejected
from memedit.gate.port import Hits
from memedit.messages import Message, Reply, Request
from memedit.methods.base import Final, Generate, Ready, Recall, Run, Steps, Task, method
from memedit.text import as_data

SUBQUESTION = re.compile(r"Subquestion: *(\S.*)")
BETWEEN = re.compile(r"intermediate answer is: *(\S.*)")
FINAL = re.compile(r"Final answer: *(\S.*)")
STOPS = ("Retrieved fact:", "\nQuestion:")
TOKENS = 128  # a round
GO_ON = "Go on with the last question in the form of the examples, up to the next “Retrieved fact:”. Write no more."
NOTHING = "nothing is known."


@method("mello", paper="Zhong et al. 2023, arXiv:2305.14795", always=True)
def mello(*, rounds: int = 5, prompt: str | Path | None = None) -> Run:
    """Have the model ask itself sub-questions, and correct its tentative answers by the edits in scope of them.

    Without a final answer the last one in between counts. Where no edit is in scope of any sub-question, the request is
    sent as it is.

    Args:
        rounds: Sub-questions at most; the publication's code allows four.
        prompt: The file of a few-shot prompt of the same form, such as the published one; memedit's own when left out.

    Raises:
        FileRejected: The prompt cannot be read.
    """
    examples = _examples(prompt)

    def run(task: Task) -> Steps:
        request, kind = task.request, task.kind
        if not (request.only_text_back and task.hits.verdicts):
            return Final(request)
        written, retrieved = f"{examples}\n\nQuestion: {as_data(task.hits.query)}\n", list[AnyEdit]()
        began = len(written)
        for _ in range(rounds):
            reply = yield Generate(_going_on(request, written, kind))
            written += f"{reply.text.strip()}\n"
            asked = SUBQUESTION.search(reply.text)
            if FINAL.search(reply.text) or not asked:
                break
            hits: Hits = yield Recall(asked[1].strip())
            retrieved += hits.edits[:1]
            written += f"Retrieved fact: {as_data(hits.edits[0].text) if hits else NOTHING}\n"
        if not retrieved:
            return Final(request)
        own = written[began:]
        said = (FINAL.findall(own) or BETWEEN.findall(own) or [""])[-1].strip().rstrip(".")
        asked_last = f"{written[:began]}{own.partition('Final answer:')[0]}Final answer:"
        shown = tuple(dict.fromkeys(retrieved))
        scored = Final(_going_on(request, asked_last, kind), shown)
        return Ready(Reply(said, finish_reason="stop"), shown, instead_of=scored)

    return run


def _examples(prompt: str | Path | None) -> str:
    if prompt is None:
        return resources.files("memedit.data").joinpath("mello_prompt.txt").read_text(encoding="utf-8").strip()
    try:
        text = Path(prompt).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise FileRejected(f"{prompt} cannot be read: {error}.", do="name the file of a few-shot prompt") from error
    if "Subquestion:" not in text or "Final answer:" not in text:
        raise FileRejected(
            f"{prompt} is no prompt of MeLLo's form.", do="give one with “Subquestion:” and “Final answer:” lines"
        )
    return text


def _going_on(request: Request, text: str, kind: str) -> Request:
    """A request to go on with the text up to the next fact."""
    short = request.limited(TOKENS).raw(text, stop=STOPS)
    if kind != "chat":
        return short
    return replace(short, messages=(Message("user", f"{GO_ON}\n\n{text}"),), form="messages")
