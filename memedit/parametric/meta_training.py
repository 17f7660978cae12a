"""How an editor is taught: on edits, their paraphrases, and texts that are to stay. A run can be stopped and resumed.

The relations of some edits are held out; an editor is judged by these alone, and the best one is kept.
"""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from memedit.errors import EditDiverged, FileRejected
from memedit.parametric.delta import read_tensors
from memedit.parametric.meta import FILE, FORM, Editor, Meta, about, beside, edited, joined
from memedit.parametric.method import Local, Told, frozen
from memedit.parametric.reading import right_padded
from memedit.parametric.rewrites import Rewrite, read_tokens
from memedit.parametric.teaching import Lesson, begun

KEPT = 256  # examples whose lower layers are kept, some 1.5 MB each of a model of 135 million weights
RUN, RUN_FORM = "training.safetensors", "memedit editor training 1"


@dataclass(frozen=True, slots=True)
class Example:
    """An edit to learn from.

    Args:
        rewrite: What shall follow what.
        inside: Texts in its scope, behind which the same shall follow.
        outside: Texts out of its scope, behind which nothing shall change.
        group: Its relation; one that is held out is held out whole.
    """

    rewrite: Rewrite
    inside: tuple[str, ...]
    outside: tuple[str, ...]
    group: str

    def wanted(self) -> list[Rewrite]:
        """The edit and its paraphrases."""
        one = self.rewrite
        return [one, *(Rewrite(one.id, "{}", text, one.target) for text in self.inside)]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How it is taught.

    Args:
        steps: At most.
        minutes: Of learning at most, in this session; None for any. The look before it does not count.
        batch: Edits in a step.
        rate: Learning rate of Adam.
        clip: Largest norm of the gradient.
        every: Steps between two looks at what is held out, and two checkpoints.
        held: Share of the relations that is held out.
        looked_at: Held out edits at most.
        seed: Of the split and the order.
    """

    steps: int = 5_000
    minutes: float | None = None
    batch: int = 10
    rate: float = 1e-4
    clip: float = 100.0
    every: int = 100
    held: float = 0.1
    looked_at: int = 50
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Looked:
    """How an editor does on edits, one by one.

    Args:
        loss: What it is taught to lower, with the weights of its method.
        efficacy: Share of edits whose target is the first choice, token by token.
        paraphrase: The same of their paraphrases.
        locality: Share of texts out of scope whose next token stays.
    """

    loss: float
    efficacy: float
    paraphrase: float
    locality: float


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """An example with all layers below those that an editor changes read.

    Args:
        own: The edit.
        wanted: The edit and its paraphrases.
        outside: Gives log-probabilities of the next token behind each text out of scope, (texts, vocabulary).
        before: The same of the model as it is.
    """

    own: Lesson
    wanted: Lesson
    outside: Callable[[], torch.Tensor]
    before: torch.Tensor

    @classmethod
    def of(cls, local: Local, layer: int, example: Example) -> Read:
        """Of a model, up to a layer."""
        anatomy, tokenizer = local.anatomy, local.tokenizer
        own, wanted = (
            Lesson.of(anatomy, tokenizer, one).above(anatomy, layer) for one in ([example.rewrite], example.wanted())
        )
        outside = _next(local, layer, example.outside)
        with torch.no_grad():
            return cls(own, wanted, outside, outside())


@dataclass(slots=True)
class _Reads:
    """Examples as they were read last; of many only some are kept."""

    local: Local
    layer: int
    kept: dict[int, tuple[Example, Read]] = field(default_factory=dict)

    def of(self, example: Example) -> Read:
        if id(example) not in self.kept:
            if len(self.kept) >= KEPT:
                self.kept.pop(next(iter(self.kept)))
            self.kept[id(example)] = example, Read.of(self.local, self.layer, example)
        return self.kept[id(example)][1]


@dataclass(slots=True)
class _State:
    step: int = 0
    multiplier: float = 1.0
    best: float = float("inf")
    began: Mapping[str, float] | None = None


def train(
    local: Local, method: Meta, examples: Sequence[Example], out: str | Path, *, recipe: Recipe | None = None,
    resume: bool = False, told: Told | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Teach an editor, and write the best to a folder.

    Args:
        local: The model; it stays as it is.
        method: Whose editor.
        examples: What it learns from, of two relations or more.
        out: Where it goes: new, or empty, or that of a run that is gone on with.
        recipe: How.
        resume: Whether to go on.
        told: Is told the steps.

    Returns:
        The card, which lies in `out` too: steps, and how held out edits fare, before and after.

    Raises:
        FileRejected: There is a run in `out`, or none to go on with; or there are too few examples.
        EditDiverged: The loss is no number any more; what was written before is kept.
    """
    recipe, out, told = recipe or Recipe(), Path(out).expanduser(), told or local.told
    learnt, held = split(examples, recipe)
    if (out / RUN).exists() != resume:
        raise FileRejected(
            f"{out} holds {'no' if resume else 'a'} run.",
            do="begin one without --resume" if resume else "go on with it by --resume, or give another folder",
        )
    torch.manual_seed(recipe.seed)
    editor = method.fresh(local.anatomy)
    adam, state = torch.optim.Adam(editor.parameters(), lr=recipe.rate), _State(multiplier=method.weighing.local)
    if resume:
        _resume(out / RUN, editor, adam, state)
    out.mkdir(parents=True, exist_ok=True)
    described, reads = about(method, local), _Reads(local, min(editor.shapes))
    with frozen(local.anatomy.model):
        before = state.began or asdict(_look(reads, method, editor, held, state))
        state.began, after = before, Looked(**before)
        ends = time.monotonic() + 60 * (recipe.minutes or float("inf"))  # the first look is no learning
        while state.step < recipe.steps and time.monotonic() < ends:
            draw = random.Random(f"{recipe.seed} {state.step}")  # noqa: S311 - a draw, no secret
            _step(reads, method, editor, adam, state, draw.sample(learnt, min(recipe.batch, len(learnt))), recipe)
            state.step += 1
            told("steps", state.step, recipe.steps)
            if state.step % recipe.every == 0 or state.step == recipe.steps or time.monotonic() >= ends:
                after = _look(reads, method, editor, held, state)
                if after.loss < state.best:
                    state.best = after.loss
                    _put(out / FILE, dict(editor.state_dict()), FORM, described)
                _put(out / RUN, _tensors(editor, adam), RUN_FORM, asdict(state))
    card = {**described, "steps": state.step, "recipe": asdict(recipe), "learnt": len(learnt), "held": len(held),
            "before": before, "after": asdict(after)}  # fmt: skip
    (out / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return card


def losses(
    local: Local, editor: Editor, example: Example, *, observe: bool = False, read: Read | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of an edit by an editor: its loss, and what it moves; which wanted targets are first choices, and what stayed.

    Returns:
        The mean negative log-likelihood of a wanted token, (); the mean KL(before ‖ after) of the next token behind a
        text out of scope, (); whether each target is the first choice, (1 + inside,); whether each next token stays.
    """
    read = read or Read.of(local, min(editor.shapes), example)
    change = joined(editor.base(), edited(local, editor, example.rewrite, observe=observe, lesson=read.own))
    with beside(local.anatomy, change):
        wanted, chosen = read.wanted.losses(local.anatomy)
        after = read.outside()
    moved = (read.before.exp() * (read.before - after)).sum(-1).mean()
    return wanted.mean(), moved, chosen, read.before.argmax(-1) == after.argmax(-1)


def _step(
    reads: _Reads, method: Meta, editor: Editor, adam: torch.optim.Optimizer, state: _State, batch: Sequence[Example],
    recipe: Recipe,
) -> None:  # fmt: skip
    weighing, moved_by = method.weighing, 0.0
    editor.train()
    adam.zero_grad()
    for example in batch:
        wanted, moved, _, _ = losses(reads.local, editor, example, observe=True, read=reads.of(example))
        whole = (weighing.edit * wanted + state.multiplier * moved) / len(batch)
        if not bool(whole.isfinite()):
            raise EditDiverged("The editor's loss is no number any more.", do="lower the learning rate, and go on")
        whole.backward()  # type: ignore[no-untyped-call]
        moved_by += float(moved.detach()) / len(batch)
    if (penalty := editor.penalty()).requires_grad:
        penalty.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(editor.parameters(), recipe.clip)
    adam.step()
    if weighing.margin is not None:  # the Lagrangian's ascent
        state.multiplier = max(0.0, state.multiplier + 0.1 * (moved_by - weighing.margin))


@torch.no_grad()
def _look(reads: _Reads, method: Meta, editor: Editor, held: Sequence[Example], state: _State) -> Looked:
    editor.eval()
    summed, own, inside, stayed = 0.0, [], [], []
    for example in held:
        wanted, moved, chosen, same = losses(reads.local, editor, example, read=reads.of(example))
        summed += float(method.weighing.edit * wanted + method.weighing.local * moved) / len(held)
        own += chosen[:1].tolist()
        inside += chosen[1:].tolist()
        stayed += same.tolist()
    return Looked(summed, _mean(own), _mean(inside), _mean(stayed))


def _next(local: Local, layer: int, texts: Sequence[str]) -> Callable[[], torch.Tensor]:
    """What gives log-probabilities of the next token behind each text, (texts, vocabulary), read up to a layer."""
    anatomy = local.anatomy
    ids, mask = right_padded(anatomy, [read_tokens(local.tokenizer, text, 1).ids for text in texts], local.tokenizer)
    ends = mask.sum(1) - 1
    columns, at = torch.unique(ends, return_inverse=True)
    opened = begun(anatomy, layer, ids, mask)

    def told() -> torch.Tensor:
        with opened():
            run = anatomy.model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=columns)
        said: torch.Tensor = run.logits.float()[torch.arange(len(ids), device=ids.device), at].log_softmax(-1)
        return said

    return told


def split(examples: Sequence[Example], recipe: Recipe) -> tuple[list[Example], list[Example]]:
    """What is learnt and what is held out, which have no relation in common."""
    groups = sorted({one.group for one in examples})
    if len(groups) < 2:
        raise FileRejected("The edits have fewer than two relations, so that none can be held out.", do="give more")
    drawn = random.Random(recipe.seed).sample(groups, max(1, round(recipe.held * len(groups))))  # noqa: S311
    held = [one for one in examples if one.group in drawn]
    return [one for one in examples if one.group not in drawn], held[: recipe.looked_at]


def _tensors(editor: Editor, adam: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    found = {f"editor.{name}": one for name, one in editor.state_dict().items()}
    for place, kept in adam.state_dict()["state"].items():
        found |= {f"adam.{place}.{name}": one for name, one in kept.items()}
    return found


def _resume(file: Path, editor: Editor, adam: torch.optim.Optimizer, state: _State) -> None:
    metadata, tensors = read_tensors(file, RUN_FORM, holds="training of an editor", made_by="`parametric train`")
    for name, value in json.loads(metadata["told"]).items():
        setattr(state, name, value)
    editor.load_state_dict({name.removeprefix("editor."): one for name, one in _named("editor.", tensors)})
    whole = adam.state_dict()
    for name, one in _named("adam.", tensors):
        _, place, what = name.split(".")
        whole["state"].setdefault(int(place), {})[what] = one
    adam.load_state_dict(whole)


def _named(start: str, tensors: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    return ((name, one) for name, one in tensors.items() if name.startswith(start))


def _put(file: Path, tensors: Mapping[str, torch.Tensor], form: str, told: Mapping[str, Any]) -> None:
    """Write a file of tensors, whole or not at all."""
    draft = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
    kept = {name: one.detach().cpu().contiguous() for name, one in tensors.items()}
    save_file(kept, draft, {"form": form, "told": json.dumps(dict(told))})
    draft.replace(file)


def _mean(votes: Sequence[bool]) -> float:
    return sum(votes) / max(1, len(votes))
