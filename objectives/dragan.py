"""DRAGAN of Kodali et al. 2017 (arXiv:1705.07215): the non-saturating game, its critic held to slope 1 around the data.

The score is the logit of "real": ``D(x) = sigmoid(critic(x))``. A two-sided penalty, as in WGAN-GP, is taken at
perturbed real samples only; the fake ones have no part in it.

Departures from the paper: the perturbation is the one of the authors' code, at most ``perturbation`` (1/2) times the
standard deviation of the whole real batch in each coordinate, so that it goes with the scale of the data. The paper
writes Gaussian noise of variance c, with c about 10, for images. The optimiser is the code's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from objectives.base import Critic, Objective, Recipe, interpolate, slopes, softplus, uniform_mix


def critic_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``E_real[softplus(-critic(x))] + E_fake[softplus(critic(x))] + penalty_weight E[(|grad critic(y)| - 1)^2]``.

    Of real, fake [B, *E] give []. ``y = x + mix jitter perturbation std(real)`` for real x, where std is over batch and
    event together, with the noises ``jitter`` [B, *E], one for each coordinate, and ``mix`` [B], one for each sample,
    both uniform on [0, 1).
    """
    shifted = real + hparams["perturbation"] * real.std(correction=0) * noise["jitter"]
    penalty = (slopes(critic, interpolate(shifted, real, noise["mix"])) - 1).square().mean()
    return softplus(-critic(real)).mean() + softplus(critic(fake)).mean() + hparams["penalty_weight"] * penalty


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``-E_fake[log D(x)] = E_fake[softplus(-critic(x))]``: fake [B, *E] -> []; never negative."""
    return softplus(-critic(fake)).mean()


def uniform_jitter(n: int, event_shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """One number for each coordinate of each sample, uniform on [0, 1): [n, *event_shape]."""
    return torch.rand(n, *event_shape, generator=generator, device=generator.device, dtype=torch.float32)


_ADAM: Mapping[str, str | float] = {"name": "adam", "lr": 1e-4, "beta1": 0.5, "beta2": 0.9}

OBJECTIVE = Objective(
    name="dragan",
    reference="Kodali et al. 2017, arXiv:1705.07215",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
    hparams={"penalty_weight": 10.0, "perturbation": 0.5},
    noise={"jitter": uniform_jitter, "mix": uniform_mix},
    penalises_slopes=True,
    recipe=Recipe(critic_optimizer=_ADAM, generator_optimizer=_ADAM),
)
