"""C5: does the Wasserstein loss fall monotonically in training, and other losses not?"""

from __future__ import annotations

from itertools import product

import numpy as np

from bench.claims.base import Asked, Claim, Found, Part, mean_of, pick, share_of
from bench.claims.reading import diverged
from bench.claims.training import columns, paired, smoothed, trend

ARMS = ("reference", "tuned")
WASSERSTEIN = ("wgan_clip", "wgan_gp")
OTHERS = ("minimax", "non_saturating")
SOURCES = ("seed documents 002, 003", "Arjovsky et al. 2017, arXiv:1701.07875, figures 3 and 4")
DEPARTURES = (
    "ring instead of LSUN; the score gap of fresh samples at 30 checkpoints of 5,000 steps, where the paper plots "
    "the loss of every iteration, median filtered over 101; of the other objectives the JS estimate, as the paper "
    "plots it"
)


def _trend(found: Found) -> list[Part]:
    parts = []
    for arm in ARMS:
        cells = {name: pick(found["estimate"], arm=arm, objective=name) for name in (*WASSERSTEIN, *OTHERS)}
        tau = {name: trend(cells[name], "score_gap") for name in WASSERSTEIN}
        tau |= {name: trend(cells[name], "js_estimate") for name in OTHERS}
        for name in WASSERSTEIN:
            parts.append(
                mean_of(
                    f"{arm}: {name}", "Kendall's tau of the estimate with the step", tau[name].values(), 0.0, "below",
                    diverged=diverged(cells[name]),
                )
            )  # fmt: skip
        for other, name in product(OTHERS, WASSERSTEIN):
            parts.append(
                paired(
                    f"{arm}: {other} less {name}", "difference in tau with the step", tau[other], tau[name], 0.0,
                    "above", diverged=diverged(cells[other], cells[name]),
                )
            )  # fmt: skip
    return parts


def _monotone(found: Found) -> list[Part]:
    parts = []
    for arm, name in product(ARMS, WASSERSTEIN):
        cell = pick(found["estimate"], arm=arm, objective=name)
        falls = [bool((np.diff(values) < 0).all()) for values in columns(smoothed(cell, "score_gap")).values()]
        held = [*falls, *[False] * diverged(cell)]
        quantity = "share of seeds whose estimate falls at every checkpoint"
        parts.append(share_of(f"{arm}: {name}", quantity, held, 0.95, "above", diverged=diverged(cell)))
    return parts


CLAIMS = (
    Claim(
        id="C5-weak",
        statement="The Wasserstein estimate falls in training, and more steadily than the estimate of a standard GAN",
        sources=SOURCES,
        grids={"cpu": (Asked("estimate"),)},
        rule=(
            "Kendall's tau-b with the step over the checkpoints of each run, after a running median of 5 "
            "checkpoints, in both arms: mean over seeds below 0 for the score gap of wgan_clip and of wgan_gp; tau "
            "of the JS estimate of minimax and of non_saturating minus that of each, paired by seed, above 0; runs "
            "that diverged are left out"
        ),
        judge=_trend,
        departures=DEPARTURES,
    ),
    Claim(
        id="C5-strong",
        statement="The Wasserstein estimate falls monotonically in training",
        sources=SOURCES,
        grids={"cpu": (Asked("estimate"),), "gpu": (Asked("estimate", (), 100, "estimate_100_seeds"),)},
        rule=(
            "the exact binomial interval of the share of seeds whose score gap, after a running median of 5 "
            "checkpoints, falls from each checkpoint to the next (a tau of exactly -1) lies above .95, for wgan_clip "
            "and wgan_gp in both arms; a run that diverged does not fall"
        ),
        judge=_monotone,
        departures=DEPARTURES,
    ),
)
