"""The verbs of an EditableLLM that write edits into the weights of a local model, and take them out again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from memedit.editable.held import Held
from memedit.memory import Change

if TYPE_CHECKING:
    from memedit.parametric.bakery import Bakery
    from memedit.parametric.curve import Curve
    from memedit.parametric.delta import Delta
    from memedit.parametric.groups import Group
    from memedit.parametric.outcomes import Baking


class Bakes(Held):
    """What needs weights; torch is imported when one of these is first called."""

    _bakery: Bakery | None

    def _in_step(self, namespace: str) -> frozenset[str]:
        """Bring the weights in step with the ledger; gives the edits that memory need not answer."""
        return self._bakery.in_step(namespace) if self._bakery else frozenset()

    def bakery(self, /, **how: Any) -> Bakery:
        """What keeps the weights of a local model in step with the memory; made when it is first asked for.

        how: `layout=`, `text=` and `cache=` of a `Bakery`, of which a new one is made then.

        Raises:
            CapabilityMissing: It is no local model, or its weights are quantised.
            UnsupportedModel: Its family is not known.
        """
        from memedit.parametric.bakery import Bakery

        self._must_be_open()
        if self._bakery is None or how:
            self._bakery = Bakery(self.llm, self.memory, **how)
        return self._bakery

    def bake(self, /, ids: str | Sequence[str] | None = None, *, namespace: str | None = None, **how: Any) -> Baking:
        """Write edits into the model's weights, prove each, keep what held, leave the rest. See `Bakery.bake`.

        Args:
            ids: Of edits in force; None for all Facts that are not baked yet.
            namespace: Whose edits. What is written holds for every namespace of the model.
            how: `method="memit_seq"`, `strength=1.0` (or `"auto"`), `demand=`, `author=`, `reason=`, `told=`.
        """
        named = [ids] if isinstance(ids, str) else ids
        return self.bakery().bake(named, namespace=self._in(namespace), **how)

    def unbake(self, /, ids: str | Sequence[str] | None = None, *, namespace: str | None = None, **who: Any) -> Change:
        """Take edits out of the weights, all of them when None; memory answers them again. See `Bakery.unbake`."""
        named = [ids] if isinstance(ids, str) else ids
        return self.bakery().unbake(named, namespace=self._in(namespace), **who)

    def curve(
        self, /, delta: Delta, alphas: Sequence[float] | None = None, *, namespace: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> Curve:  # fmt: skip
        """What is gained and lost along θ₀ + αΔ: arrays over `alphas`, in tenths when left out. See `Bakery.curve`."""
        from memedit.parametric.curve import ALPHAS

        return self.bakery().curve(delta, alphas or ALPHAS, namespace=self._in(namespace), ids=ids)

    def baked(self, /, *, namespace: str | None = None) -> list[Group]:
        """What is in the weights, in the order in which it was written.

        What an earlier process baked is laid over the weights again.
        """
        return self.bakery().baked(self._in(namespace))
