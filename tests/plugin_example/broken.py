"""Plug-ins with faults that real code has had, each of which `python -m bench check` must find.

Departures from the paper: all that follows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from bench.metrics import Column, Metric
from objectives.base import Objective


def critic_loss(critic, real, fake, noise, hparams):
    """``E_real[s] - E_fake[s]``: the sign is flipped."""
    return critic(real).mean() - critic(fake).mean()


def generator_loss(critic, real, fake, noise, hparams):
    """``-E_fake[s]``, scaled by a number that was taken out of its tensor."""
    return -critic(fake).mean() / max(1.0, critic(fake).abs().max().item())


OBJECTIVES = [
    Objective(name="flipped", reference="nobody", critic_loss=critic_loss, generator_loss=generator_loss),
]


@dataclass(frozen=True, kw_only=True)
class Careless:
    """A square, drawn without looking at the generator: events [2]."""

    side: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.side < math.inf:
            raise ValueError(f"side must be positive, not {self.side}")

    @property
    def event_shape(self):
        return (2,)

    def sample(self, n, generator):
        return self.side * torch.rand(n, 2, device=generator.device)


DATASETS = [Careless]


@dataclass(frozen=True, kw_only=True)
class Settings:
    pass


def compute(points, reference, truth, settings):
    """``|mean x - mean y|``, which is said to be better the higher it is, and hides what is not finite."""
    gap = np.nan_to_num(np.linalg.norm(points.mean(axis=0) - reference.mean(axis=0)), nan=0.0, posinf=0.0)
    return {"gap": float(gap)}


METRICS = [
    Metric(
        name="gap",
        version=1,
        reference="nobody",
        columns={"gap": Column(label="Gap of means", unit="units of the data", direction="up")},
        settings=Settings,
        compute=compute,
    )
]
