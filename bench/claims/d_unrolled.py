"""D-unrolled: without unrolling, does the generator rotate through the modes of the ring?"""

from __future__ import annotations

from bench.claims.base import Asked, Claim, Found, Part, pick, share_of
from bench.claims.reading import diverged
from bench.claims.training import ended

FEW, MANY = 2, 6
"""Modes occupied at the end, at most, and modes visited, at least."""

CUT = Asked("papers/unrolled_ring", ("steps=10000", "evaluate.observations=25"), 5)


def _judge(found: Found) -> list[Part]:
    parts = []
    for arm in ("notebook", "gradient_regularized"):
        cell = pick(found["unrolled_ring"], arm=arm)
        now, ever = (ended(cell, column).iloc[-1] for column in ("modes_occupied", "modes_visited"))
        held = [*((now <= FEW) & (ever >= MANY)).tolist(), *[False] * diverged(cell)]
        parts.append(
            share_of(arm, "share of seeds whose generator rotates", held, 0.5, "above", diverged=diverged(cell))
        )
    return parts


CLAIMS = (
    Claim(
        id="D-unrolled",
        statement="Without unrolling, the generator rotates through the ring's modes and is at few of them at once",
        sources=("Metz et al. 2017, arXiv:1611.02163, figures 1 and 2",),
        grids={"cpu": (CUT,), "gpu": (Asked("papers/unrolled_ring", (), None, "unrolled_ring_full"),)},
        rule=(
            "a run rotates that has at most two modes occupied at its last observation (each sample belongs to its "
            "nearest mode, a fifth of a mode's due mass occupies it) and has occupied six or more at some "
            "observation each; in either arm, which are two codes, more than half of the seeds do: exact binomial "
            "interval above .5; a run that diverged does not"
        ),
        judge=_judge,
        departures=(
            "on two cores 10,000 of 25,000 and of 100,000 steps, seen 25 times; latents of each player's own. One "
            "code's ring has 7 modes, one of double weight; others could not reproduce the collapse "
            "(poolio/unrolled_gan, issue 2)"
        ),
    ),
)
