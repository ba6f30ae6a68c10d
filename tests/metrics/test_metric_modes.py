from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.neighbors import NearestNeighbors

from bench.metrics import Modes, Truth
from bench.metrics.modes import COLUMNS, Settings, compute


def measure(points: np.ndarray, modes: Modes, **settings: object) -> dict[str, float]:
    return compute(points, np.empty((0, points.shape[1])), Truth(modes=modes), Settings(**settings))


@pytest.mark.parametrize(("norm", "ceiling"), [("euclidean", 1 - np.exp(-4.5)), ("box", 0.9973002039367398**2)])
@pytest.mark.parametrize("name", ["ring", "grid"])
def test_perfect_sampler(name, norm, ceiling, request, draw, rng):
    modes = request.getfixturevalue(name)
    n, k = 20_000, len(modes.weights)
    values = measure(draw(modes, rng.integers(k, size=n)), modes, norm=norm)
    assert values["modes_covered"] == values["modes_covered_by_mass"] == values["modes_total"] == k
    assert stats.binomtest(round(values["high_quality_share"] * n), n, ceiling).pvalue > 1e-4
    # Wilks: twice the log likelihood ratio of uniform shares.
    assert stats.chi2.cdf(2 * n * values["reverse_kl"], k - 1) == pytest.approx(0.5, abs=0.4999)
    assert 0 < values["total_variation"] < 4 * np.sqrt(k / n)


def test_published_floor_of_a_thousand_modes(rng):
    modes = Modes(np.stack(np.divmod(np.arange(1000.0), 40), axis=1), 0.01, np.full(1000, 1 / 1000))
    values = measure(modes.means[rng.integers(1000, size=25_600)], modes)
    assert values["reverse_kl"] == pytest.approx(0.0197, abs=4 * 0.0009)


def test_single_mode_collapse(ring, draw):
    values = measure(draw(ring, np.full(2500, 3)), ring)
    assert values["modes_covered"] == values["modes_covered_by_mass"] == 1
    assert values["high_quality_share"] > 0.98
    assert values["reverse_kl"] == pytest.approx(np.log(8), rel=1e-12)
    assert values["total_variation"] == pytest.approx(7 / 8, rel=1e-12)


def test_missing_mode(ring, draw):
    values = measure(draw(ring, 1 + np.arange(2800) % 7), ring)
    assert values["modes_covered"] == values["modes_covered_by_mass"] == 7
    assert values["reverse_kl"] == pytest.approx(np.log(8 / 7), rel=1e-12)
    assert values["total_variation"] == pytest.approx(1 / 8, rel=1e-12)


def test_diffuse_sampler_is_seen_by_mass_only(grid, rng):
    n = 2500
    values = measure(rng.uniform(-5, 5, size=(n, 2)), grid)
    inside = 25 * np.pi * (3 * grid.std) ** 2 / 100
    assert stats.binomtest(round(values["high_quality_share"] * n), n, inside).pvalue > 1e-4
    # Each mode is missed with probability (1 - inside / 25)^n, so that 20.7 of 25 are expected.
    hit = 1 - (1 - inside / 25) ** n
    assert abs(values["modes_covered"] - 25 * hit) < 4 * np.sqrt(25 * hit * (1 - hit))
    assert values["modes_covered"] >= 15
    assert values["modes_covered_by_mass"] == 0
    assert values["reverse_kl"] < 0.02


def test_unequal_weights_are_the_measure_of_balance():
    modes = Modes(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 0.01, np.array([0.5, 0.3, 0.2]))
    labels = np.repeat([0, 1, 2], [30, 67, 3])
    values = measure(modes.means[labels], modes)
    shares = np.array([0.3, 0.67, 0.03])
    assert values["reverse_kl"] == pytest.approx(stats.entropy(shares, modes.weights), rel=1e-12)
    assert values["total_variation"] == pytest.approx(0.37, rel=1e-12)
    assert (values["modes_covered"], values["modes_covered_by_mass"]) == (3, 2)  # 3 of 100 is under a fifth of 20


@pytest.mark.parametrize(("received", "covered"), [(8, 25), (7, 24)])
def test_mass_rule_is_exact_at_a_fifth_of_the_due(grid, received, covered):
    rest = np.repeat(np.arange(1, 25), 40)
    labels = np.concatenate([np.zeros(received, dtype=int), rest, np.full(40 - received, 24)])
    assert len(labels) == 1000  # a mode is due 40, a fifth is 8
    assert measure(grid.means[labels], grid)["modes_covered_by_mass"] == covered


def test_mass_outside_the_radius_does_not_count(ring):
    points = np.repeat(ring.means * 1.1, 100, axis=0)
    values = measure(points, ring)
    assert values["modes_covered"] == values["modes_covered_by_mass"] == values["high_quality_share"] == 0
    assert values["reverse_kl"] == values["total_variation"] == 0


@pytest.mark.parametrize(
    ("offset", "euclidean", "box"), [((0.03, 0.0), 1, 1), ((0.029, 0.029), 0, 1), ((0.031, 0.0), 0, 0)]
)
def test_radius_of_either_norm(offset, euclidean, box):
    modes = Modes(np.zeros((1, 2)), 0.01, np.ones(1))
    points = np.array([offset])
    assert measure(points, modes)["high_quality_share"] == euclidean
    assert measure(points, modes, norm="box")["high_quality_share"] == box
    assert measure(points, modes, radius=30.0)["high_quality_share"] == 1


def test_nearest_mode_as_scikit_learn_finds_it(rng):
    modes = Modes(rng.normal(size=(12, 5)), 0.3, rng.dirichlet(np.ones(12)))
    points = rng.normal(size=(700, 5))
    distance, index = NearestNeighbors(n_neighbors=1).fit(modes.means).kneighbors(points)
    counts = np.bincount(index[:, 0], minlength=12)
    good = np.bincount(index[distance[:, 0] <= 0.9, 0], minlength=12)
    values = measure(points, modes)
    assert values["modes_covered"] == (good > 0).sum()
    assert values["modes_covered_by_mass"] == (good / 700 >= modes.weights / 5).sum()
    assert values["high_quality_share"] == pytest.approx(good.sum() / 700, rel=1e-12)
    assert values["reverse_kl"] == pytest.approx(stats.entropy(counts, modes.weights), rel=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
def test_points_without_a_distance_give_nan(ring, bad):
    points = np.tile(ring.means, (10, 1))
    points[17, 1] = bad
    values = measure(points, ring)
    assert values.pop("modes_total") == 8
    assert values.keys() == COLUMNS.keys() - {"modes_total"}
    assert np.isnan(list(values.values())).all()


@pytest.mark.parametrize("settings", [{"radius": 0.0}, {"radius": np.inf}, {"radius": np.nan}, {"norm": "cityblock"}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match="radius is above 0 and norm one of euclidean, box"):
        Settings(**settings)


@pytest.mark.parametrize("weights", [[0.5, 0.4], [0.0, 1.0], [1.0], [np.nan, 1.0]])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(ValueError, match="2 modes need as many weights above 0 that sum to 1"):
        Modes(np.eye(2), 0.1, np.array(weights))
