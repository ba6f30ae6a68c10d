from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from scipy import stats

from bench.statistics import RESAMPLES, Estimate, best_of, interval, iqm, mean, median, paired_difference, share

NEVER = Estimate(np.nan, np.nan, np.nan, 0)


def scipy_bounds(values, statistic, level):
    return stats.bootstrap(
        (values,), statistic, n_resamples=RESAMPLES, confidence_level=level, method="percentile", rng=0
    ).confidence_interval


@pytest.mark.parametrize("n", [4, 5, 8, 11, 40])
def test_estimators(n):
    values = np.random.default_rng(n).exponential(size=n)
    ordered, cut = np.sort(values), n // 4
    assert interval(values, mean).value == pytest.approx(values.sum() / n, rel=1e-12)
    assert interval(values, median).value == pytest.approx((ordered[(n - 1) // 2] + ordered[n // 2]) / 2, rel=1e-12)
    assert interval(values, iqm).value == pytest.approx(ordered[cut : n - cut].sum() / (n - 2 * cut), rel=1e-12)
    # rliable.metrics.aggregate_iqm
    assert interval(values, iqm).value == pytest.approx(stats.trim_mean(values, proportiontocut=0.25, axis=None))


def test_estimators_work_along_an_axis():
    values = np.random.default_rng(0).normal(size=(3, 4, 9))
    for estimator in (mean, median, iqm):
        np.testing.assert_allclose(estimator(values), np.apply_along_axis(estimator, -1, values), rtol=1e-12)


# pnorm(qt(.025, n - 1) * sqrt(n / (n - 1))) of R's resample::ExpandProbs, from tables of t: 2.776, 2.262, 2.093.
@pytest.mark.parametrize(("n", "t"), [(5, 2.7764451), (10, 2.2621572), (20, 2.0930241)])
@pytest.mark.parametrize(("estimator", "statistic"), [(mean, np.mean), (median, np.median)])
def test_interval_is_scipys_at_the_expanded_level(n, t, estimator, statistic):
    values = np.random.default_rng(n).normal(size=n)
    level = 1 - 2 * stats.norm.cdf(-t * np.sqrt(n / (n - 1)))
    result = interval(values, estimator)
    assert (result.low, result.high) == pytest.approx(scipy_bounds(values, statistic, level), rel=1e-6)


@pytest.mark.parametrize("n", [2, 9, 500])  # draws of so many values as the last are not kept
def test_resamples_are_scipys_to_the_last_digit(n):
    level = 1 - 2 * stats.norm.sf(stats.t.ppf(0.975, n - 1) * np.sqrt(n / (n - 1)))
    for seed in range(2):
        values = np.random.default_rng([n, seed]).lognormal(size=n)
        result = interval(values)
        assert (result.low, result.high) == pytest.approx(scipy_bounds(values, np.mean, level), rel=1e-13)


def test_interval_of_many_is_the_plain_percentile_interval():
    values = np.random.default_rng(1).normal(size=2000)
    result = interval(values)
    assert (result.low, result.high) == pytest.approx(scipy_bounds(values, np.mean, 0.95), abs=2e-3)
    assert result.high - result.low == pytest.approx(2 * 1.96 / np.sqrt(2000), rel=0.05)


def test_interval_covers_what_it_says():
    """Of means of 8 normal values; the plain percentile interval would cover P(|t_7| < 1.96 sqrt(7/8)) = .891."""
    rng = np.random.default_rng(7)
    trials = 1000
    found = [interval(rng.normal(size=8)) for _ in range(trials)]
    covered = sum(result.low <= 0 <= result.high for result in found)
    assert stats.binomtest(covered, trials, 0.891, alternative="greater").pvalue < 0.01
    assert stats.binomtest(covered, trials, 0.94).pvalue > 1e-3


def test_confidence_widens():
    values = np.random.default_rng(2).normal(size=12)
    wide, narrow = interval(values, confidence=0.99), interval(values, confidence=0.5)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_two_values_bound_their_mean():
    assert interval([1.0, 3.0]) == Estimate(2.0, 1.0, 3.0, 2)


@pytest.mark.parametrize("estimator", [mean, iqm, median])
@pytest.mark.parametrize("value", [0.0, 0.1, 8.0])
def test_equal_values_have_an_interval_of_no_width(estimator, value):
    assert interval([value] * 7, estimator) == Estimate(value, value, value, 7)


def same(result: Estimate, expected: Estimate) -> bool:
    return np.array_equal(
        [result.value, result.low, result.high, result.n],
        [expected.value, expected.low, expected.high, expected.n],
        equal_nan=True,
    )


def test_too_few_values_have_no_interval():
    assert same(interval([4.0]), Estimate(4.0, np.nan, np.nan, 1))
    assert same(interval([]), NEVER)
    assert same(interval([np.nan]), NEVER)


def test_what_is_not_finite_is_missing_and_counted():
    assert interval([1.0, np.nan, 2.0, np.inf, 4.0]) == interval([1.0, 2.0, 4.0])
    assert interval([1.0, np.nan, 2.0, np.inf, 4.0]).n == 3


def test_the_interval_is_a_function_of_the_values():
    values = np.random.default_rng(3).normal(size=9)
    np.random.seed(1)  # noqa: NPY002
    first = interval(values, iqm)
    np.random.seed(2)  # noqa: NPY002
    assert interval(values, iqm) == first


def test_paired_difference_uses_common_seeds_by_seed():
    rng = np.random.default_rng(4)
    seeds = sorted(rng.integers(10**6, size=12).tolist())
    luck = {seed: rng.normal(scale=100) for seed in seeds}
    a = {seed: luck[seed] + 1 + 0.1 * rng.normal() for seed in seeds[:10]}
    b = {seed: luck[seed] for seed in reversed(seeds[2:])}
    result = paired_difference(a, b)
    assert result == interval([a[seed] - b[seed] for seed in seeds[2:10]])
    assert result.n == 8
    assert 0.7 < result.low < 1 < result.high < 1.3
    assert paired_difference(b, a).value == pytest.approx(-result.value, rel=1e-12)
    assert same(paired_difference({0: 1.0}, {1: 1.0}), NEVER)


# Newcombe 1998, Statistics in Medicine 17:857, table I, method 5 (Clopper-Pearson).
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0, 0.1684), (1, 29, 0.0009, 0.1776)],
)
def test_share_as_published(successes, n, low, high):
    result = share(successes, n)
    assert result.value == pytest.approx(successes / n, rel=1e-12)
    assert (result.low, result.high) == pytest.approx((low, high), abs=5.1e-5)
    assert result.n == n


def test_share_at_its_ends():
    assert share(8, 8) == Estimate(1.0, pytest.approx(0.025 ** (1 / 8), rel=1e-9), 1.0, 8)
    assert share(0, 8) == Estimate(0.0, 0.0, pytest.approx(1 - 0.025 ** (1 / 8), rel=1e-9), 8)
    assert share(4, 8, 0.5).low > share(4, 8).low
    assert same(share(0, 0), NEVER)


@pytest.mark.parametrize(("direction", "best"), [("down", min), ("up", max)])
@pytest.mark.parametrize("values", [[3.0], [0.1, 2.5, 0.3, 7.0, 0.2, 1.0, 0.9], [2.0, 8.0, 2.0, 0.0, 0.0, 2.0]])
def test_best_of_is_the_mean_of_the_best_over_all_subsets(direction, best, values):
    draws = list(range(1, len(values) + 1))
    found = best_of(values, draws, direction)
    for k, estimate in zip(draws, found, strict=True):
        subsets = [best(subset) for subset in combinations(values, k)]
        assert estimate.value == pytest.approx(sum(subsets) / len(subsets), rel=1e-12)
        assert estimate.n == len(values)


@pytest.mark.parametrize("n", [2, 17, 1000, 100_000])
def test_best_of_the_whole_numbers_has_a_closed_form(n, monkeypatch):
    """Of k of 1 ... n the least is (n + 1) / (k + 1) on average, the greatest k times as much."""
    monkeypatch.setattr("bench.statistics.intervals.RESAMPLES", 10)
    draws = sorted({1, 2, 1 + n // 3, n // 2, n - 1, n})
    values = np.random.default_rng(n).permutation(n) + 1.0
    for direction, factor in (("down", lambda k: 1), ("up", lambda k: k)):
        for k, estimate in zip(draws, best_of(values, draws, direction), strict=True):
            assert estimate.value == pytest.approx(factor(k) * (n + 1) / (k + 1), rel=1e-10)


def test_best_of_agrees_with_exact_fractions():
    n, k = 300, 37
    values = np.random.default_rng(0).lognormal(size=n)
    exact = sum(Fraction(x) * comb(n - i, k - 1) for i, x in enumerate(sorted(values), 1)) / comb(n, k)
    assert best_of(values, [k], "down")[0].value == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize(("k", "direction"), [(1, "down"), (3, "down"), (3, "up"), (9, "down")])
def test_best_of_has_scipys_interval_over_settings(k, direction):
    """Of the statistic that drops into scipy's bootstrap: the mean of the best of k over all subsets."""
    values = np.sort(np.random.default_rng(k).exponential(size=9))[:: 1 if direction == "down" else -1]
    n, best = len(values), np.min if direction == "down" else np.max
    subsets = np.array(list(combinations(range(n), k)))
    level = 1 - 2 * stats.norm.sf(stats.t.ppf(0.975, n - 1) * np.sqrt(n / (n - 1)))
    expected = scipy_bounds(values, lambda x, axis: best(x[..., subsets], axis=-1).mean(-1), level)
    [found] = best_of(values, [k], direction)
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-6)


def test_best_of_covers_what_it_says():
    """Of k fresh uniform values the least is 1 / (k + 1) on average; the least of n that were seen is above that with
    probability (1 - 1 / (n + 1))^n, and then the interval at k = n, which starts there, misses it."""
    n, trials, draws = 40, 300, [1, 4, 40]
    rng = np.random.default_rng(11)
    found = [best_of(rng.random(n), draws, "down") for _ in range(trials)]
    ones, fours, alls = (
        sum(estimates[i].low <= 1 / (k + 1) <= estimates[i].high for estimates in found) for i, k in enumerate(draws)
    )
    assert stats.binomtest(ones, trials, 0.95).pvalue > 1e-3
    assert stats.binomtest(fours, trials, 0.95).pvalue > 1e-3
    assert stats.binomtest(alls, trials, 1 - (1 - 1 / (n + 1)) ** n).pvalue > 1e-3


def test_best_of_equal_values_and_of_one():
    assert best_of([3.0] * 5, [1, 5], "down") == [Estimate(3.0, 3.0, 3.0, 5)] * 2
    assert same(best_of([4.0], [1], "up")[0], Estimate(4.0, np.nan, np.nan, 1))
    assert best_of([], [], "up") == []


@pytest.mark.parametrize(
    ("values", "draws"), [([1.0, 2.0], [0]), ([1.0, 2.0], [3]), ([1.0, np.nan], [1]), ([np.inf], [1]), ([], [1])]
)
def test_best_of_refuses_what_has_no_meaning(values, draws):
    with pytest.raises(ValueError, match="finite values and k is from 1"):
        best_of(values, draws, "down")


def test_a_wide_resample_is_taken_in_parts(monkeypatch):
    values = np.random.default_rng(5).normal(size=40)
    whole = best_of(values, [1, 7], "up")
    monkeypatch.setattr("bench.statistics.intervals._AT_ONCE", 1000)
    for one, other in zip(best_of(values, [1, 7], "up"), whole, strict=True):
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.02)
