"""What a metric must satisfy.

Shape letters: N samples, D numbers in an event, K modes.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Iterator, Mapping

import numpy as np

from bench.contracts.common import Checks, GlobalRandomness, require
from bench.metrics import FLOOR, Column, Metric, Modes, Truth
from bench.metrics.base import Array

_N = 60
"""Few enough that no metric leaves any out."""


# ---------------------------------------------------------------------------------------------------------------------
# Mixtures with their samples.


def _mixtures() -> Iterator[Modes]:
    """On a line, in the plane and in twelve dimensions: what holds for one and not for the others is a defect."""
    yield Modes(np.array([[-1.0], [1.0]]), 0.1, np.full(2, 1 / 2))
    angles = 2 * np.pi * np.arange(8) / 8
    yield Modes(2 * np.stack([np.cos(angles), np.sin(angles)], 1), 0.02, np.full(8, 1 / 8))
    yield Modes(3 * np.random.default_rng(5).normal(size=(5, 12)), 0.1, np.full(5, 1 / 5))


def _real(modes: Modes, n: int, seed: int) -> Array:
    """Real samples [n, D], the modes in turn."""
    noise = np.random.default_rng(seed).normal(size=(n, modes.means.shape[1]))
    return modes.means[np.arange(n) % len(modes.means)] + modes.std * noise


def values_of(metric: Metric, points: Array, reference: Array, modes: Modes) -> Mapping[str, float]:
    """The modes are the classes of a judge who names the nearest one; training images are real samples."""
    truth = {
        "nothing": Truth(),
        "modes": Truth(modes=modes),
        "classes": Truth(classes=modes.weights),
        "training": Truth(training=_real(modes, 2 * _N, 9)),
    }[metric.needs]
    if metric.space in ("classes", "manifold"):
        points, reference = (_judged(x, modes)[metric.space] for x in (points, reference))
    return metric.compute(points, reference, truth, metric.settings())


def _judged(points: Array, modes: Modes) -> dict[str, Array]:
    """What is said of points [n, D]: the nearest mode and how sure that is, and how far off it they are."""
    from scipy.spatial.distance import cdist

    distances = cdist(points, modes.means) / modes.std
    least = distances.min(axis=1)
    named = np.where(np.isfinite(least), distances.argmin(axis=1), np.nan)
    off = least / math.sqrt(points.shape[1])  # about 1 for real samples, in any dimension
    sure = np.where(np.isfinite(least), np.exp(-np.minimum(off, 100) / 20), np.nan)
    return {"classes": np.stack([named, sure], 1), "manifold": off[:, None]}


def _where(modes: Modes) -> str:
    return f"(mixture with K = {len(modes.means)}, D = {modes.means.shape[1]})"


def _directed(metric: Metric) -> dict[str, int]:
    """+1 where more is better, -1 where less is."""
    signs = {"up": 1, "down": -1}
    return {name: signs[c.direction] for name, c in metric.columns.items() if c.direction in signs}


# ---------------------------------------------------------------------------------------------------------------------
# Checks.


def check_record(metric: Metric) -> None:
    """The record's words are usable: name, version, reference, columns, docstring."""
    words = "the name must be one lower-case word of letters, digits and _ that is a Python identifier"
    require(metric.name.isidentifier() and metric.name.islower(), f"{words}, not {metric.name!r}")
    version = metric.version
    fine = isinstance(version, int) and not isinstance(version, bool) and version >= 1
    require(fine, f"the version must be a whole number from 1 on, not {version!r}")
    require(bool(metric.reference.strip()), "the reference is empty: say authors, year, arXiv id")
    require(
        bool(inspect.getdoc(metric.compute)), "compute needs a docstring that says what it computes, by what formula"
    )
    require(bool(metric.columns), "there are no columns")
    for name, column in metric.columns.items():
        fine = name.isidentifier() and name.islower() and not name.endswith(FLOOR)
        require(fine, f"the column {name!r} must be one lower-case word that does not end in {FLOOR}")
        require(isinstance(column, Column), f"the column {name!r} must be a bench.metrics.Column, not {column!r}")
        require(bool(column.label.strip()), f"the column {name!r} has no label for tables and figures")
        fine = column.direction in ("up", "down", "floor", "none")
        words = "must be 'up', 'down', 'floor' or 'none'"
        require(fine, f"the direction of {name!r} {words}, not {column.direction!r}")


def check_settings(metric: Metric) -> None:
    """A frozen dataclass with keyword-only settings, each with a default."""
    kind = metric.settings
    fine = isinstance(kind, type) and dataclasses.is_dataclass(kind)
    require(fine, "the settings must be a dataclass, not an instance of one")
    try:
        settings = kind()
        hash(settings)
    except TypeError as error:
        words = "the settings must be @dataclass(frozen=True, kw_only=True), each with a default"
        raise AssertionError(f"{words}: {error}") from None
    for field in dataclasses.fields(kind):
        require(bool(field.kw_only), f"the setting {field.name!r} must be keyword-only: kw_only=True")
        try:
            setattr(settings, field.name, getattr(settings, field.name))
        except dataclasses.FrozenInstanceError:
            continue
        raise AssertionError(f"the settings must be frozen: {field.name!r} can be changed")


def check_columns(metric: Metric) -> None:
    """For ordinary samples every declared column, and no other, is a finite plain number."""
    for modes in _mixtures():
        for n, m in ((_N, _N), (_N, 2 * _N), (2 * _N, _N)):
            values = values_of(metric, _real(modes, n, 1), _real(modes, m, 2), modes)
            where = f"with {n} samples and {m} of the reference {_where(modes)}"
            missing, extra = metric.columns.keys() - values.keys(), values.keys() - metric.columns.keys()
            require(not missing, f"compute does not give the declared column {min(missing, default='')!r} {where}")
            require(not extra, f"compute gives the column {min(extra, default='')!r}, which is not declared")
            for name, value in values.items():
                require(
                    type(value) is float, f"{name} is a {type(value).__name__}, not a float: write float(…) around it"
                )
                require(math.isfinite(value), f"{name} of ordinary samples is {value} {where}")


def check_not_finite(metric: Metric) -> None:
    """Where a sample is not finite, whatever has a direction is NaN, so that divergence never looks like a value."""
    for modes in _mixtures():
        for wrong in (math.nan, math.inf, -math.inf):
            points = _real(modes, _N, 1)
            points[_N // 2, -1] = wrong
            values = values_of(metric, points, _real(modes, _N, 2), modes)
            for name in _directed(metric):
                require(
                    math.isnan(values[name]),
                    f"{name} is {values[name]} where a sample is {wrong}; it must be NaN {_where(modes)}",
                )


def check_extremes(metric: Metric) -> None:
    """Few samples, equal ones, and those at the end of float32 give a number or NaN, and no exception."""
    for modes in _mixtures():
        real = _real(modes, _N, 1)
        for what, points, reference in (
            ("two samples", real[:2], real[2:4]),
            ("equal samples", np.repeat(real[:1], _N, 0), real),
            ("samples of 1e38", real / abs(real).max() * 1e38, real),
        ):
            try:
                values = values_of(metric, points, reference, modes)
            except Exception as error:
                raise AssertionError(f"{what} raise {type(error).__name__}: {error} {_where(modes)}") from error
            for name, sign in _directed(metric).items():
                require(values[name] != sign * math.inf, f"{what} give {name} its best value, {values[name]}")


def check_pure(metric: Metric) -> None:
    """Equal arguments give equal values, no argument is changed, and nothing is drawn from global randomness."""
    for modes in _mixtures():
        arguments = _real(modes, _N, 1), _real(modes, _N, 2), modes.means, modes.weights
        before = [array.copy() for array in arguments]
        with GlobalRandomness() as randomness:
            first = dict(values_of(metric, *arguments[:2], modes))
            randomness.stir()
            second = dict(values_of(metric, *arguments[:2], modes))
        kept = all(map(np.array_equal, before, arguments))
        require(kept, "compute changes one of its arguments in place: work on a copy")
        require(
            not randomness.used,
            "compute draws from global randomness; make a numpy.random.default_rng of a fixed seed inside it",
        )
        for name in metric.columns:
            same = first[name] == second[name] or (math.isnan(first[name]) and math.isnan(second[name]))
            require(same, f"{name} is {first[name]!r}, then {second[name]!r} for equal arguments")


def check_order(metric: Metric) -> None:
    """The order of the samples, and of those of the reference, does not matter."""
    for modes in _mixtures():
        points, reference = _real(modes, _N, 1), _real(modes, _N, 2)
        expected = values_of(metric, points, reference, modes)
        turn = np.random.default_rng(3).permutation(_N)
        for what, values in (
            ("samples", values_of(metric, points[turn], reference, modes)),
            ("reference", values_of(metric, points, reference[turn], modes)),
        ):
            for name in metric.columns:
                same = math.isclose(values[name], expected[name], rel_tol=1e-6, abs_tol=1e-9)
                words = f"{name} depends on the order of the {what}: {expected[name]}, then {values[name]}"
                require(same, f"{words} {_where(modes)}")


def _collapsed(modes: Modes) -> Array:
    """Samples [N, D] that are all one point beside a mode."""
    return np.repeat(1.5 * modes.means[:1], _N, 0)


def check_direction(metric: Metric) -> None:
    """By its declared direction every column puts real samples before a collapsed generator's.

    A column that cannot tell these apart has nothing to say of a generator: it should have no direction.
    """
    for modes in _mixtures():
        reference = _real(modes, _N, 2)
        perfect = values_of(metric, _real(modes, _N, 1), reference, modes)
        collapsed = values_of(metric, _collapsed(modes), reference, modes)
        for name, sign in _directed(metric).items():
            require(
                sign * perfect[name] > sign * collapsed[name],
                f"{name} is {perfect[name]:.4g} for real samples and {collapsed[name]:.4g} for collapsed ones "
                f"{_where(modes)}, yet {'higher' if sign > 0 else 'lower'} is declared to be better: "
                "is the direction wrong?",
            )


def check_floor(metric: Metric) -> None:
    """A copy of the reference is not worse than the floor, which is what fresh real samples reach.

    Allowed for chance: twice the range of eight floors, and a twentieth of the way to a collapsed generator. What is
    found here is a comparison that misses what is equal, such as ``<`` where ``<=`` belongs.
    """
    for modes in _mixtures():
        reference = _real(modes, _N, 2)
        floors = [values_of(metric, _real(modes, _N, seed), reference, modes) for seed in range(3, 11)]
        copy = values_of(metric, reference.copy(), reference, modes)
        collapsed = values_of(metric, _collapsed(modes), reference, modes)
        for name, sign in _directed(metric).items():
            values = [floor[name] for floor in floors]
            allowed = 2 * (max(values) - min(values)) + abs(values[0] - collapsed[name]) / 20
            worst = min(sign * value for value in values)
            require(
                sign * copy[name] >= worst - allowed,
                f"{name} of a copy of the reference is {copy[name]:.4g}, worse than the floor: fresh real samples have "
                f"{min(values):.4g} to {max(values):.4g} {_where(modes)}; is what is equal missed?",
            )


METRIC_CHECKS: Checks[Metric] = {
    "record": check_record,
    "settings": check_settings,
    "columns": check_columns,
    "not_finite": check_not_finite,
    "extremes": check_extremes,
    "pure": check_pure,
    "order": check_order,
    "direction": check_direction,
    "floor": check_floor,
}
"""What a metric must pass."""
