"""What the experiment ``score_curve`` shows: where each generator loss still pulls, and where arithmetic gives out.

Nothing is random there: of a cell with several seeds the first is shown, and no interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench.report import captions, figures, multiples, style
from bench.report.figures import Drawing
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, View

WHERE = (-60.0, -20.0, 0.0, 20.0, 60.0)
"""Scores that the table has a column for; its largest error is taken between the first and the last."""

ENDS = ("inexact_below", "dies_below", "inexact_above", "dies_above")
DTYPE = "probe.dtype"

LARGEST, WIDEST = 3.0, 15.0
"""Of the linear panels: gradients that are larger leave them, and scores; the rest is as at the edge."""

DECADES = 60
"""Of the logarithmic panels: at most so many to either side of 1."""

LOOKS: Mapping[str, Mapping[str, Any]] = {
    "float64": {"linewidth": 3.0, "alpha": 0.35},
    "float32": {"linewidth": 1.2, "alpha": 1.0},
}
THEORY: Mapping[str, Any] = {"color": style.INK, "linestyle": (0, (3, 3)), "linewidth": 0.7}
DOWNWARDS: Mapping[str, Any] = {"color": "#D9D9D9", "alpha": 0.6, "linewidth": 0}


def tables(view: View) -> list[Table]:
    """A part for each arithmetic, a row for each objective."""
    groups = multiples.by_objective(view)
    headings = (
        Heading("objective", "Objective"),
        *(Heading(f"score_gradient_at_{score:g}", f"dL/ds at {score:g}") for score in WHERE),
        Heading("largest_relative_error", "Rel. error"),
        *(Heading(end, end.replace("_", " ").replace("inexact", "1 % off").capitalize()) for end in ENDS),
    )
    parts = []
    for dtype in dict.fromkeys(str(cell.settings[DTYPE]) for cells in groups.values() for cell in cells):
        chosen = [(name, cell) for name, cells in groups.items() for cell in cells if cell.settings[DTYPE] == dtype]
        parts.append(Part(dtype, tuple(Row(_entries(name, cell)) for name, cell in chosen)))
    return [Table("score_curve", _table_caption(view), headings, tuple(parts), "Gradient by score")] if parts else []


def _entries(name: str, cell: CellView) -> tuple[Entry, ...]:
    score, gradient, error = (multiples.column(cell, name) for name in ("score", "score_gradient", "relative_error"))
    at = [gradient[score == where] for where in WHERE]
    inside = error[(score >= WHERE[0]) & (score <= WHERE[-1])]
    return (
        name,
        *(float(value[0]) if len(value) else None for value in at),
        float(inside.max()) if len(inside) else None,
        *(multiples.constant(cell, end) for end in ENDS),
    )


def drawings(view: View, load: figures.Load) -> list[Drawing]:
    """The size of the gradient over the score on a logarithmic axis, and its value on a linear one."""
    groups = multiples.by_objective(view)
    if not groups:
        return []
    colours = style.colours(cell.objective for cell in view.cells)
    told = captions.sentences(multiples.no_room(groups), captions.origin(view))
    return [
        Drawing("score_curve_log", "Size of the gradient by score", f"{LOG} {told}", _draw(groups, colours, log=True)),
        Drawing("score_curve", "Gradient by score", f"{LINEAR} {told}", _draw(groups, colours, log=False)),
    ]


def _draw(groups: multiples.Groups, colours: Mapping[str, str], *, log: bool) -> Figure:
    keys = [Line2D([], [], color=style.GREY, label=name, **look) for name, look in LOOKS.items()]
    keys += [Line2D([], [], label="closed form", **THEORY)]
    figure, panels = multiples.panels(
        groups, colours, 0.95, x="score s of the fake sample", y="|dL/ds|" if log else "dL/ds",
        keys=[*keys, Patch(label="dL/ds > 0: drives the score down", **DOWNWARDS)],
    )  # fmt: skip
    limits = [1.0]
    for name, axes in panels.items():
        for cell in sorted(groups[name], key=lambda cell: list(LOOKS).index(str(cell.settings[DTYPE]))):
            limits += _line(axes, cell, colours[cell.objective], log=log)
    for axes in panels.values():
        if log:
            low, high = max(min(limits), 10.0**-DECADES), min(max(limits), 10.0**DECADES)
            multiples.powers_of_ten(axes)
            axes.set_ylim(low / 1e3, high * 1e3)
        else:
            axes.set(xlim=(-WIDEST, WIDEST), ylim=(-LARGEST, LARGEST))
    return figure


def _line(axes: Axes, cell: CellView, colour: str, *, log: bool) -> Sequence[float]:
    """Draw a cell, with a cross where its gradient dies; give the sizes that it has."""
    score, gradient, theory = (multiples.column(cell, name) for name in ("score", "score_gradient", "closed_form"))
    sizes, truth = _sizes(gradient), _sizes(theory)
    look = LOOKS[str(cell.settings[DTYPE])]
    axes.plot(score, sizes if log else gradient, color=colour, zorder=2, **look)
    axes.plot(score, truth if log else theory, zorder=4, **THEORY)
    down = gradient > 0
    axes.fill_between(score, 0, 1, where=down, transform=axes.get_xaxis_transform(), zorder=1, **DOWNWARDS)
    alive = sizes[np.isfinite(sizes)].tolist()
    for end in ("dies_below", "dies_above"):
        where = multiples.constant(cell, end)
        if log and alive and abs(where) <= score.max():
            axes.plot(where, alive[0 if where < 0 else -1], "x", color=style.INK, markersize=4, zorder=5)
    return [float(size) for size in alive]


def _sizes(values: figures.Points) -> figures.Points:
    """Absolute values; NaN where a logarithmic axis has no place for them."""
    return np.where((values == 0) | ~np.isfinite(values), math.nan, np.abs(values))


WHAT = (
    "dL/ds, the derivative of the generator loss in the critic's score s of a single fake sample, where the real "
    "sample has the score 0: the real loss with the identity for a critic."
)

LOG = (
    f"Size of {WHAT} Wide and pale: float64; narrow: float32; dashed: closed form, computed with 28 digits. Where the "
    "background is white the gradient is negative: descent raises the score. Crosses: from there on the gradient is 0 "
    "or not finite in that arithmetic, though the closed form is neither."
)

LINEAR = (
    f"Near 0: {WHAT} Wide and pale: float64; narrow: float32; dashed: closed form, computed with 28 digits. Where the "
    "background is white the gradient is negative: descent raises the score. Gradients beyond "
    f"{LARGEST:g} and scores beyond {WIDEST:g} leave the panel."
)


def _table_caption(view: View) -> str:
    return captions.sentences(
        f"{WHAT} A negative one raises the score under descent. No randomness: one curve a row, without an interval.",
        f"Rel. error: the largest relative error against the closed form (28 digits) over all scores measured from "
        f"{WHERE[0]:g} to {WHERE[-1]:g}.",
        "1 % off below, above: the score nearest to 0 on that side from which the gradient is wrong by more than a "
        "percent; dies: from which it is 0 or not finite, though the closed form is neither; found by search to 5e-5, "
        "looked for to 5,000 on either side, a dash where there is none. Numbers below the normal range of the "
        "arithmetic are kept; training on a CPU flushes them to 0, which is earlier (float32: 1.2e-38, at a score of "
        "87 where the gradient falls as e^s).",
        captions.origin(view),
    )
