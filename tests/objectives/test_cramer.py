"""The energy distance of scores against scipy, double sums and a closed form; the witness's slope by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import energy_distance, norm

from objectives import OBJECTIVES

OBJECTIVE = OBJECTIVES["cramer"]
B = 9


def critic(x: torch.Tensor) -> torch.Tensor:
    return 0.7 * x.flatten(1).square().sum(1) - x.flatten(1)[:, 0]


def arguments(event: tuple[int, ...], penalty_weight: float = 10.0) -> tuple[object, ...]:
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(B, *event, generator=generator, dtype=torch.float64) + shift for shift in (0.4, -0.4))
    mix = torch.rand(B, generator=generator, dtype=torch.float64)
    return critic, real, fake, {"mix": mix}, {"penalty_weight": torch.tensor(penalty_weight, dtype=torch.float64)}


def unbiased(s: np.ndarray, t: np.ndarray) -> float:
    """Pair by pair."""
    n = len(s)
    across = sum(abs(a - b) for a in s for b in t) / n**2
    within = sum(abs(x[i] - x[j]) for x in (s, t) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return 2 * across - within


@pytest.mark.parametrize("event", [(3,), (2, 3, 4)])
def test_the_generator_loss_is_the_unbiased_energy_distance(event: tuple[int, ...]) -> None:
    """scipy's is the root of the biased one, with each sample among its own partners: the mean within is too small."""
    _, real, fake, _, _ = args = arguments(event)
    s, t = critic(real).numpy(), critic(fake).numpy()
    value = OBJECTIVE.generator_loss(*args).item()
    assert value == pytest.approx(unbiased(s, t), rel=1e-12)
    within = sum(np.abs(x[:, None] - x).mean() for x in (s, t))
    assert value == pytest.approx(energy_distance(s, t) ** 2 + within * (1 - B / (B - 1)), rel=1e-12)


@pytest.mark.parametrize("event", [(3,), (2, 3, 4)])
def test_the_critic_loss_sample_by_sample(event: tuple[int, ...]) -> None:
    """The witness has the slope of the critic times (scores of fake below less above, less the same of real) / B."""
    _, real, fake, noise, _ = args = arguments(event)
    s, t = critic(real).numpy(), critic(fake).numpy()
    penalty = 0.0
    for x, y, mix in zip(real, fake, noise["mix"], strict=True):
        point = mix * x + (1 - mix) * y
        gradient = 1.4 * point.numpy().reshape(-1)
        gradient[0] -= 1
        score = critic(point[None]).item()
        factor = np.sign(score - t).mean() - np.sign(score - s).mean()
        penalty += (abs(factor) * np.linalg.norm(gradient) - 1) ** 2 / B
    assert penalty > 0.1
    assert OBJECTIVE.critic_loss(*args).item() == pytest.approx(10 * penalty - unbiased(s, t), rel=1e-12)


def test_a_critic_and_its_negative_are_the_same() -> None:
    _, *rest = arguments((3,))
    for loss in (OBJECTIVE.critic_loss, OBJECTIVE.generator_loss):
        torch.testing.assert_close(loss(critic, *rest), loss(lambda x: -critic(x), *rest), rtol=1e-13, atol=0)


def test_the_estimate_is_unbiased_in_batches_of_two() -> None:
    """For N(0, 1) and N(d, 1): ``2 E|N(d, 2)| - 4 / sqrt(pi)``; the biased estimate is 2 / sqrt(pi) more."""
    d, n = 0.5, 20_000
    scores = torch.randn(n, 2, 2, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = torch.func.vmap(lambda x: OBJECTIVE.generator_loss(lambda y: y[:, 0], x[0] + d, x[1], {}, {}))(scores)
    root = math.sqrt(2)
    folded = root * math.sqrt(2 / math.pi) * math.exp(-(d**2) / 4) + d * (1 - 2 * norm.cdf(-d / root))
    error = values.std().item() / math.sqrt(n)
    assert values.mean().item() == pytest.approx(2 * folded - 4 / math.sqrt(math.pi), abs=4 * error)
    assert error < 0.02
