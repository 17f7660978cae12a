"""`as_llm`, which makes an LLM of nearly anything that answers text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memedit.errors import UnsupportedModel
from memedit.llms.functions import FunctionLLM
from memedit.llms.port import LLM
from memedit.plumbing.plugins import check_options, plugin, plugin_for, read_spec, schemes


def as_llm(source: Any, **options: Any) -> LLM:
    """A model from an LLM, `scheme:name`, a LangChain model or Runnable, a client of OpenAI or Anthropic, a
    transformers model, or a function.

    Args:
        source: What to make it of. Schemes: `bundled` (SmolLM2-135M-Instruct), `hf:ID_OR_FOLDER`, `gguf:FILE`,
            `openai:MODEL` (with `base_url=` for any compatible server), `anthropic:MODEL`. Options may stand behind the
            name: `hf:FOLDER?device=cuda&dtype=bfloat16`.
        options: Passed to the loader (`model=` for a client, `tokenizer=` for a transformers model, …).

    Raises:
        UnsupportedModel: It is none of these, or an option is not known.
        MissingExtra: Its package is not installed.
    """
    if isinstance(source, LLM):
        return source
    if isinstance(source, str):
        load, name, spelled = named(source)
        given = {**spelled, **_not_twice(options, spelled)}
        check_options(load, given, source.partition("?")[0], UnsupportedModel)
        return load(name, **given)  # type: ignore[no-any-return]
    if load := plugin_for("llms", source):
        check_options(load, options, type(source).__name__, UnsupportedModel)
        return load(source, **options)  # type: ignore[no-any-return]
    if callable(source):
        check_options(FunctionLLM, options, getattr(source, "__name__", type(source).__name__), UnsupportedModel)
        return FunctionLLM(source, **options)
    raise UnsupportedModel(
        f"`{type(source).__name__}` cannot be wrapped as a language model.",
        do="pass a function, a LangChain or transformers model, a client of OpenAI or Anthropic, or one of "
        f"{schemes('llms')}",
    )


def named(spec: str) -> tuple[Any, str, dict[str, Any]]:
    """What loads a model that is named as text, the name that it is given, and the options behind that.

    Raises:
        UnsupportedModel: The scheme is not known.
    """
    scheme, name, spelled = read_spec(spec)
    if load := plugin("llms", scheme):
        return load, name, spelled
    raise UnsupportedModel(f"No model `{spec:.80}`.", do=f"use one of {schemes('llms')}, or pass a model or a function")


def _not_twice(options: Mapping[str, Any], spelled: Mapping[str, Any]) -> Mapping[str, Any]:
    if twice := sorted(options.keys() & spelled.keys()):
        raise UnsupportedModel(f"`{twice[0]}` was given twice.", do="give it behind the name, or as an argument")
    return options
