"""f-GAN for the Kullback-Leibler divergence, Nowozin, Cseke & Tomioka 2016 (arXiv:1606.00709).

With ``f(u) = u log u`` the output activation is the identity, ``T(x) = critic(x)``, and the conjugate
``f*(t) = exp(t - 1)``. Both players share ``F = E_real[T(x)] - E_fake[f*(T(x))]``, which the critic maximises and the
generator minimises: ``-critic_loss`` bounds ``KL(real || fake)`` in nats from below for any critic, and reaches it at
``critic(x) = 1 + log(real / fake)``. In float32 the exponential overflows above a score of 89,
and training ends as diverged at half of that, where squared gradients do.

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
    """``E_fake[exp(critic(x) - 1)] - E_real[critic(x)] = -F``: real, fake [B, *E] -> []."""
    return (critic(fake) - 1).exp().mean() - critic(real).mean()


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``-E_fake[exp(critic(x) - 1)]``: fake [B, *E] -> []; F less its constant part.

    Its derivative in a score s is ``-exp(s - 1) / B``, which dies where the critic is sure that the sample is fake.
    """
    return -(critic(fake) - 1).exp().mean()


OBJECTIVE = Objective(
    name="fgan_kl",
    reference="Nowozin, Cseke & Tomioka 2016, arXiv:1606.00709, equation 7, tables 1 and 2",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
)
