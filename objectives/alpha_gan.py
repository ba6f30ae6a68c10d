"""(alpha_D, alpha_G)-GAN of Welfert, Otstot, Kurri & Sankar 2023 (arXiv:2302.14320), with its non-saturating generator.

The score is the logit of "real": ``D(x) = sigmoid(critic(x))``. Each player has its own alpha-loss of a probability P,

``l_alpha(P) = alpha / (alpha - 1) (1 - P^((alpha - 1) / alpha))``, and ``l_1(P) = -log P``:

alpha below 1 punishes confident errors harder than the logarithm, alpha above 1 more mildly. With both at 1 this is
the non-saturating game. The best critic has the logit ``alpha_D log(real / fake)``.

Departures from the paper: the probability is used as it is, where the authors' code cuts it to [1e-7, 1 - 1e-7]; in
float32 the critic's loss is then finite for scores to 60 as long as ``alpha_critic`` is above 0.41. The defaults,
0.5 and 1.2, are those of the authors' repository for the ring with this generator; the optimiser is its code's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from objectives.base import Critic, Objective, Recipe, softplus


def _alpha_loss(logit: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """The alpha-loss of the probability ``sigmoid(logit)``: of any shape; never negative."""
    surprise = softplus(-logit)  # -log P
    exponent = 1 - 1 / alpha
    divisor = torch.where(exponent == 0, 1, exponent)  # both branches of a `where` must be finite
    # Not expm1, which is exact near alpha = 1, but whose derivative torch takes for its value plus one: 0 if saturated.
    return torch.where(exponent == 0, surprise, (1 - (-exponent * surprise).exp()) / divisor)


def critic_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``E_real[l_alpha(D(x))] + E_fake[l_alpha(1 - D(x))]``, alpha = alpha_critic: real, fake [B, *E] -> [].

    Never negative.
    """
    alpha = hparams["alpha_critic"]
    return _alpha_loss(critic(real), alpha).mean() + _alpha_loss(-critic(fake), alpha).mean()


def generator_loss(
    critic: Critic,
    real: torch.Tensor,
    fake: torch.Tensor,
    noise: Mapping[str, torch.Tensor],
    hparams: Mapping[str, torch.Tensor],
) -> torch.Tensor:
    """``E_fake[l_alpha(D(x))]``, alpha = alpha_generator: fake [B, *E] -> []; never negative.

    Its derivative in a score s is ``-D^(1 - 1 / alpha) (1 - D) / B`` with ``D = sigmoid(s)``.
    """
    return _alpha_loss(critic(fake), hparams["alpha_generator"]).mean()


_ADAM: Mapping[str, str | float] = {"name": "adam", "lr": 1e-4, "beta1": 0.9, "beta2": 0.999}

OBJECTIVE = Objective(
    name="alpha_gan",
    reference="Welfert, Otstot, Kurri & Sankar 2023, arXiv:2302.14320",
    critic_loss=critic_loss,
    generator_loss=generator_loss,
    hparams={"alpha_critic": 0.5, "alpha_generator": 1.2},
    recipe=Recipe(critic_optimizer=_ADAM, generator_optimizer=_ADAM),
)
