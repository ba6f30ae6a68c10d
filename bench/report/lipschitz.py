"""What the experiment ``lipschitz`` shows: how steep critics are, where a penalty looks and where it does not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report import captions, figures, style
from bench.report.captions import BOOTSTRAP
from bench.report.critics import log_decades, pair_of, short
from bench.report.figures import Drawing, Points
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, Task, View
from bench.statistics import interval

PLACES = {"slopes_real": "real", "slopes_fake": "fake", "slopes_between": "segments", "secants": "pairs"}
"""Stored arrays, and what they are called."""

MOST_CELLS = 9
MOST_TASKS = 4
"""Cells of a task, and tasks, that a figure has room for."""

COLUMNS = (
    ("slope_median[real]", "Slope, real"),
    ("slope_median[fake]", "Slope, fake"),
    ("slope_median[between]", "Slope, segments"),
    ("slope_error[real]", "|slope - 1|, real"),
    ("slope_error[fake]", "|slope - 1|, fake"),
    ("slope_error[between]", "|slope - 1|, segments"),
    ("secant_error[any]", "|secant - 1|, pairs"),
    ("secant_above[any]", "Pairs above 1"),
    ("slope_largest", "Largest slope found"),
    ("slope_bound", "Upper bound"),
)

SPREAD = (
    ("slope_low[{}]", "slope_high[{}]", "real", "Slopes, real"),
    ("slope_low[{}]", "slope_high[{}]", "fake", "Slopes, fake"),
    ("slope_low[{}]", "slope_high[{}]", "between", "Slopes, segments"),
    ("secant_low[{}]", "secant_high[{}]", "real", "Secants, real pairs"),
    ("secant_low[{}]", "secant_high[{}]", "fake", "Secants, fake pairs"),
    ("secant_low[{}]", "secant_high[{}]", "any", "Secants, any pairs"),
)


def tables(view: View) -> list[Table]:
    """Medians, errors and bounds; quantiles of slopes and of secants."""
    tasks = [task for task in view.tasks if any(cell.ended("ok") for cell in task.cells)]
    if not tasks:
        return []
    quantiles = [
        (name.format(place), f"{label}, {part}")
        for low, high, place, label in SPREAD
        for name, part in ((low, "1 %"), (high, "99 %"))
    ]
    words = (
        "Slopes of critics between two laws, in scores by unit of the data: medians at real samples, at fake ones and "
        "on segments between them, and of the distance from 1; of pairs of any two samples the median distance of "
        "|f(x) - f(y)| / |x - y| from 1, and the share above it. Largest slope found: by gradient ascent, below the "
        "Lipschitz constant; upper bound: the product of the spectral norms of the weights, above it."
    )
    spread = (
        "Quantiles of the slopes of critics, and of |f(x) - f(y)| / |x - y| of pairs of samples, of one law or any."
    )
    return [
        _table(view, tasks, "slopes", "Slopes", words, COLUMNS),
        _table(view, tasks, "quantiles", "Quantiles of slopes", spread, quantiles),
    ]


def _table(
    view: View, tasks: Sequence[Task], name: str, title: str, words: str, columns: Sequence[tuple[str, str]]
) -> Table:
    headings = (
        Heading("objective", "Objective", words=True),
        Heading("n", "n"),
        *(Heading(column, label) for column, label in columns),
    )
    parts = []
    for task in tasks:
        rows = []
        for cell in task.cells:
            entries: list[Entry] = [short(cell, task.cells, line=", "), cell.outcomes.ok]
            entries += [interval(list(cell.final(column).values())) for column, _ in columns]
            rows.append(Row(tuple(entries)))
        parts.append(Part(pair_of(task, tasks), tuple(rows)))
    caption = captions.sentences(
        words,
        f"Mean over the n runs that ended well, of {captions.seeds(_cells(tasks))} a cell, with its {BOOTSTRAP}.",
        _end(view, tasks),
    )
    return Table(name, caption, headings, tuple(parts), title)


def drawings(view: View, load: figures.Load) -> list[Drawing]:
    """Where slopes lie, at the end; the largest found and the upper bound, over training."""
    colours = style.colours(cell.objective for cell in view.cells)
    tasks = [task.only(task.cells[:MOST_CELLS]) for task in view.tasks][:MOST_TASKS]
    left_out = len(view.cells) - len(_cells(tasks))
    end = captions.sentences(
        f"Cells that this figure has no room for: {left_out}." if left_out else "", _end(view, tasks)
    )
    drawn = []
    if spread := _distributions(tasks, load, colours):
        caption = captions.sentences(
            "Slopes of the score at real samples, at fake ones and on segments between them, and secants of pairs of "
            f"any two samples. Thin line: the middle 98 %, thick: the middle half, of all runs of {_seeds(tasks)}; "
            "circle: the median; dots: medians of single seeds. Dashed: 1.",
            end,
        )
        drawn.append(Drawing("slopes", "Where slopes lie", caption, spread))
    if bounds := _bounds(tasks, colours):
        caption = captions.sentences(
            "The largest slope that gradient ascent found (solid) and the product of the spectral norms of the weights "
            "(dotted), between which the Lipschitz constant lies, over critic steps. Thick: geometric mean over "
            f"{_seeds(tasks)}; thin: single seeds. Dashed: 1.",
            end,
        )
        drawn.append(Drawing("bounds", "Bounds of the Lipschitz constant", caption, bounds))
    return drawn


def _cells(tasks: Sequence[Task]) -> list[CellView]:
    return [cell for task in tasks for cell in task.cells]


def _seeds(tasks: Sequence[Task]) -> str:
    return captions.seeds(_cells(tasks))


def _end(view: View, tasks: Sequence[Task]) -> str:
    cells = _cells(tasks)
    told = {
        key: captions.either(f"{value:,}" for value in sorted({cell.settings[key] for cell in cells}))
        for key in ("probe.n", "probe.starts", "probe.ascent_steps", "steps")
    }
    return captions.sentences(
        f"Read at {told['probe.n']} fresh samples of each law, after {told['steps']} critic steps; ascent from the "
        f"{told['probe.starts']} steepest of them, in {told['probe.ascent_steps']} steps.",
        captions.skipped((cell.label, cell) for cell in cells),
        captions.origin(view),
    )


def _distributions(tasks: Sequence[Task], load: figures.Load, colours: Mapping[str, str]) -> Figure | None:
    found = []
    for task in tasks:
        arrays = {cell.id: [own for seed in cell.ended("ok") if (own := load(cell, seed))] for cell in task.cells}
        cells = [cell for cell in task.cells if arrays[cell.id]]
        if cells:
            found.append((task, cells, arrays))
    if not found:
        return None
    figure = style.new_figure(2.5 * len(found) + 0.1)
    grid = figure.subplots(len(found), 1, squeeze=False)
    for (axes,), (task, cells, arrays) in zip(grid, found, strict=True):
        tints = figures.tints_of(task.cells, colours)
        ticks: list[float] = []
        names: list[str] = []
        for index, cell in enumerate(cells):
            for offset, (key, name) in enumerate(PLACES.items()):
                x = index * (len(PLACES) + 1.2) + offset
                _bar(axes, x, [own[key] for own in arrays[cell.id]], tints[cell.id])
                ticks.append(x)
                names.append(name)
            label = short(cell, task.cells)
            middle = index * (len(PLACES) + 1.2) + (len(PLACES) - 1) / 2
            axes.annotate(
                label, (middle, 1), (0, 3), xycoords=("data", "axes fraction"), textcoords="offset points",
                ha="center", va="bottom", fontsize=style.SMALL, color=tints[cell.id],
            )  # fmt: skip
        axes.axhline(1, color=style.GREY, linestyle="--", linewidth=0.9, zorder=1.5)
        log_decades(axes)
        axes.set_xticks(ticks, names, rotation=90, fontsize=6)
        axes.tick_params(axis="x", length=0)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel(f"{style.plain(pair_of(task, tasks))}\nslope (per unit of the data)")
    figure.align_ylabels(grid[:, 0])
    return figure


def _bar(axes: Axes, x: float, rows: Sequence[Points], colour: str) -> None:
    low, lower, middle, upper, high = np.quantile(np.concatenate(rows), [0.01, 0.25, 0.5, 0.75, 0.99])
    axes.plot([x, x], [low, high], color=colour, linewidth=0.9, solid_capstyle="butt", zorder=2)
    axes.plot([x, x], [lower, upper], color=colour, linewidth=4, alpha=0.55, solid_capstyle="butt", zorder=3)
    medians = [float(np.median(row)) for row in rows]
    axes.plot([x + 0.32] * len(rows), medians, ".", color=colour, markersize=2.2, markeredgewidth=0, zorder=4)
    axes.plot([x], [middle], "o", color="white", markeredgecolor=colour, markersize=3, markeredgewidth=0.9, zorder=5)


def _bounds(tasks: Sequence[Task], colours: Mapping[str, str]) -> Figure | None:
    rows = [
        (task, row)
        for task in tasks
        for row in figures.even_rows([cell for cell in task.cells if not cell.curves("slope_largest").empty])
        if row
    ]
    if not rows:
        return None
    figure = style.new_figure(1.6 * len(rows) + 0.3)
    grid = figure.subplots(len(rows), max(len(row) for _, row in rows), squeeze=False, sharey=True)
    for axes, (task, row) in zip(grid, rows, strict=True):
        tints = figures.tints_of(task.cells, colours)
        for one, cell in zip(axes, row, strict=False):
            title = short(cell, task.cells, line=", ")
            one.set_title(title, loc="left", color=tints[cell.id], fontsize=style.SMALL)
            for column, dashes in (("slope_largest", "-"), ("slope_bound", ":")):
                _line(one, cell, column, dashes, tints[cell.id])
            one.axhline(1, color=style.GREY, linestyle="--", linewidth=0.9, zorder=1.5)
            style.log_steps(one, {float(step) for step in cell.observed})
            one.set_xlim(left=0)
            log_decades(one)
        axes[0].set_ylabel(f"{style.plain(pair_of(task, tasks))}\nslope")
        for one in axes[len(row) :]:
            one.set_axis_off()
    figures.label_columns(figure, grid, "critic steps")
    return figure


def _line(axes: Axes, cell: CellView, column: str, dashes: str, colour: str) -> None:
    """Single seeds thin, their geometric mean thick."""
    table = cell.curves(column)
    if table.empty:
        return
    for seed in table:
        axes.plot(table.index, table[seed], dashes, color=colour, linewidth=0.5, alpha=0.35, zorder=2)
    logs = [[math.log(value) for value in row if value > 0] for row in table.to_numpy()]
    centre = [math.exp(math.fsum(row) / len(row)) if row else math.nan for row in logs]
    axes.plot(table.index, centre, dashes, color=colour, zorder=4)
