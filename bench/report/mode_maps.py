"""Which modes of a mixture samples are at: the share that each has beside what is due to it, seed by seed.

Shape letters: N samples, D coordinates, K modes, S seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench.report import captions, style
from bench.report.figures import MOST_LINES, MOST_PANELS, Drawing, Load, Points, even_rows
from bench.report.view import CellView, Task

Array = npt.NDArray[np.float64]

FURTHEST = 8.0
"""The factor above what is due, or below it, from which on colours do not tell more."""
COLOURS = colormaps["RdBu"]
"""Red: too few; blue: too many. The two differ whatever the sight."""
MOST_SEEDS = 16
MOST_MODES = 100
"""Of a cell that are drawn; beyond so many modes there are no strips."""
BLOCK, THICK, GAP = 0.3, 0.42, 0.12
"""Inches that a cell's strips take; the parts of them that the mean and the space below have."""


def read(tasks: Sequence[Task], load: Load) -> dict[str, Array]:
    """The ratios [S, K] of a cell's seeds that have samples, by the cell's id."""
    found = {}
    for task in tasks:
        for cell in task.cells[:MOST_LINES]:
            seeds = (ratios(load(cell, seed) or {}) for seed in cell.ended("ok")[:MOST_SEEDS])
            rows = [row for row in seeds if row is not None]
            alike = [row for row in rows if len(row) == len(rows[0])]
            if alike:
                found[cell.id] = np.stack(alike)
    return found


def ratios(arrays: Mapping[str, Points]) -> Array | None:
    """Of each mode the share of samples that are nearest to it, in Euclidean distance, over its weight, [K].

    With n_k of N samples nearest to mode k: n_k / (N w_k). 1 is what is due, 0 a mode that was dropped. All samples
    count, of high quality or not, as in the reverse KL. From ``fake`` [N, D], ``means`` [K, D] and ``weights`` [K];
    None where these are not there, do not fit each other, or are not finite, and where modes are too many to draw.
    """
    fake, means, weights = (arrays.get(name) for name in ("fake", "means", "weights"))
    if fake is None or means is None or weights is None or not fake.ndim == means.ndim == 2:
        return None
    points, centres, due = (np.asarray(array, dtype=np.float64) for array in (fake, means, weights))
    k = len(centres)
    if not len(points) or not 0 < k <= MOST_MODES or points.shape[1] != centres.shape[1] or due.shape != (k,):
        return None
    if not all(np.isfinite(array).all() for array in (points, centres, due)) or due.min() <= 0:
        return None
    # |x - m|^2 without |x|^2, which all modes have in common
    nearest = ((centres**2).sum(axis=1) - 2 * points @ centres.T).argmin(axis=1)
    return np.asarray(np.bincount(nearest, minlength=k) / len(points) / due)


def drawing(tasks: Sequence[Task], found: Mapping[str, Array], colours: Mapping[str, str], told: str) -> Drawing | None:
    """A panel for each task: modes from left to right, cells from top to bottom, each its mean and its seeds.

    ``told`` ends the caption; None where no cell has ratios.
    """
    known = [task for task in tasks if any(cell.id in found for cell in task.cells)]
    if not known:
        return None
    rows = list(even_rows(known[:MOST_PANELS]))
    abreast = len(rows[0])
    most = [max(min(len(task.cells), MOST_LINES) for task in row) for row in rows]
    heights = [BLOCK * count for count in most]
    figure = style.new_figure(
        sum(heights) + 0.4 * len(rows) + 0.55, style.PAGE_WIDTH if abreast > 1 else style.COLUMN_WIDTH
    )
    grid = figure.subplots(len(rows), abreast, squeeze=False, height_ratios=heights)
    for axes, row, count in zip(grid, rows, most, strict=True):
        for one, task in zip(axes, row, strict=False):
            one.set_title(style.plain(task.title), loc="left")
            strips(one, task.cells[:MOST_LINES], found, colours, count)
            one.set_xlabel("mode")
        for one in axes[len(row) :]:
            one.set_axis_off()
    bar = figure.colorbar(_key(), ax=grid, location="bottom", aspect=50, shrink=0.7, extend="both", pad=0.02)
    _finish(bar)
    bar.set_label("share of samples / weight of the mode")
    return Drawing("modes", "Modes", _caption(known, found, told), figure)


def _caption(known: Sequence[Task], found: Mapping[str, Array], told: str) -> str:
    cells = [cell for task in known for cell in task.cells]
    left_out = sum(len(task.cells[MOST_LINES:]) for task in known[:MOST_PANELS])
    left_out += sum(len(task.cells) for task in known[MOST_PANELS:])
    return captions.sentences(
        "Of each mode the share of last samples that are nearest to it, by Euclidean distance, over the weight that it "
        f"has in the data: 1 is what is due, {1 / FURTHEST:g} and less a mode that is dropped. Of each objective the "
        f"mean over {captions.seeds(cells)} above, single seeds, at most {MOST_SEEDS}, below it.",
        "Samples count whether they are of high quality or not. Modes are numbered as the data set lists them.",
        f"Cells that this figure has no room for: {left_out}." if left_out else "",
        told,
    )


def key_bar(axes: Axes) -> None:
    """What the colours stand for, in a panel of its own, from left to right."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    _finish(figure.colorbar(_key(), cax=axes, orientation="horizontal", extend="both"))


def _key() -> ScalarMappable:
    return ScalarMappable(LogNorm(1 / FURTHEST, FURTHEST), COLOURS)


def _finish(bar: Colorbar) -> None:
    bar.outline.set_visible(False)
    bar.ax.xaxis.set_major_locator(FixedLocator([2.0**power for power in range(-3, 4)]))
    bar.ax.xaxis.set_minor_locator(NullLocator())
    told = FuncFormatter(lambda value, _: f"{value:g}" if value >= 1 else f"1/{1 / value:g}")
    bar.ax.xaxis.set_major_formatter(told)
    bar.ax.tick_params(length=0)


def strips(
    axes: Axes, cells: Sequence[CellView], found: Mapping[str, Array], colours: Mapping[str, str], room: int
) -> None:
    """Draw a block for each cell, of as many as there is ``room`` for: the mean thick, below it each seed thin."""
    k = max((found[cell.id].shape[1] for cell in cells if cell.id in found), default=1)
    for place, cell in enumerate(cells):
        own = found.get(cell.id)
        if own is None:
            axes.text(0, place + 0.5 - GAP / 2, "no samples", va="center", fontsize=style.SMALL, color=style.GREY)
            continue
        bottoms = (place, place + THICK, place + 1 - GAP)
        for rows, top, bottom in zip((own.mean(axis=0, keepdims=True), own), bottoms, bottoms[1:], strict=False):
            axes.imshow(
                rows.clip(1 / FURTHEST, FURTHEST), norm=LogNorm(1 / FURTHEST, FURTHEST), cmap=COLOURS, aspect="auto",
                interpolation="nearest", extent=(-0.5, own.shape[1] - 0.5, bottom, top),
            )  # fmt: skip
    axes.set(xlim=(-0.5, k - 0.5), ylim=(room, 0))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 4, 5, 10]))
    axes.tick_params(length=0)
    labels = [style.plain(cell.label, 26) for cell in cells]
    axes.set_yticks([place + 0.5 - GAP / 2 for place in range(len(cells))], labels)
    for label, cell in zip(axes.get_yticklabels(), cells, strict=True):
        label.set_color(colours[cell.objective])
