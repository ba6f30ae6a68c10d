"""Every claim of the ledger: well-formed, asked of grids that exist, and judged as the committed ledger says."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest

from bench import ROOT, records
from bench.claims import CLAIMS
from bench.claims.base import Asked, Claim
from bench.claims.ledger import Options, content, judge
from bench.grid import Grid, load_grid

FAMILIES = {f"{letter}{n}" for letter, last in (("A", 7), ("B", 12), ("C", 18)) for n in range(1, last + 1)} | {"D"}
WRITTEN = json.loads((ROOT / "results" / "claims" / "claims.json").read_text())


@cache
def grid(asked: Asked) -> Grid:
    return load_grid(ROOT / "grids" / f"{asked.grid}.yaml", asked.overrides, asked.seeds)


def test_the_ledger_has_every_claim() -> None:
    assert {name.partition("-")[0] for name in CLAIMS} == FAMILIES


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_a_claim_says_what_it_is_and_by_what_it_is_judged(claim: Claim) -> None:
    assert re.fullmatch(r"[ABCD]\d*(-[a-z0-9_]+)?", claim.id)
    for text in (claim.statement, claim.rule, claim.departures, *claim.sources):
        assert text == text.strip()
        assert text
        assert not text.endswith(".")
    assert claim.grids
    assert claim.asked("cpu") or claim.needs
    assert claim.asked("gpu")


ASKED = sorted({asked for claim in CLAIMS.values() for own in claim.grids.values() for asked in own}, key=str)


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_its_grids_are_good_as_it_asks_for_them(asked: Asked) -> None:
    assert grid(asked).cells


def test_the_smallest_budget_has_what_is_exact_and_two_that_train() -> None:
    asked = {claim.id for claim in CLAIMS.values() if claim.asked("ci")}
    assert {name for name in CLAIMS if name.startswith("A")} <= asked
    assert {name.partition("-")[0] for name in asked if name.startswith("C")} == {"C12", "C18"}


def test_folders_hold_the_runs_of_one_request_each() -> None:
    """Two requests of one grid, if they differ, do not share a folder: a manifest is of one grid."""
    homes: dict[str, Asked] = {}
    for claim in CLAIMS.values():
        for own in claim.grids.values():
            for asked in own:
                assert homes.setdefault(asked.home, asked) == asked


def test_the_records_for_two_cores_are_committed() -> None:
    for asked in {asked for claim in CLAIMS.values() for asked in claim.asked("cpu")}:
        assert {run.id for run in grid(asked).runs()} <= records.finished(ROOT / "results" / asked.home), asked


def test_the_committed_verdicts_are_those_of_the_committed_records() -> None:
    grids = {asked: grid(asked) for claim in CLAIMS.values() for asked in claim.asked("cpu")}
    found = judge(CLAIMS, Options(root=ROOT / "results"), grids, {})
    assert rounded(content(found, "cpu")["claims"]) == rounded(WRITTEN["claims"])


def rounded(claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As far as another version of a library agrees, without what it does not: numbers have nine digits."""
    own = [{**claim, "earlier_rules": []} for claim in claims]
    return json.loads(json.dumps(own), parse_float=lambda text: float(f"{float(text):.9g}"))  # type: ignore[no-any-return]
