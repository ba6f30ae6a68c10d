"""Losses at given scores: the critic is the identity on events [1], so that a sample is its own score."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import expit, log_expit

from objectives import OBJECTIVES
from objectives.base import softplus

bce = torch.nn.functional.binary_cross_entropy_with_logits


def score(x: torch.Tensor) -> torch.Tensor:
    return x[:, 0]


def losses(name: str, real: torch.Tensor, fake: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Critic loss and generator loss for scores [B] and [B]."""
    objective = OBJECTIVES[name]
    hparams = {key: torch.tensor(value, dtype=real.dtype) for key, value in objective.hparams.items()}
    generator = torch.Generator().manual_seed(0)
    noise = {key: draw(len(real), (1,), generator).to(real.dtype) for key, draw in objective.noise.items()}
    arguments = (score, real[:, None], fake[:, None], noise, hparams)
    return objective.critic_loss(*arguments), objective.generator_loss(*arguments)


LOG2, LOG3 = math.log(2), math.log(3)


@pytest.mark.parametrize(
    ("name", "real", "fake", "critic", "generator"),
    [
        # An undecided critic: D = 1/2.
        ("minimax", 0.0, 0.0, 2 * LOG2, -LOG2),
        ("non_saturating", 0.0, 0.0, 2 * LOG2, LOG2),
        # A critic that is right with D = 3/4: log(1 - 1/4) and log(1/4).
        ("minimax", LOG3, -LOG3, 2 * math.log(4 / 3), math.log(3 / 4)),
        ("non_saturating", LOG3, -LOG3, 2 * math.log(4 / 3), math.log(4)),
        # One that is wrong.
        ("minimax", -LOG3, LOG3, 2 * math.log(4), math.log(1 / 4)),
        ("non_saturating", -LOG3, LOG3, 2 * math.log(4), math.log(4 / 3)),
        # One that is sure: log(1 - D) = -e^-50, log D = -50.
        ("minimax", 50.0, -50.0, 2 * math.exp(-50), -math.exp(-50)),
        ("non_saturating", 50.0, -50.0, 2 * math.exp(-50), 50.0),
        # Differences of scores; the identity has slope 1, where the penalty is 0.
        ("wgan_clip", 3.0, -1.5, -4.5, 1.5),
        ("wgan_gp", 3.0, -1.5, -4.5, 1.5),
        ("wgan_lp", 3.0, -1.5, -4.5, 1.5),
        ("wgan_div", 3.0, -1.5, -4.5 + 2, 1.5),
        # The codes met, and missed by 3 and by 2.
        ("least_squares", 1.0, 0.0, 0.0, 0.5),
        ("least_squares", -2.0, 2.0, 4.5 + 2, 0.5),
        # Beyond the margins, inside them, on the wrong side.
        ("hinge", 1.5, -2.0, 0.0, 2.0),
        ("hinge", 0.5, -0.25, 0.5 + 0.75, 0.25),
        ("hinge", -3.0, 2.0, 4 + 3, -2.0),
        # A slope of 1 costs nothing in DRAGAN, gamma / 2 in R1, twice that with R2.
        ("dragan", LOG3, -LOG3, 2 * math.log(4 / 3), math.log(4)),
        ("non_saturating_r1", LOG3, -LOG3, 2 * math.log(4 / 3) + 5, math.log(4)),
        ("non_saturating_r1_r2", LOG3, -LOG3, 2 * math.log(4 / 3) + 10, math.log(4)),
        # Of a pair the right one has probability 3/4.
        ("relativistic", 2 + LOG3, 2.0, math.log(4 / 3), math.log(4)),
        ("relativistic_r1", 2 + LOG3, 2.0, math.log(4 / 3) + 0.5, math.log(4)),
        ("r3gan", 2 + LOG3, 2.0, math.log(4 / 3) + 1, math.log(4)),
        ("relativistic_average", 2 + LOG3, 2.0, 2 * math.log(4 / 3), 2 * math.log(4)),
        # 1 / P - 1 = e^-s for the critic; at D = 1/64 the generator's power, 1 - 1 / 1.2 = 1/6, is 1/2.
        ("alpha_gan", LOG3, math.log(2), 1 / 3 + 2, 6 * (1 - (2 / 3) ** (1 / 6))),
        ("alpha_gan", 0.0, -math.log(63), 1 + 1 / 63, 6 * (1 - 1 / 2)),
    ],
)
def test_values_by_hand(name: str, real: float, fake: float, critic: float, generator: float) -> None:
    actual = losses(name, torch.tensor([real], dtype=torch.float64), torch.tensor([fake], dtype=torch.float64))
    expected = (torch.tensor(critic, dtype=torch.float64), torch.tensor(generator, dtype=torch.float64))
    torch.testing.assert_close(actual, expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logit_losses_are_cross_entropies(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake = (30 * torch.randn(64, generator=generator, dtype=torch.float64).to(dtype) for _ in range(2))
    ones, zeros = torch.ones_like(real), torch.zeros_like(real)
    critic = bce(real, ones) + bce(fake, zeros)
    torch.testing.assert_close(losses("minimax", real, fake), (critic, -bce(fake, zeros)))
    torch.testing.assert_close(losses("non_saturating", real, fake), (critic, bce(fake, ones)))


def test_wasserstein_losses_are_differences_of_means() -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(64, generator=generator, dtype=torch.float64) for _ in range(2))
    for name in ("wgan_clip", "wgan_gp"):
        critic, generated = losses(name, real, fake)
        assert critic.item() == pytest.approx(np.mean(fake.numpy()) - np.mean(real.numpy()), rel=1e-12)
        assert generated.item() == pytest.approx(-np.mean(fake.numpy()), rel=1e-12)


@pytest.mark.parametrize("name", ["minimax", "non_saturating"])
def test_at_the_best_critic_the_loss_is_log_4_less_twice_jensen_shannon(name: str) -> None:
    """On two points: real has masses (3/4, 1/4), fake (1/8, 7/8); the best logit is log(real / fake)."""
    p, q = np.array([6, 2]) / 8, np.array([1, 7]) / 8
    best = torch.from_numpy(np.log(p / q))
    critic, _ = losses(name, best[[0] * 6 + [1] * 2], best[[0] * 1 + [1] * 7])
    assert (math.log(4) - critic.item()) / 2 == pytest.approx(jensenshannon(p, q) ** 2, rel=1e-12)


DERIVATIVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "minimax": lambda s: -expit(s),
    "non_saturating": lambda s: -expit(-s),
    "dragan": lambda s: -expit(-s),
    "non_saturating_r1": lambda s: -expit(-s),
    "non_saturating_r1_r2": lambda s: -expit(-s),
    "wgan_clip": lambda s: -np.ones_like(s),
    "wgan_gp": lambda s: -np.ones_like(s),
    "wgan_lp": lambda s: -np.ones_like(s),
    "wgan_div": lambda s: -np.ones_like(s),
    "hinge": lambda s: -np.ones_like(s),
    "least_squares": lambda s: s - 1,
    "fgan_kl": lambda s: -np.exp(s - 1),
    "fgan_reverse_kl": lambda s: -np.ones_like(s),
    "fgan_pearson": lambda s: -(s / 2 + 1),
    "fgan_hellinger": lambda s: -np.exp(s),
}
"""Of each generator loss in the score of a fake sample."""

TICKS = np.linspace(-60, 60, 241)


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 3e-7), (torch.float64, 1e-15)])
@pytest.mark.parametrize("name", DERIVATIVES)
def test_saturation_curve(name: str, dtype: torch.dtype, rtol: float) -> None:
    scores = torch.tensor(TICKS, dtype=dtype)

    def generator_loss(s: torch.Tensor) -> torch.Tensor:
        return losses(name, s[None], s[None])[1]

    gradients = torch.func.vmap(torch.func.grad(generator_loss), randomness="same")(scores)
    assert gradients.dtype == dtype
    np.testing.assert_allclose(gradients.double().numpy(), DERIVATIVES[name](TICKS), rtol=rtol, atol=0)


@pytest.mark.parametrize("name", DERIVATIVES)
def test_the_generator_loss_is_a_mean_over_the_batch(name: str) -> None:
    fake = torch.linspace(-4, 4, 16, dtype=torch.float64)
    gradient = torch.func.grad(lambda s: losses(name, fake, s)[1])(fake)
    np.testing.assert_allclose(gradient.numpy(), DERIVATIVES[name](fake.numpy()) / 16, rtol=1e-14)


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 3e-7), (torch.float64, 1e-15)])
def test_softplus_and_its_two_derivatives(dtype: torch.dtype, rtol: float) -> None:
    s = torch.tensor(TICKS, dtype=dtype)
    first = torch.func.grad(softplus)
    slope, curvature = torch.func.vmap(first)(s), torch.func.vmap(torch.func.grad(first))(s)
    np.testing.assert_allclose(softplus(s).double().numpy(), -log_expit(-TICKS), rtol=rtol)
    np.testing.assert_allclose(slope.double().numpy(), expit(TICKS), rtol=rtol)
    np.testing.assert_allclose(curvature.double().numpy(), expit(TICKS) * expit(-TICKS), rtol=0, atol=rtol)
