"""C11: with equal tuning, does no objective beat the non-saturating one consistently?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bench.claims.base import Asked, Claim, Found, Part, picks
from bench.claims.training import BySeed, Places, finals, over_settings, worst
from bench.statistics import Array

if TYPE_CHECKING:
    from bench.report.view import CellView, View

TRIED = 4
"""Settings of a search whose best is compared."""

DATASETS = ("ring", "grid")
STANDARD = "non_saturating"
OTHERS = ("minimax", "wgan_clip", "wgan_gp")


def _judge(found: Found) -> list[Part]:
    view = found["tuning"]
    cells = {(name, data): _by_draw(view, name, data) for name in (STANDARD, *OTHERS) for data in DATASETS}
    draws = sorted(set.intersection(*(set(own) for own in cells.values())))
    lost = {data: worst(picks(view, dataset=data)) for data in DATASETS}
    values = {
        (name, data): np.array([_mean(finals(own[draw], lost[data])) for draw in draws])
        for (name, data), own in cells.items()
    }
    parts = []
    for name in OTHERS:
        told = "ln of the ratio of expected EMD of the best of 4 settings, the larger of two data sets"
        used = [cells[other, data][draw] for other in (name, STANDARD) for data in DATASETS for draw in draws]
        diverged = sum(cell.outcomes.diverged for cell in used)

        def excess(places: Places, name: str = name) -> Array:
            ratios = [
                np.log(expected_best(values[name, data][places]) / expected_best(values[STANDARD, data][places]))
                for data in DATASETS
            ]
            return np.asarray(np.max(ratios, axis=0))

        parts.append(
            over_settings(f"{name} against {STANDARD}", told, excess, len(draws), 0.0, "above", diverged=diverged)
        )
    return parts


def _by_draw(view: View, objective: str, dataset: str) -> Mapping[int, CellView]:
    """The cells whose settings were drawn, and which have a run that ended well or diverged."""
    cells = picks(view, objective=objective, dataset=dataset)
    return {cell.draw: cell for cell in cells if cell.draw is not None and cell.ended("ok", "diverged")}


def _mean(values: BySeed) -> float:
    return math.fsum(values.values()) / len(values)


def expected_best(values: Array) -> Array:
    """Of settings' values [B, n] the mean of the smallest of ``TRIED``, over all ways to take so many: [B].

    With x_(1) the smallest, sum_i x_(i) C(n - i, k - 1) / C(n, k).
    """
    n = values.shape[-1]
    weights = [math.comb(n - i, TRIED - 1) / math.comb(n, TRIED) for i in range(1, n + 1)]
    return np.asarray(np.sort(values, axis=-1) @ weights)


CLAIMS = (
    Claim(
        id="C11",
        statement="With equal tuning no objective beats the non-saturating GAN consistently",
        sources=("Lucic et al. 2018, arXiv:1711.10337",),
        grids={"cpu": (Asked("tuning"),)},
        rule=(
            "16 random settings for each objective on ring and grid; expected EMD at the last step of the best of k "
            "= 4 settings, over all ways to take 4; for minimax, wgan_clip and wgan_gp: the larger over the two data "
            "sets of ln of theirs over non_saturating's is above 0, that is, it does not beat it on both; 95 % "
            "percentile bootstrap over the settings' indices, which objectives and data sets share; p = min(1, 2 (1 "
            "+ k) / (1 + B)), with k of the B resamples at or on the rarer side of 0; a setting that diverged counts "
            "as the largest final EMD on its data set"
        ),
        judge=_judge,
        departures=(
            "toy mixtures, exact EMD and 10,000 steps, where the paper has images, FID of the best checkpoint and "
            "four data sets; 16 settings of one seed, where it has 100; MLPs"
        ),
    ),
)
