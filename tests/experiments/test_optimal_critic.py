"""Readings of a critic between two fixed laws, against closed forms, scipy, and numpy over the stored samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from at_work import context
from scipy import optimize, spatial, special, stats

from bench.cell import Run, Unit
from bench.experiments import Result, make_cell
from bench.experiments.optimal_critic import OPTIMAL_CRITIC, _rank_correlations, _ties, reads_logits
from objectives import OBJECTIVES

DISTANCE, STD, N, EMD_N = 3.0, 0.8, 64, 40
RAW = {
    "pair": {"name": "two_gaussians", "distance": DISTANCE, "std": STD}, "steps": 30, "batch_size": 32,
    "critic": {"name": "mlp", "depth": 0}, "optimizer": {"name": "sgd", "lr": 0.3}, "observe": {"observations": 1},
    "probe": {"n": N, "emd_n": EMD_N, "surface": 7},
}  # fmt: skip


def run(folder: Path, **own: Any) -> list[Result]:
    cell = make_cell(OPTIMAL_CRITIC, OPTIMAL_CRITIC.resolve({**RAW, **own}))
    return OPTIMAL_CRITIC.run(Unit((Run(cell, 0), Run(cell, 3))), context(folder))


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """A discriminator that is linear, so that all that is read of it follows from three numbers."""
    return run(tmp_path_factory.mktemp("linear") / "unit", objective="non_saturating")


def plane(result: Result) -> tuple[np.ndarray, float]:
    """Weights and bias, by least squares from the stored surface."""
    x, y = (axis.astype(float) for axis in result.samples["surface_axes"])
    columns = np.stack([np.tile(x, len(y)), np.repeat(y, len(x)), np.ones(len(x) * len(y))], 1)
    found, residue, *_ = np.linalg.lstsq(columns, result.samples["surface_score"].astype(float).ravel())
    assert residue.sum() < 1e-8
    return found[:2], float(found[2])


def test_slopes_are_those_of_the_plane(linear: list[Result]) -> None:
    for result in linear:
        (last, first), (weights, bias) = (result.rows[-1], result.rows[0]), plane(result)
        size = float(np.linalg.norm(weights))
        assert size > 0.5
        assert first["slope_real"] != last["slope_real"]
        for name in ("slope_real", "slope_fake", "slope_between", "slope_largest"):
            assert last[name] == pytest.approx(size, rel=1e-5)
        np.testing.assert_allclose(result.samples["line_slope"], size, rtol=1e-5)
        gap = (result.samples["real"].mean(0) - result.samples["fake"].mean(0)) @ weights
        assert last["score_gap"] == pytest.approx(float(gap), rel=1e-4)
        assert last["separation"] == pytest.approx(float(gap) / size, rel=1e-4)
        for law in ("real", "fake"):
            chance = special.expit(result.samples[law].astype(float) @ weights + bias)
            expected = np.median(chance * (1 - chance)) * size
            assert last[f"probability_slope_{law}"] == pytest.approx(expected, rel=1e-4)


def test_the_optimal_discriminator_is_that_of_the_densities(linear: list[Result]) -> None:
    densities = [stats.multivariate_normal([centre, 0], STD**2) for centre in (DISTANCE / 2, -DISTANCE / 2)]
    for result in linear:
        last, (weights, bias) = result.rows[-1], plane(result)
        points = {law: result.samples[law].astype(float) for law in ("real", "fake")}
        ratios = {law: densities[0].logpdf(x) - densities[1].logpdf(x) for law, x in points.items()}
        best = {law: special.expit(ratio) for law, ratio in ratios.items()}
        js = np.log(2) + (np.log(best["real"]).mean() + np.log(1 - best["fake"]).mean()) / 2
        assert last["js_known"] == pytest.approx(js, rel=1e-5)
        own = {law: special.expit(x @ weights + bias) for law, x in points.items()}
        js = np.log(2) + (np.log(own["real"]).mean() + np.log(1 - own["fake"]).mean()) / 2
        assert last["js_estimate"] == pytest.approx(js, rel=1e-4)
        error = np.concatenate([own[law] - best[law] for law in points])
        assert last["probability_error"] == pytest.approx(float(np.sqrt((error**2).mean())), rel=1e-3)
        for law, chance in best.items():
            slope = np.median(chance * (1 - chance)) * DISTANCE / STD**2
            assert last[f"probability_slope_known_{law}"] == pytest.approx(slope, rel=1e-5)
        line = result.samples["line"].astype(float)
        on_line = np.stack([line, 0 * line], 1)
        expected = densities[0].logpdf(on_line) - densities[1].logpdf(on_line)
        np.testing.assert_allclose(result.samples["line_log_ratio"], expected, rtol=1e-5, atol=1e-4)


def test_distances_are_exact_and_w1_is_known(linear: list[Result]) -> None:
    for result in linear:
        last = result.rows[-1]
        cost = spatial.distance.cdist(result.samples["real"][:EMD_N], result.samples["fake"][:EMD_N])
        assert last["emd"] == pytest.approx(cost[optimize.linear_sum_assignment(cost)].mean(), rel=1e-6)
        assert 0 < last["emd_floor"] < last["emd"] / 2
        assert last["wasserstein"] == DISTANCE


def test_order_is_read_where_fakes_are_nearer(linear: list[Result]) -> None:
    for result in linear:
        line = result.samples["line"].astype(float)
        points = np.stack([line, 0 * line], 1)
        far, near = (
            spatial.distance.cdist(points, result.samples[law].astype(float)).min(1) for law in ("real", "fake")
        )
        own = far > near
        expected = stats.spearmanr(result.samples["line_score"][own], far[own]).statistic
        assert result.rows[-1]["rank_correlation"] == pytest.approx(expected, abs=1e-6)
        assert expected < -0.99
        assert result.rows[-1]["ties_score"] == result.rows[-1]["ties_probability"] == 0


def test_a_wasserstein_critic_has_no_probability_and_unknown_laws_no_optimum(tmp_path: Path) -> None:
    pair = {"name": "noised", "dataset": "swiss_roll_wgan_gp"}
    result, _ = run(tmp_path / "unit", objective="wgan_gp", pair=pair, steps=2)
    last = result.rows[-1]
    assert last["logits"] == 0
    assert np.isfinite([last["separation"], last["emd"], last["js_estimate"]]).all()
    known = ("wasserstein", "js_known", "probability_error", "probability_slope_real", "ties_probability")
    assert not set(known) & set(last)
    assert not {"line_log_ratio", "surface_log_ratio"} & set(result.samples)


def test_which_objectives_read_scores_as_logits() -> None:
    """Those of the logarithmic loss, and the reverse KL divergence, whose T = -p_fake / p_real is -exp(-score)."""
    found = set()
    for name, objective in OBJECTIVES.items():
        hparams = {key: torch.tensor(value, dtype=torch.float64) for key, value in objective.hparams.items()}
        if reads_logits(objective, hparams, (2,)):
            found.add(name)
    logarithmic = {"minimax", "non_saturating", "dragan", "non_saturating_r1", "non_saturating_r1_r2"}
    assert found - {"alpha_gan"} == {*logarithmic, "fgan_reverse_kl"}


def test_ties_are_of_neighbours_that_both_count() -> None:
    values = torch.tensor([[1.0, 1.0, 2.0, 2.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]])
    chosen = torch.tensor([[True, True, True, True, False, False], [False] * 6])
    found = _ties(values, chosen)
    assert found[0] == pytest.approx(2 / 3)
    assert torch.isnan(found[1]), "no neighbours"


def test_a_probability_near_1_ties_where_the_score_does_not() -> None:
    scores = torch.linspace(20, 40, 50)[None]
    everywhere = torch.ones(1, 50, dtype=torch.bool)
    assert float(_ties(scores, everywhere)) == 0
    assert float(_ties(torch.sigmoid(scores), everywhere)) == 1
    assert float(_ties(torch.sigmoid(-scores), everywhere)) == 0


def test_equal_scores_have_no_rank_correlation() -> None:
    chosen = torch.tensor([[True, True, True, False]])
    far = torch.tensor([[1.0, 2.0, 3.0, 0.0]])
    assert torch.isnan(_rank_correlations(torch.tensor([[5.0, 5.0, 5.0, 1.0]]), far, chosen))
    found = _rank_correlations(torch.tensor([[5.0, 4.0, 4.5, 9.0]]), far, chosen)
    assert float(found) == pytest.approx(-0.5)
