"""Settings of training as people write it: what an experiment may set that trains by the plain loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench import training_settings
from bench.cell import Settings
from bench.experiments.throughput import USUAL
from bench.plain_module import PlainModule
from bench.problem import Problem
from bench.settings import SettingError

NAMED = ("objective", "dataset", "generator", "critic")
"""What the settings that stay at their defaults depend on."""


def resolve(raw: Mapping[str, Any], why: str) -> dict[str, Any]:
    """The settings of training, every default filled in; a setting that the plain loop is without is refused, with why.

    Raises:
        SettingError: a setting is unknown, missing, of a wrong type or impossible, or the loop is without it.
    """
    settings = training_settings.resolve(raw)
    bare = training_settings.resolve({key: settings[key] for key in NAMED})
    for key in USUAL:
        if settings[key] != bare[key]:
            raise SettingError((key,), f"{why} is training without it; remove it")
    return settings


def start(problem: Problem, settings: Settings, seed: int, device: str) -> PlainModule:
    """The plain loop of a problem, with the settings' hyperparameters and optimisers."""
    scalars = training_settings.make_scalars([settings])
    own = {group: {name: values[0] for name, values in block.items()} for group, block in scalars.items()}
    return PlainModule(problem, seed, own, device)
