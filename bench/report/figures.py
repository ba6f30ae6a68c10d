"""Figures of curves and of samples, for any tasks and columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.metrics import FLOOR
from bench.report import style
from bench.report.view import CellView, Task
from bench.statistics import interval

Points = npt.NDArray[np.floating]
Load = Callable[[CellView, int], Mapping[str, Points] | None]
"""The stored arrays of a cell's run: ``real`` and ``fake`` [N, 2], and ``means`` [K, 2] where the modes are known."""

Item = TypeVar("Item")

TASKS_ABREAST = 3
SAMPLES_ABREAST = 5
MOST_PANELS = 24
MOST_LINES = 8
MOST_SAMPLES = 60
MOST_POINTS = 4096
"""What a figure holds: panels side by side; panels of curves, an objective's cells in each; samples, points of each."""


@dataclass(frozen=True)
class Drawing:
    """A figure with its file's stem, its title and its caption."""

    name: str
    title: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Curve:
    """What is drawn over steps."""

    column: str
    label: str
    dashes: str = "-"
    log: bool = False
    """Whether the values are compared by ratio, as those that have a floor above zero."""


@dataclass(frozen=True)
class _Panel:
    """A task with the cells and the curves that are drawn of it."""

    task: Task
    cells: tuple[CellView, ...]
    curves: tuple[Curve, ...]
    alone: bool
    """Whether the cells are all of one objective, which the title then names."""


def curves(
    tasks: Sequence[Task], shown: Sequence[Sequence[Curve]], colours: Mapping[str, str], *, apart: bool = False
) -> tuple[Figure, int]:
    """Curves over steps, those of one inner sequence in one panel; a column a task.

    A line is a cell: the mean over seeds with its interval, single seeds thin. Each objective has a panel of its own
    where it is told to stand ``apart``, or where one has several cells, which are then shades of its colour.

    Returns:
        The figure, and how many cells it has no room for.
    """
    groups = [_by_objective(task) for task in tasks]
    objectives = list(dict.fromkeys(name for group in groups for name in group))
    crowded = any(len(cells) > 1 for group in groups for cells in group.values())
    sets = [[name] for name in objectives] if apart or crowded else [objectives]
    drawn: set[str] = set()
    rows: list[list[_Panel]] = []
    for together in shown:
        for chosen in sets:
            panels = [
                _Panel(task, cells, tuple(together), apart or crowded)
                for task, group in zip(tasks, groups, strict=True)
                if (cells := tuple(cell for name in chosen for cell in group.get(name, ())[:MOST_LINES]))
            ]
            rows += [list(row) for row in even_rows(panels)]
    abreast = max(len(row) for row in rows)
    rows = rows[: max(1, MOST_PANELS // abreast)]
    lines = max(len(panel.cells) * len(panel.curves) for row in rows for panel in row)
    height = style.panel_height(lines + 1, 0.75 if apart and not crowded else 1.35)
    figure = style.new_figure(
        (height + 0.55) * len(rows) + 0.25, style.PAGE_WIDTH if abreast > 1 else style.COLUMN_WIDTH
    )
    grid = figure.subplots(len(rows), abreast, squeeze=False, sharex="col")
    for axes, row in zip(grid, rows, strict=True):
        for one, panel in zip(axes, row, strict=False):
            _draw(one, panel, colours, height)
            drawn.update(cell.id for cell in panel.cells)
        axes[0].set_ylabel(style.plain(row[0].curves[0].label if len(row[0].curves) == 1 else "loss"))
        for one in axes[len(row) :]:
            one.set_axis_off()
    label_columns(figure, grid, "steps")
    return figure, sum(cell.id not in drawn for task in tasks for cell in task.cells)


def _draw(axes: Axes, panel: _Panel, colours: Mapping[str, str], height: float) -> None:
    tints = tints_of(panel.cells, colours)
    title = f"{panel.cells[0].objective}, {panel.task.label}" if panel.alone else panel.task.label
    axes.set_title(
        style.plain(title), loc="left", color=colours[panel.cells[0].objective] if panel.alone else style.INK
    )
    ends: list[tuple[float, str, str]] = []
    for cell in panel.cells:
        for curve in panel.curves:
            parts = [curve.label] if len(panel.curves) > 1 else []
            parts += (
                [cell.variant] if panel.alone and cell.variant else [] if panel.alone and parts else [cell.objective]
            )
            last = draw_curve(axes, cell, curve, tints[cell.id])
            parts += [] if math.isfinite(last) else ["(no value)"]
            ends.append((last, style.plain(" ".join(parts), 30), tints[cell.id]))
    for curve in panel.curves:
        floor = list(panel.task.floor(f"{curve.column}{FLOOR}").values())
        if floor:
            level = math.fsum(floor) / len(floor)
            axes.axhline(level, color=style.GREY, linestyle="--", linewidth=0.9, zorder=1.5)
            ends.append((level, "real samples", style.GREY))
    style.log_steps(axes, {float(step) for cell in panel.cells for step in cell.observed})
    if any(curve.log for curve in panel.curves):
        style.log_values(axes)
    axes.margins(y=0.08)
    axes.autoscale_view()
    style.label_ends(axes, ends, height)


def draw_curve(axes: Axes, cell: CellView, curve: Curve, colour: str) -> float:
    """Draw a cell: mean, interval, single seeds; give the mean where its line ends, NaN where there is none."""
    table = cell.curves(curve.column)
    points = np.stack(np.broadcast_arrays(table.index.to_numpy()[:, None], table), -1)  # [steps, seeds, 2]
    known = table.notna().to_numpy(dtype=bool)  # of a cell without records it would hold objects
    runs = {seed: points[known[:, place], place] for place, seed in enumerate(table)}
    cap = "round" if curve.dashes == "-" else "butt"
    lines = LineCollection(
        [*runs.values()], colors=colour, linewidths=0.5, alpha=0.35, linestyles=curve.dashes, capstyle=cap, zorder=2
    )
    axes.add_collection(lines, autolim=False)
    axes.update_datalim(points[known])
    if ends := [runs[seed][-1] for seed in cell.ended("diverged") if len(runs.get(seed, ()))]:
        axes.plot(*np.transpose(ends), "x", color=colour, markersize=4, markeredgewidth=1, zorder=3)
    return draw_mean(axes, table, colour, curve.dashes)


def draw_mean(axes: Axes, table: pd.DataFrame, colour: str, dashes: str = "-") -> float:
    """Draw the mean over a table's columns, a seed each, with its interval; give where it ends, or NaN."""
    if table.empty:
        return math.nan
    estimates = [interval(row) for row in table.to_numpy()]
    low, high, centre = (np.array([getattr(e, part) for e in estimates]) for part in ("low", "high", "value"))
    axes.fill_between(table.index, low, high, color=colour, alpha=0.18, linewidth=0, zorder=2.5)
    axes.plot(table.index, centre, color=colour, linestyle=dashes, zorder=4)
    return float(centre[-1])


def tints_of(cells: Sequence[CellView], colours: Mapping[str, str]) -> dict[str, str]:
    """A colour for each cell, by its id: its objective's, in shades where that has several."""
    found: dict[str, str] = {}
    for objective in dict.fromkeys(cell.objective for cell in cells):
        own = [cell.id for cell in cells if cell.objective == objective]
        found |= dict(zip(own, style.shades(colours[objective], len(own)), strict=True))
    return found


@dataclass(frozen=True)
class Portrait:
    """A panel of samples."""

    cell: CellView | None
    title: str
    points: Points | None
    note: str = ""
    means: Points | None = None
    real: Points | None = None
    """What the frame is set by."""


def faces(tasks: Sequence[Task], load: Load, column: str) -> dict[Task, list[Portrait]]:
    """Of the tasks with samples in the plane: real ones, then those of each cell's median seed by the column."""
    return {task: found for task in tasks if (found := _portraits(task, load, column))}


def samples(faces: Mapping[Task, Sequence[Portrait]], colours: Mapping[str, str]) -> tuple[Figure, int] | None:
    """A row or more a task.

    Returns:
        The figure, and how many cells it has no room for; None where there are no faces.
    """
    rows = [(task, list(row)) for task, found in faces.items() for row in _chunks(found, SAMPLES_ABREAST)]
    if not rows:
        return None
    rows = rows[: max(1, MOST_SAMPLES // SAMPLES_ABREAST)]
    abreast = max(len(row) for _, row in rows)
    lines = max(portrait.title.count("\n") for _, row in rows for portrait in row)
    figure = style.new_figure((style.PAGE_WIDTH / abreast + 0.28 + 0.12 * lines) * len(rows), gap=0.06)
    grid = figure.subplots(len(rows), abreast, squeeze=False)
    for axes, (task, row) in zip(grid, rows, strict=True):
        axes[0].set_ylabel(style.plain(task.label))
        for one, portrait in zip(axes, row, strict=False):
            portray(one, portrait, colours)
        for one in axes[len(row) :]:
            one.set_axis_off()
    drawn = {portrait.cell.id for _, row in rows for portrait in row if portrait.cell is not None}
    return figure, sum(cell.id not in drawn for task in faces for cell in task.cells)


def _portraits(task: Task, load: Load, column: str) -> list[Portrait]:
    """The real samples first; empty where the task has no samples in the plane."""
    faces = []
    common: dict[str, Points] = {}
    for cell in task.cells:
        seed = cell.median_seed(column)
        arrays = load(cell, seed) if seed is not None else None
        planar = {name: array for name, array in (arrays or {}).items() if array.ndim == 2 and array.shape[1] == 2}
        fake = planar.get("fake")
        for name in ("real", "means"):
            if name in planar:
                common.setdefault(name, planar[name])
        note = str(cell.outcomes).replace(", ", "\n") if seed is None else f"seed {seed}"
        note += ": no samples" if seed is not None and fake is None else ""
        title = [style.plain(cell.objective, 26), style.plain(cell.variant, 26), _coverage(cell, seed)]
        faces.append(Portrait(cell, "\n".join(filter(None, title)), fake, note))
    if "real" not in common:
        return []
    first = Portrait(None, "real samples", common["real"])
    return [replace(portrait, means=common.get("means"), real=common["real"]) for portrait in (first, *faces)]


def _coverage(cell: CellView, seed: int | None) -> str:
    if seed is None or not {"modes_covered", "modes_total"} <= set(cell.last.columns):
        return ""
    row = cell.last.loc[seed]
    mass = f" ({row['modes_covered_by_mass']:g} by mass)" if "modes_covered_by_mass" in row else ""
    return f"{row['modes_covered']:g}/{row['modes_total']:g} modes{mass}"


def portray(axes: Axes, portrait: Portrait, colours: Mapping[str, str]) -> None:
    """Points, the centres of modes, and a note on how much lies outside the frame, which the real samples set."""
    assert portrait.real is not None
    colour, ink = style.GREY, style.INK
    if portrait.cell is not None:
        colour = ink = colours[portrait.cell.objective]
    axes.set_title(portrait.title, color=ink, fontsize=style.SMALL)
    axes.set(xticks=[], yticks=[])
    axes.set_box_aspect(1)
    for spine in axes.spines.values():
        spine.set(visible=True, color="#C8C8C8")
    low, high = np.nanmin(portrait.real, axis=0), np.nanmax(portrait.real, axis=0)
    half = 0.62 * max(float((high - low).max()), 1e-6)
    left, bottom = (low + high) / 2 - half
    axes.set(xlim=(left, left + 2 * half), ylim=(bottom, bottom + 2 * half))
    note = portrait.note
    if portrait.points is not None:
        points = portrait.points[:MOST_POINTS]
        inside = (np.abs(points - (low + high) / 2) < half).all(axis=1)
        outside = 1 - float(inside.mean())
        note += f", {outside:.0%} outside" if outside >= 0.005 else ""
        _scatter(axes, points[inside], colour)
    if portrait.means is not None:
        size = min(7, 60 / len(portrait.means) ** 0.5)
        axes.plot(*portrait.means.T, "o", mfc="none", mec=style.INK, markersize=size, markeredgewidth=0.4, zorder=1.5)
    axes.set_xlabel(note, fontsize=style.SMALL, color=style.GREY)


def _scatter(axes: Axes, points: Points, colour: str) -> None:
    """Points on the figure above the axes, clipped to them.

    Neighbours on one figure become one image of the PDF, where points on axes of their own would be an image, and a
    buffer as large as the page, for each axes.
    """
    x, y = points.T
    dots = Line2D(
        x, y, linestyle="none", marker=".", color=colour, markersize=1.6, alpha=0.35, markeredgewidth=0, rasterized=True
    )
    dots.set_transform(axes.transData)
    dots.set_clip_path(axes.patch)
    figure = axes.get_figure()
    assert figure is not None
    figure.add_artist(dots)


def _by_objective(task: Task) -> dict[str, list[CellView]]:
    groups: dict[str, list[CellView]] = {}
    for cell in task.cells:
        groups.setdefault(cell.objective, []).append(cell)
    return groups


def even_rows(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The items in as few rows as the width allows, and as even ones."""
    rows = max(1, -(-len(items) // TASKS_ABREAST))
    return _chunks(items, max(1, -(-len(items) // rows)))


def label_columns(figure: Figure, grid: npt.NDArray[np.object_], label: str) -> None:
    """Ticks with numbers, and the label, under the lowest panel of each column, whatever stands below it."""
    for column in grid.T:
        lowest = [axes for axes in column if axes.axison][-1]
        lowest.tick_params(labelbottom=True)
        lowest.set_xlabel(label)
    figure.align_ylabels(grid[:, 0])


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
