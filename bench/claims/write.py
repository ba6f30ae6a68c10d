"""How the ledger is written: a table of verdicts; of each claim its rule, its parts and how to make the row again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.claims.base import VERDICTS, Budget, Claim, Part
from bench.records import printable
from bench.report import ledger as page
from bench.report import tables
from bench.report.tables import Heading, Row, Table

if TYPE_CHECKING:
    from bench.claims.ledger import Entry

SIDES = {"above": ">", "below": "<", "at most": "\u2264"}

SUMMARY = (
    Heading("id", "Claim"),
    Heading("statement", "Statement", words=True),
    Heading("verdict", "Verdict", words=True),
    Heading("quantity", "The number that it hangs on", words=True),
    Heading("effect", "Effect", digits=3),
    Heading("claimed", "Claimed", words=True),
    Heading("n", "n"),
    Heading("diverged", "Div."),
    Heading("floor", "Floor", digits=2),
    Heading("holm_p", "p (Holm)", digits=2),
)
PARTS = (
    Heading("part", "Part", words=True),
    Heading("quantity", "Quantity", words=True),
    Heading("effect", "Effect", digits=3),
    Heading("claimed", "Claimed", words=True),
    Heading("verdict", "Verdict", words=True),
    Heading("n", "n"),
    Heading("diverged", "Div."),
    Heading("floor", "Floor", digits=2),
    Heading("needed", "Seeds needed"),
    Heading("p", "p", digits=2),
    Heading("holm_p", "p (Holm)", digits=2),
)
LEGEND = (
    "Effect: the mean over n seeds, or the share of them, with its 95 % interval (percentile bootstrap over seeds, "
    "expanded for small n; exact binomial for shares); for a closed form the largest error. Reproduced: every part's "
    "interval lies wholly on the claimed side of its threshold; refuted: one lies wholly on the other side, after "
    "Holm's correction over all parts of the ledger; inconclusive: else. Within: all published numbers within 1.96 "
    "standard errors of our intervals; same ordering: all orders as published. The row shows the weakest part of a "
    "claim that holds, and the clearest against one that does not. Div.: runs that diverged. p: two-sided, that the "
    "effect is the threshold, by Student's t or the exact binomial test; where all runs agree the interval has no "
    "width, and p is that of the exact sign test, 2 / 2^n."
)
BRIEF = ("id", "statement", "verdict", "effect", "claimed", "n")
"""Columns of the summary that a reader of the README sees."""


def files(entries: Sequence[Entry], budget: Budget, data: Path, method: str, before: Sequence[str]) -> dict[str, str]:
    """The ledger's files by name, beside its data; it is judged by a method, and was by others before."""
    summary, parts = summary_table(entries, budget), parts_table(entries)
    brief = _brief(entries, summary)
    return {
        "claims.md": _markdown(entries, summary, budget, method, before),
        "summary.md": tables.markdown(brief),
        "claims.tex": tables.latex(replace(brief, name="claims", caption=summary.caption), "long"),
        "claims.csv": tables.csv_text(summary),
        "parts.csv": tables.csv_text(parts),
        "claims.html": page.render(page.load(data)),
    }


def counts(entries: Sequence[Entry]) -> str:
    """How many verdicts there are of each kind, in words."""
    found = Counter(entry.judged.verdict for entry in entries)
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS if found[verdict])


def command(claim: Claim, budget: Budget) -> str:
    """What makes the row again."""
    least = budget if claim.asked(budget) else "gpu"
    return f"python -m bench claims --only {claim.id} --budget {least}"


def terminal(entries: Sequence[Entry]) -> str:
    """A line a claim."""
    width = max((len(entry.claim.id) for entry in entries), default=0)
    lines = [f"{entry.claim.id:{width}}  {_verdict(entry)}" for entry in entries]
    return "\n".join(map(printable, [*lines, counts(entries)]))


def _verdict(entry: Entry) -> str:
    verdict, why = entry.judged.verdict, entry.judged.why
    return why if why.startswith(verdict) else ": ".join(filter(None, (verdict, why)))


def summary_table(entries: Sequence[Entry], budget: Budget) -> Table:
    """A row a claim."""
    rows = tuple(_row(entry) for entry in entries)
    return Table("claims", f"{LEGEND} Budget: {budget}.", SUMMARY, (tables.Part(counts(entries), rows),), "Claims")


def _brief(entries: Sequence[Entry], summary: Table) -> Table:
    """The verdicts with the numbers that they hang on, and no more."""
    kept = [index for index, heading in enumerate(SUMMARY) if heading.key in BRIEF]
    (part,) = summary.parts
    verdict = [heading.key for heading in SUMMARY].index("verdict")
    rows = []
    for entry, row in zip(entries, part.rows, strict=True):
        told = (*row.entries[:verdict], entry.judged.verdict, *row.entries[verdict + 1 :])
        rows.append(Row(tuple(told[index] for index in kept)))
    headings = tuple(replace(SUMMARY[index], words=SUMMARY[index].key == "statement") for index in kept)
    caption = "What each number is, by which rule it is judged, and from what it departs: claims.md, beside this table."
    return Table("summary", caption, headings, (tables.Part(part.title, tuple(rows)),))


def _row(entry: Entry) -> Row:
    claim, judged = entry.claim, entry.judged
    if judged.decisive is None:
        return Row((claim.id, claim.statement, _verdict(entry), *[None] * (len(SUMMARY) - 3)))
    part, p = judged.parts[judged.decisive], judged.adjusted[judged.decisive]
    named = f"{part.quantity}, {part.name}" if part.name else part.quantity
    numbers = (part.effect.n, part.diverged, part.floor, _p(p))
    return Row((claim.id, claim.statement, _verdict(entry), named, *_numbers(part), *numbers))


def _numbers(part: Part) -> tuple[tables.Entry, str]:
    """The effect, and what is claimed of it."""
    effect = part.effect.value if part.side == "at most" else part.effect
    if part.theirs is None:
        return effect, f"{SIDES[part.side]} {part.threshold:.3g}"
    value, error = part.theirs
    return effect, f"{value:g}" if error is None else f"{value:g} \u00b1 {error:g}"


def _p(p: float) -> float | None:
    return None if p != p else p


def parts_table(entries: Sequence[Entry]) -> Table:
    """A part a claim, a row a part of it."""
    found = tuple(
        tables.Part(
            f"{entry.claim.id}: {entry.claim.statement}. {entry.judged.verdict.capitalize()}",
            tuple(_part_row(part, p) for part, p in zip(entry.judged.parts, entry.judged.adjusted, strict=True)),
        )
        for entry in entries
        if entry.judged.parts
    )
    return Table("parts", LEGEND, PARTS, found, "Parts")


def _part_row(part: Part, adjusted: float) -> Row:
    numbers = (part.effect.n, part.diverged, part.floor, part.needed, _p(part.p), _p(adjusted))
    return Row((part.name, part.quantity, *_numbers(part), part.verdict, *numbers))


def _markdown(entries: Sequence[Entry], summary: Table, budget: Budget, method: str, before: Sequence[str]) -> str:
    changed = f" It was judged before by {', '.join(before)}." if before else ""
    how = f"Intervals, tests and verdicts: method {method}.{changed}"
    lines = [f"# The ledger, budget {budget}", "", f"{counts(entries)}.", "", how, "", tables.markdown(summary)]
    for entry in entries:
        claim, judged = entry.claim, entry.judged
        lines += [f"## {claim.id}: {judged.verdict}", ""]
        facts = {
            "Claim": claim.statement,
            "Sources": "; ".join(claim.sources),
            "Rule": f"{claim.rule} ({entry.rule_hash})",
            "Rule changed": f"judged before by {', '.join(entry.earlier)}" if entry.earlier else "",
            "Verdict": _verdict(entry),
            "Departures": claim.departures,
            "Records": entry.commits and f"commit {entry.commits}",
        }
        lines += [f"- **{name}:** {tables.escaped(words)}" for name, words in facts.items() if words]
        lines += ["", "```sh", command(claim, budget), "```", ""]
        if judged.parts:
            rows = tuple(_part_row(part, p) for part, p in zip(judged.parts, judged.adjusted, strict=True))
            own = Table("parts", "", PARTS, (tables.Part(f"{len(rows)} parts", rows),))
            lines += [tables.markdown(own)]
    return "\n".join(lines).rstrip() + "\n"
