"""What the experiment ``optimal_critic`` shows: critics between two fixed laws, trained until they change no more.

A cell is a discriminator where its objective's best score is a log-ratio of densities, so that ``D = sigmoid(score)``
is a probability; the others are critics, whose score has no zero and no unit but its slope's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.report import captions, figures, style
from bench.report.captions import BOOTSTRAP
from bench.report.figures import Drawing, Points
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, Task, View
from bench.statistics import interval

Array = npt.NDArray[np.float64]

MOST_PROFILES = 2
MOST_SURFACES = 4
"""Pairs of laws side by side in the figure of lines; cells side by side in that of surfaces."""

LEVELS = 11
"""Of contours: quantiles of the surface from the least to the largest value."""

OF_LOGITS = ("js_estimate", "saturated_real", "saturated_fake")
"""Columns that mean nothing where scores are no logits."""

FAINTEST = 1e-12
"""Slopes below are not drawn."""

OUTSIDE = "#F2F2F2"


def tables(view: View) -> list[Table]:
    """Slopes; their ratios; distances; order."""
    tasks = [task for task in view.tasks if any(cell.ended("ok") for cell in task.cells)]
    if not tasks:
        return []
    found = [_slopes(view, tasks), _distances(view, tasks), _order(view, tasks)]
    parts = [part for task in tasks if (part := _flatness(task, tasks)).rows]
    return [*found, _flatness_table(view, tasks, parts)] if parts else found


def drawings(view: View, load: figures.Load) -> list[Drawing]:
    """Scores and slopes along a line, where W1 is known; surfaces over the plane of all other pairs."""
    colours = style.colours(cell.objective for cell in view.cells)
    lines = [task for task in view.tasks if _known(task)][:MOST_PROFILES]
    planes = [task for task in view.tasks if not _known(task)]
    drawn = []
    if profiles := _profiles(lines, load, colours):
        caption = captions.sentences(PROFILES.format(seeds=captions.seeds(_cells(lines))), _end(view, lines))
        drawn.append(Drawing("profiles", "Discriminators and critics along a line", caption, profiles))
    if surfaces := _surfaces(planes, load, colours):
        caption = captions.sentences(SURFACES, _end(view, planes))
        drawn.append(Drawing("surfaces", "Surfaces of critics", caption, surfaces))
    return drawn


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


def tints_of(cells: Sequence[CellView], colours: Mapping[str, str]) -> dict[str, str]:
    """A colour a cell, by its id: a shade of its objective's."""
    tints: dict[str, str] = {}
    for objective in dict.fromkeys(cell.objective for cell in cells):
        own = [cell.id for cell in cells if cell.objective == objective]
        tints |= dict(zip(own, style.shades(colours[objective], len(own)), strict=True))
    return tints


def log_decades(axes: Axes) -> None:
    """A logarithmic axis for values over many decades: .001, 1e-6."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=7))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("e-0", "e-")))
    axes.yaxis.set_minor_locator(NullLocator())


def _known(task: Task) -> bool:
    return any(cell.final("wasserstein") for cell in task.cells)


def _cells(tasks: Iterable[Task]) -> list[CellView]:
    return [cell for task in tasks for cell in task.cells]


def discriminates(cell: CellView) -> bool:
    """Whether the scores are logits."""
    return any(cell.final("logits").values())


def _end(view: View, tasks: Sequence[Task]) -> str:
    cells = _cells(tasks)
    n = captions.either(f"{n:,}" for n in sorted({cell.settings["probe.n"] for cell in cells}))
    steps = captions.either(f"{n:,}" for n in sorted({cell.settings["steps"] for cell in cells}))
    return captions.sentences(
        f"Read at {n} fresh samples of each law, after {steps} critic steps.",
        captions.skipped((cell.label, cell) for cell in cells),
        captions.origin(view),
    )


# Tables


def _log10(values: Mapping[int, float]) -> dict[int, float]:
    return {seed: math.log10(value) for seed, value in values.items() if value > 0}


def _estimate(values: Mapping[int, float]) -> Entry:
    return interval(list(values.values())) if values else None


def _mean(cell: CellView, column: str) -> Entry:
    return _estimate(cell.final(column))


Columns = Sequence[tuple[str, str, bool]]
Asides = Mapping[str, Mapping[str, str]]


def _table(
    view: View, tasks: Sequence[Task], name: str, words: str, columns: Columns, asides: Asides | None = None
) -> Table:
    """A row a cell; ``columns`` are (name, label, whether it is the logarithm that is averaged).

    ``asides`` are rows to read the others against: what stands in each column is of another, of all cells, by seed.
    """
    headings = (
        Heading("objective", "Objective", words=True),
        Heading("n", "n"),
        *(Heading(f"log10_{column}" if log else column, label) for column, label, log in columns),
    )

    def entry(values: Mapping[int, float], log: bool) -> Entry:
        return _estimate(_log10(values) if log else values)

    def told(cell: CellView) -> list[Entry]:
        hidden = () if discriminates(cell) else OF_LOGITS
        return [None if column in hidden else entry(cell.final(column), log) for column, _, log in columns]

    parts = []
    for task in tasks:
        rows = [Row((short(cell, task.cells, line=", "), cell.outcomes.ok, *told(cell))) for cell in task.cells]
        for label, sources in (asides or {}).items():
            entries = [entry(task.floor(sources.get(column, "")), log) for column, _, log in columns]
            if any(entry is not None for entry in entries):
                rows.append(Row((label, None, *entries), aside=True))
        parts.append(Part(pair_of(task, tasks), tuple(rows)))
    mean = f"Mean over the n runs that ended well, of {captions.seeds(_cells(tasks))} a cell, with its {BOOTSTRAP}."
    return Table(name, captions.sentences(words, mean, _end(view, tasks)), headings, tuple(parts), name.capitalize())


def _slopes(view: View, tasks: Sequence[Task]) -> Table:
    words = (
        "How steep scores are: their mean difference between the laws, and median slopes at real samples, at fake ones "
        "and on segments between them. D = sigmoid(score), of objectives whose scores are logits: the logarithm to "
        "base 10 of its median slope. Optimal D: at the same samples, where both densities are known; nothing where "
        "float64 has no number so small."
    )
    columns = [
        ("score_gap", "Score gap", False),
        ("slope_real", "Slope, real", False),
        ("slope_fake", "Slope, fake", False),
        ("slope_between", "Slope, between", False),
        *((f"probability_slope_{law}", f"log10 slope of D, {law}", True) for law in ("real", "fake")),
    ]
    optimal = {f"probability_slope_{law}": f"probability_slope_known_{law}" for law in ("real", "fake")}
    return _table(view, tasks, "slopes", words, columns, {"optimal D": optimal})


def _distances(view: View, tasks: Sequence[Task]) -> Table:
    words = (
        "What scores say of the distance between the laws. JS: estimate of the Jensen-Shannon divergence in nats from "
        "scores that are logits; optimal D: what the optimal discriminator gives at the same samples. Error of D: root "
        "mean square over samples of its difference to that discriminator. Separation: score gap over the largest "
        "slope seen at samples and between them, in units of the data, which exceeds W1 only as far as the score is "
        "steeper elsewhere. EMD: exact distance of samples; floor: of real samples from fresh real ones."
    )
    columns = [
        ("js_estimate", "JS", False),
        ("probability_error", "Error of D", False),
        ("slope_largest", "Largest slope", False),
        ("separation", "Separation", False),
    ]
    asides = {
        "optimal D": {"js_estimate": "js_known"},
        "W1": {"separation": "wasserstein"},
        "EMD": {"separation": "emd"},
        "EMD floor": {"separation": "emd_floor"},
    }
    return _table(view, tasks, "distances", words, columns, asides)


def _order(view: View, tasks: Sequence[Task]) -> Table:
    words = (
        "Whether fakes are told apart from each other, on a line through both laws, at its points that are nearer to a "
        "fake sample than to a real one. Rank correlation: Spearman's, of score and distance to the nearest real "
        "sample. Ties: share of neighbouring points with equal values in float32, of the score, of D, and of D on the "
        "real side; a number near 0 keeps its digits in float32, one near 1 does not. Saturated: share of samples "
        "where D (1 - D) is below .001."
    )
    columns = [
        ("rank_correlation", "Rank correlation", False),
        ("ties_score", "Ties of score", False),
        ("ties_probability", "Ties of D, fake side", False),
        ("ties_probability_real", "Ties of D, real side", False),
        ("saturated_fake", "Saturated, fake", False),
        ("saturated_real", "Saturated, real", False),
    ]
    return _table(view, tasks, "order", words, columns)


def _flatness(task: Task, tasks: Sequence[Task]) -> Part:
    """Each discriminator's slope over each critic's, seed by seed."""
    cells = [cell for cell in task.cells if cell.ended("ok")]
    judges, critics = [c for c in cells if discriminates(c)], [c for c in cells if not discriminates(c)]
    rows = []
    for one, other in product(judges, critics):
        entries: list[Entry] = []
        for law in ("real", "fake"):
            flat, steep = _log10(one.final(f"probability_slope_{law}")), _log10(other.final(f"slope_{law}"))
            entries += [
                _estimate({seed: flat[seed] - steep[seed] for seed in sorted(flat.keys() & steep.keys())}),
                _estimate(_log10(one.final(f"probability_slope_known_{law}"))),
            ]
        rows.append(
            Row(
                (
                    f"{short(one, task.cells, line=', ')} / {short(other, task.cells, line=', ')}",
                    len(one.final("logits").keys() & other.final("logits").keys()),
                    *entries,
                )
            )
        )
    return Part(pair_of(task, tasks), tuple(rows))


def _flatness_table(view: View, tasks: Sequence[Task], parts: Sequence[Part]) -> Table:
    headings = [Heading("pair", "Discriminator / critic", words=True), Heading("n", "n")]
    for law in ("real", "fake"):
        headings += [Heading(f"log10_ratio_{law}", f"log10 ratio, {law}"), Heading(f"theory_{law}", "in theory")]
    words = captions.sentences(
        "Median slope of D at samples of a law over the median slope of a critic's score at the same, logarithm to "
        f"base 10: mean over n seeds, with its {BOOTSTRAP}. In theory: of the optimal discriminator and a critic of "
        "slope 1.",
        _end(view, tasks),
    )
    return Table("flatness", words, tuple(headings), tuple(parts), "Flatness of discriminators")


# Figures

PROFILES = (
    "Along the first axis, through the origin of the others. Thick: mean over {seeds}, thin: single seeds. Top: "
    "histograms of both laws, real in black. D: sigmoid of the score, where scores are logits. Critic: score less its "
    "value in the middle, over its median slope on the line, so that critics of any scale can be compared. Slopes: "
    "of D and of critics' scores, the mean being that of logarithms. Dashed: the optimal discriminator; a score of "
    "slope 1, which is optimal between a law and itself moved."
)
SURFACES = (
    "Level sets of the score, at eleven quantiles of its values in the frame, the darker the higher, so that scales do "
    "not matter; of each cell the median seed by score gap. Black: real samples; grey: fake ones. Last, where "
    "densities are known: the optimal discriminator, whose level sets are those of the log-ratio."
)


def _loaded(cell: CellView, load: figures.Load) -> dict[int, Mapping[str, Points]]:
    arrays = {seed: load(cell, seed) for seed in cell.ended("ok")}
    return {seed: found for seed, found in arrays.items() if found and "line_score" in found}


def _sigmoid(scores: npt.ArrayLike) -> Array:
    """In float64, exact where it is small."""
    scores = np.asarray(scores, dtype=np.float64)
    result: Array = np.exp(-np.logaddexp(0.0, -scores))
    return result


def _profiles(tasks: Sequence[Task], load: figures.Load, colours: Mapping[str, str]) -> Figure | None:
    found = [[(cell, arrays) for cell in task.cells if (arrays := _loaded(cell, load))] for task in tasks]
    shown = [(task, own) for task, own in zip(tasks, found, strict=True) if own]
    if not shown:
        return None
    heights = [0.7, 1.45, 1.45, 1.6]
    width = style.PAGE_WIDTH if len(shown) > 1 else 5.6
    figure = style.new_figure(sum(heights) + 0.9, width)
    grid = figure.subplots(4, len(shown), squeeze=False, sharex="col", gridspec_kw={"height_ratios": heights})
    for column, (task, cells) in zip(grid.T, shown, strict=True):
        column[0].set_title(style.plain(task.label, 70), loc="left")
        first = next(iter(cells[0][1].values()))
        _laws(column, first)
        _probabilities(column[1], cells, colours, heights[1])
        _scores(column[2], cells, colours, heights[2])
        _line_slopes(column[3], cells, colours, heights[3])
        column[3].set_xlabel("first coordinate (units of the data)")
    labels = ("samples", "D", "critic (units of the data)", "slope (per unit of the data)")
    for axes, label in zip(grid[:, 0], labels, strict=True):
        axes.set_ylabel(label)
    figure.align_ylabels(grid[:, 0])
    return figure


def _laws(column: Iterable[Axes], arrays: Mapping[str, Points]) -> None:
    """Histograms in the first panel, and in all of them the middle 98 % of either law shaded."""
    line = arrays["line"]
    spans = {law: arrays[law].reshape(len(arrays[law]), -1)[:, 0] for law in ("real", "fake")}
    for index, axes in enumerate(column):
        axes.set_xlim(line[0], line[-1])
        for law, colour in (("real", style.INK), ("fake", style.GREY)):
            axes.axvspan(*np.quantile(spans[law], [0.01, 0.99]), color=OUTSIDE, linewidth=0, zorder=0)
            if index == 0:
                bins = np.linspace(line[0], line[-1], 81)
                axes.hist(spans[law], bins=list(bins), color=colour, alpha=0.75, linewidth=0)
                axes.annotate(
                    law, (float(np.median(spans[law])), 1), (0, 1), xycoords=("data", "axes fraction"),
                    textcoords="offset points", ha="center", va="bottom", fontsize=style.SMALL, color=colour,
                )  # fmt: skip
        if index == 0:
            axes.set_yticks([])
            axes.title.set_position((0, 1.25))
            axes.set_title(axes.get_title(loc="left"), loc="left", pad=11)


Loaded = Sequence[tuple[CellView, Mapping[int, Mapping[str, Points]]]]


def _curves(axes: Axes, line: Points, rows: Sequence[Array], colour: str, *, log: bool = False) -> float:
    """Single rows thin and their mean, or that of their logarithms, thick; where the mean ends."""
    for row in rows:
        axes.plot(line, row, color=colour, linewidth=0.5, alpha=0.35, zorder=2)
    values = np.asarray(rows)
    if log:
        with np.errstate(divide="ignore"):
            centre = np.exp(np.log(values).mean(axis=0))
    else:
        centre = values.mean(axis=0)
    axes.plot(line, centre, color=colour, zorder=4)
    return float(centre[-1])


def _dashed(axes: Axes, line: Points, values: Array) -> None:
    axes.plot(line, values, color=style.GREY, linestyle="--", linewidth=1.0, zorder=5)


def _probabilities(axes: Axes, cells: Loaded, colours: Mapping[str, str], height: float) -> None:
    tints, ends = tints_of([cell for cell, _ in cells], colours), []
    for cell, arrays in cells:
        if discriminates(cell):
            rows = [_sigmoid(own["line_score"]) for own in arrays.values()]
            last = _curves(axes, _first(arrays)["line"], rows, tints[cell.id])
            ends.append((last, short(cell, [c for c, _ in cells], line=" "), tints[cell.id]))
    own = _first(cells[0][1])
    if "line_log_ratio" in own:
        _dashed(axes, own["line"], _sigmoid(own["line_log_ratio"]))
        ends.append((float(_sigmoid(own["line_log_ratio"][-1])), "optimal", style.GREY))
    axes.set_ylim(-0.06, 1.06)
    style.label_ends(axes, ends, height)


def _scores(axes: Axes, cells: Loaded, colours: Mapping[str, str], height: float) -> None:
    tints, ends = tints_of([cell for cell, _ in cells], colours), []
    for cell, arrays in cells:
        if not discriminates(cell):
            rows = [
                (own["line_score"] - own["line_score"][len(own["line"]) // 2]).astype(np.float64)
                / float(np.median(own["line_slope"]))
                for own in arrays.values()
            ]
            last = _curves(axes, _first(arrays)["line"], rows, tints[cell.id])
            ends.append((last, short(cell, [c for c, _ in cells], line=" "), tints[cell.id]))
    line = _first(cells[0][1])["line"]
    if ends:
        _dashed(axes, line, np.asarray(line - line[len(line) // 2], dtype=np.float64))
        ends.append((float(line[-1] - line[len(line) // 2]), "slope 1", style.GREY))
    axes.autoscale_view()
    style.label_ends(axes, ends, height)


def _line_slopes(axes: Axes, cells: Loaded, colours: Mapping[str, str], height: float) -> None:
    tints, ends = tints_of([cell for cell, _ in cells], colours), []
    for cell, arrays in cells:
        rows = []
        for own in arrays.values():
            chance = _sigmoid(own["line_score"]) * _sigmoid(-own["line_score"]) if discriminates(cell) else 1.0
            rows.append(np.maximum(chance * own["line_slope"].astype(np.float64), FAINTEST / 1e3))
        last = _curves(axes, _first(arrays)["line"], rows, tints[cell.id], log=True)
        ends.append((max(last, FAINTEST), short(cell, [c for c, _ in cells], line=" "), tints[cell.id]))
    own = _first(cells[0][1])
    if "line_log_ratio" in own:
        line, ratio = own["line"].astype(np.float64), own["line_log_ratio"].astype(np.float64)
        best = _sigmoid(ratio) * _sigmoid(-ratio) * np.abs(np.gradient(ratio, line))
        _dashed(axes, line, np.maximum(best, FAINTEST / 1e3))
    axes.axhline(1, color=style.GREY, linestyle="--", linewidth=1.0, zorder=1.5)
    log_decades(axes)
    axes.set_ylim(FAINTEST, max(10.0, axes.get_ylim()[1]))
    style.label_ends(axes, ends, height)


def _first(arrays: Mapping[int, Mapping[str, Points]]) -> Mapping[str, Points]:
    return next(iter(arrays.values()))


def _surfaces(tasks: Sequence[Task], load: figures.Load, colours: Mapping[str, str]) -> Figure | None:
    rows = []
    for task in tasks:
        panels = []
        for cell in task.cells[:MOST_SURFACES]:
            seed = cell.median_seed("score_gap")
            arrays = load(cell, seed) if seed is not None else None
            if arrays and "surface_score" in arrays:
                panels.append((cell, seed, arrays))
        if panels:
            rows.append((task, panels))
    if not rows:
        return None
    known = any("surface_log_ratio" in panels[0][2] for _, panels in rows)
    abreast = max(len(panels) for _, panels in rows) + known
    side = (style.PAGE_WIDTH - 0.3) / abreast
    lines = max(short(cell, task.cells).count("\n") + 1 for task, panels in rows for cell, *_ in panels)
    figure = style.new_figure((min(side, 2.4) + 0.25 + 0.1 * lines) * len(rows), gap=0.0)
    grid = figure.subplots(len(rows), abreast, squeeze=False)
    for axes, (task, panels) in zip(grid, rows, strict=True):
        tints = tints_of([cell for cell, *_ in panels], colours)
        for one, (cell, seed, arrays) in zip(axes, panels, strict=False):
            _surface(one, arrays, arrays["surface_score"], tints[cell.id])
            one.set_title(short(cell, task.cells), color=tints[cell.id], fontsize=style.SMALL)
            one.set_xlabel(f"seed {seed}", fontsize=style.SMALL, color=style.GREY)
        rest = list(axes[len(panels) :])
        best = panels[0][2].get("surface_log_ratio")
        if best is not None:
            last = rest.pop(0)
            _surface(last, panels[0][2], best, style.GREY)
            last.set_title("optimal discriminator", color=style.GREY, fontsize=style.SMALL)
        for one in rest:
            one.set_axis_off()
        axes[0].set_ylabel(style.plain(pair_of(task, tasks)))
    return figure


def _surface(axes: Axes, arrays: Mapping[str, Points], values: Points, colour: str) -> None:
    x, y = arrays["surface_axes"]
    levels = np.unique(np.quantile(values, np.linspace(0, 1, LEVELS)))
    if len(levels) > 2:
        shading = LinearSegmentedColormap.from_list("shading", ["white", colour])
        bands = np.searchsorted(levels, values, side="right").clip(1, len(levels) - 1) - 0.5
        axes.pcolormesh(x, y, bands, cmap=shading, vmin=0, vmax=1.6 * len(levels), shading="nearest", rasterized=True)
        axes.contour(x, y, values, levels=levels[1:-1], colors=colour, linewidths=0.6, linestyles="solid")
    for law, ink, size in (("fake", "#9A9A9A", 1.2), ("real", "black", 1.6)):
        points = arrays[law]
        axes.plot(*points.T, ".", color=ink, markersize=size, markeredgewidth=0, rasterized=True, zorder=3)
    axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    axes.grid(visible=False)
    axes.tick_params(labelsize=6, length=2)
    axes.set_aspect("equal")
