"""The classes of generated images beside those of the data: bars where they are few, masses by rank where many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator

from bench.report import style
from bench.report.albums import Album, Face, Histogram
from bench.report.figures import tints_of

Array = npt.NDArray[np.float64]

MOST_BARS = 100
FEW_BARS = 20
ALL_NAMED = 10
POINTS = 500
"""Classes up to which each has a bar, panels are narrow, each has a tick; points of the perfect sampler's curve."""


def classes(album: Album, colours: Mapping[str, str]) -> Figure | None:
    """The figure; None where no run has classes. Runs with another number of classes than the first are left out."""
    found = {face: [run.classes for run in face.runs.values() if run.classes is not None] for face in album.faces}
    k = next((len(own[0].counts) for own in found.values() if own), 0)
    alike = {face: [one for one in own if len(one.counts) == k] for face, own in found.items()}
    alike = {face: own for face, own in alike.items() if own}
    if not alike:
        return None
    return _bars(alike, colours, k) if k <= MOST_BARS else _ranks(alike, colours)


def _bars(found: Mapping[Face, Sequence[Histogram]], colours: Mapping[str, str], k: int) -> Figure:
    """A panel for each cell: the mean share of each class over seeds, single seeds as dots."""
    widest = 4 if k <= FEW_BARS else 2
    rows = -(-len(found) // widest)
    abreast = -(-len(found) // rows)
    figure = style.new_figure(1.45 * rows + 0.25)
    grid = figure.subplots(rows, abreast, squeeze=False, sharex=True, sharey=True)
    for number, (axes, (face, own)) in enumerate(zip(grid.flat, found.items(), strict=False)):
        colour = colours[face.cell.objective]
        shares = np.stack([one.shares for one in own])
        axes.bar(np.arange(k), shares.mean(0), width=0.8, color=colour, alpha=0.45, linewidth=0)
        for dots in shares:
            axes.plot(np.arange(k), dots, ".", color=colour, markersize=3, markeredgewidth=0)
        axes.stairs(
            own[0].weights, np.arange(k + 1) - 0.5, color=style.INK, linestyle="--", linewidth=0.9, baseline=None
        )
        title = f"{style.plain(face.cell.objective, 26)}\n{style.plain(face.cell.variant, 30)}".strip()
        axes.set_title(title, loc="left", color=colour, fontsize=style.SMALL)
        axes.grid(visible=False, axis="x")
        axes.xaxis.set_major_locator(MultipleLocator(1) if k <= ALL_NAMED else MaxNLocator(6, integer=True))
        axes.set_xlim(-0.7, k - 0.3)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        axes.tick_params(labelbottom=number + abreast >= len(found))
    for axes in grid.flat[len(found) :]:
        axes.set_axis_off()
    figure.supxlabel("class", fontsize=8)
    figure.supylabel("share of samples", fontsize=8)
    return figure


def _ranks(found: Mapping[Face, Sequence[Histogram]], colours: Mapping[str, str]) -> Figure:
    """One panel: the mean over seeds of the masses in descending order, single seeds thin."""
    tints = tints_of([face.cell for face in found], colours)
    figure = style.new_figure(2.8)
    axes: Axes = figure.subplots()
    for face, own in found.items():
        ordered = np.stack([np.sort(one.shares)[::-1] for one in own])
        for line in ordered:
            _descend(axes, line, tints[face.cell.id], linewidth=0.5, alpha=0.35)
        _descend(axes, ordered.mean(0), tints[face.cell.id], label=style.plain(face.cell.label, 30))
    first = next(iter(found.values()))[0]
    ranks, shares = perfect(first.n, first.weights)
    axes.plot(ranks, shares, "--", color=style.INK, linewidth=1.1, zorder=5, label="perfect sampler")
    axes.set(xscale="log", yscale="log", xlabel="rank of the class", ylabel="share of samples")
    axes.xaxis.set_major_formatter(FuncFormatter(style.short))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.minorticks_off()
    handles = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    figure.legend(handles=handles, loc="outside right upper")
    return figure


def _descend(axes: Axes, shares: Array, colour: str, **how: Any) -> Sequence[Line2D]:
    return axes.plot(np.arange(1, len(shares) + 1)[shares > 0], shares[shares > 0], color=colour, **how)


def perfect(n: int, weights: Array) -> tuple[Array, Array]:
    """Ranks and shares of classes among n samples of the data, whose classes have the weights [K], which sum to 1.

    ``sum_k P(Binomial(n, weight_k) >= c)`` is how many classes are expected to have at least c samples: the rank down
    to which shares are at least c / n. It is exact for every c. The curve ends at the least share that every class is
    expected to have; where there are many c only some are given, closest for small ones.
    """
    from scipy.stats import binom

    distinct, times = np.unique(weights.round(12), return_counts=True)
    most = n * float(distinct[-1])
    top = min(n, int(most + 8 * most**0.5 + 20))
    least = np.unique(np.geomspace(1, top, POINTS).round())
    ranks = (times * binom.sf(least[:, None] - 1, n, distinct)).sum(1)
    full = int((ranks >= times[distinct > 0].sum() - 0.5).sum())
    shown = (ranks >= 0.99) & (np.arange(len(least)) >= full - 1)
    return ranks[shown], least[shown] / n
