"""Fine-tuning a small local model for one task of a method, by the negative log-likelihood of what it is to write.

A run leaves checkpoints, stops when what is held out is no longer learned, and goes on where it was stopped.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from memedit.adapters import transformers
from memedit.adapters.causal import LocalLLM
from memedit.errors import CapabilityMissing, RunRejected, UnsupportedModel
from memedit.llms import Kind
from memedit.messages import Request, as_request

try:
    import torch
    from torch.nn.functional import cross_entropy
except ModuleNotFoundError as missing:
    from memedit.errors import MissingExtra

    raise MissingExtra("local", package=missing.name or "torch") from missing

CARD, CHECKPOINT = "trained.json", "checkpoint.pt"
MOST_HELD = 200  # samples the held-out loss is taken of
IGNORED = -100
Tokens = tuple[list[int], list[int]]
"""Of what is read, and of the answer."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What is learned.

    Args:
        read: What the model is given.
        written: What is to follow, to the letter.
        group: Samples of one group (a subject) are learned from or held out together.
    """

    read: Request
    written: str
    group: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained.

    Args:
        steps: At most; training ends when the held-out loss has not fallen in `patience` looks.
        batch: Samples in a step.
        learning_rate: Of AdamW, after `warm_up` steps.
        clip: Of the gradient's norm.
        every: Steps between two looks at the held-out loss, each of which leaves a checkpoint.
        held_out: Share of the groups.
        seed: Of the split and the order.
    """

    steps: int = 600
    batch: int = 10
    learning_rate: float = 2e-5
    warm_up: int = 20
    clip: float = 1.0
    every: int = 50
    patience: int = 4
    held_out: float = 0.1
    seed: int = 0


@dataclass
class _Course:
    """Where training stands."""

    step: int = 0
    best: float = float("inf")
    waited: int = 0
    before: float = float("nan")


def train(
    llm: LocalLLM, samples: Sequence[Sample], kind: Kind, *, out: str | Path, recipe: Recipe | None = None,
    resume: bool = False, progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train a model and write it to a folder, with its recipe, data hash and held-out losses in `trained.json`.

    A run that was stopped goes on from its last checkpoint, to the same weights.

    Args:
        llm: The model to begin with; its weights change.
        samples: What is learned.
        kind: What is made.
        out: The folder; new or empty, or that of the run to resume.
        recipe: The settings.
        resume: Go on with the run in `out`, if there is one.
        progress: Is told (steps done, steps).

    Returns:
        The card.

    Raises:
        CapabilityMissing: The model's weights are quantised.
        RunRejected: `out` holds something else, or the samples are too few to hold some out.
    """
    if llm.quantised:
        raise CapabilityMissing(
            f"The weights of `{llm.name}` are quantised, and cannot be trained.", do="load it without quantisation"
        )
    recipe, folder = recipe or Recipe(), Path(out).expanduser()
    learned, held = _split(samples, recipe)
    made_of = _fingerprint(samples, recipe, llm.name)
    course, state = _begin(folder, made_of, resume=resume)
    rows, held_rows = ([_tokens(llm, one) for one in part] for part in (learned, held[:MOST_HELD]))
    optimiser = torch.optim.AdamW(llm.model.parameters(), lr=recipe.learning_rate)
    if state:
        llm.model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
    else:
        course.before = course.best = _loss_of(llm, held_rows, recipe)
        llm.save(folder)
    while course.step < recipe.steps and course.waited < recipe.patience:
        _learn(llm, optimiser, _batch(rows, course.step, recipe), course.step, recipe)
        course.step += 1
        if progress:
            progress(course.step, recipe.steps)
        if course.step % recipe.every == 0 or course.step == recipe.steps:
            loss = _loss_of(llm, held_rows, recipe)
            course.waited = 0 if loss < course.best else course.waited + 1
            if loss < course.best:
                course.best = loss
                llm.save(folder)
            saved = {"model": llm.model.state_dict(), "optimiser": optimiser.state_dict()}
            _save(folder, saved | {"course": asdict(course), "made of": made_of})
    card = {
        "kind": kind, "base": llm.name, "recipe": asdict(recipe), "made of": made_of, "memedit": version("memedit"),
        "lessons": {"learned from": len(learned), "held out": len(held)}, "steps": course.step,
        "held-out loss, nats a token": {"before": round(course.before, 4), "after": round(course.best, 4)},
    }  # fmt: skip
    # Written last: a folder without it was not finished.
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return card


def load(source: str, kind: Kind, *, made_by: str, **options: Any) -> LocalLLM:
    """What `train` made.

    Args:
        source: The folder.
        kind: That it has to be.
        made_by: The command that makes one.
        options: As for `hf:FOLDER`.

    Raises:
        UnsupportedModel: The folder holds no such model, or one whose training did not end.
    """
    folder = Path(source).expanduser()
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        fits = isinstance(card, dict) and card.get("kind") == kind
    except (OSError, ValueError):
        fits = False
    if not fits:
        raise UnsupportedModel(
            f"{folder} holds no {kind} model.",
            do=f"make one with `{made_by} --out FOLDER`, or end its training with --resume",
        )
    return transformers.load(str(folder), **({"kind": kind} | options))


def _tokens(llm: LocalLLM, sample: Sample) -> Tokens:
    return llm.encode(sample.read), llm.encode(as_request("").raw(sample.written))


def _batch(rows: Sequence[Tokens], step: int, recipe: Recipe) -> list[Tokens]:
    """The rows of a step: every epoch has an order of its own, which nothing but the seed decides."""
    size = min(recipe.batch, len(rows))
    epoch, place = divmod(step, len(rows) // size)
    order = random.Random(f"{recipe.seed} {epoch}").sample(range(len(rows)), len(rows))  # noqa: S311 - no secret
    return [rows[at] for at in order[place * size : (place + 1) * size]]


def _learn(llm: LocalLLM, optimiser: torch.optim.Optimizer, rows: list[Tokens], step: int, how: Recipe) -> None:
    torch.manual_seed(how.seed + step)  # dropout of a resumed run is that of the run
    llm.model.train()
    for group in optimiser.param_groups:
        group["lr"] = how.learning_rate * min(1.0, (step + 1) / max(how.warm_up, 1))
    optimiser.zero_grad(set_to_none=True)
    summed, count = _losses(llm, rows)
    (summed / count).backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(llm.model.parameters(), how.clip)
    optimiser.step()
    llm.model.eval()
    llm.forget_prefix()


def _loss_of(llm: LocalLLM, rows: Sequence[Tokens], recipe: Recipe) -> float:
    """Negative log-likelihood a token of the answers, in nats."""
    whole, tokens = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(rows), recipe.batch):
            summed, count = _losses(llm, rows[start : start + recipe.batch])
            whole, tokens = whole + float(summed), tokens + count
    return whole / max(tokens, 1)


def _losses(llm: LocalLLM, rows: Sequence[Tokens]) -> tuple[torch.Tensor, int]:
    """Summed loss of the answers' tokens, and how many there are."""
    if llm.model.config.is_encoder_decoder:
        return _losses_behind_an_encoder(llm, rows)
    longest = max(len(read) + len(answer) for read, answer in rows)
    pad, ids, wanted = llm.tokenizer.pad_token_id, [], []
    for read, answer in rows:
        rest = longest - len(read) - len(answer)
        ids.append(read + answer + [pad] * rest)
        wanted.append([IGNORED] * len(read) + answer + [IGNORED] * rest)
    mask = [[1] * (len(read) + len(answer)) + [0] * (longest - len(read) - len(answer)) for read, answer in rows]
    given = {"input_ids": ids, "attention_mask": mask}
    logits = llm.model(**{name: torch.tensor(row, device=llm.device) for name, row in given.items()}).logits[:, :-1]
    targets = torch.tensor(wanted, device=llm.device)[:, 1:]
    loss = cross_entropy(logits.float().transpose(1, 2), targets, ignore_index=IGNORED, reduction="sum")
    return loss, int((targets != IGNORED).sum())


def _losses_behind_an_encoder(llm: LocalLLM, rows: Sequence[Tokens]) -> tuple[torch.Tensor, int]:
    """The same of an encoder-decoder, which is to end behind the answer, too."""
    from memedit.adapters.seq2seq import begun

    answers = [[*answer, llm.tokenizer.eos_token_id] for _, answer in rows]
    longest = max(map(len, answers))
    targets = torch.tensor([answer + [IGNORED] * (longest - len(answer)) for answer in answers], device=llm.device)
    ids, mask = llm.padded([read for read, _ in rows])
    logits = llm.model(input_ids=ids, attention_mask=mask, decoder_input_ids=begun(llm.model, answers)).logits
    loss = cross_entropy(logits.float().transpose(1, 2), targets, ignore_index=IGNORED, reduction="sum")
    return loss, int((targets != IGNORED).sum())


def _split(samples: Sequence[Sample], recipe: Recipe) -> tuple[list[Sample], list[Sample]]:
    """Learned from, and held out, by group; both shuffled."""
    groups = sorted({one.group for one in samples})
    if len(groups) < 2:
        raise RunRejected(
            f"There is something to learn about {len(groups)} subjects, which leaves none to hold out.", do="give more"
        )
    draw = random.Random(recipe.seed)  # noqa: S311 - a split, no secret
    draw.shuffle(groups)
    kept = set(groups[: max(1, min(len(groups) - 1, round(recipe.held_out * len(groups))))])
    mixed = draw.sample(list(samples), len(samples))
    return [one for one in mixed if one.group not in kept], [one for one in mixed if one.group in kept]


def _fingerprint(samples: Sequence[Sample], recipe: Recipe, base: str) -> str:
    rows = [[one.read.text, one.written, one.group] for one in samples]
    told = [base, asdict(recipe) | {"steps": 0, "patience": 0}, rows]
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _begin(folder: Path, made_of: str, *, resume: bool) -> tuple[_Course, dict[str, Any]]:
    """Where to begin, and the state of the run to resume; empty for a new one."""
    if folder.exists() and not folder.is_dir():
        raise RunRejected(f"{folder} is a file.", do="give --out a new or empty folder")
    held = any(folder.iterdir()) if folder.exists() else False
    if not held:
        folder.mkdir(parents=True, exist_ok=True)
        return _Course(), {}
    if not resume or not (folder / CHECKPOINT).is_file():
        raise RunRejected(
            f"{folder} is there already{', and holds no run to resume' if resume else ''}.",
            do="give --out a new or empty folder" + ("" if resume else ", or go on with its run by --resume"),
        )
    state = torch.load(folder / CHECKPOINT, weights_only=True)
    if state["made of"] != made_of:
        raise RunRejected(
            f"{folder} holds a run of other data, settings or another model.", do="give these, or a new folder"
        )
    return _Course(**state["course"]), state


def _save(folder: Path, state: dict[str, Any]) -> None:
    draft = folder / f"{CHECKPOINT}.draft"
    torch.save(state, draft)
    draft.replace(folder / CHECKPOINT)
