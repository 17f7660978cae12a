"""What the training of finder and judge share: MiniLM with its word embeddings held fast, texts in batches of like
length, and a rate that goes down with the time that is left.

Training stops when its time is over, so that it takes as long on a slow machine as on a fast one, and learns less
there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from memedit.embedders.folders import bundled_folder
from memedit.embedders.port import Vectors
from memedit.errors import GateUnusable, MissingExtra
from memedit.text import one_line

try:
    import torch
    from torch import distributed
    from transformers import AutoConfig, AutoModel, AutoTokenizer
except ModuleNotFoundError as missing:
    raise MissingExtra("local", package=missing.name or "torch") from missing

T = TypeVar("T")
Report = Callable[[str], None]

SHIPPED = "shipped"
WARMED_UP = 150  # steps in which the rate rises
DECAY = 0.01
LONGEST_STEP = 1.0  # norm to which gradients are cut
MEET = 25  # steps after which processes that train together go on from their mean


def encoder(source: str | Path | None = None, kind: Any = AutoModel, **options: Any) -> tuple[Any, Any]:
    """Model and tokenizer of a folder, the bundled MiniLM when left out; its word embeddings are not trained.

    source: The folder; or `shipped`, for the finder, or the judge, that comes with memedit.
    """
    options |= {"attn_implementation": "eager"}  # the fastest to learn with on a CPU
    if source == SHIPPED:
        from memedit.gate.learning.restore import restored  # asks for onnx

        model, tokenizer = restored("finder" if kind is AutoModel else "judge", **options)
    else:
        folder = str(source or bundled_folder())
        model, tokenizer = kind.from_pretrained(folder, **options), AutoTokenizer.from_pretrained(folder)
    model.get_input_embeddings().weight.requires_grad_(False)
    return model, tokenizer


def hold(model: Any, layers: int) -> None:
    """Hold the embeddings and the lowest layers of an encoder fast, where any layer is, and what all layers share: a
    backward pass ends there.
    """
    if layers:
        body = model.base_model
        shared = [part for name, part in body.encoder.named_children() if name != "layer"]
        for part in (body.embeddings, *shared, *body.encoder.layer[:layers]):
            part.requires_grad_(False)


def check_base(source: str | Path | None) -> None:
    """Refuse what no training can grow from, before anything is read for it.

    Raises:
        GateUnusable: The folder, or hub id, holds no model.
    """
    if source is None or source == SHIPPED:
        return
    try:
        AutoConfig.from_pretrained(str(source))
    except (OSError, ValueError) as error:
        raise GateUnusable(
            f"`{source}` holds no encoder: {one_line(str(error), 160)}",
            do="give a folder with a model and its tokenizer, or `shipped` for what comes with memedit",
        ) from error


@cache
def bfloat16_pays() -> bool:
    """Whether this processor multiplies faster in bfloat16: one that only emulates it takes a tenfold time, or more."""
    taken = []
    for dtype in (torch.float32, torch.bfloat16):
        one = torch.ones(256, 256, dtype=dtype)
        one @ one  # whatever is made ready once
        start = time.perf_counter()
        for _ in range(3):
            one @ one
        taken.append(time.perf_counter() - start)
    return taken[1] < taken[0]


def together() -> bool:
    """Whether this process trains together with others."""
    return distributed.is_available() and distributed.is_initialized()


def save(model: Any, tokenizer: Any, folder: str | Path) -> None:
    """Write both into a folder; of processes that train together, one does."""
    if together() and distributed.get_rank():
        return
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def pooled(model: Any, tokenizer: Any, texts: Sequence[str], *, tokens: int, chunk: int = 16) -> torch.Tensor:
    """Unit vectors of texts, those of like length in one pass. Result (len(texts), dimension)."""
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    parts: list[Any] = [None] * len(texts)
    for start in range(0, len(order), chunk):
        own = order[start : start + chunk]
        batch = tokenizer(
            [texts[at] for at in own], padding=True, truncation=True, max_length=tokens, return_tensors="pt"
        )
        last, mask = model(**batch).last_hidden_state.float(), batch["attention_mask"][..., None]
        vectors = torch.nn.functional.normalize((last * mask).sum(1) / mask.sum(1), dim=-1)
        for at, vector in zip(own, vectors, strict=True):
            parts[at] = vector
    return torch.stack(parts)


def embedded(model: Any, tokenizer: Any, texts: Sequence[str], *, tokens: int) -> Vectors:
    """As `pooled`, without learning. Result (len(texts), dimension)."""
    model.eval()
    with torch.no_grad():
        vectors: Vectors = pooled(model, tokenizer, texts, tokens=tokens, chunk=64).numpy()
    return vectors


def batches(items: Sequence[T], length: Callable[[T], int], size: int, rng: np.random.Generator) -> Iterator[list[T]]:
    """All items once, in batches of like length, in any order."""
    order = rng.permutation(len(items))
    pools = [
        sorted(order[at : at + 30 * size], key=lambda one: length(items[one])) for at in range(0, len(order), 30 * size)
    ]
    cut = [pool[at : at + size] for pool in pools for at in range(0, len(pool), size)]
    for place in rng.permutation(len(cut)):
        yield [items[at] for at in cut[place]]


@dataclass
class Learning:
    """The steps of a training that ends when its time is over.

    Processes of one group of `torch.distributed` train together: each draws and steps by itself, and now and then all
    go on from the mean of what they learned (local SGD, Stich 2019, arXiv:1805.09767).

    Args:
        model: What learns.
        rate: The largest rate of learning.
        minutes: How long it takes.
        report: Told how it goes.
    """

    model: Any
    rate: float
    minutes: float
    report: Report = print
    steps: int = 0
    _began: float = field(default_factory=time.monotonic)
    _agreed: float = 0.0

    def __post_init__(self) -> None:
        self._learned = [one for one in self.model.parameters() if one.requires_grad]
        self._optimizer = torch.optim.AdamW(self._learned, lr=self.rate, weight_decay=DECAY, fused=True)

    @property
    def done(self) -> float:
        """How much of the time is over, in [0, 1]; of processes that train together, when they last met."""
        if together():
            return self._agreed
        return min((time.monotonic() - self._began) / 60 / self.minutes, 1.0)

    def step(self, loss_of: Callable[[], torch.Tensor]) -> None:
        """One step, in bfloat16 where that is faster."""
        self.model.train()
        for group in self._optimizer.param_groups:
            group["lr"] = self.rate * min(1, (self.steps + 1) / WARMED_UP) * (1 - self.done)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16_pays()):
            loss = loss_of()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), LONGEST_STEP)
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self.steps % 100 == 0:
            self.report(f"step {self.steps}, loss {loss.item():.3f}, {self.done:.0%} of the time")
        self.steps += 1
        if together() and self.steps % MEET == 0:
            self._meet()

    def _meet(self) -> None:
        over = torch.tensor((time.monotonic() - self._began) / 60 / self.minutes)
        for one in (over, *(weight.data for weight in self._learned)):
            distributed.all_reduce(one)
            one /= distributed.get_world_size()
        self._agreed = min(over.item(), 1.0)
