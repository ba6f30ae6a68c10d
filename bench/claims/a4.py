"""A4: does it matter whether real samples have the high scores or the low ones?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench.claims.base import Asked, Claim, Found, Part, closed_form, picks
from bench.claims.reading import column, worst

if TYPE_CHECKING:
    from bench.report.view import CellView


def _judge(found: Found) -> list[Part]:
    cells = picks(found["exact"], check="sign_flip")
    if not cells:
        raise LookupError("no records of flipped signs")
    return [_part(cell) for cell in cells]


def _part(cell: CellView) -> Part:
    moved, apart = (worst(column(cell.rows, f"largest_generator_{of}")) for of in ("change", "difference"))
    return closed_form(
        f"{cell.objective}, {cell.settings['steps']} steps, which move a parameter by up to {moved:.2g}",
        "largest difference of the two generators' parameters",
        apart if moved > 0 else math.nan,
        0.0,
    )


CLAIMS = (
    Claim(
        id="A4",
        statement="A critic that scores real samples low and one that scores them high train the same generator",
        sources=(
            "seed documents 004 (low for real) and 002 (high for real)",
            "Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1",
        ),
        grids={"ci": (Asked("exact"),), "cpu": (Asked("exact"),)},
        rule=(
            "exact if two trainings from one seed, one with the critic's last layer and the sign of its score in the "
            "losses negated, have generators whose parameters differ by exactly 0 at every reading and seed, with "
            "clipping and with the penalty: negation is exact in floating-point arithmetic, so that nothing is "
            "allowed for rounding. A generator that training did not move is off"
        ),
        judge=_judge,
        departures="networks of 2 x 64 on the ring, few steps: the statement is of the method, not of images",
    ),
)
