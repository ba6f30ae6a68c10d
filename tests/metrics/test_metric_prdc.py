from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from prdc import compute_prdc
from sklearn.neighbors import NearestNeighbors

from bench.metrics import Truth, prdc
from bench.metrics.prdc import COLUMNS, Settings, compute


def measure(points: np.ndarray, reference: np.ndarray, **settings: int) -> dict[str, float]:
    return compute(points, reference, Truth(), Settings(**settings))


@pytest.mark.parametrize("k", [3, 5])
def test_package_of_the_authors_where_nothing_is_tied(k, rng):
    fake, real = 0.3 + 0.8 * rng.normal(size=(150, 4)), rng.normal(size=(150, 4))
    values = measure(fake, real, prdc_k=k)
    assert values == pytest.approx(compute_prdc(real, fake, k), rel=1e-12)
    assert len({round(value, 6) for value in values.values()}) == 4  # so that none stands for another


@pytest.mark.parametrize("k", [1, 4])
def test_neighbours_of_scikit_learn_where_many_are_tied(k, rng):
    x, y = (rng.integers(4, size=(80, 3)).astype(float) for _ in range(2))
    near_x, near_y = (NearestNeighbors(algorithm="kd_tree").fit(side) for side in (x, y))

    def held(centres, own, others):
        """Which others are in or on the ball of each centre."""
        reach = own.kneighbors(centres, k + 1)[0][:, -1]
        return [others.radius_neighbors([c], r)[1][0] for c, r in zip(centres, reach, strict=True)]

    by_real, by_fake = held(y, near_y, near_x), held(x, near_x, near_y)
    assert measure(x, y, prdc_k=k) == {
        "precision": len(set(np.concatenate(by_real))) / 80,
        "recall": len(set(np.concatenate(by_fake))) / 80,
        "density": pytest.approx(sum(map(len, by_real)) / (80 * k), rel=1e-12),
        "coverage": sum(len(indices) > 0 for indices in by_real) / 80,
    }


def test_expectation_of_a_perfect_sampler(rng):
    n, k, draws = 100, 3, 60
    values = [measure(*rng.exponential(size=(2, n, 5)), prdc_k=k) for _ in range(draws)]
    density, coverage = (np.array([value[name] for value in values]) for name in ("density", "coverage"))
    # No fake before the k-th real neighbour in a random order of n fakes and the n - 1 other reals.
    covered = 1 - np.prod([(n - i) / (2 * n - i) for i in range(1, k + 1)])
    assert abs(density.mean() - 1) < 4 * density.std() / np.sqrt(draws)
    assert abs(coverage.mean() - covered) < 4 * coverage.std() / np.sqrt(draws)
    assert coverage.std() / np.sqrt(draws) < 0.01


def test_generators_that_are_known(rng):
    centres = np.array([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0], [20.0, 20.0]])
    training, real, fresh = (np.repeat(centres, 50, axis=0) + rng.normal(size=(200, 2)) for _ in range(3))
    perfect, copied = measure(fresh, real), measure(training.copy(), real)
    assert min(*perfect.values(), *copied.values()) > 0.85  # that the training set is copied is not seen
    one_mode = measure(rng.normal(size=(200, 2)), real)
    assert one_mode["precision"] > 0.85
    assert max(one_mode["recall"], one_mode["coverage"]) <= 0.25
    diffuse = measure(rng.uniform(-10, 30, size=(200, 2)), real)
    assert diffuse["recall"] > 0.85
    assert max(diffuse["precision"], diffuse["density"], diffuse["coverage"]) < 0.5
    assert set(measure(np.full((200, 2), 10.0), real).values()) == {0}
    inside = measure(np.repeat(real[:1], 200, axis=0), real)
    assert (inside["precision"], inside["recall"]) == (1, 1 / 200)
    assert inside["density"] > 0.5
    assert 0 < inside["coverage"] < 0.1


def test_equal_samples_are_in_each_others_balls(rng):
    same = np.full((30, 2), 0.1)
    assert measure(same, same, prdc_k=5) == {"precision": 1, "recall": 1, "density": 30 / 5, "coverage": 1}
    real = rng.normal(size=(30, 2))
    assert measure(real.copy(), real, prdc_k=5) == {"precision": 1, "recall": 1, "density": 6 / 5, "coverage": 1}


def test_first_samples_of_both_sides(rng):
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(50, 3))
    assert measure(x, y, prdc_n=20) == measure(x[:20], y[:20])
    assert measure(x, y) == measure(x, y[:40])


def test_blocks_change_nothing(rng, monkeypatch):
    x, y = rng.normal(size=(2, 50, 3))
    whole = measure(x, y)
    monkeypatch.setattr(prdc, "BLOCK", 7 * 50 + 3)
    assert measure(x, y) == whole
    monkeypatch.setattr(prdc, "BLOCK", 1)
    assert measure(x, y) == whole


def test_memory_is_that_of_a_few_blocks(rng, monkeypatch):
    x, y = rng.normal(size=(2, 500, 2))
    measure(x, y)  # loads what is loaded once
    monkeypatch.setattr(prdc, "BLOCK", 10 * 500)
    tracemalloc.start()
    measure(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 8 * 10 * 500 < 8 * 500**2 / 10


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_gives_nan(side, bad, rng):
    sides = rng.normal(size=(2, 20, 3))
    sides[side, 3, 0] = bad
    values = measure(*sides)
    assert values.keys() == COLUMNS.keys()
    assert np.isnan(list(values.values())).all()


def test_too_few_for_a_ball_give_nan(rng):
    x, y = rng.normal(size=(2, 6, 2))
    assert np.isfinite(list(measure(x, y, prdc_k=5).values())).all()
    assert np.isnan(list(measure(x[:5], y, prdc_k=5).values())).all()


@pytest.mark.parametrize("settings", [{"prdc_n": 1}, {"prdc_k": 0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match="prdc_n is at least 2 and prdc_k at least 1"):
        Settings(**settings)
