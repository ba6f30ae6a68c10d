"""C1: do minimax and non-saturating games drop modes that Wasserstein games keep?"""

from __future__ import annotations

from itertools import product

from bench.claims.base import Asked, Claim, Found, Part, difference, pick

SOURCES = (
    "seed documents 000 to 004",
    "Arjovsky et al. 2017, arXiv:1701.07875, section 4.3",
    "Gulrajani et al. 2017, arXiv:1704.00028",
)
STATEMENT = "GANs with the minimax and the non-saturating loss drop modes that WGAN and WGAN-GP keep"
RULE = (
    "on ring and grid, for each of the two Wasserstein objectives against each of the two others, paired by seed at "
    "the last step: modes covered (by the papers' rule of one sample) differ by more than 0, and reverse KL by less "
    "than 0"
)
DEPARTURES = (
    "mixtures of the WGAN-GP authors' toy code, networks of 2 x 128, 10,000 generator steps; the WGAN paper claims it "
    "of images; by the rule of one sample a diffuse generator covers modes that it does not resolve"
)


def _judge(found: Found, arm: str) -> list[Part]:
    view = found["modes"]
    parts = []
    for dataset, ours, theirs in product(("ring", "grid"), ("wgan_clip", "wgan_gp"), ("minimax", "non_saturating")):
        a, b = (pick(view, dataset=dataset, arm=arm, objective=name) for name in (ours, theirs))
        name = f"{dataset}: {ours} against {theirs}"
        parts.append(difference(name, "difference in modes covered", a, b, "modes_covered", "above"))
        parts.append(difference(name, "difference in reverse KL", a, b, "reverse_kl", "below"))
    return parts


def _reading(arm: str, words: str) -> Claim:
    return Claim(
        id=f"C1-{arm}",
        statement=f"{STATEMENT}, {words}",
        sources=SOURCES,
        grids={"cpu": (Asked("modes"),), "gpu": (Asked("modes", ("steps=100000",), 20, "modes_100k"),)},
        rule=RULE,
        judge=lambda found: _judge(found, arm),
        departures=DEPARTURES,
    )


CLAIMS = (
    _reading("reference", "each at its reference's recipe"),
    _reading("tuned", "each at the best of 16 random settings"),
)
