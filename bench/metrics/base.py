"""What a metric is: a pure function of samples, with a record of what its numbers mean.

Shape letters: N generated samples, M reference samples, D numbers in an event, K modes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FLOOR = "_floor"
"""What follows a column's name where the samples are real ones too, fresh and as many: the value without any error."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """What a number is. A column without a direction describes the measurement, not the samples, and has no floor."""

    label: str
    """For a person, in tables and figures."""
    unit: str
    """Of the number as recorded; empty for a pure number."""
    direction: Literal["up", "down", "none"]
    """Where better is."""


@dataclass(frozen=True)
class Modes:
    """What is known of a mixture of K Gaussians, isotropic or flat along some axes; events are flattened."""

    means: Array
    """Centres [K, D]."""
    std: float
    """Standard deviation of each mode along each axis."""
    weights: Array
    """Share of mass of each mode [K]: above 0, summing to 1."""

    def __post_init__(self) -> None:
        means, weights = np.asarray(self.means, dtype=np.float64), np.asarray(self.weights, dtype=np.float64)
        if weights.shape != means.shape[:1] or not (weights > 0).all() or abs(weights.sum() - 1) > 1e-6:
            raise ValueError(f"{len(means)} modes need as many weights above 0 that sum to 1, not {weights}")
        object.__setattr__(self, "means", means.reshape(len(means), -1))
        object.__setattr__(self, "weights", weights)


class Compute(Protocol):
    """The function of a metric."""

    def __call__(self, points: Array, reference: Array, modes: Modes | None, settings: Any) -> dict[str, float]:
        """Of points [N, D] and reference [M, D] give a number for every column; where points are not finite, NaN."""
        ...


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric; its value for real samples against fresh real ones of the same size is the floor it is read against."""

    name: str
    """Table key and file name."""
    version: int
    """Rises when the numbers change."""
    reference: str
    """Authors, year, arXiv id."""
    columns: Mapping[str, Column]
    """What it adds to a record, by column name."""
    settings: type[Any]
    """A frozen dataclass; its fields' names are its own among all metrics, since a grid sets them in one block."""
    needs_modes: bool
    """Whether it is defined only where the modes are known."""
    compute: Compute
