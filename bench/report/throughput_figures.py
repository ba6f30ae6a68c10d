"""Figures of the time of training steps: rates over replicas below what the device can reach, and speedups."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from bench.report import style
from bench.report.throughput_shapes import BASELINE, Shape

ABREAST = 4
MOST_BLOCKS = 6
"""What a figure holds: panels side by side, and one above another."""

PANEL = 1.15
"""Inches that a panel is high."""

MARKERS = {"plain": "o", "loop": "s", "vmap": "^", "compiled": "D", "cuda_graph": "v"}

RING: Mapping[str, Any] = {
    "marker": "o", "markersize": 6.5, "markerfacecolor": "none", "markeredgecolor": style.INK, "markeredgewidth": 0.7,
    "linestyle": "",
}  # fmt: skip
"""Around the engine's choice."""

ROOFS: Mapping[str, Mapping[str, Any]] = {
    "matmul rate": {"linestyle": "-", "linewidth": 0.8},
    "copy rate": {"linestyle": ":", "linewidth": 1.1},
}
"""Looks of the lines that the device's rates draw."""


@dataclass(frozen=True)
class Block:
    """Panels side by side, with one vertical axis: objectives on one network and data."""

    network: str
    batch: str
    panels: tuple[tuple[str, tuple[Shape, ...]], ...]
    """By objective; each in the order of replicas."""


def blocks(found: Sequence[Shape]) -> list[Block]:
    """Panels of what was timed at several numbers of replicas."""
    together: dict[tuple[str, str], dict[str, list[Shape]]] = {}
    for shape in found:
        if shape.timed:
            together.setdefault((shape.network, shape.batch), {}).setdefault(shape.objective, []).append(shape)
    result = []
    for (network, batch), own in together.items():
        panels = [
            (title, tuple(sorted(shapes, key=lambda shape: shape.replicas)))
            for title, shapes in own.items()
            if len({shape.replicas for shape in shapes}) > 1
        ]
        result += [
            Block(network, batch, tuple(panels[first : first + ABREAST])) for first in range(0, len(panels), ABREAST)
        ]
    return result


def rates(rows: Sequence[Block]) -> Figure:
    """Replica-steps a second over replicas, a line for each way; a row of panels for each block."""
    abreast = max(len(block.panels) for block in rows)
    figure = style.new_figure((PANEL + 0.38) * len(rows) + 0.65)
    grid = figure.subplots(len(rows), abreast, squeeze=False, sharex=True, sharey="row")
    figure.supxlabel("replicas that train at once", fontsize=8)
    figure.supylabel("replica-steps per second", fontsize=8)
    panels = [own for block in rows for _, own in block.panels]
    counts = sorted({shape.replicas for own in panels for shape in own})
    keys = _keys([way for way in style.WAYS if any(way in shape.timed for own in panels for shape in own)])
    keys.append(Line2D([], [], label="the engine's choice", **RING))
    reached = {name for own in panels for name in roofs(own)}
    keys += [Line2D([], [], color=style.INK, label=name, **look) for name, look in ROOFS.items() if name in reached]
    figure.legend(handles=keys, loc="outside upper center", ncols=-(-len(keys) // 2))
    for line, block in zip(grid, rows, strict=True):
        ends: list[list[tuple[float, str, str]]] = []
        for axes, (title, shapes) in zip(line, block.panels, strict=False):
            axes.set_title(style.plain(title, 30), loc="left", fontsize=style.SMALL)
            axes.tick_params(axis="x", labelsize=6)
            ends.append(_panel(axes, shapes))
        _axes(line[0], counts)
        line[0].set_ylabel(f"{style.plain(block.network, 26)}\n{style.plain(block.batch, 26)}", fontsize=style.SMALL)
        for axes in line[len(block.panels) :]:
            axes.set_axis_off()
        style.label_ends(line[len(block.panels) - 1], ends[-1], PANEL)
    for column in grid.T:
        [axes for axes in column if axes.axison][-1].tick_params(labelbottom=True)
    return figure


def _axes(axes: Axes, counts: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(x=0.08, y=0.1)
    axes.autoscale_view()
    axes.xaxis.set_major_locator(FixedLocator(counts))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 300 else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(style.short))
    axes.yaxis.set_minor_locator(NullLocator())


def _keys(ways: Sequence[str]) -> list[Line2D]:
    return [Line2D([], [], color=style.WAYS[way], label=way, **_look(way)) for way in ways]


def _look(way: str) -> dict[str, Any]:
    return {"marker": MARKERS[way], "markersize": 3.2, "markeredgewidth": 0, "linewidth": 1.1}


def _panel(axes: Axes, shapes: Sequence[Shape]) -> list[tuple[float, str, str]]:
    """Draw lines and roofs; give where they end, with their names and colours."""
    ends = []
    for way, colour in style.WAYS.items():
        own = [shape for shape in shapes if way in shape.timed]
        if own:
            x, y = [shape.replicas for shape in own], [shape.rate(way) for shape in own]
            axes.vlines(
                x, [shape.rate(way, "_high") for shape in own], [shape.rate(way, "_low") for shape in own],
                color=colour, linewidth=0.9, zorder=3,
            )  # fmt: skip
            axes.plot(x, y, color=colour, zorder=3 + (way != BASELINE), **_look(way))
            ends.append((y[-1], way, colour))
    for shape in shapes:
        if shape.chosen is not None:
            axes.plot(shape.replicas, shape.rate(shape.chosen), zorder=5, **RING)
    for name, level in roofs(shapes).items():
        axes.axhline(level, color=style.INK, zorder=1.5, **ROOFS[name])
        ends.append((level, name, style.INK))
    return ends


def roofs(shapes: Sequence[Shape]) -> dict[str, float]:
    """Replica-steps a second that the device's rates allow: of matrix products, and of copies where that is less.

    Rate / (operations, or bytes, of one replica's step); the median over what was timed.
    """

    def level(rate: str, amount: str) -> float:
        values = [
            shape.read(way, rate) * shape.replicas / shape.read(way, amount)
            for shape in shapes
            for way in shape.timed
            if shape.read(way, amount) > 0
        ]
        finite = [value for value in values if math.isfinite(value)]
        return float(np.median(finite)) if finite else math.nan

    matmul, copy = level("matmul_flops_per_second", "flops"), level("copy_bytes_per_second", "bytes")
    found = {"matmul rate": matmul} if matmul == matmul else {}
    return found if not copy < matmul else {**found, "copy rate": copy}


def widest(found: Sequence[Shape]) -> list[Shape]:
    """The shapes of one network, data, batch and number of replicas with the most objectives, and among those the one
    with the most replicas; of these the ones with a speedup, the largest first."""
    together: dict[tuple[str, str, int], list[Shape]] = {}
    for shape in found:
        if math.isfinite(shape.of_choice("speedup")):
            together.setdefault((shape.network, shape.batch, shape.replicas), []).append(shape)
    if not together:
        return []
    largest = max(together.values(), key=lambda own: (len({shape.objective for shape in own}), own[0].replicas))
    return sorted(largest, key=lambda shape: -shape.of_choice("speedup"))


def speedups(shapes: Sequence[Shape]) -> Figure:
    """The speedup of the engine's choice over the plain loop, a line for each objective."""
    figure = style.new_figure(0.155 * len(shapes) + 0.75, style.COLUMN_WIDTH)
    axes = figure.subplots()
    axes.axvline(1, color=style.WAYS[BASELINE], linewidth=0.9, linestyle="--", zorder=1.5)
    for place, shape in enumerate(shapes):
        assert shape.chosen is not None
        colour = style.WAYS[shape.chosen]
        low, middle, high = (shape.of_choice(f"speedup{end}") for end in ("_low", "", "_high"))
        axes.plot([low, high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt", zorder=3)
        axes.plot(middle, place, color=colour, zorder=4, **{**_look(shape.chosen), "markersize": 4.5})
    ways = [way for way in style.WAYS if any(shape.chosen == way for shape in shapes)]
    plain = Line2D([], [], color=style.WAYS[BASELINE], linewidth=0.9, linestyle="--", label=BASELINE)
    figure.legend(handles=[*_keys(ways), plain], loc="outside upper center", ncols=len(ways) + 1)
    names = [
        f"{shape.objective}, {shape.critic_steps}" if shape.settings["critic_steps"] > 1 else shape.objective
        for shape in shapes
    ]
    axes.set_yticks(range(len(shapes)), [style.plain(name, 44) for name in names])
    axes.set_ylim(len(shapes) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(left=0)
    axes.set_xlabel("speedup over plain")
    return figure
