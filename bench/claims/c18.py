"""C18: do zero-centred gradient penalties converge where others circle?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.claims.base import Asked, Claim, Found, Part, closed_form, pick, picks
from bench.claims.reading import diverged
from bench.claims.training import late_spread, logs, paired

if TYPE_CHECKING:
    from bench.report.view import CellView

NEAR = 0.1
"""Of the distance at the start, sqrt 2, which the records' late distance is relative to."""

CENTRED = ("non_saturating_r1", "non_saturating_r1_r2", "relativistic_r1", "r3gan")
CIRCLING = ("minimax", "non_saturating", "wgan_clip", "wgan_gp")
SOURCES = ("Mescheder et al. 2018, arXiv:1801.04406",)
TINY = Asked("penalties", ("steps=300", "evaluate.observations=6"), 3, "penalties_ci")


def _dirac(found: Found) -> list[Part]:
    view = found["dirac"]
    parts = []
    for objective in (*CENTRED, *CIRCLING):
        cells = picks(view, objective=objective, probe__update="simultaneous")
        if not cells:
            raise LookupError(f"{view.grid}: no run of {objective}")
        for cell in cells:
            late, weight = _late(cell), cell.settings.get("hparams.penalty_weight")
            name = objective if weight is None else f"{objective}, weight {weight:g}"
            if objective in CENTRED:
                parts.append(closed_form(name, "late distance over that at the start", late, NEAR))
            else:
                told = "a tenth of the distance at the start over the late one"
                parts.append(closed_form(name, told, NEAR / late, 1.0))
    return parts


def _late(cell: CellView) -> float:
    """The largest distance over the last tenth of the steps, relative to the start; infinite where the run diverged."""
    if "late_distance" not in cell.rows or not len(cell.rows):
        raise LookupError(f"{cell.label}: no late distance")
    return float(cell.rows["late_distance"].iloc[-1])


def _ring(found: Found) -> list[Part]:
    a, b = (pick(found["penalties"], objective=name) for name in ("non_saturating_r1", "non_saturating"))
    one, other = (logs(late_spread(cell)) for cell in (a, b))
    told = "ln of the ratio of late spreads"
    return [paired("R1 against none", told, one, other, 0.0, "below", diverged=diverged(a, b))]


CLAIMS = (
    Claim(
        id="C18-dirac",
        statement="On the Dirac-GAN zero-centred gradient penalties converge where games without one circle",
        sources=SOURCES,
        grids={"ci": (Asked("dirac"),), "cpu": (Asked("dirac"),)},
        rule=(
            "simultaneous updates, 1,000 steps: the largest distance from the equilibrium over the last tenth of the "
            "steps is at most a tenth of that at the start, sqrt 2, with R1 and with R1 and R2 "
            f"({', '.join(CENTRED)}, at every weight of the grid), and at least a tenth of it for "
            f"{', '.join(CIRCLING)}; a run that diverged is infinitely far"
        ),
        judge=_dirac,
        departures=(
            "rate, start and steps are ours; penalties of the squared slope, which the paper's proof is of: "
            "WGAN-div's, of the slope's sixth power, next to nothing near the equilibrium, is not judged here"
        ),
    ),
    Claim(
        id="C18-ring",
        statement="On the ring the zero-centred penalty R1 lets the training of the non-saturating GAN settle",
        sources=SOURCES,
        grids={"ci": (TINY,), "cpu": (Asked("penalties"),)},
        rule=(
            "late spread of a run: standard deviation of the EMD over the last third of its checkpoints; ln of that "
            "of non_saturating_r1 over that of non_saturating, all else equal, paired by seed: mean below 0; runs "
            "that diverged are left out"
        ),
        judge=_ring,
        departures=(
            "5,000 steps, far from an equilibrium; the paper's proof is of the neighbourhood of one, its images are "
            "larger; a run that learns slowly and has not settled yet has a late spread too"
        ),
    ),
)
