"""A2: how far apart are two parallel lines, by four distances?"""

from __future__ import annotations

import math

import numpy as np

from bench.claims.base import Asked, Claim, Found, Part, closed_form, pick
from bench.claims.reading import Floats, column, worst

TOLERANCE = 1e-9
EXPECTED = {"jensen_shannon": math.log(2), "total_variation": 1.0}
ENTROPIES = ("kullback_leibler", "kullback_leibler_reverse")


def _judge(found: Found) -> list[Part]:
    cell = pick(found["paths"], probe__path="lines")
    rows, bins = cell.rows, cell.settings["probe.bins"]
    theta = column(rows, "position")
    distance, floor = column(rows, "wasserstein"), column(rows, "wasserstein_floor")
    apart = theta != 0
    if apart.all() or not apart.any():
        raise LookupError("no records at theta = 0, or none elsewhere")
    finest = {name: column(rows, f"{name}[{bins}]") for name in (*EXPECTED, *ENTROPIES)}
    floors = {name: column(rows, f"{name}[{bins}]_floor") for name in finest}
    above = {name: ~(values <= floors[name])[~apart] for name, values in finest.items()}
    return [
        closed_form("W", "error of the exact EMD, in floors", worst((distance - np.abs(theta)) / floor), 1),
        *[
            closed_form(
                f"{name}, theta not 0", "error in nats or shares", worst(finest[name][apart] - value), TOLERANCE
            )
            for name, value in EXPECTED.items()
        ],
        *[
            closed_form(f"{name}, theta not 0", "share of places where it is finite", _share(finest[name][apart]), 0)
            for name in ENTROPIES
        ],
        *[
            closed_form(f"{name}, theta = 0", "share of seeds above the floor", float(own.mean()), 0)
            for name, own in above.items()
        ],
    ]


def _share(values: Floats) -> float:
    return float(np.mean(~np.isposinf(values)))


CLAIMS = (
    Claim(
        id="A2",
        statement=(
            "Between parallel lines at distance theta W is abs(theta), while for every theta but 0 JS is log 2, TV 1 "
            "and KL infinite; at 0 all are 0"
        ),
        sources=("seed documents 003, 004", "Arjovsky et al. 2017, arXiv:1701.07875, example 1"),
        grids={"ci": (Asked("paths", seeds=2, folder="paths_ci"),), "cpu": (Asked("paths"),)},
        rule=(
            "exact if, at every theta of the path from -1 to 1 and for every seed, the exact EMD of samples is "
            "within its floor of abs(theta), the floor being that of two samples of one line in the same run; if at "
            "the finest bins and theta other than 0 JS is log 2 and TV 1 within 1e-9, which is rounding, and KL "
            "infinite both ways; and if at theta = 0 JS, TV and KL are not above their floors, which there they are "
            "by definition: two samples of one law never agree in all bins"
        ),
        judge=_judge,
        departures="divergences are of histograms of 20,000 samples, in bins no wider than the least theta but 0",
    ),
)
