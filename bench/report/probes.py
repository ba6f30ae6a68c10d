"""What the training probes show: gradients, updates, slopes, saturation and rotation over steps, in one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bench.report import captions, figures, style
from bench.report.captions import BOOTSTRAP
from bench.report.figures import Curve, Drawing
from bench.report.view import CellView, Task, View

MOST_TASKS = 2
MOST_CELLS = 8
"""What the figure holds: tasks side by side, and cells in each panel."""

WIDE = 30
"""From this ratio of the largest to the smallest value on, an axis has decades for ticks."""


@dataclass(frozen=True)
class _Reading:
    """A panel: a column with its title, its unit, and what its axis spans; None leaves that to the values."""

    column: str
    title: str
    unit: str
    log: bool = False
    span: tuple[float, float] | None = None


_ALL = (-0.04, 1.04)
_EITHER = (-1.08, 1.08)
_READINGS = (
    (
        _Reading("generator_gradient_norm", "generator: gradient norm", "loss / parameter", log=True),
        _Reading("critic_gradient_norm", "critic: gradient norm", "loss / parameter", log=True),
    ),
    (
        _Reading("generator_update_ratio", "generator: step / weights", "ratio of norms", log=True),
        _Reading("critic_update_ratio", "critic: step / weights", "ratio of norms", log=True),
    ),
    (
        _Reading("generator_update_cosine", "generator: cosine of step", "cosine", span=_EITHER),
        _Reading("critic_update_cosine", "critic: cosine of step", "cosine", span=_EITHER),
    ),
    (
        _Reading("slope_real", "critic: slope at real", "score / unit of data", log=True),
        _Reading("slope_fake", "critic: slope at fakes", "score / unit of data", log=True),
    ),
    (
        _Reading("saturated_real", "saturated scores, real", "share", span=_ALL),
        _Reading("saturated_fake", "saturated scores, fakes", "share", span=_ALL),
    ),
    (
        _Reading("modes_occupied", "modes occupied", "modes"),
        _Reading("modes_visited", "modes visited so far", "modes"),
    ),
)


LETTERS = 110
"""Of names and of the lines before them, that a row of the legend has room for."""


def drawing(view: View) -> Drawing | None:
    """The probes of the chosen cells over steps, two columns of panels a task; None where the records have none."""
    known = set(view.rows.columns)
    rows = [row for row in _READINGS if all(reading.column in known for reading in row)]
    if "generator_update_cosine" not in known:
        return None
    tasks = [task.only(task.chosen[:MOST_CELLS]) for task in view.tasks if task.chosen][:MOST_TASKS]
    if not tasks:
        return None
    cells = [cell for task in tasks for cell in task.cells]
    left_out = sum(len(task.chosen) for task in view.tasks) - len(cells)
    return Drawing("probes", "Training probes", _caption(view, cells, left_out), _figure(view, tasks, rows))


def _figure(view: View, tasks: Sequence[Task], rows: Sequence[tuple[_Reading, ...]]) -> Figure:
    tints = [figures.tints_of(task.cells, style.colours(cell.objective for cell in view.cells)) for task in tasks]
    names = {
        (style.plain(cell.label, 40), own[cell.id]): None
        for task, own in zip(tasks, tints, strict=True)
        for cell in task.cells
    }
    longest = max(len(name) for name, _ in names)
    abreast = max(1, min(4, len(names), LETTERS // (longest + 6)))
    figure = style.new_figure(1.3 * len(rows) + 0.3 + 0.15 * -(-len(names) // abreast))
    grid = figure.subplots(len(rows), 2 * len(tasks), squeeze=False, sharex="col")
    for index, (task, own) in enumerate(zip(tasks, tints, strict=True)):
        block = grid[:, 2 * index : 2 * index + 2]
        for axes, reading in zip(block.flat, (reading for row in rows for reading in row), strict=True):
            _draw(axes, task, reading, own)
        for axes, row in zip(block[:, 0], rows, strict=True):
            axes.set_ylabel(row[0].unit)
            if row[0].unit == "modes" and not task.total("modes_total"):
                for one in block[rows.index(row)]:
                    one.set_axis_off()
        # A title may be wider than its panel, which a note beside it may not: panels would make way for it.
        block[0, 0].set_title(f"{style.plain(task.title)}\n{rows[0][0].title}", loc="left", fontsize=style.SMALL)
    figures.label_columns(figure, grid, "steps")
    lines = [Line2D([], [], color=colour) for _, colour in names]
    figure.legend(lines, [name for name, _ in names], loc="outside upper left", ncols=abreast)
    return figure


def _draw(axes: Axes, task: Task, reading: _Reading, tints: Mapping[str, str]) -> None:
    axes.set_title(reading.title, loc="left", fontsize=style.SMALL)
    for cell in task.cells:
        figures.draw_curve(axes, cell, Curve(reading.column, reading.title), tints[cell.id])
    style.log_steps(axes, {float(step) for cell in task.cells for step in cell.observed})
    axes.margins(y=0.08)
    total = task.total("modes_total")
    if reading.unit == "cosine":
        axes.axhline(0, color=style.GREY, linestyle="--", linewidth=0.9, zorder=1.5)
    if reading.unit == "modes" and total:
        axes.axhline(total, color=style.GREY, linestyle="--", linewidth=0.9, zorder=1.5)
        axes.set_ylim(-0.04 * total, 1.06 * total)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    elif reading.span is not None:
        axes.set_ylim(*reading.span)
    elif reading.log:
        _log_values(axes, _values(task, reading.column))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())  # in panels so small they say nothing, and take their time


def _values(task: Task, column: str) -> npt.NDArray[np.float64]:
    tables = [cell.curves(column).to_numpy().ravel() for cell in task.cells]
    values = np.concatenate(tables) if tables else np.empty(0)
    return values[np.isfinite(values) & (values > 0)]


def _log_values(axes: Axes, values: npt.NDArray[np.float64]) -> None:
    """A logarithmic axis, with ticks at decades alone where there are many."""
    if not len(values):
        return
    style.log_values(axes)
    if values.max() / values.min() > WIDE:
        axes.yaxis.set_major_locator(LogLocator(numticks=5))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(style.short))
    # The band's lower end may be below zero; the values say what there is to see.
    axes.set_ylim(values.min() / 1.5, values.max() * 1.5)


def _caption(view: View, cells: Sequence[CellView], left_out: int) -> str:
    return captions.sentences(
        f"Training probes over steps, of which each is {captions.STEP}. Gradient norms: Euclidean, over all parameters "
        "of a player, means over its updates since the last observation; they compare within an objective, since "
        "losses have units of their own. Step: what one more update would change, on samples held out, before any "
        "clipping; its cosine is with the direction of steepest descent, and below the dashed line it leads uphill. "
        "Slopes: medians over at most 512 samples. Saturated: scores where the sigmoid has a slope below 0.001, which "
        "matters where a loss reads scores as logits. Modes: occupied are those with at least a fifth of their due "
        "mass, whatever the quality; visited, those occupied at this observation or before; dashed, all there are. A "
        "generator rotates where visited grows past occupied.",
        f"Thick: mean over {captions.seeds(cells)}; band: its {BOOTSTRAP}, expanded for small n; thin: single seeds, "
        "with a cross where a run diverged.",
        f"Cells that this figure has no room for: {left_out}." if left_out else "",
        captions.budget(cells),
        captions.origin(view),
    )
