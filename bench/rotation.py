"""Rotation: a generator that visits many modes over time while it occupies few at once. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bench.metrics import Modes
from bench.metrics.base import Array
from bench.metrics.modes import have_due

Occupied: TypeAlias = "npt.NDArray[np.bool_]"
"""Which of K modes, or classes, are occupied [K]."""


def occupied(points: npt.ArrayLike, modes: Modes) -> Occupied:
    """Which of K modes have at least a fifth of their due mass: points [N, *E] -> [K].

    Every sample belongs to its nearest mode in Euclidean distance, of high quality or not: mode k is occupied where
    ``n_k / N >= w_k / 5``. This is the mass rule of the metric ``modes`` without its test of quality, since a generator
    on its way from mode to mode is seldom within 3 standard deviations of one; samples spread all over occupy all.
    None where a point is not finite.
    """
    from scipy.spatial.distance import cdist

    x: Array = np.asarray(points, dtype=np.float64)
    distances = cdist(x.reshape(len(x), -1), modes.means)
    if not np.isfinite(distances).all():
        return np.zeros(len(modes.weights), dtype=np.bool_)
    return _with_due(distances.argmin(axis=1), modes.weights)


def occupied_classes(classes: npt.ArrayLike, weights: Array) -> Occupied:
    """The same of classes that a judge has named [N, 2] (class, confidence), of known weights [K]."""
    named = np.asarray(classes, dtype=np.float64)
    if not np.isfinite(named).all():
        return np.zeros(len(weights), dtype=np.bool_)
    return _with_due(named[:, 0].astype(np.int64), weights)


def _with_due(index: npt.NDArray[np.intp], weights: Array) -> Occupied:
    return have_due(np.bincount(index, minlength=len(weights)), len(index), weights)


def rotation(observed: Iterable[npt.ArrayLike], modes: Modes) -> list[dict[str, float]]:
    """``visits`` of the samples [N, *E] at each observation of one run, in order."""
    return visits(occupied(points, modes) for points in observed)


def visits(observed: Iterable[Occupied]) -> list[dict[str, float]]:
    """Of the modes that are occupied at each observation of one run, in order, the two columns of that observation:

    - modes_occupied: how many modes are occupied now.
    - modes_visited: how many were at this observation or an earlier one. Where the generator rotates (Metz et al. 2017,
      arXiv:1611.02163), it grows past modes_occupied; where no mode is ever left, the two are equal. Only
      observations count, so that a longer schedule sees more.
    """
    visited: Occupied | None = None
    rows = []
    for now in observed:
        visited = now if visited is None else visited | now
        rows.append({"modes_occupied": float(now.sum()), "modes_visited": float(visited.sum())})
    return rows
