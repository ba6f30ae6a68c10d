"""What a metric is: a pure function of samples, with a record of what its numbers mean.

Shape letters: N generated samples, M reference samples, D numbers in an event, K modes.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal, Protocol, TypeVar, TypeVarTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

FLOOR = "_floor"
"""What follows a column's name where the samples are real ones too, fresh and as many: the value without any error."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """What a number is. A column without a direction describes the measurement, not the samples, and has no floor."""

    label: str
    """For a person, in tables and figures."""
    unit: str
    """Of the number as recorded; empty for a pure number."""
    direction: Literal["up", "down", "floor", "none"]
    """Where better is; ``floor``: where real samples are, neither above nor below."""


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


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is known of the data beside real samples; what is not known is None."""

    modes: Modes | None = None
    """Of a mixture."""
    classes: Array | None = None
    """Of labelled images, the share of mass of each class [K]."""
    training: npt.NDArray[np.floating[Any]] | None = None
    """Of images, those that generators are trained with [T, D], in the precision that they have."""


Space = Literal["data", "features", "classes", "manifold", "inception"]
"""What a metric is given of every sample.

- ``data``: its numbers.
- ``features``: what the judge of labelled images sees in it before it names a class.
- ``classes``: the class that the judge names, 0 to K - 1, and how sure it is, in (0, 1]: [N, 2].
- ``manifold``: its distance to the set that all real samples are of [N, 1].
- ``inception``: the 2048 features of Inception.
"""


class Compute(Protocol):
    """The function of a metric."""

    def __call__(self, points: Array, reference: Array, truth: Truth, settings: Any) -> dict[str, float]:
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
    space: Space = "data"
    """Which numbers of a sample it looks at."""
    needs: Literal["nothing", "modes", "classes", "training"] = "nothing"
    """What of the truth must be known."""
    compute: Compute

    @property
    def of_images(self) -> bool:
        """Whether only images have what it looks at."""
        return self.space != "data" or self.needs in ("classes", "training")


REMEMBERED = 256
"""Results that are kept of a function: as many as a unit has replicas, at most."""


def remembered(compute: Callable[[*Ts], T]) -> Callable[[*Ts], T]:
    """The function, computed once for each content of its arguments, arrays and plain values: for the real side.

    Every observation asks again what a metric makes of the real samples alone, and so does every cell with the same
    data set and seeds. Of the arguments only a digest is kept; what is given back is shared, and not to be changed.
    """
    kept: OrderedDict[tuple[Hashable, ...], T] = OrderedDict()

    @wraps(compute)
    def again(*arguments: *Ts) -> T:
        key = tuple(map(_content, arguments))
        if key not in kept:
            kept[key] = compute(*arguments)
        kept.move_to_end(key)
        if len(kept) > REMEMBERED:
            kept.popitem(last=False)
        return kept[key]

    return again


def _content(value: Any) -> Hashable:
    if not isinstance(value, np.ndarray):
        return value  # type: ignore[no-any-return]
    return value.dtype.str, value.shape, hashlib.sha256(np.ascontiguousarray(value).data).digest()
