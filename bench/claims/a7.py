"""A7: which games circle their equilibrium, and which come to it? The Dirac-GAN."""

from __future__ import annotations

import cmath
import math
from typing import TYPE_CHECKING

from bench.claims.base import Asked, Claim, Found, Part, closed_form, pick, picks
from bench.claims.reading import column, worst

if TYPE_CHECKING:
    from bench.report.view import CellView

TOLERANCE = 1e-6
TENTH = 0.1
CIRCLING = {"minimax": 0.5, "non_saturating": 0.5, "wgan_clip": 1.0}
"""The size of the eigenvalues, which are imaginary."""
JUMPING, REGULARISED = "wgan_gp", "non_saturating_r1"


def _judge(found: Found) -> list[Part]:
    view = found["dirac"]
    eigenvalues, late = [], []
    for name, size in CIRCLING.items():
        cell = pick(view, objective=name, probe__update="simultaneous")
        eigenvalues.append(_eigenvalues(name, cell, (-1j * size, 1j * size)))
        late.append(_stays(name, cell))
    cell = pick(view, objective=JUMPING, probe__update="simultaneous")
    speed = 2 * cell.settings["hparams.penalty_weight"]
    jump = worst(column(cell.rows, "jump") - speed)
    eigenvalues.append(closed_form(f"{JUMPING}, weight {speed / 2:g}", "error of the jump", jump, TOLERANCE))
    late.append(_stays(JUMPING, cell))
    cells = picks(view, objective=REGULARISED, probe__update="simultaneous")
    if not cells:
        raise LookupError(f"no records of {REGULARISED}")
    for cell in cells:
        gamma = cell.settings["hparams.penalty_weight"]
        root, name = cmath.sqrt(gamma**2 / 4 - 1 / 4), f"{REGULARISED}, gamma {gamma:g}"
        eigenvalues.append(_eigenvalues(name, cell, (-gamma / 2 - root, -gamma / 2 + root)))
        distance = worst(column(cell.rows, "late_distance"))
        late.append(closed_form(name, "late distance, in distances of the start", distance, TENTH))
    return eigenvalues + late


def _eigenvalues(name: str, cell: CellView, expected: tuple[complex, complex]) -> Part:
    found = [
        (
            column(cell.rows, f"eigenvalue_real[{k}]") - value.real,
            column(cell.rows, f"eigenvalue_imag[{k}]") - value.imag,
        )
        for k, value in enumerate(expected, 1)
    ]
    return closed_form(name, "largest error of an eigenvalue, real or imaginary", worst(found), TOLERANCE)


def _stays(name: str, cell: CellView) -> Part:
    distance = worst(column(cell.rows, "late_distance"))
    ratio = TENTH / distance if distance else math.inf
    return closed_form(name, "a tenth of the distance of the start over the late distance", ratio, 1.0)


CLAIMS = (
    Claim(
        id="A7",
        statement=(
            "Near the equilibrium of the Dirac-GAN the linear parts of minimax, non-saturating and Wasserstein games "
            "have imaginary eigenvalues, WGAN-GP's field jumps, and R1 alone has negative real parts: the others "
            "circle, R1 converges"
        ),
        sources=("Mescheder et al. 2018, arXiv:1801.04406, sections 2 and 3",),
        grids={"ci": (Asked("dirac"),), "cpu": (Asked("dirac"),)},
        rule=(
            "exact if, by autograd of the losses, the eigenvalues are +-i/2 for minimax and the non-saturating game, "
            "+-i for WGAN, -g/2 +- sqrt(g^2/4 - 1/4) for R1 with weights g of .3, 1 and 2, and the speed of "
            "WGAN-GP's field beside the equilibrium, where it has no linear part, is twice the penalty's weight, "
            "each within 1e-6 in real and imaginary part, about the root of float64's rounding, which a double "
            "eigenvalue shows; and if the largest distance over the last tenth of 1,000 simultaneous steps of rate "
            ".1 is at most a tenth of that of the start, sqrt(2), for R1, and at least a tenth for the four others"
        ),
        judge=_judge,
        departures=(
            "rate, steps and start are not the paper's; clip 1 instead of .01, which the generator could not leave "
            "its start with; the weight of WGAN-GP's penalty is the paper's 1/2 of (slope - 1)^2"
        ),
    ),
)
