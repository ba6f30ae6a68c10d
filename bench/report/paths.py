"""What the experiment ``paths`` shows: distances along paths of laws, and how they fall towards the middle of a path.

A law in the middle of a path is compared with its neighbours. A distance that suits training falls with the change of
the generator; one that keeps its largest value until the change is nothing has no slope to follow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from bench.distances import LOG_2
from bench.metrics import FLOOR
from bench.report import captions, figures, style
from bench.report.captions import BOOTSTRAP
from bench.report.figures import Drawing
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, View
from bench.statistics import interval

HALVINGS = 6
"""Where a distance is read again that has been read at the ends: this often half as far from the middle."""

CLEAR = 2.0
"""How many times its floor a distance is at least, where its slope is told."""

MOST_ROWS = 6
"""Cells that a figure has room for."""

PLACES = (-1, -0.5, -0.1, -(2**-6), 0, 2**-6, 0.1, 0.5, 1)
"""Where the distances between lines are printed."""

INFINITE = "infinite"

AXES = {"lines": ("theta", "|theta|"), "generator": ("t", "|2t - 1|")}
"""By kind of path: what its places are called, and how far they are from the middle, from 0 to 1."""

SOLVED = {"wasserstein_paired": "W, same inputs", "wasserstein": "W, fresh samples", "coupling": "bound on W"}
BINNED = {
    "jensen_shannon": "JS",
    "total_variation": "TV",
    "kullback_leibler": "KL(P, Q)",
    "kullback_leibler_reverse": "KL(Q, P)",
}
"""Distances and what they are called; of the second kind there is a column for each histogram."""

HUES = ("wasserstein", "jensen_shannon")
"""Names that give the two kinds their colours."""


def tables(view: View) -> list[Table]:
    """Closed forms beside measurements on lines; how distances fall, on every path."""
    cells = _done(view)
    lines = [cell for cell in cells if _kind(cell) == "lines"]
    return [*([_lines(view, lines)] if lines else []), *([_moduli(view, cells)] if cells else [])]


def drawings(view: View, load: figures.Load) -> list[Drawing]:
    """The laws and their distances along the path; the same over the distance from its middle."""
    cells = _done(view)
    if not cells:
        return []
    drawn, names = cells[:MOST_ROWS], _names(view)
    rest = f"Cells that this figure has no room for: {len(cells) - len(drawn)}." if len(cells) > len(drawn) else ""
    told = captions.sentences(_lines_mean(drawn), _explained(drawn), rest, captions.origin(view))
    return [
        Drawing("paths", "Distances along paths", f"{ALONG} {told}", _along(drawn, names, load)),
        Drawing("moduli", "Distances near the middle", f"{NEARBY} {told}", _nearby(drawn, names)),
    ]


def _done(view: View) -> list[CellView]:
    return [cell for cell in view.cells if cell.ended("ok")]


def _kind(cell: CellView) -> str:
    return str(cell.settings["probe.path"])


def _names(view: View) -> dict[str, str]:
    """What each cell is called: its task, and how it differs from the task's other cells."""
    return {
        cell.id: ", ".join(filter(None, (task.label.replace("_", " "), cell.variant)))
        for task in view.tasks
        for cell in task.cells
    }


def _resolutions(cell: CellView) -> list[int]:
    """Bins to a unit of length, the coarsest first."""
    found = (re.fullmatch(r"jensen_shannon\[(\d+)\]", str(column)) for column in cell.rows)
    return sorted(int(match[1]) for match in found if match and cell.rows[match[0]].notna().any())


def _over(cell: CellView, column: str, by: str) -> pd.DataFrame:
    """A column by seed over ``position``, or over the distance from the middle, ``offset``: the mean of both sides."""
    rows = cell.rows[cell.rows["status"] == "ok"]
    places = rows["offset"].abs() if by == "offset" else rows[by]
    table: pd.DataFrame = rows[column].groupby([places, rows["seed"]]).mean().unstack()
    return table


def _floor(cell: CellView, column: str) -> pd.Series[float]:
    """By seed; 0 of what has none."""
    column = f"{column}{FLOOR}"
    return cell.last[column].astype(float) if column in cell.last else pd.Series(0.0, index=cell.last.index)


def _entry(values: figures.Points) -> Entry:
    """The estimate over seeds; in words where runs have no finite value."""
    infinite = int(np.isinf(values).sum())
    return f"{INFINITE} ({infinite}/{len(values)})" if infinite else interval(values)


def _explained(cells: Sequence[CellView]) -> str:
    n, m = (
        captions.either(f"{count:,}" for count in sorted({int(cell.settings[f"probe.{key}"]) for cell in cells}))
        for key in ("n", "histogram_n")
    )
    return (
        f"Q: a law on the path; P: the one in its middle. W: exact earth mover's distance of {n} samples of each, with "
        "the same inputs or with fresh ones; the bound is the mean distance of samples with the same input (Arjovsky "
        f"et al. 2017, proof of Theorem 1). JS, TV, KL: of histograms of {m} samples of each, in square bins, whose "
        "edges are at random places; JS and KL in nats. Floor: fresh samples of P in place of Q."
    )


# Tables


def _lines(view: View, cells: Sequence[CellView]) -> Table:
    names = _names(view)
    headings = [
        Heading("theta", "theta"),
        Heading("wasserstein_closed", "W in theory", scale="wasserstein"),
        *(Heading(name, SOLVED[name], scale="wasserstein") for name in ("wasserstein_paired", "wasserstein")),
    ]
    for name, label in BINNED.items():
        headings += [Heading(f"{name}_closed", f"{label} in theory", scale=name), Heading(name, label, scale=name)]
    caption = captions.sentences(
        "Between two parallel lines, (0, Z) and (theta, Z) with Z uniform on [0, 1]: in theory (Arjovsky et al. 2017, "
        f"Example 1) and measured, mean over {captions.seeds(cells)} with its {BOOTSTRAP}. Bins: the finest ones.",
        f"At 0 stand the floors. {INFINITE.capitalize()}: in so many of the runs. Largest error: in any run, anywhere.",
        _explained(cells),
        captions.origin(view),
    )
    parts = tuple(_lines_part(cell, names[cell.id], [heading.key for heading in headings[1:]]) for cell in cells)
    return Table("parallel_lines", caption, tuple(headings), parts, title="Parallel lines")


def _lines_part(cell: CellView, name: str, keys: Sequence[str]) -> Part:
    finest = _resolutions(cell)[-1]
    measured = {key: _over(cell, f"{key}[{finest}]" if key in BINNED else key, "position") for key in keys}
    rows = []
    for place in PLACES:
        if place in measured["wasserstein"].index:
            here = {key: table.loc[place].to_numpy() for key, table in measured.items()}
            entries = (_theory(values) if _is_theory(key) else _entry(values) for key, values in here.items())
            rows.append(Row((f"{place:.4g}", *entries)))
    errors = [
        None if _is_theory(key) else _largest_error(table, measured[f"{key.removesuffix('_paired')}_closed"])
        for key, table in measured.items()
    ]
    return Part(name, (*rows, Row(("largest error", *errors), aside=True)))


def _is_theory(key: str) -> bool:
    return key.endswith("_closed")


def _theory(values: figures.Points) -> Entry:
    value = float(values[0])
    return value if math.isfinite(value) else INFINITE


def _largest_error(table: pd.DataFrame, theory: pd.DataFrame) -> float:
    """Equal infinities differ by nothing."""
    with np.errstate(invalid="ignore"):
        return float(np.where(table == theory, 0.0, np.abs(table - theory)).max())


def _moduli(view: View, cells: Sequence[CellView]) -> Table:
    names = _names(view)
    headings = (
        Heading("distance", "Distance"),
        Heading("end", "At the ends"),
        Heading("left", f"Share left at 1/{2**HALVINGS}"),
        Heading("slope", "Slope"),
        Heading("step", "Largest step"),
        Heading("floor", "Floor"),
    )
    caption = captions.sentences(
        "How the distances between a law and the one in the middle of its path fall towards the middle: mean over "
        f"{captions.seeds(cells)} with its {BOOTSTRAP}, of the means of both sides. Share left: of the distance at the "
        f"ends, at 1/{2**HALVINGS} of the way from the middle. Slope: of its logarithm over that of the way, by least "
        "squares over the halvings in between; 1: in proportion; 0: not at all; told where all values are at least "
        f"{CLEAR:g} times their floor. Largest step: largest change between neighbours of the evenly spaced places, as "
        f"a share of the range. {INFINITE.capitalize()}: in so many of the runs. JS, 4: in bins with an edge of 1/4.",
        _explained(cells),
        captions.origin(view),
    )
    parts = tuple(Part(names[cell.id], tuple(_moduli_rows(cell))) for cell in cells)
    return Table("moduli", caption, headings, parts, title="How distances fall")


def _moduli_rows(cell: CellView) -> list[Row]:
    """JS in all bins; the others, which go the same way, in the coarsest and the finest."""
    bins = _resolutions(cell)
    columns = dict(SOLVED)
    for name, label in BINNED.items():
        chosen = bins if name == "jensen_shannon" else sorted({bins[0], bins[-1]})
        columns |= {f"{name}[{count}]": f"{label}, {count}" for count in chosen}
    return [_moduli_row(cell, column, label) for column, label in columns.items()]


def _moduli_row(cell: CellView, column: str, label: str) -> Row:
    table, floor = _over(cell, column, "offset"), _floor(cell, column)
    halved = [table.index.max() / 2**k for k in range(HALVINGS + 1)]
    known = table.reindex(halved)
    finite = bool(np.isfinite(known).all(axis=None))
    return Row(
        (
            label,
            _entry(known.iloc[0].to_numpy()),
            interval((known.iloc[-1] / known.iloc[0]).to_numpy()) if finite else None,
            interval(_slopes(known)) if finite and bool((known > CLEAR * floor).all(axis=None)) else None,
            interval(_largest_steps(cell, column)) if finite else None,
            _entry(floor.to_numpy()) if floor.any() else None,
        )
    )


def _slopes(table: pd.DataFrame) -> list[float]:
    """Of log values over log offsets, by seed, without the last digits, which are rounding."""
    x = np.log(table.index.to_numpy(dtype=float))
    return [round(float(np.polyfit(x, np.log(table[seed].to_numpy()), 1)[0]), 9) + 0.0 for seed in table]


def _largest_steps(cell: CellView, column: str) -> list[float]:
    """Largest change between neighbours of the evenly spaced places as a share of the range, by seed."""
    even = _over(cell, column, "position")[(_over(cell, "evenly_spaced", "position") == 1).all(axis=1)]
    return list(even.diff().abs().max() / (even.max() - even.min()))


# Figures

ALONG = (
    "Left: samples of the laws at the two ends of the first seed's path (light and dark) and in its middle (black). "
    "Centre: Wasserstein distance between each law and the one in the middle, fresh samples. Right: Jensen-Shannon "
    "divergence of the same two, in bins of several sizes. Dashed: between lines the closed forms; log 2, the largest "
    "Jensen-Shannon divergence that there is."
)
NEARBY = (
    "Distances between a law and the one in the middle over how far from the middle it is, means of both sides. "
    "Dashed: slope 1 through the bound at the ends; log 2 and 1, the largest values that there are."
)


def _lines_mean(cells: Sequence[CellView]) -> str:
    return (
        f"Thick: mean over {captions.seeds(cells)}; band: its {BOOTSTRAP}, expanded for small n; thin: single seeds; "
        "dotted: floors."
    )


def _along(cells: Sequence[CellView], names: Mapping[str, str], load: figures.Load) -> Figure:
    figure = style.new_figure(1.95 * len(cells) + 0.1)
    for row, cell in zip(figure.subplots(len(cells), 3, squeeze=False), cells, strict=True):
        row[0].set_title(style.plain(names[cell.id]), loc="left")
        _portray(row[0], cell, load)
        _curves(row[1], cell, ["wasserstein"], "position", HUES[0])
        if "wasserstein_closed" in cell.rows:
            closed = _over(cell, "wasserstein_closed", "position").mean(axis=1)
            _dash(row[1], closed.index.to_numpy(), closed.to_numpy())
        _in_bins(row[2], cell, "jensen_shannon", "position", LOG_2)
        _legend_of_bins(row[2], cell)
        labels = ("Wasserstein distance", "JS divergence (nats)")
        for axes, label in zip(row[1:], labels, strict=True):
            axes.set(xlabel=AXES[_kind(cell)][0], ylabel=label)
            axes.set_ylim(bottom=0)
    return figure


def _nearby(cells: Sequence[CellView], names: Mapping[str, str]) -> Figure:
    figure = style.new_figure(2.1 * len(cells) + 0.1)
    for row, cell in zip(figure.subplots(len(cells), 3, squeeze=False), cells, strict=True):
        row[0].set_title(style.plain(names[cell.id]), loc="left")
        _curves(row[0], cell, list(SOLVED), "offset", HUES[0])
        bound = _over(cell, "coupling", "offset").mean(axis=1)
        _dash(row[0], bound.index[1:].to_numpy(), (bound.index[1:] * bound.iloc[-1] / bound.index[-1]).to_numpy())
        _legend(row[0], list(SOLVED.values()), loc="upper left")
        _in_bins(row[1], cell, "jensen_shannon", "offset", LOG_2)
        _in_bins(row[2], cell, "total_variation", "offset", 1.0)
        _legend_of_bins(row[2], cell)
        labels = ("Wasserstein distance", "JS divergence (nats)", "total variation")
        for axes, label in zip(row, labels, strict=True):
            axes.set(xscale="log", yscale="log", xlabel=AXES[_kind(cell)][1], ylabel=label)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(FuncFormatter(style.short))
                axis.set_minor_formatter(NullFormatter())
    return figure


def _portray(axes: Axes, cell: CellView, load: figures.Load) -> None:
    """The laws as points, with one scale for both coordinates."""
    arrays = load(cell, cell.ended("ok")[0]) or {}
    light, dark = style.shades(style.colours(HUES)[HUES[0]], 2)
    for name, colour in (("first", light), ("last", dark), ("middle", style.INK)):
        if name in arrays:
            axes.plot(*arrays[name].T, ".", color=colour, markersize=1.6, markeredgewidth=0, rasterized=True)
    axes.set_aspect("equal", adjustable="datalim")


def _in_bins(axes: Axes, cell: CellView, name: str, by: str, most: float) -> None:
    """A divergence in bins of every size, and the largest value that it can have."""
    _curves(axes, cell, [f"{name}[{bins}]" for bins in _resolutions(cell)], by, HUES[1])
    axes.axhline(most, color=style.GREY, linestyle="--", linewidth=0.9, zorder=5)


def _curves(axes: Axes, cell: CellView, columns: Sequence[str], by: str, hue: str) -> None:
    """Each column over places, in a shade of the colour, with its floor."""
    for column, colour in zip(columns, style.shades(style.colours(HUES)[hue], len(columns)), strict=True):
        table = _over(cell, column, by)
        table = table[table.index > 0] if by == "offset" else table
        axes.plot(table.index, table, color=colour, linewidth=0.4, alpha=0.3, zorder=2)
        estimates = [interval(row) for row in table.to_numpy()]
        low, high, centre = (np.array([getattr(e, part) for e in estimates]) for part in ("low", "high", "value"))
        axes.fill_between(table.index, low, high, color=colour, alpha=0.18, linewidth=0, zorder=2.5)
        axes.plot(table.index, centre, color=colour, linewidth=1.3, zorder=4, label=column)
        floor = float(_floor(cell, column).mean())
        if floor:
            axes.axhline(floor, color=colour, linestyle=":", linewidth=0.8, zorder=1.5)


def _dash(axes: Axes, x: figures.Points, y: figures.Points) -> None:
    axes.plot(x, y, color=style.GREY, linestyle="--", linewidth=0.9, zorder=5)


def _legend_of_bins(axes: Axes, cell: CellView) -> None:
    """At the right of the panels, of which all have the same shades."""
    labels = [f"1/{bins}" for bins in _resolutions(cell)]
    _legend(axes, labels, title="bin edge", loc="center left", bbox_to_anchor=(1, 0.5))


def _legend(axes: Axes, labels: Sequence[str], **settings: Any) -> None:
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    axes.legend(lines, labels, title_fontsize=style.SMALL, handlelength=1.2, labelspacing=0.2, **settings)
