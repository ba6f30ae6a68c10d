from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.statistics import RESAMPLES, Estimate, interval, iqm, mean, median, paired_difference, share

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
