"""The relativistic pairing game with the R1 penalty: RpGAN + R1 of Huang et al. 2024 (arXiv:2501.05441, Table 1).

Each real sample is compared with the fake one of its place in the batch, and the critic pays for its squared slope at
real samples alone, as in the non-saturating game of Mescheder et al. 2018. The authors report that it fails on stacked
MNIST at every weight from .1 to 100, where R1 and R2 together do not.

Departures from the paper: it states no weight; 1 is a choice made here. The recipe is that of ``r3gan``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from objectives.base import Critic, Objective, Recipe, softplus, squared_slopes


def critic_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``E[softplus(-(critic(real) - critic(fake)))] + penalty_weight / 2 E_real[|grad critic(x)|^2]``.

    The first mean is over pairs: real, fake [B, *E] -> []; the norm is Euclidean, over all axes of the event.
    """
    penalty = hparams["penalty_weight"] / 2 * squared_slopes(critic, real).mean()
    return softplus(critic(fake) - critic(real)).mean() + penalty


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``E[softplus(critic(real) - critic(fake))]`` over pairs: real, fake [B, *E] -> []; never negative.

    The critic's game with the parts exchanged: the real samples have no part in the gradient but through their scores.
    """
    return softplus(critic(real) - critic(fake)).mean()


_ADAM: Mapping[str, str | float] = {"name": "adam", "lr": 2e-4, "beta1": 0.0, "beta2": 0.99}

OBJECTIVE = Objective(
    name="relativistic_r1",
    reference="Huang et al. 2024, arXiv:2501.05441, Table 1",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
    hparams={"penalty_weight": 1.0},
    penalises_slopes=True,
    recipe=Recipe(critic_optimizer=_ADAM, generator_optimizer=_ADAM),
)
