"""Least squares GAN of Mao et al. 2017 (arXiv:1611.04076, equation 9), with the codes 0 for fake and 1 for real.

The score is a regression of the code, with no link: the critic is drawn to 1 on real and to 0 on fake samples, the
generator draws its samples to 1. At the best critic, ``real / (real + fake)``, ``1 - 4 critic_loss`` is the Pearson
chi-square divergence of the real law from the half-and-half mixture of both; for any critic it bounds it from below.

The paper's other coding (equation 8: -1 and 1 for the critic, 0 for the generator) is the one whose generator
minimises a Pearson divergence; the paper finds the two alike in practice and goes on with this one.

Departures from the paper: the recipe is DCGAN's Adam (arXiv:1511.06434), in place of a rate for each data set.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from objectives.base import Critic, Objective


def critic_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``E_real[(critic(x) - 1)^2] / 2 + E_fake[critic(x)^2] / 2``.

    real, fake [B, *E] -> []; at the best critic from 0, where the laws are apart, to 1/4, where they agree.
    """
    return (critic(real) - 1).square().mean() / 2 + critic(fake).square().mean() / 2


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``E_fake[(critic(x) - 1)^2] / 2``: fake [B, *E] -> [].

    Its derivative in a score s is ``(s - 1) / B``: it grows with the distance from the code, and turns round above 1.
    """
    return (critic(fake) - 1).square().mean() / 2


OBJECTIVE = Objective(
    name="least_squares",
    reference="Mao et al. 2017, arXiv:1611.04076, equation 9",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
)
