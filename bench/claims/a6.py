"""A6: how hard does each generator loss pull at a sample that the critic is sure of?"""

from __future__ import annotations

from itertools import product

from bench.claims.base import Asked, Claim, Found, Part, closed_form, pick
from bench.claims.reading import column, worst

REACH = 60.0
FAINT, NEAR_ONE = 1e-20, 1e-6
ROUNDING = {"float32": 1e-5, "float64": 1e-12}
LOSSES = ("minimax", "non_saturating", "wgan_clip", "wgan_gp")


def _judge(found: Found) -> list[Part]:
    parts = []
    for dtype, loss in product(ROUNDING, LOSSES):
        rows = pick(found["score_curve"], objective=loss, probe__dtype=dtype).rows
        score = column(rows, "score")
        within = abs(score) <= REACH
        if not (score == -REACH).any():
            raise LookupError(f"{loss}, {dtype}: no record of the score {-REACH:g}")
        gradient, error = column(rows, "score_gradient"), column(rows, "relative_error")
        certain = gradient[score == -REACH]
        name = f"{loss}, {dtype}"
        if loss == "minimax":
            parts.append(closed_form(f"{name}, score -60", "size of dL/ds", worst(certain), FAINT))
        elif loss == "non_saturating":
            parts.append(closed_form(f"{name}, score -60", "difference of dL/ds from -1", worst(certain + 1), NEAR_ONE))
        else:
            everywhere = worst(gradient[within] + 1)
            parts.append(closed_form(f"{name}, scores -60 to 60", "difference of dL/ds from -1", everywhere, 0.0))
        quantity = "largest relative error of dL/ds"
        parts.append(closed_form(f"{name}, scores -60 to 60", quantity, worst(error[within]), ROUNDING[dtype]))
    return parts


CLAIMS = (
    Claim(
        id="A6",
        statement=(
            "For a fake sample that the critic is sure of, the minimax generator's gradient in the score vanishes, "
            "the non-saturating one's stays at -1, and WGAN's is -1 at every score"
        ),
        sources=(
            "seed documents 000, 004",
            "Goodfellow et al. 2014, arXiv:1406.2661, section 3",
            "Arjovsky & Bottou 2017, arXiv:1701.04862",
        ),
        grids={"ci": (Asked("score_curve"),), "cpu": (Asked("score_curve"),)},
        rule=(
            "exact if, in float32 and in float64, dL/ds at the score -60 is below 1e-20 in size for minimax (in "
            "theory 8.8e-27) and within 1e-6 of -1 for the non-saturating loss, exactly -1 at all scores from -60 to "
            "60 for both Wasserstein objectives, and of all four within a relative error of 1e-5 (float32) or 1e-12 "
            "(float64) of the closed form on these scores, some 80 and 4,500 times the spacing of numbers at 1"
        ),
        judge=_judge,
        departures="none: no data and no training, the critic is the identity",
    ),
)
