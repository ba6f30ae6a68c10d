from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.metrics.pairwise import polynomial_kernel

from bench.metrics import Truth
from bench.metrics.inception import METRIC, Settings, compute


def test_both_scores_of_their_own_numbers_of_samples(rng):
    points, reference = rng.normal(size=(40, 6)), rng.exponential(size=(50, 6))
    values = compute(points, reference, Truth(), Settings(inception_n=30, inception_kid_n=20))
    x, y = points[:30], reference[:30]
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    frechet = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
    x, y = points[:20], reference[:20]
    among = sum((k.sum() - np.trace(k)) / (20 * 19) for k in (polynomial_kernel(x), polynomial_kernel(y)))
    assert values == {
        "inception_frechet": pytest.approx(frechet, rel=1e-10),
        "inception_kid": pytest.approx(among - 2 * polynomial_kernel(x, y).mean(), rel=1e-10),
        "inception_n": 30,
        "inception_kid_n": 20,
    }


def test_a_collapsed_generator_is_worse_than_a_perfect_one_and_a_copying_one_is_not(rng):
    reference, training, fresh = rng.exponential(size=(3, 400, 5))
    copied, collapsed = rng.permutation(training), np.repeat(training[:1], 400, axis=0)
    perfect, copies, bad = (compute(points, reference, Truth(), Settings()) for points in (fresh, copied, collapsed))
    for name in ("inception_frechet", "inception_kid"):
        assert METRIC.columns[name].direction == "down"
        assert max(abs(perfect[name]), abs(copies[name])) < bad[name] / 10


def test_it_is_asked_for():
    assert METRIC.space == "inception"
    assert not Settings().inception


@pytest.mark.parametrize("settings", [{"inception_n": 1}, {"inception_kid_n": 1}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match="inception_n and inception_kid_n are at least 2"):
        Settings(**settings)
