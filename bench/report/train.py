"""What the experiment ``train`` shows: a table of quality beside budget, and figures of samples and of curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from bench.metrics import FLOOR, Column, all_columns
from bench.report import figures, style
from bench.report.figures import Curve, Drawing
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, Task, View
from bench.statistics import interval, paired_difference

BUDGETS = {
    "generator_steps": "Generator steps",
    "critic_steps_done": "Critic steps",
    "cpu_seconds": "CPU seconds",
}
CURVES = (
    (
        "modes_covered",
        "Modes covered",
        (Curve("modes_covered", "modes (one-sample rule)"), Curve("modes_covered_by_mass", "modes (mass rule)")),
    ),
    ("emd", "Earth mover's distance", (Curve("emd", "EMD", log=True),)),
)
LOSSES = (Curve("critic_loss", "critic"), Curve("generator_loss", "generator", "--"))
FEWEST_PAIRS = 5
"""Below, no interval covers what it says, and nothing is called best."""


def tables(view: View) -> list[Table]:
    """One table, a part for each task."""
    measured = {
        name: column
        for name, column in all_columns().items()
        if column.direction != "none" and name in view.rows.columns
    }
    budgets = {name: label for name, label in BUDGETS.items() if name in view.rows.columns}
    headings = (
        Heading("objective", "Objective"),
        Heading("n", "n"),
        Heading("diverged", "Div."),
        Heading("lost", "Lost"),
        *(Heading(name, column.label, column.direction) for name, column in measured.items()),
        *(Heading(name, label) for name, label in budgets.items()),
    )
    parts = tuple(_part(task, measured, tuple(budgets)) for task in view.tasks)
    return [Table("quality", _caption(view, measured, budgets), headings, parts)]


def _part(task: Task, measured: dict[str, Column], budgets: Sequence[str]) -> Part:
    rows = []
    best = {name: winner for name, column in measured.items() if (winner := _best(task, name, column)) is not None}
    for cell in task.cells:
        entries: list[Entry] = [cell.label, cell.outcomes.ok, cell.outcomes.diverged, cell.outcomes.lost]
        entries += [interval(list(cell.final(name).values())) for name in measured]
        entries += [_mean(cell, name) for name in budgets]
        rows.append(Row(tuple(entries), frozenset(name for name, winner in best.items() if winner is cell)))
    floors = [interval(list(task.floor(f"{name}{FLOOR}").values())) for name in measured]
    seeds = max((floor.n for floor in floors), default=0)
    known = (floor if floor.n else None for floor in floors)
    rows.append(Row(("floor", seeds, None, None, *known, *[None] * len(budgets)), aside=True))
    total = task.total("modes_total")
    return Part(f"{task.label}, {total:g} modes" if total else task.label, tuple(rows))


def _best(task: Task, name: str, column: Column) -> CellView | None:
    """The cell with the best mean, where the paired interval of its difference to the runner-up leaves out zero."""
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
    """Samples, and modes, distance and losses over steps."""
    tasks = view.tasks
    colours = style.colours(cell.objective for cell in view.cells)
    result = []
    portraits = figures.samples(tasks, load, colours, "emd")
    if portraits is not None:
        result.append(Drawing("samples", "Samples", _samples_caption(view, portraits[1]), portraits[0]))
    for name, title, shown in CURVES:
        present = [[curve] for curve in shown if curve.column in view.rows.columns]
        if present:
            figure, left_out = figures.curves(tasks, present, colours)
            result.append(Drawing(name, title, _curves_caption(view, title, left_out), figure))
    losses = [curve for curve in LOSSES if curve.column in view.rows.columns]
    if losses:
        figure, left_out = figures.curves(tasks, [losses], colours, apart=True)
        result.append(Drawing("losses", "Losses", _losses_caption(view, left_out), figure))
    return result


def _caption(view: View, measured: Mapping[str, Column], budgets: Mapping[str, str]) -> str:
    units = "; ".join(
        f"{_inside(column.label)} in {column.unit}"
        for column in measured.values()
        if column.unit and column.unit.split()[0] not in column.label.lower()
    )
    return _sentences(
        f"Mean over the n runs that ended well, of {_seeds(view)} a cell, at their last step, with its 95 % percentile "
        "bootstrap interval over seeds, expanded for small n.",
        "Div.: runs that diverged; Lost: runs that failed, were skipped or are missing; neither has a value.",
        "Bold: the best mean, where the 95 % interval of its difference to the runner-up, paired by seed over at least "
        f"{FEWEST_PAIRS} seeds, leaves out zero.",
        "Floor: fresh real samples, as many, in place of generated ones.",
        _measured_on(view),
        f"Units: {units}." if units else "",
        _budget(view, budgets),
        _origin(view),
    )


def _samples_caption(view: View, left_out: int) -> str:
    return _sentences(
        f"Last samples of the median seed by EMD of {_seeds(view)} (lower middle of those that ended well), beside "
        f"real ones; at most {figures.MOST_POINTS:,} points. Circles: around the centres of the modes, not to scale.",
        "Covered modes by the one-sample rule and by mass.",
        "Panels of a data set have the frame of its real samples; the share outside is told from half a percent on.",
        _no_room(left_out),
        _budget(view, BUDGETS),
        _origin(view),
    )


def _curves_caption(view: View, title: str, left_out: int) -> str:
    return _sentences(
        f"{title} over generator steps. Thick: mean over {_seeds(view)}; band: its 95 % percentile bootstrap interval, "
        "expanded for small n; thin: single seeds, with a cross where a run diverged, after which the mean is over the "
        "others. Dashed: fresh real samples in place of generated ones, the mean over seeds.",
        _no_room(left_out),
        _measured_on(view),
        _budget(view, BUDGETS),
        _origin(view),
    )


def _losses_caption(view: View, left_out: int) -> str:
    return _sentences(
        "Losses as they are minimised, a panel and a scale for each objective, since losses of different objectives "
        f"cannot be compared. Solid: critic; dashed: generator. Thick: mean over {_seeds(view)}; band: its 95 % "
        "percentile bootstrap interval, expanded for small n; thin: single seeds, with a cross where a run diverged.",
        _no_room(left_out),
        _budget(view, BUDGETS),
        _origin(view),
    )


def _no_room(left_out: int) -> str:
    return f"Cells that this figure has no room for: {left_out}." if left_out else ""


def _seeds(view: View) -> str:
    counts = sorted({len(cell.seeds) for cell in view.cells})
    return f"{_either(map(str, counts))} seed{'s' * (counts != [1])}"


def _measured_on(view: View) -> str:
    told = []
    for column, words in (("evaluate.n", "{} generated samples"), ("emd_n", "EMD on {} of them")):
        values = sorted({value for cell in view.cells for value in cell.final(column).values()})
        if values:
            told.append(words.format(_either(f"{value:,.0f}" for value in values)))
    return f"Measured on {', '.join(told)}." if told else ""


def _budget(view: View, budgets: Mapping[str, str]) -> str:
    """In what the runs' budgets are equal, and in what they are not."""
    same, other = [], []
    for name, label in budgets.items():
        values = {value for cell in view.cells for value in cell.final(name).values()}
        if len(values) == 1:
            same.append(f"{_inside(label)} ({values.pop():,.0f})")
        elif values:
            other.append(_inside(label))
    told = [f"equal in {' and '.join(same)}" if same else "", f"not in {' and '.join(other)}" if other else ""]
    return f"Budget: {', '.join(filter(None, told))}." if same or other else ""


def _origin(view: View) -> str:
    return f"Grid: {view.grid}; {view.outcomes}; commit {view.commit}."


def _inside(label: str) -> str:
    """The label inside a sentence."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def _either(words: Iterable[str]) -> str:
    return " or ".join(words)


def _sentences(*parts: str) -> str:
    return " ".join(filter(None, parts))
