"""The non-saturating game of Goodfellow et al. 2014 (arXiv:1406.2661, end of section 3).

The score is the logit of "real": ``D(x) = sigmoid(critic(x))``. The critic plays the minimax game; the generator
maximises ``E_fake[log D(x)]`` in place of minimising ``E_fake[log(1 - D(x))]``: the same fixed point, with a gradient
that lives where the critic is sure. At the best critic it is the gradient of ``KL(fake || real) - 2 JS(real, fake)``
(Arjovsky & Bottou 2017, arXiv:1701.04862, theorem 2.5). For any critic ``(log 4 - critic_loss) / 2`` bounds
``JS(real, fake)`` from below.

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
    """``-E_real[log D(x)] - E_fake[log(1 - D(x))] = E_real[softplus(-critic(x))] + E_fake[softplus(critic(x))]``.

    real, fake [B, *E] -> []; the same as in the minimax game.
    """
    return softplus(-critic(real)).mean() + softplus(critic(fake)).mean()


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``-E_fake[log D(x)] = E_fake[softplus(-critic(x))]``: fake [B, *E] -> []; never negative.

    Its derivative in a score s is ``-sigmoid(-s) / B``, which tends to ``-1 / B`` where the critic is sure that the
    sample is fake.
    """
    return softplus(-critic(fake)).mean()


OBJECTIVE = Objective(
    name="non_saturating",
    reference="Goodfellow et al. 2014, arXiv:1406.2661, section 3",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
)
