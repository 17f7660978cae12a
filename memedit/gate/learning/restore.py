"""A shipped encoder as a model that can be trained on: the weights of its int8 graph, in float32 again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from memedit.embedders.folders import bundled_folder
from memedit.encoder.graph import shipped_folder
from memedit.errors import EncoderUnusable, MissingExtra

try:
    import onnx
    import torch
    from onnx import numpy_helper
    from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer
except ModuleNotFoundError as missing:
    raise MissingExtra("fast", package=missing.name or "onnx") from missing

MULTIPLIED = ("query", "key", "value", "output.dense", "intermediate.dense", "output.dense")
"""Of a layer, whose weights the graph multiplies by, in its order; the pooler's and the classifier's come last."""


def restored(name: Literal["finder", "judge"], folder: str | Path | None = None, **options: Any) -> tuple[Any, Any]:
    """Model and tokenizer of an encoder, as near to those it was written of as int8 has kept them.

    Args:
        name: Of the encoder.
        folder: Of the graphs; what comes with memedit when left out.
        options: Of the model's configuration.

    Raises:
        EncoderUnusable: The graph was not written of MiniLM's architecture.
    """
    path = Path(folder or shipped_folder()) / f"{name}.onnx"
    kind = AutoModelForSequenceClassification if name == "judge" else AutoModel
    model = kind.from_pretrained(str(bundled_folder()), **options)
    held = {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    given = {key.removeprefix("model."): value for key, value in held.items() if value.dtype == np.float32}
    weights = [_whole(key.removesuffix("_quantized"), held) for key in held if key.endswith("_quantized")]
    linear = {key: value for key, value in model.named_modules() if isinstance(value, torch.nn.Linear)}
    if name != "judge":
        linear.pop("pooler.dense")  # a mean over the tokens takes its place
    wanted = {f"{key}.weight": tuple(module.weight.shape) for key, module in linear.items()}
    if list(wanted.values()) != [weight.shape for weight in weights]:
        raise EncoderUnusable(
            f"`{path}` cannot be trained on: its layers are not MiniLM's.",
            do="give the folder of the model it was made of",
        )
    state = model.state_dict()
    given |= dict(zip(wanted, weights, strict=True))
    model.load_state_dict({**state, **{key: torch.tensor(value) for key, value in given.items() if key in state}})
    return model, AutoTokenizer.from_pretrained(str(bundled_folder()))


def _whole(name: str, held: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """A weight (out, in), of the graph's int8 one (in, out) with a scale for each output."""
    steps = held[f"{name}_quantized"].astype(np.float32) - held[f"{name}_zero_point"].astype(np.float32)
    whole: NDArray[np.float32] = (steps * held[f"{name}_scale"]).T
    return np.ascontiguousarray(whole)
