"""The objectives, by name. Adding one is a file in this folder, with an ``OBJECTIVE`` in it, and a line here."""

from __future__ import annotations

from importlib import import_module

from objectives.base import Objective

_FILES = (
    "minimax",
    "non_saturating",
    "wgan_clip",
    "wgan_gp",
    "wgan_lp",
    "wgan_div",
    "cramer",
    "least_squares",
    "hinge",
    "dragan",
    "non_saturating_r1",
    "non_saturating_r1_r2",
    "relativistic",
    "relativistic_average",
    "relativistic_r1",
    "r3gan",
    "fgan_kl",
    "fgan_reverse_kl",
    "fgan_pearson",
    "fgan_hellinger",
    "alpha_gan",
)


def _load(name: str) -> Objective:
    objective: Objective = import_module(f"{__name__}.{name}").OBJECTIVE
    return objective


OBJECTIVES: dict[str, Objective] = {name: _load(name) for name in _FILES}
"""Every objective that a grid file can name."""
