"""C13: does packing keep more modes?"""

from __future__ import annotations

from functools import partial
from itertools import product

from bench.claims.base import Asked, Claim, Found, Part, Side, floor_of, pick
from bench.claims.reading import diverged
from bench.claims.training import nearest, paired

CUT = Asked("papers/pacgan_table1", ("steps=10000", "generator.width=100", "critic.width=50"), 5)
COLUMNS: tuple[tuple[str, str, Side], ...] = (
    ("modes_covered", "modes covered", "above"),
    ("reverse_kl", "reverse KL", "below"),
)


def _judge(found: Found, share: float) -> list[Part]:
    view = found["pacgan_table1"]
    parts = []
    for dataset, pack in product(("ring", "grid"), (2, 4)):
        a, b = (pick(view, dataset=dataset, pack=count) for count in (pack, 1))
        name = f"{dataset}: packs of {pack} against 1"
        for column, label, side in COLUMNS:
            parts.append(
                paired(
                    name, f"difference in {label}", nearest(a, column, share), nearest(b, column, share), 0.0,
                    side, diverged=diverged(a, b), floor=floor_of(a, column),
                )
            )  # fmt: skip
    return parts


def _reading(name: str, share: float, words: str) -> Claim:
    return Claim(
        id=f"C13-{name}",
        statement=f"A critic that sees packs of samples keeps more modes, {words}",
        sources=(
            "Lin et al. 2018, arXiv:1712.04086, table 1",
            "paired-discriminator code: the ranking reverses with the budget",
        ),
        grids={"cpu": (CUT,), "gpu": (Asked("papers/pacgan_table1", (), None, "pacgan_table1_full"),)},
        rule=(
            f"on ring and grid, packs of 2 and of 4 against none, paired by seed {words} (the observation nearest to "
            "it): modes covered (one sample within 3 std) differ by more than 0, and reverse KL by less than 0, in "
            "the mean; runs that diverged are left out"
        ),
        judge=partial(_judge, share=share),
        departures=(
            "on two cores 10,000 of 400,000 steps, a quarter of the widths, 5 of 10 trials; the rest as the authors' "
            "code has it, but for what the grid file says"
        ),
    )


CLAIMS = (
    _reading("early", 0.1, "at a tenth of the steps"),
    _reading("late", 1.0, "at the end of the steps"),
)
