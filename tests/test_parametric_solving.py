"""The closed forms against independent dense solutions, in float64."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from memedit.errors import EditDiverged
from memedit.parametric.methods import alphaedit, emmet, memit, memit_seq, rome
from memedit.parametric.solving import USUAL, Weight, outer, ridge
from memedit.parametric.stats import Stats, moments

IN, OUT = 12, 7


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def stats() -> Stats:
    return moments([draw(100, IN, seed=1) @ draw(IN, IN, seed=2)])


def whole(factors: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return factors[0] @ factors[1]


def stacked(blocks: list[torch.Tensor], residuals: torch.Tensor) -> torch.Tensor:
    """argmin ‖[0, …, 0, R] - Δ [B₁, …, K]‖ by plain least squares; the last block is K."""
    rows = torch.cat(blocks, dim=1)
    wanted = torch.cat([residuals.new_zeros(len(residuals), rows.shape[1] - residuals.shape[1]), residuals], dim=1)
    return torch.linalg.lstsq(rows.T, wanted.T, driver="gelsd").solution.T


def with_equalities(
    moment: torch.Tensor, keys: torch.Tensor, residuals: torch.Tensor, ease: float = 0.0
) -> torch.Tensor:
    """argmin tr(Δ C Δᵀ) with ΔK = R by its KKT system; `ease` loosens the equality."""
    count = keys.shape[1]
    system = torch.cat(
        [torch.cat([moment, keys], 1), torch.cat([keys.T, -ease * torch.eye(count, dtype=keys.dtype)], 1)]
    )
    right = torch.cat([residuals.new_zeros(len(moment), len(residuals)), residuals.T])
    return torch.linalg.solve(system, right)[: len(moment)].T


def root(matrix: torch.Tensor) -> torch.Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp(min=0).sqrt()


def test_statistics_are_one_product_over_all_tokens() -> None:
    keys = draw(50, IN)
    streamed = moments(keys.split([3, 17, 30]))
    assert streamed.tokens == 50
    torch.testing.assert_close(streamed.moment, keys.T @ keys / 50, rtol=1e-12, atol=0)
    torch.testing.assert_close(moments(keys.float().split(7)).moment, keys.T @ keys / 50, rtol=1e-6, atol=1e-7)


def test_statistics_of_fewer_tokens_than_inputs_can_be_solved() -> None:
    few = moments([draw(3, IN)])
    assert bool(few.solve(draw(IN, 2)).isfinite().all())


def test_rome_is_constrained_least_squares(stats: Stats) -> None:
    key, residual = draw(IN, 1, seed=3), draw(OUT, 1, seed=4)
    delta = whole(rome.solve(key, residual, stats))
    torch.testing.assert_close(delta, with_equalities(stats.moment, key, residual), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(delta @ key, residual, rtol=1e-10, atol=1e-10)


def test_rome_with_two_different_keys_misses_its_value(stats: Stats) -> None:
    """The first code's fault: u of the averaged key, the denominator of the bare one."""
    averaged, bare, residual = draw(IN, 1, seed=3), draw(IN, 1, seed=5), draw(OUT, 1, seed=4)
    spread = stats.solve(averaged)
    delta = residual @ (spread / (bare.T @ spread)).T
    assert float((delta @ averaged - residual).norm()) > 0.1


@pytest.mark.parametrize("count", [1, 5, IN + 4])
def test_memit_is_weighted_least_squares(stats: Stats, count: int) -> None:
    keys, residuals = draw(IN, count, seed=3), draw(OUT, count, seed=4)
    weight = USUAL.of(keys, stats)
    expected = stacked([weight**0.5 * root(stats.moment), keys], residuals)
    torch.testing.assert_close(whole(memit.solve(keys, residuals, stats)), expected, rtol=1e-7, atol=1e-9)


def test_memit_with_repeated_keys(stats: Stats) -> None:
    keys, residuals = draw(IN, 2, seed=3).repeat(1, 2), draw(OUT, 4, seed=4)
    expected = stacked([USUAL.of(keys, stats) ** 0.5 * root(stats.moment), keys], residuals)
    torch.testing.assert_close(whole(memit.solve(keys, residuals, stats)), expected, rtol=1e-7, atol=1e-9)


def test_both_forms_of_the_ridge_are_equal(stats: Stats) -> None:
    keys, residuals = draw(IN, 5, seed=3), draw(OUT, 5, seed=4)
    primal = residuals @ torch.linalg.solve(stats.moment + keys @ keys.T, keys).T
    torch.testing.assert_close(whole(ridge(keys, residuals, stats.moment)), primal, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("method", ["memit_seq", "encore"])
def test_earlier_keys_weigh_in(stats: Stats, method: str) -> None:
    keys, residuals, earlier = draw(IN, 4, seed=3), draw(OUT, 4, seed=4), draw(IN, 3, seed=5)
    weight = USUAL.of(keys, stats)
    blocks = [weight**0.5 * root(stats.moment), earlier]
    if method == "encore":
        blocks.append((weight * memit_seq.RIDGE) ** 0.5 * torch.eye(IN, dtype=keys.dtype))
    solve = memit_seq.solve if method == "memit_seq" else memit_seq.solve_encore
    delta = whole(solve(keys, residuals, stats, earlier))
    torch.testing.assert_close(delta, stacked([*blocks, keys], residuals), rtol=1e-7, atol=1e-9)
    forgets = whole(memit.solve(keys, residuals, stats))
    assert float((delta @ earlier).norm()) < float((forgets @ earlier).norm())


def test_without_earlier_keys_the_sequential_form_is_memit(stats: Stats) -> None:
    keys, residuals = draw(IN, 4, seed=3), draw(OUT, 4, seed=4)
    first, second = memit_seq.solve(keys, residuals, stats, None), memit.solve(keys, residuals, stats)
    torch.testing.assert_close(whole(first), whole(second), rtol=1e-12, atol=0)


def test_a_key_is_written_with_its_share(stats: Stats) -> None:
    key, residual = draw(IN, 1, seed=3), draw(OUT, 1, seed=4)
    ratio = float(key.T @ stats.solve(key)) / USUAL.of(key, stats)
    assert ratio == pytest.approx(5.0)
    written = whole(memit.solve(key, residual, stats)) @ key
    torch.testing.assert_close(written, residual * ratio / (1 + ratio), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("method", [memit, memit_seq])
def test_a_published_weight_takes_the_place_of_the_one_that_fits(stats: Stats, method: ModuleType) -> None:
    keys, residuals = draw(IN, 5, seed=3), draw(OUT, 5, seed=4)
    expected = stacked([40.0**0.5 * root(stats.moment), keys], residuals)
    delta = whole(method.solve(keys, residuals, stats, None, Weight(fixed=40.0)))
    torch.testing.assert_close(delta, expected, rtol=1e-7, atol=1e-9)
    assert Weight(share=10.0).of(keys, stats) == pytest.approx(USUAL.of(keys, stats) / 2)


def test_emmet_gives_every_key_its_value(stats: Stats) -> None:
    keys, residuals = draw(IN, 4, seed=3), draw(OUT, 4, seed=4)
    exact = whole(emmet.solve(keys, residuals, stats, ease=0.0))
    torch.testing.assert_close(exact @ keys, residuals, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(exact, with_equalities(stats.moment, keys, residuals), rtol=1e-7, atol=1e-9)
    eased = whole(emmet.solve(keys, residuals, stats))
    expected = with_equalities(stats.moment, keys, residuals, ease=emmet.EASE)
    torch.testing.assert_close(eased, expected, rtol=1e-7, atol=1e-9)


def test_emmet_of_one_edit_is_rome(stats: Stats) -> None:
    key, residual = draw(IN, 1, seed=3), draw(OUT, 1, seed=4)
    one, other = emmet.solve(key, residual, stats), rome.solve(key, residual, stats)
    torch.testing.assert_close(whole(one), whole(other), rtol=1e-10, atol=0)


@pytest.mark.parametrize("earlier", [None, 3])
@pytest.mark.parametrize("pull", [None, 10.0])
def test_alphaedit_is_the_authors_unsymmetric_solution(stats: Stats, earlier: int | None, pull: float | None) -> None:
    keys, residuals = draw(IN, 4, seed=3), draw(OUT, 4, seed=4)
    previous = None if earlier is None else draw(IN, earlier, seed=5)
    least = alphaedit.basis(stats)
    project = least @ least.T
    torch.testing.assert_close(project @ project, project, rtol=0, atol=1e-12)
    system = project @ (keys @ keys.T + outer(previous, stats.moment))
    system = system + (pull or alphaedit.PULL) * torch.eye(IN, dtype=keys.dtype)
    expected = torch.linalg.solve(system, project @ keys @ residuals.T).T
    delta = whole(alphaedit.solve(keys, residuals, stats, previous, Weight(fixed=pull)))
    torch.testing.assert_close(delta, expected, rtol=1e-8, atol=1e-10)
    kept = stats.spectrum[1][:, least.shape[1] :]
    torch.testing.assert_close(delta @ kept, torch.zeros(OUT, kept.shape[1], dtype=keys.dtype), rtol=0, atol=1e-11)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_alphaedit_refuses_to_choose_nothing_or_everything(stats: Stats, share: float) -> None:
    with pytest.raises(EditDiverged, match="share"):
        alphaedit.basis(stats, share)


def test_nas_holds_values_to_one_norm_and_leaves_those_that_are_too_far() -> None:
    inner, deltas = draw(5, OUT, seed=3), draw(5, OUT, seed=4)
    deltas[4] *= 100
    kept = memit.held(deltas, inner, norm=4.0)
    near = (inner + deltas).norm(dim=1) <= 8.0
    assert near.tolist()[:4] == [True] * 4
    assert not near[4]
    torch.testing.assert_close((inner + kept)[:4].norm(dim=1), torch.full((4,), 4.0, dtype=torch.float64))
    assert bool((kept[4] == 0).all())


def test_the_mean_norm_leaves_out_the_largest() -> None:
    norms = torch.ones(20, 1, dtype=torch.float64)
    norms[7] = 1_000.0
    assert memit.mean_norm(norms) == pytest.approx(1.0)
