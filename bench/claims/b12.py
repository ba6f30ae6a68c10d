"""B12: does a discriminator rank all fakes alike, where a critic keeps an order?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.claims.base import Asked, Claim, Found, Part, difference, mean_of, pick
from bench.claims.reading import diverged, paired

if TYPE_CHECKING:
    from bench.report.view import CellView


def _cells(found: Found) -> tuple[CellView, CellView]:
    """The critic and the discriminator."""
    critic, other = (
        pick(found["optimal_critic"], pair="two_gaussians", objective=name) for name in ("wgan_gp", "minimax")
    )
    return critic, other


def _order(found: Found) -> list[Part]:
    critic, other = _cells(found)
    name, quantity = "score: wgan_gp against minimax", "difference in abs(rank correlation) with distance"
    return [difference(name, quantity, critic, other, "rank_correlation", "above", of=abs)]


def _ties(found: Found) -> list[Part]:
    critic, other = _cells(found)
    ties = paired(other.final("ties_probability"), critic.final("ties_score"), lambda a, b: a - b)
    name = "probability of minimax against score of wgan_gp"
    return [mean_of(name, "difference in share of ties", ties, 0.0, "above", diverged=diverged(critic, other))]


def _reading(name: str, words: str, rule: str, judge: Callable[[Found], list[Part]]) -> Claim:
    return Claim(
        id=f"B12-{name}",
        statement=f"A discriminator rates all clear fakes alike, a critic keeps an order among them: {words}",
        sources=("seed document 000", "Arjovsky et al. 2017, arXiv:1701.07875, figure 2"),
        grids={"cpu": (Asked("optimal_critic"),)},
        rule=(
            "between two Gaussians 8 standard deviations apart, at the last step, over the points of the line "
            f"through both that are nearer to the fake one: {rule}; the mean over seeds, paired, lies above 0; runs "
            "that diverged are left out"
        ),
        judge=judge,
        departures="the source speaks of a figure, which does not say where its Gaussians lie; critics of 3 x 128",
    )


CLAIMS = (
    _reading(
        "order",
        "by their scores",
        "the absolute value of Spearman's correlation of the score with the distance to the nearest real sample, of "
        "the penalised critic less that of the minimax discriminator (before the sigmoid)",
        _order,
    ),
    _reading(
        "ties",
        "by the probability that a discriminator gives out",
        "the share of neighbouring points whose probabilities are equal in float32, of the minimax discriminator, "
        "less the share of those whose scores are, of the penalised critic",
        _ties,
    ),
)
