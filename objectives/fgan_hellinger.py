"""f-GAN for the squared Hellinger distance, Nowozin, Cseke & Tomioka 2016 (arXiv:1606.00709).

With ``f(u) = (sqrt(u) - 1)^2`` the output activation is ``T(x) = 1 - exp(-critic(x))`` and the conjugate
``f*(t) = t / (1 - t)``, so that ``f*(T(x)) = exp(critic(x)) - 1``. Both players share
``F = E_real[T(x)] - E_fake[f*(T(x))]``, which the critic maximises and the generator minimises: ``-critic_loss`` bounds
the integral of ``(sqrt(real) - sqrt(fake))^2`` (no factor 1/2) from below for any critic, and reaches it at
``critic(x) = log(real / fake) / 2``. In float32 the exponentials overflow beyond scores of 88 and -88,
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
    """``E_real[exp(-critic(x))] + E_fake[exp(critic(x))] - 2 = -F``: real, fake [B, *E] -> []; above -2."""
    return (-critic(real)).exp().mean() + critic(fake).exp().mean() - 2


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``1 - E_fake[exp(critic(x))]``: fake [B, *E] -> []; F less its constant part.

    Its derivative in a score s is ``-exp(s) / B``, which dies where the critic is sure that the sample is fake.
    """
    return 1 - critic(fake).exp().mean()


OBJECTIVE = Objective(
    name="fgan_hellinger",
    reference="Nowozin, Cseke & Tomioka 2016, arXiv:1606.00709, equation 7, tables 1 and 2",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
)
