"""What the experiment ``depth`` shows: how gradients change from layer to layer, and where the weights lie.

WGAN-GP's figures 1b and 1c (Gulrajani et al. 2017, arXiv:1704.00028), and the slopes in numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from bench.report import captions, figures, style
from bench.report.captions import BOOTSTRAP
from bench.report.figures import Drawing
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, Task, View
from bench.statistics import Array, interval

GRADIENTS = {"activation_gradient": "gradient by activations", "weight_gradient": "gradient by weights"}
"""Columns, one for each layer, and what an axis calls them."""

SLOPES = {"slope_per_layer": "Activations", "weight_slope_per_layer": "Weights"}

MOST_LINES = 8
MOST_HISTOGRAMS = 12
ABREAST = 4
"""Cells that a panel of curves, a figure of histograms, and a row of it have room for."""

EXPLAINED = (
    "Layers are linear maps, counted from the input. Gradient by activations: norm over the units of a layer, before "
    "the non-linearity, times the batch size, mean over samples, so that a Wasserstein loss has 1 in the last layer. "
    "Gradient by weights: norm over the matrix. Both in float64, means over {batches} batches. Step 0: the initial "
    "critic, put inside the bound where the objective has one."
)


def tables(view: View) -> list[Table]:
    """Slopes over the layers, at the start and at the end, and the share of weights at the bound."""
    tasks = _tasks(view)
    return [_table(view, tasks)] if tasks else []


def drawings(view: View, load: figures.Load) -> list[Drawing]:
    """Gradient norms by layer and slopes over steps; histograms of the weights."""
    tasks = _tasks(view)
    if not tasks:
        return []
    colours = style.colours(cell.objective for cell in view.cells)
    figure, left_out = _by_layer(tasks, colours)
    told = captions.sentences(_explained(tasks), captions.origin(view))
    seeds = captions.seeds([cell for task in tasks for cell in task.cells])
    caption = captions.sentences(
        "Norm of the gradient of the critic's loss by layer, from the score to the input, at the last step (solid) and "
        "at step 0 (dashed), as a decimal logarithm. Right: slope of the left lines by layers passed, over steps; "
        "above 0 gradients explode on their way back, below 0 they vanish. Thick: mean of the logarithms over "
        f"{seeds}; band: its {BOOTSTRAP}; thin: single seeds.",
        _no_room(left_out),
        told,
    )
    drawn = [Drawing("gradient_by_layer", "Gradients by layer", caption, figure)]
    histograms = _histograms(tasks, load, colours)
    if histograms is not None:
        figure, left_out = histograms
        caption = captions.sentences(
            "Share of weights in each of 200 equal bins between plus and minus the largest absolute weight, which the "
            f"title tells, at the last step, on a logarithmic scale. Thick: mean over {seeds}; thin: single seeds. At "
            "the bound: share of weights in the two outermost bins.",
            _no_room(left_out),
            told,
        )
        drawn.append(Drawing("weights", "Weights", caption, figure))
    return drawn


def _tasks(view: View) -> list[Task]:
    """Tasks with the cells that have a run which ended well."""
    tasks = [task.only([cell for cell in task.cells if cell.ended("ok")]) for task in view.tasks]
    return [task for task in tasks if task.cells]


def _explained(tasks: Sequence[Task]) -> str:
    batches = sorted({int(cell.settings["probe.batches"]) for task in tasks for cell in task.cells})
    return EXPLAINED.format(batches=captions.either(map(str, batches)))


def _no_room(left_out: int) -> str:
    return f"Cells that this figure has no room for: {left_out}." if left_out else ""


def _finished(cell: CellView, column: str) -> pd.DataFrame:
    """A column over steps (index) of the runs that ended well, by seed."""
    table = cell.curves(column)
    return table[[seed for seed in table if seed in cell.ended("ok")]]


def _at(cell: CellView, step: int, column: str) -> list[float]:
    """A column at a step, one value a run that ended well."""
    table = _finished(cell, column)
    return list(table.loc[step].to_numpy()) if step in table.index else []


# Table


def _table(view: View, tasks: Sequence[Task]) -> Table:
    headings = [Heading("objective", "Objective"), Heading("n", "n"), Heading("layers", "Layers")]
    for column, label in SLOPES.items():
        headings += [
            Heading(f"{column}_0", f"{label}: slope at step 0", scale="slope"),
            Heading(column, f"{label}: slope at the end", scale="slope"),
        ]
    headings += [
        Heading("share_at_bound_0", "Share at bound at step 0", scale="share"),
        Heading("share_at_bound", "Share at bound at the end", scale="share"),
        Heading("largest_weight", "Largest weight"),
    ]

    def row(cell: CellView) -> Row:
        entries: list[Entry] = [cell.label, len(cell.ended("ok")), len(_layers(cell, "activation_gradient"))]
        for column in (*SLOPES, "share_at_bound"):
            entries += [interval(_at(cell, step, column)) for step in (0, max(cell.observed))]
        return Row((*entries, interval(list(cell.final("largest_weight").values()))))

    parts = tuple(Part(task.title, tuple(row(cell) for cell in task.cells)) for task in tasks)
    cells = [cell for task in tasks for cell in task.cells]
    caption = captions.sentences(
        "How the gradient of the critic's loss changes on its way back through the layers. Slope: of log10 of its norm "
        "against the layers passed, by least squares, in decades a layer; above 0 it explodes, below 0 it vanishes. "
        "Share at bound: of weights within 1 % of the largest absolute weight, which in a clipped critic is the clip. "
        f"Mean over the n runs of {captions.seeds(cells)} that ended well, with its {BOOTSTRAP} over seeds, expanded "
        "for small n.",
        captions.skipped((cell.label, cell) for cell in view.cells),
        _explained(tasks),
        captions.origin(view),
    )
    return Table("depth", caption, tuple(headings), parts, title="Gradients by layer")


# Figures


def _by_layer(tasks: Sequence[Task], colours: Mapping[str, str]) -> tuple[Figure, int]:
    """A row a task: gradients by activations and by weights over layers, and slopes over steps."""
    height = style.panel_height(max(min(MOST_LINES, len(task.cells)) for task in tasks), 1.9)
    figure = style.new_figure((height + 0.6) * len(tasks))
    for row, task in zip(figure.subplots(len(tasks), 3, squeeze=False), tasks, strict=True):
        cells = task.cells[:MOST_LINES]
        tints = figures.tints_of(cells, colours)
        row[0].set_title(style.plain(task.label), loc="left")
        for axes, (column, label) in zip(row, GRADIENTS.items(), strict=False):
            for cell in cells:
                _layer_curve(axes, cell, column, tints[cell.id])
            axes.invert_xaxis()
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set(xlabel="layer (1: input)", ylabel=f"log10 of {label}")
        ends = []
        for cell in cells:
            slopes = _finished(cell, "slope_per_layer")
            row[2].plot(slopes.index, slopes, color=tints[cell.id], linewidth=0.4, alpha=0.35, zorder=2)
            last = figures.draw_mean(row[2], slopes, tints[cell.id])
            ends.append((last, _label(cell, " "), tints[cell.id]))
        row[2].axhline(0, color=style.GREY, linestyle="--", linewidth=0.9, zorder=1.5)
        steps = {float(step) for cell in cells for step in cell.observed}
        style.log_steps(row[2], steps)
        row[2].set_xticks([tick for tick in row[2].get_xticks() if tick in (0, *steps) or tick > sorted(steps)[1]])
        row[2].set(xlabel="steps", ylabel="slope (decades a layer)", xlim=(0, None))
        style.label_ends(row[2], ends, height)
    return figure, sum(len(task.cells[MOST_LINES:]) for task in tasks)


def _layers(cell: CellView, column: str) -> list[int]:
    """Layers that the cell's records have the column of, from the input."""
    found = (re.fullmatch(rf"{column}\[(\d+)\]", str(name)) for name in cell.rows.columns)
    return sorted(int(match[1]) for match in found if match and cell.rows[match[0]].notna().any())


def _layer_curve(axes: Axes, cell: CellView, column: str, colour: str) -> None:
    """Logarithms of norms over layers: the last step solid, with single seeds, and step 0 dashed."""
    layers = _layers(cell, column)
    for step, dashes in ((0, "--"), (max(cell.observed), "-")):
        norms = np.array([_at(cell, step, f"{column}[{layer}]") for layer in layers])
        table = pd.DataFrame(np.log10(np.where(norms > 0, norms, np.nan)), index=layers)
        if dashes == "-":
            axes.plot(table.index, table, color=colour, linewidth=0.4, alpha=0.35, zorder=2)
            figures.draw_mean(axes, table, colour)
        else:
            axes.plot(table.index, table.mean(axis=1), color=colour, linestyle=dashes, linewidth=0.9, zorder=3)


def _histograms(tasks: Sequence[Task], load: figures.Load, colours: Mapping[str, str]) -> tuple[Figure, int] | None:
    """A panel a cell."""
    cells = [cell for task in tasks for cell in task.cells]
    tints = {name: colour for task in tasks for name, colour in figures.tints_of(task.cells, colours).items()}
    stored = {cell.id: _stored(cell, load) for cell in cells[:MOST_HISTOGRAMS]}
    shown = [cell for cell in cells if len(stored.get(cell.id, ()))]
    if not shown:
        return None
    rows = [shown[first : first + ABREAST] for first in range(0, len(shown), ABREAST)]
    figure = style.new_figure(1.75 * len(rows))
    grid = figure.subplots(len(rows), max(map(len, rows)), squeeze=False, sharex=True, sharey=True)
    for axes, row in zip(grid, rows, strict=True):
        axes[0].set_ylabel("share of weights")
        for one, cell in zip(axes, row, strict=False):
            _histogram(one, cell, stored[cell.id], tints[cell.id])
        for one in axes[len(row) :]:
            one.set_axis_off()
    figures.label_columns(figure, grid, "weight / largest weight")
    return figure, len(cells) - len(shown)


def _stored(cell: CellView, load: figures.Load) -> Array:
    """The histograms of the runs that ended well: [runs, bins]."""
    found = [load(cell, seed) for seed in cell.ended("ok")]
    rows = [arrays["weight_histogram"] for arrays in found if arrays is not None and "weight_histogram" in arrays]
    return np.array(rows, dtype=float)


def _histogram(axes: Axes, cell: CellView, shares: Array, colour: str) -> None:
    edges = np.linspace(-1, 1, shares.shape[1] + 1)
    for row in shares:
        axes.stairs(row, edges, color=colour, linewidth=0.3, alpha=0.35)
    axes.stairs(shares.mean(axis=0), edges, color=colour, linewidth=1.2)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(style.short))
    axes.yaxis.set_minor_formatter(NullFormatter())
    largest = interval(list(cell.final("largest_weight").values())).value
    bound = interval(list(cell.final("share_at_bound").values())).value
    axes.set_title(
        f"{_label(cell, chr(10))}\n{bound:.0%} at +-{largest:.3g}",
        color=colour, fontsize=style.SMALL,
    )  # fmt: skip


def _label(cell: CellView, between: str) -> str:
    """The objective and the cell's own settings without the block that hyperparameters stand in."""
    variant = style.plain(cell.variant.replace("hparams.", ""), 26)
    return between.join(filter(None, (style.plain(cell.objective, 26), variant)))
