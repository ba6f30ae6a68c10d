from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from bench.metrics import Truth
from bench.metrics.emd_features import METRIC, Settings, compute


@pytest.mark.parametrize(("emd_features_n", "used"), [(15, 15), (1000, 20)])
def test_assignment_of_as_many_points(emd_features_n, used, rng):
    points, reference = rng.normal(size=(20, 7)), rng.normal(size=(30, 7))
    values = compute(points, reference, Truth(), Settings(emd_features_n=emd_features_n))
    cost = cdist(points[:used], reference[:used])
    expected = cost[linear_sum_assignment(cost)].mean()
    assert values == {"emd_features": pytest.approx(expected, rel=1e-12), "emd_features_n": used}


def test_a_collapsed_generator_is_worse_than_a_perfect_one_and_a_copying_one_is_not(ring, draw, rng):
    reference, training, fresh = (draw(ring, np.arange(400) % 8) for _ in range(3))
    copied, collapsed = rng.permutation(training), draw(ring, np.zeros(400, dtype=int))
    values = [compute(points, reference, Truth(), Settings())["emd_features"] for points in (fresh, copied, collapsed)]
    assert METRIC.columns["emd_features"].direction == "down"
    assert METRIC.space == "features"
    far = 1 / np.tan(np.pi / 16) / 4  # the mean distance from one corner of an octagon to all eight
    assert values == [pytest.approx(0, abs=0.02), pytest.approx(0, abs=0.02), pytest.approx(far, abs=0.02)]


def test_points_without_a_distance_give_nan(rng):
    points = rng.normal(size=(20, 2))
    values = compute(np.where(np.arange(40).reshape(20, 2) == 7, np.inf, points), points, Truth(), Settings())
    assert np.isnan(values["emd_features"])


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="emd_features_n is at least 1, not 0"):
        Settings(emd_features_n=0)
