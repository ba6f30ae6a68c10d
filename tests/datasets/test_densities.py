"""Data sets that are no mixtures, against scikit-learn, scipy and the codes' formulas written out in numpy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats
from sklearn.datasets import make_moons, make_swiss_roll

from bench.contracts import check_dataset
from datasets.base import Dataset, Mixture
from datasets.checkerboard import Checkerboard
from datasets.dirac import Dirac
from datasets.parallel_lines import ParallelLines
from datasets.spiral import Spiral
from datasets.swiss_roll import SwissRoll
from datasets.two_moons import TwoMoons

Points = npt.NDArray[np.float64]
N = 20_000


def drawn(dataset: Dataset, seed: int = 0, n: int = N) -> Points:
    points: Points = dataset.sample(n, torch.Generator().manual_seed(seed)).double().numpy()
    return points


def sklearn_roll(noise: float, divisor: float) -> Points:
    points: Points = make_swiss_roll(N, noise=noise, random_state=1)[0][:, [0, 2]] / divisor
    return points


def sklearn_moons(noise: float) -> Points:
    points: Points = make_moons(N, noise=noise, random_state=1)[0]
    return points


def two_spirals(turns: float, jitter: float, divisor: float, noise: float) -> Points:
    """As FFJORD's toy data: half of the points on each arm."""
    rng = np.random.default_rng(1)
    angle = np.sqrt(rng.random(N // 2)) * turns * 2 * np.pi
    x = -np.cos(angle) * angle + rng.random(N // 2) * jitter
    y = np.sin(angle) * angle + rng.random(N // 2) * jitter
    arm = np.stack([x, y], 1)
    points: Points = np.concatenate([arm, -arm]) / divisor + noise * rng.standard_normal((N, 2))
    return points


def toy_checkerboard() -> Points:
    """As the toy data of codes of normalizing flows."""
    rng = np.random.default_rng(1)
    x = rng.random(N) * 4 - 2
    y = rng.random(N) - rng.integers(0, 2, N) * 2 + np.floor(x) % 2
    points: Points = np.stack([x, y], 1) * 2
    return points


@pytest.mark.parametrize(
    ("dataset", "foreign"),
    [
        (SwissRoll(), lambda: sklearn_roll(0.25, 7.5)),
        (SwissRoll(noise=1.5, divisor=2.0), lambda: sklearn_roll(1.5, 2.0)),
        (TwoMoons(), lambda: sklearn_moons(0.1)),
        (TwoMoons(noise=0.4), lambda: sklearn_moons(0.4)),
        (Spiral(), lambda: two_spirals(1.5, 0.5, 3.0, 0.1)),
        (Spiral(turns=0.5, jitter=2.0, divisor=1.0, noise=0.3), lambda: two_spirals(0.5, 2.0, 1.0, 0.3)),
        (Checkerboard(), toy_checkerboard),
    ],
    ids=lambda value: "" if callable(value) else str(value),
)
def test_the_law_is_that_of_the_foreign_code(dataset: Dataset, foreign: Callable[[], Points]) -> None:
    """Two-sample tests along eight directions, of the radius, of the angle, and of the counts in a grid of boxes."""
    ours, theirs = drawn(dataset), foreign()
    turns = np.arange(8) * np.pi / 8
    looks: list[Callable[[Points], Any]] = [lambda p, a=a: p @ [np.cos(a), np.sin(a)] for a in turns]
    looks += [lambda p: np.linalg.norm(p, axis=1), lambda p: np.arctan2(p[:, 1], p[:, 0])]
    assert min(stats.ks_2samp(look(ours), look(theirs)).pvalue for look in looks) > 1e-4
    both = np.concatenate([ours, theirs])
    edges = [np.linspace(both[:, axis].min() - 1e-9, both[:, axis].max() + 1e-9, 13) for axis in (0, 1)]
    counts = np.stack([np.histogram2d(*points.T, bins=edges)[0].ravel() for points in (ours, theirs)])
    assert stats.chi2_contingency(counts[:, counts.sum(0) >= 20]).pvalue > 1e-4
    assert counts[:, counts.sum(0) < 20].sum() < 0.02 * len(both)


@pytest.mark.parametrize("dataset", [SwissRoll(), TwoMoons(), Spiral(), Checkerboard(), ParallelLines()], ids=str)
def test_samples_are_independent(dataset: Dataset) -> None:
    x = drawn(dataset)
    for axis in (0, 1):
        if np.ptp(x[:, axis]):
            assert stats.spearmanr(x[1:, axis], x[:-1, axis]).pvalue > 1e-4


def test_without_noise_the_swiss_roll_is_its_curve() -> None:
    x = drawn(SwissRoll(noise=0.0, divisor=1.0))
    t = np.linalg.norm(x, axis=1)
    np.testing.assert_allclose(x, np.stack([t * np.cos(t), t * np.sin(t)], 1), atol=1e-4)
    assert stats.kstest(t, "uniform", args=(1.5 * np.pi, 3 * np.pi)).pvalue > 1e-4


def test_without_noise_the_moons_are_half_circles() -> None:
    x = drawn(TwoMoons(noise=0.0))
    outer = np.abs(np.linalg.norm(x, axis=1) - 1) < 1e-5
    inner = np.abs(np.linalg.norm(x - [1, 0.5], axis=1) - 1) < 1e-5
    assert (outer | inner).all()
    assert x[outer, 1].min() > -1e-5
    assert x[inner, 1].max() < 0.5 + 1e-5
    assert stats.binomtest(int(outer.sum()), N, 0.5).pvalue > 1e-4
    assert stats.kstest(np.arctan2(x[outer, 1], x[outer, 0]), "uniform", args=(0, np.pi)).pvalue > 1e-4


@pytest.mark.parametrize(("squares", "side"), [(1, 1.0), (2, 3.0), (3, 0.5), (4, 2.0), (7, 1.0)])
def test_checkerboard_is_uniform_on_its_dark_squares(squares: int, side: float) -> None:
    x = drawn(Checkerboard(squares=squares, side=side)) / side + squares / 2
    cells, within = np.clip(np.floor(x), 0, squares - 1).astype(int), x % 1
    counts = np.zeros((squares, squares))
    np.add.at(counts, tuple(cells.T), 1)
    dark = np.add.outer(np.arange(squares), np.arange(squares)) % 2 == 0
    # Rounding puts a few of the samples on an edge one square further.
    assert counts[~dark].sum() < 10
    if squares > 1:
        assert stats.chisquare(counts[dark] * N / counts[dark].sum(), np.full(dark.sum(), N / dark.sum())).pvalue > 1e-4
    assert stats.kstest(within[:, 0], "uniform").pvalue > 1e-4
    assert stats.kstest(within[:, 1], "uniform").pvalue > 1e-4
    assert stats.pearsonr(within[:, 0], within[:, 1]).pvalue > 1e-4


@pytest.mark.parametrize("theta", [0.0, 1.0, -2.5])
def test_parallel_lines_are_a_fixed_theta_and_a_uniform(theta: float) -> None:
    x = drawn(ParallelLines(theta=theta))
    assert (x[:, 0] == theta).all()
    assert stats.kstest(x[:, 1], "uniform").pvalue > 1e-4
    assert ParallelLines() == ParallelLines(theta=0.0)


def test_the_distance_between_parallel_lines_is_theta() -> None:
    """Example 1 of WGAN: W1 = |theta|, here between samples that share their heights."""
    here, there = drawn(ParallelLines(), n=200), drawn(ParallelLines(theta=-0.75), n=200)
    assert stats.wasserstein_distance_nd(here[:50], there[:50]) == pytest.approx(0.75, rel=1e-6)


@pytest.mark.parametrize("at", [0.0, 1.5, -3.0])
def test_dirac_is_its_point(at: float) -> None:
    np.testing.assert_array_equal(drawn(Dirac(at=at), n=5), np.full((5, 1), at))
    assert Dirac(at=at).sample(0, torch.Generator()).shape == (0, 1)


@pytest.mark.parametrize(
    "dataset",
    [
        Dirac(at=-3.0),
        ParallelLines(theta=-2.0),
        SwissRoll(noise=0.0),
        Spiral(turns=0.2, jitter=0.0, noise=0.0),
        TwoMoons(noise=0.0),
        Checkerboard(squares=1),
    ],
    ids=str,
)
def test_contract_away_from_the_defaults(dataset: Dataset) -> None:
    assert not isinstance(dataset, Mixture)
    assert {name: words for name, words in check_dataset(dataset).items() if words is not None} == {}


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (SwissRoll, {"noise": -0.1}, "noise must be a number between 0 and 1e\\+12, not -0.1"),
        (SwissRoll, {"divisor": 0.0}, "divisor must be"),
        (Spiral, {"turns": 0.0}, "turns must be"),
        (Spiral, {"jitter": -1.0}, "jitter must be"),
        (Spiral, {"noise": math.nan}, "noise must be .* not nan"),
        (Spiral, {"divisor": -3.0}, "divisor must be"),
        (TwoMoons, {"noise": "0.1"}, "noise must be .* not '0.1'"),
        (Checkerboard, {"squares": 0}, "squares must be a whole number between 1 and 1000, not 0"),
        (Checkerboard, {"squares": 2.0}, "squares must be a whole number"),
        (Checkerboard, {"side": -2.0}, "side must be"),
        (ParallelLines, {"theta": math.inf}, "theta must be a number between -1e\\+12 and 1e\\+12, not inf"),
        (ParallelLines, {"theta": True}, "theta must be"),
        (Dirac, {"at": math.nan}, "at must be"),
    ],
)
def test_impossible_settings_are_refused(kind: type, settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kind(**settings)
