from __future__ import annotations

import numpy as np
import pytest

from bench.metrics import Truth, base, memorisation, prdc
from bench.metrics.base import remembered


@pytest.fixture
def sums():
    """A function that is remembered, and the arguments that it was called with."""
    calls = []

    @remembered
    def add(x, k):
        calls.append((x, k))
        return x.sum() + k

    return add, calls


def test_equal_content_is_computed_once(sums):
    add, calls = sums
    x = np.arange(12.0).reshape(3, 4)
    assert [add(x, 1), add(x.copy(), 1), add(np.asfortranarray(x), 1), add(x[::-1][::-1], 1)] == [67] * 4
    assert len(calls) == 1
    x[0, 0] = 5  # the same array with another content
    assert add(x, 1) == 72


@pytest.mark.parametrize(
    "other", [(np.arange(4.0), 2), (np.arange(4.0)[::-1], 1), (np.zeros((2, 2)), 1), (np.arange(4, dtype=np.int64), 1)]
)
def test_other_content_is_computed_anew(sums, other):
    add, calls = sums
    add(np.arange(4.0), 1)
    add(*other)
    assert len(calls) == 2


def test_equal_bytes_of_another_shape_or_kind_are_other_content(sums):
    add, calls = sums
    for x in (np.zeros(4), np.zeros((2, 2)), np.zeros(4, dtype=np.int64)):
        add(x, 0)
    assert len(calls) == 3


def test_what_was_not_asked_for_longest_is_forgotten_first(sums, monkeypatch):
    monkeypatch.setattr(base, "REMEMBERED", 2)
    add, calls = sums
    for k in (0, 1, 0, 2, 0, 1):
        add(np.zeros(1), k)
    assert [k for _, k in calls] == [0, 1, 2, 1]


def test_the_balls_of_a_reference_are_found_once(rng, monkeypatch):
    reference, first, second = rng.normal(size=(3, 40, 3))
    sides, distances = [], prdc._distances
    monkeypatch.setattr(prdc, "_distances", lambda a, b: sides.append((a, b)) or distances(a, b))
    for points in (first, second, first):
        prdc.compute(points, reference.copy(), Truth(), prdc.Settings())
    among = [a for a, b in sides if a is b]
    assert len(among) == 4  # each time those of the points, once those of the reference
    assert sum(np.array_equal(a, reference) for a in among) == 1


def test_how_far_the_reference_lies_from_the_training_images_is_found_once(rng, monkeypatch):
    from sklearn import metrics

    training, reference, first, second = rng.normal(size=(4, 30, 3))
    sides, nearest = [], metrics.pairwise_distances_argmin
    monkeypatch.setattr(metrics, "pairwise_distances_argmin", lambda x, y: sides.append(x) or nearest(x, y))
    for points in (first, second):
        memorisation.compute(points, reference.copy(), Truth(training=training.copy()), memorisation.Settings())
    np.testing.assert_array_equal(sides, [first, reference, second])
