"""What a claim is: a statement of a paper, the grids that test it, a rule that was fixed before the run, and verdicts.

A claim has parts, each one number with its interval beside a threshold, since papers claim in general and runs are
particular. All of a claim's parts must hold for it to be reproduced; that one is refuted is enough to refute it, if
that survives Holm's correction over the ledger: among many parts some fall on the wrong side by chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

from bench.statistics import Estimate, interval, p_share, p_value, seeds_for_mean, seeds_for_share, share

if TYPE_CHECKING:
    from bench.report.view import CellView, View

Budget = Literal["ci", "cpu", "gpu"]
Side = Literal["above", "below", "at most"]
Verdict = Literal[
    "reproduced", "refuted", "inconclusive", "exact", "not exact", "within", "same ordering", "neither", "not judged"
]
BUDGETS: tuple[Budget, ...] = ("ci", "cpu", "gpu")
VERDICTS: tuple[Verdict, ...] = (
    "reproduced", "refuted", "inconclusive", "exact", "not exact", "within", "same ordering", "neither", "not judged",
)  # fmt: skip

LEVEL = 0.05
"""Of an adjusted p value, at or below which a refutation stands."""


@dataclass(frozen=True)
class Asked:
    """A grid as a budget asks for it."""

    grid: str
    """Its file below ``grids/``, without the ending: ``modes``, ``papers/pacgan_table1``."""
    overrides: tuple[str, ...] = ()
    seeds: int | None = None
    folder: str = ""
    """Of its results, beside the others'; the grid's own name where it is empty."""

    @property
    def name(self) -> str:
        """By which a claim's judge finds the records."""
        return self.grid.rpartition("/")[2]

    @property
    def home(self) -> str:
        """The name of the results folder."""
        return self.folder or self.name


@dataclass(frozen=True, kw_only=True)
class Part:
    """One number that the claim says something of."""

    name: str
    """Of what: ``ring, tuned: wgan_gp, minimax``."""
    quantity: str
    """What the number is, with its unit: ``difference in modes covered``."""
    effect: Estimate
    threshold: float
    side: Side
    """Where the claim has it: strictly above or below the threshold; ``at most`` for the error of a closed form."""
    p: float = math.nan
    """Two-sided, that the effect is the threshold; NaN where nothing is random."""
    diverged: int = 0
    """Runs that diverged among those that the number is of; what they count for, the claim's rule says."""
    floor: float | None = None
    """The same quantity, or what it is made of, for real samples in place of generated ones."""
    needed: int | None = None
    """How many seeds would settle it with the spread that was observed, at a power of .8."""
    theirs: tuple[float, float | None] | None = None
    """The published number, with its standard error where one was given."""
    order: str = ""
    """Parts with one word here are published in an order, which ours may have too."""

    @property
    def verdict(self) -> Verdict:
        """Of this part alone, by its interval."""
        value, low, high = self.effect.value, self.effect.low, self.effect.high
        if self.side == "at most":
            return "exact" if value <= self.threshold else "not exact"
        if self.theirs is not None:
            return "within" if self._overlaps(*self.theirs) else "neither"
        if math.isnan(low):
            return "inconclusive"
        claimed, other = (low > self.threshold, high <= self.threshold)
        if self.side == "below":
            claimed, other = (high < self.threshold, low >= self.threshold)
        return "reproduced" if claimed else "refuted" if other else "inconclusive"

    def _overlaps(self, value: float, error: float | None) -> bool:
        """Whether their 95 % interval, or their number where they give no error, meets ours."""
        reach = 1.96 * (error or 0.0)
        low, high = (self.effect.low, self.effect.high) if self.effect.n > 1 else (self.effect.value,) * 2
        return low <= value + reach and value - reach <= high


Found: TypeAlias = "Mapping[str, View]"
"""The records of a claim's grids, by the grids' names."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim and how it is judged."""

    id: str
    """As in ``C1-tuned``: the claim, and which reading of it where there are several."""
    statement: str
    """In our own words."""
    sources: tuple[str, ...]
    """Where it is made: seed documents by number, papers with their arXiv ids."""
    grids: Mapping[Budget, tuple[Asked, ...]]
    """What it takes at a budget; ``gpu`` is ``cpu``'s where it is missing."""
    rule: str
    """What counts as reproduced, with the threshold; fixed before the run."""
    judge: Callable[[Found], Sequence[Part]]
    departures: str
    """From the protocols of the sources; ``none`` where there are none."""
    needs: str = ""
    """What it takes to judge it where no smaller budget can."""

    def asked(self, budget: Budget) -> tuple[Asked, ...]:
        """The grids that the budget asks for; none where it cannot judge the claim."""
        grids = self.grids.get(budget)
        return grids if grids is not None else self.grids.get("cpu", ()) if budget == "gpu" else ()


@dataclass(frozen=True)
class Judged:
    """A verdict with what it stands on."""

    verdict: Verdict
    why: str
    parts: tuple[Part, ...]
    adjusted: tuple[float, ...]
    """The parts' p values after Holm's correction over the ledger."""
    decisive: int | None
    """The part that the verdict hangs on: the weakest of a claim that holds, the clearest against one that does not."""


def decide(parts: Sequence[Part], adjusted: Sequence[float]) -> Judged:
    """The verdict on a claim with these parts and adjusted p values."""
    told = [part.verdict for part in parts]
    places = range(len(parts))

    def judged(verdict: Verdict, why: str, decisive: int | None) -> Judged:
        return Judged(verdict, why, tuple(parts), tuple(adjusted), decisive)

    def those(*verdicts: Verdict) -> list[int]:
        return [place for place in places if told[place] in verdicts]

    if not parts:
        return judged("not judged", "no record to judge it by", None)
    if {part.side for part in parts} == {"at most"}:
        wrong = those("not exact")
        worst = max(wrong or places, key=lambda place: _ratio(parts[place].effect.value, parts[place].threshold))
        why = _counted(wrong or list(places), parts, "off" if wrong else "exact")
        return judged("not exact" if wrong else "exact", why, worst)
    if any(part.theirs is not None for part in parts):
        return _published(parts, told, judged)
    refuted = those("refuted")
    standing = [place for place in refuted if adjusted[place] <= LEVEL]
    if standing:
        first = min(standing, key=lambda place: (adjusted[place], place))
        return judged("refuted", _counted(refuted, parts, "refuted"), first)
    open_ = [place for place in places if told[place] != "reproduced"]
    if open_:
        return judged("inconclusive", _undecided(open_, told, parts), open_[0])
    weakest = max(places, key=lambda place: (adjusted[place], -place))
    return judged("reproduced", _counted(list(places), parts, "reproduced"), weakest)


def _published(
    parts: Sequence[Part], told: Sequence[Verdict], judged: Callable[[Verdict, str, int | None], Judged]
) -> Judged:
    outside = [place for place, verdict in enumerate(told) if verdict != "within"]
    if not outside:
        return judged("within", _counted(list(range(len(parts))), parts, "within their interval"), 0)
    orders = {part.order for part in parts if part.order}
    alike = [order for order in sorted(orders) if _same_order([part for part in parts if part.order == order])]
    within = f"{len(parts) - len(outside)} of {len(parts)} numbers within their interval"
    if orders and len(alike) == len(orders):
        return judged("same ordering", f"{within}; every order as published", outside[0])
    other = f"; as published in order: {len(alike)} of {len(orders)}" if orders else ""
    return judged("neither", within + other, outside[0])


def _same_order(parts: Sequence[Part]) -> bool:
    """Whether numbers that differ in print are in the same order here."""
    ranked = sorted((part.theirs[0], part.effect.value) for part in parts if part.theirs is not None)
    levels: dict[float, list[float]] = {}
    for theirs, ours in ranked:
        levels.setdefault(theirs, []).append(ours)
    return len(levels) > 1 and all(max(low) < min(high) for low, high in pairwise(levels.values()))


def _ratio(value: float, threshold: float) -> float:
    return value / threshold if threshold else math.inf if value else 0.0


def _counted(places: Sequence[int], parts: Sequence[Part], word: str) -> str:
    return "" if len(parts) == 1 else f"{word} in {len(places)} of {len(parts)} parts"


def _undecided(places: Sequence[int], told: Sequence[Verdict], parts: Sequence[Part]) -> str:
    refuted = sum(told[place] == "refuted" for place in places)
    held = len(parts) - len(places)
    words = [f"{held} of {len(parts)} parts reproduced"] if len(parts) > 1 else []
    if refuted:
        words.append(f"{refuted} refuted, but not after Holm's correction")
    needed = [parts[place].needed for place in places if told[place] == "inconclusive"]
    known = [n for n in needed if n is not None]
    if len(places) > refuted:
        words.append("the interval straddles the threshold" if len(parts) == 1 else f"{len(places) - refuted} straddle")
    if known:
        words.append(f"{max(known):,} seeds would settle {'it' if len(known) == 1 else 'the closest'}")
    return "; ".join(words)


# --- what parts are made of


def pick(view: View, **where: object) -> CellView:
    """The one cell that has all of these settings; names are dotted, with ``__`` for a dot: ``pair__dim=8``.

    Raises:
        LookupError: none has, or several have.
    """
    cells = picks(view, **where)
    if len(cells) != 1:
        raise LookupError(f"{view.grid}: {len(cells)} cells have {where}")
    return cells[0]


def picks(view: View, **where: object) -> list[CellView]:
    """All cells that have all of these settings."""
    wanted = {key.replace("__", "."): value for key, value in where.items()}
    return [cell for cell in view.cells if all(cell.settings.get(key) == value for key, value in wanted.items())]


def floor_of(cell: CellView, column: str) -> float | None:
    """The mean of what real samples have in the column's place."""
    values = list(cell.final(f"{column}_floor").values())
    return math.fsum(values) / len(values) if values else None


def mean_of(
    name: str, quantity: str, values: Iterable[float], threshold: float, side: Side,
    *, diverged: int = 0, floor: float | None = None,
) -> Part:  # fmt: skip
    """The mean of one number a seed, with its interval; numbers that are not finite are missing.

    Its p is Student's. Where all numbers are equal, which an interval without a width takes for certain, it is that of
    the exact sign test, 2 / 2^n: as certain as n seeds that agree can make it.
    """
    sample = [value for value in values if math.isfinite(value)]
    varied = len(set(sample)) > 1
    above = sum(value > threshold for value in sample)
    return Part(
        name=name, quantity=quantity, effect=interval(sample), threshold=threshold, side=side,
        p=p_value(sample, threshold) if varied else p_share(above, len(sample), 0.5) if sample else math.nan,
        diverged=diverged, floor=floor,
        needed=seeds_for_mean(sample, threshold) if varied else None,
    )  # fmt: skip


def difference(
    name: str, quantity: str, a: CellView, b: CellView, column: str, side: Side,
    *, threshold: float = 0.0, of: Callable[[float], float] = lambda value: value,
) -> Part:  # fmt: skip
    """The mean over the seeds that both have of ``of(a) - of(b)`` at the end of the runs; the floor is a's."""
    one, other = a.final(column), b.final(column)
    values = [of(one[seed]) - of(other[seed]) for seed in sorted(one.keys() & other.keys())]
    diverged = a.outcomes.diverged + b.outcomes.diverged
    return mean_of(name, quantity, values, threshold, side, diverged=diverged, floor=floor_of(a, column))


def share_of(
    name: str, quantity: str, held: Iterable[bool], threshold: float, side: Side, *, diverged: int = 0
) -> Part:
    """The share of runs of which something holds, with its exact binomial interval."""
    told = list(held)
    successes, n = sum(told), len(told)
    return Part(
        name=name, quantity=quantity, effect=share(successes, n), threshold=threshold, side=side,
        p=p_share(successes, n, threshold) if n else math.nan,
        diverged=diverged, needed=seeds_for_share(successes, n, threshold) if n else None,
    )  # fmt: skip


def closed_form(name: str, quantity: str, error: float, tolerance: float) -> Part:
    """The error of a number whose true value is known; what is not a number is infinitely wrong."""
    value = math.inf if math.isnan(error) else error
    return Part(
        name=name, quantity=quantity, effect=Estimate(value, math.nan, math.nan, 1), threshold=tolerance, side="at most"
    )


def beside(
    name: str, quantity: str, values: Iterable[float], theirs: float, error: float | None = None, order: str = "",
    *, diverged: int = 0, floor: float | None = None,
) -> Part:  # fmt: skip
    """Our mean with its interval beside a published number with its standard error."""
    return Part(
        name=name, quantity=quantity, effect=interval(list(values)), threshold=theirs, side="above",
        diverged=diverged, floor=floor, theirs=(theirs, error), order=order,
    )  # fmt: skip
