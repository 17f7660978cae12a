"""Editors that are trained: what they give is what their papers say, they learn a toy, and bake like any other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from command_line import documented
from families import tiny_of
from safetensors import safe_open
from safetensors.torch import load_file
from test_parametric_bake import EASY, opened, same, weights
from tiny import make_tiny

from memedit.cli import main
from memedit.errors import CapabilityMissing, FileRejected, UnknownMethod, UnsupportedModel
from memedit.parametric import meta_training
from memedit.parametric.delta import Delta, Overlay
from memedit.parametric.layout import Anatomy
from memedit.parametric.masks import Masks
from memedit.parametric.meta import FILE, Meta, Weighing, beside, edited, seen_of
from memedit.parametric.meta_training import RUN, Example, Recipe, train
from memedit.parametric.method import Local
from memedit.parametric.methods import find_writer
from memedit.parametric.methods.enn import ENN
from memedit.parametric.methods.ke import KE
from memedit.parametric.methods.lime import LIME
from memedit.parametric.methods.mend import MEND
from memedit.parametric.methods.slag import SLAG
from memedit.parametric.rewrites import Rewrite
from memedit.parametric.teaching import Lesson

TEXT = [f"Paragraph {n} tells of rivers, bridges and the {n} towns that lie along them, one by one." for n in range(20)]
ONE = Rewrite("one", "The capital of {} is", "Quillon", "XY")
TOY = [
    Example(
        Rewrite(f"{subject} {relation}", f"The {relation} of {{}} is", subject, target),
        (f"So the {relation} of {subject} is",), ("Water is made of", f"The {relation} of nobody is"), relation,
    )
    for relation in ("ruler", "colour", "price")
    for subject, target in (("Ada", "X"), ("Bo", "Y"), ("Cy", "Z"))
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def local_of(family: str, tokenizer: Any) -> Local:
    return Local.of(Overlay(Anatomy(tiny_of(family))), tokenizer, TEXT)


def gradient(local: Local, layer: int) -> torch.Tensor:
    """Of the edit's loss by a written matrix, (out, in), by autograd."""
    weight = local.anatomy.written(layer).weight
    loss = Lesson.of(local.anatomy, local.tokenizer, [ONE]).losses(local.anatomy)[0].sum()
    (found,) = torch.autograd.grad(loss, [weight])
    return (found.T if local.anatomy.layout.transposed else found).float()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_what_an_editor_sees_is_the_gradient(family: str, tokenizer: Any) -> None:
    local = local_of(family, tokenizer)
    seen = seen_of(local, (1, 2), ONE)
    for layer in (1, 2):
        wanted = gradient(local, layer)
        assert (seen.gradient(layer) - wanted).norm() <= 1e-6 * wanted.norm()


def test_an_untrained_mend_is_a_step_along_the_gradient(tokenizer: Any) -> None:
    local = local_of("llama", tokenizer)
    editor, seen = MEND.with_(layers=(1,), rate=0.01, scores=False).fresh(local.anatomy), seen_of(local, (1,), ONE)
    with torch.no_grad():
        left, right = editor(seen)[1]
    wanted = -0.01 * gradient(local, 1)
    assert (left @ right - wanted).norm() <= 1e-6 * wanted.norm()


def test_mend_sees_z_scores_of_what_training_saw(tokenizer: Any) -> None:
    local = local_of("llama", tokenizer)
    editor = MEND.with_(layers=(1,)).fresh(local.anatomy)
    seen = [seen_of(local, (1,), Rewrite("x", "The capital of {} is", name, "XY")) for name in ("Ada", "Quillon")]
    for one in seen:
        editor.observe(one)
    both = torch.cat([torch.cat([one.inputs[1], one.gradients[1]], dim=1) for one in seen])
    scores = (both - both.mean(0)) / both.std(0, correction=0)
    with torch.no_grad():
        left, right = editor(seen[0])[1]
    rows = len(seen[0].inputs[1])
    torch.testing.assert_close(right, scores[:rows, : right.shape[1]], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(left.T, -1e-4 * scores[:rows, right.shape[1] :], rtol=1e-3, atol=1e-7)


def test_ke_is_what_its_loops_say(tokenizer: Any) -> None:
    local = local_of("llama", tokenizer)
    editor, seen = KE.with_(layers=(1,), hidden=8).fresh(local.anatomy), seen_of(local, (1,), ONE)
    out, inner = editor.shapes[1]
    with torch.no_grad():
        left, right = editor(seen)[1]
        _, (ends, _) = editor.reader(seen.read[None])  # type: ignore[operator]
        told = editor.nets["1"](ends[:, 0].reshape(-1))  # type: ignore[index]
    column_a, row_a = told[:out].softmax(0), told[out : out + inner]
    column_b, row_b = told[out + inner : 2 * out + inner].softmax(0), told[2 * out + inner : -1]
    found = torch.zeros(out, inner)
    for row in range(out):
        for place in range(inner):
            slope = sum(float(d[row] * x[place]) for d, x in zip(seen.gradients[1], seen.inputs[1], strict=True))
            masked = slope * out * float(column_a[row] * row_a[place]) + float(column_b[row] * row_b[place])
            found[row, place] = float(told[-1].sigmoid()) * masked
    torch.testing.assert_close(left @ right, found, rtol=1e-4, atol=1e-6)


LEARNERS = [MEND.with_(layers=(0, 1), rank=32), KE.with_(layers=(0, 1), hidden=32)]


def toy(folder: str, tokenizer: Any) -> Local:
    from memedit.adapters.transformers import load

    return Local.of(Overlay(Anatomy(load(folder).model)), tokenizer, TEXT)


@pytest.mark.parametrize("method", LEARNERS, ids=lambda one: one.name)
def test_an_editor_learns_to_edit_relations_that_it_never_saw(
    method: Meta, tokenizer: Any, folder: str, tmp_path: Path
) -> None:
    local = toy(folder, tokenizer)
    before = {name: one.clone() for name, one in local.anatomy.model.state_dict().items()}
    recipe = Recipe(steps=100, batch=3, rate=3e-3, every=50, held=0.3)
    card = train(local, method, TOY, tmp_path / "out", recipe=recipe)
    assert card["after"]["loss"] < card["before"]["loss"]
    assert card["before"]["efficacy"] == 0.0
    assert card["after"]["efficacy"] >= 0.9
    assert same(before, local.anatomy.model.state_dict())
    edited = method.with_(folder=str(tmp_path / "out"))
    held = next(one for one in TOY if one.group == "ruler").rewrite
    delta = edited.write(local, [held])
    with local.overlay.over("edited", delta):
        assert delta.made["method"] == method.name
        assert bool(Lesson.of(local.anatomy, tokenizer, [held]).losses(local.anatomy)[1])


def test_a_run_that_is_gone_on_with_ends_where_it_would_have(tokenizer: Any, folder: str, tmp_path: Path) -> None:
    local, method = toy(folder, tokenizer), LEARNERS[0]
    how = {"batch": 2, "rate": 1e-3, "every": 2, "held": 0.3}
    train(local, method, TOY, tmp_path / "whole", recipe=Recipe(steps=4, **how))
    train(local, method, TOY, tmp_path / "parts", recipe=Recipe(steps=2, **how))
    with pytest.raises(FileRejected, match="holds a run"):
        train(local, method, TOY, tmp_path / "parts", recipe=Recipe(steps=4, **how))
    told: list[tuple[str, int, int]] = []
    card = train(
        local, method, TOY, tmp_path / "parts", recipe=Recipe(steps=4, **how), resume=True,
        told=lambda *one: told.append(one),
    )  # fmt: skip
    assert (card["steps"], told) == (4, [("steps", 3, 4), ("steps", 4, 4)])
    assert same(load_file(tmp_path / "whole" / RUN), load_file(tmp_path / "parts" / RUN))
    with pytest.raises(FileRejected, match="holds no run"):
        train(local, method, TOY, tmp_path / "other", resume=True)


def test_the_first_look_takes_no_time_of_learning(
    tokenizer: Any, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, look = [0.0], meta_training._look

    def slow(*given: Any) -> meta_training.Looked:
        now[0] += 3_600
        return look(*given)

    def told(*_: Any) -> None:
        now[0] += 40

    monkeypatch.setattr(meta_training, "_look", slow)
    monkeypatch.setattr(meta_training, "time", SimpleNamespace(monotonic=lambda: now[0]))
    recipe = Recipe(steps=9, minutes=1, batch=2, every=100, held=0.3)
    card = train(toy(folder, tokenizer), LEARNERS[0], TOY, tmp_path / "out", recipe=recipe, told=told)
    assert card["steps"] == 2
    assert (tmp_path / "out" / FILE).exists()


def test_relations_are_held_out_whole(tokenizer: Any, folder: str, tmp_path: Path) -> None:
    with pytest.raises(FileRejected, match="fewer than two relations"):
        train(toy(folder, tokenizer), LEARNERS[0], [one for one in TOY if one.group == "ruler"], tmp_path / "out")


def test_a_margin_moves_the_multiplier(tokenizer: Any, folder: str, tmp_path: Path) -> None:
    for margin, wanted in ((0.0, 1.0), (9.0, 0.1)):
        method = replace(LEARNERS[1], weighing=Weighing(1.0, 1.0, margin))
        recipe = Recipe(steps=1, batch=1, every=1, held=0.3)
        train(toy(folder, tokenizer), method, TOY, tmp_path / f"{margin}", recipe=recipe)
        with safe_open(tmp_path / f"{margin}" / RUN, framework="pt") as file:
            found = json.loads(file.metadata()["told"])["multiplier"]
        assert (found >= wanted) if margin == 0 else (found == pytest.approx(wanted, abs=0.05))


def test_a_trained_editor_bakes(folder: str, tokenizer: Any, tmp_path: Path) -> None:
    train(toy(folder, tokenizer), LEARNERS[0], TOY, tmp_path / "mend", recipe=Recipe(steps=2, every=1, held=0.3))
    editable = opened(folder, tmp_path / "cache", tmp_path / "memory", add=True)
    before = weights(editable)
    done = editable.bake(method=f"mend:{tmp_path / 'mend'}", demand=EASY)
    assert len(done.baked) == 2
    assert editable.baked()[0].data["method"] == "mend"
    both = weights(editable)
    assert not same(before, both)
    editable.unbake("one")  # the other is edited again, by the same editor
    assert not same(both, weights(editable))
    editable.unbake()
    assert same(before, weights(editable))


def test_only_an_editor_of_this_model_and_method_is_taken(folder: str, tokenizer: Any, tmp_path: Path) -> None:
    local = toy(folder, tokenizer)
    with pytest.raises(CapabilityMissing, match="has to be trained"):
        find_writer("mend").write(local, [ONE])
    with pytest.raises(FileRejected, match="cannot be read"):
        find_writer(f"mend:{tmp_path}").write(local, [ONE])
    train(local, LEARNERS[0], TOY, tmp_path / "out", recipe=Recipe(steps=1, every=1, held=0.3))
    with pytest.raises(UnsupportedModel, match="another editor"):
        find_writer(f"ke:{tmp_path / 'out'}").write(local, [ONE])
    with pytest.raises(UnsupportedModel, match="another model"):
        find_writer(f"mend:{tmp_path / 'out'}").write(local_of("llama", tokenizer), [ONE])
    with pytest.raises(UnknownMethod):
        find_writer("nobody:folder")


def test_the_command_line_trains_an_editor(folder: str, tmp_path: Path) -> None:
    edits = tmp_path / "edits.jsonl"
    rows = [
        {
            "kind": "fact", "id": f"e{place}", "prompt": one.rewrite.prompt, "subject": one.rewrite.subject,
            "relation": one.group, "object": one.rewrite.target,
            "probes": [{"prompt": one.inside[0], "must": "change"}, {"prompt": one.outside[0], "must": "stay"}],
        }
        for place, one in enumerate(TOY)
    ]  # fmt: skip
    edits.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["parametric", "train", "mend", "--data", str(edits), "--out", str(tmp_path / "out"), "--steps", "2"]
    common = ["--model", f"hf:{folder}", "--json"]
    result = CliRunner().invoke(main, [*words, *common])
    assert result.exit_code == 0, result.output
    card = documented("parametric train", result.stdout)
    assert (card["steps"], card["learnt"] + card["held"]) == (2, 9)
    assert (tmp_path / "out" / FILE).is_file()
    result = CliRunner().invoke(main, [*words, *common])
    assert result.exit_code == 2
    assert "--resume" in json.loads(result.stdout)["error"]["do"]


def test_an_editor_that_looks_twice_sees_what_it_changed(tokenizer: Any) -> None:
    local = local_of("llama", tokenizer)
    method = SLAG.with_(layers=(1,), hidden=8, repeats=2)
    editor = method.fresh(local.anatomy)
    with torch.no_grad():
        first = editor(seen_of(local, (1,), ONE))
        with beside(local.anatomy, first):
            second = editor(seen_of(local, (1,), ONE))
        left, right = edited(local, editor, ONE)[1]
    wanted = first[1][0] @ first[1][1] + second[1][0] @ second[1][1]
    torch.testing.assert_close(left @ right, wanted, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(left @ right, 2 * first[1][0] @ first[1][1], rtol=1e-3)


def test_enn_is_one_step_from_a_model_that_was_moved(tokenizer: Any) -> None:
    local = local_of("llama", tokenizer)
    editor = ENN.with_(layers=(1,), rank=4, rate=0.02).fresh(local.anatomy)
    with torch.no_grad():
        assert not bool((editor.base()[1][0] @ editor.base()[1][1]).any())  # at first it is the model itself
        editor.left["1"].normal_(0, 0.1)  # type: ignore[operator,union-attr,index]
        left, right = edited(local, editor, ONE)[1]
    base = {layer: tuple(one.detach() for one in pair) for layer, pair in editor.base().items()}
    with local.overlay.over("moved", Delta(base)):  # type: ignore[arg-type]
        wanted = -0.02 * gradient(local, 1)
    assert (left @ right - wanted).norm() <= 1e-5 * wanted.norm()
    assert (left @ right + 0.02 * gradient(local, 1)).norm() > 1e-3 * wanted.norm()


def test_enn_moves_the_model_so_that_a_step_does_more(tokenizer: Any, folder: str, tmp_path: Path) -> None:
    local = toy(folder, tokenizer)
    method = ENN.with_(layers=(0, 1), rank=16)
    recipe = Recipe(steps=12, batch=3, rate=1e-2, every=12, held=0.3)
    card = train(local, method, TOY, tmp_path / "out", recipe=recipe)
    assert card["after"]["loss"] < card["before"]["loss"] - 0.1
    held = next(one for one in TOY if one.group == "ruler").rewrite
    delta = method.with_(folder=str(tmp_path / "out")).write(local, [held])
    assert delta.parts[1][0].shape[1] > 16  # the shift, and the edit's step


def test_open_masks_are_none_and_others_cost_by_what_is_open(tokenizer: Any) -> None:
    local, seen = local_of("llama", tokenizer), seen_of(local_of("llama", tokenizer), (1,), ONE)
    torch.manual_seed(0)
    plain = MEND.with_(layers=(1,), rank=8, scores=False).fresh(local.anatomy)
    torch.manual_seed(0)
    masked = LIME.with_(layers=(1,), rank=8, scores=False, languages=("de", "en")).fresh(local.anatomy).eval()
    masked.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        masked.masks["1"].alphas.fill_(50.0)  # type: ignore[index,union-attr,operator]
        wanted, found = plain(seen)[1], masked(seen)[1]
    assert seen.language == "en"
    torch.testing.assert_close(found[0] @ found[1], wanted[0] @ wanted[1])
    with torch.no_grad():
        masked.masks["1"].alphas[1].fill_(-50.0)  # type: ignore[index,union-attr]
        assert not bool((masked(seen)[1][1]).any())
        other = masked(replace(seen, language="de"))[1]
        torch.testing.assert_close(other[0] @ other[1], wanted[0] @ wanted[1])
        foreign = masked(replace(seen, language="fr"))[1]
        torch.testing.assert_close(foreign[0] @ foreign[1], wanted[0] @ wanted[1])
    masks = Masks(("en",), 4000)
    with torch.no_grad():
        masks.alphas.copy_(torch.linspace(-2, 2, 4000)[None])
        drawn = torch.stack([masks("en") > 0 for _ in range(50)]).double().mean()
    assert float(masks.open_share()) == pytest.approx(float(drawn), abs=0.01)
    assert float(masked.penalty()) == pytest.approx(0.5, abs=0.03)
