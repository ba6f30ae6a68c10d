"""A ledger as data: four claims of two grids, with one part, three, one beside a published number, and none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def part(write: Callable[[str], str] = str, **changes: Any) -> dict[str, Any]:
    told = {
        "name": write("ring: one against another"), "quantity": write("difference in modes covered"),
        "effect": 1.234, "low": 0.5, "high": 2.0, "n": 8, "threshold": 0.0, "side": "above",
        "p": 0.012, "holm_p": 0.034, "verdict": "reproduced", "diverged": 1, "floor": 8.0, "needed": 24,
        "theirs": None, "theirs_spread": None,
    }  # fmt: skip
    return told | changes


def claim(name: str, verdict: str, parts: list[dict[str, Any]], write: Callable[[str], str] = str) -> dict[str, Any]:
    return {
        "id": name, "statement": write(f"what {name} says"), "sources": [write("a seed document"), write("a paper")],
        "grids": ["small", "modes"], "rule": write("more than nothing"), "rule_hash": write("ab12cd34ef"),
        "earlier_rules": [], "verdict": verdict, "why": write("as seen in all parts"), "departures": write("none"),
        "command": write(f"python -m bench claims --only {name} --budget cpu"), "parts": parts,
    }  # fmt: skip


def example(write: Callable[[str], str] = str) -> dict[str, Any]:
    """``write`` turns each free text into another."""
    tiny = part(
        write, effect=3e-17, low=None, high=None, threshold=1e-9, side="at most", p=None, holm_p=None, verdict="exact"
    )
    refuted = part(write, effect=-12345.6, low=-20000.0, high=-5000.0, p=1e-7, holm_p=2e-6, verdict="refuted")
    beside = part(write, theirs=1.1, theirs_spread=0.1, floor=None, needed=None, verdict="within")
    claims = [
        claim("A1", "exact", [tiny], write),
        claim("C1-tuned", "refuted", [part(write), refuted, part(write)], write) | {"decisive": 1},
        claim("D-w1", "within", [beside], write) | {"earlier_rules": [write("0123456789")], "grids": ["small"]},
        claim("C2", "not judged", [], write) | {"grids": ["images"]},
    ]
    return {
        "schema_version": 1, "budget": write("cpu"), "commit": write("98c8c081a7"),
        "versions": {"torch": write("2.14.1")},
        "counts": {"exact": 1, "refuted": 1, "within": 1, "not judged": 1, "reproduced": 0},
        "claims": claims,
    }  # fmt: skip


def put(content: object, folder: Path) -> Path:
    """Write a ledger into the folder that holds results folders."""
    path = folder / "claims" / "claims.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path
