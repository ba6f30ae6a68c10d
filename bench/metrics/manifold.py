"""How far samples are from the set that all real ones lie on: distance and precision, of data whose set is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bench.metrics.base import Array, Column, Metric, Truth

COLUMNS = MappingProxyType(
    {
        "manifold_distance": Column(label="Distance to the manifold", unit="units of the data", direction="down"),
        "manifold_precision": Column(label="Precision on the manifold", unit="share of samples", direction="up"),
        "manifold_n": Column(label="Manifold sample size", unit="samples", direction="none"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """From how many samples the distance is taken, and how far from the manifold a sample still counts as on it.

    A distance is found by a search, which takes longer than all else. The threshold is Lucic et al.'s, a squared
    distance below .75, taken to be one of values from 0 to 1 as their data are: in [-1, 1] a distance below sqrt(3).
    """

    manifold_n: int = 128
    manifold_threshold: float = math.sqrt(3)

    def __post_init__(self) -> None:
        if self.manifold_n < 1 or not 0 < self.manifold_threshold < np.inf:
            raise ValueError(
                "manifold_n is at least 1 and manifold_threshold a number above 0, "
                f"not {self.manifold_n}, {self.manifold_threshold!r}"
            )


def compute(points: Array, reference: Array, truth: Truth, settings: Settings) -> dict[str, float]:
    """Of the first n = min(manifold_n, N) distances to the manifold [N, 1], in units of the data; no reference is used.

    - manifold_distance: their mean; not 0 for perfect samples only where the search stops short, which the floor shows.
    - manifold_precision: the share of them below manifold_threshold. One sample copied for ever can have all of it:
      it says nothing of the variety of samples.

    Precision of Lucic et al. 2018 (arXiv:1711.10337). Departures: 128 samples by default; their recall, which
    asks how well the generator can make real samples, is not taken, since it needs the generator and a search in its
    latents; distances are of the data set's own definition (``datasets/polygons.py``).
    """
    distances = points[: settings.manifold_n, 0]
    if not np.isfinite(points).all():
        return {**dict.fromkeys(COLUMNS, np.nan), "manifold_n": float(len(distances))}
    return {
        "manifold_distance": float(distances.mean()),
        "manifold_precision": float((distances < settings.manifold_threshold).mean()),
        "manifold_n": float(len(distances)),
    }


METRIC = Metric(
    name="manifold",
    version=1,
    reference="Lucic et al. 2018, arXiv:1711.10337",
    columns=COLUMNS,
    settings=Settings,
    space="manifold",
    compute=compute,
)
