"""Statistics over runs x tasks: the table, what is resampled, comparisons and profiles."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.statistics import (
    RESAMPLES,
    Estimate,
    Scores,
    improvement,
    interval,
    iqm,
    mean,
    median,
    probability_of_improvement,
    profile,
    stratified,
)

NAN = float("nan")


def table(sizes: tuple[int, ...], seed: int, **kind: float) -> dict[str, np.ndarray]:
    """Normal values of tasks with as many runs as sizes say, of different places and spreads."""
    rng = np.random.default_rng([len(sizes), seed])
    return {f"task {j}": rng.normal(2 * j + kind.get("shift", 0), 1 + j, n) for j, n in enumerate(sizes)}


@pytest.mark.parametrize("worst", [None, -7.0])
def test_diverged_runs_are_counted_whatever_they_count_for(worst):
    scores = Scores.of({"ring": [1.0, np.inf, 3.0], "grid": [NAN, 5.0]}, worst)
    filler = NAN if worst is None else worst
    np.testing.assert_array_equal(scores.values, [[1.0, filler], [filler, 5.0], [3.0, NAN]])
    assert scores.tasks == ("ring", "grid")
    assert scores.diverged == 2  # not the run that the second task lacks
    present = [[1.0, 3.0], [5.0]] if worst is None else [[1.0, -7.0, 3.0], [-7.0, 5.0]]
    assert [column.tolist() for column in scores.by_task()] == present


@pytest.mark.parametrize(
    ("values", "tasks", "diverged", "words"),
    [
        ([[1.0, 2.0]], ("a",), 0, "1 tasks"),
        ([1.0, 2.0], ("a", "b"), 0, "2 tasks"),
        ([[1.0, 2.0]], ("a", "a"), 0, "stands twice"),
        ([[1.0, np.inf]], ("a", "b"), 0, "finite"),
        ([[1.0, 2.0]], ("a", "b"), 3, "of 2 runs 3"),
    ],
)
def test_a_table_that_is_none_is_refused(values, tasks, diverged, words):
    with pytest.raises(ValueError, match=words):
        Scores(np.array(values), tasks, diverged)


def test_pooled_estimates_are_rliables():
    """aggregate_mean, aggregate_iqm, and aggregate_median, which is the median of the tasks' means."""
    values = np.random.default_rng(0).lognormal(size=(8, 5))
    assert mean(values, axis=None) == pytest.approx(np.mean(np.mean(values, axis=0)), rel=1e-12)
    assert iqm(values, axis=None) == pytest.approx(np.sort(values.ravel())[10:30].mean(), rel=1e-12)
    assert median(values, axis=None) == pytest.approx(np.sort(values.ravel())[19:21].mean(), rel=1e-12)
    assert median(mean(values, axis=0)) == pytest.approx(np.sort(values.mean(axis=0))[2], rel=1e-12)


def welch(columns: list[np.ndarray], weights: np.ndarray) -> float:
    """The level by Welch and Satterthwaite, written out: of sum_j weights_j mean_j."""
    variances = [w**2 * np.var(x, ddof=1) / len(x) for w, x in zip(weights, columns, strict=True)]
    freedom = sum(variances) ** 2 / sum(v**2 / (len(x) - 1) for v, x in zip(variances, columns, strict=True))
    resampled = sum(w**2 * np.var(x) / len(x) for w, x in zip(weights, columns, strict=True))
    return 1 - 2 * stats.norm.sf(stats.t.ppf(0.975, freedom) * np.sqrt(sum(variances) / resampled))


@pytest.mark.parametrize("sizes", [(5, 5, 5), (8, 3)])
@pytest.mark.parametrize(
    ("estimator", "statistic"),
    [(mean, np.mean), (median, np.median), (iqm, lambda x, axis: stats.trim_mean(x, 0.25, axis=axis))],
)
def test_stratified_resamples_as_scipy_does_several_samples(sizes, estimator, statistic):
    """Runs are resampled within each task, and no run changes its task."""
    runs = table(sizes, 1)
    expected = stats.bootstrap(
        list(runs.values()),
        lambda *columns, axis: statistic(np.concatenate(columns, axis=axis), axis=axis),
        n_resamples=RESAMPLES,
        confidence_level=welch(list(runs.values()), np.array(sizes)),
        method="percentile",
        rng=0,
    ).confidence_interval
    found = stratified(Scores.of(runs, None), estimator)
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-9)
    assert found.value == pytest.approx(float(statistic(np.concatenate(list(runs.values())), axis=-1)), rel=1e-12)
    assert found.n == sum(sizes)


def test_tasks_that_are_far_apart_do_not_widen_the_interval():
    """What an interval over the pooled values would show is how tasks differ, not seeds."""
    rng = np.random.default_rng(3)
    scores = Scores.of({f"{place}": rng.normal(place, 1, 8) for place in (0, 100, 200)}, None)
    found = stratified(scores)
    assert found.high - found.low == pytest.approx(2 * stats.t.ppf(0.975, 21) / np.sqrt(24), rel=0.4)
    pooled = interval(scores.values.ravel())
    assert pooled.high - pooled.low > 50


def test_of_one_task_the_interval_is_the_plain_one():
    values = np.random.default_rng(4).lognormal(size=9)
    found, plain = stratified(Scores.of({"ring": values}, None), iqm), interval(values, iqm)
    assert (found.value, found.low, found.high) == pytest.approx((plain.value, plain.low, plain.high), rel=1e-12)


def test_many_values_are_resampled_in_parts(monkeypatch):
    scores = Scores.of(table((9, 9), 5), None)
    whole = stratified(scores)
    monkeypatch.setattr("bench.statistics.intervals._AT_ONCE", 2000)
    parts = stratified(scores)
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=0.1)
    assert parts != whole


def same(found: Estimate, value: float, low: float, high: float, n: int) -> bool:
    return np.array_equal([found.value, found.low, found.high, found.n], [value, low, high, n], equal_nan=True)


def test_tables_with_too_little_in_them():
    assert same(stratified(Scores.of({}, None)), NAN, NAN, NAN, 0)
    assert same(stratified(Scores.of({"a": [NAN], "b": []}, None)), NAN, NAN, NAN, 0)
    assert same(stratified(Scores.of({"a": [1.0, 3.0], "b": [5.0]}, None)), 3.0, NAN, NAN, 3)
    assert same(stratified(Scores.of({"a": [0.1] * 3, "b": [0.1] * 3}, None), iqm), 0.1, 0.1, 0.1, 6)


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("integers", [False, True])
def test_probability_of_improvement_is_mann_and_whitneys(direction, integers):
    """U over the number of pairs, ties for a half, averaged over tasks; missing runs make no pairs."""
    rng = np.random.default_rng(6)
    a, b = rng.normal(0.5, 2, (7, 3)), rng.normal(0, 2, (5, 3))
    if integers:
        a, b = np.round(a), np.round(b)
        assert (a[:, None] == b).any()
    a[0, 1] = b[2, 2] = NAN
    found = probability_of_improvement(a, b, direction)
    shares = []
    for x, y in zip(a.T, b.T, strict=True):
        x, y = x[~np.isnan(x)], y[~np.isnan(y)]
        first, second = (x, y) if direction == "up" else (y, x)
        shares.append(stats.mannwhitneyu(first, second).statistic / (len(x) * len(y)))
    assert found == pytest.approx(np.mean(shares), rel=1e-12)


def test_probability_of_improvement_at_its_ends():
    low, high = np.zeros((3, 2)), np.ones((4, 2))
    assert probability_of_improvement(high, low, "up") == 1
    assert probability_of_improvement(high, low, "down") == 0
    assert probability_of_improvement(low, low, "up") == 0.5
    high[:, 1] = NAN
    assert np.isnan(probability_of_improvement(high, low, "up"))


def test_the_interval_of_an_improvement_resamples_both_within_tasks():
    """As scipy's bootstrap of all samples at once; placements make up the variance of U (DeLong et al. 1988)."""
    a, b = table((8, 5), 7, shift=1), table((6, 7), 8)
    flat = [column for pair in zip(a.values(), b.values(), strict=True) for column in pair]
    placements = []
    for x, y in zip(a.values(), b.values(), strict=True):
        placements += [[np.mean(one > y) for one in x], [np.mean(x > one) for one in y]]

    def statistic(*samples, axis):
        pairs = zip(samples[::2], samples[1::2], strict=True)
        return np.mean(
            [stats.mannwhitneyu(x, y, axis=axis).statistic / (x.shape[-1] * y.shape[-1]) for x, y in pairs], 0
        )

    level = welch([np.array(one) for one in placements], np.ones(4))
    expected = stats.bootstrap(
        flat, statistic, n_resamples=2000, confidence_level=level, method="percentile", rng=1
    ).confidence_interval
    found = improvement(Scores.of(a, None), Scores.of(b, None), "up")
    assert found.value == pytest.approx(float(statistic(*flat, axis=-1)), rel=1e-12)
    assert (found.low, found.high) == pytest.approx(expected, abs=0.02)
    assert found.n == 26
    mirrored = improvement(Scores.of(a, None), Scores.of(b, None), "down")
    assert (mirrored.value, mirrored.low) == pytest.approx((1 - found.value, 1 - found.high), rel=1e-9)


def test_an_improvement_without_a_doubt_has_no_interval():
    """Of a bootstrap's [1, 1] a reader would think that other seeds agree, which three cannot say."""
    a, b = Scores.of({"ring": [4.0, 5.0, 6.0]}, None), Scores.of({"ring": [1.0, 2.0, 3.0]}, None)
    assert same(improvement(a, b, "up"), 1.0, NAN, NAN, 6)
    assert same(improvement(a, Scores.of({"ring": [1.0]}, None), "up"), 1.0, NAN, NAN, 4)
    with pytest.raises(ValueError, match="not ring and grid"):
        improvement(a, Scores.of({"grid": [1.0, 2.0]}, None), "up")


def test_profile_counts_runs_at_or_beyond():
    values = np.array([[8.0, 3.0], [8.0, NAN], [5.0, 8.0]])
    levels = [0.0, 3.0, 4.0, 8.0, 9.0]
    assert profile(values, levels, "up") == pytest.approx([1, 1, 4 / 5, 3 / 5, 0])
    assert profile(values, levels, "down") == pytest.approx([0, 1 / 5, 1 / 5, 1, 1])
    assert np.isnan(profile([NAN], levels, "up")).all()


def test_profile_with_diverged_runs_at_their_worst_never_reaches_one():
    flattered, honest = (Scores.of({"ring": [8.0, 8.0, NAN, 7.0]}, worst) for worst in (None, 0.0))
    assert profile(flattered.values, [7.0], "up") == 1
    assert profile(honest.values, [7.0], "up") == 0.75
