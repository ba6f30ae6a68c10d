"""What the experiment ``train`` shows: a table of quality beside budget, and figures of samples and of curves.

The cells of a search are too many for rows and lines of their own: `bench.report.search` shows them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.metrics import FLOOR, METRICS, Column
from bench.report import albums, captions, figures, images, probes, search, style
from bench.report.captions import BOOTSTRAP, BUDGETS
from bench.report.figures import Curve, Drawing
from bench.report.published import Published
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, Task, View
from bench.statistics import interval, paired_difference

CURVES = (
    (
        "modes_covered",
        "Modes covered",
        (Curve("modes_covered", "modes (one-sample rule)"), Curve("modes_covered_by_mass", "modes (mass rule)")),
    ),
    ("emd", "Earth mover's distance", (Curve("emd", "EMD", log=True),)),
)
LOSSES = (Curve("critic_loss", "critic"), Curve("generator_loss", "generator", "--"))
_OF_IMAGES = frozenset(
    name for metric in METRICS.values() if metric.of_images and metric.space != "classes" for name in metric.columns
)
FEWEST_PAIRS = 5
"""Below, no interval covers what it says, and nothing is called best."""


def tables(view: View) -> list[Table]:
    """The chosen cells with a part for each task, what only images have in a table of its own, and searches."""
    tasks = [task.only(task.chosen) for task in view.tasks if task.chosen]
    budgets = {name: label for name, label in BUDGETS.items() if name in view.rows.columns}
    of_images = {name: column for name, column in view.measured.items() if name in _OF_IMAGES}
    others = {name: column for name, column in view.measured.items() if name not in _OF_IMAGES}
    pictured = [task for task in tasks if any(_has(task, name) for name in of_images)]
    found = [_quality(view, tasks, others, budgets, "quality", "Results")] if tasks else []
    found += [_quality(view, pictured, of_images, {}, "images", "Images")] if pictured else []
    return [*found, *search.tables(view)]


def _quality(
    view: View, tasks: Sequence[Task], measured: Mapping[str, Column], budgets: Mapping[str, str], name: str, title: str
) -> Table:
    headings = (
        Heading("objective", "Objective"),
        Heading("n", "n"),
        Heading("diverged", "Div."),
        Heading("lost", "Lost"),
        *(Heading(name, column.label, column.direction) for name, column in measured.items()),
        *(Heading(name, label) for name, label in budgets.items()),
    )
    cells = [cell for task in tasks for cell in task.cells]
    published = Published(view, cells, measured)
    parts = tuple(_part(task, measured, tuple(budgets), published) for task in tasks)
    return Table(name, _caption(view, cells, measured, budgets, published), headings, parts, title)


def _part(task: Task, measured: Mapping[str, Column], budgets: Sequence[str], published: Published) -> Part:
    rows = []
    best = {name: winner for name, column in measured.items() if (winner := _best(task, name, column)) is not None}
    for cell in task.cells:
        entries: list[Entry] = [cell.label, cell.outcomes.ok, cell.outcomes.diverged, cell.outcomes.lost]
        entries += [interval(list(cell.final(name).values())) for name in measured]
        entries += [_mean(cell, name) for name in budgets]
        rows.append(Row(tuple(entries), frozenset(name for name, winner in best.items() if winner is cell)))
        rows += published.rows(cell, tuple(measured), before=3, after=len(budgets))
    floors = [interval(list(task.floor(f"{name}{FLOOR}").values())) for name in measured]
    seeds = max((floor.n for floor in floors), default=0)
    known = (floor if floor.n else None for floor in floors)
    rows.append(Row(("floor", seeds, None, None, *known, *[None] * len(budgets)), aside=True))
    return Part(task.title, tuple(rows))


def _best(task: Task, name: str, column: Column) -> CellView | None:
    """The cell with the best mean, where the paired interval of its difference to the runner-up leaves out zero."""
    if column.direction == "floor":
        return None
    sign = 1 if column.direction == "up" else -1
    finals = [(cell, cell.final(name)) for cell in task.cells]
    ranked = sorted(
        ((cell, final) for cell, final in finals if final),
        key=lambda one: -sign * math.fsum(one[1].values()) / len(one[1]),
    )
    if len(ranked) < 2:
        return None
    (winner, first), (_, second) = ranked[:2]
    gap = paired_difference(first, second)
    clear = sign * (gap.low if sign > 0 else gap.high) > 0
    return winner if clear and gap.n >= FEWEST_PAIRS else None


def _mean(cell: CellView, name: str) -> Entry:
    values = list(cell.final(name).values())
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    return int(mean) if name != "cpu_seconds" and mean.is_integer() else mean


def drawings(view: View, load: figures.Load) -> list[Drawing]:
    """Samples; modes, distance and losses over steps; of a search, the best of each objective, and how many it took."""
    tasks = compared(view)
    cells = [cell for task in tasks for cell in task.cells]
    colours = style.colours(cell.objective for cell in view.cells)
    told = captions.sentences(
        search.OPTIMISTIC if any(task.drawn for task in tasks) else "", captions.budget(cells), captions.origin(view)
    )
    load = _once(load)
    pictured = albums.read(tasks, load, "emd")
    result = [drawing for album in pictured for drawing in images.drawings(album, colours, told)]
    planar = [task for task in tasks if task not in [album.task for album in pictured]]
    portraits = figures.samples(planar, load, colours, "emd")
    if portraits is not None:
        own = [cell for task in planar for cell in task.cells]
        result.append(Drawing("samples", "Samples", _samples_caption(own, portraits[1], told), portraits[0]))
    for name, title, shown in CURVES:
        present = [[curve] for curve in shown if curve.column in view.rows.columns]
        measured = [task for task in tasks if any(_has(task, curve.column) for curve in shown)]
        if measured:
            figure, left_out = figures.curves(measured, present, colours)
            own = [cell for task in measured for cell in task.cells]
            result.append(Drawing(name, title, _curves_caption(own, title, left_out, told), figure))
    losses = [curve for curve in LOSSES if curve.column in view.rows.columns]
    if losses and tasks:
        figure, left_out = figures.curves(tasks, [losses], colours, apart=True)
        result.append(Drawing("losses", "Losses", _losses_caption(cells, left_out, told), figure))
    probed = probes.drawing(view)
    return [*result, *([probed] if probed is not None else []), *search.drawings(view, colours)]


def compared(view: View) -> list[Task]:
    """The tasks with the cells that figures compare: those that a person chose, and the best of searches."""
    tasks = [task.only([*task.chosen, *search.best(task)]) for task in view.tasks]
    return [task for task in tasks if task.cells]


def _once(load: figures.Load) -> figures.Load:
    """The same, but what could not be read is not tried again: it would be told twice."""
    missing: set[tuple[str, int]] = set()

    def first(cell: CellView, seed: int) -> Mapping[str, figures.Points] | None:
        found = load(cell, seed) if (cell.id, seed) not in missing else None
        if found is None:
            missing.add((cell.id, seed))
        return found

    return first


def _has(task: Task, column: str) -> bool:
    """Whether a run has a value of the column at some step."""
    return any(not cell.curves(column).empty for cell in task.cells)


def _caption(
    view: View,
    cells: Sequence[CellView],
    measured: Mapping[str, Column],
    budgets: Mapping[str, str],
    published: Published,
) -> str:
    units = "; ".join(
        f"{captions.inside(column.label)} in {column.unit}"
        for column in measured.values()
        if column.unit and column.unit.split()[0] not in column.label.lower()
    )
    return captions.sentences(
        f"Mean over the n runs that ended well, of {captions.seeds(cells)} a cell, at their last step, with its "
        f"{BOOTSTRAP} over seeds, expanded for small n.",
        "Div.: runs that diverged; Lost: runs that failed, were skipped or are missing; neither has a value.",
        captions.skipped((cell.label, cell) for cell in cells),
        "Bold: the best mean, where the 95 % interval of its difference to the runner-up, paired by seed over at least "
        f"{FEWEST_PAIRS} seeds, leaves out zero.",
        "Floor: fresh real samples, as many, in place of generated ones.",
        "=: best at the floor, neither above it nor below."
        if any(column.direction == "floor" for column in measured.values())
        else "",
        published.caption,
        captions.measured_on(cells),
        captions.judges(cells),
        captions.parts(cells),
        f"Units: {units}." if units else "",
        captions.budget(cells, budgets),
        captions.origin(view),
    )


def _samples_caption(cells: Sequence[CellView], left_out: int, told: str) -> str:
    return captions.sentences(
        f"Last samples of the median seed by EMD of {captions.seeds(cells)} (lower middle of those that ended well), "
        f"beside real ones; at most {figures.MOST_POINTS:,} points. Circles: around the centres of the modes, not to "
        "scale.",
        "Covered modes by the one-sample rule and by mass.",
        "Panels of a data set have the frame of its real samples; the share outside is told from half a percent on.",
        _no_room(left_out),
        told,
    )


def _curves_caption(cells: Sequence[CellView], title: str, left_out: int, told: str) -> str:
    return captions.sentences(
        f"{title} over steps, of which each is {captions.STEP}. Thick: mean over {captions.seeds(cells)}; band: its "
        f"{BOOTSTRAP}, expanded for small n; thin: single seeds, with a cross where a run diverged, after which the "
        "mean is over the others. Dashed: fresh real samples in place of generated ones, the mean over seeds.",
        _no_room(left_out),
        captions.measured_on(cells),
        told,
    )


def _losses_caption(cells: Sequence[CellView], left_out: int, told: str) -> str:
    return captions.sentences(
        "Losses as they are minimised, a panel and a scale for each objective, since losses of different objectives "
        f"cannot be compared. Solid: critic; dashed: generator. Thick: mean over {captions.seeds(cells)}; band: its "
        f"{BOOTSTRAP}, expanded for small n; thin: single seeds, with a cross where a run diverged.",
        _no_room(left_out),
        told,
    )


def _no_room(left_out: int) -> str:
    return f"Cells that this figure has no room for: {left_out}." if left_out else ""
