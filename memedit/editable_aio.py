"""`EditableLLM.aio`: its verbs, awaitable."""

from __future__ import annotations

from memedit.aio import AsyncView, Awaited
from memedit.editable import EditableLLM


class AsyncEditable(AsyncView):
    """Every verb of an EditableLLM but those that have an asynchronous driver: `ainvoke`, `astream`, `abatch`."""

    score = Awaited(EditableLLM.score)
    classify = Awaited(EditableLLM.classify)
    classify_many = Awaited(EditableLLM.classify_many)
    explain = Awaited(EditableLLM.explain)
    ask_base = Awaited(EditableLLM.ask_base)
    verify = Awaited(EditableLLM.verify)
    edit = Awaited(EditableLLM.edit)
    propose = Awaited(EditableLLM.propose)
    feedback = Awaited(EditableLLM.feedback)
    edit_many = Awaited(EditableLLM.edit_many)
    retract = Awaited(EditableLLM.retract)
    bakery = Awaited(EditableLLM.bakery)
    bake = Awaited(EditableLLM.bake)
    unbake = Awaited(EditableLLM.unbake)
    curve = Awaited(EditableLLM.curve)
    baked = Awaited(EditableLLM.baked)
    undo = Awaited(EditableLLM.undo)
    history = Awaited(EditableLLM.history)
    recall = Awaited(EditableLLM.recall)
    support = Awaited(EditableLLM.support)
