"""Tests of means and shares against thresholds, over families, and how many seeds would decide."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.statistics import holm, p_share, p_value, seeds_for_mean, seeds_for_share, share

NAN = float("nan")


def test_p_value_of_gossets_data():
    """Student 1908, Biometrika 6:1: hours of sleep that ten patients gained with the second drug over the first.

    Of R's data ``sleep``: t.test(extra ~ group, paired = TRUE) gives t = 4.0621, df = 9, p = 0.002833.
    """
    gained = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    assert p_value(gained, 0) == pytest.approx(0.002833, abs=5e-7)
    assert p_value([*gained, NAN, np.inf], 0) == p_value(gained, 0)


def test_p_value_from_the_definition():
    values = np.random.default_rng(0).normal(1, 2, 6)
    t = (values.sum() / 6 - 0.3) / np.sqrt(((values - values.sum() / 6) ** 2).sum() / 5 / 6)
    assert p_value(values, 0.3) == pytest.approx(2 * stats.t(5).sf(abs(t)), rel=1e-10)


def test_p_value_of_few_and_of_equal_values():
    assert np.isnan(p_value([], 0))
    assert np.isnan(p_value([1.0], 0))
    assert p_value([8.0] * 5, 8) == 1
    assert p_value([8.0] * 5, 7.9) == 0
    assert p_value([0.1 + 0.2, 0.3, 0.3], 0.3) == 1  # equal up to rounding
    assert p_value([0.0, 0.0], 0) == 1


@pytest.mark.parametrize(("successes", "n", "threshold"), [(3, 15, 0.1), (9, 10, 0.5), (0, 8, 0.25), (8, 8, 0.95)])
def test_p_share_is_the_sum_over_counts_that_are_no_likelier(successes, n, threshold):
    chances = np.array([stats.binom(n, threshold).pmf(k) for k in range(n + 1)])
    assert p_share(successes, n, threshold) == pytest.approx(chances[chances <= chances[successes] + 1e-12].sum())


def test_p_share_at_its_ends():
    assert np.isnan(p_share(0, 0, 0.5))
    assert p_share(682, 925, 0.75) == pytest.approx(0.3825, abs=5e-5)  # R's binom.test: Conover 1971, Mendel's peas
    assert p_share(3, 10, 1.0) == 0
    assert p_share(10, 10, 1.0) == 1


def test_holm_by_hand():
    """Of .01, .04, .03, .005: 4 x .005, 3 x .01, 2 x .03, and .04, which may not be below its forerunner."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_out_what_was_not_tested():
    found = holm([0.01, NAN, 0.04, 0.03, NAN, 0.005])
    assert np.isnan([found[1], found[4]]).all()
    assert [found[i] for i in (0, 2, 3, 5)] == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_at_its_ends():
    assert holm([]) == []
    assert holm([0.2]) == [0.2]
    assert holm([0.9, 0.6, 0.0]) == [1.0, 1.0, 0.0]
    assert np.isnan(holm([NAN])).all()


def test_holm_rejects_as_the_procedure_steps_down():
    """Reject from the least on while p_(i) <= alpha / (m - i + 1), and nothing after the first that is not."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        p = rng.beta(0.3, 2, size=7)
        rejected = np.zeros(7, bool)
        for i, index in enumerate(np.argsort(p)):
            if p[index] > 0.05 / (7 - i):
                break
            rejected[index] = True
        np.testing.assert_array_equal(np.array(holm(p.tolist())) <= 0.05, rejected)


def values_of(effect: float) -> np.ndarray:
    """Three values whose mean is so many of their standard deviations from 0."""
    return np.array([-1.0, 0.0, 1.0]) + effect


# Cohen 1988 and G*Power: the paired t-test, two-sided at .05.
@pytest.mark.parametrize(
    ("effect", "power", "n"),
    [(0.2, 0.8, 199), (0.5, 0.8, 34), (0.8, 0.8, 15), (0.5, 0.9, 44), (0.5, 0.95, 54), (1.0, 0.8, 10)],
)
def test_seeds_for_mean_as_in_power_tables(effect, power, n):
    assert seeds_for_mean(values_of(effect), 0, power) == n
    assert seeds_for_mean(values_of(-effect), 0, power) == n
    assert seeds_for_mean(5 + 3 * values_of(effect), 5, power) == n


@pytest.mark.parametrize("effect", [0.9, 2.0, 5.0])
def test_with_so_many_seeds_a_t_test_has_that_power(effect):
    """By simulation, and not with one less."""
    n = seeds_for_mean(values_of(effect), 0, confidence=0.9)
    data = np.random.default_rng(2).normal(effect, 1, (4000, n))
    powers = [np.mean(stats.ttest_1samp(data[:, :size], 0, axis=1).pvalue < 0.1) for size in (n, n - 1) if size > 1]
    assert powers[0] > 0.8 - 0.02
    assert powers[1:] < [0.8 + 0.02]


def test_seeds_for_mean_far_out():
    assert seeds_for_mean(values_of(1e-5), 0) == 10**6
    # two seeds see 11.6 deviations: of noncentrality 16.4 and one degree, P(|T| > 12.706) = .803; of 11.5, .798
    assert seeds_for_mean(values_of(11.6), 0) == 2
    assert seeds_for_mean(values_of(11.5), 0) == 3
    assert seeds_for_mean(values_of(1e9), 0) == 2
    large = (2.80158 / 0.003) ** 2 + 1.92  # the normal law's number, and Guenther's correction, z^2 / 2
    assert seeds_for_mean(values_of(0.003), 0) == pytest.approx(large, abs=10)


def test_seeds_for_mean_without_an_answer():
    assert seeds_for_mean([1.0], 0) is None
    assert seeds_for_mean([], 0) is None
    assert seeds_for_mean([1.0, NAN], 0) is None
    assert seeds_for_mean([1.0, 3.0], 2) is None
    assert seeds_for_mean([8.0, 8.0], 8) is None
    assert seeds_for_mean([8.0, 8.0], 7) == 2


def by_search(successes: int, n: int, threshold: float) -> int:
    """The first number of seeds whose exact interval, of the share rounded towards the threshold, leaves it out."""
    size = 1
    while True:
        count = successes * size // n if successes / n > threshold else -(-successes * size // n)
        found = stats.binomtest(count, size).proportion_ci(0.95, method="exact")
        if not found.low <= threshold <= found.high:
            return size
        size += 1


@pytest.mark.parametrize(
    ("successes", "n", "threshold"),
    [(8, 8, 0.5), (0, 8, 0.5), (8, 8, 0.95), (7, 8, 0.5), (6, 7, 0.95), (1, 3, 0.05), (5, 7, 0.5), (4, 11, 0.25)],
)
def test_seeds_for_share_is_what_a_search_with_scipy_finds(successes, n, threshold):
    assert seeds_for_share(successes, n, threshold) == by_search(successes, n, threshold)


def test_seeds_for_share_in_closed_form():
    """All succeed: the lower bound (alpha / 2)^(1 / n) is above .95 from n = log(.025) / log(.95) = 71.9 on."""
    n = seeds_for_share(8, 8, 0.95)
    assert n == 72
    assert share(n, n).low > 0.95 > share(n - 1, n - 1).low
    assert seeds_for_share(8, 8, 0.95, confidence=0.9) == 59  # log(.05) / log(.95) = 58.4


def test_seeds_for_share_far_out():
    assert seeds_for_share(0, 0, 0.5) is None
    assert seeds_for_share(7, 8, 7 / 8) is None
    assert seeds_for_share(50001, 100000, 0.5) == 10**6
    assert seeds_for_share(1, 8, 0.0) == 8  # the first that has a success
    assert seeds_for_share(7, 8, 1.0) == 8  # the first that has a failure
