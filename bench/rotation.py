"""Rotation: a generator that visits many modes over time while it occupies few at once. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from bench.metrics import Modes
from bench.metrics.base import Array
from bench.metrics.modes import DUE


def occupied(points: npt.ArrayLike, modes: Modes) -> npt.NDArray[np.bool_]:
    """Which of K modes have at least ``DUE`` of their due mass: points [N, *E] -> [K].

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
    counts = np.bincount(distances.argmin(axis=1), minlength=len(modes.weights))
    # The rounding of a weight must not decide over a mode that has exactly what is asked of it.
    found: npt.NDArray[np.bool_] = counts >= DUE * len(x) * modes.weights * (1 - 1e-9)
    return found


def rotation(observed: Iterable[npt.ArrayLike], modes: Modes) -> list[dict[str, float]]:
    """Of the samples [N, *E] at each observation of one run, in order, the two columns of that observation:

    - modes_occupied: how many modes are occupied now.
    - modes_visited: how many were at this observation or an earlier one. Where the generator rotates (Metz et al. 2017,
      arXiv:1611.02163), it grows past modes_occupied; where no mode is ever left, the two are equal. Only
      observations count, so that a longer schedule sees more.
    """
    visited = np.zeros(len(modes.weights), dtype=np.bool_)
    rows = []
    for points in observed:
        now = occupied(points, modes)
        visited |= now
        rows.append({"modes_occupied": float(now.sum()), "modes_visited": float(visited.sum())})
    return rows
