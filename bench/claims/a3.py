"""A3: is the Wasserstein distance an infimum over 1-Lipschitz functions, as it is printed, or a supremum?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from bench.claims.base import Asked, Claim, Found, Part, closed_form, picks
from bench.claims.reading import column, worst

TOLERANCE = 1e-8
SOURCES = ("seed document 004", "Arjovsky et al. 2017, arXiv:1701.07875, equation 2")
LAWS = (
    "of pairs of random laws on 5 and on 50 points in 1, 2 and 8 dimensions, by two solvers: linear programs for the "
    "dual, the network simplex for the primal; the worst over seeds"
)


def _judge(found: Found, forms: Mapping[str, tuple[str, int]]) -> list[Part]:
    """``forms``: by column the words for it, and the sign with which it is to be the primal."""
    cells = picks(found["exact"], check="dual")
    if not cells:
        raise LookupError("no records of the dual")
    return [
        closed_form(
            f"{words}, {cell.settings['check.points']} points, {cell.settings['check.dim']} dimensions",
            "difference from the primal",
            worst(sign * column(cell.rows, name) - column(cell.rows, "primal")),
            TOLERANCE,
        )
        for cell in cells
        for name, (words, sign) in forms.items()
    ]


def _reading(name: str, statement: str, rule: str, forms: Mapping[str, tuple[str, int]]) -> Claim:
    return Claim(
        id=f"A3-{name}",
        statement=statement,
        sources=SOURCES,
        grids={"ci": (Asked("exact"),), "cpu": (Asked("exact"),)},
        rule=f"exact if {rule} within 1e-8, above the solvers' rounding and far below distances of about 1: {LAWS}",
        judge=partial(_judge, forms=forms),
        departures="none",
    )


CLAIMS = (
    _reading(
        "printed",
        "W is the infimum, over 1-Lipschitz functions f, of the mean of f over the data less that over generated "
        "samples",
        "the infimum equals the primal",
        {"dual_infimum": ("infimum", 1)},
    ),
    _reading(
        "mended",
        "W is the supremum of the same, and the infimum is minus W",
        "the supremum equals the primal, and the infimum its negative,",
        {"dual_supremum": ("supremum", 1), "dual_infimum": ("minus the infimum", -1)},
    ),
)
