"""What the experiments share that ask an objective without networks, data or training: its settings and arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from bench import seeding, training_settings
from bench.cell import Settings, source_digest
from bench.experiments.base import check_keys
from bench.settings import check_block
from bench.sources import OBJECTIVE, code_digest
from objectives import OBJECTIVES, closed_forms

KEYS = ("objective", "probe")


def resolve(raw: Mapping[str, Any], probe: type[Any]) -> dict[str, Any]:
    """An objective with its hyperparameters, and the experiment's own block, with every default filled in.

    Raises:
        SettingError: a setting is unknown, missing, of a wrong type or impossible.
    """
    check_keys(raw, KEYS)
    training_settings.require(raw, "objective")
    objective, _ = training_settings.read_objective(raw, ())
    return {**objective, "probe": check_block([probe], raw.get("probe", {}), ("probe",))}


def sources(settings: Settings) -> dict[str, Any]:
    """Hashes of the code of the objective, and of the closed forms that stand beside what is measured."""
    return {
        "objective": code_digest(OBJECTIVE, settings["objective"]),
        "closed_forms": source_digest(closed_forms.__name__),
    }


def make_hparams(settings: Settings, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The hyperparameters as a loss gets them, [] a name."""
    return {name: torch.tensor(value, dtype=dtype) for name, value in settings["hparams"].items()}


def draw_noise(settings: Settings, seed: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """What the objective asks for, for one sample of one number: [1, ...] a name."""
    return {
        name: sampler(1, (1,), seeding.generator(seed, f"objective.{name}")).to(dtype)
        for name, sampler in OBJECTIVES[settings["objective"]].noise.items()
    }
