"""Local causal language models through transformers. What encoder-decoders do otherwise is in `seq2seq`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from memedit.errors import CapabilityMissing, MissingExtra, RequestRejected, RequestTooLong
from memedit.llms import LLM, Capability, Kind, Likelihood, Mixer
from memedit.messages import Reply, Request

try:
    import torch
    from safetensors import SafetensorError
    from transformers import PreTrainedModel, StoppingCriteriaList, TextIteratorStreamer

    from memedit.adapters._calls import with_calls
    from memedit.adapters._chat import ChatTemplate, text_alone
    from memedit.adapters._contexts import Contexts, likelihood, positions
    from memedit.adapters._generating import Abandoned, seeded, streamed
    from memedit.adapters._loading import is_quantised
    from memedit.adapters._mixing import mixed
    from memedit.adapters._options import Options, read_options, refuse
    from memedit.adapters._prefix import PrefixCache
    from memedit.adapters._stops import cut
except ModuleNotFoundError as missing:
    raise MissingExtra("local", package=missing.name or "transformers") from missing

LARGE = 2_500_000_000
"""Parameters from which a model with a chat template is taken for a capable one: it reads notes as hosted ones do."""


class LocalLLM(LLM):
    """A transformers causal language model on this machine. Greedy unless sampling is asked for (`_options`).

    One request is answered at a time. Where nobody waits for an answer any more, it ends at the next token.

    Args:
        model: The loaded model.
        tokenizer: Its tokenizer. With a chat template, requests go through it; special tokens in message text are
            encoded as plain text.
        name: Shown in traces.
        kind: `base` without a chat template, when left out; with one `chat` from `LARGE` parameters, else `instruct`.
        batch_size: Requests in one forward pass.
    """

    capabilities = frozenset({Capability.TEXT, Capability.LOGPROBS, Capability.WEIGHTS})

    def __init__(
        self, model: PreTrainedModel, tokenizer: Any, *, name: str | None = None, kind: Kind | None = None,
        batch_size: int = 16,
    ) -> None:  # fmt: skip
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name or str(model.config._name_or_path)
        self.kind = kind or _kind(model, tokenizer)
        self._batch_size = batch_size
        self._prefix = PrefixCache(model)
        self.lock = threading.Lock()
        self._template = ChatTemplate(tokenizer, self.name)
        self._context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self.quantised = is_quantised(model)
        if self.quantised:
            self.capabilities = self.capabilities - {Capability.WEIGHTS}
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token

    @property
    def device(self) -> torch.device:
        """Where its inputs go."""
        device: torch.device = self.model.device
        # What is offloaded fetches its inputs itself.
        return torch.device("cpu") if device.type == "meta" else device

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        return self._answers(requests, threading.Event())

    async def agenerate(self, requests: Sequence[Request]) -> list[Reply]:
        abandoned = threading.Event()
        try:
            return await asyncio.to_thread(self._answers, requests, abandoned)
        finally:
            abandoned.set()

    def _answers(self, requests: Sequence[Request], abandoned: threading.Event) -> list[Reply]:
        options = [read_options(request) for request in requests]
        tokens = [self.encode(request) for request in requests]
        # What shares no pass: a seed counts for one request, and so does the end of the context.
        alone = {
            place
            for place, (row, one) in enumerate(zip(tokens, options, strict=True))
            if self._room(len(row), one) < one.max_new_tokens or one.alone
        }
        replies: dict[int, Reply] = {}
        # Requests of like options and length share a pass, so that little of it is padding.
        order = sorted(range(len(requests)), key=lambda place: (repr(options[place]), len(tokens[place])))
        for start in range(0, len(order), self._batch_size):
            places = order[start : start + self._batch_size]
            same = [place for place in places if options[place] == options[places[0]] and place not in alone]
            for group in [same, *([place] for place in places if place not in same)]:
                if group:
                    rows = [tokens[place] for place in group]
                    made = self._generate(rows, options[group[0]], abandoned)
                    replies |= zip(group, made, strict=True)
        ordered = ((request, replies[place]) for place, request in enumerate(requests))
        return [_stripped(reply) if request.form == "raw" else reply for request, reply in ordered]

    def stream(self, request: Request) -> Iterator[Reply]:
        options = read_options(request)
        refuse(request, ("n",), unless=1, why="A stream has one answer, and `{}` asks for more.", do="call invoke")
        if options.tools:
            return (yield from self.generate([request]))  # what is a call is known when it has ended
        tokens = self.encode(request)
        (ids, mask), most = self.padded([tokens]), self._room(len(tokens), options)
        out = yield from streamed(
            lambda streamer, abandoned: self._run(ids, mask, options, most, abandoned, streamer=streamer),
            TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True),
            options.stop,
            indented=request.form != "raw",
        )
        whole = self._reply(out[0, self._read(ids) :].tolist(), tokens, options, most)
        yield Reply("", finish_reason=whole.finish_reason, usage=whole.usage)

    def score(self, requests: Sequence[Request], continuations: Sequence[Sequence[str]]) -> list[list[Likelihood]]:
        for request in requests:
            read_options(request)  # refuses what is not known; none of them changes a likelihood
        contexts = [self.encode(request) for request in requests]
        pairs = [
            (context, self._plain(text))
            for context, texts in zip(contexts, continuations, strict=True)
            for text in texts
        ]
        if not all(context and ending for context, ending in pairs):
            raise RequestRejected(
                "An empty continuation has no probability, nor has one behind an empty request.",
                do="score text of one token or more, behind text of one token or more",
            )
        for context, ending in pairs:
            self._check_length(len(context), len(ending))
        order = sorted(range(len(pairs)), key=lambda place: sum(map(len, pairs[place])))
        scored: dict[int, Likelihood] = {}
        for start in range(0, len(order), self._batch_size):
            places = order[start : start + self._batch_size]
            scored |= zip(places, self._score([pairs[place] for place in places]), strict=True)
        found = iter(scored[place] for place in range(len(pairs)))
        return [[next(found) for _ in texts] for texts in continuations]

    def decode(self, requests: Sequence[Request], mixer: Mixer) -> Reply:
        rows = [self.encode(request) for request in requests]
        with self.lock:
            prefix = self._prefix.shared(rows)
            cache = self._prefix.cache(prefix, rows=len(rows)) if prefix else None
        ids, mask = self.padded([row[len(prefix) :] for row in rows])
        contexts = self._contexts(ids, mask, cache, len(prefix))
        return mixed([self], [contexts], self._most([(self, row) for row in rows], requests[0]), requests[0], mixer)

    def decode_with(self, others: Sequence[LLM], requests: Sequence[Request], mixer: Mixer) -> Reply:
        models = [self, *(one for one in others if isinstance(one, LocalLLM) and one.vocabulary == self.vocabulary)]
        if len(models) != len(requests):
            names = ", ".join(f"`{one.name}`" for one in (self, *others))
            raise CapabilityMissing(
                f"{names} are not local models of one vocabulary for {len(requests)} contexts.",
                do="mix models that share a tokenizer, or choose a method that does not mix",
            )
        read = [(one, one.encode(request)) for one, request in zip(models, requests, strict=True)]
        contexts = [one._contexts(*one.padded([row])) for one, row in read]
        return mixed(models, contexts, self._most(read, requests[0]), requests[0], mixer)

    @staticmethod
    def _most(read: Sequence[tuple[LocalLLM, list[int]]], first: Request) -> int:
        """How many tokens may be written behind what each model read."""
        options = read_options(first)
        return min(one._room(len(row), options) for one, row in read)

    def _contexts(self, ids: torch.Tensor, mask: torch.Tensor, cache: Any = None, begun: int = 0) -> Contexts:
        return Contexts(self.model, ids, mask, cache, begun)

    @cached_property
    def vocabulary(self) -> str:
        words = sorted(self.tokenizer.get_vocab().items())
        return sha256(repr(words).encode()).hexdigest()[:16]

    def forget_prefix(self) -> None:
        """Forget what is kept between calls, because the weights changed."""
        self._prefix.clear()

    def save(self, folder: Path) -> None:
        """Write model and tokenizer as a folder that transformers opens.

        Raises:
            OSError: It cannot be written there.
        """
        if getattr(self.model, "hf_quantizer", None) is not None:  # a GGUF file, which was dequantised when it was read
            self.model.hf_quantizer = None
            self.model.config.quantization_config = None
        try:
            self.model.save_pretrained(str(folder))
        except SafetensorError as error:  # of a full disk, too
            raise OSError(str(error)) from error
        self.tokenizer.save_pretrained(str(folder))

    def count_tokens(self, text: str) -> int:
        return len(self._plain(text))

    def encode(self, request: Request) -> list[int]:
        """The tokens that are sent for a request."""
        options = read_options(request)
        if request.form == "raw":
            return self._plain(request.text, begin=True)
        if self.kind in ("base", "counterfactual"):
            refuse(
                request, ("tools", "chat_template_kwargs"),
                why=f"`{self.name}` continues plain text, and `{{}}` is for chat templates.", do="leave it out",
            )  # fmt: skip
            for message in request.messages:
                text_alone(message, self.name)
            return self._plain(request.text, begin=True)
        return self._template.encode(request, options.tools, options.template)

    def _plain(self, text: str, *, begin: bool = False) -> list[int]:
        """Tokens of a text in which no special token can be spelled out."""
        tokens = list(self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
        first = self.tokenizer.bos_token_id
        begins = begin and first is not None and self.tokenizer("x")["input_ids"][0] == first
        return [first, *tokens] if begins else tokens

    @property
    def ends(self) -> set[int]:
        """The tokens that end a text."""
        ends = self.model.generation_config.eos_token_id
        listed = ends if isinstance(ends, list) else [ends]
        return {token for token in (*listed, self.tokenizer.eos_token_id) if token is not None}

    def spell(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True))

    def padded(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Left-padded ids and mask, (rows, longest)."""
        longest = max(len(row) for row in rows)
        pad = self.tokenizer.pad_token_id
        ids = [[pad] * (longest - len(row)) + list(row) for row in rows]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        return torch.tensor(ids, device=self.device), torch.tensor(mask, device=self.device)

    def _room(self, read: int, options: Options) -> int:
        """How many tokens may be written behind so many, of those that were asked for."""
        self._check_length(read, 1)
        return options.max_new_tokens if self._context is None else min(options.max_new_tokens, self._context - read)

    def _check_length(self, read: int, written: int) -> None:
        if self._context is not None and read + written > self._context:
            raise self._too_long(read, self._context)

    def _too_long(self, read: int, context: int) -> RequestTooLong:
        return RequestTooLong(
            f"The request has {read} tokens, and `{self.name}` reads {context} with its answer.",
            tokens=read,
            context=context,
            do="shorten the conversation, or take a model of a longer context",
        )

    def _score(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[Likelihood]:
        """Of (context, ending) token pairs, in one pass."""
        rows = [context + ending for context, ending in pairs]
        with self.lock, torch.inference_mode():
            longest = max(len(ending) for _, ending in pairs)
            prefix = self._prefix.shared([row[: len(row) - longest] or row[:1] for row in rows])
            ids, mask = self.padded([row[len(prefix) :] for row in rows])
            mask = torch.cat([mask.new_ones(len(rows), len(prefix)), mask], dim=1)
            logits = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions(mask)[:, len(prefix) :],
                past_key_values=self._prefix.cache(prefix, rows=len(rows)) if prefix else None,
                logits_to_keep=longest + 1,
            ).logits.float()
        return [likelihood(row[-len(ending) - 1 : -1], ending) for row, (_, ending) in zip(logits, pairs, strict=True)]

    def _generate(self, rows: Sequence[Sequence[int]], options: Options, abandoned: threading.Event) -> list[Reply]:
        """Answers to requests of the same options, in one pass."""
        with self.lock:
            prefix = self._prefix.shared(rows)
        ids, mask = self.padded([row[len(prefix) :] for row in rows])
        head = torch.tensor([prefix] * len(rows), dtype=ids.dtype, device=ids.device).reshape(len(rows), -1)
        ids, mask = torch.cat([head, ids], dim=1), torch.cat([torch.ones_like(head), mask], dim=1)
        most = min(self._room(len(row), options) for row in rows)
        out = self._run(ids, mask, options, most, abandoned, prefix=prefix)[:, self._read(ids) :].tolist()
        replies = []
        for place, row in enumerate(rows):
            answers = [self._reply(one, row, options, most) for one in out[place * options.n :][: options.n]]
            texts = tuple(answer.text for answer in answers)
            usage = {"input": len(row), "output": sum(answer.usage["output"] for answer in answers)}
            replies.append(replace(answers[0], usage=usage, raw=texts if options.n > 1 else None))
        return replies

    def _reply(self, row: Sequence[int], read: Sequence[int], options: Options, most: int) -> Reply:
        """The reply that these tokens are; of at most so many, behind those that were read."""
        written = [token for token in row if token not in self.ends and token != self.tokenizer.pad_token_id]
        text, stopped = cut(self.spell(written), options.stop)
        reason = "stop" if stopped or len(written) < most else "length"
        reply = Reply(text, (), reason, {"input": len(read), "output": len(written)})
        return with_calls(reply, options.tools, self.tokenizer, written, read) if options.tools else reply

    def _read(self, ids: torch.Tensor) -> int:
        """How many tokens of what is generated were there before."""
        return ids.shape[1]

    def _run(
        self, ids: torch.Tensor, mask: torch.Tensor, options: Options, most: int, abandoned: threading.Event, *,
        prefix: Sequence[int] = (), streamer: Any = None,
    ) -> torch.Tensor:  # fmt: skip
        with self.lock, torch.inference_mode(), seeded(options.seed, self.device):
            if abandoned.is_set():
                return ids
            return self.model.generate(  # type: ignore[no-any-return]
                input_ids=ids,
                attention_mask=mask,
                past_key_values=self._prefix.cache(prefix, rows=len(ids)) if len(prefix) else None,
                max_new_tokens=most,
                pad_token_id=self.tokenizer.pad_token_id,
                eos_token_id=sorted(self.ends),
                streamer=streamer,
                stopping_criteria=StoppingCriteriaList([Abandoned(abandoned)]),
                **options.for_transformers(),
                **({"stop_strings": list(options.stop), "tokenizer": self.tokenizer} if options.stop else {}),
            )


def _kind(model: PreTrainedModel, tokenizer: Any) -> Kind:
    templated: Kind = "chat" if model.num_parameters() >= LARGE else "instruct"
    return templated if tokenizer.chat_template else "base"


def _stripped(reply: Reply) -> Reply:
    """A continuation without the blanks that part it from its text, which are told beside it."""
    raw = tuple(text.lstrip() for text in reply.raw) if reply.raw else None
    text = reply.text.lstrip()
    return replace(reply, text=text, raw=raw, lead=reply.text[: len(reply.text) - len(text)])
