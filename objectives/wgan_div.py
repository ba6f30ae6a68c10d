"""The Wasserstein divergence of Wu et al. 2018 (arXiv:1712.01026), WGAN-div.

The critic maximises ``E_real[critic(x)] - E_fake[critic(x)] - k E[|grad critic(y)|^p]``: no bound on its slope, but a
price for it. At the best critic ``-critic_loss`` is a divergence between real and fake (which depends on k, on p and
on where y is drawn); for any critic it bounds that divergence from below.

Departures from the paper: none. Where y is drawn it leaves open; here, as in its authors' code, on segments between
pairs of a real and a fake sample. k = 2 and p = 6 are the paper's; that code has k = 10. The optimiser and the four
critic steps are the code's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from objectives.base import Critic, Objective, Recipe, interpolate, squared_slopes, uniform_mix


def critic_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``E_fake[critic(x)] - E_real[critic(x)] + penalty_weight E[|grad critic(y)|^power]``: of [B, *E] give [].

    ``y = mix real + (1 - mix) fake``, with noise ``mix`` [B], one weight a pair; the norm is Euclidean, over all axes
    of the event. penalty_weight and power are the paper's k and p.
    """
    points = interpolate(real, fake, noise["mix"])
    penalty = squared_slopes(critic, points).pow(hparams["power"] / 2).mean()
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


_ADAM: Mapping[str, str | float] = {"name": "adam", "lr": 2e-4, "beta1": 0.0, "beta2": 0.9}

OBJECTIVE = Objective(
    name="wgan_div",
    reference="Wu et al. 2018, arXiv:1712.01026",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
    hparams={"penalty_weight": 2.0, "power": 6.0},
    noise={"mix": uniform_mix},
    penalises_slopes=True,
    recipe=Recipe(critic_optimizer=_ADAM, generator_optimizer=_ADAM, critic_steps=4),
)
