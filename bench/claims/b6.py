"""B6: does clipping push weights to the bounds?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.claims.base import Asked, Claim, Found, Part, mean_of, picks
from bench.claims.reading import changes

if TYPE_CHECKING:
    from bench.report.view import CellView

SHARE = "share_at_bound"


def _parts(found: Found, quantity: str, values: Callable[[CellView], list[float]], threshold: float) -> list[Part]:
    cells = picks(found["depth"], objective="wgan_clip")
    if not cells:
        raise LookupError("no records of clipped critics")
    return [
        mean_of(
            f"clip {cell.settings['hparams.clip']:g}", quantity, values(cell), threshold, "above",
            diverged=cell.outcomes.diverged,
        )
        for cell in cells
    ]  # fmt: skip


def _bound(found: Found) -> list[Part]:
    return _parts(found, "share of weights at the bound", lambda cell: list(cell.final(SHARE).values()), 0.5)


def _pushed(found: Found) -> list[Part]:
    return _parts(
        found,
        "growth of the share of weights at the bound",
        lambda cell: changes(cell, SHARE, lambda first, last: last - first),
        0.0,
    )


def _reading(name: str, words: str, rule: str, judge: Callable[[Found], list[Part]]) -> Claim:
    return Claim(
        id=f"B6-{name}",
        statement=f"Clipping pushes weights to the bounds: {words}",
        sources=("Gulrajani et al. 2017, arXiv:1704.00028, figure 1c",),
        grids={"cpu": (Asked("depth"),)},
        rule=(
            "in a 12-layer critic on the Swiss roll, the mean over seeds of the share of weights, biases left out, "
            f"within 1 % of the largest absolute one, which is the bound, {rule}, with each clip (.1, .01, .001); "
            "runs that diverged are left out"
        ),
        judge=judge,
        departures=(
            "the paper has a histogram and no number, and does not say of which clip; critics of width 128, 2,000 "
            "updates"
        ),
    )


CLAIMS = (
    _reading("bound", "most of them lie there", "is above .5 at the last step", _bound),
    _reading(
        "pushed",
        "training drives more of them there than the first clipping puts there",
        "grows by more than 0 from step 0, where the weights drawn at the start have been clipped, to the last",
        _pushed,
    ),
)
