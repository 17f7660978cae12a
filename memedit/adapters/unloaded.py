"""Models that are known without being loaded: what their files say of them decides how they would be asked."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from memedit.errors import CapabilityMissing
from memedit.llms import LLM, Capability, Kind, Likelihood, Mixer
from memedit.messages import Reply, Request
from memedit.plumbing.plugins import read_spec

LARGE = 2_500_000_000  # as in `causal`, which needs torch
LOCAL = frozenset(Capability)
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value in the head of a GGUF file, by its type."""
TEXT, ARRAY = 8, 9


class Unloaded(LLM):
    """Stands for a model that nothing was asked yet. It counts four characters as a token.

    Args:
        name: As the model itself would be named.
        kind: Its kind.
        capabilities: What it can do.
        load: Loads it when it is first asked something; None where requests are made and none is sent.
    """

    def __init__(
        self, name: str, kind: Kind, capabilities: frozenset[Capability], load: Callable[[], LLM] | None = None
    ) -> None:
        self.name, self.kind, self.capabilities = name, kind, capabilities
        self._load = load

    @cached_property
    def loaded(self) -> LLM:
        """The model itself.

        Raises:
            CapabilityMissing: It is not to be loaded.
        """
        if self._load is None:
            raise CapabilityMissing(f"The model `{self.name}` was not loaded, so it cannot answer.", do="load it")
        return self._load()

    @property
    def vocabulary(self) -> str | None:
        return None if self._load is None else self.loaded.vocabulary

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        return self.loaded.generate(requests)

    def stream(self, request: Request) -> Iterator[Reply]:
        yield from self.loaded.stream(request)

    def score(self, requests: Sequence[Request], continuations: Sequence[Sequence[str]]) -> list[list[Likelihood]]:
        return self.loaded.score(requests, continuations)

    def decode(self, requests: Sequence[Request], mixer: Mixer) -> Reply:
        return self.loaded.decode(requests, mixer)

    def decode_with(self, others: Sequence[LLM], requests: Sequence[Request], mixer: Mixer) -> Reply:
        return self.loaded.decode_with(others, requests, mixer)

    def spell(self, tokens: Sequence[int]) -> str:
        return self.loaded.spell(tokens)

    def close(self) -> None:
        if "loaded" in vars(self):
            self.loaded.close()


def unloaded(spec: str, load: Callable[[], LLM] | None = None) -> Unloaded | None:
    """The model of this name, not loaded; None where its kind cannot be told so.

    Args:
        spec: As `as_llm` takes it.
        load: Loads it when it is first asked something; left out where it is never.

    Raises:
        UnsupportedModel: An option behind the name has no value.
    """
    scheme, name, options = read_spec(spec)
    about = KNOWN.get(scheme)
    try:
        found = None if about is None else about(name)
    except (OSError, ValueError, KeyError, struct.error):  # whoever loads it says what is wrong with its files
        return None
    if found is None:
        return None
    return Unloaded(options.get("name") or found.name, options.get("kind") or found.kind, found.capabilities, load)


def _bundled(_: str) -> Unloaded:
    return Unloaded("SmolLM2-135M-Instruct", "instruct", LOCAL)


def _hosted(scheme: str) -> Callable[[str], Unloaded]:
    return lambda name: Unloaded(f"{scheme}:{name}", "chat", frozenset({Capability.TEXT}))


def _folder(name: str) -> Unloaded | None:
    """Of a folder as transformers writes it; a hub id is none."""
    folder = Path(name)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("is_encoder_decoder"):
        return None
    settings = folder / "tokenizer_config.json"
    told = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    templates = ("chat_template.jinja", "chat_template.json")
    templated = bool(told.get("chat_template")) or any((folder / file).is_file() for file in templates)
    quantised = "quantization_config" in config
    numbers = sum(_numbers(file) for file in folder.glob("*.safetensors"))
    if not numbers or (quantised and templated):
        return None
    kind: Kind = ("chat" if numbers >= LARGE else "instruct") if templated else "base"
    return Unloaded(f"hf:{folder.name}", kind, LOCAL - {Capability.WEIGHTS} if quantised else LOCAL)


def _numbers(file: Path) -> int:
    """How many numbers a .safetensors file holds, read from its head."""
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        head: Mapping[str, Any] = json.loads(opened.read(length))
    return sum(math.prod(one["shape"]) for name, one in head.items() if name != "__metadata__")


def _gguf(name: str) -> Unloaded | None:
    """Of a GGUF file, read from its head."""
    path = Path(name).expanduser()
    with path.open("rb") as opened:
        if opened.read(4) != b"GGUF":
            return None
        _, tensors, pairs = struct.unpack("<IQQ", opened.read(20))
        templated = False
        for _ in range(pairs):
            key, (kind,) = _text(opened), struct.unpack("<I", opened.read(4))
            filled = _skip(opened, kind)
            templated = templated or (key == b"tokenizer.chat_template" and filled)
        numbers = 0
        for _ in range(tensors):
            _text(opened)
            (axes,) = struct.unpack("<I", opened.read(4))
            numbers += math.prod(struct.unpack(f"<{axes}Q", opened.read(8 * axes)))
            opened.seek(12, 1)
    large: Kind = "chat" if numbers >= LARGE else "instruct"
    return Unloaded(f"gguf:{path.name}", large if templated else "base", LOCAL)


def _text(opened: BinaryIO) -> bytes:
    (length,) = struct.unpack("<Q", opened.read(8))
    return opened.read(length)


def _skip(opened: BinaryIO, kind: int) -> bool:
    """Read past a value; whether it holds anything."""
    if kind == TEXT:
        return bool(_text(opened))
    if kind != ARRAY:
        opened.seek(SIZES[kind], 1)
        return True
    of, count = struct.unpack("<IQ", opened.read(12))
    if of in SIZES:
        opened.seek(SIZES[of] * count, 1)
    else:
        for _ in range(count):
            _skip(opened, of)
    return bool(count)


KNOWN: dict[str, Callable[[str], Unloaded | None]] = {
    "bundled": _bundled,
    "anthropic": _hosted("anthropic"),
    "gguf": _gguf,
    "hf": _folder,
    "openai": _hosted("openai"),
}
