"""Estimates over seeds with intervals, and tests of thresholds: what a table prints, a figure shades, a claim rests on.

The protocol follows Agarwal et al. 2021 (arXiv:2108.13264): an estimator, a bootstrap interval, the size beside it.
Nothing here is drawn from outside: equal values, equal intervals.
"""

from bench.statistics.estimators import (
    Array,
    Estimator,
    Rank,
    iqm,
    mean,
    median,
    probability_of_improvement,
    profile,
    rank_correlation,
)
from bench.statistics.intervals import (
    RESAMPLES,
    Estimate,
    best_of,
    holm,
    improvement,
    interval,
    p_share,
    p_value,
    paired_difference,
    seeds_for_mean,
    seeds_for_share,
    share,
    stratified,
)
from bench.statistics.scores import Scores

__all__ = [
    "RESAMPLES",
    "Array",
    "Estimate",
    "Estimator",
    "Rank",
    "Scores",
    "best_of",
    "holm",
    "improvement",
    "interval",
    "iqm",
    "mean",
    "median",
    "p_share",
    "p_value",
    "paired_difference",
    "probability_of_improvement",
    "profile",
    "rank_correlation",
    "seeds_for_mean",
    "seeds_for_share",
    "share",
    "stratified",
]
