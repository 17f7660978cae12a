"""The verbs of an EditableLLM that ask: for an answer, a likelihood, a label, an explanation, a verification."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from memedit.answers import Answer, Classified, Explanation, Scored
from memedit.editable.classify import classify
from memedit.editable.drive import Driver, Job
from memedit.editable.fallback import Falls, climb
from memedit.editable.look_up import looked_up
from memedit.editable.scoring import score
from memedit.editable.streaming import AnswerStream
from memedit.edits import AnyEdit, Demonstration
from memedit.errors import MemeditError, RequestRejected
from memedit.gate import Gate, Hits, read_conversation
from memedit.gate.occlusion import spoken
from memedit.llms import LLM, Capability
from memedit.messages import Reply, Request, as_request
from memedit.methods.base import Decode, Final, Method, Recall, Run, Steps, Task
from memedit.methods.behave import governed
from memedit.methods.doubt import Doubt, asked_about, in_doubt, shown_too
from memedit.methods.secrets import watched
from memedit.trace import Trace
from memedit.verify import Verification, verify


class Asks(Falls):
    """What a model is asked, its memory in front of it."""

    gate: Gate
    models: dict[str, LLM]
    doubt: Doubt
    _driver: Driver

    def invoke(self, input: Any, *, namespace: str | None = None, **options: Any) -> Answer:
        """The answer to a string, a list of chat messages, or a LangChain prompt value.

        Args:
            options: Passed on to the model as they are.

        Raises:
            RequestRejected: The input is none of these.
            MemeditError: Memory or method failed; what the model itself raises is passed through unchanged.
        """
        return self._driver.run([self._job(input, namespace, options)])[0]

    async def ainvoke(self, input: Any, *, namespace: str | None = None, **options: Any) -> Answer:
        """As `invoke`, asynchronously."""
        return (await self._driver.arun([self._job(input, namespace, options)]))[0]

    def stream(self, input: Any, *, namespace: str | None = None, **options: Any) -> AnswerStream:
        """The answer's text in pieces; the stream's `answer` is the whole Answer once it has ended."""
        return AnswerStream(self._driver, self._job(input, namespace, options))

    def astream(self, input: Any, *, namespace: str | None = None, **options: Any) -> AnswerStream:
        """As `stream`, for `async for`."""
        return AnswerStream(self._driver, self._job(input, namespace, options))

    def batch(
        self, inputs: Iterable[Any], *, namespace: str | Sequence[str] | None = None, return_exceptions: bool = False,
        **options: Any,
    ) -> list[Answer]:  # fmt: skip
        """The answers to many inputs, their look-ups and model calls made in batches.

        Args:
            inputs: What to ask.
            namespace: Whose edits; a list names one for each input.
            return_exceptions: Whether what an input raises stands in the place of its answer. The others are answered
                all the same; calls that were made in one batch with it are made again, one by one.
            options: Passed on to the model as they are.
        """
        return self._driver.run(self._jobs(inputs, namespace, options, return_exceptions), keep=return_exceptions)

    async def abatch(
        self, inputs: Iterable[Any], *, namespace: str | Sequence[str] | None = None, return_exceptions: bool = False,
        **options: Any,
    ) -> list[Answer]:  # fmt: skip
        """As `batch`, asynchronously."""
        jobs = self._jobs(inputs, namespace, options, return_exceptions)
        return await self._driver.arun(jobs, keep=return_exceptions)

    def score(
        self, /, inputs: Iterable[Any], continuations: Sequence[Sequence[str]], *,
        namespace: str | Sequence[str] | None = None, **options: Any,
    ) -> list[Scored]:  # fmt: skip
        """How likely the edited model finds answers: the request that would be sent last, scored instead of answered.

        Args:
            inputs: What is asked.
            continuations: For each input, the answers to score; a leading blank counts where the model continues
                plain text.
            namespace: Whose edits; a list names one for each input.
            options: Passed on to the model as they are.

        Raises:
            CapabilityMissing: The model gives no log-probabilities.
        """
        self.llm.require(Capability.LOGPROBS, by="Scoring")
        return score(self._driver, self._jobs(inputs, namespace, options), continuations)

    def classify(
        self, /, text: str, labels: Sequence[str], *, namespace: str | None = None, prompt: str | None = None,
        **options: Any,
    ) -> Classified:  # fmt: skip
        """Which label a text has, with the patches in scope of the text applied (Murty et al. 2022).

        With log-probabilities, p(label) = g · p_patch(label) + (1 - g) · p_base(label), g being the probability that
        the condition of the most applicable patch holds; patches the gate does not let through change nothing at all.
        p_base has what the model thinks of the labels behind no text taken off. Without, the model chooses among the
        labels, and a label that a patch states is taken as it is.

        Args:
            text: What is classified. The gate looks at it alone, not at the prompt.
            labels: Two or more.
            namespace: Whose edits; the object's own when left out.
            prompt: How the model is asked: `{text}` once, `{labels}` where wanted, ending where the label stands.
            options: Passed on to a model without log-probabilities.

        Raises:
            RequestRejected: Text, labels or prompt cannot be used.
            ProviderError: The model names none of the labels, asked twice.
        """
        return self.classify_many([text], labels, namespace=namespace, prompt=prompt, **options)[0]

    def classify_many(
        self, /, texts: Iterable[str], labels: Sequence[str], *, namespace: str | Sequence[str] | None = None,
        prompt: str | None = None, **options: Any,
    ) -> list[Classified]:  # fmt: skip
        """As `classify`, for many texts, their look-ups and model calls made in batches.

        namespace: Whose edits; a list names one for each text.
        """
        where = self._in(namespace) if namespace is None or isinstance(namespace, str) else namespace
        return classify(self._driver, self.method, texts, labels, namespace=where, prompt=prompt, options=options)

    def explain(
        self, /, input: Any, *, namespace: str | None = None, by_word: bool = False, **options: Any
    ) -> Explanation:
        """What would be looked up, what the gate says and why, and the exact request that would be sent.

        The model is not asked.

        by_word: Whether message and edit are read again without each word, to name those that spoke for and against the
            likeliest edits (`Explanation.spoke`).

        Raises:
            MissingExtra: `by_word` is wanted, and what reads is not installed.
        """
        request = as_request(input, options)
        job = self._job(request, namespace, {})
        first = self._driver.first_call(job)
        sent = first.requests[0] if isinstance(first, Decode) else getattr(first, "request", None)
        said = read_conversation(request.turns)
        spoke = spoken(job.trace.lookups[0].verdicts, said.whole) if by_word else ()
        return Explanation(said, job.trace, sent, sent is not None and sent.untouched, spoke)

    def ask_base(self, /, inputs: Iterable[Any], **options: Any) -> list[Reply]:
        """What the wrapped model alone answers, without the memory: for comparing before and after."""
        self._must_be_open()
        return self.llm.generate([as_request(one, options) for one in inputs])

    def verify(
        self, /, edit: str | AnyEdit, *, namespace: str | None = None, max_tokens: int = 32, system: str | None = None,
        **options: Any,
    ) -> Verification:  # fmt: skip
        """Run an edit's probes (or ones made from its template) before and after, in scope and out of scope.

        Where a check fails and a `fallback` is set, the methods of the ladder are tried one after the other, and the
        first by which all checks pass answers the edit from then on; `Verification.steps` tells of each.

        Args:
            edit: An edit in force, or its id.
            namespace: Where it is in force; the object's own when left out.
            max_tokens: Of each answer.
            system: A system message in front of each probe.
            options: Passed on to the model.

        Raises:
            UnknownEdit: It is not in force.
        """
        where = self._in(namespace)
        given: Any = edit  # or what has its id, such as a receipt
        known = self.memory.get(getattr(given, "id", given), namespace=where)
        how = {"max_tokens": max_tokens, "system": system, **options}
        found = verify(self, [known], namespace=where, **how)[0]
        if found.passed or self.fallback is None:
            return found
        return climb(self, found, namespace=where, check=lambda: verify(self, [known], namespace=where, **how)[0])

    # ---- how it is done -------------------------------------------------------------------------------------------

    def _jobs(
        self, inputs: Iterable[Any], namespace: str | Sequence[str] | None, options: Any, keep: bool = False
    ) -> list[Any]:
        """A job an input; with `keep`, an exception in the place of one that cannot be made."""
        if isinstance(inputs, (str, Mapping, Request)):
            raise RequestRejected("Several inputs were expected, not one.", do="give a list of them, or use `invoke`")
        asked = list(inputs)
        spaces = [namespace] * len(asked) if namespace is None or isinstance(namespace, str) else namespace
        if len(asked) != len(spaces):
            raise RequestRejected(f"{len(asked)} inputs have {len(spaces)} namespaces.", do="name one for each")

        def made(input: Any, where: str | None) -> Job | MemeditError:
            try:
                return self._job(input, where, options)
            except MemeditError as error:
                if not keep:
                    raise
                return error

        return [made(one, where) for one, where in zip(asked, spaces, strict=True)]

    def _job(self, input: Any, namespace: str | None, options: Mapping[str, Any]) -> Job:
        request = as_request(input, options)
        trace = Trace(self._in(namespace), self.method.name, turns=request.turns)
        return Job(self._steps(request, trace), trace)

    def _steps(self, request: Request, trace: Trace) -> Steps:
        said, text = read_conversation(request.turns), _last_text(request)
        query = text if self.method.whole_text else said.query
        hits: Hits = yield replace(Recall.of(said), query=query)
        if text != query and any(one.edit.kind == "patch" for one in hits.verdicts):
            hits = hits.but_for("patch", (yield Recall(text, kinds=("patch",))))
        notes: tuple[str, ...] = ()
        if self.doubt == "ask":
            hits, notes = yield from asked_about(request, hits)
        maybe = in_doubt(hits) if self.doubt == "show" else ()
        method = self._method_of(trace.namespace, hits)
        trace.method = method.name
        end = yield from watched(self._answering(method, maybe))(Task(request, hits, self.models))
        return replace(end, notes=(*notes, *end.notes))

    def _answering(self, method: Method, maybe: Sequence[AnyEdit]) -> Run:
        """The method, where anything is in scope of the request, with what may bear on it shown too."""

        def run(task: Task) -> Steps:
            end = (yield from method.run(task)) if task.hits or method.always else Final(task.request)
            return shown_too(governed(end, task.hits, task.kind), maybe, task.kind)

        return run

    def recall(self, namespace: str, asked: Sequence[Recall]) -> list[Hits]:
        """What the memory holds for each query, with the gate's verdicts: one `Hits` a query."""
        where = self._in(namespace)
        known = self._in_step(where)
        found = looked_up(self.memory, self.gate, where, asked)
        return [hits.without(known) for hits in found] if known else found

    def support(self, namespace: str, query: str, k: int) -> list[Demonstration]:
        """The `k` Demonstrations nearest to a text, nearest first; they are examples, and no gate is asked."""
        found = self.memory.recall(query, k=k, namespace=self._in(namespace), kinds=("demonstration",))
        return [one.edit for one in found.candidates if isinstance(one.edit, Demonstration)][:k]


def _last_text(request: Request) -> str:
    """The text of the user's last message; empty where there is none."""
    return next((text for role, text in reversed(request.turns) if role == "user"), "")
