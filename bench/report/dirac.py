"""What the experiment ``dirac`` shows: the linear part of each game at its equilibrium, and where training came to.

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
from matplotlib.ticker import MaxNLocator

from bench.report import captions, figures, multiples, style
from bench.report.figures import Drawing
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, View

UPDATE = "probe.update"

NEAR = 0.1
"""Of the distance at the start: a run that is nearer than that at its end counts as converged."""

TIE = 1e-9
"""Within so much of 1 a spectral radius decides nothing."""

FARTHEST = 2.2
"""Of the panels of trajectories, in units of the largest distance at a start: what is farther leaves them."""

LEAST, MOST = 1e-6, 1e3
"""Distances, relative to the start, that the panels of distances reach to."""

LOOKS: Mapping[str, Mapping[str, Any]] = {
    "simultaneous": {"linewidth": 1.1},
    "alternating": {"linewidth": 0.5, "color": style.INK},
}
"""Of lines by the order of updates; without a colour, the objective's."""

PREDICTED: Mapping[str, Any] = {"color": style.GREY, "linestyle": "--", "linewidth": 0.9}


def tables(view: View) -> list[Table]:
    """A part for each order of updates, a row for each objective."""
    groups = multiples.by_objective(view)
    headings = (
        Heading("objective", "Objective"),
        Heading("eigenvalues", "Eigenvalues", words=True),
        Heading("closed_form", "Closed form", words=True),
        Heading("growth", "Growth a step"),
        Heading("prediction", "Prediction", words=True),
        Heading("late_distance", "Late distance"),
        Heading("trajectory", "Trajectory", words=True),
        Heading("agree", "Agree", words=True),
    )
    parts = []
    for update in dict.fromkeys(str(cell.settings[UPDATE]) for cells in groups.values() for cell in cells):
        chosen = [(name, cell) for name, cells in groups.items() for cell in cells if cell.settings[UPDATE] == update]
        parts.append(Part(f"{update} updates", tuple(Row(_entries(name, cell)) for name, cell in chosen)))
    return [Table("dirac", _table_caption(view), headings, tuple(parts), "Local convergence")] if parts else []


def _entries(name: str, cell: CellView) -> tuple[Entry, ...]:
    radius, late = multiples.constant(cell, "spectral_radius"), multiples.constant(cell, "late_distance")
    prediction = predicted(radius)
    growth = 0.0 if abs(radius - 1) < TIE else radius - 1
    agree = "" if prediction is None else "yes" if prediction == (late < NEAR) else "no"
    words = {True: "converges", False: "does not", None: "undecided" if radius == radius else "no linear part"}
    return (
        name,
        eigenvalues(cell, "eigenvalue", "jump"),
        eigenvalues(cell, "closed_form", "closed_form_jump"),
        growth,
        words[prediction],
        late,
        "converges" if late < NEAR else "does not",
        agree,
    )


def predicted(radius: float) -> bool | None:
    """Whether starts near the equilibrium are drawn into it; None where the linear part does not decide."""
    return None if math.isnan(radius) or abs(radius - 1) < TIE else radius < 1


def eigenvalues(cell: CellView, name: str, jump: str) -> str:
    """Both as one text: ``-0.15 +- 0.477i``; where the field jumps, how high."""
    one, other = (
        complex(multiples.constant(cell, f"{name}_real[{k}]"), multiples.constant(cell, f"{name}_imag[{k}]"))
        for k in (1, 2)
    )
    if not math.isfinite(abs(one)):
        height = multiples.constant(cell, jump)
        return f"none: jumps by {2 * height:.3g}" if height > 0 else "none"
    if abs(one.imag) > 1e-6:
        real = f"{_text(one.real)} " if _text(one.real) != "0" else ""
        return f"{real}\u00b1 {_text(abs(one.imag))}i"
    return _text(one.real) if _text(one.real) == _text(other.real) else f"{_text(one.real)}, {_text(other.real)}"


def _text(value: float) -> str:
    """Three digits; what is smaller than a rounded square root of rounding is 0."""
    return f"{value:.3g}" if abs(value) > 1e-6 else "0"


def drawings(view: View, load: figures.Load) -> list[Drawing]:
    """Trajectories in the plane of both players, and their distance from the equilibrium over steps."""
    groups = multiples.by_objective(view)
    if not groups:
        return []
    colours = style.colours(cell.objective for cell in view.cells)
    told = captions.sentences(_game(view), multiples.no_room(groups), captions.origin(view))
    result = [
        Drawing("dirac_distance", "Distance from the equilibrium", f"{DISTANCE} {told}", _distances(groups, colours))
    ]
    if any(load(cell, cell.seeds[0]) is not None for cells in groups.values() for cell in cells):
        first = Drawing("dirac", "Trajectories", f"{TRAJECTORIES} {told}", _trajectories(groups, load, colours))
        result.insert(0, first)
    return result


def _keys(*more: Line2D) -> list[Line2D]:
    return [Line2D([], [], **{"color": style.GREY, **look}, label=name) for name, look in LOOKS.items()] + list(more)


def _trajectories(groups: multiples.Groups, load: figures.Load, colours: Mapping[str, str]) -> Figure:
    equilibrium = Line2D([], [], color=style.INK, marker="+", linestyle="", markersize=6, label="equilibrium")
    start = Line2D([], [], color=style.INK, marker="o", linestyle="", markersize=3, label="start")
    figure, panels = multiples.panels(
        groups, colours, 1.2, x="theta: where the fake data are", y="psi: the critic's slope",
        keys=_keys(start, equilibrium),
    )  # fmt: skip
    largest = 0.0
    for name, axes in panels.items():
        for cell in _ordered(groups[name]):
            arrays = load(cell, cell.seeds[0])
            if arrays is not None:
                path = arrays["trajectory"]
                axes.plot(*path.T, **{"color": colours[cell.objective], **LOOKS[str(cell.settings[UPDATE])]}, zorder=2)
                axes.plot(*path[0], "o", color=style.INK, markersize=3, zorder=4)
                largest = max(largest, float(np.hypot(*path[0])))
        axes.plot(0, 0, "+", color=style.INK, markersize=6, zorder=5)
    edge = FARTHEST * largest
    for axes in panels.values():
        axes.set(xlim=(-edge, edge), ylim=(-edge, edge))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.set_box_aspect(1)
    return figure


def _distances(groups: multiples.Groups, colours: Mapping[str, str]) -> Figure:
    figure, panels = multiples.panels(
        groups, colours, 0.95, x="steps", y="distance from the equilibrium / at the start",
        keys=_keys(Line2D([], [], **PREDICTED, label="linear prediction")),
    )  # fmt: skip
    for name, axes in panels.items():
        for cell in _ordered(groups[name]):
            _distance(axes, cell, colours[cell.objective])
        multiples.powers_of_ten(axes)
        axes.set_ylim(LEAST, MOST)
    return figure


def _distance(axes: Axes, cell: CellView, colour: str) -> None:
    step, distance = multiples.column(cell, "step"), multiples.column(cell, "distance")
    look = {"color": colour, **LOOKS[str(cell.settings[UPDATE])]}
    axes.plot(step, distance / distance[0], **look, zorder=3)
    radius = multiples.constant(cell, "spectral_radius")
    axes.plot(step, np.exp(step * math.log(radius)) if radius > 0 else step * math.nan, **PREDICTED, zorder=2)


def _ordered(cells: Sequence[CellView]) -> list[CellView]:
    return sorted(cells, key=lambda cell: list(LOOKS).index(str(cell.settings[UPDATE])))


def _game(view: View) -> str:
    """The discrete game of the cells, where they share it."""
    told = []
    for key, words in (("rate", "rate {}"), ("steps", "{} steps"), ("critic_steps", "critic steps a step: {}")):
        values = dict.fromkeys(f"{cell.settings[f'probe.{key}']:,g}" for cell in view.cells)
        told.append(words.format(captions.either(values)))
    starts = dict.fromkeys(f"({cell.settings['probe.theta']:g}, {cell.settings['probe.psi']:g})" for cell in view.cells)
    return f"Gradient descent: {', '.join(told)}, start (theta, psi) {captions.either(starts)}."


WHAT = (
    "Dirac-GAN of Mescheder et al. 2018: real data at 0, fake data at theta, a critic psi x, in the paper's sign, high "
    "on fake samples. Both players by the gradients of the real losses, in float64."
)

TRAJECTORIES = (
    f"{WHAT} Coloured: simultaneous updates; black: alternating ones, the critic's first. What is beyond "
    f"{FARTHEST:g} times the start's distance leaves the panel."
)

DISTANCE = (
    f"{WHAT} Distance from the equilibrium, the origin, relative to the start's. Dashed: the spectral radius of one "
    "step in linear approximation at the equilibrium, to the power of the steps, for either order; "
    "none where the field jumps there."
)


def _table_caption(view: View) -> str:
    return captions.sentences(
        WHAT,
        "Eigenvalues: of the Jacobian of the field of descent at the equilibrium, by autograd of the losses (by "
        "central differences of their gradients where the norm of a slope has no derivative); closed form: of the "
        "field as it is written out. A penalty with its centre at slope 1 has no linear part there: the field jumps "
        "where psi changes its sign.",
        "Growth a step: the spectral radius of one step of the discrete game in linear approximation, less 1; below 0 "
        f"starts near the equilibrium are drawn into it, above 0 they are not, within {TIE:g} of 0 it decides nothing.",
        f"Late distance: the largest one over the last tenth of the steps, relative to the start's; below {NEAR:g} the "
        "trajectory counts as converged. Agree: prediction and trajectory, where there is a prediction. No randomness: "
        "one run a row, without an interval.",
        _game(view),
        captions.origin(view),
    )
