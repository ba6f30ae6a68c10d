"""The non-saturating game with the R1 penalty of Mescheder, Geiger & Nowozin 2018 (arXiv:1801.04406, equation 9).

The score is the logit of "real": ``D(x) = sigmoid(critic(x))``. The critic pays for its squared slope at real samples,
so that it flattens where it has nothing left to tell; with it, training converges locally on the paper's Dirac-GAN.

Departures from the paper: none. The penalty is ``penalty_weight / 2`` times the mean square, ``penalty_weight`` is the
paper's gamma, 10; the authors' code multiplies the mean square by 10 itself, which is a gamma of 20.
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
    """``E_real[softplus(-critic(x))] + E_fake[softplus(critic(x))] + penalty_weight / 2 E_real[|grad critic(x)|^2]``.

    Of real, fake [B, *E] give []; the norm is Euclidean, over all axes of the event.
    """
    penalty = hparams["penalty_weight"] / 2 * squared_slopes(critic, real).mean()
    return softplus(-critic(real)).mean() + softplus(critic(fake)).mean() + penalty


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
    name="non_saturating_r1",
    reference="Mescheder, Geiger & Nowozin 2018, arXiv:1801.04406, equation 9",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
    hparams={"penalty_weight": 10.0},
    penalises_slopes=True,
    recipe=Recipe(critic_optimizer=_RMSPROP, generator_optimizer=_RMSPROP),
)
