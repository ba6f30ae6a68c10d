"""Verdicts of parts and of claims, on numbers whose verdict is plain."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from bench.claims.base import Part, beside, closed_form, decide, mean_of, share_of
from bench.statistics import Estimate, holm

LEFT, RIGHT, MIXED = [-3.0, -2.0, -2.5, -3.5, -2.2], [3.0, 2.0, 2.5, 3.5, 2.2], [-3.0, 3.0, -2.0, 2.5, 0.1]


def part(values: list[float], side: str = "above", threshold: float = 0.0) -> Part:
    return mean_of("", "", values, threshold, side)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "side", "verdict"),
    [
        (RIGHT, "above", "reproduced"),
        (LEFT, "above", "refuted"),
        (MIXED, "above", "inconclusive"),
        (LEFT, "below", "reproduced"),
        (RIGHT, "below", "refuted"),
        ([0.0] * 8, "above", "refuted"),  # no difference is none in the claimed direction
        ([0.0] * 8, "below", "refuted"),
        ([1.0] * 8, "above", "reproduced"),
        ([5.0], "above", "inconclusive"),  # one seed has no interval
        ([], "above", "inconclusive"),
    ],
)
def test_a_part_is_judged_by_where_its_interval_lies(values: list[float], side: str, verdict: str) -> None:
    assert part(values, side).verdict == verdict


def test_a_part_tells_student_s_p_and_the_seeds_that_it_would_take() -> None:
    found = part(MIXED)
    assert found.p == pytest.approx(stats.ttest_1samp(MIXED, 0).pvalue)
    assert found.needed is not None
    assert found.needed > len(MIXED)
    assert part([0.0] * 8).p == part([1.0] * 8).p == pytest.approx(2 / 2**8)  # the sign test: n runs that agree
    assert part([0.0] * 8).needed is None


def test_values_that_are_not_finite_are_missing_and_are_counted_as_such() -> None:
    assert part([*RIGHT, math.nan, math.inf]).effect.n == len(RIGHT)


def test_shares_have_the_exact_binomial_interval() -> None:
    found = share_of("", "", [True] * 8, 0.5, "above")
    assert found.effect.low == pytest.approx(0.025 ** (1 / 8))  # Clopper and Pearson: (alpha / 2)^(1 / n)
    assert found.verdict == "reproduced"
    assert found.p == pytest.approx(2 / 2**8)
    assert share_of("", "", [True] * 8, 0.95, "above").verdict == "inconclusive"
    assert share_of("", "", [False] * 8, 0.95, "above").verdict == "refuted"


def test_an_error_at_its_tolerance_is_exact_and_nothing_else_is() -> None:
    assert closed_form("", "", 0.1, 0.1).verdict == "exact"
    assert closed_form("", "", 0.11, 0.1).verdict == "not exact"
    assert closed_form("", "", math.nan, 0.1).verdict == "not exact"
    judged = decide([closed_form("a", "", 0, 0), closed_form("b", "", 1, 0.1)], [math.nan] * 2)
    assert (judged.verdict, judged.decisive) == ("not exact", 1)
    assert decide([closed_form("a", "", 0, 0)], [math.nan]).verdict == "exact"


def decided(*parts: Part) -> tuple[str, int | None]:
    judged = decide(parts, holm([one.p for one in parts]))
    return judged.verdict, judged.decisive


def test_a_claim_holds_if_all_of_its_parts_do_and_shows_the_weakest() -> None:
    weak = [0.5, 3.0, 2.5, 0.4, 4.0]
    assert decided(part(RIGHT), part(weak), part(RIGHT)) == ("reproduced", 1)


def test_one_part_refutes_a_claim_and_the_clearest_is_shown() -> None:
    clear = [-9.0, -9.1, -9.2, -9.1, -9.05]
    assert decided(part(RIGHT), part(LEFT), part(clear)) == ("refuted", 2)


def test_a_part_that_holm_does_not_leave_refutes_nothing() -> None:
    barely = [-1.0, -2.2, -0.1, -1.9, -0.8, -1.2]
    assert part(barely).verdict == "refuted"
    family = [part(MIXED)] * 60
    assert decided(*family, part(barely))[0] == "inconclusive"
    assert decided(part(barely))[0] == "refuted"


def test_runs_that_agree_refute_as_far_as_their_number_goes() -> None:
    """An interval without a width lies wholly on a side, but few runs that agree leave it to chance."""
    assert decided(part(RIGHT), part([0.0] * 8)) == ("refuted", 1)
    assert decided(part(RIGHT), part([0.0] * 5)) == ("inconclusive", 1)


def test_a_straddling_part_leaves_a_claim_open() -> None:
    judged = decide([part(RIGHT), part(MIXED)], [0.001, 0.9])
    assert (judged.verdict, judged.decisive) == ("inconclusive", 1)
    assert "1 of 2 parts reproduced" in judged.why
    assert "seeds would settle it" in judged.why
    assert decide([], []).verdict == "not judged"


def published(values: list[float], theirs: float, error: float | None, order: str = "") -> Part:
    return beside("", "", values, theirs, error, order)


def test_published_numbers_are_met_in_value_or_at_least_in_order() -> None:
    near, low, high = published(RIGHT, 2.7, 0.1), published([1.0, 1.1, 0.9], 5, 0.1, "o"), published(RIGHT, 8, 0.1, "o")
    assert near.verdict == "within"
    assert decided(near)[0] == "within"
    assert decided(near, low, high)[0] == "same ordering"
    swapped = published(RIGHT, 5, 0.1, "o"), published([1.0, 1.1, 0.9], 8, 0.1, "o")
    assert decided(near, *swapped)[0] == "neither"
    assert decided(published(RIGHT, 50, 0.1))[0] == "neither"


def test_a_published_number_without_an_error_must_lie_in_our_interval() -> None:
    assert published(RIGHT, 2.7, None).verdict == "within"
    assert published(RIGHT, 3.6, None).verdict == "neither"


def test_an_interval_is_that_of_the_statistics() -> None:
    found = part(RIGHT).effect
    assert isinstance(found, Estimate)
    low, high = stats.t.interval(0.95, 4, sum(RIGHT) / 5, stats.sem(RIGHT))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.4)
