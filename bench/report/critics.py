"""What reports of critics between fixed laws share: short names, colours, an axis over many decades."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.report import style
from bench.report.view import CellView, Task


def pair_of(task: Task, tasks: Sequence[Task]) -> str:
    """A short name for the task: that of its pair, or of the data set in it, where that tells it from the others."""

    def name(one: Task) -> str:
        settings = one.cells[0].settings
        arm = f", {one.arm}" if one.arm else ""
        return f"{settings.get('pair.dataset', settings.get('pair', ''))}{arm}".replace("_", " ")

    return name(task) if sum(name(one) == name(task) for one in tasks) == 1 else task.label


def short(cell: CellView, cells: Sequence[CellView], *, line: str = "\n") -> str:
    """A name in few words: the objective, the hyperparameters in which cells of it with the same constraint on the
    critic's weights differ, and that constraint; where this is another cell's name too, the whole label."""
    names = [_short(other, cells, line) for other in cells]
    name = _short(cell, cells, line)
    return name if names.count(name) == 1 else style.plain(cell.label)


def _short(cell: CellView, cells: Sequence[CellView], line: str) -> str:
    constraint = cell.settings.get("critic.constraint")
    family = [c for c in cells if (c.objective, c.settings.get("critic.constraint")) == (cell.objective, constraint)]
    words = [cell.objective]
    for key, value in cell.settings.items():
        if key.startswith("hparams.") and len({other.settings.get(key) for other in family}) > 1:
            words.append(f"{key.removeprefix('hparams.')} {value:g}")
    if constraint not in (None, "none"):
        words.append(str(constraint))
    return line.join(style.plain(word, 26) for word in words)


def log_decades(axes: Axes) -> None:
    """A logarithmic axis for values over many decades: .001, 1e-6."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=7))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("e-0", "e-")))
    axes.yaxis.set_minor_locator(NullLocator())


def discriminates(cell: CellView) -> bool:
    """Whether the scores are logits."""
    return any(cell.final("logits").values())
