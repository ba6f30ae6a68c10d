"""Every penalty on slopes by hand, for a linear and for a quadratic critic, on vectors and on images."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import log_expit

from objectives import OBJECTIVES
from objectives.base import squared_slopes
from objectives.dragan import uniform_jitter

Array = np.ndarray
EVENTS = [(7,), (3, 4, 5)]
B = 6


def wasserstein(s: Array, t: Array) -> float:
    return float(t.mean() - s.mean())


def logit(s: Array, t: Array) -> float:
    return float(-log_expit(s).mean() - log_expit(-t).mean())


def paired(s: Array, t: Array) -> float:
    return float(-log_expit(s - t).mean())


def segment(x: Array, y: Array, noise: dict[str, Array]) -> Array:
    """Rows [B, D]: between real and fake."""
    return noise["mix"][:, None] * x + (1 - noise["mix"][:, None]) * y


def near(x: Array, y: Array, noise: dict[str, Array]) -> Array:
    """Around real samples, by at most half their standard deviation."""
    return x + noise["mix"][:, None] * noise["jitter"].reshape(B, -1) * 0.5 * np.std(x)


def real_only(x: Array, y: Array, noise: dict[str, Array]) -> Array:
    return x


Penalty = tuple[Callable[[Array, Array], float], Callable[..., Array], Callable[[Array], Array]]

PENALTIES: dict[str, Penalty] = {
    # Name: (the game without its penalty, where slopes are taken, what a slope costs).
    "wgan_gp": (wasserstein, segment, lambda slope: 10 * (slope - 1) ** 2),
    "wgan_lp": (wasserstein, segment, lambda slope: 10 * np.maximum(slope - 1, 0) ** 2),
    "wgan_div": (wasserstein, segment, lambda slope: 2 * slope**6),
    "dragan": (logit, near, lambda slope: 10 * (slope - 1) ** 2),
    "non_saturating_r1": (logit, real_only, lambda slope: 10 / 2 * slope**2),
    # Twice the mean over both kinds together is the sum of their means.
    "non_saturating_r1_r2": (logit, lambda x, y, noise: np.concatenate([x, y]), lambda slope: 2 * 10 / 2 * slope**2),
    "relativistic_r1": (paired, real_only, lambda slope: 1 / 2 * slope**2),
    "r3gan": (paired, lambda x, y, noise: np.concatenate([x, y]), lambda slope: 2 * 1 / 2 * slope**2),
}


def test_every_penalty_is_here_or_in_a_file_of_its_own() -> None:
    assert {name for name, objective in OBJECTIVES.items() if objective.penalises_slopes} == {*PENALTIES, "cramer"}


def check(name: str, event: tuple[int, ...], critic: Callable[..., torch.Tensor], slope: Callable[..., Array]) -> None:
    """Compare with the game and the penalty of a critic whose slope at rows [n, D] is known."""
    game, where, cost = PENALTIES[name]
    objective = OBJECTIVES[name]
    generator = torch.Generator().manual_seed(3)
    real, fake = (torch.randn(B, *event, generator=generator, dtype=torch.float64) for _ in range(2))
    noise = {key: draw(B, event, generator).double() for key, draw in objective.noise.items()}
    hparams = {key: torch.tensor(value, dtype=torch.float64) for key, value in objective.hparams.items()}
    value = objective.critic_loss(critic, real, fake, noise, hparams).item()
    x, y = (samples.numpy().reshape(B, -1) for samples in (real, fake))
    points = where(x, y, {key: draws.numpy() for key, draws in noise.items()})
    expected = cost(slope(points)).mean() + game(critic(real).numpy(), critic(fake).numpy())
    assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("norm", [0.0, 0.4, 1.0, 2.5])
@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("name", PENALTIES)
def test_a_linear_critic_pays_for_its_norm(name: str, event: tuple[int, ...], norm: float) -> None:
    direction = np.random.default_rng(0).normal(size=event)
    weight = torch.from_numpy(norm * direction / np.linalg.norm(direction))
    check(name, event, lambda x: (x * weight).flatten(1).sum(1), lambda points: np.full(len(points), norm))


@pytest.mark.parametrize("scale", [0.1, 0.5])
@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("name", PENALTIES)
def test_a_quadratic_critic_pays_sample_by_sample(name: str, event: tuple[int, ...], scale: float) -> None:
    """``scale |x|^2 / 2`` has the slope ``scale |x|``."""
    check(
        name,
        event,
        lambda x: scale * x.flatten(1).square().sum(1) / 2,
        lambda points: scale * np.linalg.norm(points, axis=1),
    )


def test_squared_slopes_have_their_curvature_where_they_are_zero() -> None:
    """``|scale|^2 D`` for a linear critic: its second derivative in scale is 2 D, at 0 as elsewhere."""
    x = torch.ones(3, 2, 5, dtype=torch.float64)

    def value(scale: torch.Tensor) -> torch.Tensor:
        return squared_slopes(lambda points: scale * points.sum((1, 2)), x).mean()

    for scale in (0.0, 0.5):
        point = torch.tensor(scale, dtype=torch.float64)
        assert torch.func.grad(torch.func.grad(value))(point).item() == pytest.approx(20, rel=1e-14)


def test_jitter_is_uniform_in_every_coordinate() -> None:
    from scipy import stats

    jitter = uniform_jitter(5_000, (2, 3), torch.Generator().manual_seed(0)).double().numpy()
    assert jitter.shape == (5_000, 2, 3)
    assert stats.kstest(jitter.reshape(-1), "uniform").pvalue > 1e-4
    np.testing.assert_allclose(np.corrcoef(jitter.reshape(5_000, 6).T), np.eye(6), atol=0.06)
