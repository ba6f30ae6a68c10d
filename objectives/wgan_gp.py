"""The Wasserstein game with gradient penalty of Gulrajani et al. 2017 (arXiv:1704.00028, equation 3, algorithm 1).

The critic maximises ``E_real[critic(x)] - E_fake[critic(x)]`` while a two-sided penalty holds its slope near 1 on the
segments between pairs of a real and a fake sample. Were the slope nowhere above 1, ``-critic_loss`` would bound
``W1(real, fake)`` from below; the penalty only makes it so roughly, and on those segments.

Departures from the paper: none. The authors' toy code differs from their paper: penalty weight 0.1 in place of 10 and
Adam's beta1 of 0.5 in place of 0.
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
    """``E_fake[critic(x)] - E_real[critic(x)] + penalty_weight E[(|grad critic(y)| - 1)^2]``: of [B, *E] give [].

    ``y = mix real + (1 - mix) fake``, with noise ``mix`` [B], one weight a pair; the norm is Euclidean, over all axes
    of the event, and the square is averaged over the batch.
    """
    points = interpolate(real, fake, noise["mix"])
    penalty = (slopes(critic, points) - 1).square().mean()
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


_ADAM: Mapping[str, str | float] = {"name": "adam", "lr": 1e-4, "beta1": 0.0, "beta2": 0.9}

OBJECTIVE = Objective(
    name="wgan_gp",
    reference="Gulrajani et al. 2017, arXiv:1704.00028, equation 3 and algorithm 1",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
    hparams={"penalty_weight": 10.0},
    noise={"mix": uniform_mix},
    penalises_slopes=True,
    recipe=Recipe(critic_optimizer=_ADAM, generator_optimizer=_ADAM, critic_steps=5),
)
