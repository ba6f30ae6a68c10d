"""What the experiment ``saturation`` shows: what every generator loss passes on while a fresh critic learns.

A frozen generator has a row of panels, a critic a column, a generator loss a line. Norms and variances are compared by
ratio, so that their means over seeds are geometric.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.report import captions, figures, style
from bench.report.captions import BOOTSTRAP
from bench.report.figures import Drawing, Load
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, View
from bench.statistics import interval

FAINTEST = 1e-162
"""What a gradient of less counts as: the square of a smaller one is 0 in float64."""

MOST_ROWS = 6
MOST_COLUMNS = 5
"""Panels of a figure, below each other and side by side."""

CRITIC = {
    "critic_accuracy": "accuracy",
    "critic_auc": "AUC",
    "saturated_fake": "saturated fakes",
    "js_estimate": "JS estimate [nats]",
    "score_gap": "score gap",
}
DRAWN = 3
"""Readings of the critic, as its table calls them; so many of them are drawn too."""

OPTIMUM = "gradient_norm_at_optimum"

SETTING = "The critic is new and learns alone, against a generator that stands still; T: the steps of its own training."
READ = (
    "Gradients are those of a generator loss by the frozen generator's parameters, read in float64; norm: mean over "
    "batches of one batch's norm; variance: trace of the covariance over batches."
)
MEAN = f"with its {BOOTSTRAP}, expanded for small n"
EQUAL = "Losses with equal gradients share a {}."

Places = Mapping[str, Sequence[CellView]]
"""The cells of each frozen generator, by its title."""


def tables(view: View) -> list[Table]:
    """How far norm and variance went, from step 0 and from their peak, and what the critics had become."""
    places = {
        ", ".join(dict.fromkeys((name, place))): cells
        for name, family in _families(view).items()
        for place, cells in family.items()
    }
    if not places:
        return []
    kinds = (
        ("norm", "gradient_norm", "step 0", "Change of the gradient norm"),
        ("norm_from_peak", "gradient_norm", "its peak", "Gradient norm at the end, against its peak"),
        ("variance", "gradient_variance", "step 0", "Change of the gradient variance"),
    )
    return [*(_changes(view, places, *kind) for kind in kinds), _critics(view, places)]


def drawings(view: View, load: Load) -> list[Drawing]:
    """The frozen generators; norm and variance over steps, and the critics; the norm over the distance of a pair."""
    result: list[tuple[str, str, str, Figure | None]] = []
    lines = f"Thick: geometric mean over {captions.seeds(view.cells)} of the critic's own loss, thin: of the others, "
    lines += f"{MEAN}; hairlines: single seeds. {EQUAL.format('line')}"
    for name, places in _families(view).items():
        words = "Samples of the data (grey) and of the frozen generators (colour), of one seed."
        result.append((f"frozen_{name}", f"Frozen generators: {name}", words, _portraits(places, load)))
        for reading, label in (("gradient_norm", "norm"), ("gradient_variance", "variance")):
            words = f"The gradient's {label}: a row a frozen generator, a column a critic, a line a generator loss."
            words = captions.sentences(words, SETTING, READ, lines, _no_room(places, MOST_ROWS))
            figure = _gradients(view, places, reading, label)
            result.append((f"{reading}_{name}", f"Gradient {label}: {name}", words, figure))
        words = captions.sentences(
            "Fresh critics, on samples that they do not train with. Accuracy: of the score's sign, which means nothing "
            "for a Wasserstein critic. AUC: the chance that a real sample scores higher than a fake one. Saturated "
            "fakes: those at whose score the sigmoid's slope is below 1e-3.",
            SETTING,
            f"Thick: mean over {captions.seeds(view.cells)} {MEAN}; hairlines: single seeds.",
            _no_room(places, MOST_COLUMNS),
        )
        result.append((f"critic_{name}", f"Critics: {name}", words, _learning(view, places)))
    words = captions.sentences(
        "The norm at the last step, over how far the real law is away: of the gradient by the place of the fake one.",
        "Dashed, where known: at the log-ratio of the densities, the score of the optimal discriminator, in closed "
        "form and on the same samples; what lies beyond the other panels' values is left out.",
        READ,
        lines,
    )
    result.append(("distance", "Gradient norm over distance", words, _distances(view)))
    return [
        Drawing(
            re.sub(r"[^a-z0-9_]+", "-", name.lower()), title, captions.sentences(text, captions.origin(view)), figure
        )
        for name, title, text, figure in result
        if figure is not None
    ]


# What there is to show


def _families(view: View) -> dict[str, dict[str, list[CellView]]]:
    """Data sets and pairs, and their frozen generators by title; cells without a run that ended well are left out."""
    families: dict[str, dict[str, list[CellView]]] = {}
    for task in view.tasks:
        for cell in task.cells:
            if cell.ended("ok"):
                title = ", ".join(filter(None, (task.variant, task.arm, cell.variant))) or task.dataset
                title = re.sub(r"frozen\.steps=(\d+)", lambda match: f"T = {int(match[1]):,}", title)
                title = re.sub(r"\b(frozen|pair)\.", "", title)
                families.setdefault(task.dataset, {}).setdefault(title, []).append(cell)
    return families


def _no_room(places: Places, most: int) -> str:
    rest = len(places) - most
    return f"Frozen generators that this figure has no room for: {rest}." if rest > 0 else ""


def _losses(view: View) -> list[tuple[str, ...]]:
    """The generator losses, those together whose gradients are equal to the last bit."""
    groups: list[list[str]] = []
    for match in filter(None, (re.fullmatch(r"gradient_norm\[(.+)\]", str(column)) for column in view.rows)):
        values = view.rows[match[0]]
        alike = [group for group in groups if values.equals(view.rows[f"gradient_norm[{group[0]}]"])]
        if alike:
            alike[0].append(match[1])
        else:
            groups.append([match[1]])
    return [tuple(group) for group in groups]


def _colours(view: View) -> dict[str, str]:
    """Of losses and of critics, which have one name where they are of one objective."""
    losses = [name for group in _losses(view) for name in group]
    return style.colours([*losses, *(cell.objective for cell in view.cells)])


# Tables


def _changes(view: View, places: Places, name: str, reading: str, since: str, title: str) -> Table:
    losses = _losses(view)

    def row(cell: CellView) -> Row:
        entries: list[Entry] = [cell.objective, cell.outcomes.ok]
        entries += [interval(_change(cell, f"{reading}[{group[0]}]", since)) for group in losses]
        return Row(tuple(entries), frozenset(group[0] for group in losses if cell.objective in group))

    caption = captions.sentences(
        f"log10 of the gradient's {reading.split('_')[-1]} at the last step over that at {since}: -3 is a fall by "
        f"three decades. Mean over n seeds {MEAN}.",
        "A row is a critic, a column a generator loss; bold: the critic's own.",
        SETTING,
        READ,
        EQUAL.format("column"),
        captions.origin(view),
    )
    headings = [Heading("critic", "Critic"), Heading("n", "n")]
    headings += [Heading(group[0], ", ".join(group)) for group in losses]
    parts = tuple(Part(place, tuple(map(row, cells))) for place, cells in places.items())
    return Table(name, caption, tuple(headings), parts, title)


def _change(cell: CellView, column: str, since: str) -> list[float]:
    """Decades between the last step and step 0, or the largest value, of the runs that ended well."""
    curves = cell.curves(column)
    kept = [curves[seed].dropna().clip(lower=FAINTEST) for seed in cell.ended("ok") if seed in curves]
    starts = [values.iloc[0] if since == "step 0" else values.max() for values in kept]
    return [float(np.log10(values.iloc[-1] / start)) for values, start in zip(kept, starts, strict=True)]


def _critics(view: View, places: Places) -> Table:
    def row(cell: CellView) -> Row:
        return Row((cell.objective, cell.outcomes.ok, *(interval(list(cell.final(c).values())) for c in CRITIC)))

    caption = captions.sentences(
        f"Fresh critics at their last step, on samples that they did not train with. Mean over n seeds {MEAN}.",
        "Accuracy, saturation and the JS estimate read scores as logits, which those of a Wasserstein critic are not; "
        "the AUC asks only which of two samples scores higher. The JS estimate never exceeds log 2 = .693.",
        captions.origin(view),
    )
    headings = (Heading("critic", "Critic"), Heading("n", "n"), *(Heading(c, label) for c, label in CRITIC.items()))
    parts = tuple(Part(place, tuple(map(row, cells))) for place, cells in places.items())
    return Table("critic", caption, headings, parts, "Critics")


# Figures


@dataclass(frozen=True)
class _Line:
    """Values by seed (columns) over what is on the axis (index)."""

    table: pd.DataFrame
    colour: str
    width: float = 1.6
    dashes: str = "-"


@dataclass(frozen=True)
class _Panel:
    title: str
    label: str
    lines: Sequence[_Line]
    colour: str = style.INK
    log: bool = True


def _gradients(view: View, places: Places, reading: str, label: str) -> Figure:
    critics = list(dict.fromkeys(cell.objective for cells in places.values() for cell in cells))[:MOST_COLUMNS]
    losses, colours = _losses(view), _colours(view)
    rows = []
    for place, cells in list(places.items())[:MOST_ROWS]:
        known = {cell.objective: cell for cell in reversed(cells)}
        row = []
        for critic in critics:
            tables = {
                group[0]: known[critic].curves(f"{reading}[{group[0]}]") if critic in known else pd.DataFrame()
                for group in losses
            }
            lines = _lines(critic, losses, colours, tables)
            row.append(
                _Panel(f"critic: {critic}", f"{style.plain(place, 24)}\ngradient {label}", lines, colours[critic])
            )
        rows.append(row)
    return _figure(rows, _keys(losses, colours), "steps of the fresh critic", style.log_steps)


def _lines(
    critic: str,
    losses: Sequence[Sequence[str]],
    colours: Mapping[str, str],
    tables: Mapping[str, pd.DataFrame],
    dashes: str = "-",
) -> list[_Line]:
    """One a loss; the critic's own is the widest, and above the others."""
    lines = []
    for group in sorted(losses, key=lambda group: critic in group):
        own = critic in group
        lines.append(_Line(tables[group[0]], colours[critic if own else group[0]], 2.4 if own else 1.1, dashes))
    return lines


def _keys(losses: Sequence[Sequence[str]], colours: Mapping[str, str]) -> dict[str, list[str]]:
    return {", ".join(group): [colours[name] for name in group] for group in losses}


def _learning(view: View, places: Places) -> Figure:
    colours = _colours(view)
    shown = dict(list(places.items())[:MOST_COLUMNS])
    rows = [
        [
            _Panel(
                place,
                CRITIC[reading],
                [_Line(cell.curves(reading), colours[cell.objective]) for cell in cells],
                log=False,
            )
            for place, cells in shown.items()
        ]
        for reading in list(CRITIC)[:DRAWN]
    ]
    keys = {f"critic: {cell.objective}": [colours[cell.objective]] for cells in shown.values() for cell in cells}
    return _figure(rows, keys, "steps of the fresh critic", style.log_steps)


def _distances(view: View) -> Figure | None:
    """The end of every curve over distance in standard deviations, where a critic was tried at several."""
    known: dict[str, dict[float, CellView]] = {}
    for cell in view.cells:
        if {"pair.distance", "pair.std"} <= cell.settings.keys() and cell.ended("ok"):
            gap = float(cell.settings["pair.distance"]) / float(cell.settings["pair.std"])
            known.setdefault(cell.objective, {}).setdefault(gap, cell)
    known = {critic: dict(sorted(cells.items())) for critic, cells in known.items() if len(cells) > 1}
    if not known:
        return None
    losses, colours = _losses(view), _colours(view)

    def ends(reading: str, critic: str) -> dict[str, pd.DataFrame]:
        return {
            name: pd.DataFrame({x: cell.final(f"{reading}[{name}]") for x, cell in known[critic].items()}).T
            for name, *_ in losses
        }

    row = [
        _Panel(
            f"critic: {critic}",
            "norm at the end",
            _lines(critic, losses, colours, ends("gradient_norm", critic)),
            colours[critic],
        )
        for critic in list(known)[: MOST_COLUMNS - 1]
    ]
    if f"{OPTIMUM}[{losses[0][0]}]" in view.rows:
        closed = _lines("", losses, colours, ends(OPTIMUM, next(iter(known))), "--")
        row.append(_Panel("optimal discriminator", "", closed, style.GREY))
    return _figure([row], _keys(losses, colours), "distance / std", _ratios, height=1.8)


def _ratios(axes: Axes, known: set[float]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(sorted(known), [style.short(value) for value in sorted(known)])
    axes.minorticks_off()


def _figure(
    rows: Sequence[Sequence[_Panel]],
    keys: Mapping[str, Sequence[str]],
    x: str,
    scale: Callable[[Axes, set[float]], None],
    height: float = 1.15,
) -> Figure:
    """Panels that share their axes: logarithms all of them, else row by row. Titles stand above the first row alone."""
    log = rows[0][0].log
    share: Literal["all", "row"] = "all" if log else "row"
    figure = style.new_figure(height * len(rows) + 0.8)
    grid = figure.subplots(len(rows), len(rows[0]), squeeze=False, sharex=True, sharey=share)
    lowest, highest = np.inf, -np.inf
    for axes, row in zip(grid, rows, strict=True):
        axes[0].set_ylabel(row[0].label)
        for one, panel in zip(axes, row, strict=True):
            _draw(one, panel, scale)
            solid = [line.table.to_numpy().ravel() for line in panel.lines if line.dashes == "-"]
            values = np.concatenate([[np.nan], *solid])
            values = values[values > 0]
            if log and len(values):
                lowest, highest = min(lowest, values.min()), max(highest, values.max())
    for one, panel in zip(grid[0], rows[0], strict=True):
        one.set_title(style.plain(panel.title), loc="left", color=panel.colour)
    if log and lowest < np.inf:
        grid[0, 0].set_ylim(lowest / 3, highest * 3)
    figures.label_columns(figure, grid, x)
    handles: Any = [tuple(Line2D([], [], color=colour) for colour in tints) for tints in keys.values()]
    figure.legend(
        handles, [style.plain(name, 40) for name in keys], handler_map={tuple: HandlerTuple(None, pad=0)},
        loc="outside upper center", ncols=min(len(handles), 6),
    )  # fmt: skip
    return figure


def _draw(axes: Axes, panel: _Panel, scale: Callable[[Axes, set[float]], None]) -> None:
    known: set[float] = set()
    for line in panel.lines:
        at, values = line.table.index.to_numpy(), line.table.to_numpy(dtype=float)
        known |= set(map(float, at))
        drawn = np.log10(np.maximum(values, FAINTEST)) if panel.log else values
        estimates = [interval(own) for own in drawn]
        low, high, centre = (np.array([getattr(e, part) for e in estimates]) for part in ("low", "high", "value"))
        if panel.log:
            drawn, low, high, centre = 10.0**drawn, 10.0**low, 10.0**high, 10.0**centre
        for own in drawn.T:
            axes.plot(at, own, line.dashes, color=line.colour, linewidth=0.35, alpha=0.3, zorder=2)
        axes.fill_between(at, low, high, color=line.colour, alpha=0.18, linewidth=0, zorder=2.5)
        axes.plot(at, centre, line.dashes, color=line.colour, linewidth=line.width, zorder=4)
    if known:
        scale(axes, known)
    if panel.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_major_formatter(FuncFormatter(_power))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(-0.04, 1.04)


def _power(value: float, _: object = None) -> str:
    """A power of ten, as text that needs no mathematics."""
    return "10" + f"{np.log10(value):.0f}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _portraits(places: Places, load: Load) -> Figure | None:
    """Real and fake samples in the plane, a panel a frozen generator, of the first seed that ended well."""
    shown = []
    for title, cells in list(places.items())[:MOST_COLUMNS]:
        seed = min(cells[0].ended("ok"))
        arrays = load(cells[0], seed) or {}
        if all(name in arrays and arrays[name].shape[1:] == (2,) for name in ("real", "fake")):
            shown.append((f"{title}, seed {seed}", arrays))
    if not shown:
        return None
    across = max(3, len(shown))
    figure = style.new_figure(style.PAGE_WIDTH / across + 0.2)
    grid = figure.subplots(1, across, squeeze=False, sharex=True, sharey=True)[0]
    for axes, (title, arrays) in zip(grid, shown, strict=False):
        for name, colour in (("real", style.GREY), ("fake", "#5B3FA8")):
            axes.plot(*arrays[name].T, ".", color=colour, markersize=2.2, alpha=0.5, markeredgewidth=0, rasterized=True)
        axes.set_title(style.plain(title), loc="left", fontsize=style.SMALL)
        axes.set_box_aspect(1)
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    return figure
