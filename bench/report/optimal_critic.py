"""What the experiment ``optimal_critic`` shows: critics between two fixed laws, trained until they change no more.

A cell is a discriminator where its objective's best score is a log-ratio of densities, so that ``D = sigmoid(score)``
is a probability; the others are critics, whose score has no zero and no unit but its slope's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from bench.report import captions, figures, style
from bench.report import optimal_critic_figures as pictures
from bench.report.captions import BOOTSTRAP
from bench.report.critics import discriminates, pair_of, short
from bench.report.figures import Drawing
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, Task, View
from bench.statistics import interval

MOST_PROFILES = 2
"""Pairs of laws side by side in the figure of lines."""

OF_LOGITS = ("js_estimate", "saturated_real", "saturated_fake")
"""Columns that mean nothing where scores are no logits."""


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
    if along := pictures.profiles(lines, load, colours):
        caption = captions.sentences(PROFILES.format(seeds=captions.seeds(_cells(lines))), _end(view, lines))
        drawn.append(Drawing("profiles", "Discriminators and critics along a line", caption, along))
    if over := pictures.surfaces(planes, load, colours):
        caption = captions.sentences(SURFACES, _end(view, planes))
        drawn.append(Drawing("surfaces", "Surfaces of critics", caption, over))
    return drawn


def _known(task: Task) -> bool:
    return any(cell.final("wasserstein") for cell in task.cells)


def _cells(tasks: Iterable[Task]) -> list[CellView]:
    return [cell for task in tasks for cell in task.cells]


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
