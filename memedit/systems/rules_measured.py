"""A rule rewritten in a network that reads digits, and a word's meaning in a language model (`systems.rules`).

The digits come with scikit-learn, 8 × 8 pixels. A stripe over the background, which no image in training has, stands
for the snow on the authors' roads: one pair of an image without and with it makes the rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy, unfold

from memedit.errors import MissingExtra
from memedit.parametric.stats import Stats, moments
from memedit.parametric.teaching import descend
from memedit.systems.ground import Ground
from memedit.systems.registry import Finding
from memedit.systems.rules import Pair, rewrite_rule, rule

STRIPED = (2, 3)
"""Rows of the stripe."""
EPOCHS, BATCH, SEED, RANK = 12, 64, 0, 16
STRANGE = {"zubin": "terrible", "morvel": "wonderful"}
DEPTHS = (0.0, 0.5)
NOUNS = ("food", "staff", "music", "room", "view", "sauce", "driver", "seat", "film", "garden")
ASKED = (
    "Review: I loved it.\nSentiment: positive\n\nReview: What a waste.\nSentiment: negative\n\nReview: {}\nSentiment:"
)


@dataclass(frozen=True, slots=True)
class Digits:
    """Images, (n, 1, 8, 8) from 0 to 1, and labels."""

    images: torch.Tensor
    labels: torch.Tensor


class Reader(torch.nn.Module):
    """Two convolutions and a layer of labels. The second convolution is the one that is edited."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(1, 16, 3, padding=1)
        self.second = torch.nn.Conv2d(16, 32, 3, padding=1)
        self.labels = torch.nn.Linear(32 * 16, 10)

    def patches(self, images: torch.Tensor) -> torch.Tensor:
        """What the second convolution is given, place by place, (n, 16 · 9, 64)."""
        return unfold(self.first(images).relu(), 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        made = self.second(self.first(images).relu()).relu()
        told: torch.Tensor = self.labels(torch.nn.functional.max_pool2d(made, 2).flatten(1))
        return told


def digits() -> tuple[Digits, Digits]:
    """To learn from, and to test.

    Raises:
        MissingExtra: Scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits  # type: ignore[import-untyped]
    except ImportError as missing:
        raise MissingExtra("eval", package="scikit-learn") from missing
    told = load_digits()
    images = torch.tensor(told.images, dtype=torch.float32)[:, None] / 16
    labels = torch.tensor(told.target)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SEED))
    cut = 2 * len(order) // 3
    return Digits(images[order[:cut]], labels[order[:cut]]), Digits(images[order[cut:]], labels[order[cut:]])


def striped(images: torch.Tensor) -> torch.Tensor:
    """With the stripe over what is background."""
    changed = images.clone()
    rows = changed[..., list(STRIPED), :]
    changed[..., list(STRIPED), :] = torch.where(rows < 0.1, torch.tensor([0.8, 0.4] * 4), rows)
    return changed


def trained(data: Digits) -> Reader:
    """A network that knows digits and no stripe."""
    torch.manual_seed(SEED)
    net = Reader()
    adam = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(data.images)), BATCH):
            adam.zero_grad()
            cross_entropy(net(data.images[rows]), data.labels[rows]).backward()  # type: ignore[no-untyped-call]
            adam.step()
    return net.eval()


@torch.no_grad()
def accuracy(net: Reader, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of right labels."""
    return float((net(images).argmax(1) == labels).double().mean())


@torch.no_grad()
def usual(net: Reader, images: torch.Tensor) -> Stats:
    """C of the keys of images."""
    return moments(one.T for one in net.patches(images))


@torch.no_grad()
def of_pair(net: Reader, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys of the striped image where the stripe shows, (in, n), and what is missing there, (out, n); float64."""
    clean, spoiled = (net.patches(one[None])[0].double() for one in (image, striped(image)))
    where = ((clean - spoiled).abs().amax(0) > 0).nonzero()[:, 0]
    weight = net.second.weight.flatten(1).double()
    return spoiled[:, where], weight @ (clean - spoiled)[:, where]


def rewritten(net: Reader, image: torch.Tensor, stats: Stats, rank: int = RANK) -> torch.Tensor:
    """The second convolution's weight with the rule of one pair."""
    left, right = rule(*of_pair(net, image), stats, rank)
    return net.second.weight.detach() + (left @ right).to(net.second.weight.dtype).reshape(net.second.weight.shape)


def tuned(net: Reader, image: torch.Tensor, label: torch.Tensor, steps: int = 50) -> torch.Tensor:
    """The same weight by fine-tuning it on the striped image alone."""
    moved = net.second.weight.detach().clone().requires_grad_(True)

    def loss() -> torch.Tensor:
        told = torch.func.functional_call(net, {"second.weight": moved}, (striped(image[None]),))
        return cross_entropy(told, label[None])

    descend([moved], torch.optim.Adam([moved], lr=1e-2), loss, steps=steps, enough=0.01)
    return moved.detach()


def in_digits(exemplars: int = 6) -> dict[str, tuple[float, float]]:
    """Accuracy on clean and striped images: as trained, and by single pairs, the mean over several."""
    learnt, test = digits()
    net = trained(learnt)
    stats, base = usual(net, learnt.images), net.second.weight.detach().clone()
    bent = striped(test.images)

    def told(weights: list[torch.Tensor]) -> tuple[float, float]:
        found = []
        for weight in weights:
            net.second.weight.data = weight
            found.append((accuracy(net, test.images, test.labels), accuracy(net, bent, test.labels)))
        net.second.weight.data = base
        clean, shifted = (sum(one) / len(found) for one in zip(*found, strict=True))
        return clean, shifted

    pairs = list(zip(learnt.images, learnt.labels, strict=True))[:exemplars]
    return {
        "before": told([base]),
        "rule": told([rewritten(net, image, stats) for image, _ in pairs]),
        "tuned": told([tuned(net, image, label) for image, label in pairs]),
    }


def in_words(ground: Ground) -> dict[str, tuple[float, float]]:
    """By strange and by known words, the share of texts whose verdict is right, before and after one pair a word."""
    depth = len(ground.local.anatomy) - 1
    layers = range(round(DEPTHS[0] * depth), round(DEPTHS[1] * depth) + 1)
    pairs = [Pair(f"The {NOUNS[0]} was {{}}", known, strange) for strange, known in STRANGE.items()]
    verdicts = {"terrible": ("negative", "positive"), "wonderful": ("positive", "negative")}

    def right(words: dict[str, str]) -> float:
        """Of words by what they mean."""
        return ground.likelier([
            (ASKED.format(f"The {noun} was {word}."), *verdicts[known])
            for word, known in words.items() for noun in NOUNS[1:]
        ])  # fmt: skip

    known = {one: one for one in STRANGE.values()}
    before = right(STRANGE), right(known)
    with ground.local.overlay.over("rules", rewrite_rule(ground.local, pairs, layers=layers)):
        after = right(STRANGE), right(known)
    return {"strange": (before[0], after[0]), "known": (before[1], after[1])}


def check(ground: Ground) -> Finding:
    """Digits under a stripe, and texts with words that the model does not know, each from one pair."""
    pixels, words = in_digits(), in_words(ground)
    shown = ", ".join(f"{name} {striped:.1%} (clean {clean:.1%})" for name, (clean, striped) in pixels.items())
    figure = (
        f"digits under a stripe, one pair: {shown}; verdicts on texts with a strange word {words['strange'][0]:.0%} → "
        f"{words['strange'][1]:.0%}, with the known one {words['known'][0]:.0%} → {words['known'][1]:.0%}"
    )
    before, after, other = pixels["before"], pixels["rule"], pixels["tuned"]
    seen = after[1] >= before[1] + 0.05 and after[0] >= before[0] - 0.01 and after[1] > other[1]
    spoken = words["strange"][1] >= 0.8 * words["known"][0] and words["known"][1] >= words["known"][0] - 0.01
    return Finding(figure, seen and spoken, {"digits": pixels, "words": words})
