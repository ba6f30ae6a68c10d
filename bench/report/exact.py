"""What the experiment ``exact`` shows: a table for each check, with the largest errors over all runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bench.report import captions, figures
from bench.report.captions import BOOTSTRAP
from bench.report.figures import Drawing
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, View
from bench.statistics import Array, interval

FUNCTIONS = {
    "wasserstein": "W1, in the plane",
    "wasserstein_line": "W1, on a line",
    "cross_entropy": "Cross-entropy",
    "kullback_leibler": "KL",
    "jensen_shannon": "JS",
    "jensen_shannon_root": "Root of JS",
}
"""Comparisons of two laws and what they are called."""

AXIOMS = {
    ("sign", "negativity"): "Below 0",
    ("identity", "self_distance"): "Not 0 to itself",
    ("symmetry", "asymmetry"): "Not symmetric",
    ("triangle", "triangle_excess"): "Detour shorter",
}
"""Axioms by their columns, for the share of triples and for the amount, and what it is to violate one."""


def tables(view: View) -> list[Table]:
    """One for each check that has runs."""
    makers: dict[str, Callable[[View, Sequence[CellView]], Table]] = {
        "carried_earth": _carried, "dual": _dual, "axioms": _axioms, "sign_flip": _flips,
    }  # fmt: skip
    done = {name: [c for c in view.cells if c.settings["check"] == name and c.ended("ok")] for name in makers}
    return [make(view, done[name]) for name, make in makers.items() if done[name]]


def drawings(view: View, load: figures.Load) -> list[Drawing]:
    """None."""
    return []


def _final(cell: CellView, column: str) -> Array:
    """At the end of each run that ended well."""
    return np.array([*cell.final(column).values()])


def _largest(values: Array) -> float:
    return float(np.abs(values).max())


def _carried(view: View, cells: Sequence[CellView]) -> Table:
    costs = {"recursion": "Cost, carried", "emd": "Cost, linear program", "closed_form": "Cost, running sums"}
    headings = (
        Heading("point", "Point"),
        *(Heading(name, name.capitalize()) for name in ("before", "after", "carried")),
        *(Heading(f"cost_{name}", label) for name, label in costs.items()),
    )
    caption = captions.sentences(
        "Earth at points on a line, 1 apart, and where it is to lie. Carried: from the point to the next one, what lay "
        "there and was carried there less what is to stay. Cost: the sum of what is carried; of the cheapest plan, by "
        "the linear program; the sum of the differences of the running sums. No randomness.",
        captions.origin(view),
    )
    parts = []
    for cell in cells:
        rows = cell.rows[cell.rows["seed"] == cell.ended("ok")[0]]
        kept = rows[["step", "before", "after", "carried"]].itertuples(index=False)
        lines = [Row((f"{point:g}", float(a), float(b), float(c), None, None, None)) for point, a, b, c in kept]
        total = (float(rows[f"cost_{name}"].iloc[0]) for name in costs)
        title = f"{cell.settings['check.first']} to {cell.settings['check.second']}"
        parts.append(Part(title, (*lines, Row(("in all", None, None, None, *total), aside=True))))
    return Table("carried_earth", caption, headings, tuple(parts), "Earth carried")


def _dual(view: View, cells: Sequence[CellView]) -> Table:
    values = {"primal": "Primal", "dual_supremum": "Supremum", "dual_infimum": "Infimum"}
    headings = (
        Heading("laws", "Laws"),
        Heading("n", "n"),
        *(Heading(name, label, scale="distance") for name, label in values.items()),
        Heading("supremum_error", "Supremum off by"),
        Heading("infimum_error", "Infimum off by"),
        Heading("infimum_from_negative", "Infimum from -W"),
    )
    caption = captions.sentences(
        "Two laws with random weights on the same random points of R^d: the Wasserstein distance W by its primal, and "
        "the supremum and the infimum of E_P f - E_Q f over 1-Lipschitz functions, each a linear program. Mean over n "
        f"seeds with its {BOOTSTRAP}. Off by: the largest distance from the primal in any run; from -W: of the infimum "
        "from its negative.",
        captions.origin(view),
    )
    rows = []
    for cell in cells:
        primal, highest, lowest = (_final(cell, name) for name in values)
        name = f"{cell.settings['check.points']} points, d = {cell.settings['check.dim']}"
        errors = map(_largest, (highest - primal, lowest - primal, lowest + primal))
        estimates = (interval(found) for found in (primal, highest, lowest))
        rows.append(Row((name, cell.outcomes.ok, *estimates, *errors)))
    return Table("dual", caption, headings, (Part("Random laws", tuple(rows)),), "The dual")


def _axioms(view: View, cells: Sequence[CellView]) -> Table:
    headings = [Heading("function", "Function")]
    for (axiom, amount), label in AXIOMS.items():
        headings += [Heading(f"{axiom}_violations", label, digits=3), Heading(amount, "by at most")]
    caption = captions.sentences(
        "The axioms of a metric on random triples of laws, all with mass at each of the same points: share of triples "
        "that violate one, over all seeds, and by how much at most. Detour shorter: d(p, r) above d(p, q) + d(q, r). "
        "Amounts of 1e-9 and less are rounding and count as no violation. W1: exact; the others in nats.",
        captions.origin(view),
    )
    parts = []
    for cell in cells:
        rows = []
        for name, label in FUNCTIONS.items():
            entries: list[Entry] = []
            for axiom, amount in AXIOMS:
                share = float(_final(cell, f"{name}_{axiom}_violations").mean())
                entries += [share, _largest(_final(cell, f"{name}_{amount}"))]
            rows.append(Row((label, *entries)))
        title = (
            f"{cell.settings['check.triples']:,} triples in each of {cell.outcomes.ok} seeds, laws on "
            f"{cell.settings['check.points']} points"
        )
        parts.append(Part(title, tuple(rows)))
    return Table("axioms", caption, tuple(headings), tuple(parts), "Which are distances")


def _flips(view: View, cells: Sequence[CellView]) -> Table:
    largest = {
        "largest_generator_difference": "Generators differ by",
        "largest_critic_difference": "Critics differ by",
        "score_sum": "Scores add up to",
    }
    headings = (
        Heading("objective", "Objective"),
        Heading("n", "n"),
        Heading("steps", "Steps"),
        *(Heading(name, label) for name, label in largest.items()),
        Heading("largest_generator_change", "Moved by", digits=2),
        Heading("score_gap", "Score gap", scale="gap"),
        Heading("flipped_score_gap", "Score gap, flipped", scale="gap"),
    )
    caption = captions.sentences(
        "Two trainings of one seed in plain torch, one with the critic's sign flipped: its last layer starts negated, "
        "and the losses read its score negated. Differ by: the largest absolute difference of a parameter, of the "
        "critics' by their absolute values, at any reading of any run; scores of one sample add up to: at most. Moved "
        "by: how far the farthest parameter of the generator is from its start, in the run where that is least. Score "
        "gap: mean score of real samples less that of fake ones at the last step, mean over n seeds with its "
        f"{BOOTSTRAP}.",
        captions.origin(view),
    )
    rows = []
    for cell in cells:
        errors = (_largest(_final(cell, name)) for name in largest)
        moved = float(_final(cell, "largest_generator_change").min())
        gaps = (interval(_final(cell, name)) for name in ("score_gap", "flipped_score_gap"))
        rows.append(Row((cell.label, cell.outcomes.ok, int(cell.settings["steps"]), *errors, moved, *gaps)))
    return Table("sign_flip", caption, headings, (Part("Both signs", tuple(rows)),), "The critic's sign")
