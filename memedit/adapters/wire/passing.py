"""Calls that no codec reads: passed on, but refused where something is erased and their answer could tell it."""

from __future__ import annotations

import re

import httpx2

from memedit.adapters.wire.codec import Codec
from memedit.editable import EditableLLM

TELL_NOTHING = re.compile(
    r"(GET|HEAD) .*/models(/.*)?|DELETE .*|GET .*/files(/[^/]+)?"
    r"|POST .*/(embeddings|moderations|rerank|tokenize|detokenize|files|uploads(/[^/]+/(parts|complete|cancel))?"
    r"|messages/count_tokens|responses/input_tokens)"
)
"""Calls whose answers are no text of a model's: names, numbers, vectors, or what the caller gave."""
REFUSED = "memedit_refused"
"""The type of the errors, in the form of the API's own."""
FORBIDDEN = (
    "The path `{}` is not read by memedit, and an Erasure is in force. → ask by {}, or retract the Erasure first"
)
UNREAD = "The conversation cannot be read, and an Erasure is in force. → send `{}` as plain JSON"


def kept_back(request: httpx2.Request, codec: Codec | None, editable: EditableLLM) -> httpx2.Response | None:
    """The refusal of a call that cannot be read while something is erased; None where it may be passed on.

    Args:
        request: Of which no conversation was read.
        codec: Of its path; None where there is none.
        editable: By whose namespace it goes.
    """
    path = request.url.path
    if codec is None and TELL_NOTHING.fullmatch(f"{request.method} {path}") and ".." not in path:
        return None
    if not editable.memory.of_kind("erasure", namespace=editable.namespace):
        return None
    if codec is not None:
        return httpx2.Response(400, json=codec.error(UNREAD.format("`, `".join(codec.said)), REFUSED))
    known = "chat completions, responses, messages or completions"
    told = FORBIDDEN.format(path.rpartition("/v1/")[2][:80], known)
    return httpx2.Response(403, json={"type": "error", "error": {"message": told, "type": REFUSED, "code": None}})
