"""C3: does a collapsed generator give the same output for any latent?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from bench import records
from bench.claims.base import Asked, Claim, Found, Part, share_of

if TYPE_CHECKING:
    from bench.report.view import View


def _judge(found: Found) -> list[Part]:
    view = found["modes"]
    told = "share of collapsed runs with less spread than one mode"
    lost = sum(cell.outcomes.diverged for cell in view.cells)
    return [share_of("all cells", told, _constant(view), 0.5, "above", diverged=lost)]


def _constant(view: View) -> Iterator[bool]:
    """Of each collapsed run, whether its samples lie closer to their mean than one mode's do to theirs."""
    for cell in view.cells:
        total = cell.final("modes_total")
        for seed, covered in cell.final("modes_covered").items():
            if covered < total[seed]:
                samples = records.load_samples(view.folder, f"{cell.id}-s{seed}")
                if samples is None:
                    raise LookupError(f"{view.grid}: the samples of {cell.id}-s{seed} are not stored")
                fake = samples["fake"].astype(np.float64)
                distance = np.sqrt(((fake - fake.mean(axis=0)) ** 2).sum(axis=1).mean())
                yield bool(distance < cell.settings["dataset.std"])


CLAIMS = (
    Claim(
        id="C3",
        statement="A generator that has collapsed gives the same output whatever its latent",
        sources=("seed document 003",),
        grids={"cpu": (Asked("modes"),), "gpu": (Asked("modes", ("steps=100000",), 20, "modes_100k"),)},
        rule=(
            "of the runs of all cells (four objectives, ring and grid, both arms) that cover fewer modes at their "
            "last step than there are (one sample within 3 std covers a mode), more than half have samples whose "
            "root mean square distance from their mean is below the std of one mode: the exact binomial interval of "
            "the share lies above .5; runs that diverged have no samples and are left out"
        ),
        judge=_judge,
        departures="toy mixtures, 10,000 generator steps; runs that lost one mode of 25 count as collapsed too",
    ),
)
