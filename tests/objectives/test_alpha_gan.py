"""The alpha-loss at its special values of alpha, and where the critic is sure."""

import numpy as np
import pytest
import torch
from scipy.special import expit, log_expit

from objectives import OBJECTIVES

OBJECTIVE = OBJECTIVES["alpha_gan"]
SCORES = np.linspace(-6, 6, 25)


def losses(scores: np.ndarray, alpha: float) -> tuple[float, float]:
    """Critic loss with these scores as real and as fake ones; generator loss."""
    hparams = {key: torch.tensor(alpha, dtype=torch.float64) for key in OBJECTIVE.hparams}
    x = torch.from_numpy(scores)[:, None]
    arguments = (lambda x: x[:, 0], x, x, {}, hparams)
    return OBJECTIVE.critic_loss(*arguments).item(), OBJECTIVE.generator_loss(*arguments).item()


def expected(scores: np.ndarray, alpha: float) -> tuple[float, float]:
    """By the formula with the probability itself; -log P at 1, 1 - P at infinity."""

    def loss(s: np.ndarray) -> float:
        if alpha == 1:
            return float(-log_expit(s).mean())
        return float((alpha / (alpha - 1) * (1 - expit(s) ** ((alpha - 1) / alpha))).mean())

    return loss(scores) + loss(-scores), loss(scores)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.9, 1.0, 1.2, 2.0, 7.0])
def test_alpha_loss_by_its_formula(alpha: float) -> None:
    assert losses(SCORES, alpha) == pytest.approx(expected(SCORES, alpha), rel=1e-11)


def test_alpha_of_infinity_is_the_probability_of_error() -> None:
    assert losses(SCORES, 1e12)[1] == pytest.approx((1 - expit(SCORES)).mean(), rel=1e-10)


def test_alpha_is_continuous_at_the_logarithm() -> None:
    for alpha in (1 - 1e-6, 1 + 1e-6):
        assert losses(SCORES, alpha) == pytest.approx(expected(SCORES, 1.0), rel=1e-4)


def test_at_alpha_1_it_is_the_non_saturating_game() -> None:
    x = torch.from_numpy(SCORES)[:, None]
    other = OBJECTIVES["non_saturating"]
    arguments = (lambda x: x[:, 0], x, x, {}, {})
    game = other.critic_loss(*arguments).item(), other.generator_loss(*arguments).item()
    assert losses(SCORES, 1.0) == pytest.approx(game, rel=1e-14)


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-5), (torch.float64, 2e-14)])
def test_saturation_curve_for_replicas_of_different_alpha(dtype: torch.dtype, rtol: float) -> None:
    """The generator's derivative, ``-D^(1 - 1 / alpha) (1 - D)``, to scores of 60; alpha 1 beside others in a batch.

    The tolerance is the rounding of exponents up to 60.
    """
    alphas, ticks = np.array([0.5, 1.0, 1.2, 3.0]), np.linspace(-60, 60, 121)

    def loss(score: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        x = score.reshape(1, 1)
        return OBJECTIVE.generator_loss(lambda x: x[:, 0], x, x, {}, {"alpha_generator": alpha})

    grid = np.meshgrid(ticks, alphas)
    scores, alpha = (torch.from_numpy(part.reshape(-1)).to(dtype) for part in grid)
    gradients = torch.func.vmap(torch.func.grad(loss))(scores, alpha).double().numpy()
    s, a = scores.double().numpy(), alpha.double().numpy()
    np.testing.assert_allclose(gradients, -np.exp(log_expit(s) * (1 - 1 / a)) * expit(-s), rtol=rtol, atol=0)
