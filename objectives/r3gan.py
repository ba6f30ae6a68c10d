"""R3GAN of Huang et al. 2024 (arXiv:2501.05441): the relativistic pairing game with both zero-centred penalties.

Each real sample is compared with the fake one of its place in the batch, and the critic pays for its squared slope at
real samples (R1) and at fake samples (R2), each with the factor ``penalty_weight / 2``.

Departures from the paper: it chooses the weight, its gamma, for each data set (its code lets it fall from 0.05 to
0.005 on CIFAR-10) and gives no value for a mixture; 1 is a choice made here. The falling rate, the falling gamma and
the rising beta2 of that code are no part of the recipe, nor is the averaging of the generator's weights: the recipe
has the code's first rate and last beta2.
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
    """``E[softplus(-(critic(real) - critic(fake)))] + penalty_weight / 2 (E_real[|grad|^2] + E_fake[|grad|^2])``.

    The first mean is over pairs: real, fake [B, *E] -> []; the norm is Euclidean, over all axes of the event.
    """
    penalty = squared_slopes(critic, real).mean() + squared_slopes(critic, fake).mean()
    return softplus(critic(fake) - critic(real)).mean() + hparams["penalty_weight"] / 2 * penalty


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
    name="r3gan",
    reference="Huang et al. 2024, arXiv:2501.05441",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
    hparams={"penalty_weight": 1.0},
    penalises_slopes=True,
    recipe=Recipe(critic_optimizer=_ADAM, generator_optimizer=_ADAM),
)
