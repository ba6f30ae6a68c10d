from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.metrics import Truth
from bench.metrics.manifold import COLUMNS, Settings, compute
from datasets.polygons import Polygons


def measure(distances: list[float], **settings: float) -> dict[str, float]:
    points = np.array(distances, dtype=float)[:, None]
    return compute(points, np.empty((0, 1)), Truth(), Settings(**settings))


def test_by_hand():
    values = measure([0, 1, 2, 7], manifold_threshold=2)
    assert values == {"manifold_distance": 2.5, "manifold_precision": 0.5, "manifold_n": 4}


def test_the_first_n_are_measured():
    values = measure([1, 2, 9, 9], manifold_n=2)
    assert values == {"manifold_distance": 1.5, "manifold_precision": 0.5, "manifold_n": 2}


def test_the_published_threshold():
    """A squared distance of .75 where black is 0 and white 1: three quarters of one white pixel's."""
    values = [measure([2 * np.sqrt(squared)])["manifold_precision"] for squared in (0.749, 0.751)]
    assert values == [1, 0]


def test_not_finite():
    values = measure([0, np.nan, 1])
    assert values.pop("manifold_n") == 3
    assert set(values) == set(COLUMNS) - {"manifold_n"}
    assert all(np.isnan(value) for value in values.values())


@pytest.mark.parametrize("wrong", [{"manifold_n": 0}, {"manifold_threshold": 0}, {"manifold_threshold": np.nan}])
def test_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**wrong)


def test_generators():
    """Perfect, one real image for ever, the mean of all for ever, and black."""
    polygons = Polygons(size=16)
    real = polygons.sample(8, torch.Generator().manual_seed(1))
    made = {
        "perfect": real,
        "copy": real[:1].repeat(8, 1, 1, 1),
        "mean": real.mean(0, keepdim=True).expand_as(real),
        "black": -torch.ones_like(real),
    }
    values = {name: measure(polygons.distances(images).tolist()) for name, images in made.items()}
    precision = {name: value["manifold_precision"] for name, value in values.items()}
    distance = {name: value["manifold_distance"] for name, value in values.items()}
    assert precision == {"perfect": 1, "copy": 1, "mean": 0, "black": 0}
    assert max(distance["perfect"], distance["copy"]) < 1e-5
    assert min(distance["mean"], distance["black"]) > Settings().manifold_threshold
