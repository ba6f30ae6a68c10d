"""The ledger's claims, by id. Adding one is a file in this folder, with ``CLAIMS`` in it, and a word here."""

from __future__ import annotations

from importlib import import_module

from bench.claims.base import BUDGETS, Budget, Claim

_FILES = (
    "a1", "a2", "a3", "a4", "a5", "a6", "a7",
    "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9", "b10", "b11", "b12",
    "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11", "c12", "c13", "c14", "c15", "c16", "c17", "c18",
    "d_pacgan", "d_veegan", "d_unrolled", "d_stacked", "d_r3gan", "d_w1",
)  # fmt: skip


def _load(name: str) -> tuple[Claim, ...]:
    claims: tuple[Claim, ...] = import_module(f"{__name__}.{name}").CLAIMS
    return claims


CLAIMS: dict[str, Claim] = {claim.id: claim for name in _FILES for claim in _load(name)}
"""Every claim of the ledger, each reading of it by itself."""

__all__ = ["BUDGETS", "CLAIMS", "Budget", "Claim"]
