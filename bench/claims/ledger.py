"""The ledger: plan the union of the runs that claims ask for, train what is missing, judge, write the verdicts.

The verdicts are of the records that lie in the results folder, so that the ledger can be deleted and made again. A rule
that was changed since it was first judged is told, with the hashes of the earlier ones, which ``rules.json`` keeps.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import ROOT, lazy_torch, provenance, records
from bench.cell import digest, source_digest
from bench.claims import base, write
from bench.claims.base import Asked, Budget, Claim, Judged, decide
from bench.errors import UserError, nearest
from bench.experiments import ALONE
from bench.grid import Grid, load_grid
from bench.launch import run as launching
from bench.report import view
from bench.statistics import holm

RULES = "rules.json"
METHOD = (
    "bench.claims.base", "bench.claims.reading", "bench.claims.training",
    "bench.statistics.estimators", "bench.statistics.intervals",
)  # fmt: skip
"""Modules whose code is the method; its history stands in ``rules.json`` beside the rules'."""
LARGEST_RULES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is judged, and how its runs are trained."""

    only: tuple[str, ...] = ()
    """Ids, or their beginnings up to a hyphen; all where there are none."""
    budget: Budget = "cpu"
    root: Path = Path("results")
    """The folder that holds a results folder for each grid, and the ledger's own."""
    device: str = "auto"
    workers: int | None = None
    dry: bool = False


@dataclass(frozen=True)
class Entry:
    """A claim with its verdict, and what identifies both."""

    claim: Claim
    judged: Judged
    rule_hash: str
    earlier: tuple[str, ...]
    """Rules by which it was judged before."""
    commits: str
    """Of the code that made its records."""


def settle(claims: Mapping[str, Claim], options: Options) -> int:
    """Train what the chosen claims need, judge all whose records are there, write the ledger; gives the exit code."""
    chosen = choose(claims, options.only)
    console = Console(soft_wrap=True)
    grids = {asked: _load(asked) for claim in claims.values() for asked in claim.asked(options.budget)}
    union = dict.fromkeys(asked for claim in chosen for asked in claim.asked(options.budget))
    for asked in union:
        code = launching.train(grids[asked], _how(asked, grids[asked], options), console)
        if code:
            return code
    if options.dry:
        return 0
    lazy_torch.withdraw()
    folder = home(options.root, options.budget)
    entries = judge(claims, options, grids, _earlier(folder))
    _publish(entries, options, folder)
    codes = [launching.report(options.root / asked.home, console, brief=True) for asked in union]
    shown = [entry for entry in entries if entry.claim in chosen]
    console.print(write.terminal(shown), markup=False, highlight=False)
    console.print(f"ledger: {folder / 'claims.md'}", markup=False, highlight=False)
    return max(codes, default=0)


def _how(asked: Asked, grid: Grid, options: Options) -> launching.Options:
    """How a grid is run, with the command that does the same without the ledger."""
    alone = any(cell.experiment in ALONE for cell in grid.cells)  # such a one is refused a number of processes
    folder = options.root / asked.home
    words = ["run", "--grid", f"grids/{asked.grid}.yaml"]
    words += [word for override in asked.overrides for word in ("--set", override)]
    words += ["--seeds", str(asked.seeds)] if asked.seeds is not None else []
    words += ["--out", f"results/{asked.home}"] if asked.folder else []
    return launching.Options(
        folder=folder,
        device=options.device,
        workers=None if alone else options.workers,
        dry=options.dry,
        command=tuple(words),
    )


def home(root: Path, budget: Budget) -> Path:
    """Where the ledger of a budget is: verdicts of small runs do not take the place of others."""
    return root / ("claims" if budget == "cpu" else f"claims_{budget}")


def choose(claims: Mapping[str, Claim], only: Sequence[str]) -> list[Claim]:
    """The claims with these ids, where ``C1`` stands for all of its readings.

    Raises:
        UserError: a word is no claim.
    """
    families = {name.partition("-")[0] for name in claims}
    for word in only:
        if word not in claims and word not in families:
            raise UserError(f"--only {word}: no such claim; {nearest(word, {*claims, *families})}")
    wanted = set(only) or families
    return [claim for name, claim in claims.items() if name in wanted or name.partition("-")[0] in wanted]


def judge(
    claims: Mapping[str, Claim], options: Options, grids: Mapping[Asked, Grid], earlier: Mapping[str, Sequence[str]]
) -> list[Entry]:
    """The verdicts on all claims; Holm's correction is over all of their parts."""
    views: dict[Asked, view.View] = {}
    reasons: dict[Asked, str] = {}
    for asked, grid in grids.items():
        folder = options.root / asked.home
        missing = {run.id for run in grid.runs()} - records.finished(folder)
        if missing:
            reasons[asked] = f"{len(missing):,} of {len(grid.runs()):,} runs of {asked.grid} are missing"
        else:
            views[asked] = view.read(folder)
    parts: dict[str, tuple[base.Part, ...]] = {}
    whys: dict[str, str] = {}
    for name, claim in claims.items():
        needed = claim.asked(options.budget)
        lacking = [reasons[asked] for asked in needed if asked in reasons]
        if not needed:
            whys[name] = f"not at the budget {options.budget}" + (f": needs {claim.needs}" if claim.needs else "")
        elif lacking:
            whys[name] = "; ".join(lacking)
        else:
            try:
                parts[name] = tuple(claim.judge({asked.name: views[asked] for asked in needed}))
            except LookupError as error:
                whys[name] = str(error)
    adjusted = iter(holm([part.p for own in parts.values() for part in own]))
    entries = []
    for name, claim in claims.items():
        if name in parts:
            judged = decide(parts[name], [next(adjusted) for _ in parts[name]])
        else:
            judged = Judged("not judged", whys[name], (), (), None)
        rule = rule_hash(claim, options.budget, grids)
        commits = dict.fromkeys(views[asked].commit for asked in claim.asked(options.budget) if asked in views)
        before = tuple(other for other in earlier.get(name, ()) if other != rule)
        entries.append(Entry(claim, judged, rule, before, ", ".join(commits)))
    return entries


def rule_hash(claim: Claim, budget: Budget, grids: Mapping[Asked, Grid]) -> str:
    """Of what decides a verdict but records and method: the rule, in words and code, and the runs that it asks for."""
    runs = [digest([run.id for run in grids[asked].runs()]) for asked in claim.asked(budget)]
    code = source_digest(getattr(claim.judge, "func", claim.judge).__module__)
    return digest([claim.id, claim.statement, claim.rule, runs, code])


def method_hash() -> str:
    """Of what all verdicts share: how parts are read off, what their intervals and tests are, how they decide."""
    return digest([source_digest(name) for name in METHOD])


def _load(asked: Asked) -> Grid:
    return load_grid(ROOT / "grids" / f"{asked.grid}.yaml", asked.overrides, asked.seeds)


def _earlier(folder: Path) -> dict[str, list[str]]:
    """The rules of each claim that the ledger was judged by before, the first one first."""
    path = folder / RULES
    if not path.exists():
        return {}
    try:
        if path.stat().st_size > LARGEST_RULES:
            raise ValueError("too large")
        found = json.loads(path.read_text())
        if not all(isinstance(word, str) for words in found.values() for word in words):
            raise ValueError("not lists of hashes")
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: damaged ({error}); restore it: it tells which rules were changed") from None
    return dict(found)


def _publish(entries: Sequence[Entry], options: Options, folder: Path) -> None:
    """Write the ledger in all its forms; equal records, equal bytes."""
    history = _earlier(folder)
    for entry in entries:
        if entry.judged.verdict != "not judged":
            _remember(history, entry.claim.id, entry.rule_hash)
    _remember(history, "method", method_hash())
    records.publish_bytes(_json(history), folder / RULES)
    methods = tuple(other for other in history["method"] if other != method_hash())
    records.publish_bytes(_json(content(entries, options.budget, methods)), folder / "claims.json")
    for name, text in write.files(entries, options.budget, folder / "claims.json", method_hash(), methods).items():
        records.publish_bytes(text.encode(), folder / name)


def _remember(history: dict[str, list[str]], name: str, rule: str) -> None:
    """Note by what is judged, where it is not what was judged by last."""
    if history.get(name, [""])[-1] != rule:
        history.setdefault(name, []).append(rule)


def _json(content: object) -> bytes:
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=True).encode() + b"\n"


def content(entries: Sequence[Entry], budget: Budget, methods: Sequence[str] = ()) -> dict[str, Any]:
    """The ledger as data, with the methods that it was judged by before."""
    counts = Counter(entry.judged.verdict for entry in entries)
    commits = dict.fromkeys(word for entry in entries for word in entry.commits.split(", ") if word)
    return {
        "schema_version": 1,
        "budget": budget,
        "commit": ", ".join(sorted(commits)),
        "method_hash": method_hash(),
        "earlier_methods": list(methods),
        "versions": provenance.versions(),
        "counts": {verdict: counts[verdict] for verdict in base.VERDICTS if counts[verdict]},
        "claims": [_claim(entry, budget) for entry in entries],
    }


def _claim(entry: Entry, budget: Budget) -> dict[str, Any]:
    claim, judged = entry.claim, entry.judged
    return {
        "id": claim.id,
        "statement": claim.statement,
        "sources": list(claim.sources),
        "grids": [asked.home for asked in claim.asked(budget)],
        "rule": claim.rule,
        "rule_hash": entry.rule_hash,
        "earlier_rules": list(entry.earlier),
        "verdict": judged.verdict,
        "why": judged.why,
        "departures": claim.departures,
        "command": write.command(claim, budget),
        "decisive": judged.decisive,
        "parts": [_part(part, p) for part, p in zip(judged.parts, judged.adjusted, strict=True)],
    }


def _part(part: base.Part, adjusted: float) -> dict[str, Any]:
    theirs = part.theirs or (None, None)
    return {
        "name": part.name,
        "quantity": part.quantity,
        "effect": _number(part.effect.value),
        "low": _number(part.effect.low),
        "high": _number(part.effect.high),
        "n": part.effect.n,
        "threshold": part.threshold,
        "side": part.side,
        "p": _number(part.p),
        "holm_p": _number(adjusted),
        "verdict": part.verdict,
        "diverged": part.diverged,
        "floor": part.floor,
        "needed": part.needed,
        "theirs": theirs[0],
        "theirs_spread": theirs[1],
    }


def _number(value: float) -> float | None:
    """As JSON has it; what is infinite is told as the largest number."""
    return None if math.isnan(value) else math.copysign(sys.float_info.max, value) if math.isinf(value) else value
