"""What a critic's loss bounds, and reaches at the best critic: divergences by scipy and numpy, laws of four points."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import expit, log_expit
from scipy.stats import entropy

from objectives import OBJECTIVES

Array = np.ndarray

P, Q = np.array([7, 4, 3, 2]) / 16, np.array([1, 3, 6, 6]) / 16
"""The masses of real and fake."""


def losses(name: str, scores: torch.Tensor, p: Array = P, q: Array = Q) -> tuple[torch.Tensor, torch.Tensor]:
    """Critic loss and generator loss of a critic with these scores [4] at the four points."""
    points = torch.eye(4, dtype=scores.dtype)
    real, fake = (points[np.repeat(np.arange(4), np.rint(16 * masses).astype(int))] for masses in (p, q))
    objective = OBJECTIVES[name]
    hparams = {key: torch.tensor(value, dtype=scores.dtype) for key, value in objective.hparams.items()}
    arguments = (lambda x: x @ scores, real, fake, {}, hparams)
    return objective.critic_loss(*arguments), objective.generator_loss(*arguments)


BEST: dict[str, tuple[Callable[[Array, Array], Array], Callable[[Array, Array], float], Callable[[float], float]]] = {
    # Name: (best scores, divergence, divergence from the critic loss).
    "fgan_kl": (lambda p, q: 1 + np.log(p / q), lambda p, q: entropy(p, q), lambda loss: -loss),
    "fgan_reverse_kl": (lambda p, q: np.log(p / q), lambda p, q: entropy(q, p), lambda loss: -loss),
    "fgan_pearson": (lambda p, q: 2 * (p / q - 1), lambda p, q: np.sum((p - q) ** 2 / q), lambda loss: -loss),
    "fgan_hellinger": (
        lambda p, q: np.log(p / q) / 2,
        lambda p, q: np.sum((np.sqrt(p) - np.sqrt(q)) ** 2),
        lambda loss: -loss,
    ),
    "least_squares": (
        lambda p, q: p / (p + q),
        lambda p, q: np.sum((p - (p + q) / 2) ** 2 / ((p + q) / 2)),
        lambda loss: 1 - 4 * loss,
    ),
    "hinge": (lambda p, q: np.sign(p - q), lambda p, q: np.sum(np.abs(p - q)) / 2, lambda loss: 1 - loss / 2),
}


@pytest.mark.parametrize("name", BEST)
def test_the_best_critic_reaches_the_divergence(name: str) -> None:
    scores, divergence, of_loss = BEST[name]
    for p, q in ((P, Q), (Q, P)):
        critic, _ = losses(name, torch.from_numpy(scores(p, q)), p, q)
        assert of_loss(critic.item()) == pytest.approx(divergence(p, q), rel=1e-12)


@pytest.mark.parametrize("name", BEST)
def test_no_critic_exceeds_the_divergence(name: str) -> None:
    scores, divergence, of_loss = BEST[name]
    generator = np.random.default_rng(0)
    for scale in (0.01, 0.3, 3.0):
        other = scores(P, Q) + scale * generator.normal(size=4)
        critic, _ = losses(name, torch.from_numpy(other))
        assert of_loss(critic.item()) <= divergence(P, Q) + 1e-12


SMOOTH = {
    **{name: scores for name, (scores, _, _) in BEST.items() if name != "hinge"},
    "alpha_gan": lambda p, q: 0.5 * np.log(p / q),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_the_best_critic_has_nowhere_to_go(name: str) -> None:
    """For the alpha-loss the best logit is ``alpha log(real / fake)``, with alpha 1/2."""
    best = torch.from_numpy(SMOOTH[name](P, Q))
    gradient = torch.func.grad(lambda scores: losses(name, scores)[0])(best)
    np.testing.assert_allclose(gradient.numpy(), 0, atol=1e-15)


CONJUGATES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    # Output activation and conjugate, as the paper's table 2 has them.
    "fgan_kl": (lambda v: v, lambda t: np.exp(t - 1)),
    "fgan_reverse_kl": (lambda v: -np.exp(-v), lambda t: -1 - np.log(-t)),
    "fgan_pearson": (lambda v: v, lambda t: t**2 / 4 + t),
    "fgan_hellinger": (lambda v: 1 - np.exp(-v), lambda t: t / (1 - t)),
}


@pytest.mark.parametrize("name", CONJUGATES)
def test_f_gan_by_activation_and_conjugate(name: str) -> None:
    activation, conjugate = CONJUGATES[name]
    scores = np.array([2.3, 0.4, -0.8, -1.9])
    critic, generator = losses(name, torch.from_numpy(scores))
    real, fake = P @ activation(scores), Q @ conjugate(activation(scores))
    assert critic.item() == pytest.approx(fake - real, rel=1e-12)
    assert generator.item() == pytest.approx(-fake, rel=1e-12)


@pytest.mark.parametrize("name", CONJUGATES)
def test_conjugates_are_suprema(name: str) -> None:
    """``f*(t) = sup over u of u t - f(u)``, on a fine grid of u: the tables above, and so the losses, are right."""
    f: Callable[[Array], Array] = {
        "fgan_kl": lambda u: u * np.log(u),
        "fgan_reverse_kl": lambda u: -np.log(u),
        "fgan_pearson": lambda u: (u - 1) ** 2,
        "fgan_hellinger": lambda u: (np.sqrt(u) - 1) ** 2,
    }[name]
    u = np.geomspace(1e-4, 1e4, 400_001)
    activation, conjugate = CONJUGATES[name]
    for v in (-1.5, -0.3, 0.0, 0.8, 2.0):
        t = activation(np.array(v))
        assert np.max(u * t - f(u)) == pytest.approx(conjugate(t), rel=1e-7, abs=1e-8)


def test_relativistic_losses_by_numpy() -> None:
    """Means over pairs, and against averages."""
    generator = np.random.default_rng(1)
    real, fake = generator.normal(size=(2, 16)) * 4

    def value(name: str) -> tuple[float, float]:
        objective = OBJECTIVES[name]
        arguments = (lambda x: x[:, 0], torch.from_numpy(real[:, None]), torch.from_numpy(fake[:, None]), {}, {})
        return objective.critic_loss(*arguments).item(), objective.generator_loss(*arguments).item()

    def log_loss(right: Array) -> float:
        return float(-log_expit(right).mean())

    assert value("relativistic") == pytest.approx((log_loss(real - fake), log_loss(fake - real)), rel=1e-12)
    critic = -np.log(expit(real - fake.mean())).mean() - np.log(1 - expit(fake - real.mean())).mean()
    made = -np.log(expit(fake - real.mean())).mean() - np.log(1 - expit(real - fake.mean())).mean()
    assert value("relativistic_average") == pytest.approx((critic, made), rel=1e-9)


@pytest.mark.parametrize("name", ["relativistic", "relativistic_average", "cramer"])
def test_only_differences_of_scores_count(name: str) -> None:
    objective = OBJECTIVES[name]
    hparams = {key: torch.tensor(value, dtype=torch.float64) for key, value in objective.hparams.items()}
    real, fake = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = {key: torch.linspace(0, 1, 8, dtype=torch.float64) for key in objective.noise}
    for loss in (objective.critic_loss, objective.generator_loss):
        one, other = (loss(lambda x, c=c: x.sum(1) + c, real, fake, noise, hparams) for c in (0.0, 7.0))
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
