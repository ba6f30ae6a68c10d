"""What training is about: the parts that a group's replicas share, and what is read while they train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch

from bench.networks import Network
from bench.optim import Optimizer, Parameters
from datasets.base import Dataset
from objectives.base import Objective

Tree: TypeAlias = "dict[str, Any]"
"""Nested dictionaries of tensors."""

READINGS = ("critic_loss", "generator_loss", "critic_gradient_norm", "generator_gradient_norm")
"""Read at every iteration: losses, and the Euclidean norm of all gradients of a player together."""

SITES = (
    "",
    "the fake samples",
    "the critic loss",
    "the critic's gradient",
    "the critic's parameters",
    "the generator loss",
    "the generator's gradient",
    "the generator's parameters",
)
"""Where a value that is not finite can first show up; the state of a replica holds the index."""


@dataclass(frozen=True, kw_only=True)
class Latent:
    """The law of the generator's input: ``normal`` N(0, I) or ``uniform`` U[-1, 1], in ``dim`` dimensions."""

    dim: int = 2
    law: Literal["normal", "uniform"] = "normal"

    def __post_init__(self) -> None:
        if not 1 <= self.dim <= 65536:
            raise ValueError(f"a latent has 1 to 65536 dimensions, not {self.dim}")

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent latents [n, Z]."""
        shape, device = (n, self.dim), generator.device
        if self.law == "normal":
            return torch.randn(shape, generator=generator, device=device)
        return 2 * torch.rand(shape, generator=generator, device=device) - 1


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What all replicas of a group have in common: everything that shapes the graph."""

    objective: Objective
    dataset: Dataset
    generator: Network
    critic: Network
    latent: Latent
    generator_optimizer: Optimizer
    critic_optimizer: Optimizer
    batch_size: int
    critic_steps: int


def examine(health: Tree, values: Mapping[int, torch.Tensor | Parameters]) -> Tree:
    """Note the first site with a value that is not finite, and the step; later ones change nothing."""
    site = health["site"]
    for index, value in values.items():
        tensors = list(value.values()) if isinstance(value, dict) else [value]
        finite = torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all()
        site = torch.where((site == 0) & ~finite, index, site)
    return {**health, "site": site, "step": torch.where(site != health["site"], health["now"] + 1, health["step"])}
