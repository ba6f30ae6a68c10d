"""f-GAN for the Pearson chi-square divergence, Nowozin, Cseke & Tomioka 2016 (arXiv:1606.00709).

With ``f(u) = (u - 1)^2`` the output activation is the identity, ``T(x) = critic(x)``, and the conjugate
``f*(t) = t^2 / 4 + t``. Both players share ``F = E_real[T(x)] - E_fake[f*(T(x))]``, which the critic maximises and the
generator minimises: ``-critic_loss`` bounds ``E_fake[(real / fake - 1)^2]`` from below for any critic, and reaches it
at ``critic(x) = 2 (real / fake - 1)``, which is never below -2.

Departures from the paper: both players make their moves at once in its algorithm 1; here, as elsewhere, in turn. The
generator plays this saturating game (equation 7), not the heuristic of the paper's section 3.2. The recipe is
the paper's Adam for images, which is DCGAN's.
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
    """``E_fake[critic(x)^2 / 4 + critic(x)] - E_real[critic(x)] = -F``: real, fake [B, *E] -> []."""
    scores = critic(fake)
    return (scores.square() / 4 + scores).mean() - critic(real).mean()


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``-E_fake[critic(x)^2 / 4 + critic(x)]``: fake [B, *E] -> []; F less its constant part.

    Its derivative in a score s is ``-(s / 2 + 1) / B``: it dies at -2, and below, where no best critic goes, it turns
    round.
    """
    scores = critic(fake)
    return -(scores.square() / 4 + scores).mean()


OBJECTIVE = Objective(
    name="fgan_pearson",
    reference="Nowozin, Cseke & Tomioka 2016, arXiv:1606.00709, equation 7, tables 1 and 2",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
)
