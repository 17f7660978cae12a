"""The small encoders that come with memedit: MiniLM itself, which embeds edits and questions, the finder of edits for a
conversation (`embedders/finder.py`), and the judge of what they are to it (`judge.py`).

All are MiniLM (Wang et al. 2020, arXiv:2002.10957), six layers of 384, and share their word embeddings; finder and
judge are trained further on everyday messages (`gate/learning`). They run in ONNX Runtime, without torch or
transformers.
"""

from importlib.util import find_spec

RUNTIME = ("onnxruntime", "tokenizers")


def lacking() -> list[str]:
    """The packages that run them and are not installed."""
    return [name for name in RUNTIME if find_spec(name) is None]
