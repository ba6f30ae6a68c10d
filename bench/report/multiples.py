"""Small multiples: a panel for each objective, all with the same axes, in the order of the grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.report import style
from bench.report.view import CellView, View

ABREAST = 5
MOST_PANELS = 40
"""What a figure holds: panels side by side, and all together."""

Groups = Mapping[str, Sequence[CellView]]
"""Cells that share a panel, or a line of a table, by its title."""


def by_objective(view: View) -> dict[str, list[CellView]]:
    """The cells with records, by objective, and by its hyperparameters where the grid has several settings of them."""
    cells = [cell for cell in view.cells if len(cell.rows)]
    hparams = {cell.id: {k: v for k, v in cell.settings.items() if k.startswith("hparams.")} for cell in cells}
    groups: dict[str, list[CellView]] = {}
    for cell in cells:
        own = [hparams[other.id] for other in cells if other.objective == cell.objective]
        told = [
            f"{key.removeprefix('hparams.')} {value:g}"
            for key, value in hparams[cell.id].items()
            if any(other[key] != value for other in own)
        ]
        groups.setdefault(", ".join([cell.objective, *told]), []).append(cell)
    return groups


def panels(
    groups: Groups, colours: Mapping[str, str], height: float, *, x: str, y: str, keys: Sequence[Artist] = ()
) -> tuple[Figure, dict[str, Axes]]:
    """A figure with an empty panel, ``height`` inches high, for each group, as far as there is room.

    ``x`` and ``y`` are the labels of axes that all panels share, ``keys`` what stands in the legend.
    """
    names = list(groups)[:MOST_PANELS]
    rows = -(-len(names) // ABREAST)
    figure = style.new_figure((height + 0.25) * rows + 0.55)
    grid = figure.subplots(rows, ABREAST, squeeze=False, sharex=True, sharey=True)
    figure.supxlabel(x, fontsize=8)
    figure.supylabel(y, fontsize=8)
    if keys:
        figure.legend(handles=list(keys), loc="outside upper center", ncols=len(keys))
    for number, axes in enumerate(grid.flat):
        if number >= len(names):
            axes.set_axis_off()
        elif number + ABREAST >= len(names):  # the lowest of its column
            axes.tick_params(labelbottom=True)
    chosen = dict(zip(names, grid.flat, strict=False))
    for name, axes in chosen.items():
        title = style.plain(name, 46).replace(", ", "\n", 1)
        axes.set_title(title, loc="left", fontsize=style.SMALL, color=colours[groups[name][0].objective])
    return figure, chosen


def powers_of_ten(axes: Axes) -> None:
    """A logarithmic axis for values of many decades."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}"))
    axes.yaxis.set_minor_locator(NullLocator())


def no_room(groups: Groups) -> str:
    """What a caption says of the groups that have no panel."""
    rest = len(groups) - MOST_PANELS
    return f"Panels that this figure has no room for: {rest}." if rest > 0 else ""


def column(cell: CellView, name: str) -> npt.NDArray[np.float64]:
    """Of the cell's first run, over its rows."""
    first = cell.rows["seed"] == cell.rows["seed"].iloc[0]
    return np.asarray(cell.rows[name][first], dtype=np.float64)


def constant(cell: CellView, column: str) -> float:
    """The one value that a column has in every row of a cell's first run; NaN without the column."""
    return float(cell.rows[column].iloc[0]) if column in cell.rows else float("nan")
