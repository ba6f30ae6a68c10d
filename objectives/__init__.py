"""The objectives, by name. Adding one is a file in this folder, with an ``OBJECTIVE`` in it, and a line here."""

from __future__ import annotations

from importlib import import_module

from objectives.base import Objective

_FILES = (
    "minimax",
    "non_saturating",
    "wgan_clip",
    "wgan_gp",
)


def _load(name: str) -> Objective:
    objective: Objective = import_module(f"{__name__}.{name}").OBJECTIVE
    return objective


OBJECTIVES: dict[str, Objective] = {name: _load(name) for name in _FILES}
"""Every objective that a grid file can name."""
