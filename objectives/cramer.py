"""Cramer GAN of Bellemare et al. 2017 (arXiv:1705.10743, algorithm 1): the energy distance between embedded samples.

The critic is the embedding. The critic raises, the generator lowers, the energy distance between the laws of the
scores s of real samples and t of fake ones,

``2 E|s - t| - E|s - s'| - E|t - t'|``, twice the integral of the squared difference of their distribution functions,

estimated without bias from all pairs of different samples of the batch, s and s', t and t' being independent. Only
distances count: a critic and its negative are the same, and neither real nor fake scores need be the higher ones.

Departures from the paper: its embedding has many dimensions, while a critic here gives one number, for which the
energy distance is twice the Cramer distance. Its algorithm 1 puts |s| in place of E|s - s'|, for the sake of
conditional models that have one real sample only; a batch of real samples needs no substitute, and in one dimension
that one loses its gradient wherever all scores have one sign. It takes pairs of two fake batches, here all pairs of
one. The optimiser is that of WGAN-GP's code.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from objectives.base import Critic, Objective, Recipe, interpolate, slopes, uniform_mix


def _distances(s: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """``|s_i - t_j|``: s [B], t [B] -> [B, B]."""
    return (s[:, None] - t[None, :]).abs()


def _energy_distance(s: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """``2 E|s - t| - E|s - s'| - E|t - t'|`` over pairs of different samples: s [B], t [B] -> []."""
    pairs = len(s) * max(len(s) - 1, 1)  # a single sample has no partner, and the distance 0 from itself
    within = (_distances(s, s).sum() + _distances(t, t).sum()) / pairs
    return 2 * _distances(s, t).mean() - within


def critic_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``-energy_distance(critic(real), critic(fake)) + penalty_weight E[(|grad w(y)| - 1)^2]``: of [B, *E] give [].

    ``w(y) = E_fake|critic(y) - critic(x)| - E_real|critic(y) - critic(x)|`` is the function whose means over real and
    fake samples differ by the energy distance; ``y = mix real + (1 - mix) fake``, with noise ``mix`` [B], one weight a
    pair. The norm is Euclidean, over all axes of the event.
    """
    real_scores, fake_scores = critic(real), critic(fake)

    def witness(x: torch.Tensor) -> torch.Tensor:
        scores = critic(x)
        return _distances(scores, fake_scores).mean(1) - _distances(scores, real_scores).mean(1)

    penalty = (slopes(witness, interpolate(real, fake, noise["mix"])) - 1).square().mean()
    return hparams["penalty_weight"] * penalty - _energy_distance(real_scores, fake_scores)


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``energy_distance(critic(real), critic(fake))``: real, fake [B, *E] -> []; an estimate may be negative.

    The distances among real samples have no part in the gradient; with them the value estimates a distance.
    """
    return _energy_distance(critic(real), critic(fake))


_ADAM: Mapping[str, str | float] = {"name": "adam", "lr": 1e-4, "beta1": 0.5, "beta2": 0.9}

OBJECTIVE = Objective(
    name="cramer",
    reference="Bellemare et al. 2017, arXiv:1705.10743, algorithm 1",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
    hparams={"penalty_weight": 10.0},
    noise={"mix": uniform_mix},
    penalises_slopes=True,
    recipe=Recipe(critic_optimizer=_ADAM, generator_optimizer=_ADAM, critic_steps=5),
)
