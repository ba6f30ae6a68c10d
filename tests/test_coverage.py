"""What intervals cover, by simulation: against closed forms, against the record, and the whole table again."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import interval_coverage
import numpy as np
import pandas as pd
import pytest
from interval_coverage import LAWS, RECORD, SHARES, SIZES, TASKS, middle, sampled, shared, simulate, tally
from scipy import stats

from bench.statistics import Estimate, interval, median

QUICK = 150


@pytest.fixture(scope="module")
def record() -> pd.DataFrame:
    return pd.read_csv(RECORD / "coverage.csv").set_index(["law", "estimator", "n"])


def agree(covered: float, simulations: int, recorded: pd.Series) -> bool:
    """Whether two simulations can be of one coverage: one in 10^4 that are is refused."""
    counts = [
        (round(c * n), round((1 - c) * n)) for c, n in ((covered, simulations), recorded[["covered", "simulations"]])
    ]
    return stats.fisher_exact(counts).pvalue > 1e-4


@pytest.mark.parametrize(("n", "inside"), [(3, Fraction(3, 4)), (4, Fraction(7, 8))])
@pytest.mark.parametrize("law", ["heavy tails: lognormal", "bounded: uniform"])
def test_of_so_few_the_median_lies_between_all(law, n, inside):
    """Of any continuous law all n values lie on one side of the median with chance 2^(1 - n); the interval has all."""
    assert inside == 1 - Fraction(2, 2**n)
    samples = LAWS[law].rvs(size=(QUICK, n), random_state=n)
    found = tally([interval(sample, median) for sample in samples], LAWS[law].median())
    assert stats.binomtest(round(found["covered"] * QUICK), QUICK, float(inside)).pvalue > 1e-4
    assert found["covered"] + found["below"] + found["above"] == pytest.approx(1)


def test_tally_counts_both_sides_and_rounding():
    ends = [(0.0, 1.0), (2.0, 3.0), (-1.0, 0.4), (0.5, 0.5), (0.5 + 1e-15, 0.7)]
    found = tally([Estimate(low, low, high, 5) for low, high in ends], 0.5)
    assert found == {"simulations": 5, "covered": 0.6, "below": 0.2, "above": 0.2, "no_width": 0.2}


def test_the_middle_of_laws_in_closed_form():
    assert middle(stats.uniform()) == pytest.approx(0.5, rel=1e-9)
    assert middle(stats.expon()) == pytest.approx(1 - 1.5 * np.log(0.75) + 0.5 * np.log(0.25), rel=1e-4)
    assert middle(LAWS["tied: modes of 8, each with .99"]) == 8
    points = [stats.norm(place, 1e-6) for place in (-1, 0, 3, 5)]
    assert middle(*points) == pytest.approx(1.5)


@pytest.mark.parametrize("p", SHARES)
def test_shares_are_covered_as_said_whatever_they_are(p):
    """Clopper and Pearson's interval covers at least what it says; here by its definition, from the tails."""
    for n in SIZES:
        chances = [comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
        expected = sum(chances[k] for k in range(n + 1) if min(sum(chances[: k + 1]), sum(chances[k:])) > 0.025)
        found = shared(p, n)
        assert found["covered"] == pytest.approx(expected, rel=1e-9)
        assert found["covered"] >= 0.95


@pytest.mark.parametrize(
    ("law", "n"), [("normal", 5), ("tied: modes of 8, each with .99", 8), ("heavy tails: lognormal", 8)]
)
def test_a_sample_of_simulations_agrees_with_the_record(law, n, record, monkeypatch):
    """With other draws than the record's."""
    monkeypatch.setattr(interval_coverage, "generator", lambda n, name: np.random.default_rng([1, n, len(name)]))
    for row in sampled(law, n, QUICK):
        assert agree(row["covered"], QUICK, record.loc[(law, row["estimator"], n)]), row


def test_the_record_is_whole(record):
    """Nothing is missing; the mean of normal values is covered nearly as said, by few values as by tasks."""
    assert len(record) == len(LAWS) * len(SIZES) * 3 + len(SIZES) * 3 + len(SHARES) * len(SIZES)
    drawn = record[record["simulations"] > 0]
    assert drawn["simulations"].min() >= 1_000
    assert np.allclose(record[["covered", "below", "above"]].sum(axis=1), 1)
    for n in SIZES:
        assert 0.9 < record.loc[("normal", "mean", n), "covered"] < 0.965
        assert 0.92 < record.loc[(f"{len(TASKS)} tasks, normal", "mean", n), "covered"] < 0.98


@pytest.mark.campaign
def test_the_record_comes_again(record):
    """Every row with as many simulations as it was made of; the same draws, so that only versions can differ."""
    rows = simulate(interval_coverage.SIMULATIONS, interval_coverage.TASKED_SIMULATIONS)
    print(interval_coverage.page(rows))
    found = rows.set_index(["law", "estimator", "n"])
    assert list(found.index) == list(record.index)
    np.testing.assert_allclose(found["covered"], record["covered"], atol=2e-3)
