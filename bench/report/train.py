"""What the experiment ``train`` shows: a table of quality beside budget, and figures of samples and of curves.

The cells of a search are too many for rows and lines of their own: `bench.report.search` shows them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from bench.metrics import FLOOR, METRICS, Column
from bench.report import (
    albums,
    captions,
    figures,
    images,
    mode_maps,
    probes,
    profiles,
    search,
    style,
    summary_train,
)
from bench.report.captions import BOOTSTRAP, BUDGETS
from bench.report.choices import DEFAULTS, Choices
from bench.report.figures import Curve, Drawing
from bench.report.published import Published
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, Task, View
from bench.statistics import Estimator, interval, mean

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
"""Below, no interval covers what it says, and nothing is called worse."""


def tables(view: View, choices: Choices = DEFAULTS) -> list[Table]:
    """The chosen cells with a part for each task, what only images have in a table of its own, and searches.

    Raises:
        UserError: a chosen metric was not measured.
    """
    budgets = {key: label for key, label in BUDGETS.items() if key in view.rows.columns}
    choices.check([*view.measured, *budgets])
    tasks = [task.only(task.chosen) for task in view.tasks if task.chosen]
    measured = choices.kept(view.measured)
    of_images = {name: column for name, column in measured.items() if name in _OF_IMAGES}
    others = {name: column for name, column in measured.items() if name not in _OF_IMAGES}
    pictured = [task for task in tasks if any(_has(task, name) for name in of_images)]
    plain = tasks if others or not of_images else []
    told = choices.kept(budgets)
    found = [_quality(view, choices, plain, others, told, "quality", "Results")] if plain else []
    found += [_quality(view, choices, pictured, of_images, {}, "images", "Images")] if pictured else []
    return [*found, *search.tables(view)]


def _quality(
    view: View,
    choices: Choices,
    tasks: Sequence[Task],
    measured: Mapping[str, Column],
    budgets: Mapping[str, str],
    name: str,
    title: str,
) -> Table:
    headings = (
        Heading("objective", "Objective"),
        Heading("n", "n"),
        Heading("diverged", "Div."),
        Heading("lost", "Lost"),
        *(Heading(key, column.label, column.direction) for key, column in measured.items()),
        *(Heading(key, label) for key, label in budgets.items()),
    )
    cells = [cell for task in tasks for cell in task.cells]
    published = Published(view, cells, measured)
    parts = tuple(_part(task, choices, measured, tuple(budgets), published) for task in tasks)
    means = bool(budgets) and choices.estimator != "mean"
    return Table(name, _caption(view, choices, cells, measured, published, means), headings, parts, title)


def _part(
    task: Task, choices: Choices, measured: Mapping[str, Column], budgets: Sequence[str], published: Published
) -> Part:
    rows = []
    best = {name: _best(task, name, column, choices.estimate) for name, column in measured.items()}
    for cell in task.cells:
        entries: list[Entry] = [cell.label, cell.outcomes.ok, cell.outcomes.diverged, cell.outcomes.lost]
        entries += [interval(list(cell.final(name).values()), choices.estimate) for name in measured]
        entries += [_mean(cell, name) for name in budgets]
        rows.append(Row(tuple(entries), frozenset(name for name, cells in best.items() if cell in cells)))
        rows += published.rows(cell, tuple(measured), before=3, after=len(budgets))
    floors = [interval(list(task.floor(f"{name}{FLOOR}").values()), choices.estimate) for name in measured]
    seeds = max((floor.n for floor in floors), default=0)
    known = (floor if floor.n else None for floor in floors)
    rows.append(Row(("floor", seeds, None, None, *known, *[None] * len(budgets)), aside=True))
    return Part(task.title, tuple(rows), f"{task.dataset} {task.variant} {task.arm}")


def _best(task: Task, name: str, column: Column, estimator: Estimator = mean) -> tuple[CellView, ...]:
    """The cell with the best estimate, and those that cannot be told from it; none where none can be told apart.

    Two are told apart by the interval of the estimator of their differences, paired by seed: it leaves out zero. Cells
    that share fewer than ``FEWEST_PAIRS`` seeds with the best are neither worse nor tied with it.
    """
    if column.direction == "floor":
        return ()
    sign = 1 if column.direction == "up" else -1
    finals = [(cell, cell.final(name)) for cell in task.cells]
    known = [(cell, final, sign * float(estimator(np.array(list(final.values()))))) for cell, final in finals if final]
    if not known:
        return ()
    winner, first, _ = max(known, key=lambda one: one[2])
    tied, worse = [winner], 0
    for cell, final, _ in known:
        seeds = sorted(first.keys() & final.keys())
        if cell is winner or len(seeds) < FEWEST_PAIRS:
            continue
        gap = interval([sign * (first[seed] - final[seed]) for seed in seeds], estimator)
        worse += gap.low > 0
        tied += [cell] if gap.low <= 0 else []
    return tuple(tied) if worse else ()


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
    faces = figures.faces(planar, load, "emd")
    portraits = figures.samples(faces, colours)
    if portraits is not None:
        own = [cell for task in planar for cell in task.cells]
        result.append(Drawing("samples", "Samples", _samples_caption(own, portraits[1], told), portraits[0]))
    modes = mode_maps.read(tasks, load)
    result += filter(None, [mode_maps.drawing(tasks, modes, colours, told)])
    for name, title, shown in CURVES:
        present = [[curve] for curve in shown if curve.column in view.rows.columns]
        measured = [task for task in tasks if any(_has(task, curve.column) for curve in shown)]
        if measured:
            figure, left_out = figures.curves(measured, present, colours)
            own = [cell for task in measured for cell in task.cells]
            result.append(Drawing(name, title, _curves_caption(own, title, left_out, told), figure))
    result += filter(None, [profiles.drawing(tasks, colours, "emd", "EMD", told)])
    losses = [curve for curve in LOSSES if curve.column in view.rows.columns]
    if losses and tasks:
        figure, left_out = figures.curves(tasks, [losses], colours, apart=True)
        result.append(Drawing("losses", "Losses", _losses_caption(cells, left_out, told), figure))
    result += filter(None, [probes.drawing(view)])
    if any(task.drawn for task in view.tasks):
        return [*search.drawings(view, colours), *result]
    return [summary_train.drawing(view, tasks, faces, pictured, modes, colours), *result] if result else []


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
    choices: Choices,
    cells: Sequence[CellView],
    measured: Mapping[str, Column],
    published: Published,
    means: bool,
) -> str:
    units = "; ".join(
        f"{captions.inside(column.label)} in {column.unit}"
        for column in measured.values()
        if column.unit and column.unit.split()[0] not in column.label.lower()
    )
    return captions.sentences(
        f"{choices.word.capitalize()} over the n runs that ended well, of {captions.seeds(cells)} a cell, at their "
        f"last step, with its {BOOTSTRAP} over seeds, expanded for small n.",
        "Div.: runs that diverged; Lost: runs that failed, were skipped or are missing; neither has a value.",
        captions.skipped((cell.label, cell) for cell in cells),
        f"Bold: the best and those that cannot be told from it: the 95 % interval of their {choices.word} difference "
        f"to it, paired by seed over at least {FEWEST_PAIRS} seeds, holds zero; nothing where all of them do.",
        "Floor: fresh real samples, as many, in place of generated ones.",
        "=: best at the floor, neither above it nor below."
        if any(column.direction == "floor" for column in measured.values())
        else "",
        published.caption,
        captions.measured_on(cells),
        captions.judges(cells),
        captions.parts(cells),
        f"Units: {units}." if units else "",
        captions.budget(cells),
        "Steps and seconds are means." if means else "",
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
