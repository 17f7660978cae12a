"""An EditableLLM as a model of the LM Evaluation Harness (lm-eval; Gao et al. 2024, doi:10.5281/zenodo.10256836).

As an object, `lm_eval.simple_evaluate(model=EditableLM(editable), tasks=[…])`. By name, with all of lm-eval's options,

    python -m memedit.adapters.lm_eval --model memedit --model_args model=bundled,memory=.memedit --tasks …

which is the command `lm_eval` after an import of this file: only then does lm-eval 0.4.13 know a model that is not its
own. Releases that look up `lm_eval.models` entry points need no more than `lm_eval --model memedit …`.

A context is continued as it is; with `--apply_chat_template` it is a conversation, which the wrapped model puts into
its own template. Do not keep answers with `--use_cache` beyond an edit: lm-eval looks them up by the question alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, pairwise, starmap
from operator import itemgetter
from typing import Any

from memedit import __version__
from memedit.adapters._open import open_editable
from memedit.editable import EditableLLM
from memedit.errors import CapabilityMissing, MissingExtra, RequestRejected
from memedit.messages import Message, Request, as_request

try:
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model
    from lm_eval.models.utils import normalize_gen_kwargs, postprocess_generated_text
    from tqdm import tqdm
except ModuleNotFoundError as missing:
    raise MissingExtra("lm-eval", package=missing.name or "lm_eval") from missing

BATCH = 64  # also what `auto` means: how much fits into memory is for the wrapped model to know
START = "\n"  # stands for an empty context: not every model has a token that begins a text


class Chat(str):
    """A conversation where lm-eval carries text; the text is its JSON."""

    messages: list[dict[str, str]]

    @classmethod
    def of(cls, messages: list[dict[str, str]]) -> Chat:
        chat = cls(json.dumps(messages, ensure_ascii=False))
        chat.messages = messages
        return chat


@register_model("memedit")
class EditableLM(LM):  # type: ignore[misc]
    """A model for `lm_eval.simple_evaluate`.

    Args:
        model: An EditableLLM, or whatever `as_llm` takes.
        batch_size: Requests made together (each choice is one), or `auto`; a local model makes its own batches of them.
        max_batch_size: Not used, as is `device`, which lm-eval's command always names: the wrapped model sees to both.
        device: Not used.
        max_gen_toks: Tokens of an answer where the task does not say.
        window: Characters that `loglikelihood_rolling` scores at a time.
        how: Where `model` is no EditableLLM: `memory` (its folder), `namespace`, `method`, `embedder`, and what the
            model's loader takes.

    Raises:
        LedgerError: A memory is named that holds nothing in this namespace.
    """

    tokenizer_name = "memedit"  # names lm-eval's cache of contexts, which hold messages and not a model's tokens

    def __init__(
        self, model: Any = "bundled", *, batch_size: int | str = BATCH, max_batch_size: int | None = None,
        device: str | None = None, max_gen_toks: int = 256, window: int = 2_000, **how: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        if isinstance(model, EditableLLM) and how:
            raise TypeError(f"an EditableLLM brings its own {', '.join(how)}")
        self.editable = model if isinstance(model, EditableLLM) else open_editable(model, **how)
        self.batch_size = BATCH if str(batch_size).startswith("auto") else int(batch_size)
        self._max_gen_toks = max_gen_toks
        self._window = window

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """For each (context, continuation) its log-probability, and whether greedy decoding would give it."""
        return self._in_batches(
            "loglikelihood", requests, lambda pairs: self._likelihoods(starmap(_parted, pairs)), disable_tqdm
        )

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """The log-probability of each text, all of it, window by window.

        A window is scored behind the one before it, which is also what is looked up in the memory; the first stands
        behind a line break, where nothing is looked up.
        """
        return self._in_batches("loglikelihood_rolling", requests, self._rolling, disable_tqdm)

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """The answer to each (context, generation options), ending before any of the strings in `until`.

        Options that lm-eval gives no meaning to are passed on to the model.
        """
        return self._in_batches("generate_until", requests, self._answers, disable_tqdm)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> Chat:
        """The conversation itself.

        Raises:
            RequestRejected: The task begins the model's answer (`gen_prefix`), which chat APIs do not offer.
        """
        if not add_generation_prompt:
            raise RequestRejected(
                "This task begins the answer of the model (`gen_prefix`).", do="run it without --apply_chat_template"
            )
        return Chat.of(chat_history)

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval writes down with the results: which model, and the state of which memory."""
        editable = self.editable
        return {
            "memedit": {
                "version": __version__,
                "model": editable.llm.name,
                "namespace": editable.namespace,
                "revision": editable.memory.revision(namespace=editable.namespace),
                "method": editable.method.name,
            }
        }

    # ---- how it is done -------------------------------------------------------------------------------------------

    def _in_batches(
        self, kind: str, requests: Sequence[Any], answer: Callable[[list[Any]], list[Any]], quiet: bool
    ) -> list[Any]:
        found: list[Any] = []
        for start in tqdm(range(0, len(requests), self.batch_size), desc=kind, disable=quiet):
            batch = [request.args for request in requests[start : start + self.batch_size]]
            results = answer(batch)
            for args, result in zip(batch, results, strict=True):
                self.cache_hook.add_partial(kind, args, result)
            found += results
        return found

    def _likelihoods(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[float, bool]]:
        # The choices of one question follow each other, so that it is looked up once.
        asked = [(context, [ending for _, ending in group]) for context, group in groupby(pairs, key=itemgetter(0))]
        scored = self.editable.score([_request(context, {}) for context, _ in asked], [endings for _, endings in asked])
        rows = [one.likelihoods for one in scored]
        if None in rows:
            raise CapabilityMissing(
                f"Method `{self.editable.method.name}` answers without a last call of the model, so there is nothing "
                "to score.",
                do="take tasks that generate their answers (generate_until), or another method",
            )
        return [(found.logprob, all(found.matched)) for row in rows for found in row or ()]

    def _rolling(self, texts: Iterable[tuple[str]]) -> list[float]:
        windows = [_windows(text, self._window) for (text,) in texts]
        scored = iter(self._likelihoods(pair for pieces in windows for pair in pairwise(["", *pieces])))
        return [sum((next(scored)[0] for _ in pieces), 0.0) for pieces in windows]

    def _answers(self, asked: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
        requests = [_request(context, _options(wanted, self._max_gen_toks)) for context, wanted in asked]
        return [
            postprocess_generated_text(answer.text, request.options.get("stop"), None)
            for request, answer in zip(requests, self.editable.batch(requests), strict=True)
        ]


def _request(context: str, options: Mapping[str, Any]) -> Request:
    # Not by its type, which is another one for contexts that lm-eval kept from an earlier run.
    if messages := getattr(context, "messages", None):
        return as_request(messages, options)
    text = context or START
    return Request((Message("user", text),), options, "raw", source=text)


def _parted(context: str, ending: str) -> tuple[str, str]:
    """A context and its continuation, to which the blanks between them belong, as in lm-eval's own models."""
    if hasattr(context, "messages"):
        return context, ending
    front = context.rstrip()
    return front, context[len(front) :] + ending


def _windows(text: str, size: int) -> list[str]:
    """A text in pieces of at most `size` characters, cut in front of a blank where there is one."""
    return re.findall(rf"(?s).{{1,{size}}}(?=\s|\Z)|.{{1,{size}}}", text)


def _options(wanted: Mapping[str, Any], max_gen_toks: int) -> dict[str, Any]:
    """lm-eval's generation options under the names they have in OpenAI's API."""
    options = dict(normalize_gen_kwargs(dict(wanted), max_gen_toks))
    samples, stop = options.pop("do_sample"), [text for text in options.pop("until") if text]
    options["max_tokens"] = options.pop("max_gen_toks")
    options["temperature"] = options.get("temperature", 1.0) if samples else 0.0
    return options | ({"stop": stop} if stop else {})


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
