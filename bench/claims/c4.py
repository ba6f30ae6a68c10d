"""C4: does the critic's estimate follow the quality of samples, where the JS estimate does not?"""

from __future__ import annotations

from functools import partial

from bench.claims.base import Asked, Claim, Found, Part, Side, mean_of, pick
from bench.claims.reading import diverged
from bench.claims.training import follows

SIGNALS: tuple[tuple[str, str, str, Side], ...] = (
    ("wgan_clip", "score_gap", "critic's estimate", "above"),
    ("wgan_gp", "score_gap", "critic's estimate", "above"),
    ("minimax", "js_estimate", "JS estimate", "below"),
    ("non_saturating", "js_estimate", "JS estimate", "below"),
)


def _judge(found: Found, arm: str) -> list[Part]:
    parts = []
    for objective, signal, label, side in SIGNALS:
        cell = pick(found["estimate"], arm=arm, objective=objective)
        told = f"Spearman's rho of the {label} with the exact EMD"
        parts.append(mean_of(objective, told, follows(cell, signal).values(), 0.0, side, diverged=diverged(cell)))
    return parts


def _reading(arm: str, words: str) -> Claim:
    return Claim(
        id=f"C4-{arm}",
        statement=(
            "A Wasserstein critic's estimate follows the quality of samples, a discriminator's estimate of the "
            f"Jensen-Shannon divergence does not, {words}"
        ),
        sources=("seed documents 001, 002", "Arjovsky et al. 2017, arXiv:1701.07875, figures 3 and 4"),
        grids={"cpu": (Asked("estimate"),)},
        rule=(
            "Spearman's rho over the checkpoints of each run, mean over seeds: of the score gap of wgan_clip and "
            "wgan_gp with the exact EMD, above 0; of the JS estimate of minimax and non_saturating with it, below 0 "
            "(it does not fall as samples improve); runs that diverged, and estimates that never change, have no rho "
            "and are left out"
        ),
        judge=partial(_judge, arm=arm),
        departures=(
            "ring instead of LSUN, where no exact distance is known; 30 checkpoints of 5,000 steps and no median "
            "filter; quality is the exact EMD, where the paper looks at pictures"
        ),
    )


CLAIMS = (
    _reading("reference", "each at its reference's recipe"),
    _reading("tuned", "each at the best of 16 random settings"),
)
