"""The summary of trained grids: for each task samples, distance over steps, modes and final values, on one page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bench.metrics import FLOOR
from bench.report import captions, mode_maps, sheets, style
from bench.report.albums import Album, evenly
from bench.report.captions import BOOTSTRAP
from bench.report.figures import Curve, Drawing, Portrait, draw_curve, portray, tints_of
from bench.report.mode_maps import MOST_MODES, Array
from bench.report.summary import HEIGHT, MARGIN, NAME, TITLE, Page, head_height
from bench.report.view import CellView, Task, View
from bench.statistics import interval

MOST_TASKS = 4
MOST_CELLS = 8
ABREAST = 4
"""Tasks of a page, cells of a task, their samples side by side."""
TALLEST = 2.9
"""Inches of a task, of which a page with few has room for more."""
FOOT = 0.62
SPLIT = 3.32
"""Inches of the key at the foot; where what is over steps ends and what is by cell begins."""
NAMES, STRIPS, DOTS, NUMBER = 0.8, 0.84, 0.56, 0.36
"""Inches: the columns of what is by cell."""
FINALS = (
    ("modes_covered_by_mass", "modes (mass)", False),
    ("emd", "EMD", True),
)
"""Columns, their labels, and whether they are compared by ratio."""


def drawing(
    view: View,
    tasks: Sequence[Task],
    faces: Mapping[Task, Sequence[Portrait]],
    pictured: Sequence[Album],
    modes: Mapping[str, Array],
    colours: Mapping[str, str],
) -> Drawing:
    """The page of the first tasks that there is room for."""
    shown = [task.only(task.cells[:MOST_CELLS]) for task in tasks[:MOST_TASKS]]
    height = min(TALLEST, (HEIGHT - head_height(view) - FOOT) / len(shown))
    page = Page(view, height * len(shown) + FOOT)
    images = {album.task.label: album for album in pictured}
    portraits = {task.label: own for task, own in faces.items()}
    modes = {**modes, **_classes(pictured)}
    for place, task in enumerate(shown):
        top = page.top + place * height
        page.text(MARGIN, top + 0.08, style.plain(task.title, 90), size=9, weight="bold")
        inner, room = top + 0.22, height - 0.34
        album = images.get(task.label)
        depth = _tiles(page, task, album, inner, colours) if album else None
        depth = depth or _samples(page, task, portraits.get(task.label, ()), inner, room * 0.46, colours)
        _curve(page, task, inner + depth + 0.18, room - depth - 0.32, colours)
        _by_cell(page, task, inner, room, modes, colours)
    left_out = len(tasks) - len(shown)
    _foot(page, bool(modes), left_out)
    return Drawing(NAME, TITLE, _caption(view, tasks, shown, left_out), page.figure)


def _classes(pictured: Sequence[Album]) -> dict[str, Array]:
    """Of each class of images the share over its weight [S, K], by the cell's id."""
    found = {}
    for face in (face for album in pictured for face in album.faces):
        runs = [run.classes for run in face.runs.values() if run.classes is not None]
        rows = [one.shares / one.weights for one in runs if len(one.weights) <= MOST_MODES and one.weights.min() > 0]
        alike = [row for row in rows if len(row) == len(rows[0])]
        if alike:
            found[face.cell.id] = np.stack(alike)
    return found


def _name(task: Task, cell: CellView, longest: int) -> str:
    """What tells a cell from the others in a word: its objective, or in what it differs from others of that."""
    alone = sum(other.objective == cell.objective for other in task.cells) == 1
    return style.plain(cell.objective if alone or not cell.variant else cell.variant, longest)


def _samples(
    page: Page, task: Task, portraits: Sequence[Portrait], top: float, room: float, colours: Mapping[str, str]
) -> float:
    """Samples of the median seeds side by side; gives how many inches they take."""
    own = [portrait for portrait in portraits if portrait.cell is not None][:MOST_CELLS]
    if not own:
        return 0.0
    rows = -(-len(own) // ABREAST)
    pitch = (SPLIT - 0.1 - MARGIN) / ABREAST
    side = min(pitch - 0.06, room / rows - 0.16)
    for place, portrait in enumerate(own):
        row, column = divmod(place, ABREAST)
        left = MARGIN + column * pitch + (pitch - side) / 2
        axes = page.axes(left, top + 0.14 + row * (side + 0.16), side, side)
        assert portrait.cell is not None
        if portrait.means is None:
            portray(axes, Portrait(None, "", portrait.real, real=portrait.real), colours)
        portray(axes, replace(portrait, title="", note=""), colours)
        axes.set(xlabel="", title="")
        name, colour = _name(task, portrait.cell, 15), colours[portrait.cell.objective]
        page.text(left + side / 2, top + 0.07 + row * (side + 0.16), name, size=6.5, colour=colour, ha="center")
    return rows * (side + 0.16)


def _tiles(page: Page, task: Task, album: Album, top: float, colours: Mapping[str, str]) -> float:
    """Images of the median seeds side by side."""
    pitch = (SPLIT - 0.1 - MARGIN) / ABREAST
    side = pitch - 0.06
    for place, face in enumerate(album.faces[:ABREAST]):
        tiles = face.middle.sheet if face.middle else None
        left = MARGIN + place * pitch
        name, colour = _name(task, face.cell, 15), colours[face.cell.objective]
        page.text(left + side / 2, top + 0.07, name, size=6.5, colour=colour, ha="center")
        if tiles is None:
            page.text(left + side / 2, top + 0.14 + side / 2, "no samples", colour=style.GREY, ha="center")
            continue
        axes = page.axes(left, top + 0.14, side, side)
        axes.imshow(sheets.mosaic(tiles[:16], 4), interpolation="nearest")
        axes.set_axis_off()
    return side + 0.16


def _curve(page: Page, task: Task, top: float, height: float, colours: Mapping[str, str]) -> None:
    """The distance over steps, with the floor."""
    axes = page.axes(0.42, top, SPLIT - 0.42 - 0.86, height)
    tints = tints_of(task.cells, colours)
    ends = []
    curve = Curve("emd", "EMD", log=True)
    for cell in task.cells:
        last = draw_curve(axes, cell, curve, tints[cell.id])
        ends.append((last, _name(task, cell, 17), tints[cell.id]))
    floor = _floor(task, "emd")
    if floor is not None:
        axes.axhline(floor, color=style.GREY, linestyle="--", linewidth=0.9, zorder=1.5)
        ends.append((floor, "real samples", style.GREY))
    style.log_steps(axes, {float(step) for cell in task.cells for step in cell.observed})
    style.log_values(axes)
    axes.margins(y=0.08)
    axes.autoscale_view()
    _few_ticks(axes.yaxis, (1, 3), 4)
    axes.tick_params(pad=1.5)
    axes.set_title("EMD over steps", loc="left", fontsize=style.SMALL, pad=2, color=style.GREY)
    style.label_ends(axes, ends, height)


def _by_cell(
    page: Page, task: Task, top: float, height: float, modes: Mapping[str, Array], colours: Mapping[str, str]
) -> None:
    """A row for each cell: its name, its modes, its final values as dots and their mean as a number."""
    tints = tints_of(task.cells, colours)
    inner, rows = top + 0.14, height - 0.30
    pitch = rows / len(task.cells)
    for place, cell in enumerate(task.cells):
        middle = inner + (place + 0.5) * pitch
        words = [style.plain(cell.objective, 15), *([style.plain(cell.variant, 18)] if cell.variant else [])]
        page.text(
            SPLIT + NAMES - 0.06, middle, "\n".join(words), size=7 - len(words) / 2, colour=tints[cell.id], ha="right"
        )
    left = SPLIT + NAMES
    if any(cell.id in modes for cell in task.cells):
        axes = page.axes(left, inner, STRIPS, rows)
        mode_maps.strips(axes, task.cells, modes, colours, len(task.cells))
        axes.tick_params(labelleft=False, pad=1)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        page.text(left, top + 0.07, "mass by mode", colour=style.GREY)
        left, dots = left + STRIPS + 0.08, DOTS
    else:
        dots = DOTS + (STRIPS + 0.08) / len(FINALS)
    for column, label, log in FINALS:
        if any(cell.final(column) for cell in task.cells):
            axes = page.axes(left, inner, dots, rows)
            _dots(axes, task, column, tints, log=log)
            page.text(left, top + 0.07, label, colour=style.GREY)
            for place, cell in enumerate(task.cells):
                values = list(cell.final(column).values())
                number = f"{math.fsum(values) / len(values):.3g}" if values else "-"
                middle = inner + (place + 0.5) * pitch
                page.text(left + dots + NUMBER - 0.04, middle, number, colour=tints[cell.id], ha="right")
        left += dots + NUMBER + 0.04


def _dots(axes: Axes, task: Task, column: str, tints: Mapping[str, str], *, log: bool) -> None:
    """Final values: a dot a seed, each at a height of its own, and the mean with its interval; dashed: the floor."""
    count = len(task.cells)
    order = sorted({seed for cell in task.cells for seed in cell.seeds})
    heights = dict(zip(order, np.linspace(-0.3, 0.3, len(order)), strict=True))
    for place, cell in enumerate(task.cells):
        final, colour = cell.final(column), tints[cell.id]
        if final:
            estimate = interval(list(final.values()))
            axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=3, alpha=0.35)
            axes.plot(estimate.value, place, "|", color=colour, markersize=9, markeredgewidth=1.6)
            rows = [place + heights[seed] for seed in final]
            axes.plot(list(final.values()), rows, ".", color=colour, markersize=2.6, markeredgewidth=0)
    floor = _floor(task, column)
    if floor is not None:
        axes.axvline(floor, color=style.GREY, linestyle="--", linewidth=0.9, zorder=1.5)
    axes.set(ylim=(count - 0.5, -0.5), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.tick_params(pad=1.5)
    axes.margins(x=0.1)
    if log:
        axes.set_xscale("log")
        _few_ticks(axes.xaxis, (1,), 2)
    else:
        most = task.total("modes_total")
        axes.xaxis.set_major_locator(FixedLocator([0, most]) if most else MaxNLocator(2, integer=True))
        axes.set_xlim(left=-0.06 * most if most else None)


def _few_ticks(axis: Axis, subs: Sequence[int], most: int) -> None:
    """On a logarithmic axis: at these multiples of powers of ten, or at round numbers where it spans less than one."""
    low, high = axis.get_view_interval()
    locator = LogLocator(subs=subs) if high > 10 * low else MaxNLocator(most, steps=[1, 2, 5, 10])
    inside = [tick for tick in locator.tick_values(low, high) if low <= tick <= high]
    axis.set_major_locator(FixedLocator([inside[place] for place in evenly(len(inside), most)] if inside else []))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(style.short))


def _floor(task: Task, column: str) -> float | None:
    values = list(task.floor(f"{column}{FLOOR}").values())
    return math.fsum(values) / len(values) if values else None


def _foot(page: Page, with_modes: bool, left_out: int) -> None:
    """What lines, dots and colours stand for, and how many tasks are not on the page."""
    top = page.height - FOOT + 0.1
    notes = (
        "Samples: last ones of the median seed by EMD; circles: the modes. Thick line and bar:",
        "mean over seeds, its 95 % interval; thin lines and dots: single seeds; cross: diverged;",
        "dashed: real samples in place of generated ones."
        + (f" Data sets and arms not on this page: {left_out}." if left_out else ""),
    )
    for place, note in enumerate(notes):
        page.text(MARGIN, top + 0.08 + place * 0.13, note, size=6.5, colour=style.GREY)
    if with_modes:
        axes = page.axes(SPLIT + NAMES + 0.1, top + 0.03, 2.4, 0.09)
        mode_maps.key_bar(axes)
        page.text(
            SPLIT + NAMES + 1.3, top + 0.36, "mass of a mode: share of samples / weight", size=6.5, colour=style.GREY,
            ha="center",
        )  # fmt: skip


def _caption(view: View, tasks: Sequence[Task], shown: Sequence[Task], left_out: int) -> str:
    cells = [cell for task in shown for cell in task.cells]
    dropped = sum(len(task.cells) for task in tasks[: len(shown)]) - len(cells)
    return captions.sentences(
        f"The grid on a page: {captions.seeds(cells)} a cell. Left: last samples of the median seed by EMD, with "
        f"circles around the modes, and EMD over steps: the mean over seeds with its {BOOTSTRAP}, expanded for small "
        "n, and single seeds. Right: of each mode, or class of images, the share of samples over its weight, the mean "
        "over seeds above single seeds; and final values, a dot a seed, with the mean, as a bar and a number, and its "
        "interval. Dashed: real samples in place of generated ones.",
        f"Data sets and arms that the page has no room for: {left_out}." if left_out else "",
        f"Cells that the page has no room for: {dropped}." if dropped else "",
        captions.measured_on(cells),
        captions.origin(view),
    )
