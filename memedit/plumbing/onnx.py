"""ONNX Runtime, which is told to tell nobody of its use, and how its sessions are set.

Whatever runs a graph takes it from here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is loaded, from 1.32 on

import onnxruntime
from onnxruntime import InferenceSession, SessionOptions

onnxruntime.disable_telemetry_events()  # where the application loaded it before

__all__ = ["InferenceSession", "in_int8", "session_options"]

EXACT = "session.x64quantprecision"
"""Int8 products are summed without overflow: else x64 processors without VNNI would cut large sums off, and a gate
would decide otherwise there."""


def session_options(threads: int) -> SessionOptions:
    """Options under which a graph gives the same on every processor.

    threads: For one pass; 0 for as many as there are cores.
    """
    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry(EXACT, "1")
    return options


def in_int8(whole: Path, into: Path, *, only: Sequence[str] | None = None) -> None:
    """Write a graph with its weights in int8, and take the whole one away.

    only: Operators whose weights they are; all of which it is known where None.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(whole, into, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=only)
    whole.unlink()
