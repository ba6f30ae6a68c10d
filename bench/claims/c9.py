"""C9: does a small change of the generator change W a little, and JS a lot?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bench.claims.base import Asked, Claim, Found, Part, Side, floor_of, mean_of, pick
from bench.claims.reading import diverged
from bench.claims.training import exponent

if TYPE_CHECKING:
    from bench.report.view import CellView

HALF = 0.5
"""Half-way between a jump, exponent 0, and a change in proportion, exponent 1."""

WASSERSTEIN = "wasserstein_paired"


def _judge(found: Found) -> list[Part]:
    parts = []
    for dim in (1, 2):
        cell = pick(found["paths"], probe__path="generator", latent__dim=dim)
        sides: tuple[tuple[str, str, Side], ...] = ((WASSERSTEIN, "W", "above"), (finest(cell), "JS", "below"))
        for column, label, side in sides:
            told = f"exponent of {label} in the distance along the path"
            parts.append(
                mean_of(
                    f"latent of {dim}", told, exponent(cell, column).values(), HALF, side, diverged=diverged(cell),
                    floor=floor_of(cell, column),
                )
            )  # fmt: skip
    return parts


def finest(cell: CellView) -> str:
    """The Jensen-Shannon column of the most bins that the cell's runs have.

    Raises:
        LookupError: they have none.
    """
    bins = [re.fullmatch(r"jensen_shannon\[(\d+)\]", str(column)) for column in cell.rows.dropna(axis=1, how="all")]
    counts = [int(match[1]) for match in bins if match]
    if not counts:
        raise LookupError(f"{cell.label}: no Jensen-Shannon divergence")
    return f"jensen_shannon[{max(counts)}]"


CLAIMS = (
    Claim(
        id="C9",
        statement="A small change of the generator changes W a little and the Jensen-Shannon divergence a lot",
        sources=("seed document 003", "Arjovsky et al. 2017, arXiv:1701.07875, theorem 1"),
        grids={"cpu": (Asked("paths"),)},
        rule=(
            "along a straight line between two starts of a generator, the exponent of the distance from the middle "
            "law in the distance along the line, by least squares on logarithms over all offsets from the smallest "
            "to the largest, mean over seeds, for latents of 1 and of 2 dimensions: above .5 for the exact EMD "
            "between samples with the same inputs, below .5 for the Jensen-Shannon divergence of histograms of fresh "
            "samples in the finest bins; .5 is half-way between a jump and a change in proportion"
        ),
        judge=_judge,
        departures=(
            "untrained generators of one hidden layer; JS is that of finite histograms, whose floor stands beside: "
            "with a latent of 2 dimensions the laws have densities, so that the JS of the laws themselves does go to "
            "0, which bins this fine cannot show with 20,000 samples"
        ),
    ),
)
