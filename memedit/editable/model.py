"""EditableLLM: any language model with an edit memory in front of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, Self, get_args

from memedit.editable.aio import AsyncEditable
from memedit.editable.asking import Asks
from memedit.editable.drive import Driver
from memedit.editable.editing import Edits
from memedit.editable.fallback import Fallback, Ladder
from memedit.edits import Demonstration
from memedit.errors import RequestRejected
from memedit.gate import Gate, Hits, as_gate
from memedit.llms import LLM, as_llm
from memedit.memory import EditMemory
from memedit.memory.checks import checked_namespace
from memedit.methods.base import Method, Recall, find_method
from memedit.methods.doubt import Doubt
from memedit.methods.doubt import default as default_doubt
from memedit.plumbing.aio import Closing
from memedit.plumbing.plugins import plugin_for

Drives = Callable[
    [Mapping[str, LLM], Callable[[str, Sequence[Recall]], list[Hits]], Callable[[str, str, int], list[Demonstration]]],
    Driver,
]
"""Makes the driver of a model: of its models, and of what looks queries and Demonstrations up."""


class EditableLLM(Closing, Asks, Edits):
    """A model that answers as before, except where an edit is in scope: there it answers as if the edit were true.

    `ainvoke`, `astream` and `abatch` ask asynchronously; `aio` has every other verb, awaitable. After `close`, or
    the end of a `with` or `async with`, verbs raise `AlreadyClosed`.

    Args:
        llm: Whatever `as_llm` takes: a name such as `bundled`, a function, a LangChain model, an OpenAI client, ….
        memory: An EditMemory, or the folder of one; None for one that ends with the process.
        namespace: Whose edits; every verb takes another.
        gate: Decides which edits are in scope: whatever `as_gate` takes; the default one when left out.
        method: How hits change the answer: a registered name, a configured Method, or `auto`.
        models: Further models that methods may name (`counterfactual`, `planner`, …).
        doubt: What is done with edits that may bear on a message and may not: `leave`, `show` or `ask`
            (`methods/doubt.py`). Left out, a chat model is shown them (a hosted one, a function, a large local one),
            and any other model is not. What was shown so stands in `answer.trace.in_doubt`.
        fallback: Methods to go on with where `verify` fails, the least invasive first; `auto` takes
            `memedit.editable.fallback.LADDER`. Left out, a failed verification changes nothing.

    Raises:
        EditRejected: `namespace` cannot name one.
        RequestRejected: `doubt` is none of the three.
        UnsupportedModel: `llm` cannot be wrapped.
        CapabilityMissing: The method needs what the model cannot do.
    """

    def __init__(
        self,
        llm: Any,
        memory: EditMemory | Any = None,
        *,
        namespace: str = "default",
        gate: Gate | str | None = None,
        method: str | Method = "auto",
        models: Mapping[str, Any] | None = None,
        doubt: Doubt | None = None,
        fallback: Fallback | None = None,
    ) -> None:
        self.llm: LLM = as_llm(llm)
        self.memory = memory if isinstance(memory, EditMemory) else EditMemory(memory)
        self.namespace = checked_namespace(namespace)
        self.gate = as_gate(gate)
        self.method = find_method(method)
        self.llm.require(self.method.needs, by=f"Method `{self.method.name}`")
        self.models: dict[str, LLM] = {"base": self.llm} | {
            name: as_llm(model) for name, model in (models or {}).items()
        }
        if doubt is not None and doubt not in get_args(Doubt):
            raise RequestRejected(f"doubt is {doubt!r}.", do=f"give one of {', '.join(get_args(Doubt))}")
        self.doubt: Doubt = doubt or default_doubt(self.llm.kind)
        self.fallback = None if fallback is None else Ladder.of(fallback, self.llm)
        self._routes, self._trying = {}, {}
        self._drives: Drives = Driver
        self._driver = Driver(self.models, self.recall, self.support)
        self._bakery = None
        given = (memory, llm, *(models or {}).values())
        held: list[EditMemory | LLM] = [self.memory, *self.models.values()]
        self._opened = tuple(one for one in held if not any(one is other for other in given))
        self._closed = False

    def __repr__(self) -> str:
        told = {"namespace": self.namespace, "method": self.method.name, "gate": self.gate.name, "doubt": self.doubt}
        return f"EditableLLM({self.llm.name!r}, {', '.join(f'{name}={value!r}' for name, value in told.items())})"

    @property
    def aio(self) -> AsyncEditable:
        """The verbs that block, awaitable: `await editable.aio.edit(…)`."""
        return AsyncEditable(self)

    def close(self) -> None:
        """Close what it opened itself: a memory that was not given as one, and clients of models that were not."""
        self._closed = True
        for one in self._opened:
            one.close()

    async def aclose(self) -> None:
        """As `close`, off the event loop."""
        self._closed = True
        for one in self._opened:
            await one.aclose()

    def __call__(self, input: Any, *, run_manager: Any = None, **options: Any) -> str:
        """The answer's text, so that the object is a plain function of a prompt (`prompt | editable | parser`).

        run_manager: Given by a library in whose chain it stands, which gets a step of its own kind to run instead.
        """
        if run_manager is not None and (step := plugin_for("steps", run_manager)):
            return step(self)  # type: ignore[no-any-return]
        return self.invoke(input, **options).text

    def around(self, llm: LLM) -> Self:
        """The same memory, gate, method and further models around another model."""
        other = self.driven(self._drives)
        other._bakery = None  # its weights are its own
        other.llm, other.models = llm, {**self.models, "base": llm}
        other._driver = other._drives(other.models, other.recall, other.support)
        return other

    def driven(self, drives: Drives) -> Self:
        """The same, its calls carried out by another driver, such as one that tells of them (`adapters/otel.py`)."""
        other = copy(self)
        other._opened, other._drives = (), drives
        other._driver = drives(other.models, other.recall, other.support)
        return other

    def __deepcopy__(self, known: dict[int, Any]) -> Self:
        return self.driven(self._drives)  # of the same memory and model: what is copied deeply holds no second one
