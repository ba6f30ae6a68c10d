"""Every registered metric passes its contract; for each check something is broken that it must find."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from bench.contracts import METRIC_CHECKS, check_metric
from bench.metrics import METRICS, Column, Metric


@pytest.mark.parametrize("check", METRIC_CHECKS)
@pytest.mark.parametrize("name", METRICS)
def test_metric(name: str, check: str) -> None:
    METRIC_CHECKS[check](METRICS[name])


@dataclass(frozen=True, kw_only=True)
class Settings:
    gap_n: int = 100


@dataclass(kw_only=True)
class Loose:
    gap_n: int = 100
    __hash__ = object.__hash__


@dataclass(frozen=True)
class Positional:
    gap_n: int = 100


@dataclass(frozen=True, kw_only=True)
class Undecided:
    gap_n: int


def energy(points: np.ndarray, reference: np.ndarray, truth: Any, settings: Any) -> dict[str, float]:
    """A distance of means plus one of spreads: 0 for equal samples."""
    means = np.linalg.norm(points.mean(0) - reference.mean(0))
    with np.errstate(invalid="ignore", over="ignore"):
        spreads = np.linalg.norm(points.std(0) - reference.std(0))
    return {"gap": float(means + spreads)}


SOUND = Metric(
    name="gap",
    version=1,
    reference="nobody",
    columns={"gap": Column(label="Gap", unit="", direction="down")},
    settings=Settings,
    compute=energy,
)


def of(change: Callable[..., float]) -> dict[str, Any]:
    """The sound metric with something done to its arguments and value."""

    def compute(points: Any, reference: Any, truth: Any, settings: Any) -> dict[str, Any]:
        """Whatever it is."""
        return {"gap": change(points, reference, lambda x=points, y=reference: energy(x, y, truth, settings)["gap"])}

    return {"compute": compute}


def column(**parts: Any) -> dict[str, Any]:
    return {"columns": {"gap": replace(SOUND.columns["gap"], **parts)}}


def in_place(x: Any, y: Any, gap: Callable[..., float]) -> float:
    x -= y.mean(0)
    return gap()


def strictly_inside(x: Any, y: Any, gap: Callable[..., float]) -> float:
    """Coverage, with < where <= belongs: the share of y that has some x strictly within its nearest neighbour."""
    pairs = np.linalg.norm(y[:, None] - y[None], axis=2) + np.where(np.eye(len(y)), np.inf, 0)
    apart = np.linalg.norm(x[:, None] - y[None], axis=2)
    return float(((apart < pairs.min(0)) & (apart > 0)).any(0).mean())


calls: list[int] = []


def counting(x: Any, y: Any, gap: Callable[..., float]) -> float:
    calls.append(1)
    return gap() + len(calls)


def undocumented(points: Any, reference: Any, truth: Any, settings: Any) -> dict[str, float]:
    return energy(points, reference, truth, settings)


BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("record", {"name": "The gap"}, "the name must be"),
    ("record", {"version": 0}, "version must be a whole number"),
    ("record", {"reference": ""}, "reference is empty"),
    ("record", {"compute": undocumented}, "needs a docstring"),
    ("record", {"columns": {}}, "no columns"),
    ("record", {"columns": {"gap_floor": SOUND.columns["gap"]}}, "does not end in _floor"),
    ("record", {"columns": {"gap": "down"}}, "must be a bench.metrics.Column"),
    ("record", column(label=" "), "no label"),
    ("record", column(direction="lower"), "'up', 'down', 'floor' or 'none', not 'lower'"),
    ("settings", {"settings": Settings()}, "not an instance"),
    ("settings", {"settings": Loose}, "'gap_n' can be changed"),
    ("settings", {"settings": Positional}, "keyword-only"),
    ("settings", {"settings": Undecided}, "each with a default"),
    ("columns", {"columns": {**SOUND.columns, "gap_n": SOUND.columns["gap"]}}, "declared column 'gap_n'"),
    ("columns", {"columns": {}}, "the column 'gap', which is not declared"),
    ("columns", of(lambda x, y, gap: np.float32(gap())), "gap is a float32, not a float"),
    ("columns", of(lambda x, y, gap: math.inf), "gap of ordinary samples is inf"),
    ("columns", of(lambda x, y, gap: math.nan if len(x) > len(y) else gap()), "120 samples and 60 of the reference"),
    ("not_finite", of(lambda x, y, gap: float(np.nan_to_num(gap()))), "must be NaN"),
    ("not_finite", of(lambda x, y, gap: -math.inf if np.isinf(x).any() else gap()), "is -inf where a sample is inf"),
    ("extremes", of(lambda x, y, gap: sorted(x[:, 0])[3]), "two samples raise IndexError"),
    (
        "extremes",
        of(lambda x, y, gap: -math.inf if abs(x).max() > 1e30 else gap()),
        "samples of 1e38 give gap its best",
    ),
    ("pure", of(in_place), "changes one of its arguments"),
    ("pure", of(lambda x, y, gap: gap() + 0 * np.random.rand()), "global randomness"),  # noqa: NPY002
    ("pure", of(counting), "for equal arguments"),
    ("order", of(lambda x, y, gap: gap(x[:30])), "depends on the order of the samples"),
    ("order", of(lambda x, y, gap: gap(x, y[:30])), "depends on the order of the reference"),
    ("direction", column(direction="up"), "higher is declared to be better: is the direction wrong"),
    ("direction", of(lambda x, y, gap: 1.0), "is the direction wrong"),
    ("direction", of(lambda x, y, gap: -gap()), "lower is declared to be better"),
    ("floor", column(direction="up") | of(strictly_inside), "a copy of the reference is 0, worse than the floor"),
]


@pytest.mark.parametrize(("check", "parts", "words"), BROKEN)
def test_a_broken_metric_is_found(check: str, parts: dict[str, Any], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        METRIC_CHECKS[check](replace(SOUND, **parts))


def test_every_check_has_a_specimen_that_it_finds() -> None:
    assert {check for check, _, _ in BROKEN} == set(METRIC_CHECKS)


def test_the_sound_metric_passes() -> None:
    assert {name: words for name, words in check_metric(SOUND).items() if words is not None} == {}


def test_a_column_without_direction_may_say_anything_of_bad_samples() -> None:
    constant = replace(SOUND, **(column(direction="none") | of(lambda x, y, gap: 7.0)))
    assert set(check_metric(constant).values()) == {None}


def test_a_coverage_that_counts_what_is_equal_passes_the_floor() -> None:
    """The twin of the broken one: ``<=`` and no exception for distance 0."""

    def coverage(x: Any, y: Any, gap: Callable[..., float]) -> float:
        pairs = np.linalg.norm(y[:, None] - y[None], axis=2) + np.where(np.eye(len(y)), np.inf, 0)
        return float((np.linalg.norm(x[:, None] - y[None], axis=2) <= pairs.min(0)).any(0).mean())

    METRIC_CHECKS["floor"](replace(SOUND, **(column(direction="up") | of(coverage))))
