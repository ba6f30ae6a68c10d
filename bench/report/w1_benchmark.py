"""What the experiment ``w1_benchmark`` shows: how far critics are from the true distance and from the optimal gradient.

A critic is named by its objective; one with constrained weights by the constraint and its activation, since its
objective is then no more than its loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from bench.report import captions, figures, style
from bench.report.captions import BOOTSTRAP
from bench.report.figures import Curve, Drawing
from bench.report.published import Published, matches
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, Task, View
from bench.statistics import interval

HEADINGS = (
    Heading("w1_true", "True W1", scale="w1"),
    Heading("w1_estimate", "Estimate of W1", scale="w1"),
    Heading("relative_error", "Relative error"),
    Heading("gradient_cosine", "Cosine", "up", scale="cosine"),
    Heading("gradient_field_cosine", "Cosine of fields", "up", scale="cosine"),
    Heading("gradient_l2_error", "L2 error", "down"),
    Heading("largest_slope", "Largest slope"),
)
AGREEMENT = (
    ("gradient_cosine", "cosine with the optimal gradient", 1.0),
    ("relative_error", "relative error of the estimate", 0.0),
)
"""Columns against the dimension, with their labels and what an optimal critic has."""

CURVES = (
    Curve("relative_error", "relative error"),
    Curve("gradient_cosine", "cosine"),
    Curve("largest_slope", "largest slope", log=True),
)
MOST_PAIRS = 6
"""Pairs of laws whose curves stand side by side."""

ABREAST = 0.34
"""What share of a doubling of the dimension the critics at one dimension are spread over."""

LAWS = (
    "Critics f between two laws whose optimal transport is known (Korotin et al. 2022, arXiv:2206.07767), of which the "
    "optimal critic has slope 1 everywhere."
)
MEANT = (
    "Estimate: mean of f over real samples less that over fake ones, in units of the data; relative error: (estimate - "
    "true W1) / true W1. Cosine: mean over real samples of the cosine between the gradients of f and of the optimal "
    "critic; of fields: the cosine of both as elements of L2(real). L2 error: mean squared distance of these "
    "gradients, 1 for a constant f. Largest slope of f: at any sample."
)


def tables(view: View) -> list[Table]:
    """A part for each pair of laws, a row for each critic, what the authors report under it."""
    tasks = _named(view)
    if not tasks:
        return []
    cells = [cell for task in tasks for cell in task.cells]
    published = Published(view, cells, [heading.key for heading in HEADINGS])
    headings = (
        Heading("critic", "Critic"),
        Heading("n", "n"),
        Heading("diverged", "Div."),
        Heading("lost", "Lost"),
        *HEADINGS,
        Heading("steps", "Critic steps"),
    )
    caption = captions.sentences(
        LAWS,
        f"Mean over the n runs that ended well, of {captions.seeds(cells)} a cell, at their last step, with its "
        f"{BOOTSTRAP} over seeds, expanded for small n, on {_samples(cells)} of each law. Div.: runs that diverged; "
        "Lost: runs that failed, were skipped or are missing.",
        MEANT,
        _losses(cells),
        published.caption,
        captions.origin(view),
    )
    parts = tuple(Part(task.label, tuple(_rows(task, published))) for task in tasks)
    return [Table("w1_benchmark", caption, headings, parts)]


def _rows(task: Task, published: Published) -> Iterator[Row]:
    names = [heading.key for heading in HEADINGS]
    for cell in task.cells:
        entries: list[Entry] = [cell.label, cell.outcomes.ok, cell.outcomes.diverged, cell.outcomes.lost]
        estimates = [interval(list(cell.final(name).values())) for name in names]
        entries += [e.value if e.low == e.high else e for e in estimates]  # the truth does not vary
        yield Row((*entries, int(cell.settings["steps"])))
        yield from published.rows(cell, names, before=3, after=1)


def drawings(view: View, load: figures.Load) -> list[Drawing]:
    """Agreement against the dimension; errors, cosines and largest slopes over steps."""
    tasks = _named(view)
    if not tasks:
        return []
    cells = [cell for task in tasks for cell in task.cells]
    colours = style.colours(cell.objective for cell in cells)
    told = captions.sentences(f"Read on {_samples(cells)} of each law.", _losses(cells), captions.origin(view))
    quoted = Published(view, cells, [heading.key for heading in HEADINGS]).caption
    agreement = captions.sentences(
        LAWS,
        f"Filled: mean over the runs that ended well, of {captions.seeds(cells)}, at their last step, with its "
        f"{BOOTSTRAP}, expanded for small n; dots: single seeds; dashed: the optimal critic.",
        "Hollow: published." if quoted else "",
        quoted,
        told,
    )
    curves = captions.sentences(
        f"{LAWS} Relative error of the estimate of W1, cosine with the optimal gradient and largest slope over updates "
        f"of the critic. Thick: mean over {captions.seeds(cells)}; band: its {BOOTSTRAP}, expanded for small n; thin: "
        "single seeds, with a cross where a run diverged.",
        f"Pairs that this figure has no room for: {len(tasks) - MOST_PAIRS}." if len(tasks) > MOST_PAIRS else "",
        told,
    )
    return [
        Drawing(
            "agreement",
            "Distance and gradient against dimension",
            agreement,
            _agreement(view, tasks, colours, bool(quoted)),
        ),
        Drawing("curves", "Distance and gradient over steps", curves, _curves(tasks[:MOST_PAIRS], colours)),
    ]


def _named(view: View) -> list[Task]:
    """The tasks, the lowest dimension first, with each critic's name in place of its objective."""
    tasks = [task.only(tuple(_renamed(task.chosen))) for task in view.tasks if task.chosen]
    dims = [_dim(task.cells[0]) for task in tasks]
    titled = [
        replace(task, dataset=f"{dim} dimensions", variant=task.variant if dims.count(dim) > 1 else "")
        for task, dim in zip(tasks, dims, strict=True)
    ]
    return sorted(titled, key=lambda task: _dim(task.cells[0]))


def _renamed(cells: Sequence[CellView]) -> Iterator[CellView]:
    """Cells by their critics' names; where two share one, what sets them apart stands behind it."""
    names = [_name(cell) for cell in cells]
    for cell, name in zip(cells, names, strict=True):
        yield replace(cell, objective=name, variant=cell.variant if names.count(name) > 1 else "")


def _name(cell: CellView) -> str:
    constraint = cell.settings.get("critic.constraint", "none")
    return cell.objective if constraint == "none" else f"{constraint}, {cell.settings['critic.activation']}"


def _dim(cell: CellView) -> int:
    return int(cell.settings["pair.dim"])


def _samples(cells: Sequence[CellView]) -> str:
    counts = sorted({int(cell.settings["probe.n"]) for cell in cells})
    return f"{captions.either(f'{count:,}' for count in counts)} fresh samples"


def _losses(cells: Sequence[CellView]) -> str:
    """What the critics with constrained weights were trained with."""
    used: dict[str, None] = {}
    for cell in cells:
        if cell.settings["objective"] != cell.objective:
            own = [
                f"{key.removeprefix('hparams.')} = {value:g}"
                for key, value in cell.settings.items()
                if key.startswith("hparams.")
            ]
            used[" with ".join(filter(None, (str(cell.settings["objective"]), ", ".join(own))))] = None
    return f"Critics with constrained weights train under {captions.either(used)}." if used else ""


def _agreement(view: View, tasks: Sequence[Task], colours: Mapping[str, str], quoted: bool) -> Figure:
    """A row for each family of tasks that differ in dimension alone, a panel for each column."""
    families: dict[tuple[object, ...], list[Task]] = {}
    for task in tasks:
        pair = {key: value for key, value in task.cells[0].settings.items() if key.startswith("pair.")}
        families.setdefault((task.arm, *((k, v) for k, v in pair.items() if k != "pair.dim")), []).append(task)
    height = 2.3
    figure = style.new_figure((height + 0.5) * len(families))
    grid = figure.subplots(len(families), len(AGREEMENT), squeeze=False)
    for axes, family in zip(grid, families.values(), strict=True):
        names = list(dict.fromkeys(cell.label for task in family for cell in task.cells))
        for one, (column, label, best) in zip(axes, AGREEMENT, strict=True):
            one.axhline(best, color=style.GREY, linestyle="--", linewidth=0.9, zorder=1.5)
            ends = [(best, "optimal critic", style.GREY)]
            for place, name in enumerate(names):
                cells = [cell for task in family for cell in task.cells if cell.label == name]
                shift = 2 ** (ABREAST * (place / max(1, len(names) - 1) - 0.5))
                colour = colours[cells[0].objective]
                ends.append((_points(one, view, cells, column, shift, colour), style.plain(name, 30), colour))
            dims = sorted({_dim(task.cells[0]) for task in family})
            one.set_xscale("log", base=2)
            one.xaxis.set_major_locator(FixedLocator(dims))
            one.xaxis.set_minor_locator(NullLocator())
            one.set_xticks(dims, [f"{dim}" for dim in dims])
            one.set_xlim(dims[0] / 1.3, dims[-1] * 1.3)
            one.set(xlabel="dimension", ylabel=label)
            if quoted:
                one.set_title(
                    "filled: measured here; hollow: published", loc="left", fontsize=style.SMALL, color=style.GREY
                )
            one.margins(y=0.08)
            one.autoscale_view()
            style.label_ends(one, ends, height)
    return figure


def _curves(tasks: Sequence[Task], colours: Mapping[str, str]) -> Figure:
    """A row for each reading, a column for each pair of laws, a line for each critic."""
    figure = style.new_figure(1.45 * len(CURVES) + 0.6)
    grid = figure.subplots(len(CURVES), len(tasks), squeeze=False, sharex=True, sharey="row")
    for row, curve in zip(grid, CURVES, strict=True):
        for axes, task in zip(row, tasks, strict=True):
            for cell in task.cells:
                figures.draw_curve(axes, cell, curve, colours[cell.objective])
            style.log_steps(axes, {float(step) for cell in task.cells for step in cell.observed})
            if curve.log:
                style.log_values(axes)
        row[0].set_ylabel(curve.label)
    for axes, task in zip(grid[0], tasks, strict=True):
        axes.set_title(style.plain(task.label, 30), loc="left")
    for axes in grid[-1]:
        axes.set_xlabel("steps")
    names = dict.fromkeys(cell.objective for task in tasks for cell in task.cells)
    handles = [Line2D([], [], color=colours[name], label=style.plain(name, 30)) for name in names]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    figure.align_ylabels(grid[:, 0])
    return figure


def _points(axes: Axes, view: View, cells: Sequence[CellView], column: str, shift: float, colour: str) -> float:
    """Draw a critic at all dimensions; give its mean at the last."""
    entries = view.manifest.get("published") or ()
    places, means = [], []
    for cell in cells:
        place = _dim(cell) * shift
        values = list(cell.final(column).values())
        estimate = interval(values)
        if estimate.n:
            places.append(place)
            means.append(estimate.value)
            axes.plot([place] * len(values), values, ".", color=colour, markersize=2.5, alpha=0.4, zorder=2)
        if math.isfinite(estimate.low):
            axes.plot([place] * 2, [estimate.low, estimate.high], "-", color=colour, linewidth=1.2, zorder=3)
        for entry in entries:
            if column in entry["values"] and matches(entry["where"], cell):
                axes.plot(place, entry["values"][column][0], "D", mfc="white", mec=colour, markersize=4.5, zorder=5)
    axes.plot(places, means, "o-", color=colour, markersize=4, linewidth=0.8, zorder=4)
    return means[-1] if means else math.nan
