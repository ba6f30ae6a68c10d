"""C2: does WGAN suffer no mode collapse? Weakly: mostly not. Strongly: never, as it is said."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bench.claims.base import Asked, Claim, Found, Part, picks, share_of

SOURCES = (
    "seed documents 002, 003, 004",
    "Arjovsky et al. 2017, arXiv:1701.07875, section 4.3: in no experiment evidence of mode collapse",
)
OBJECTIVES = ("wgan_clip", "wgan_gp")
LAW = "the exact binomial interval of the share of seeds that cover all modes at their last step lies"


def _judge(found: Found, arms: Sequence[str], threshold: float) -> list[Part]:
    return [
        share_of(
            f"{dataset}, {arm}: {objective}",
            "share of seeds with all modes",
            [modes == cell.final("modes_total")[seed] for seed, modes in cell.final("modes_covered").items()]
            + [False] * cell.outcomes.diverged,
            threshold,
            "above",
            diverged=cell.outcomes.diverged,
        )
        for arm in arms
        for dataset in ("ring", "grid")
        for objective in OBJECTIVES
        for cell in picks(found["modes"], dataset=dataset, arm=arm, objective=objective)
    ]


def _reading(name: str, arms: Sequence[str], threshold: float, words: str) -> Claim:
    return Claim(
        id=f"C2-{name}",
        statement=f"WGAN does not suffer mode collapse: {words}",
        sources=SOURCES,
        grids={"cpu": (Asked("modes"),), "gpu": (Asked("modes", ("steps=100000",), 100, "modes_100k_100_seeds"),)},
        rule=(
            f"{LAW} above {threshold:g}, for both Wasserstein objectives on ring and grid "
            f"({' and '.join(arms)} settings); a run that diverged has lost its modes"
        ),
        judge=partial(_judge, arms=arms, threshold=threshold),
        departures="toy mixtures, 10,000 generator steps; a mode is covered by one sample within 3 std, as in VEEGAN",
    )


CLAIMS = (
    _reading("weak", ("tuned",), 0.5, "at tuned settings most runs keep all modes"),
    _reading("strong", ("reference", "tuned"), 0.95, "at any settings at least 95 % of runs keep all modes"),
)
