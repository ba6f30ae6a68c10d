"""Records of runs by hand, as a judge finds them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.claims import CLAIMS
from bench.claims.base import decide
from bench.report.view import CellView, Task, View
from bench.statistics import holm

SEEDS = 8
Values = Sequence[float] | Callable[[np.random.Generator], Sequence[float]]
"""Of a column over checkpoints, the same in every run or of its seed's chance."""

_number = itertools.count()


def cell(
    objective: str,
    columns: Mapping[str, Values],
    *,
    at: Sequence[int] | None = None,
    seeds: int = SEEDS,
    diverged: int = 0,
    draw: int | None = None,
    **settings: Any,
) -> CellView:
    """A cell with runs of these columns, a number a checkpoint ``at`` a step; the last ``diverged`` seeds have none."""
    frames = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        values = {name: own(rng) if callable(own) else own for name, own in columns.items()}
        count = len(next(iter(values.values())))
        frame = pd.DataFrame({"seed": seed, "step": at or range(1, count + 1), "status": "ok", **values})
        if seed >= seeds - diverged:
            frame = pd.DataFrame({"seed": [seed], "step": [1], "status": ["diverged"]})
        frames.append(frame)
    named = {key.replace("__", "."): value for key, value in settings.items()}
    rows = pd.concat(frames, ignore_index=True)
    return CellView(
        f"cell{next(_number)}", objective, "", tuple(range(seeds)), rows, {"objective": objective, **named}, draw
    )


def view(grid: str, cells: Sequence[CellView], folder: Path = Path(), **manifest: Any) -> View:
    """A results folder with these cells."""
    rows = pd.concat([own.rows for own in cells], ignore_index=True)
    return View(folder, grid, "", manifest, rows, (Task("", "", tuple(cells)),), (), 0)


def verdict(claim: str, *views: View) -> str:
    """Of the claim on these records, with Holm's correction over its own parts."""
    parts = CLAIMS[claim].judge({own.grid: own for own in views})
    return decide(parts, holm([part.p for part in parts])).verdict


def around(*centre: float, by: float = 0.01) -> Values:
    """Near these values, a few hundredths off from run to run."""
    return lambda rng: [value * (1 + by * rng.normal()) for value in centre]
