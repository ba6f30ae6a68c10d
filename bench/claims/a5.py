"""A5: is the earth mover's distance a distance, and is cross-entropy none?"""

from __future__ import annotations

from bench.claims.base import Asked, Claim, Found, Part, closed_form, pick
from bench.claims.reading import column, worst

TOLERANCE = 1e-9
DISTANCES = {"wasserstein": "W in the plane", "wasserstein_line": "W on a line"}
AXIOMS = {
    "negativity": "not negative",
    "self_distance": "0 from a law to itself",
    "asymmetry": "symmetry",
    "triangle_excess": "triangle inequality",
}
BROKEN = {
    "cross_entropy_identity": "cross-entropy, 0 from a law to itself",
    "cross_entropy_symmetry": "cross-entropy, symmetry",
    "kullback_leibler_symmetry": "KL, symmetry",
}
"""What theory says that they break for any laws that differ."""


def _judge(found: Found) -> list[Part]:
    rows = pick(found["exact"], check="axioms").rows
    parts = []
    for name, words in DISTANCES.items():
        parts += [
            closed_form(f"{words}, {axiom}", "largest violation", worst(column(rows, f"{name}_{of}")), TOLERANCE)
            for of, axiom in AXIOMS.items()
        ]
        share = worst(column(rows, f"{name}_identity_violations"))
        parts.append(closed_form(f"{words}, 0 between no other laws", "share of triples that break it", share, 0))
    return parts + [
        closed_form(words, "share of triples that keep it", worst(1 - column(rows, f"{name}_violations")), 0)
        for name, words in BROKEN.items()
    ]


CLAIMS = (
    Claim(
        id="A5",
        statement="The earth mover's distance is a distance between laws, cross-entropy is none",
        sources=("seed document 001",),
        grids={"ci": (Asked("exact"),), "cpu": (Asked("exact"),)},
        rule=(
            "exact if on a thousand random triples of laws a seed, with random weights on five random points of the "
            "plane, the exact EMD in the plane and on a line is nowhere below 0, asymmetric, away from 0 from a law "
            "to itself or above the way round by a third law by more than 1e-9, a million times its rounding, and "
            "nowhere 0 between laws that differ; and if in every triple cross-entropy breaks symmetry and has H(p, "
            "p) other than 0, and KL breaks symmetry, as theory says of any laws that differ; the worst over seeds"
        ),
        judge=_judge,
        departures="none; KL is beside cross-entropy since the source's words fit both",
    ),
)
