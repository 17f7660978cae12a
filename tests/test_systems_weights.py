"""Arithmetic on changes, patching by interpolation, and shifts, beside what they have to equal."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from command_line import documented
from families import tiny_of
from tiny import make_tiny

from memedit.cli import main
from memedit.eval.cases import Kind
from memedit.parametric.delta import Delta, Overlay
from memedit.parametric.layout import Anatomy
from memedit.parametric.slots import Rule, SlotBank
from memedit.systems import arithmetic, paint, shifts
from memedit.systems.ground import Ground, asked, rewrites_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def ground(folder: str, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(f"hf:{folder}", tmp_path_factory.mktemp("cache"))


def drawn(seed: int, layers: tuple[int, ...] = (0, 1), width: int = 32) -> Delta:
    generator = torch.Generator().manual_seed(seed)
    parts = {
        layer: (torch.randn(width, 2, generator=generator) / 8, torch.randn(2, width, generator=generator) / 8)
        for layer in layers
    }
    return Delta(parts, {"method": "drawn", "rewrites": [str(seed)]})


def test_tasks_are_taught_added_and_turned_around(ground: Ground) -> None:
    """A model that knows nothing is taught two tasks: τ_A + τ_B has both, −τ has none, 0·τ is the model itself."""
    overlay = ground.local.overlay
    one, other = ground.of_relation("P103", 2), ground.of_relation("P495", 2)
    first, second = (arithmetic.taught(ground, rewrites_of(part), steps=200) for part in (one, other))
    texts = [[(prompt, wanted, "zzz") for prompt, wanted, _ in asked(part, Kind.EFFICACY)] for part in (one, other)]
    from memedit.parametric.measuring import likelihoods

    def likely(change: Delta) -> list[float]:
        with overlay.over("task", change):
            return [
                sum(found.logprob for found in likelihoods(*ground.parts, [(text, end) for text, end, _ in part]))
                for part in texts
            ]

    nothing, alone, both, turned = likely(first * 0.0), likely(first), likely(first + second), likely(-first)
    assert alone[0] > nothing[0] + 1
    assert both[0] > nothing[0] + 1
    assert both[1] > nothing[1] + 1
    assert turned[0] < nothing[0]
    before = ground.local.anatomy.weight(0).clone()
    with overlay.over("none", first * 0.0):
        assert torch.equal(before, ground.local.anatomy.weight(0))
    layer = next(iter(first.parts))
    assert torch.allclose((first - first).product(layer), torch.zeros(()).double(), atol=1e-9)
    left, right = first.parts[layer]
    other_left, other_right = second.parts[layer]
    wrong = (left + other_left).double() @ (right + other_right).double()  # what adding factors would give
    assert not torch.allclose((first + second).product(layer), wrong, atol=1e-3)
    assert torch.allclose((first + second).product(layer), first.product(layer) + second.product(layer), atol=1e-6)


def test_checks_on_weights_run_and_report(ground: Ground) -> None:
    found = arithmetic.check(ground, facts=2, steps=5)
    assert set(found.more) == {"before", "A", "B", "A+B", "-A"}
    assert paint.check(ground, facts=2, steps=5).more["alphas"][0] == 0
    shown = shifts.check(ground, "ft_m", edits=2, near=1, alphas=(0.0, 1.0))
    assert set(shown.more["neighbours"]) == set(shifts.SHIFTS)
    assert not ground.local.overlay.names


def test_interpolation_measures_the_weights_between() -> None:
    anatomy = Anatomy(tiny_of("llama"))
    overlay, change = Overlay(anatomy), drawn(1, (1,), 64)
    change = Delta({1: (change.parts[1][0][:32], change.parts[1][1])})
    base = anatomy.weight(1).clone()
    moved = base.double() + change.product(1)
    seen: list[float] = []

    def away() -> float:
        seen.append(float((anatomy.weight(1).double() - base).norm() / (moved - base).norm()))
        return seen[-1]

    found = paint.interpolated(overlay, change, away, lambda: 1.0, (0.0, 0.25, 1.0))
    assert found.patched == pytest.approx((0.0, 0.25, 1.0))
    assert torch.equal(base, anatomy.weight(1))


def test_the_least_alpha_that_is_best_is_picked() -> None:
    one = paint.Patched((0.0, 0.5, 1.0), (0.0, 0.8, 1.0), (1.0, 0.95, 0.2))
    assert one.best() == 1
    gain, loss = one.worth(1)
    assert (gain, loss) == (pytest.approx(0.8), pytest.approx(0.0625))
    assert paint.Patched((0.0, 0.5, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 1.0)).best() == 1


def test_shifts_change_what_they_say() -> None:
    prompt = "The mother tongue of Danielle Darrieux is"
    noisy = shifts.noisy(prompt, random.Random(1))
    changed = [one for one, other in zip(prompt, noisy, strict=True) if one != other]
    assert len(changed) == round(0.1 * sum(one.isalpha() for one in prompt))
    assert all(one.isalpha() for one in changed)
    assert noisy == shifts.noisy(prompt, random.Random(1)) != shifts.noisy(prompt, random.Random(2))
    told = {name: shifts.shifted([(prompt, "a", "b")], name)[0] for name in shifts.SHIFTS}
    assert told["none"] == (prompt, "a", "b")
    assert told["upper case"][0] == prompt.upper()
    assert all(told[name][0].endswith(prompt) for name in ("distractor", "template"))
    assert len({one[0] for one in told.values()}) == len(shifts.SHIFTS)


def test_one_layer_is_the_one_that_changes_most() -> None:
    change = drawn(1) + Delta({1: (torch.ones(32, 1), torch.ones(1, 32))})
    assert set(shifts.one_layer(change).parts) == {1}
    assert torch.equal(shifts.one_layer(change).product(1), change.product(1))


def test_saved_changes_are_added_scaled_negated_and_applied(folder: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    files = {name: tmp_path / f"{name}.safetensors" for name in ("a", "b", "sum", "half", "back")}
    drawn(1).save(files["a"])
    drawn(2, (1,)).save(files["b"])

    def run(*args: Any) -> Any:
        done = CliRunner().invoke(main, ["delta", *map(str, args), "--json"])
        assert done.exit_code == 0, done.output
        return documented(f"delta {args[0]}", done.stdout)

    assert run("add", files["a"], files["b"], "--out", files["sum"])["layers"] == [0, 1]
    run("scale", files["sum"], "0.5", "--out", files["half"])
    run("negate", files["half"], "--out", files["back"])
    for layer in (0, 1):
        whole = drawn(1).product(layer) + (drawn(2, (1,)).product(1) if layer else 0)
        assert torch.allclose(Delta.load(files["sum"]).product(layer), whole, atol=1e-6)
        assert torch.allclose(Delta.load(files["back"]).product(layer), -0.5 * whole, atol=1e-6)
    assert run("show", files["half"])["items"][0]["made"]["scaled"] == 0.5
    out = tmp_path / "model"
    run("apply", files["half"], files["b"], "--out", out, "--model", f"hf:{folder}")
    base, made = (AutoModelForCausalLM.from_pretrained(one) for one in (folder, out))
    name = "model.layers.1.mlp.down_proj.weight"
    change = (made.state_dict()[name] - base.state_dict()[name]).double()
    wanted = 0.5 * (drawn(1).product(1) + drawn(2, (1,)).product(1)) + drawn(2, (1,)).product(1)
    assert torch.allclose(change, wanted, atol=1e-6)
    rest = "model.layers.1.mlp.up_proj.weight"
    assert torch.equal(made.state_dict()[rest], base.state_dict()[rest])


def test_what_is_no_change_of_weights_is_refused_in_words(tmp_path: Path) -> None:
    file, missing = tmp_path / "slots.safetensors", tmp_path / "no.safetensors"
    SlotBank(Rule("grace", lambda slots, given, gave, now: gave), 0, {"owner": torch.zeros(1)}, {"shape": [1, 1]}).save(
        file
    )
    for one in (file, missing):
        done = CliRunner().invoke(main, ["delta", "negate", str(one), "--out", str(tmp_path / "x")])
        assert done.exit_code == 2, done.output
        assert "Traceback" not in done.output
        assert not (tmp_path / "x").exists()
