"""The ledger as a reader meets it: ``claims.json`` read with care, its rows, and its page.

The file is other people's data: it is read with a limit on its size and checked by type before anything of it is used,
and every text is escaped where it is shown.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from bench.records import LEDGER, RecordError
from bench.report import html

LARGEST = 1 << 24
"""Bytes of a ledger beyond which it is not read."""

Verdict = Literal[
    "reproduced", "refuted", "inconclusive", "exact", "not exact", "within", "same ordering", "neither", "not judged"
]

SIGNS: Mapping[Verdict, tuple[str, str]] = {
    "reproduced": ("✓", "for"),
    "refuted": ("✗", "against"),
    "inconclusive": ("?", "open"),
    "exact": ("=", "for"),
    "not exact": ("≠", "against"),
    "within": ("≈", "for"),
    "same ordering": ("↕", "open"),
    "neither": ("≉", "against"),
    "not judged": ("–", "none"),
}
"""A symbol for each verdict, and how it is coloured; the word always stands beside them."""

_SIDES = {"above": ">", "below": "<", "at most": "≤"}

_CONFIG = ConfigDict(strict=True, allow_inf_nan=False)
_Name = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9._-]{0,63}$")]
_Count = Annotated[int, Field(ge=0, le=10**9)]
_Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Part:
    """One number that a claim says something of, with its 95 % interval beside a threshold or a published number."""

    name: str
    quantity: str
    effect: float | None
    low: float | None
    high: float | None
    n: _Count
    threshold: float
    side: Literal["above", "below", "at most"]
    p: _Share | None
    holm_p: _Share | None
    verdict: Verdict
    diverged: _Count
    floor: float | None
    needed: _Count | None
    theirs: float | None
    theirs_spread: float | None


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Claim:
    """A claim with its verdict and all that the verdict stands on."""

    id: _Name
    statement: str
    sources: tuple[str, ...]
    grids: tuple[str, ...]
    rule: str
    rule_hash: str
    earlier_rules: tuple[str, ...]
    verdict: Verdict
    why: str
    departures: str
    command: str
    parts: tuple[Part, ...]
    decisive: _Count | None = None
    """Which part the verdict hangs on; None where that is not told."""

    @property
    def shown(self) -> Part | None:
        """The part that stands for the claim where there is room for one."""
        place = 0 if len(self.parts) == 1 else self.decisive
        return None if place is None else self.parts[place]


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Ledger:
    """All claims, judged at one budget."""

    schema_version: Literal[1]
    budget: str
    commit: str
    method_hash: str = ""
    """Of the code by which all parts are read, tested and decided."""
    earlier_methods: tuple[str, ...] = ()
    versions: dict[str, str]
    counts: dict[Verdict, _Count]
    claims: tuple[Claim, ...]


class Line(NamedTuple):
    """The numbers of a part as a person reads them; empty where there are none."""

    about: str = ""
    effect: str = ""
    interval: str = ""
    claimed: str = ""
    n: str = ""
    diverged: str = ""
    floor: str = ""
    p: str = ""
    holm_p: str = ""
    needed: str = ""


class Row(NamedTuple):
    """A claim, the numbers of the part that it hangs on, and those of all its parts."""

    claim: Claim
    line: Line
    parts: list[tuple[Part, Line]]


def load(path: Path) -> Ledger:
    """The ledger of a file.

    Raises:
        RecordError: it cannot be read, is too large, or is not a ledger: one line that says what is odd.
    """
    try:
        if path.exists() and not path.is_file():
            raise RecordError(path, "not a file")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise RecordError(path, error.strerror or str(error)) from error
    if len(data) > LARGEST:
        raise RecordError(path, f"too large for a ledger; at most {LARGEST:,} bytes are read")
    try:
        found = TypeAdapter(Ledger).validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        reason = f"{place}: {first['msg']}" if place else first["msg"]
        raise RecordError(path, f"damaged, or not a ledger ({reason[:200]})") from error
    if fault := _fault(found):
        raise RecordError(path, f"damaged, or not a ledger ({fault})")
    return found


def beside(folder: Path) -> Ledger | None:
    """The ledger that lies beside a results folder, in ``../claims/``; None where there is none.

    Raises:
        RecordError: there is one that cannot be used.
    """
    path = folder.resolve().parent / LEDGER
    return load(path) if path.exists() else None


def of_grid(ledger: Ledger, name: str) -> tuple[Claim, ...]:
    """The claims that a grid feeds, by the name of its results folder."""
    return tuple(claim for claim in ledger.claims if name in claim.grids)


def rows(claims: Iterable[Claim]) -> list[Row]:
    """The claims as they are shown."""
    return [Row(claim, _line(claim.shown), [(part, _line(part)) for part in claim.parts]) for claim in claims]


def render(ledger: Ledger) -> str:
    """``claims.html``: verdict counts, a row for each claim, and a section for each with all that it stands on."""
    counts = Counter(claim.verdict for claim in ledger.claims)
    return html.fill(
        "ledger.html",
        ledger=ledger,
        counts=[(verdict, counts[verdict]) for verdict in SIGNS if counts[verdict]],
        claims=rows(ledger.claims),
        signs=SIGNS,
        versions=", ".join(f"{name} {version}" for name, version in sorted(ledger.versions.items())),
    )


def number(value: float | None) -> str:
    """A number with three significant digits, with an exponent below 1e-4 and from 1e7 on; empty for None.

    The largest number of a file, which has none that are infinite, stands for those.
    """
    if value is None:
        return ""
    if abs(value) == sys.float_info.max:
        return "∞" if value > 0 else "-∞"
    size = abs(float(f"{value:.3g}"))
    return f"{value:,.0f}" if 1e3 <= size < 1e7 else f"{value:.3g}"


def _line(part: Part | None) -> Line:
    if part is None:
        return Line()
    known = part.low is not None and part.high is not None
    return Line(
        about=": ".join(filter(None, (part.name, part.quantity))),
        effect=number(part.effect) or "–",
        interval=f"[{number(part.low)}, {number(part.high)}]" if known else "",
        claimed=_claimed(part),
        n=f"{part.n:,}",
        diverged=f"{part.diverged:,}",
        floor=number(part.floor),
        p=_chance(part.p),
        holm_p=_chance(part.holm_p),
        needed="" if part.needed is None else f"{part.needed:,}",
    )


def _claimed(part: Part) -> str:
    """Where the claim has the number: ``> 0``, ``≤ 1e-05``; or what is published, ``1.2 ± 0.1``."""
    if part.theirs is None:
        return f"{_SIDES[part.side]} {part.threshold:g}"
    return " ± ".join(number(value) for value in (part.theirs, part.theirs_spread) if value is not None)


def _chance(p: float | None) -> str:
    return "" if p is None else f"{p:.2g}" if p >= 1e-4 else "< 0.0001"


def _fault(ledger: Ledger) -> str:
    """What is odd of a ledger whose types are right; empty where nothing is."""
    twice = [name for name, count in Counter(claim.id for claim in ledger.claims).items() if count > 1]
    if twice:
        return f"two claims are {twice[0]}"
    if {key: count for key, count in ledger.counts.items() if count} != Counter(c.verdict for c in ledger.claims):
        return "its counts are not those of its claims"
    for claim in ledger.claims:
        if claim.decisive is not None and claim.decisive >= len(claim.parts):
            return f"{claim.id} has no part {claim.decisive}"
        for part in claim.parts:
            if (part.low is None) != (part.high is None):
                return f"{claim.id} has half an interval"
            if part.low is not None and part.high is not None and part.low > part.high:
                return f"{claim.id} has an interval from high to low"
    return ""
