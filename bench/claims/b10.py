"""B10: is a Wasserstein critic's loss the Wasserstein distance?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

from bench.claims.base import Asked, Claim, Found, Part, floor_of, mean_of, pick
from bench.claims.reading import among, benchmark

if TYPE_CHECKING:
    from bench.report.view import CellView

TENTH = 0.1
SOURCES = (
    "seed documents 001, 002, 004",
    "against: Stanczuk et al. 2021, arXiv:2103.01678; Mallasto et al. 2019, arXiv:1910.03875; Korotin et al. 2022, "
    "arXiv:2206.07767",
)
STATEMENT = "The loss of a Wasserstein critic is the Wasserstein distance"
FULL = Asked("w1_benchmark", ("batch_size=1024", "pair.dim=[2,4,8,16,32,64]"), None, "w1_benchmark_1024")


def _static(found: Found, objective: str) -> list[Part]:
    cells = benchmark(found["w1_benchmark"], objective)
    return [
        mean_of(
            f"{objective}, {dim} dimensions", "abs(relative error) of the estimate of W1",
            [abs(error) for error in cell.final("relative_error").values()], TENTH, "below",
            diverged=cell.outcomes.diverged,
        )
        for dim, cell in zip(among(cells, "pair.dim"), cells, strict=True)
    ]  # fmt: skip


def _training(found: Found) -> list[Part]:
    parts = []
    for arm, objective in product(("reference", "tuned"), ("wgan_clip", "wgan_gp")):
        cell = pick(found["estimate"], arm=arm, objective=objective)
        parts.append(
            mean_of(
                f"{arm}: {objective}", "abs(estimate - EMD) / EMD, mean over the last third", _errors(cell), TENTH,
                "below", diverged=cell.outcomes.diverged, floor=floor_of(cell, "emd"),
            )
        )  # fmt: skip
    return parts


def _errors(cell: CellView) -> list[float]:
    """Of each run that ended well, the mean over the last third of its checkpoints."""
    gap, exact = cell.curves("score_gap"), cell.curves("emd")
    if gap.empty or exact.empty:
        return []
    error = ((gap - exact).abs() / exact)[cell.ended("ok")]
    return [float(value) for value in error.tail(max(1, len(error) // 3)).mean()]


def _reading(
    name: str, words: str, rule: str, asked: tuple[Asked, ...], full: Asked | None,
    judge: Callable[[Found], list[Part]], departures: str,
) -> Claim:  # fmt: skip
    return Claim(
        id=f"B10-{name}",
        statement=f"{STATEMENT}: {words}",
        sources=SOURCES,
        grids={"cpu": asked, "gpu": (full,)} if full else {"cpu": asked},
        rule=f"{rule} has its mean over seeds below .1, 10 %; runs that diverged are left out",
        judge=judge,
        departures=departures,
    )


STATIC = (
    "between two fixed laws of known W1 (funnels), in each number of dimensions, at the last step: per seed the "
    "absolute relative error of the critic's dual value"
)
CUT = "batches of 256 for the authors' 1024, and of steps a quarter for the penalty; at most 32 dimensions"
CLAIMS = (
    _reading(
        "clip", "under clipping, for a critic alone", STATIC, (Asked("w1_benchmark"),), FULL,
        partial(_static, objective="wgan_clip"), f"{CUT}; clipping is of biases too, and after the step",
    ),
    _reading(
        "gp", "under the penalty, for a critic alone", STATIC, (Asked("w1_benchmark"),), FULL,
        partial(_static, objective="wgan_gp"), CUT,
    ),
    _reading(
        "training", "while both players are trained",
        "on the ring, at each reference's recipe and at tuned settings, under clipping and under the penalty: per "
        "seed the mean, over the last third of the checkpoints, of the absolute difference of the critic's score gap "
        "and the exact EMD of samples, over that EMD,",
        (Asked("estimate"),), None, _training,
        "the sources have no number; networks of 2 x 128, 5,000 steps; the EMD of 1,000 samples does not fall below "
        "its floor, which the table has beside it",
    ),
)  # fmt: skip
