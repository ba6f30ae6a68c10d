"""What the experiment ``emd_cost`` shows: seconds of exact solves over their size, beside those of training steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.report import captions, figures, style
from bench.report.captions import BOOTSTRAP
from bench.report.figures import Drawing
from bench.report.tables import Heading, Part, Row, Table
from bench.report.view import CellView, Task, View
from bench.statistics import interval

EMD = "emd_seconds"
STEPS = {"critic_step_seconds": "one critic update", "training_step_seconds": "one training step"}
"""Columns of what the solves take turns with."""

LAW = {
    "emd_exponent": ("emd_exponent", "Exponent", 1.0),
    "emd_constant_seconds": ("emd_constant_nanoseconds", "Constant (ns)", 1e9),
    "n_per_training_step": ("n_per_training_step", "Samples a training step", 1.0),
}
"""Columns of the power law: in a table their key, their label and what they are multiplied with."""

MOST_PANELS = 6
"""Cells that the figure has room for."""

HEIGHT = 2.0
"""Inches, of a panel."""

WHAT = (
    "Exact earth mover's distance between n samples of the data and n fresh ones, the Euclidean costs included, on one "
    "thread of a CPU; in turns with it one update of the critic, and one training step, the critic's updates and then "
    "the generator's, in the plain loop."
)


def tables(view: View) -> list[Table]:
    """Milliseconds by size; the power laws."""
    done = _done(view)
    return [_times(view, done), _laws(view, done)] if done else []


def drawings(view: View, load: figures.Load) -> list[Drawing]:
    """Seconds over samples on logarithmic axes, a panel for each training."""
    done = _done(view)
    if not done:
        return []
    caption = captions.sentences(
        WHAT,
        f"Points: median over rounds, a point a seed, {captions.seeds([cell for _, cell in done])}; bars: quartiles. "
        f"Dashed: the power law {_fitted(done)}, of the mean exponent and the mean logarithm of the constant. "
        "Horizontal: the mean over seeds of a step's median.",
        f"Trainings that this figure has no room for: {len(done) - MOST_PANELS}." if len(done) > MOST_PANELS else "",
        captions.origin(view),
    )
    return [Drawing("emd_cost", "Cost of the exact distance", caption, _draw(done[:MOST_PANELS]))]


def _done(view: View) -> list[tuple[Task, CellView]]:
    return [(task, cell) for task in view.tasks for cell in task.cells if cell.ended("ok")]


def _name(task: Task, cell: CellView) -> str:
    return f"{task.label}, {cell.label}"


def _fitted(done: Sequence[tuple[Task, CellView]]) -> str:
    starts = sorted({int(cell.settings["probe.fit_from"]) for _, cell in done})
    return f"fitted to n from {captions.either(f'{start:,}' for start in starts)} on"


def _times(view: View, done: Sequence[tuple[Task, CellView]]) -> Table:
    headings = (Heading("what", "What"), Heading("n", "n"), Heading("milliseconds", "Milliseconds", digits=3))
    caption = captions.sentences(
        WHAT,
        f"Of the medians over rounds the mean over n seeds with its {BOOTSTRAP}.",
        captions.origin(view),
    )
    parts = []
    for task, cell in done:
        solves = cell.curves(EMD)[cell.ended("ok")]
        lines = [
            Row((f"exact, {size:,} samples", cell.outcomes.ok, interval(1e3 * row)))
            for size, row in zip(solves.index, solves.to_numpy(), strict=True)
        ]
        steps = [
            Row((label, cell.outcomes.ok, interval(1e3 * np.array([*cell.final(name).values()]))), aside=True)
            for name, label in STEPS.items()
        ]
        parts.append(Part(_name(task, cell), (*lines, *steps)))
    return Table("emd_cost", caption, headings, tuple(parts), "Cost of the exact distance")


def _laws(view: View, done: Sequence[tuple[Task, CellView]]) -> Table:
    headings = (
        Heading("training", "Training"),
        Heading("n", "n"),
        *(Heading(key, label, digits=3) for key, label, _ in LAW.values()),
    )
    caption = captions.sentences(
        f"The time of an exact solve as constant times n^exponent, by least squares on logarithms, {_fitted(done)}. "
        "Samples a training step: the n whose solve costs, by this law, as much as one training step. Mean over n "
        f"seeds with its {BOOTSTRAP}.",
        captions.origin(view),
    )
    rows = []
    for task, cell in done:
        numbers = (interval(scale * np.array([*cell.final(name).values()])) for name, (*_, scale) in LAW.items())
        rows.append(Row((_name(task, cell), cell.outcomes.ok, *numbers)))
    return Table("emd_law", caption, headings, (Part("Power laws", tuple(rows)),), "Power laws")


def _draw(done: Sequence[tuple[Task, CellView]]) -> Figure:
    colours = style.colours(cell.objective for _, cell in done)
    rows = list(figures.even_rows(done))
    abreast = max(map(len, rows))
    figure = style.new_figure((HEIGHT + 0.4) * len(rows), style.PAGE_WIDTH if abreast > 1 else style.COLUMN_WIDTH)
    grid = figure.subplots(len(rows), abreast, squeeze=False)
    for axes, row in zip(grid, rows, strict=True):
        for one, (task, cell) in zip(axes, row, strict=False):
            one.set_title(style.plain(_name(task, cell), 46), loc="left")
            _panel(one, cell, colours[cell.objective])
        for one in axes[len(row) :]:
            one.set_axis_off()
        axes[0].set_ylabel("seconds")
    figures.label_columns(figure, grid, "samples on either side")
    return figure


def _panel(axes: Axes, cell: CellView, colour: str) -> None:
    seeds = cell.ended("ok")
    medians, low, high = (cell.curves(f"{EMD}{end}")[seeds] for end in ("", "_low", "_high"))
    for seed in seeds:
        reach = [medians[seed] - low[seed], high[seed] - medians[seed]]
        axes.errorbar(
            medians.index, medians[seed], reach, fmt="o", color=style.INK, markersize=2.5, elinewidth=0.7, alpha=0.7
        )
    exponent = np.mean([*cell.final("emd_exponent").values()])
    constant = np.mean(np.log([*cell.final("emd_constant_seconds").values()]))
    sizes = medians.index.to_numpy(dtype=float)
    fitted = sizes[sizes >= cell.settings["probe.fit_from"]]
    law = np.exp(constant) * fitted**exponent
    axes.plot(fitted, law, "--", color=style.GREY, linewidth=1.0, zorder=1.5)
    ends = [(float(law[-1]), f"exact: n^{exponent:.2f}", style.INK)]
    for (name, label), shade in zip(STEPS.items(), style.shades(colour, len(STEPS)), strict=True):
        level = float(np.mean([*cell.final(name).values()]))
        axes.axhline(level, color=shade, zorder=2)
        ends.append((level, label, shade))
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(style.short))
    style.label_ends(axes, ends, HEIGHT)
