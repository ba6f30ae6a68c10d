"""What searches found: the expected best against the number of settings tried, and the best setting there was.

After Lucic et al. 2018 (arXiv:1711.10337): most objectives reach similar scores once enough settings are tried, so that
a score says little without the number of settings that it took.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator

from bench import records
from bench.metrics import FLOOR, all_columns
from bench.report import captions, style
from bench.report.captions import BOOTSTRAP
from bench.report.figures import MOST_PANELS, Curve, Drawing, even_rows, label_columns
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, Task, View
from bench.statistics import Array, Estimate, best_of, interval

CHOSEN_BY = "emd"
SHOWN = (
    Curve("emd", "EMD", log=True),
    Curve("modes_covered_by_mass", "modes (mass rule)"),
    Curve("modes_covered", "modes (one-sample rule)"),
)
DRAWS = (1, 4, 16, 64)
MOST_DRAWS = 40
"""Numbers of settings tried in the table, beside all of them; how many a line of the figure has."""

OPTIMISTIC = (
    "Of a search, the best setting of each objective by EMD: chosen by this outcome, after the fact, so that its "
    "values are optimistic."
)


@dataclass(frozen=True, eq=False)
class Search:
    """The settings that an objective tried on a task: the drawn cells with a run that ended, well or badly."""

    task: Task
    objective: str
    cells: tuple[CellView, ...]
    left_out: int
    """Settings whose runs were all skipped or are missing."""

    def with_a_run(self, *statuses: str) -> int:
        """How many settings have a run that ended so."""
        return sum(bool(cell.ended(*statuses)) for cell in self.cells)

    def values(self, column: str) -> Array:
        """The column at the end of each setting [n], the mean over its seeds.

        A run that diverged, failed or ended without a finite value counts for 0 where more is better; where less is,
        for the worst value that any drawn setting of the task ended with, or NaN where none ended with one.
        """
        ended = [value for cell in self.task.drawn for value in cell.final(column).values()]
        worst = 0.0 if _way(column) == "up" else max(ended, default=math.nan)
        means = []
        for cell in self.cells:
            final, seeds = cell.final(column), _tried(cell)
            means.append(math.fsum(final.get(seed, worst) for seed in seeds) / len(seeds))
        return np.array(means)

    def expected(self, column: str, draws: Sequence[int]) -> list[Estimate] | None:
        """The expected best of as many settings; None where there are no values."""
        values = self.values(column)
        return best_of(values, draws, _way(column)) if len(values) and np.isfinite(values).all() else None

    @cached_property
    def best(self) -> CellView | None:
        """The setting with the least EMD; None where no run ended well."""
        values = dict(zip(self.cells, self.values(CHOSEN_BY), strict=True))
        return min((cell for cell in self.cells if cell.final(CHOSEN_BY)), key=values.__getitem__, default=None)


def searches(task: Task) -> list[Search]:
    """The searches on a task, in the order of the grid; none as long as none of them has tried a setting."""
    found = []
    for objective in dict.fromkeys(cell.objective for cell in task.drawn):
        cells = [cell for cell in task.drawn if cell.objective == objective]
        tried = tuple(cell for cell in cells if _tried(cell))
        found.append(Search(task, objective, tried, len(cells) - len(tried)))
    return found if any(search.cells for search in found) else []


def best(task: Task) -> list[CellView]:
    """The best setting of each search on a task, under a label that says so."""
    return [
        replace(search.best, variant=f"best of {len(search.cells)} settings")
        for search in searches(task)
        if search.best is not None
    ]


def tables(view: View) -> list[Table]:
    """The expected best by the number of settings tried, and the best settings; nothing where none was drawn."""
    found = [search for task in view.tasks for search in searches(task)]
    return [_expected(view, found), _best(view, found)] if found else []


def _expected(view: View, found: Sequence[Search]) -> Table:
    most = max(len(search.cells) for search in found)
    draws = [k for k in DRAWS if k < most]
    headings = (
        Heading("objective", "Objective"),
        Heading("settings", "Settings"),
        Heading("diverged", "Div."),
        Heading("failed", "Failed"),
        *(Heading(f"best_of_{k}", f"Best of {k}", scale="best") for k in [*draws, "all"]),
    )
    parts = []
    for task in _tasks(found):
        for curve in _shown(task):
            rows = [_row(search, curve.column, draws) for search in searches(task)]
            floor = _floor(task, curve.column)
            rows.append(Row(("floor", *[None] * 3, *[floor] * (len(draws) + 1)), aside=True))
            way = "more is better" if _way(curve.column) == "up" else "less is better"
            parts.append(Part(f"{task.title}: {all_columns()[curve.column].label}, {way}", tuple(rows)))
    return Table("search", _expected_caption(view, found), headings, tuple(parts), "Search")


def _row(search: Search, column: str, draws: Sequence[int]) -> Row:
    n = len(search.cells)
    own = [k for k in draws if k <= n]
    expected: Sequence[Entry] = search.expected(column, [*own, n]) or [None] * (len(own) + 1)
    counts = (n, search.with_a_run("diverged"), search.with_a_run(*records.FAILED))
    return Row((search.objective, *counts, *expected[:-1], *[None] * (len(draws) - len(own)), expected[-1]))


def _best(view: View, found: Sequence[Search]) -> Table:
    measured = view.measured
    headings = (
        Heading("objective", "Objective"),
        Heading("draw", "Draw"),
        Heading("n", "n"),
        *(Heading(name, column.label, column.direction) for name, column in measured.items()),
        Heading("settings", "Settings", words=True),
    )
    parts = []
    for task in _tasks(found):
        rows = []
        for search in searches(task):
            cell = search.best
            entries: list[Entry] = [None] * len(measured)
            if cell is not None:
                entries = [interval(list(cell.final(name).values())) for name in measured]
                rows.append(Row((search.objective, cell.draw, cell.outcomes.ok, *entries, cell.variant)))
            else:
                rows.append(Row((search.objective, None, 0, *entries, "none ended well")))
        floors = [_floor(task, name) for name in measured]
        rows.append(Row(("floor", None, max((f.n for f in floors if f), default=0), *floors, None), aside=True))
        parts.append(Part(task.title, tuple(rows)))
    caption = captions.sentences(
        f"{OPTIMISTIC} Draw: the number of the setting in the search. Mean over the n runs that ended well, with its "
        f"{BOOTSTRAP} over seeds where there are several. Settings: all in which the settings of its objective differ.",
        "Floor: fresh real samples, as many, in place of generated ones.",
        captions.measured_on(_cells(found)),
        captions.judges(_cells(found)),
        captions.origin(view),
    )
    return Table("search_best", caption, headings, tuple(parts), "Best settings")


def drawings(view: View, colours: Mapping[str, str]) -> list[Drawing]:
    """The expected best against the number of settings tried; nothing where none was drawn."""
    found = [search for task in view.tasks for search in searches(task)]
    rows = [
        [(task, curve) for task in together if curve in _shown(task)]
        for together in even_rows(_tasks(found))
        for curve in SHOWN
    ]
    rows = [row for row in rows if row]
    if not rows:
        return []
    abreast = max(len(row) for row in rows)
    left_out = sum(map(len, rows[MOST_PANELS // abreast :]))
    rows = rows[: MOST_PANELS // abreast]
    height = style.panel_height(1 + max(len(searches(task)) for row in rows for task, _ in row))
    figure = style.new_figure(
        (height + 0.55) * len(rows) + 0.25, style.PAGE_WIDTH if abreast > 1 else style.COLUMN_WIDTH
    )
    grid = figure.subplots(len(rows), abreast, squeeze=False, sharex="col")
    for axes, row in zip(grid, rows, strict=True):
        for one, (task, curve) in zip(axes, row, strict=False):
            _draw(one, task, curve, colours, height)
        axes[0].set_ylabel(row[0][1].label)
        for one in axes[len(row) :]:
            one.set_axis_off()
    label_columns(figure, grid, "settings tried")
    caption = captions.sentences(
        "Thick: against the number k of settings tried; bands: the intervals; dashed: the floor.",
        f"Panels that this figure has no room for: {left_out}." if left_out else "",
        _expected_caption(view, found),
    )
    return [Drawing("best_of_k", "Best of k settings", caption, figure)]


def _draw(axes: Axes, task: Task, curve: Curve, colours: Mapping[str, str], height: float) -> None:
    axes.set_title(style.plain(task.label), loc="left")
    ends = []
    most = 1
    for search in searches(task):
        n, colour = len(search.cells), colours[search.objective]
        draws = np.unique(np.geomspace(1, max(1, n), MOST_DRAWS).round().astype(int)).tolist()
        expected = search.expected(curve.column, draws)
        name = style.plain(search.objective, 30)
        if expected is None:
            ends.append((math.nan, f"{name} (no value)", colour))
            continue
        most = max(most, n)
        low, high, centre = ([getattr(e, part) for e in expected] for part in ("low", "high", "value"))
        axes.fill_between(draws, low, high, color=colour, alpha=0.18, linewidth=0, zorder=2.5)
        axes.plot(draws, centre, color=colour, marker="." if n == 1 else None, zorder=4)
        ends.append((centre[-1], name, colour))
    floor = _floor(task, curve.column)
    if floor is not None:
        axes.axhline(floor.value, color=style.GREY, linestyle="--", linewidth=0.9, zorder=1.5)
        ends.append((floor.value, "real samples", style.GREY))
    style.log_steps(axes, [1])
    axes.xaxis.set_major_locator(FixedLocator([4**power for power in range(20) if 4**power <= most]))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    if curve.log:
        style.log_values(axes)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(y=0.08)
    axes.autoscale_view()
    style.label_ends(axes, ends, height)


def _expected_caption(view: View, found: Sequence[Search]) -> str:
    how = view.manifest.get("search")
    seed = f", by search seed {how['seed']}" if how else ""
    left_out = sum(search.left_out for search in found)
    return captions.sentences(
        "Expected best of k of the settings that were tried (exact, without replacement), with its "
        f"{BOOTSTRAP} over settings, which near k = all reaches to the worse side alone. Settings were drawn at "
        f"random{seed}. The best is taken by the value that is shown, on the seeds that it was found with: the larger "
        "k, the more optimistic for fresh seeds.",
        f"Value of a setting: at its last step, the mean over {captions.seeds(_cells(found))}. Div., Failed: settings "
        "with such a run; it counts for 0 modes, and for the worst EMD that a setting of its part ended with.",
        f"Settings that were skipped or are missing, left out: {left_out}." if left_out else "",
        captions.skipped((cell.objective, cell) for task in _tasks(found) for cell in task.drawn),
        "Floor: fresh real samples in place of generated ones.",
        captions.measured_on(_cells(found)),
        captions.judges(_cells(found)),
        captions.budget(_cells(found)),
        captions.origin(view),
    )


def _tasks(found: Sequence[Search]) -> list[Task]:
    return list(dict.fromkeys(search.task for search in found))


def _cells(found: Sequence[Search]) -> list[CellView]:
    return [cell for search in found for cell in search.cells]


def _tried(cell: CellView) -> list[int]:
    """The seeds whose run ended, well or badly."""
    return cell.ended("ok", "diverged", *records.FAILED)


def _shown(task: Task) -> list[Curve]:
    """What was read from the samples of the task's drawn cells, or from real ones in their place."""
    frames = [cell.rows for cell in task.drawn]
    return [
        curve
        for curve in SHOWN
        if any(
            frame[name].notna().any()
            for frame in frames
            for name in (curve.column, f"{curve.column}{FLOOR}")
            if name in frame
        )
    ]


def _floor(task: Task, column: str) -> Estimate | None:
    floor = interval(list(task.floor(f"{column}{FLOOR}").values()))
    return floor if floor.n else None


def _way(column: str) -> Literal["up", "down"]:
    return "up" if all_columns()[column].direction == "up" else "down"
