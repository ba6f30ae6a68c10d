"""Sentences that captions share: how many seeds, measured on what, at what budget, from where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.report.view import CellView, View

BUDGETS = {
    "generator_steps_done": "Generator steps",
    "critic_steps_done": "Critic steps",
    "cpu_seconds": "CPU seconds",
}
PARTS = {
    "part_train": "{} to train on",
    "part_evaluation": "{} to compare with",
    "part_judge": "{} for the judge",
}
STEP = "one round of critic and generator updates"
PERSONS = ("Fréchet",)
"""After whom labels are named: they keep their capital."""
MOST_NAMED = 6
LONGEST_REASON = 160
"""How many cells a caption names, and how much it tells of why they were skipped."""
BOOTSTRAP = "95 % percentile bootstrap interval"


def seeds(cells: Sequence[CellView]) -> str:
    """How many seeds a cell has."""
    counts = sorted({len(cell.seeds) for cell in cells})
    return f"{either(map(str, counts))} seed{'s' * (counts != [1])}"


def measured_on(cells: Sequence[CellView]) -> str:
    """How many samples the numbers are of."""
    told = []
    for column, words in (("evaluate.n", "{} generated samples"), ("emd_n", "EMD on {} of them")):
        values = sorted({value for cell in cells for value in cell.final(column).values()})
        if values:
            told.append(words.format(either(f"{value:,.0f}" for value in values)))
    return f"Measured on {', '.join(told)}." if told else ""


def budget(cells: Sequence[CellView]) -> str:
    """In what the runs' budgets are equal, and in what they are not."""
    same, other = [], []
    for name, label in BUDGETS.items():
        values = {value for cell in cells for value in cell.final(name).values()}
        if len(values) == 1:
            same.append(f"{inside(label)} ({values.pop():,.0f})")
        elif values:
            other.append(inside(label))
    told = [f"equal in {' and '.join(same)}" if same else "", f"not in {' and '.join(other)}" if other else ""]
    return f"Budget: {', '.join(filter(None, told))}." if same or other else ""


def judges(cells: Sequence[CellView]) -> str:
    """What named the classes of images, and how often it is right on images that it did not learn from."""
    told: dict[str, None] = {}
    for cell in cells:
        columns = ["judge_of", "judge", "judge_accuracy", "judge_n"]
        if set(columns) <= set(cell.last.columns):
            found = cell.last[columns].dropna().drop_duplicates()
            for name, digest, accuracy, n in found.itertuples(index=False):
                of = f"(n = {n:,.0f}; weights {str(digest)[:8]})"
                told[f"Judge of {name}: held-out accuracy {100 * accuracy:.1f} % {of}."] = None
    more = f"And {len(told) - MOST_NAMED} more judges." if len(told) > MOST_NAMED else ""
    return sentences(*list(told)[:MOST_NAMED], more)


def parts(cells: Sequence[CellView]) -> str:
    """How many images each part of a data set has, of which none has those of another."""
    told: dict[str, str] = {}
    for cell in cells:
        sizes = [
            words.format(f"{next(iter(cell.final(column).values())):,.0f}")
            for column, words in PARTS.items()
            if cell.final(column)
        ]
        if sizes:
            told.setdefault(str(cell.settings.get("dataset")), ", ".join(sizes))
    several = len(told) > 1
    return sentences(
        *(f"Images of {name}: {sizes}." if several else f"Images: {sizes}." for name, sizes in told.items())
    )


def skipped(cells: Iterable[tuple[str, CellView]]) -> str:
    """Why cells, with their names, were not trained: each reason once, with the names that it holds for."""
    named: dict[str, dict[str, None]] = {}
    for name, cell in cells:
        for seed in cell.ended("skipped"):
            reason = str(cell.last.loc[seed, "message"]).strip().rstrip(".")
            named.setdefault(reason[:LONGEST_REASON], {})[name] = None
    told = []
    for reason, names in named.items():
        more = [f"{len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else []
        told.append(f"{', '.join([*list(names)[:MOST_NAMED], *more])}, skipped: {reason}.")
    return sentences(*told)


def origin(view: View) -> str:
    """The grid, in what a command changed it, how its runs ended, and the code."""
    changes = view.manifest.get("overrides") or []
    changed = f", changed by {', '.join(map(str, changes))}" if changes else ""
    return f"Grid: {view.grid}{changed}; {view.outcomes}; commit {view.commit}."


def inside(label: str) -> str:
    """The label inside a sentence."""
    return label if label[:2].isupper() or label.startswith(PERSONS) else label[:1].lower() + label[1:]


def either(words: Iterable[str]) -> str:
    """One of them."""
    return " or ".join(words)


def sentences(*parts: str) -> str:
    """Those that say something, as one text."""
    return " ".join(filter(None, parts))
