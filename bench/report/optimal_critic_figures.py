"""Scores and slopes of critics along a line, and their surfaces over the plane."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from bench.report import figures, style
from bench.report.critics import discriminates, log_decades, pair_of, short
from bench.report.figures import Points
from bench.report.view import CellView, Task

Array = npt.NDArray[np.float64]

MOST_SURFACES = 4
"""Cells side by side."""

LEVELS = 11
"""Of contours: quantiles of the surface from the least to the largest value."""

FAINTEST = 1e-12
"""Slopes below are not drawn."""

OUTSIDE = "#F2F2F2"


def _loaded(cell: CellView, load: figures.Load) -> dict[int, Mapping[str, Points]]:
    arrays = {seed: load(cell, seed) for seed in cell.ended("ok")}
    return {seed: found for seed, found in arrays.items() if found and "line_score" in found}


def _sigmoid(scores: npt.ArrayLike) -> Array:
    """In float64, exact where it is small."""
    scores = np.asarray(scores, dtype=np.float64)
    result: Array = np.exp(-np.logaddexp(0.0, -scores))
    return result


def profiles(tasks: Sequence[Task], load: figures.Load, colours: Mapping[str, str]) -> Figure | None:
    """Along the line, a column a task: both laws, discriminators, critics, slopes; None where no run stored any."""
    found = [[(cell, arrays) for cell in task.cells if (arrays := _loaded(cell, load))] for task in tasks]
    shown = [(task, own) for task, own in zip(tasks, found, strict=True) if own]
    if not shown:
        return None
    heights = [0.7, 1.45, 1.45, 1.6]
    width = style.PAGE_WIDTH if len(shown) > 1 else 5.6
    figure = style.new_figure(sum(heights) + 0.9, width)
    grid = figure.subplots(4, len(shown), squeeze=False, sharex="col", gridspec_kw={"height_ratios": heights})
    for column, (task, cells) in zip(grid.T, shown, strict=True):
        column[0].set_title(style.plain(task.label, 70), loc="left")
        first = next(iter(cells[0][1].values()))
        _laws(column, first)
        _probabilities(column[1], cells, colours, heights[1])
        _scores(column[2], cells, colours, heights[2])
        _line_slopes(column[3], cells, colours, heights[3])
        column[3].set_xlabel("first coordinate (units of the data)")
    labels = ("samples", "D", "critic (units of the data)", "slope (per unit of the data)")
    for axes, label in zip(grid[:, 0], labels, strict=True):
        axes.set_ylabel(label)
    figure.align_ylabels(grid[:, 0])
    return figure


def _laws(column: Iterable[Axes], arrays: Mapping[str, Points]) -> None:
    """Histograms in the first panel, and in all of them the middle 98 % of either law shaded."""
    line = arrays["line"]
    spans = {law: arrays[law].reshape(len(arrays[law]), -1)[:, 0] for law in ("real", "fake")}
    for index, axes in enumerate(column):
        axes.set_xlim(line[0], line[-1])
        for law, colour in (("real", style.INK), ("fake", style.GREY)):
            axes.axvspan(*np.quantile(spans[law], [0.01, 0.99]), color=OUTSIDE, linewidth=0, zorder=0)
            if index == 0:
                bins = np.linspace(line[0], line[-1], 81)
                axes.hist(spans[law], bins=list(bins), color=colour, alpha=0.75, linewidth=0)
                axes.annotate(
                    law, (float(np.median(spans[law])), 1), (0, 1), xycoords=("data", "axes fraction"),
                    textcoords="offset points", ha="center", va="bottom", fontsize=style.SMALL, color=colour,
                )  # fmt: skip
        if index == 0:
            axes.set_yticks([])
            axes.title.set_position((0, 1.25))
            axes.set_title(axes.get_title(loc="left"), loc="left", pad=11)


Loaded = Sequence[tuple[CellView, Mapping[int, Mapping[str, Points]]]]


def _curves(axes: Axes, line: Points, rows: Sequence[Array], colour: str, *, log: bool = False) -> float:
    """Single rows thin and their mean, or that of their logarithms, thick; where the mean ends."""
    for row in rows:
        axes.plot(line, row, color=colour, linewidth=0.5, alpha=0.35, zorder=2)
    values = np.asarray(rows)
    if log:
        with np.errstate(divide="ignore"):
            centre = np.exp(np.log(values).mean(axis=0))
    else:
        centre = values.mean(axis=0)
    axes.plot(line, centre, color=colour, zorder=4)
    return float(centre[-1])


def _dashed(axes: Axes, line: Points, values: Array) -> None:
    axes.plot(line, values, color=style.GREY, linestyle="--", linewidth=1.0, zorder=5)


def _probabilities(axes: Axes, cells: Loaded, colours: Mapping[str, str], height: float) -> None:
    tints, ends = figures.tints_of([cell for cell, _ in cells], colours), []
    for cell, arrays in cells:
        if discriminates(cell):
            rows = [_sigmoid(own["line_score"]) for own in arrays.values()]
            last = _curves(axes, _first(arrays)["line"], rows, tints[cell.id])
            ends.append((last, short(cell, [c for c, _ in cells], line=" "), tints[cell.id]))
    own = _first(cells[0][1])
    if "line_log_ratio" in own:
        _dashed(axes, own["line"], _sigmoid(own["line_log_ratio"]))
        ends.append((float(_sigmoid(own["line_log_ratio"][-1])), "optimal", style.GREY))
    axes.set_ylim(-0.06, 1.06)
    style.label_ends(axes, ends, height)


def _scores(axes: Axes, cells: Loaded, colours: Mapping[str, str], height: float) -> None:
    tints, ends = figures.tints_of([cell for cell, _ in cells], colours), []
    for cell, arrays in cells:
        if not discriminates(cell):
            rows = [
                (own["line_score"] - own["line_score"][len(own["line"]) // 2]).astype(np.float64)
                / float(np.median(own["line_slope"]))
                for own in arrays.values()
            ]
            last = _curves(axes, _first(arrays)["line"], rows, tints[cell.id])
            ends.append((last, short(cell, [c for c, _ in cells], line=" "), tints[cell.id]))
    line = _first(cells[0][1])["line"]
    if ends:
        _dashed(axes, line, np.asarray(line - line[len(line) // 2], dtype=np.float64))
        ends.append((float(line[-1] - line[len(line) // 2]), "slope 1", style.GREY))
    axes.autoscale_view()
    style.label_ends(axes, ends, height)


def _line_slopes(axes: Axes, cells: Loaded, colours: Mapping[str, str], height: float) -> None:
    tints, ends = figures.tints_of([cell for cell, _ in cells], colours), []
    for cell, arrays in cells:
        rows = []
        for own in arrays.values():
            chance = _sigmoid(own["line_score"]) * _sigmoid(-own["line_score"]) if discriminates(cell) else 1.0
            rows.append(np.maximum(chance * own["line_slope"].astype(np.float64), FAINTEST / 1e3))
        last = _curves(axes, _first(arrays)["line"], rows, tints[cell.id], log=True)
        ends.append((max(last, FAINTEST), short(cell, [c for c, _ in cells], line=" "), tints[cell.id]))
    own = _first(cells[0][1])
    if "line_log_ratio" in own:
        line, ratio = own["line"].astype(np.float64), own["line_log_ratio"].astype(np.float64)
        best = _sigmoid(ratio) * _sigmoid(-ratio) * np.abs(np.gradient(ratio, line))
        _dashed(axes, line, np.maximum(best, FAINTEST / 1e3))
    axes.axhline(1, color=style.GREY, linestyle="--", linewidth=1.0, zorder=1.5)
    log_decades(axes)
    axes.set_ylim(FAINTEST, max(10.0, axes.get_ylim()[1]))
    style.label_ends(axes, ends, height)


def _first(arrays: Mapping[int, Mapping[str, Points]]) -> Mapping[str, Points]:
    return next(iter(arrays.values()))


def surfaces(tasks: Sequence[Task], load: figures.Load, colours: Mapping[str, str]) -> Figure | None:
    """Over the plane, a row a task, a panel a cell and the optimum last; None where no run stored any."""
    rows = []
    for task in tasks:
        panels = []
        for cell in task.cells[:MOST_SURFACES]:
            seed = cell.median_seed("score_gap")
            arrays = load(cell, seed) if seed is not None else None
            if arrays and "surface_score" in arrays:
                panels.append((cell, seed, arrays))
        if panels:
            rows.append((task, panels))
    if not rows:
        return None
    known = any("surface_log_ratio" in panels[0][2] for _, panels in rows)
    abreast = max(len(panels) for _, panels in rows) + known
    side = (style.PAGE_WIDTH - 0.3) / abreast
    lines = max(short(cell, task.cells).count("\n") + 1 for task, panels in rows for cell, *_ in panels)
    figure = style.new_figure((min(side, 2.4) + 0.25 + 0.1 * lines) * len(rows), gap=0.0)
    grid = figure.subplots(len(rows), abreast, squeeze=False)
    for axes, (task, panels) in zip(grid, rows, strict=True):
        tints = figures.tints_of([cell for cell, *_ in panels], colours)
        for one, (cell, seed, arrays) in zip(axes, panels, strict=False):
            _surface(one, arrays, arrays["surface_score"], tints[cell.id])
            one.set_title(short(cell, task.cells), color=tints[cell.id], fontsize=style.SMALL)
            one.set_xlabel(f"seed {seed}", fontsize=style.SMALL, color=style.GREY)
        rest = list(axes[len(panels) :])
        best = panels[0][2].get("surface_log_ratio")
        if best is not None:
            last = rest.pop(0)
            _surface(last, panels[0][2], best, style.GREY)
            last.set_title("optimal discriminator", color=style.GREY, fontsize=style.SMALL)
        for one in rest:
            one.set_axis_off()
        axes[0].set_ylabel(style.plain(pair_of(task, tasks)))
    return figure


def _surface(axes: Axes, arrays: Mapping[str, Points], values: Points, colour: str) -> None:
    x, y = arrays["surface_axes"]
    levels = np.unique(np.quantile(values, np.linspace(0, 1, LEVELS)))
    if len(levels) > 2:
        shading = LinearSegmentedColormap.from_list("shading", ["white", colour])
        bands = np.searchsorted(levels, values, side="right").clip(1, len(levels) - 1) - 0.5
        axes.pcolormesh(x, y, bands, cmap=shading, vmin=0, vmax=1.6 * len(levels), shading="nearest", rasterized=True)
        axes.contour(x, y, values, levels=levels[1:-1], colors=colour, linewidths=0.6, linestyles="solid")
    for law, ink, size in (("fake", "#9A9A9A", 1.2), ("real", "black", 1.6)):
        points = arrays[law]
        axes.plot(*points.T, ".", color=ink, markersize=size, markeredgewidth=0, rasterized=True, zorder=3)
    axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    axes.grid(visible=False)
    axes.tick_params(labelsize=6, length=2)
    axes.set_aspect("equal")
