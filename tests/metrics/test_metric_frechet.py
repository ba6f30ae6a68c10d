from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from bench.metrics import Truth
from bench.metrics.frechet import METRIC, Settings, compute, frechet_distance


def exactly(n: int, mean: np.ndarray, root: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples [n, D] whose mean is exactly the one given, and whose unbiased covariance is root'root."""
    noise = rng.normal(size=(n, len(mean)))
    unit = np.linalg.qr(noise - noise.mean(0))[0] * np.sqrt(n - 1)
    return mean + unit @ root


def by_matrix_root(x: np.ndarray, y: np.ndarray) -> float:
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    return float(np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real))


@pytest.mark.parametrize("dimensions", [1, 5])
def test_gaussians_whose_covariances_commute(dimensions, rng):
    turn = np.linalg.qr(rng.normal(size=(dimensions, dimensions)))[0]
    means, stds = rng.normal(size=(2, dimensions)), rng.uniform(0.1, 3, size=(2, dimensions))
    x, y = (exactly(n, means[i], np.diag(stds[i]) @ turn, rng) for i, n in enumerate((30, 50)))
    expected = np.square(means[0] - means[1]).sum() + np.square(stds[0] - stds[1]).sum()
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_gaussians_of_any_covariance(scale, rng):
    x, y = (rng.normal(size=(n, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6) for n in (40, 70))
    assert frechet_distance(scale * x, scale * y) / scale**2 == pytest.approx(by_matrix_root(x, y), rel=1e-10)


def test_the_formula_of_torch_fidelity(rng):
    pytest.importorskip("torch_fidelity")
    import torch
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    x, y = rng.normal(size=(100, 20)), rng.exponential(size=(100, 20))
    theirs = fid_statistics_to_metric(*(fid_features_to_statistics(torch.from_numpy(z)) for z in (x, y)), verbose=False)
    assert frechet_distance(x, y) == pytest.approx(theirs[KEY_METRIC_FID], rel=1e-10)


def test_singular_covariances_are_as_good_as_others(rng):
    x, y = rng.normal(size=(12, 4)), 2 * rng.normal(size=(15, 4)) + 1
    into = np.linalg.qr(rng.normal(size=(40, 4)))[0].T  # 40 features, of which 36 say nothing
    assert frechet_distance(x @ into + 5, y @ into + 5) == pytest.approx(by_matrix_root(x, y), rel=1e-12)
    one, other = np.outer(rng.normal(size=9), np.eye(2)[0]), np.outer(rng.normal(size=9), np.eye(2)[1])
    expected = np.square(one.mean(0) - other.mean(0)).sum() + one[:, 0].var(ddof=1) + other[:, 1].var(ddof=1)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(np.full((5, 3), 1.0), np.full((7, 3), 3.0)) == pytest.approx(12, rel=1e-12)


@pytest.mark.parametrize("shape", [(50, 5), (10, 40)])
def test_equal_samples_are_at_0_and_never_below(shape, rng):
    for _ in range(20):
        x = rng.normal(size=shape) * 100
        assert 0 <= frechet_distance(x, rng.permutation(x)) < 1e-14 * np.square(x).sum()


def test_a_collapsed_generator_is_worse_than_a_perfect_one_and_a_copying_one_is_not(ring, draw, rng):
    reference, training, fresh = (draw(ring, rng.integers(8, size=600)) for _ in range(3))
    copied, collapsed = rng.permutation(training), draw(ring, np.zeros(600, dtype=int))
    values = [compute(points, reference, Truth(), Settings())["frechet"] for points in (fresh, copied, collapsed)]
    assert METRIC.columns["frechet"].direction == "down"
    # The ring has mean 0 and covariance I/2 (in the plane, radius 1): a point on it is 1 + 1 away.
    assert values == [pytest.approx(0, abs=0.02), pytest.approx(0, abs=0.02), pytest.approx(2, abs=0.1)]


@pytest.mark.parametrize(("frechet_n", "used"), [(15, 15), (10_000, 20)])
def test_both_sides_give_as_many_points(frechet_n, used, rng):
    points, reference = rng.normal(size=(20, 2)), rng.normal(size=(30, 2))
    values = compute(points, reference, Truth(), Settings(frechet_n=frechet_n))
    expected = by_matrix_root(points[:used], reference[:used])
    assert values == {"frechet": pytest.approx(expected, rel=1e-10), "frechet_n": used}


def test_what_has_no_fit_gives_nan(rng):
    points = rng.normal(size=(20, 2))
    assert np.isnan(frechet_distance(points[:1], points))
    assert np.isnan(frechet_distance(points, np.where(np.arange(40).reshape(20, 2) == 7, np.inf, points)))


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="frechet_n is at least 2, not 1"):
        Settings(frechet_n=1)
