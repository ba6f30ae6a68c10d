"""Distances between two laws from samples in bins, and in closed form between two parallel lines.

Divergences are in nats. Shape letters: N and M samples, D numbers in an event, K bins that hold a sample of either.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LOG_2 = math.log(2)
"""The largest Jensen-Shannon divergence that there is: that of laws which share no mass."""


def shares(x: Array, y: Array, bins: int, shift: Array) -> tuple[Array, Array]:
    """What share of x [N, D] and of y [M, D] lies in each bin: two histograms [K] over the same bins.

    Bins are cubes of edge 1 / ``bins``. An edge lies where ``coordinate * bins + shift`` is a whole number; a shift
    [D] that is uniform on [0, 1] favours no place.
    """
    cells = np.floor(np.concatenate([x, y]) * bins + shift).astype(np.int64)
    cells -= cells.min(axis=0)
    codes = np.ravel_multi_index(tuple(cells.T), tuple(cells.max(axis=0) + 1))
    bin_of = np.unique(codes, return_inverse=True)[1]
    count = bin_of.max() + 1
    first, second = (np.bincount(part, minlength=count) for part in (bin_of[: len(x)], bin_of[len(x) :]))
    return first / len(x), second / len(y)


def divergences(p: Array, q: Array) -> dict[str, float]:
    """Between histograms p and q [K], with m = (p + q) / 2.

    - jensen_shannon: (KL(p | m) + KL(q | m)) / 2, at most log 2. Arjovsky et al. 2017 (arXiv:1701.07875) define it
      without the half, and then say log 2 all the same.
    - kullback_leibler: KL(p | q) = sum_k p_k log(p_k / q_k); infinite where p has mass in a bin and q has none, which
      two finite samples of one law show too, as soon as bins are small enough.
    - kullback_leibler_reverse: KL(q | p).
    - total_variation: sum_k |p_k - q_k| / 2.

    Of two samples with n points each of one law that fills K bins evenly, the Jensen-Shannon divergence is about
    (K - 1) / 4n and not 0.
    """
    from scipy.special import rel_entr

    middle = (p + q) / 2
    return {
        "jensen_shannon": float(rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2,
        "kullback_leibler": float(rel_entr(p, q).sum()),
        "kullback_leibler_reverse": float(rel_entr(q, p).sum()),
        "total_variation": float(np.abs(p - q).sum() / 2),
    }


def between_lines(theta: float) -> dict[str, float]:
    """Between (0, Z) and (theta, Z) with Z uniform on [0, 1]: Example 1 of Arjovsky et al. 2017 (arXiv:1701.07875).

    The Wasserstein distance is |theta|. The others do not depend on how far the lines are from each other: for every
    theta but 0 the Jensen-Shannon divergence is log 2, the Kullback-Leibler divergence infinite either way and the
    total variation 1. At 0 all are 0.
    """
    apart = theta != 0
    return {
        "wasserstein": abs(theta),
        "jensen_shannon": LOG_2 * apart,
        "kullback_leibler": math.inf if apart else 0.0,
        "kullback_leibler_reverse": math.inf if apart else 0.0,
        "total_variation": float(apart),
    }
