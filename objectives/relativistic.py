"""The relativistic pairing game of Jolicoeur-Martineau 2018 (arXiv:1807.00734), RSGAN.

The score itself says nothing: ``sigmoid(critic(real) - critic(fake))`` is the probability that of a pair the real
sample is the real one. Each real sample is compared with the fake one of its place in the batch. Only differences of
scores count: a constant added to the critic changes nothing.

Departures from the paper: none. The recipe is its first setting, DCGAN's Adam.
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
    """``E[softplus(-(critic(real) - critic(fake)))]`` over pairs: real, fake [B, *E] -> []; never negative.

    ``log 2 - critic_loss`` is 0 for a critic that knows nothing, and at most log 2.
    """
    return softplus(critic(fake) - critic(real)).mean()


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``E[softplus(critic(real) - critic(fake))]`` over pairs: real, fake [B, *E] -> []; never negative.

    The critic's game with the parts exchanged: the real samples have no part in the gradient but through their scores.
    """
    return softplus(critic(real) - critic(fake)).mean()


OBJECTIVE = Objective(
    name="relativistic",
    reference="Jolicoeur-Martineau 2018, arXiv:1807.00734",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
)
