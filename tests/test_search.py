from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.errors import UserError
from bench.search import Draw, Search, draws, ends, read_draws, uniform
from bench.yaml_file import Block, Items, parse

PATHS = ("lr", "objective.optimizer.lr", "objective.penalty_weight")


def drawn(text: str) -> Block:
    """The settings of a text, with their draws read."""
    block: Block = read_draws(parse(text, "F"), ())
    return block


def draw(law: str, *argument: Any) -> Draw:
    items = Items("F:1")
    for item in argument:
        items.put(item, "F:1")
    return Draw(law, items, "F:1")


@pytest.mark.parametrize(
    ("seed", "index", "path", "digest"),
    [  # printf '0/0/lr' | sha256sum
        (0, 0, "lr", "39640e9dd2a95cfb"),
        (0, 1, "lr", "00ae3e395da4d528"),
        (7, 12, "objective.optimizer.lr", "c2e69ad3bd868228"),
    ],
)
def test_a_draw_is_made_of_the_digest_of_seed_index_and_path(seed: int, index: int, path: str, digest: str) -> None:
    """Python reads a hexadecimal fraction of 53 bits without rounding: the first 13 digits and one bit of the next."""
    fourteenth = f"{int(digest[13], 16) & 0b1000:x}"
    assert uniform(seed, index, path) == float.fromhex(f"0x0.{digest[:13]}{fourteenth}")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("seed", [0, 1])
def test_numbers_follow_their_laws(path: str, seed: int) -> None:
    us = [uniform(seed, index, path) for index in range(4000)]
    numbers = [draw("uniform", -1, 3).value(u) for u in us]
    assert stats.kstest(numbers, stats.uniform(-1, 4).cdf).pvalue > 1e-3
    numbers = [draw("log_uniform", 1e-5, 1e-2).value(u) for u in us]
    assert stats.kstest(numbers, stats.loguniform(1e-5, 1e-2).cdf).pvalue > 1e-3
    chosen = [draw("choice", *"xyz").value(u) for u in us]
    assert stats.chisquare([chosen.count(word) for word in "xyz"]).pvalue > 1e-3


def test_draws_of_other_settings_indices_and_seeds_are_independent() -> None:
    columns = [[uniform(0, index, path) for index in range(4000)] for path in PATHS]
    columns += [[uniform(1, index, PATHS[0]) for index in range(4000)], [*columns[0][1:], columns[0][0]]]
    for place, one in enumerate(columns):
        for other in columns[:place]:
            assert stats.pearsonr(one, other).pvalue > 1e-3


BOUNDS = st.floats(-1e300, 1e300) | st.integers(-(10**17), 10**17)
SIZES = st.floats(1e-300, 1.7e308)


def checked(law: str, low: float, high: float, u: float) -> tuple[float, Decimal]:
    """The value at u, and what it is without rounding, in decimal arithmetic of 28 digits."""
    assume(float(low) < float(high))
    value = draw(law, low, high).value(u)
    assert float(low) <= value <= float(high)
    assert value in (float(low), float(high)) or len(Decimal(repr(value)).normalize().as_tuple().digits) <= 6
    a, b, c = Decimal(float(low)), Decimal(float(high)), Decimal(u)
    return value, a + (b - a) * c if law == "uniform" else (a.ln() + (b.ln() - a.ln()) * c).exp()


@given(low=BOUNDS, high=BOUNDS, u=st.floats(0, 1, exclude_max=True))
@settings(max_examples=200, deadline=None)
def test_uniform_numbers_are_within_their_bounds_and_short(low: float, high: float, u: float) -> None:
    value, exact = checked("uniform", low, high, u)
    slack = 1e-12 * max(abs(low), abs(high))  # what a float loses where the bounds cancel
    assert math.isclose(value, exact, rel_tol=5.1e-6, abs_tol=slack)


@given(low=SIZES, high=SIZES, u=st.floats(0, 1, exclude_max=True))
@settings(max_examples=200, deadline=None)
def test_log_uniform_numbers_are_within_their_bounds_and_short(low: float, high: float, u: float) -> None:
    value, exact = checked("log_uniform", low, high, u)
    assert math.isclose(value, exact, rel_tol=5.1e-6)


@given(count=st.integers(1, 4000), u=st.floats(0, 1, exclude_max=True) | st.just(1 - 2**-53))
@settings(max_examples=300, deadline=None)
def test_a_choice_cuts_the_interval_evenly(count: int, u: float) -> None:
    value = draw("choice", *range(count)).value(u)
    assert -1e-9 <= Decimal(u) * count - value < 1 + 1e-9


def test_a_block_with_one_law_as_its_only_key_is_a_draw() -> None:
    block = drawn(
        "a: {uniform: [0, 1]}\nb:\n  name: ring\n  c: [{log_uniform: [1, 2]}, 3]\nd: [{choice: [{e: [1, 2]}]}]"
    )
    assert [(path, found, found.mark) for path, found in draws(block)] == [
        (("a",), {"uniform": [0, 1]}, "F:1"),
        (("b", "c"), {"log_uniform": [1, 2]}, "F:4"),
        (("d",), {"choice": [{"e": [1, 2]}]}, "F:5"),
    ]
    for text in (
        "a: {uniform: [0, 1], name: b}",
        "a: {uniform: [0, 1], log_uniform: [1, 2]}",
        "a: {Uniform: [0, 1]}",
        "a: uniform",
        "a: {law: uniform}",
    ):
        assert list(draws(drawn(text))) == [], text


def test_filling_keeps_what_is_not_drawn_and_every_place() -> None:
    block = drawn("a: 1\nb:\n  c: [[1, 2]]\n  d: {choice: [{name: e, f: [3, 4]}]}")
    filled = Search(settings=1).fill(block, 0)
    assert filled == {"a": 1, "b": {"c": [[1, 2]], "d": {"name": "e", "f": [3, 4]}}}
    assert isinstance(filled, Block)
    assert filled["b"].marks == {"c": "F:3", "d": "F:4"}
    assert filled["b"]["d"].marks == {"name": "F:4", "f": "F:4"}


def test_ends_show_every_bound_and_every_choice() -> None:
    block = drawn("a: {uniform: [0, 1]}\nb: {c: {log_uniform: [1, 2]}, d: {choice: [x, [1, 2], {e: 3}]}}\nf: 4")
    shown = ends(block)
    assert [point["f"] for point in shown] == [4] * len(shown)
    assert {point["a"] for point in shown} == {0.0, 1.0}
    assert {point["b"]["c"] for point in shown} == {1.0, 2.0}
    assert all(value in [point["b"]["d"] for point in shown] for value in ("x", [1, 2], {"e": 3}))
    assert not any(list(draws(point)) for point in shown)


REFUSED: list[tuple[str, str]] = [
    ("uniform: 3", "uniform: two numbers belong here, not 3; write [low, high]"),
    ("uniform: [1]", "uniform: two numbers belong here, not [1]; write [low, high]"),
    ("uniform: [1, 2, 3]", "uniform: two numbers belong here, not [1, 2, 3]; write [low, high]"),
    ("uniform: ['1', 2]", "uniform: two numbers belong here, not ['1', 2]; write [low, high]"),
    ("log_uniform: [true, 2]", "log_uniform: two numbers belong here, not [True, 2]; write [low, high]"),
    ("uniform: [[1, 2], 3]", "uniform: two numbers belong here, not [[1, 2], 3]; write [low, high]"),
    ("uniform: {low: 1, high: 2}", "uniform: two numbers belong here, not {'low': 1, 'high': 2}; write [low, high]"),
    ("uniform:", "uniform: two numbers belong here, not None; write [low, high]"),
    ("uniform: [2, 1]", "uniform: the first number is the lower one, not [2, 1]; write [low, high]"),
    ("log_uniform: [1, 1.0]", "log_uniform: the first number is the lower one, not [1, 1.0]; write [low, high]"),
    (
        "log_uniform: [0, 1]",
        "log_uniform: 0 has no logarithm; write two numbers above 0, or take uniform",
    ),
    ("log_uniform: [-1, 1]", "log_uniform: -1 has no logarithm; write two numbers above 0, or take uniform"),
    ("choice: 3", "choice: a list of values belongs here, not 3; write [1, 5]"),
    ("choice: []", "choice: a list of values belongs here, not []; write [1, 5]"),
    ("choice: {a: 1}", "choice: a list of values belongs here, not {'a': 1}; write [1, 5]"),
]


@pytest.mark.parametrize(("words", "line"), REFUSED)
def test_impossible_draws_are_refused(words: str, line: str) -> None:
    with pytest.raises(UserError) as caught:
        drawn(f"a:\n  b:\n    {words}")
    assert str(caught.value) == f"F:3: a.b: {line}"


@pytest.mark.parametrize(
    "text",
    [
        "{choice: [1, {uniform: [1, 2]}]}",
        "{choice: [{name: c, b: {uniform: [1, 2]}}]}",
        "{choice: [[{uniform: [1, 2]}]]}",
        "[[{uniform: [1, 2]}, 3]]",
        "[[{c: {uniform: [1, 2]}}]]",
    ],
)
def test_a_draw_within_a_value_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"uniform: a draw within a value; draw the whole setting, or settings by them"):
        drawn(f"a: {text}")


def test_a_search_is_seeded() -> None:
    block = drawn("a: {uniform: [0, 1]}")
    points: list[Any] = [Search(settings=3, seed=seed).fill(block, index) for seed in (0, 1) for index in range(3)]
    assert len({point["a"] for point in points}) == 6
