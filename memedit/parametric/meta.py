"""Editors that are trained to edit: what they see of an edit, what they give, and how they are taught (MEND's form).

An editor turns the gradient of an edit's loss into a change of a few written matrices. The gradient is taken of the
model as it is, by `torch.func.grad`, so that an editor learns from first derivatives alone: its change lies beside the
matrices, and the loss of what the edit should do there, and should leave alone, is its loss.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from memedit.errors import CapabilityMissing, EditDiverged, UnsupportedModel
from memedit.parametric.delta import Delta, Factors, read_tensors
from memedit.parametric.layout import Anatomy, model_hash
from memedit.parametric.method import LEAVE, Local, Stream, Writing, changed, layers_of
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.slots import Pass, attached
from memedit.parametric.teaching import Lesson
from memedit.text.language import language_of

FORM, FILE = "memedit editor 1", "editor.safetensors"
Shapes = Mapping[int, tuple[int, int]]
"""(out, in) of the matrices that an editor changes, by layer."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What an editor sees of an edit.

    Args:
        inputs: What each matrix is given, at tokens with a gradient, by layer, (tokens, in).
        gradients: Of the loss by what it gives there, (tokens, out).
        read: Prompt, what the model would say, and the target, as the model embeds them, (tokens, width).
        language: Of the edit, two letters, guessed from its words.
    """

    inputs: Mapping[int, torch.Tensor]
    gradients: Mapping[int, torch.Tensor]
    read: torch.Tensor
    language: str = "en"

    def gradient(self, layer: int) -> torch.Tensor:
        """Of the loss by the matrix of a layer, (out, in)."""
        return self.gradients[layer].T @ self.inputs[layer]


class Editor(torch.nn.Module):
    """From what is seen of an edit to factors of a change."""

    shapes: Shapes
    repeats: int = 1
    """How often an edit is looked at and changed further (SLAG)."""

    def forward(self, seen: Seen) -> dict[int, Factors]:
        """By layer, (out, r) and (r, in)."""
        raise NotImplementedError

    def base(self) -> dict[int, Factors]:
        """What lies beside the matrices before any edit (ENN); nothing else has any."""
        return {}

    def penalty(self) -> torch.Tensor:
        """What is added to the loss of every step of training, (); LiME's open gates."""
        return torch.zeros(())

    def observe(self, seen: Seen) -> None:
        """Take notice of what is usual; called in training alone."""


@dataclass(frozen=True, slots=True)
class Weighing:
    """How an editor's two losses are weighed.

    Args:
        edit: Weight of the loss on the edit and its paraphrases.
        local: Weight of the divergence on texts out of scope; with a margin, where its multiplier starts.
        margin: Divergence that is allowed; the multiplier rises while there is more, and falls while there is less
            (a Lagrangian). None for fixed weights.
    """

    edit: float
    local: float
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class Meta(Writing):
    """A method whose editor is trained first, for one model.

    Args:
        name: As it is asked for; `NAME:FOLDER` names the editor, too.
        paper: That it follows.
        how: Its settings: the editor's folder, the layers that it changes, its sizes.
        make: The untrained editor.
        weighing: Of its losses.
    """

    make: Callable[[Shapes, int, Any], Editor]
    weighing: Weighing = field(default_factory=lambda: Weighing(0.1, 1.0))

    def shapes(self, anatomy: Anatomy) -> dict[int, tuple[int, int]]:
        """Of the matrices that it changes in a model."""
        layers = layers_of(anatomy, self.how.layers, self.how.depths)
        return {layer: (anatomy.weight(layer).shape[0], anatomy.weight(layer).shape[1]) for layer in layers}

    def fresh(self, anatomy: Anatomy) -> Editor:
        """The untrained editor of a model."""
        width = anatomy.model.get_input_embeddings().weight.shape[1]
        return self.make(self.shapes(anatomy), width, self.how).to(anatomy.device)

    def _written(
        self, local: Local, rewrites: Sequence[Rewrite], stream: Stream, values: Mapping[str, torch.Tensor]
    ) -> Delta:
        """The sum of what the trained editor gives for each rewrite."""
        if self.how.folder is None:
            raise CapabilityMissing(
                f"`{self.name}` has to be trained for a model before it edits it.",
                do=f"run `memedit parametric train {self.name} --out FOLDER …`, and name `{self.name}:FOLDER`",
            )
        editor, _ = loaded(self, local)
        found: dict[int, list[Factors]] = {layer: [] for layer in editor.shapes}
        with torch.no_grad():
            for layer, factors in editor.base().items():
                found[layer].append(factors)
            for place, rewrite in enumerate(rewrites):
                for layer, factors in edited(local, editor, rewrite).items():
                    found[layer].append(factors)
                local.told("edits", place + 1, len(rewrites))
        parts = {}
        for layer, pairs in found.items():
            left, right = torch.cat([one for one, _ in pairs], dim=1), torch.cat([one for _, one in pairs])
            if not bool(left.isfinite().all() and right.isfinite().all()):
                raise EditDiverged(f"`{self.name}` gave no change of layer {layer}.", do=LEAVE)
            parts[layer] = left.float().cpu(), right.float().cpu()
        return self.change(parts, rewrites)


def edited(
    local: Local, editor: Editor, rewrite: Rewrite, *, observe: bool = False, lesson: Lesson | None = None
) -> dict[int, Factors]:
    """What an editor gives of a rewrite, without its base; where it looks several times, all of it together.

    Args:
        local: The model.
        editor: Of it.
        rewrite: The edit.
        observe: Whether it takes notice of what it sees.
        lesson: The edit, where it was read before.
    """
    if lesson is None:
        lesson = Lesson.of(local.anatomy, local.tokenizer, [rewrite]).above(local.anatomy, min(editor.shapes))
    found: dict[int, Factors] = {}
    for _ in range(editor.repeats):
        with torch.no_grad(), beside(local.anatomy, joined(editor.base(), found)):
            seen = seen_of(local, list(editor.shapes), rewrite, lesson)
        if observe:
            editor.observe(seen)
        found = joined(found, editor(seen))
    return found


def joined(first: Mapping[int, Factors], second: Mapping[int, Factors]) -> dict[int, Factors]:
    """Two changes as one: the sum of their products."""
    whole = dict(first)
    for layer, (left, right) in second.items():
        if layer in whole:
            left, right = torch.cat([whole[layer][0], left], dim=1), torch.cat([whole[layer][1], right])
        whole[layer] = left, right
    return whole


def seen_of(local: Local, layers: Sequence[int], rewrite: Rewrite, lesson: Lesson | None = None) -> Seen:
    """What an editor sees of a rewrite, in the model as it is; in float32.

    The loss is the mean over the target's tokens, so that `Seen.gradient` is its gradient by the weight.

    Args:
        local: The model.
        layers: Whose matrices are looked at.
        rewrite: The edit.
        lesson: The same, where it was read before.
    """
    anatomy = local.anatomy
    lesson = lesson or Lesson.of(anatomy, local.tokenizer, [rewrite]).above(anatomy, min(layers))
    rows, tokens = lesson.ids.shape
    kind = anatomy.model.dtype
    nudges = {
        layer: torch.zeros(rows, tokens, anatomy.weight(layer).shape[0], dtype=kind, device=anatomy.device)
        for layer in layers
    }

    def loss(nudges: Mapping[int, torch.Tensor]) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
        inputs: dict[int, torch.Tensor] = {}

        def nudging(layer: int) -> Callable[[torch.Tensor, torch.Tensor, Pass], torch.Tensor]:
            def change(given: torch.Tensor, gave: torch.Tensor, _now: Pass) -> torch.Tensor:
                inputs[layer] = given
                return gave + nudges[layer]

            return change

        with ExitStack() as held:
            for layer in layers:
                held.enter_context(attached(anatomy, layer, nudging(layer)))
            return lesson.losses(anatomy)[0].sum(), inputs

    gradients, inputs = torch.func.grad(loss, has_aux=True)(nudges)
    told = torch.stack([one[0].abs().sum(-1) for one in gradients.values()]).sum(0) > 0
    with torch.no_grad():
        read = anatomy.model.get_input_embeddings()(_asked(local, lesson, rewrite))
    return Seen(
        {layer: one[0, told].detach().float() for layer, one in inputs.items()},
        {layer: one[0, told].detach().float() for layer, one in gradients.items()}, read.detach().float(),
        language_of(rewrite.text),
    )  # fmt: skip


def _asked(local: Local, lesson: Lesson, rewrite: Rewrite) -> torch.Tensor:
    """Prompt, what the model would say in the target's place, and the target, with a mark between them, as ids."""
    mark = local.tokenizer.eos_token_id or 0
    read = rewrite.read(local.tokenizer)
    with torch.no_grad():
        said = lesson.said(local.anatomy)[0].tolist()
    ids = [*read.ids[: read.target], mark, *said, mark, *read.ids[read.target :]]
    return torch.tensor(ids, device=local.anatomy.device)


@contextmanager
def beside(anatomy: Anatomy, factors: Mapping[int, Factors]) -> Iterator[None]:
    """Products beside their matrices while it lasts; gradients pass through both factors."""

    def adding(left: torch.Tensor, right: torch.Tensor) -> Callable[[torch.Tensor, torch.Tensor, Pass], torch.Tensor]:
        def change(given: torch.Tensor, gave: torch.Tensor, _now: Pass) -> torch.Tensor:
            return gave + (given.float() @ right.T @ left.T).to(gave.dtype)

        return change

    with ExitStack() as held:
        for layer, pair in factors.items():
            held.enter_context(attached(anatomy, layer, adding(*pair)))
        yield


def about(method: Meta, local: Local) -> dict[str, Any]:
    """What is written with an editor: of which method, how large, and for which weights."""
    with local.overlay.lifted():
        weights = model_hash(local.anatomy.model)
    return {"method": method.name, "how": asdict(method.how) | {"folder": None}, "weights": weights}


def loaded(method: Meta, local: Local) -> tuple[Editor, Meta]:
    """The trained editor that a method names, and the method with the settings that it was trained with.

    Raises:
        FileRejected: There is none.
        UnsupportedModel: It was trained for another model, or is of another method.
    """
    file = Path(method.how.folder).expanduser() / FILE
    told, tensors = _read(file, file.stat().st_mtime_ns if file.exists() else 0)
    expected = about(method, local)
    for name, what in (("method", "editor"), ("weights", "model")):
        if told[name] != expected[name]:
            raise UnsupportedModel(
                f"{file} was trained for another {what}: `{told[name]}`, and not `{expected[name]}`.",
                do="train one for this model: `memedit parametric train`",
            )
    trained = method.with_(**_plain(method, told["how"]))
    editor = trained.fresh(local.anatomy)
    editor.load_state_dict(tensors)
    return editor.eval(), trained


def _plain(method: Meta, how: Mapping[str, Any]) -> dict[str, Any]:
    """Settings from a file, but for the folder, which is where it lies now."""
    told = changed(method.how, {name: value for name, value in how.items() if name != "folder"})
    return {name: getattr(told, name) for name in how}


@lru_cache(maxsize=2)
def _read(file: Path, _changed: int) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    metadata, tensors = read_tensors(file, FORM, holds="trained editor", made_by="`memedit parametric train`")
    return json.loads(metadata["told"]), tensors
