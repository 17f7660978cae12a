"""How ONNX Runtime is set."""

from __future__ import annotations

from onnxruntime import SessionOptions

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
