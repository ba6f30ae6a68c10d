"""Intervals around estimates, tests against thresholds, and how many seeds would decide one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from bench.statistics.estimators import Array, Estimator, mean, probability_of_improvement
from bench.statistics.scores import Scores

RESAMPLES = 10_000
"""Of each bootstrap."""

_AT_ONCE = 1 << 22
"""Values that a bootstrap holds at a time."""

_MOST_SEEDS = 10**6
"""The answer where so many seeds, or more, are needed."""

_LARGEST_EFFECT = 1e3
"""In standard deviations: two seeds tell it for sure, and the law of larger ones overflows."""


@dataclass(frozen=True)
class Estimate:
    """A value with the interval it lies in, from n observations; NaN where n is too small to say."""

    value: float
    low: float
    high: float
    n: int


def interval(values: npt.ArrayLike, estimator: Estimator = mean, confidence: float = 0.95) -> Estimate:
    """The estimate over values [n] with its expanded percentile bootstrap interval.

    The plain percentile interval of few values is too narrow: for the mean of n = 8 normal values a nominal 95 % covers
    P(|t_7| < 1.96 sqrt(7/8)) = 89 %. Its quantiles are therefore moved outwards, from p to
    Phi(t_{n-1}(p) sqrt(n / (n - 1))), so that for symmetric data it agrees with Student's (Hesterberg 2014,
    arXiv:1411.5279) and covers 94 % at n = 8; the shift fades as n grows. No resample lies outside the values, so that
    up to n = 4 the interval spans them all and covers less than it says: a mean's 87 % at n = 4, 50 % at n = 2. What it
    covers of other laws is simulated in ``tests/interval_coverage.py``.

    Values that are not finite are missing; ``n`` counts the others. Equal values give an interval of no width, a single
    one NaN bounds.
    """
    sample = _finite(values)
    n = len(sample)
    if n < 2:
        return Estimate(float(sample[0]) if n else np.nan, np.nan, np.nan, n)
    if np.ptp(sample) == 0:
        return Estimate(float(sample[0]), float(sample[0]), float(sample[0]), n)
    draws = _draws(n) if RESAMPLES * n <= _AT_ONCE else _draws.__wrapped__(n)  # so many are not worth their memory
    found = np.sort(estimator(sample.take(draws)))
    low, high = _percentiles(found, _expanded(confidence, n))
    return Estimate(float(estimator(sample)), low, high, n)


@lru_cache(maxsize=8)
def _draws(n: int) -> npt.NDArray[np.intp]:
    """Which of n values each resample has [RESAMPLES, n]: for equal n the same ones."""
    return np.random.default_rng(0).integers(n, size=(RESAMPLES, n), dtype=np.intp)


def _percentiles(ordered: Array, level: float) -> tuple[float, float]:
    """The bounds of the middle share ``level`` of ascending values, interpolated between neighbours."""
    tail = (1 - level) / 2
    last = len(ordered) - 1
    bounds = []
    for p in (tail, 1 - tail):
        whole, part = divmod(p * len(ordered) + (1 - p), 1)
        below, above = ordered[min(int(whole) - 1, last)], ordered[min(int(whole), last)]
        bounds.append(float((1 - part) * below + part * above))
    return bounds[0], bounds[1]


def _expanded(confidence: float, n: int) -> float:
    """The level at which a percentile interval of n values covers like Student's at ``confidence``."""
    return _level(confidence, n - 1, n / (n - 1))


@lru_cache
def _level(confidence: float, freedom: float, narrowed: float) -> float:
    """The same for a t law with so many degrees of freedom, and resamples with 1 / ``narrowed`` of the variance."""
    from scipy import special

    quantile = special.stdtrit(freedom, (1 + confidence) / 2) * np.sqrt(narrowed)
    return float(1 - 2 * special.ndtr(-quantile))


def stratified(scores: Scores, estimator: Estimator = mean, confidence: float = 0.95) -> Estimate:
    """The estimate over the pooled runs x tasks with its percentile bootstrap interval, stratified over tasks.

    After Agarwal et al. 2021 (arXiv:2108.13264): a resample draws, within each task, as many of its runs as it has, and
    tasks independently of each other. The tasks are fixed: the interval says what other seeds would have given on them,
    nothing of other tasks. A task counts in proportion to its runs.

    Quantiles are moved outwards for few runs as in ``interval``. With n_j runs of variance s_j^2 on task j and
    v_j = n_j s_j^2, the t law has (sum v_j)^2 / sum v_j^2 / (n_j - 1) degrees of freedom (Welch 1947, Satterthwaite
    1946), from n - 1, where one task has all the variance, to m (n - 1), where all have the same; and for the factor
    n / (n - 1) stands sum v_j / sum v_j (1 - 1 / n_j). Of one task the interval is that of ``interval``.

    ``n`` counts the values. NaN bounds where a task has fewer than two runs, NaN where there is none; an interval of no
    width where within each task all values are equal.
    """
    columns = scores.by_task()
    sizes = np.array([len(column) for column in columns])
    n = int(sizes.sum())
    if not n:
        return Estimate(np.nan, np.nan, np.nan, 0)
    value = float(estimator(np.concatenate(columns)))
    if sizes.min() < 2:
        return Estimate(value, np.nan, np.nan, n)
    if not any(np.ptp(column) for column in columns):
        return Estimate(value, value, value, n)
    found = np.empty(RESAMPLES)
    rng = np.random.default_rng(0)
    step = max(1, _AT_ONCE // n)
    for start in range(0, RESAMPLES, step):
        part = found[start : start + step]
        part[:] = estimator(np.concatenate([_resampled(column, len(part), rng) for column in columns], axis=-1))
    level = _pooled_level(confidence, sizes * [column.var(ddof=1) for column in columns], sizes)
    low, high = _percentiles(np.sort(found), level)
    return Estimate(value, low, high, n)


def improvement(a: Scores, b: Scores, direction: Literal["up", "down"], confidence: float = 0.95) -> Estimate:
    """The probability of improvement of a over b, with its interval by the bootstrap stratified over tasks.

    Runs of a and of b are resampled independently of each other within each task. Quantiles are moved outwards as in
    ``stratified``, where for the values of a task stand its runs' placements, the share of the other's runs that each
    beats, whose variances make up that of the estimate (DeLong et al. 1988, Biometrics 44:837).

    ``n`` is the number of a's and b's runs together. NaN bounds where either has fewer than two runs on a task, and
    where in every task all pairs of runs end alike: no resample differs then, which says nothing of other seeds.
    ``ValueError`` where the tasks differ.
    """
    if a.tasks != b.tasks:
        raise ValueError(f"improvement is over the same tasks, not {', '.join(a.tasks)} and {', '.join(b.tasks)}")
    value = float(probability_of_improvement(a.values, b.values, direction))
    pairs = list(zip(a.by_task(), b.by_task(), strict=True))
    sizes = np.array([len(column) for pair in pairs for column in pair])
    n = int(sizes.sum())
    if not n or sizes.min() < 2:
        return Estimate(value, np.nan, np.nan, n)
    variances = np.array([spread for pair in pairs for spread in _placement_variances(*pair)])
    if not variances.any():
        return Estimate(value, np.nan, np.nan, n)
    found = np.zeros(RESAMPLES)
    rng = np.random.default_rng(0)
    step = max(1, _AT_ONCE // max(len(x) * len(y) for x, y in pairs))
    for start in range(0, RESAMPLES, step):
        part = found[start : start + step]
        for x, y in pairs:
            drawn_x, drawn_y = _resampled(x, len(part), rng), _resampled(y, len(part), rng)
            part += probability_of_improvement(drawn_x[..., None], drawn_y[..., None], direction) / len(pairs)
    low, high = _percentiles(np.sort(found), _pooled_level(confidence, variances / sizes, sizes))
    return Estimate(value, low, high, n)


def _resampled(values: Array, times: int, rng: np.random.Generator) -> Array:
    """Resamples of the values [n], as [times, n]."""
    return values[rng.integers(len(values), size=(times, len(values)))]


def _placement_variances(a: Array, b: Array) -> tuple[float, float]:
    """Of the shares of b that each run of a [n] beats, and of the shares of a that each run of b [k] beats."""
    wins = (a[:, None] > b) + 0.5 * (a[:, None] == b)
    return float(wins.mean(axis=1).var(ddof=1)), float(wins.mean(axis=0).var(ddof=1))


def _pooled_level(confidence: float, parts: Array, sizes: npt.NDArray[np.intp]) -> float:
    """The expanded level of an estimate whose variance is made up, in some unit, of parts from samples of sizes [m]."""
    freedom = parts.sum() ** 2 / (parts**2 / (sizes - 1)).sum()
    return _level(confidence, float(freedom), float(parts.sum() / (parts * (1 - 1 / sizes)).sum()))


def paired_difference(a: Mapping[int, float], b: Mapping[int, float], confidence: float = 0.95) -> Estimate:
    """The mean of a - b over the seeds that both have, by seed, with its interval: equal seeds share their chance."""
    return interval([a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())], mean, confidence)


def best_of(
    values: npt.ArrayLike, draws: Sequence[int], direction: Literal["up", "down"], confidence: float = 0.95
) -> list[Estimate]:
    """The expected best of k settings drawn from the values [n] of all that were tried, for each k of ``draws``.

    The mean of the best over all subsets of k, without replacement, which needs none of them: with the values from the
    best to the worst, x_(1) to x_(n),

        sum_i x_(i) C(n - i, k - 1) / C(n, k).

    It is what a search with k settings finds, on average: k = 1 gives the mean, k = n the best value seen. Of all
    estimates without a bias it varies least. After Lucic et al. 2018 (arXiv:1711.10337); Dodge et al. 2019
    (arXiv:1909.03004) draw with replacement, which is biased to the worse side (Dodge et al. 2021, arXiv:2110.00613).

    The interval is the percentile bootstrap's over settings, expanded as in ``interval``: other settings could have
    been drawn. The chance of seeds shows in it only as far as it adds to the spread of the values. No resample holds a
    better setting than the best that was seen, so that the interval is honest while k is much smaller than n, and fails
    towards k = n, where it reaches to the worse side alone: of 128 uniform values it covers 94, 95, 94, 82 and 63 % for
    k = 1, 4, 16, 64 and 128.

    Equal values give intervals of no width, a single one NaN bounds. ``ValueError`` where k is not in 1 ... n, and
    where a value is not finite: what a setting that ended badly counts for is the caller's to say.
    """
    sample = np.sort(np.asarray(values, dtype=np.float64))
    n = len(sample)
    if not draws:
        return []
    if not np.isfinite(sample).all() or not all(1 <= k <= n for k in draws):
        raise ValueError(f"settings have finite values and k is from 1 to their number, {n}, not {list(draws)}")
    if np.ptp(sample) == 0:
        bound = float(sample[0]) if n > 1 else np.nan
        return [Estimate(float(sample[0]), bound, bound, n) for _ in draws]
    ordered = sample[::-1] if direction == "up" else sample
    weights = np.array([_order_weights(n, k) for k in draws]).T
    rng = np.random.default_rng(0)
    found = np.empty((RESAMPLES, len(draws)))
    step = max(1, _AT_ONCE // n)
    for start in range(0, RESAMPLES, step):
        part = found[start : start + step]
        part[:] = ordered[np.sort(rng.integers(n, size=(len(part), n)), axis=1)] @ weights
    level = _expanded(confidence, n)
    lows, highs = np.quantile(found, [(1 - level) / 2, (1 + level) / 2], axis=0)
    columns = zip(ordered @ weights, lows, highs, strict=True)
    return [Estimate(float(value), float(low), float(high), n) for value, low, high in columns]


def _order_weights(n: int, k: int) -> Array:
    """The chance of each of n ordered values to be the best of k: C(n - i, k - 1) / C(n, k) for i = 1 ... n.

    Each is its forerunner times (n - i - k + 1) / (n - i), from k / n on: no term is large, and none cancels.
    """
    i = np.arange(1, n - k + 1)
    weights = np.zeros(n)
    weights[: n - k + 1] = k / n * np.cumprod(np.concatenate([[1.0], (n - i - k + 1) / (n - i)]))
    return weights


def share(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """The share of successes in n trials with the exact binomial interval (Clopper and Pearson 1934)."""
    from scipy import stats

    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    bounds = stats.binomtest(successes, n).proportion_ci(confidence, method="exact")
    return Estimate(successes / n, float(bounds.low), float(bounds.high), n)


def p_value(values: npt.ArrayLike, threshold: float) -> float:
    """How likely a mean at least as far from the threshold is, if the true one is there: Student's t-test, two-sided.

    Of one sample [n] with n - 1 degrees of freedom. Values that are not finite are missing; NaN for n < 2. Values that
    are equal up to rounding have no spread to test with: 1 if they are the threshold, else 0.
    """
    from scipy import stats

    sample = _finite(values)
    if len(sample) < 2:
        return np.nan
    if _equal(sample, sample[0]):
        return float(_equal(sample, threshold))
    return float(stats.ttest_1samp(sample, threshold).pvalue)


def p_share(successes: int, n: int, threshold: float) -> float:
    """The exact binomial test of a share against the threshold, two-sided: the sum over counts that are no likelier.

    NaN for n = 0.
    """
    from scipy import stats

    return float(stats.binomtest(successes, n, threshold).pvalue) if n else np.nan


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given: rejecting those at or below alpha keeps the family-wise error at alpha.

    Of m in ascending order the i-th becomes max over j <= i of min(1, (m - j + 1) p_(j)) (Holm 1979, Scandinavian
    Journal of Statistics 6:65). NaN stays NaN and does not count in m.
    """
    found = np.asarray(p_values, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(found))
    order = tested[np.argsort(found[tested])]
    steps = np.arange(len(order), 0, -1) * found[order]
    found = np.full(len(found), np.nan)
    found[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return [float(p) for p in found]


def seeds_for_mean(values: npt.ArrayLike, threshold: float, power: float = 0.8, confidence: float = 0.95) -> int | None:
    """The fewest seeds with which a t-test would tell the mean from the threshold with probability ``power``.

    The test is two-sided at level 1 - ``confidence``; data are taken as normal with the mean and the standard deviation
    of the values [n], so that with d = |mean - threshold| / sd the statistic of N seeds follows the noncentral t law
    with N - 1 degrees of freedom and noncentrality d sqrt(N). Of few values d is a rough guess, and so is the answer.

    Values that are not finite are missing. None for n < 2 and where the mean is the threshold; 2 where values are equal
    up to rounding and are not the threshold; 10^6 stands for so many or more.
    """
    sample = _finite(values)
    if len(sample) < 2 or _equal(np.mean(sample), threshold):
        return None
    if _equal(sample, sample[0]):
        return 2
    effect = min(abs(float(np.mean(sample)) - threshold) / float(np.std(sample, ddof=1)), _LARGEST_EFFECT)
    return _fewest(lambda n: _power(n, effect, confidence) >= power, 2)


def _power(n: int, effect: float, confidence: float) -> float:
    """The chance that a two-sided t-test of n normal values, ``effect`` deviations off, rejects.

    By the noncentral F law of the statistic's square: of the noncentral t law scipy gives NaN far out.
    """
    from scipy import special

    bound = float(special.stdtrit(n - 1, (1 + confidence) / 2))
    return float(1 - special.ncfdtr(1, n - 1, n * effect**2, bound**2))


def seeds_for_share(successes: int, n: int, threshold: float, confidence: float = 0.95) -> int | None:
    """The fewest seeds at which the exact interval around the observed share leaves the threshold out.

    Of N seeds as many are taken as successes as keep the share nearest to the observed one without being further from
    the threshold: floor(N successes / n) where the share is above it, rounded up where it is below. The interval is
    that of ``share``; more seeds than these can take it in again for some N, by the rounding. There is no margin for
    chance: with so many seeds the threshold is left out about every other time.

    None for n = 0 and where the share is the threshold; 10^6 stands for so many or more.
    """
    from scipy import special

    if n == 0 or successes / n == threshold:
        return None
    if successes / n < threshold:  # the mirror image: failures against 1 - threshold
        successes, threshold = n - successes, 1 - threshold

    def left_out(sizes: Array, counts: Array) -> npt.NDArray[np.bool_]:
        """Whether P(X >= count) at the threshold is so small that the lower bound is above it."""
        tails = special.betainc(counts, sizes - counts + 1, threshold)
        return np.asarray((counts > 0) & (tails < (1 - confidence) / 2))

    # Rounding only delays it, by less than n seeds: at a multiple of n the share is exact.
    soonest = _fewest(lambda size: bool(left_out(np.array(float(size)), np.array(successes * size / n))), 1)
    sizes = np.arange(soonest, min(soonest + n, _MOST_SEEDS + 1))
    found = np.flatnonzero(left_out(sizes.astype(float), (successes * sizes // n).astype(float)))
    return int(sizes[found[0]]) if len(found) else _MOST_SEEDS


def _fewest(enough: Callable[[int], bool], start: int) -> int:
    """The least number of seeds, from ``start`` to the most, that is enough, where more always are as well."""
    found = start
    while found < _MOST_SEEDS and not enough(found):
        found = min(2 * found, _MOST_SEEDS)
    return bisect_left(range(found), True, lo=max(start, found // 2), key=enough)


def _finite(values: npt.ArrayLike) -> Array:
    """The values that are there."""
    sample = np.asarray(values, dtype=np.float64)
    return sample[np.isfinite(sample)]


def _equal(values: npt.ArrayLike, value: float) -> bool:
    """Whether values are one value up to rounding."""
    return np.allclose(values, value, rtol=1e-12, atol=0.0)
