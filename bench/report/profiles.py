"""Performance profiles: how many runs come how near to the floor, over all data sets of an arm at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from bench.metrics import FLOOR
from bench.report import captions, style
from bench.report.figures import MOST_LINES, MOST_PANELS, Drawing, even_rows, tints_of
from bench.report.view import CellView, Task
from bench.statistics import Array, Scores, profile, stratified

MOST_LEVELS = 64
"""Thresholds at which a band is found."""


@dataclass(frozen=True, eq=False)
class Line:
    """What is compared over tasks: the cells of one label, one a task, and how far each run is from its floor.

    ``factors``: by task, the column over the floor's mean of every run that ended well, and infinity for one that
    diverged.
    """

    cells: tuple[CellView, ...]
    factors: Mapping[str, Array]

    @property
    def reached(self) -> Array:
        """The finite factors, ascending."""
        values = np.concatenate(list(self.factors.values()))
        return np.sort(values[np.isfinite(values)])


@dataclass(frozen=True, eq=False)
class Arm:
    """The tasks that one panel is over, and its lines."""

    name: str
    tasks: tuple[Task, ...]
    lines: tuple[Line, ...]


def arms(tasks: Sequence[Task], column: str) -> list[Arm]:
    """The tasks by their arm, with the cells that each of them has; none where there is but one task.

    A task counts where its floor is known and above zero. Cells of a search are left out.
    """
    known = [task.only(task.chosen) for task in tasks if task.chosen and _floor(task, column) > 0]
    found = []
    for name in dict.fromkeys(task.arm for task in known) if len(known) > 1 else ():
        own = tuple(task for task in known if task.arm == name)
        by_label = [{cell.label: cell for cell in task.cells} for task in own]
        common = [label for label in by_label[0] if all(label in cells for cells in by_label)]
        lines = [_line(own, [cells[label] for cells in by_label], column) for label in common[:MOST_LINES]]
        lines = [line for line in lines if len(line.factors) == len(own)]
        if any(len(line.reached) for line in lines):
            found.append(Arm(name, own, tuple(lines)))
    return found


def _line(tasks: Sequence[Task], cells: Sequence[CellView], column: str) -> Line:
    factors = {}
    for task, cell in zip(tasks, cells, strict=True):
        values = [value / _floor(task, column) for value in cell.final(column).values()]
        values += [math.inf] * len(cell.ended("diverged"))
        if values:
            factors[task.label] = np.array(values)
    return Line(tuple(cells), factors)


def _floor(task: Task, column: str) -> float:
    values = list(task.floor(f"{column}{FLOOR}").values())
    return math.fsum(values) / len(values) if values else 0.0


def band(line: Line, levels: Array) -> tuple[Array, Array]:
    """The 95 % interval of the share of runs at or below each level, by the bootstrap stratified over tasks."""
    bounds = []
    ended = sum(int(np.isinf(values).sum()) for values in line.factors.values())
    for level in levels:
        within = Scores.of({task: values <= level for task, values in line.factors.items()}, worst=None)
        estimate = stratified(replace(within, diverged=ended))
        bounds.append((estimate.low, estimate.high))
    low, high = np.array(bounds).T
    return low, high


def drawing(tasks: Sequence[Task], colours: Mapping[str, str], column: str, label: str, told: str) -> Drawing | None:
    """A panel for each arm: the share of runs at or below x times the floor, with its band; ``told`` ends the caption.

    None where there are no arms to show.
    """
    found = arms(tasks, column)
    if not found:
        return None
    rows = list(even_rows(found[:MOST_PANELS]))
    abreast = len(rows[0])
    height = style.panel_height(max(len(arm.lines) for arm in found), 1.7)
    figure = style.new_figure(
        (height + 0.55) * len(rows) + 0.25, style.PAGE_WIDTH if abreast > 1 else style.COLUMN_WIDTH
    )
    grid = figure.subplots(len(rows), abreast, squeeze=False, sharey=True)
    furthest = max((float(line.reached[-1]) for arm in found for line in arm.lines if len(line.reached)), default=1.0)
    nearest = min((float(line.reached[0]) for arm in found for line in arm.lines if len(line.reached)), default=1.0)
    for axes, row in zip(grid, rows, strict=True):
        for one, arm in zip(axes, row, strict=False):
            _draw(one, arm, colours, (min(nearest, 1.0) / 1.1, max(furthest, 2.0) * 1.1), height)
            one.set_xlabel(f"{label}, times the floor")
        axes[0].set_ylabel("runs that are as near")
        for one in axes[len(row) :]:
            one.set_axis_off()
    return Drawing("profiles", "Performance profiles", _caption(found, label, told), figure)


def _caption(found: Sequence[Arm], label: str, told: str) -> str:
    cells = [cell for arm in found for task in arm.tasks for cell in task.cells]
    shown = sum(len(line.cells) for arm in found[:MOST_PANELS] for line in arm.lines)
    return captions.sentences(
        "Performance profiles (Agarwal et al. 2021, arXiv:2108.13264): the share of runs, over all data sets of an "
        f"arm, whose last {label} is at most x times the floor of their data set, the mean for fresh real samples in "
        "place of generated ones. Further left is better. Diverged runs never come as near; runs that failed, were "
        "skipped or are missing are left out.",
        f"Of {captions.seeds(cells)} a cell. Bands: 95 % percentile bootstrap interval, stratified over data sets, "
        "expanded for small n.",
        f"Cells without one of the same settings on each data set of their arm, left out: {len(cells) - shown}."
        if len(cells) > shown
        else "",
        told,
    )


def _draw(axes: Axes, arm: Arm, colours: Mapping[str, str], span: tuple[float, float], height: float) -> None:
    data = ", ".join(dict.fromkeys(task.dataset for task in arm.tasks))
    axes.set_title(style.plain(f"{data}, arm: {arm.name}" if arm.name else data), loc="left")
    tints = tints_of([line.cells[0] for line in arm.lines], colours)
    ends = []
    for line in arm.lines:
        colour = tints[line.cells[0].id]
        reached = line.reached
        steps = np.unique(np.concatenate([[span[0]], reached, [span[1]]]))
        values = np.concatenate(list(line.factors.values()))
        shares = profile(values, steps, "down")
        axes.plot(steps, shares, drawstyle="steps-post", color=colour, zorder=4)
        levels = steps if len(steps) <= MOST_LEVELS else np.quantile(steps, np.linspace(0, 1, MOST_LEVELS))
        low, high = band(line, levels)
        axes.fill_between(levels, low, high, step="post", color=colour, alpha=0.15, linewidth=0, zorder=2.5)
        early = float(np.log(span[1] / np.minimum(values, span[1])).mean())
        ends.append((float(shares[-1]), early, style.plain(line.cells[0].label, 30), colour))
    axes.axvline(1, color=style.GREY, linestyle="--", linewidth=0.9, zorder=1.5)
    axes.set(xscale="log", xlim=span, ylim=(-0.02, 1.02))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(style.short))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    # Of lines that end at one height the one that rises first has the highest label.
    gap, lowest = style.label_gap(height) * 1.04, math.inf
    labels = []
    for share, _, text, colour in sorted(ends, reverse=True):
        lowest = min(share, lowest - gap)
        labels.append((lowest, text, colour))
    style.label_ends(axes, labels, height)
