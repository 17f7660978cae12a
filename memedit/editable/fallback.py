"""What is done where the verification of an edit fails: the next method of a ladder, the least invasive first.

First other methods that show the edit to the model, then slots beside its weights, then the weights. Which of them
answers an edit stands in the ledger, so that it is undone with it, and every later process with a ladder knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from memedit.editable.baking import Bakes
from memedit.errors import EditDiverged, UnknownMethod, UnsupportedModel
from memedit.gate import Hits
from memedit.llms import LLM, Capability
from memedit.memory import Change
from memedit.memory.events import answered, folded
from memedit.methods.base import Method, find_method
from memedit.plumbing.plugins import plugins
from memedit.verify import Step, Verification

Fallback = Sequence[str] | Literal["auto"]
LADDER = ("in_context", "context_aware", "ike", "grace", "rome")
"""`auto`: of these, what the model can do."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """Methods by name, in the order in which they are tried.

    Args:
        rungs: Methods of the memory, and such as write weights or put slots beside them.
    """

    rungs: tuple[str, ...]

    @classmethod
    def of(cls, fallback: Fallback, llm: LLM) -> Ladder:
        """The ladder of a model.

        Raises:
            UnknownMethod: It names no method.
            CapabilityMissing: It names one that the model cannot do; `auto` leaves those out.
            UnsupportedModel: It names one that writes weights, and the model is an encoder-decoder.
        """
        if fallback == "auto":
            return cls(tuple(name for name in LADDER if _needs(name) in llm.capabilities))
        if isinstance(fallback, str):
            raise UnknownMethod(f"fallback is {fallback!r:.80}.", do='give a list of methods, or "auto"')
        for name in fallback:
            _require(llm, name)
        return cls(tuple(fallback))

    def above(self, name: str) -> tuple[str, ...]:
        """The rungs above a method; all of them where it is none."""
        return self.rungs[self.rungs.index(name) + 1 :] if name in self.rungs else self.rungs


class Falls(Bakes):
    """The part of an EditableLLM that climbs a ladder."""

    method: Method
    fallback: Ladder | None
    _routes: dict[str, tuple[int, Mapping[str, str]]]
    _trying: dict[str, str]

    def _method_of(self, namespace: str, hits: Hits) -> Method:
        """What answers: the method that was found for the likeliest of the edits in scope, or the usual one."""
        if self.fallback is None:
            return self.method
        routes = self._known_routes(namespace)
        found = next((routes[one.edit.id] for one in hits.passed if one.edit.id in routes), None)
        return self.method if found is None else find_method(found)

    def _known_routes(self, namespace: str) -> Mapping[str, str]:
        """By which method each edit is answered, of those that have one of their own."""
        revision = self.memory.revision(namespace=namespace)
        if self._routes.get(namespace, (None,))[0] != revision:
            self._routes[namespace] = revision, folded(self.memory.history(namespace=namespace), {}, _after)
        return {**self._routes[namespace][1], **self._trying}


def climb(llm: Falls, failed: Verification, *, namespace: str, check: Callable[[], Verification]) -> Verification:
    """The verification by the first method of the ladder with which it passes; where there is none, as it was.

    Args:
        llm: Whose ladder.
        failed: What failed.
        namespace: Where the edit is in force.
        check: Verifies the edit again.
    """
    assert llm.fallback is not None  # only then is it called
    edit = failed.edit
    now = llm._known_routes(namespace).get(edit.id, llm.method.name)
    steps = [Step(now, False, _counted(failed))]
    for name in llm.fallback.above(now):
        if name == now:
            continue
        climbed = _shown if name in plugins("methods") else _written
        step, verification = climbed(llm, failed, name, namespace, check)
        steps.append(step)
        if verification is not None:
            return replace(verification, steps=tuple(steps))
    return replace(failed, steps=tuple(steps))


def _shown(
    llm: Falls, failed: Verification, name: str, namespace: str, check: Callable[[], Verification]
) -> tuple[Step, Verification | None]:
    """Another method of the memory; recorded where it passes."""
    edit = failed.edit
    llm._trying[edit.id] = name
    try:
        found = check()
    finally:
        del llm._trying[edit.id]
    if found.passed:
        llm.memory.record("fallback", [answered(edit.id, by=name)], namespace=namespace, reason=_counted(failed))
    return Step(name, found.passed, _counted(found)), found if found.passed else None


def _written(
    llm: Falls, failed: Verification, name: str, namespace: str, check: Callable[[], Verification]
) -> tuple[Step, Verification | None]:
    """A method that writes weights or slots; taken out again where it does not pass."""
    edit = failed.edit
    try:
        outcome = llm.bake(edit.id, method=name, namespace=namespace, reason=_counted(failed)).outcomes
    except (EditDiverged, UnsupportedModel) as error:
        return Step(name, False, error.what), None
    if not outcome or outcome[0].left is not None:
        return Step(name, False, (outcome[0].left if outcome else None) or "it is in the weights already"), None
    found = check()
    if not found.passed:
        llm.unbake(edit.id, namespace=namespace, reason=_counted(found))
    return Step(name, found.passed, _counted(found)), found if found.passed else None


def _after(now: Mapping[str, str], change: Change) -> Mapping[str, str]:
    found = {event.edit_id: str(event.data["by"]) for event in change.events if event.kind == "answered"}
    return {**now, **found} if found else now


def _counted(verification: Verification) -> str:
    """Its checks in words."""
    counts = verification.counts().items()
    return "; ".join(f"{passed} of {made} hold {kind}" for kind, (passed, made) in counts if made) or "nothing to ask"


def _require(llm: LLM, name: str) -> None:
    """Raise what says why the model cannot do this method, unless it can."""
    needed = _needs(name)
    if needed is not Capability.WEIGHTS:
        llm.require(needed, by=f"Method `{name}`")
        return
    from memedit.parametric.local_model import require_weights

    require_weights(llm, by=f"Method `{name}`")


def _needs(name: str) -> Capability:
    """What a method asks of the model.

    Raises:
        UnknownMethod: There is none of this name.
    """
    if name in plugins("methods"):
        return find_method(name).needs
    from memedit.parametric.methods import find_writer

    find_writer(name)
    return Capability.WEIGHTS
