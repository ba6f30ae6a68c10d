"""The minimax game of Goodfellow et al. 2014 (arXiv:1406.2661, equation 1), with its saturating generator.

The score is the logit of "real": ``D(x) = sigmoid(critic(x))``. Both players share one value,

``V = E_real[log D(x)] + E_fake[log(1 - D(x))] = -E_real[softplus(-critic(x))] - E_fake[softplus(critic(x))]``,

which the critic maximises and the generator minimises. At the best critic ``V = 2 JS(real, fake) - log 4`` in nats, so
that ``(log 4 - critic_loss) / 2`` bounds the Jensen-Shannon divergence from below for any critic.

Departures from the paper: the recipe is DCGAN's Adam (arXiv:1511.06434), in place of gradient descent with momentum.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from objectives.base import Critic, Objective, softplus


def critic_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``E_real[softplus(-critic(x))] + E_fake[softplus(critic(x))] = -V``: real, fake [B, *E] -> []."""
    return softplus(-critic(real)).mean() + softplus(critic(fake)).mean()


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``E_fake[log(1 - D(x))] = -E_fake[softplus(critic(x))]``: fake [B, *E] -> []; never positive.

    Its derivative in a score s is ``-sigmoid(s) / B``, which dies where the critic is sure that the sample is fake.
    """
    return -softplus(critic(fake)).mean()


OBJECTIVE = Objective(
    name="minimax",
    reference="Goodfellow et al. 2014, arXiv:1406.2661, equation 1",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
)
