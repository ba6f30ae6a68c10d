from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

from bench.metrics import Truth
from bench.metrics.memorisation import METRIC, Settings, compute

D = 16


def of(points: np.ndarray, reference: np.ndarray, training: np.ndarray, **settings: int) -> tuple[float, float, float]:
    values = compute(points, reference, Truth(training=training), Settings(**settings))
    return values["train_distance_ratio"], values["copied_share"], values["memorisation_n"]


@pytest.fixture
def real(rng):
    """Images of 4 x 4 pixels with a structure, as many as asked for."""
    mixing = rng.normal(size=(5, D))
    return lambda n: np.tanh(rng.normal(size=(n, 5)) @ mixing)


def test_distances_written_out(real):
    points, reference, training = real(70) * 0.9, real(90), real(130)
    own, of_real = (cdist(x[:50], training).min(axis=1) for x in (points, reference))
    expected = np.median(own) / np.median(of_real), np.mean(own <= of_real.min()), 50  # a hundredth of 50: the first
    assert of(points, reference, training, memorisation_n=50) == pytest.approx(expected, rel=1e-12)


def test_a_value_by_hand():
    training, reference = np.array([[0.0], [100.0]]), np.arange(1.0, 21)[:, None]  # 1 to 20 away
    points = np.array([0.5, 1.0, 99.0, 98.0, *np.full(16, 50.0)])[:, None]  # .5, 1, 1, 2 and 50 away
    assert of(points, reference, training) == (50 / 10.5, 3 / 20, 20)


def test_real_images_are_at_the_floor_and_copies_at_0(real, rng):
    training, reference, fresh = real(3000), real(2000), real(2000)
    ratio, copied, n = of(fresh, reference, training, memorisation_n=2000)
    assert ratio == pytest.approx(1, abs=0.05)
    # As many of 2000 as lie below the twentieth of 2000 others of one law.
    assert 1e-3 < stats.betabinom.cdf(round(copied * n), 2000, 20, 1981) < 1 - 1e-3
    assert of(rng.permutation(training)[:2000], reference, training, memorisation_n=2000) == (0, 1, 2000)
    assert of(training[rng.integers(100, size=500)], reference, training) == (0, 1, 500)  # a hundred images, again


def test_directions(real):
    """A point off the images is as far from them as one likes, on the other side of the floor than copies."""
    assert {METRIC.columns[name].direction for name in ("train_distance_ratio", "copied_share")} == {"floor"}
    training, reference = real(1000), real(500)
    ratio, copied, _ = of(np.full((500, D), 3.0), reference, training)
    assert ratio > 2
    assert copied == 0
    half = np.where(np.arange(500)[:, None] % 2 == 0, training[:500], real(500))
    assert of(half, reference, training)[1] == pytest.approx(0.5, abs=0.02)


def test_a_copy_is_told_from_what_is_almost_one(real):
    training, reference = real(200).astype(np.float32) + 100, real(100) + 100
    points = training.astype(np.float64)
    points[:100, 0] += 1e-9
    near = cdist(reference, training).min(axis=1)
    ratio = of(points[:100], reference, training)[0]
    assert ratio == pytest.approx(1e-9 / np.median(near), rel=1e-4)
    assert of(points[100:], reference, training)[0] == 0


@pytest.mark.parametrize(("seen", "ratio", "share"), [(5, 0.0, 0.05), (60, np.nan, 0.6)])
def test_a_reference_that_was_trained_on(real, seen, ratio, share):
    training, reference = real(200), real(100)
    reference[:seen] = training[:seen]
    assert of(training[:100], reference, training) == pytest.approx((ratio, 1, 100), nan_ok=True)
    assert of(reference, reference, training)[1] == share


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_samples_out_of_range(real, kind):
    training, reference = real(50).astype(kind), real(40)
    points = real(40)
    points[7, 3] = 3e38
    assert of(points, reference, training)[0] == pytest.approx(1, abs=0.3)
    points[7, 3] = np.nan
    assert of(points, reference, training) == pytest.approx((np.nan, np.nan, 40), nan_ok=True)
    assert of(points, reference, training, memorisation_n=7)[0] > 0


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="memorisation_n is at least 1, not 0"):
        Settings(memorisation_n=0)
