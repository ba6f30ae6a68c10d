"""f-GAN for the reverse Kullback-Leibler divergence, Nowozin, Cseke & Tomioka 2016 (arXiv:1606.00709).

With ``f(u) = -log u`` the output activation is ``T(x) = -exp(-critic(x))`` and the conjugate
``f*(t) = -1 - log(-t)``, so that ``f*(T(x)) = critic(x) - 1``. Both players share
``F = E_real[T(x)] - E_fake[f*(T(x))]``, which the critic maximises and the generator minimises: ``-critic_loss`` bounds
``KL(fake || real)`` in nats from below for any critic, and reaches it at ``critic(x) = log(real / fake)``. In float32
the exponential overflows below a score of -88,
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
    """``E_real[exp(-critic(x))] + E_fake[critic(x)] - 1 = -F``: real, fake [B, *E] -> []."""
    return (-critic(real)).exp().mean() + critic(fake).mean() - 1


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``1 - E_fake[critic(x)]``: fake [B, *E] -> []; F less its constant part.

    Its derivative in a score is ``-1 / B`` everywhere: the generator's part does not saturate.
    """
    return 1 - critic(fake).mean()


OBJECTIVE = Objective(
    name="fgan_reverse_kl",
    reference="Nowozin, Cseke & Tomioka 2016, arXiv:1606.00709, equation 7, tables 1 and 2",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
)
