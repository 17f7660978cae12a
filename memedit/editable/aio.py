"""`EditableLLM.aio`: its verbs, awaitable."""

from __future__ import annotations

from memedit.editable.asking import Asks
from memedit.editable.baking import Bakes
from memedit.editable.editing import Edits
from memedit.plumbing.aio import AsyncView, Awaited


class AsyncEditable(AsyncView):
    """Every verb of an EditableLLM but those that have an asynchronous driver: `ainvoke`, `astream`, `abatch`."""

    score = Awaited(Asks.score)
    classify = Awaited(Asks.classify)
    classify_many = Awaited(Asks.classify_many)
    explain = Awaited(Asks.explain)
    ask_base = Awaited(Asks.ask_base)
    verify = Awaited(Asks.verify)
    edit = Awaited(Edits.edit)
    propose = Awaited(Edits.propose)
    feedback = Awaited(Edits.feedback)
    edit_many = Awaited(Edits.edit_many)
    retract = Awaited(Edits.retract)
    bakery = Awaited(Bakes.bakery)
    bake = Awaited(Bakes.bake)
    unbake = Awaited(Bakes.unbake)
    curve = Awaited(Bakes.curve)
    baked = Awaited(Bakes.baked)
    undo = Awaited(Edits.undo)
    history = Awaited(Edits.history)
    recall = Awaited(Asks.recall)
    support = Awaited(Asks.support)
