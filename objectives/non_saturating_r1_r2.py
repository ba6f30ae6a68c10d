"""The non-saturating game with R1 and R2, both penalties of Mescheder et al. 2018 (arXiv:1801.04406, equations 9, 10).

The score is the logit of "real": ``D(x) = sigmoid(critic(x))``. The critic pays for its squared slope at real samples
(R1) and at fake samples (R2), each with the factor ``penalty_weight / 2``.

Departures from the paper: it studies either penalty alone; both together, with one weight, are the arm "GAN + R1 + R2"
of Huang et al. 2024 (arXiv:2501.05441, table 1). The weight of 10 (their gamma) and the recipe are Mescheder
et al.'s for R1.
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
    """``E_real[softplus(-s)] + E_fake[softplus(s)] + penalty_weight / 2 (E_real[|grad s|^2] + E_fake[|grad s|^2])``.

    Of real, fake [B, *E] give [], with the score ``s = critic(x)``; the norm is Euclidean, over all axes of the event.
    """
    penalty = squared_slopes(critic, real).mean() + squared_slopes(critic, fake).mean()
    return softplus(-critic(real)).mean() + softplus(critic(fake)).mean() + hparams["penalty_weight"] / 2 * penalty


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``-E_fake[log D(x)] = E_fake[softplus(-critic(x))]``: fake [B, *E] -> []; never negative."""
    return softplus(-critic(fake)).mean()


_RMSPROP: Mapping[str, str | float] = {"name": "rmsprop", "lr": 1e-4, "alpha": 0.99, "eps": 1e-8}

OBJECTIVE = Objective(
    name="non_saturating_r1_r2",
    reference="Mescheder et al. 2018, arXiv:1801.04406, equations 9 and 10; Huang et al. 2024, arXiv:2501.05441",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
    hparams={"penalty_weight": 10.0},
    penalises_slopes=True,
    recipe=Recipe(critic_optimizer=_RMSPROP, generator_optimizer=_RMSPROP),
)
