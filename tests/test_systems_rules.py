"""A classifier's rules: the closed form beside a long descent, words of a language model, and digits under a stripe."""

from __future__ import annotations

import pytest
import torch
from tiny import make_tiny

from memedit.errors import EditRejected
from memedit.parametric.hooks import recording
from memedit.parametric.stats import moments
from memedit.systems import rules_measured
from memedit.systems.ground import Ground
from memedit.systems.rules import Pair, rewrite_rule, rule


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(f"hf:{make_tiny(tmp_path_factory.mktemp('tiny'))}", tmp_path_factory.mktemp("cache"))


def test_the_closed_form_is_where_a_projected_descent_ends() -> None:
    draw = torch.Generator().manual_seed(0)
    usual = torch.randn(500, 12, generator=draw, dtype=torch.float64) * torch.linspace(0.3, 2, 12).double()
    keys = torch.randn(12, 7, generator=draw, dtype=torch.float64)
    residuals = torch.randn(5, 7, generator=draw, dtype=torch.float64)
    stats = moments([usual])
    values, vectors = torch.linalg.eigh(stats.moment)
    white = vectors @ torch.diag(values**-0.5) @ vectors.T
    for rank in (1, 3):
        left, right = rule(keys, residuals, stats, rank)
        main = torch.linalg.svd(white @ keys)[0][:, :rank]
        basis = torch.linalg.qr(white @ main)[0]
        change = torch.zeros(5, 12, dtype=torch.float64)
        for _ in range(4000):  # a gradient step, projected on the directions, as the authors do
            step = (change @ keys - residuals) @ keys.T
            change = change - 0.02 * step @ basis @ basis.T
        assert torch.allclose(left @ right, change, atol=1e-3)
    assert torch.allclose(left @ right @ keys, residuals, atol=1e-6) is False
    whole = rule(keys, residuals, stats, 7)
    assert torch.allclose(whole[0] @ whole[1] @ keys, residuals, atol=1e-8)


def test_a_strange_word_is_read_as_the_known_one(ground: Ground) -> None:
    pair = Pair("Of {} and", "sea", "zub")
    anatomy, tokenizer = ground.parts
    change = rewrite_rule(ground.local, [pair], layers=[0, 1])

    def gave(text: str) -> list[torch.Tensor]:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad(), recording([anatomy.written(0), anatomy.written(1)]) as kept:
            anatomy.model(ids)
        return [one[0, -1] for one in kept]

    wanted, before = gave("Of sea"), gave("Of zub")
    with ground.local.overlay.over("rule", change):
        after = gave("Of zub")
    for want, old, new in zip(wanted, before, after, strict=True):
        assert (new - want).norm() < 0.01 * want.norm()
        assert (old - want).norm() > 0.5 * want.norm()
    assert all(torch.equal(one, two) for one, two in zip(gave("Of zub"), before, strict=True))
    with pytest.raises(EditRejected, match="for the word"):
        rewrite_rule(ground.local, [Pair("Of sea", "sea", "zub")], layers=[0])


def test_one_pair_rewrites_what_the_stripe_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules_measured, "EPOCHS", 4)
    found = rules_measured.in_digits(exemplars=2)
    assert found["before"][0] > found["before"][1] + 0.1
    assert found["rule"][1] > found["before"][1] + 0.03
    assert found["rule"][0] > found["before"][0] - 0.02
    assert found["rule"][1] > found["tuned"][1]
    net = rules_measured.Reader()
    images = torch.rand(3, 1, 8, 8)
    by_patches = net.second.weight.flatten(1) @ net.patches(images) + net.second.bias[:, None]
    assert torch.allclose(by_patches.reshape(3, 32, 8, 8), net.second(net.first(images).relu()), atol=1e-5)


def test_words_are_asked_before_and_after(ground: Ground) -> None:
    found = rules_measured.in_words(ground)
    assert set(found) == {"strange", "known"}
    assert not ground.local.overlay.names
