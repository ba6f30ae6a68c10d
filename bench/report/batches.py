"""What the experiment ``batches`` shows: distances between batches of images by batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from bench.report import captions, figures, style
from bench.report.captions import BOOTSTRAP
from bench.report.figures import Drawing
from bench.report.tables import Heading, Part, Row, Table
from bench.report.view import CellView, Task, View
from bench.statistics import interval

COMPARED = {"w1_batches": "another batch", "w1_mean_image": "the mean image"}
"""Columns, and what a batch of real images is compared with."""

LOOKS: Mapping[str, tuple[str, Literal["-", "--"]]] = {
    "w1_batches": (style.colours(["wasserstein"])["wasserstein"], "-"),
    "w1_mean_image": (style.INK, "--"),
}
"""Colours and dashes of the columns."""

MOST_PANELS = 6
"""Cells that the figure has room for."""

WHAT = (
    "Exact Wasserstein distance between a batch of real images and another one, which has no image of the first, and "
    "between the same batch and copies of one image, the mean over all that the second is drawn from. Ground distance: "
    "Euclidean, over pixels from -1 to 1."
)


def tables(view: View) -> list[Table]:
    """A part for each set of images, a row for each batch size."""
    parts = [Part(_name(task, cell), _rows(cell)) for task, cell in _done(view)]
    headings = (
        Heading("batch_size", "Batch"),
        Heading("n", "n"),
        *(Heading(name, f"To {label}", scale="distance") for name, label in COMPARED.items()),
        Heading("difference", "Difference"),
    )
    caption = captions.sentences(
        WHAT,
        f"Mean over n seeds with its {BOOTSTRAP}; difference: of the two, paired by seed. Above 0 the mean image is "
        "nearer.",
        captions.origin(view),
    )
    return [Table("batches", caption, headings, tuple(parts), "Batches of images")] if parts else []


def drawings(view: View, load: figures.Load) -> list[Drawing]:
    """Both distances over the batch size, a panel for each set of images."""
    done = _done(view)
    if not done:
        return []
    cells = [cell for _, cell in done]
    caption = captions.sentences(
        WHAT,
        f"Thick: mean over {captions.seeds(cells)}; band: its {BOOTSTRAP}; thin: single seeds.",
        f"Sets that this figure has no room for: {len(done) - MOST_PANELS}." if len(done) > MOST_PANELS else "",
        captions.origin(view),
    )
    return [Drawing("batches", "Distances by batch size", caption, _draw(done[:MOST_PANELS]))]


def _done(view: View) -> list[tuple[Task, CellView]]:
    return [(task, cell) for task in view.tasks for cell in task.cells if cell.ended("ok")]


def _name(task: Task, cell: CellView) -> str:
    return ", ".join(filter(None, (task.label, cell.variant)))


def _curves(cell: CellView) -> list[pd.DataFrame]:
    """Both distances over the batch size (index), of the runs that ended well, by seed."""
    return [cell.curves(name)[cell.ended("ok")] for name in COMPARED]


def _rows(cell: CellView) -> tuple[Row, ...]:
    batches, mean = _curves(cell)
    return tuple(
        Row((f"{size:,}", cell.outcomes.ok, interval(one), interval(other), interval(one - other)))
        for size, one, other in zip(batches.index, batches.to_numpy(), mean.to_numpy(), strict=True)
    )


def _draw(done: Sequence[tuple[Task, CellView]]) -> Figure:
    rows = list(figures.even_rows(done))
    figure = style.new_figure(1.9 * len(rows) + 0.4)
    grid = figure.subplots(len(rows), max(map(len, rows)), squeeze=False)
    for axes, row in zip(grid, rows, strict=True):
        for one, (task, cell) in zip(axes, row, strict=False):
            one.set_title(style.plain(_name(task, cell), 40), loc="left")
            for name, table in zip(COMPARED, _curves(cell), strict=True):
                colour, dashes = LOOKS[name]
                one.plot(table.index, table, color=colour, linewidth=0.4, alpha=0.35, zorder=2)
                figures.draw_mean(one, table, colour, dashes)
            one.set_xscale("log", base=2)
            one.set_xticks(table.index, [f"{size:,}" for size in table.index])
            one.xaxis.set_minor_locator(NullLocator())
        for one in axes[len(row) :]:
            one.set_axis_off()
        axes[0].set_ylabel("Wasserstein distance")
    figures.label_columns(figure, grid, "images of a batch")
    keys = [
        Line2D([], [], color=colour, linestyle=dashes, label=f"to {COMPARED[name]}")
        for name, (colour, dashes) in LOOKS.items()
    ]
    figure.legend(handles=keys, loc="outside upper center", ncols=len(keys))
    return figure
