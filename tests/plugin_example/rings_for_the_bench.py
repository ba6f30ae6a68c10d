"""The non-saturating game with one-sided label smoothing, Gaussians on concentric rings, and the energy distance.

The game is that of Salimans et al. 2016 (arXiv:1606.03498, section 3.4): the critic is asked to call real samples real
with probability ``real_label``, which keeps its logits small. Fake samples keep the label 0.

Departures from the paper: the recipe is DCGAN's Adam, which is the default here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from bench.metrics import Array, Column, Metric, Truth
from datasets.base import GaussianMixture, require_count, require_positive
from objectives.base import Critic, Objective, softplus


def critic_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``E_real[softplus(s) - real_label s] + E_fake[softplus(s)]``, s the score: of [B, *E] give [].

    It is the cross-entropy ``-a log D - (1 - a) log(1 - D)`` with ``D = sigmoid(s)`` and ``a = real_label`` on real
    samples, and the same with ``a = 0`` on fake ones.
    """
    scores = critic(real)
    return (softplus(scores) - hparams["real_label"] * scores).mean() + softplus(critic(fake)).mean()


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``E_fake[softplus(-s)]``: fake [B, *E] -> []."""
    return softplus(-critic(fake)).mean()


SMOOTHED_LABELS = Objective(
    name="smoothed_labels",
    reference="Salimans et al. 2016, arXiv:1606.03498, section 3.4",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
    hparams={"real_label": 0.9},
)


@dataclass(frozen=True, kw_only=True)
class ConcentricRings(GaussianMixture):
    """Equal Gaussians in the plane, ``modes`` on each of the circles of radius 1, …, ``rings``: events [2]."""

    rings: int = 2
    modes: int = 8
    std: float = 0.02

    def __post_init__(self) -> None:
        require_count("rings", self.rings, 100)
        require_count("modes", self.modes, 100)
        require_positive("std", self.std)

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (2,)

    def means(self) -> torch.Tensor:
        """Centres [rings modes, 2], float64, on the CPU, ring by ring."""
        angles = torch.arange(self.modes, dtype=torch.float64) * (2 * math.pi / self.modes)
        circle = torch.stack([angles.cos(), angles.sin()], 1)
        radii = torch.arange(1, self.rings + 1, dtype=torch.float64)
        return (radii[:, None, None] * circle).flatten(0, 1)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many samples of each side are compared: n^2 distances."""

    energy_n: int = 500

    def __post_init__(self) -> None:
        if self.energy_n < 2:
            raise ValueError(f"energy_n is at least 2, not {self.energy_n}")


def compute(points: Array, reference: Array, truth: Truth, settings: Settings) -> dict[str, float]:
    """``2 E|x - y| - E|x - x'| - E|y - y'|`` of the first n points [N, D] and the first n of the reference [M, D].

    0 where the two samples are equal, and never negative (Székely & Rizzo 2013); NaN where a point is not finite.
    """
    from scipy.spatial.distance import cdist

    x, y = points[: settings.energy_n], reference[: settings.energy_n]
    energy = 2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()
    return {"energy_distance": float(energy) if np.isfinite(x).all() else math.nan}


ENERGY = Metric(
    name="energy",
    version=1,
    reference="Székely & Rizzo 2013, doi:10.1016/j.jspi.2013.03.018",
    columns={"energy_distance": Column(label="Energy distance", unit="units of the data", direction="down")},
    settings=Settings,
    compute=compute,
)

# What `--plugin FILE` reads; an installed package has the entry points in pyproject.toml in place of these.
OBJECTIVES = [SMOOTHED_LABELS]
DATASETS = [ConcentricRings]
METRICS = [ENERGY]
