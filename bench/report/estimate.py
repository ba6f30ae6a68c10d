"""What the experiment ``estimate`` shows: whether what a critic says follows the exact distance while training goes on.

Rank correlations over the checkpoints of one run, then their mean over runs: a critic's estimate holds up to a constant
that depends on the critic, so that only the order of values of one run can be compared (Arjovsky et al. 2017,
arXiv:1701.07875).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.metrics import FLOOR
from bench.report import captions, figures, style
from bench.report.captions import BOOTSTRAP
from bench.report.figures import Drawing
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, Task, View
from bench.statistics import Rank, interval, rank_correlation, share

TRUTH = "emd"
SIGNALS = {"score_gap": "Score gap", "js_estimate": "JS estimate", "critic_loss": "- Critic loss"}
"""What critics say, as columns of the records; of the loss the negative, which is what a critic maximises."""

RANKS: Mapping[Rank, str] = {"spearman": "Spearman", "kendall": "Kendall"}
"""Correlations of ranks, with whom they are named after."""

SLOPE = "slope_between"
CLEAR = 2.0
"""How many times its floor a distance is at least, where an estimate of it is compared with its value."""

HALF = 0.5

LOG_2 = math.log(2)
MOST_ROWS = 10
"""Cells that a figure has room for."""


SAID = (
    "Score gap: mean score of fresh real samples minus that of generated ones, which estimates the Wasserstein "
    "distance times the critic's Lipschitz constant. JS estimate: log 2 minus half the logistic loss of the same "
    "scores read as logits, in nats; it says nothing where a critic's scores are not meant as logits. - Critic loss: "
    "what the critic maximises, the mean over all its updates since the last checkpoint, where the paper has a median "
    "filter over 101 iterations. EMD: exact, between finite samples, so that it does not fall below its floor."
)


def tables(view: View) -> list[Table]:
    """Rank correlations with the exact distance, those with the step, and how far estimates are from it."""
    tasks = [task for task in view.tasks if any(_runs(cell) for cell in task.cells)]
    return [_following(view, tasks), _falling(view, tasks), _errors(view, tasks)] if tasks else []


def drawings(view: View, load: figures.Load) -> list[Drawing]:
    """For each task the distance, what critics say of it over the steps, and the one against the other."""
    tasks = [task for task in view.tasks if any(_runs(cell) for cell in task.cells)]
    colours = style.colours(cell.objective for cell in view.cells)
    names = ["estimates", *(f"estimates_{k}" for k in range(2, len(tasks) + 1))]
    return [_draw(view, task, name, colours) for name, task in zip(names, tasks, strict=False)]


def _runs(cell: CellView) -> list[int]:
    """The seeds whose run ended well."""
    return cell.ended("ok")


def _series(cell: CellView, column: str) -> pd.DataFrame:
    """A signal over the checkpoints (index) of the runs that ended well, by seed."""
    table = cell.curves(column)
    table = table[[seed for seed in table if seed in _runs(cell)]]
    return -table if column == "critic_loss" else table


def _signals(view: View) -> dict[str, str]:
    return {name: label for name, label in SIGNALS.items() if name in view.rows.columns}


def _correlations(cell: CellView, column: str, rank: Rank) -> list[float]:
    """Of a signal with the exact distance, by run."""
    signal, truth = _series(cell, column), _series(cell, TRUTH)
    return [rank_correlation(signal[seed], truth[seed].reindex(signal.index), rank) for seed in signal if seed in truth]


def _trends(cell: CellView, column: str) -> list[float]:
    """Kendall's tau of a signal with the step, by run."""
    signal = _series(cell, column)
    return [rank_correlation(signal[seed], signal.index.to_numpy(), "kendall") for seed in signal]


def _ratios(cell: CellView, column: str) -> pd.DataFrame:
    """Estimate over exact distance, over checkpoints by seed; missing where the distance is not clear of its floor."""
    truth, floor = _series(cell, TRUTH), cell.last[f"{TRUTH}{FLOOR}"]
    clear = truth.where(truth >= CLEAR * floor.reindex(truth.columns))
    estimate = _series(cell, "score_gap")
    if column == SLOPE:
        estimate = estimate / _series(cell, SLOPE)
    return (estimate / clear).replace([math.inf, -math.inf], math.nan).dropna(axis=1, how="all")


# Tables


def _following(view: View, tasks: Sequence[Task]) -> Table:
    signals = _signals(view)
    headings = [Heading("objective", "Objective"), Heading("n", "n"), Heading("checkpoints", "Checkpoints")]
    headings += [
        Heading(f"{rank}_{name}", f"{label}, {word}", scale="rank")
        for name, label in signals.items()
        for rank, word in RANKS.items()
    ]

    def row(cell: CellView) -> Row:
        entries: list[Entry] = [cell.label, len(_runs(cell)), len(cell.observed)]
        entries += [interval(_correlations(cell, name, rank)) for name in signals for rank in RANKS]
        return Row(tuple(entries))

    caption = captions.sentences(
        "Rank correlation with the exact EMD over the checkpoints of a run, 1 where an estimate always rises and falls "
        f"with the distance: mean over the n runs of {_seeds(tasks)} that ended well, with its {BOOTSTRAP} over seeds, "
        "expanded for small n.",
        SAID,
        _told(view, tasks),
    )
    return Table("estimate_follows", caption, tuple(headings), _parts(tasks, row), title="Does it follow the distance?")


def _falling(view: View, tasks: Sequence[Task]) -> Table:
    shown = {TRUTH: "EMD", **_signals(view)}
    headings = [Heading("objective", "Objective"), Heading("n", "n")]
    headings += [Heading(name, f"{label}, tau", scale="rank") for name, label in shown.items()]

    def row(cell: CellView) -> Row:
        trends = [interval(_trends(cell, name)) for name in shown]
        return Row((cell.label, len(_runs(cell)), *trends))

    caption = captions.sentences(
        "Kendall's tau with the step over the checkpoints of a run, -1 where a value falls from each checkpoint to the "
        f"next: mean over the n runs of {_seeds(tasks)} that ended well, with its {BOOTSTRAP} over seeds.",
        SAID,
        _told(view, tasks),
    )
    return Table("estimate_falls", caption, tuple(headings), _parts(tasks, row), title="Does it fall?")


def _errors(view: View, tasks: Sequence[Task]) -> Table:
    columns = {"score_gap": ("", "Score gap"), SLOPE: ("_by_slope", "Gap by slope")}
    columns = {name: words for name, words in columns.items() if name in view.rows.columns}
    headings = [
        Heading("objective", "Objective"), Heading("n", "n"), Heading("emd", "EMD at the end", scale="emd"),
        Heading("score_gap", "Score gap at the end"),
    ]  # fmt: skip
    for end, label in columns.values():
        headings += [
            Heading(f"ratio{end}", f"{label} / EMD", scale=f"ratio{end}"),
            Heading(f"error{end}", f"{label}, relative error", scale=f"ratio{end}"),
            Heading(f"half{end}", f"{label}, reaches half", scale="share"),
        ]

    def row(cell: CellView) -> Row:
        entries: list[Entry] = [cell.label, len(_runs(cell))]
        entries += [interval(list(cell.final(name).values())) for name in (TRUTH, "score_gap")]
        for name in columns:
            ratios = _ratios(cell, name)
            middle = ratios.median()
            entries += [interval(middle), interval((ratios - 1).abs().median())]
            entries.append(share(int((middle >= HALF).sum()), len(middle)))
        return Row(tuple(entries))

    def floors(task: Task) -> Row:
        floor = list(task.floor(f"{TRUTH}{FLOOR}").values())
        return Row(("floor", len(floor), interval(floor), *[None] * (len(headings) - 3)), aside=True)

    parts = tuple(
        Part(part.title, (*part.rows, floors(task))) for part, task in zip(_parts(tasks, row), tasks, strict=True)
    )
    caption = captions.sentences(
        "How far a critic's estimate is from the exact EMD. Ratio and relative error |ratio - 1|: the median over the "
        f"checkpoints of a run at which the EMD is at least {CLEAR:g} times its floor, then the mean over the n runs "
        f"of {_seeds(tasks)} that ended well, with its {BOOTSTRAP} over seeds. Reaches half: share of runs whose "
        f"median ratio is at least {HALF:g}, with its exact binomial interval.",
        "By slope: the score gap divided by the critic's median slope on segments between real and generated samples, "
        "to make up for the unknown Lipschitz constant."
        if SLOPE in columns
        else "",
        SAID,
        _told(view, tasks),
    )
    return Table("estimate_errors", caption, tuple(headings), parts, title="Is it the distance?")


def _parts(tasks: Sequence[Task], row: Callable[[CellView], Row]) -> tuple[Part, ...]:
    return tuple(Part(task.title, tuple(row(cell) for cell in task.cells)) for task in tasks)


def _seeds(tasks: Sequence[Task]) -> str:
    return captions.seeds([cell for task in tasks for cell in task.cells])


def _told(view: View, tasks: Sequence[Task]) -> str:
    cells = [cell for task in tasks for cell in task.cells]
    return captions.sentences(captions.measured_on(cells), captions.budget(cells), captions.origin(view))


# Figures

COLUMNS = ((TRUTH, "exact EMD"), ("score_gap", "score gap"), ("js_estimate", "JS estimate (nats)"))
"""Of the records, from left to right, over steps."""

JS_FRAME = (-0.1, 0.8)
FEW_DECADES = 30.0
"""Up to which ratio of its ends a logarithmic axis has numbers inside its decades."""


def _draw(view: View, task: Task, name: str, colours: Mapping[str, str]) -> Drawing:
    """A row a cell: the distance, the score gap and the JS estimate over steps, and the gap against the distance."""
    done = [cell for cell in task.cells if _runs(cell)]
    cells, hidden = done[:MOST_ROWS], 0
    figure = style.new_figure(1.25 * len(cells) + 0.35)
    grid = figure.subplots(len(cells), len(COLUMNS) + 1, squeeze=False, sharex="col")
    tints = figures.tints_of(cells, colours)
    for row, cell in zip(grid, cells, strict=True):
        colour = tints[cell.id]
        for axes, (column, label) in zip(row, COLUMNS, strict=False):
            _curve(axes, cell, column, colour)
            axes.set_ylabel(label)
        distance, gap, divergence, against = row
        distance.set_title(style.plain(cell.label, 34), loc="left", color=colour)
        distance.axhline(_floor(cell), color=style.GREY, linestyle=":", linewidth=0.9)
        divergence.axhline(LOG_2, color=style.GREY, linestyle="--", linewidth=0.9)
        divergence.set_ylim(JS_FRAME)
        for axes, column in ((gap, "score_gap"), (divergence, "js_estimate")):
            rho = interval(_correlations(cell, column, "spearman")).value
            axes.set_title("" if math.isnan(rho) else f"rho {rho:.2f}", loc="right", fontsize=style.SMALL)
        hidden += _scatter(against, cell, colour)
    figures.label_columns(figure, grid[:, :-1], "steps")
    figures.label_columns(figure, grid[:, -1:], "exact EMD")
    caption = captions.sentences(
        f"{task.label}. Left to right: exact EMD (dotted: floor), score gap and JS estimate (dashed: log 2, its "
        "largest value) over steps, and the score gap at every checkpoint of every run against the EMD there, light "
        "early and dark late (dashed: equal). rho: Spearman's, with the EMD, mean over runs. Thick: mean over "
        f"{captions.seeds(cells)}; band: its {BOOTSTRAP}; thin: single seeds.",
        f"JS estimates below {JS_FRAME[0]:g} are outside of the frame.",
        f"Checkpoints whose gap is not positive, which a logarithmic axis has no place for: {hidden}."
        if hidden
        else "",
        f"Cells that this figure has no room for: {len(done) - len(cells)}." if len(done) > len(cells) else "",
        SAID,
        _told(view, [task]),
    )
    return Drawing(name, f"Estimates, {task.label}", caption, figure)


def _curve(axes: Axes, cell: CellView, column: str, colour: str) -> None:
    """A signal over steps: single seeds thin, their mean thick with its interval."""
    table = _series(cell, column)
    axes.plot(table.index, table, color=colour, linewidth=0.4, alpha=0.35, zorder=2)
    figures.draw_mean(axes, table, colour)
    axes.xaxis.set_major_formatter(FuncFormatter(style.short))


def _scatter(axes: Axes, cell: CellView, colour: str) -> int:
    """The gap against the distance, a shade for each checkpoint; how many pairs have no place on the axes."""
    gap, truth = _series(cell, "score_gap"), _series(cell, TRUTH)
    gap = gap.reindex(index=truth.index, columns=truth.columns)
    positive = (gap > 0) & (truth > 0)
    for step, shade in zip(truth.index, style.shades(colour, len(truth)), strict=True):
        own = positive.loc[step]
        axes.plot(truth.loc[step][own], gap.loc[step][own], ".", color=shade, markersize=2.5, markeredgewidth=0)
    ends = truth[positive].min().min(), truth[positive].max().max()
    axes.plot(ends, ends, color=style.GREY, linestyle="--", linewidth=0.9, zorder=1.5)
    axes.set(xscale="log", yscale="log", ylabel="score gap")
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < FEW_DECADES * low else (1,), numticks=6))
        axis.set_major_formatter(FuncFormatter(style.short))
        axis.set_minor_formatter(NullFormatter())
    return int((gap.notna() & truth.notna() & ~positive).to_numpy().sum())


def _floor(cell: CellView) -> float:
    values = cell.final(f"{TRUTH}{FLOOR}").values()
    return math.fsum(values) / len(values)
