"""The hinge game of Lim & Ye 2017 (arXiv:1705.02894) as Miyato et al. 2018 (arXiv:1802.05957, equations 16, 17) use it.

The critic is paid for a score above 1 on real and below -1 on fake samples, and for no more than that; the generator
raises its scores without limit. ``1 - critic_loss / 2`` bounds the total variation distance between real and fake
from below, and reaches it where the critic is the sign of ``real - fake``.

Departures from the paper: none in the losses. Miyato et al. put spectral normalisation into the critic, which is a
choice of network here. The recipe is theirs for residual networks.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from objectives.base import Critic, Objective, Recipe


def critic_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``E_real[max(0, 1 - critic(x))] + E_fake[max(0, 1 + critic(x))]``: real, fake [B, *E] -> []; never negative."""
    return torch.relu(1 - critic(real)).mean() + torch.relu(1 + critic(fake)).mean()


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``-E_fake[critic(x)]``: fake [B, *E] -> []."""
    return -critic(fake).mean()


_ADAM: Mapping[str, str | float] = {"name": "adam", "lr": 2e-4, "beta1": 0.0, "beta2": 0.9}

OBJECTIVE = Objective(
    name="hinge",
    reference="Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, equations 16 and 17",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
    recipe=Recipe(critic_optimizer=_ADAM, generator_optimizer=_ADAM, critic_steps=5),
)
