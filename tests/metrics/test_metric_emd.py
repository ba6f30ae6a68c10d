from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial.distance import cdist

from bench import ROOT
from bench.metrics import Truth, emd
from bench.metrics.emd import Settings, SolveError, earth_movers_distance


def ring_distance(std: float) -> float:
    """Mean distance from a mode of the 8-ring of radius 1 to its samples, by quadrature: E|m_0 - m_k - std z|."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    angles = 2 * np.pi * np.arange(1, 8) / 8
    offset = np.stack([np.cos(angles) - 1, np.sin(angles)], axis=1)
    x = offset[:, 0, None, None] + std * nodes[:, None]
    y = offset[:, 1, None, None] + std * nodes[None, :]
    far = (np.hypot(x, y) * np.outer(weights, weights)).sum(axis=(1, 2)) / weights.sum() ** 2
    near = std * np.sqrt(np.pi / 2)  # a Rayleigh mean: the integrand has a corner at 0
    return float((far.sum() + near) / 8)


@pytest.mark.parametrize(("mass", "cost"), [(10, 5.0), (1, 0.5)])
def test_discrete_example(mass, cost):
    places = np.arange(4.0)[:, None]
    before, after = np.array([3, 2, 1, 4]) * mass / 10, np.array([1, 2, 4, 3]) * mass / 10
    value = earth_movers_distance(places, places, norm="euclidean", x_weights=before, y_weights=after)
    assert value == pytest.approx(cost, rel=1e-14)


@pytest.mark.parametrize("norm", ["euclidean", "cityblock"])
@pytest.mark.parametrize("seed", range(20))
def test_assignment_problem(seed, norm):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(2, 200)), int(rng.integers(1, 6))
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, d)) * rng.uniform(0.1, 3)
    cost = cdist(x, y, norm)
    assert earth_movers_distance(x, y, norm=norm) == pytest.approx(cost[linear_sum_assignment(cost)].mean(), rel=1e-12)


@pytest.mark.parametrize("sizes", [(50, 50), (60, 37), (1, 20)])
def test_one_dimension(sizes, rng):
    x, y = (rng.exponential(size=(size, 1)) for size in sizes)
    a, b = (rng.dirichlet(np.ones(size)) for size in sizes)
    assert earth_movers_distance(x, y, norm="euclidean") == pytest.approx(
        stats.wasserstein_distance(x[:, 0], y[:, 0]), rel=1e-12
    )
    assert earth_movers_distance(x, y, norm="cityblock", x_weights=a, y_weights=b) == pytest.approx(
        stats.wasserstein_distance(x[:, 0], y[:, 0], a, b), rel=1e-12
    )


def test_linear_program_with_unequal_sizes(rng):
    x, y = rng.normal(size=(9, 3)), rng.normal(size=(14, 3))
    margins = np.vstack([np.kron(np.eye(9), np.ones(14)), np.kron(np.ones(9), np.eye(14))])
    sums = np.concatenate([np.full(9, 1 / 9), np.full(14, 1 / 14)])
    assert earth_movers_distance(x, y, norm="euclidean") == pytest.approx(
        linprog(cdist(x, y).ravel(), A_eq=margins, b_eq=sums).fun, rel=1e-9
    )


@pytest.mark.parametrize("scale", [1e-150, 1e-14, 1e-10, 1e-3, 1e30])
def test_the_value_scales_with_the_data(scale, rng):
    x, y = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    cost = cdist(x, y)
    assert earth_movers_distance(scale * x, scale * y, norm="euclidean") / scale == pytest.approx(
        cost[linear_sum_assignment(cost)].mean(), rel=1e-12
    )


@pytest.mark.parametrize(("norm", "length"), [("euclidean", 5.0), ("cityblock", 7.0)])
def test_a_translation_costs_its_length(norm, length, rng):
    x = rng.normal(size=(300, 2))
    assert earth_movers_distance(x, rng.permutation(x) + np.array([3.0, -4.0]), norm=norm) == pytest.approx(
        length, rel=1e-12
    )
    assert earth_movers_distance(x, rng.permutation(x), norm=norm) == pytest.approx(0, abs=1e-14)


def test_point_collapse_on_the_ring_costs_what_quadrature_says(ring, draw):
    assert ring_distance(0) == pytest.approx(1 / np.tan(np.pi / 16) / 4, rel=1e-12)
    n = 4000
    reference = draw(ring, np.arange(n) % 8)
    value = earth_movers_distance(ring.means[:1], reference, norm="euclidean")
    assert value == pytest.approx(ring_distance(ring.std), abs=4 * ring.std / np.sqrt(n))


def test_mode_collapse_on_the_ring_costs_what_is_published(ring, draw):
    labels = np.arange(1000) % 8
    value = earth_movers_distance(draw(ring, 0 * labels), draw(ring, labels), norm="euclidean")
    assert value == pytest.approx(1.251, abs=4 * 0.0205)  # what uneven counts of 1000 may add to the published value
    # By the triangle inequality over the point collapse, within four standard errors of 1000 samples.
    assert abs(value - ring_distance(ring.std)) < ring.std * (np.sqrt(np.pi / 2) + 4 / np.sqrt(1000))


def test_missing_mode_on_the_ring_costs_what_arithmetic_says(ring):
    # The missing eighth comes in equal parts from the seven modes: 1/56 of each at 2 sin(pi k / 8).
    value = earth_movers_distance(ring.means[1:], ring.means, norm="euclidean")
    assert value == pytest.approx(2 / np.tan(np.pi / 16) / 56, rel=1e-12)


def test_floor_on_the_ring_as_published(ring, draw, rng):
    floors = [
        earth_movers_distance(*(draw(ring, rng.integers(8, size=1000)) for _ in range(2)), norm="euclidean")
        for _ in range(4)
    ]
    assert np.mean(floors) == pytest.approx(0.051, abs=4 * 0.009 / 2)


def test_an_unfinished_solve_is_no_number(monkeypatch, rng):
    x, y = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    monkeypatch.setattr(emd, "MAX_PIVOTS", 10)
    with pytest.raises(SolveError, match="numItermax reached"):
        earth_movers_distance(x, y, norm="euclidean")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(SolveError, match="numItermax reached"):
            earth_movers_distance(x, y, norm="euclidean")


@pytest.mark.parametrize(
    ("a", "b"), [([1, 1], [1, 1, 1]), ([-1, 2], [1, 0, 0]), ([np.nan, 1], [1, 1, 1]), ([0, 0], [0, 0, 0])]
)
def test_impossible_weights_are_refused(a, b):
    with pytest.raises(ValueError, match="weights are at least 0 with equal sums above 0"):
        earth_movers_distance(np.eye(2), np.eye(3)[:, :2], norm="euclidean", x_weights=a, y_weights=b)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_points_without_a_distance_give_nan(bad, rng):
    points, reference = rng.normal(size=(20, 2)), rng.normal(size=(30, 2))
    points[3, 0] = bad
    values = emd.compute(points, reference, Truth(), Settings(emd_n=10))
    assert np.isnan(values["emd"])
    assert values["emd_n"] == 10


@pytest.mark.parametrize(("emd_n", "used"), [(15, 15), (1000, 20)])
def test_both_sides_give_as_many_points(emd_n, used, rng):
    points, reference = rng.normal(size=(20, 2)), rng.normal(size=(30, 2))
    values = emd.compute(points, reference, Truth(), Settings(emd_n=emd_n, emd_norm="cityblock"))
    cost = cdist(points[:used], reference[:used], "cityblock")
    assert values == {"emd": pytest.approx(cost[linear_sum_assignment(cost)].mean(), rel=1e-12), "emd_n": used}


@pytest.mark.parametrize("settings", [{"emd_n": 0}, {"emd_norm": "box"}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match="emd_n is at least 1 and emd_norm one of euclidean, cityblock"):
        Settings(**settings)


def test_a_solve_that_does_not_fit_is_refused_before_it_takes_anything(monkeypatch, rng):
    x, y = rng.normal(size=(200, 2)), rng.normal(size=(300, 2))
    fitting = earth_movers_distance(x, y, norm="euclidean")
    monkeypatch.setattr(emd, "available", lambda: emd.memory(200, 300))
    assert earth_movers_distance(x, y, norm="euclidean") == fitting
    monkeypatch.setattr(emd, "available", lambda: emd.memory(200, 300) - 1)
    monkeypatch.setattr("scipy.spatial.distance.cdist", None)
    with pytest.raises(MemoryError, match=r"an EMD of 300 samples takes up to 0.0029 GB, and 0.0029 GB are free"):
        earth_movers_distance(x, y, norm="euclidean")
    monkeypatch.undo()
    monkeypatch.setattr(emd, "available", lambda: None)
    assert earth_movers_distance(x, y, norm="euclidean") == fitting


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from Linux's files")
def test_a_solve_takes_the_memory_that_is_stated_and_does_not_load_torch():
    code = """
import sys
from pathlib import Path
import bench.metrics, numpy
heavy = {"scipy", "ot", "pandas", "sklearn"} & sys.modules.keys()
assert not heavy, heavy
spaces = {"data": numpy.eye(3)}
assert bench.metrics.compute_all(["emd"], spaces, spaces, bench.metrics.Truth(), {}).values == {"emd": 0, "emd_n": 3}
peak = lambda: 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
x, y = numpy.random.default_rng(0).normal(size=(2, 1400, 2))
before = peak()
bench.metrics.emd.earth_movers_distance(x, y, norm="euclidean")
print((peak() - before) / bench.metrics.emd.memory(1400))
assert "torch" not in sys.modules
"""
    told = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True).stdout
    assert 0.8 < float(told) <= 1
