"""The relativistic average game of Jolicoeur-Martineau 2018 (arXiv:1807.00734), RaSGAN.

A sample is judged against the average of the other kind: ``sigmoid(critic(real) - E_fake[critic])`` is to be 1 and
``sigmoid(critic(fake) - E_real[critic])`` to be 0; the generator plays the same game with the labels exchanged. The
averages are those of the batch, and gradients flow through them.

Departures from the paper: none. The author's code halves both losses. The recipe is the paper's first setting, DCGAN's
Adam.
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
    """``E_real[softplus(-(s - E_fake[s]))] + E_fake[softplus(s - E_real[s])]``, with ``s = critic(x)``.

    real, fake [B, *E] -> []; never negative, and ``2 log 2`` for a critic that knows nothing.
    """
    real_scores, fake_scores = critic(real), critic(fake)
    return softplus(fake_scores.mean() - real_scores).mean() + softplus(fake_scores - real_scores.mean()).mean()


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``E_real[softplus(s - E_fake[s])] + E_fake[softplus(-(s - E_real[s]))]``, with ``s = critic(x)``.

    real, fake [B, *E] -> []; never negative. The first term draws on the fake samples through their average.
    """
    real_scores, fake_scores = critic(real), critic(fake)
    return softplus(real_scores - fake_scores.mean()).mean() + softplus(real_scores.mean() - fake_scores).mean()


OBJECTIVE = Objective(
    name="relativistic_average",
    reference="Jolicoeur-Martineau 2018, arXiv:1807.00734",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
)
