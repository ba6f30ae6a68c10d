"""The Wasserstein game with the one-sided penalty of Petzka, Fischer & Lukovnikov 2018 (arXiv:1709.08894).

As WGAN-GP, but only slopes above 1 are penalised: a critic that reaches ``W1(real, fake)`` has a slope of at most 1
everywhere, and need not have 1 on the segments between pairs of samples unless the pairs are an optimal coupling.

Departures from the paper: the points are WGAN-GP's, on segments between pairs; its toy experiments also perturb
samples as DRAGAN does. It varies the penalty weight; here it is 10, as in WGAN-GP, so that the two differ by the side
alone. Its 100 critic steps for each of the first 25 generator steps are no part of the recipe: a grid file may ask for
them. RMSProp's alpha and eps are torch's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from objectives.base import Critic, Objective, Recipe, interpolate, slopes, uniform_mix


def critic_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``E_fake[critic(x)] - E_real[critic(x)] + penalty_weight E[max(0, |grad critic(y)| - 1)^2]``: of [B, *E] give [].

    ``y = mix real + (1 - mix) fake``, with noise ``mix`` [B], one weight a pair; the norm is Euclidean, over all axes
    of the event, and the square is averaged over the batch.
    """
    points = interpolate(real, fake, noise["mix"])
    penalty = torch.relu(slopes(critic, points) - 1).square().mean()
    return critic(fake).mean() - critic(real).mean() + hparams["penalty_weight"] * penalty


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``-E_fake[critic(x)]``: fake [B, *E] -> []."""
    return -critic(fake).mean()


_RMSPROP: Mapping[str, str | float] = {"name": "rmsprop", "lr": 5e-5, "alpha": 0.99, "eps": 1e-8}

OBJECTIVE = Objective(
    name="wgan_lp",
    reference="Petzka, Fischer & Lukovnikov 2018, arXiv:1709.08894",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
    hparams={"penalty_weight": 10.0},
    noise={"mix": uniform_mix},
    penalises_slopes=True,
    recipe=Recipe(critic_optimizer=_RMSPROP, generator_optimizer=_RMSPROP, critic_steps=10),
)
