from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from bench.metrics import Truth
from bench.metrics.kid import METRIC, Settings, compute, kernel_distance


def written_out(x: np.ndarray, y: np.ndarray) -> float:
    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    within_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_a_value_by_hand():
    # 1 among {0, 1}, 7^3 among {2, 3}, and (1 + 1 + 27 + 64) / 4 between them.
    assert kernel_distance(np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])) == 1 + 343 - 46.5


@pytest.mark.parametrize("sizes", [(12, 12), (9, 17)])
def test_the_double_loop(sizes, rng):
    x, y = rng.normal(size=(sizes[0], 5)), rng.exponential(size=(sizes[1], 5))
    assert kernel_distance(x, y) == pytest.approx(written_out(x, y), rel=1e-12)


def test_the_formula_of_torch_fidelity(rng):
    pytest.importorskip("torch_fidelity")
    from torch_fidelity.metric_kid import kernel_mmd

    x, y = rng.normal(size=(50, 20)), rng.exponential(size=(50, 20))
    assert kernel_distance(x, y) == pytest.approx(kernel_mmd(x, y), rel=1e-12)


def test_the_mean_over_all_samples_is_the_distance_of_the_laws():
    p, q = np.array([0.0, 1.0]), np.array([-1.0, 2.0])  # each value with probability 1/2
    estimates = [
        kernel_distance(np.array(x)[:, None], np.array(y)[:, None])
        for x, y in product(product(p, repeat=2), product(q, repeat=2))
    ]
    among_p, among_q, between = (((np.multiply.outer(a, b) + 1) ** 3).mean() for a, b in ((p, p), (q, q), (p, q)))
    assert np.mean(estimates) == pytest.approx(among_p + among_q - 2 * between, rel=1e-12)


def test_a_collapsed_generator_is_worse_than_a_perfect_one_and_a_copying_one_is_not(ring, draw, rng):
    reference, training, fresh = (draw(ring, rng.integers(8, size=600)) for _ in range(3))
    copied, collapsed = rng.permutation(training), draw(ring, np.zeros(600, dtype=int))
    values = [compute(points, reference, Truth(), Settings())["kid"] for points in (fresh, copied, collapsed)]
    assert METRIC.columns["kid"].direction == "down"
    # For x, y on the circle (c / 2 + 1)^3 with c the cosine between: its mean is 1 + 3/8; of one point, 27/8.
    assert values == [pytest.approx(0, abs=0.02), pytest.approx(0, abs=0.02), pytest.approx(27 / 8 - 11 / 8, abs=0.15)]


@pytest.mark.parametrize(("kid_n", "used"), [(8, 8), (1000, 10)])
def test_both_sides_give_as_many_points(kid_n, used, rng):
    points, reference = rng.normal(size=(10, 2)), rng.normal(size=(14, 2))
    values = compute(points, reference, Truth(), Settings(kid_n=kid_n))
    assert values == {"kid": pytest.approx(written_out(points[:used], reference[:used]), rel=1e-12), "kid_n": used}


def test_what_has_no_estimate_gives_nan(rng):
    points = rng.normal(size=(20, 2))
    assert np.isnan(kernel_distance(points, points[:1]))
    assert np.isnan(kernel_distance(np.where(np.arange(40).reshape(20, 2) == 7, np.nan, points), points))


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="kid_n is at least 2, not 1"):
        Settings(kid_n=1)
