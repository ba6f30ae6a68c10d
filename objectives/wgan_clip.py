"""The Wasserstein game with weight clipping of Arjovsky, Chintala & Bottou 2017 (arXiv:1701.07875, algorithm 1).

The critic maximises ``E_real[critic(x)] - E_fake[critic(x)]`` over networks whose every parameter lies in
``[-clip, clip]``. Such networks are K-Lipschitz for some K that depends on architecture and bound, so that
``-critic_loss`` bounds ``K W1(real, fake)`` from below: comparable along one run, not between architectures.

Departures from the paper: none. The parameters are clipped after each critic step, as algorithm 1 has it, whereas the
authors' code clips before the step, so that its critic is judged up to one step outside the bound. The same code
also takes 100 critic steps for each of the first 25 generator steps and at every 500th; algorithm 1 takes 5
throughout, and so does the recipe. RMSProp's alpha and eps, which the paper leaves open, are torch's, as in that code.
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
    """``E_fake[critic(x)] - E_real[critic(x)]``: real, fake [B, *E] -> []."""
    return critic(fake).mean() - critic(real).mean()


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``-E_fake[critic(x)]``: fake [B, *E] -> []."""
    return -critic(fake).mean()


def project(
    parameters: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> Mapping[str, torch.Tensor]:
    """Every parameter, biases too, cut to ``[-clip, clip]``, of any shapes; what is not a number stays so."""
    clip = hparams["clip"]
    return {name: parameter.clamp(-clip, clip) for name, parameter in parameters.items()}


_RMSPROP: Mapping[str, str | float] = {"name": "rmsprop", "lr": 5e-5, "alpha": 0.99, "eps": 1e-8}

OBJECTIVE = Objective(
    name="wgan_clip",
    reference="Arjovsky, Chintala & Bottou 2017, arXiv:1701.07875, algorithm 1",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
    hparams={"clip": 0.01},
    project=project,
    recipe=Recipe(critic_optimizer=_RMSPROP, generator_optimizer=_RMSPROP, critic_steps=5),
)
