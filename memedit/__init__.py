"""memedit: correct a language model at once, without training it.

`EditableLLM(llm)` puts an edit memory in front of any model. Names are imported when they are first used, so that
`import memedit` stays fast and needs nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memedit.answers import Answer, Classified, Explanation
    from memedit.editable import EditableLLM
    from memedit.editable.streaming import AnswerStream
    from memedit.edits import (
        Behaviour,
        Demonstration,
        Description,
        Edit,
        Erasure,
        Fact,
        Feedback,
        Patch,
        Probe,
        as_edit,
    )
    from memedit.embedders import Embedder, as_embedder
    from memedit.errors import MemeditError
    from memedit.gate import Gate, Hits, Verdict
    from memedit.llms import LLM, as_llm
    from memedit.memory import Candidate, Change, EditMemory, Receipt, Snapshot
    from memedit.messages import Message, Reply, Request
    from memedit.trace import Trace
    from memedit.verify import Verification

__version__ = "0.1.0"

_HOMES = {
    "memedit.answers": ("Answer", "Classified", "Explanation"),
    "memedit.editable": ("EditableLLM",),
    "memedit.editable.streaming": ("AnswerStream",),
    "memedit.edits": (
        "Behaviour",
        "Demonstration",
        "Description",
        "Edit",
        "Erasure",
        "Fact",
        "Feedback",
        "Patch",
        "Probe",
        "as_edit",
    ),
    "memedit.embedders": ("Embedder", "as_embedder"),
    "memedit.errors": ("MemeditError",),
    "memedit.gate": ("Gate", "Hits", "Verdict"),
    "memedit.llms": ("LLM", "as_llm"),
    "memedit.memory": ("Candidate", "Change", "EditMemory", "Receipt", "Snapshot"),
    "memedit.messages": ("Message", "Reply", "Request"),
    "memedit.trace": ("Trace",),
    "memedit.verify": ("Verification",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "__version__",
    "Answer",
    "AnswerStream",
    "Behaviour",
    "Candidate",
    "Change",
    "Classified",
    "Demonstration",
    "Description",
    "Edit",
    "EditMemory",
    "EditableLLM",
    "Embedder",
    "Erasure",
    "Explanation",
    "Fact",
    "Feedback",
    "Gate",
    "Hits",
    "LLM",
    "MemeditError",
    "Message",
    "Patch",
    "Probe",
    "Receipt",
    "Reply",
    "Request",
    "Snapshot",
    "Trace",
    "Verdict",
    "Verification",
    "as_edit",
    "as_embedder",
    "as_llm",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'memedit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
