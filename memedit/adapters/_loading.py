"""Loading a local model: what transformers is told of it, and where it is put."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from memedit.errors import MissingExtra, UnsupportedModel

OF_FILES = ("revision", "trust_remote_code", "token", "cache_dir", "local_files_only", "subfolder")
"""Options of transformers that the tokenizer and the configuration need as well as the model."""
OF_MODEL = (
    "dtype", "device_map", "quantization_config", "attn_implementation", "max_memory", "offload_folder", "variant",
    "use_safetensors",
)  # fmt: skip
OF_ADAPTER = ("name", "kind", "batch_size")
"""Options of `LocalLLM` itself."""
ONE_AT_A_TIME = threading.Lock()
LOADER = ("device", "torch_dtype", *OF_MODEL, *OF_FILES, *OF_ADAPTER)


def check_known(options: Iterable[str], known: Iterable[str]) -> None:
    """Raise `UnsupportedModel` unless all options are known, so that none is lost without a word."""
    known = list(known)
    for name in options:
        if name not in known:
            raise UnsupportedModel(f"A local model is loaded with no option `{name}`.", do=f"use {', '.join(known)}")


def load_files(folder: str, options: Mapping[str, Any], files: Mapping[str, str]) -> tuple[Any, Any]:
    """A model and its tokenizer.

    Args:
        folder: A folder, or a hub id.
        options: Of `LOADER`, but for those of the adapter.
        files: The GGUF file, where it is one.

    Raises:
        UnsupportedModel: transformers cannot load a language model from there, or not so.
        MissingExtra: A package that it needs is not installed.
    """
    shared = {name: options[name] for name in OF_FILES if name in options}
    if isinstance(shared.get("revision"), int):
        shared["revision"] = str(shared["revision"])
    own = {name: options[name] for name in OF_MODEL if name in options}
    own |= {"dtype": _dtype(options)} | _placed(options)
    try:
        with _read_once() if files else nullcontext():
            tokenizer = AutoTokenizer.from_pretrained(folder, **files, **shared)
            # A GGUF file's own settings take a while to read, and are read with the model.
            reads = not files and AutoConfig.from_pretrained(folder, **shared).is_encoder_decoder
            loader = AutoModelForSeq2SeqLM if reads else AutoModelForCausalLM
            return loader.from_pretrained(folder, **files, **shared, **own), tokenizer
    except ModuleNotFoundError as error:
        raise MissingExtra("local", package=error.name or "transformers") from error
    except (ImportError, OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        what = f"No model could be loaded from {'/'.join([folder, *files.values()])}: {first}"
        if isinstance(error, ImportError):
            raise UnsupportedModel(what, do="install the package it names") from error
        raise UnsupportedModel(
            what, do="give a folder or file with a language model, or a hub id this machine can reach"
        ) from error


@contextmanager
def _read_once() -> Iterator[None]:
    """What transformers asks of the package gguf over and over while it loads one file is made once.

    It reads the file for the tokenizer, the configuration and the weights, and makes the table of the names of tensors
    once for every module of the model; both take longer than the weights themselves.
    """
    import gguf

    with ONE_AT_A_TIME:
        kept = gguf.GGUFReader, gguf.get_tensor_name_map
        gguf.GGUFReader, gguf.get_tensor_name_map = cache(gguf.GGUFReader), cache(gguf.get_tensor_name_map)
        try:
            yield
        finally:
            gguf.GGUFReader, gguf.get_tensor_name_map = kept


def is_quantised(model: Any) -> bool:
    """Whether its weights can be run and not changed, being of fewer bits. GGUF is read into plain ones."""
    method = getattr(model, "quantization_method", None)
    return getattr(method, "value", method) not in (None, "gguf")


def best_device() -> str:
    """Where a model runs fastest here."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _dtype(options: Mapping[str, Any]) -> Any:
    given = options.get("dtype") if options.get("torch_dtype") is None else options["torch_dtype"]
    if given is None or given == "auto" or isinstance(given, torch.dtype):
        return given or "auto"
    dtype = getattr(torch, str(given).removeprefix("torch."), None)
    if not isinstance(dtype, torch.dtype):
        raise UnsupportedModel(f"There is no dtype `{given}`.", do="use auto, float32, bfloat16 or float16")
    return dtype


def _placed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Where the weights are put, as transformers is told."""
    device = options.get("device")
    if options.get("device_map") is not None:
        if device not in (None, "auto"):
            raise UnsupportedModel("`device` and `device_map` were both given.", do="give one of them")
        return {}
    chosen = best_device() if device in (None, "auto") else device
    try:
        place = torch.device(chosen)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise UnsupportedModel(
            f"There is no device `{chosen}` here.", do=f"leave it out, which takes {best_device()}, or give auto"
        ) from error
    # Plain weights are on the CPU anyway; those that are quantised on the way in have to be told.
    stays = place.type == "cpu" and options.get("quantization_config") is None
    return {} if stays else {"device_map": {"": str(place)}}
