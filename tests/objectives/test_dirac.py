"""The Dirac-GAN of Mescheder et al. 2018: critic psi x, real data at 0, fake data at theta.

Their critic is high on fake samples, ours on real ones, so that their psi is minus ours:
the fields below are written in theirs, with f'(t) = 1 / (1 + e^t).
"""

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from scipy.special import expit

from objectives import OBJECTIVES

Field = Callable[[float, float], tuple[float, float]]


def slope(t: float) -> float:
    return float(expit(-t))


WEIGHT = 10.0

FIELDS: dict[str, Field] = {
    "minimax": lambda theta, psi: (-psi * slope(psi * theta), theta * slope(psi * theta)),
    "non_saturating": lambda theta, psi: (-psi * slope(-psi * theta), theta * slope(psi * theta)),
    "wgan_clip": lambda theta, psi: (-psi, theta),
    # Their penalty is gamma / 2 (|psi| - 1)^2: gamma is twice the penalty weight.
    "wgan_gp": lambda theta, psi: (-psi, theta - 2 * WEIGHT * (abs(psi) - 1) * np.sign(psi)),
    "wgan_lp": lambda theta, psi: (-psi, theta - 2 * WEIGHT * max(abs(psi) - 1, 0) * np.sign(psi)),
    "wgan_div": lambda theta, psi: (-psi, theta - 2 * 6 * psi**5),
    # One score each: an energy distance of 2 |psi theta|. The witness has twice the critic's slope between the two.
    "cramer": lambda theta, psi: (
        -2 * abs(psi) * np.sign(theta),
        2 * abs(theta) * np.sign(psi) - 4 * WEIGHT * (2 * abs(psi) - 1) * np.sign(psi),
    ),
    # The fake sample's score, minus psi theta, is drawn to 0 by the critic and to 1 by the generator.
    "least_squares": lambda theta, psi: (-psi * (1 + psi * theta), -psi * theta**2),
    "hinge": lambda theta, psi: (-psi, theta * (psi * theta < 1)),
    "dragan": lambda theta, psi: (
        -psi * slope(-psi * theta),
        theta * slope(psi * theta) - 2 * WEIGHT * (abs(psi) - 1) * np.sign(psi),
    ),
    # gamma / 2 psi^2, at each of the two points where it is taken.
    "non_saturating_r1": lambda theta, psi: (-psi * slope(-psi * theta), theta * slope(psi * theta) - 10 * psi),
    "non_saturating_r1_r2": lambda theta, psi: (-psi * slope(-psi * theta), theta * slope(psi * theta) - 20 * psi),
    # The real sample's score is 0: a pair is a non-saturating game, and the average game plays it twice.
    "relativistic": lambda theta, psi: (-psi * slope(-psi * theta), theta * slope(psi * theta)),
    "relativistic_average": lambda theta, psi: (-2 * psi * slope(-psi * theta), 2 * theta * slope(psi * theta)),
    "r3gan": lambda theta, psi: (-psi * slope(-psi * theta), theta * slope(psi * theta) - 2 * psi),
    # f-GANs: both turn by the derivative of f*(T) at the fake sample's score.
    "fgan_kl": lambda theta, psi: (-psi * np.exp(-psi * theta - 1), theta * np.exp(-psi * theta - 1)),
    "fgan_reverse_kl": lambda theta, psi: (-psi, theta),
    "fgan_pearson": lambda theta, psi: (-psi * (1 - psi * theta / 2), theta * (1 - psi * theta / 2)),
    "fgan_hellinger": lambda theta, psi: (-psi * np.exp(-psi * theta), theta * np.exp(-psi * theta)),
    # Powers -1 and 1/6 of the probability that each is paid for.
    "alpha_gan": lambda theta, psi: (
        -psi * slope(psi * theta) ** (1 / 6) * slope(-psi * theta),
        theta * slope(psi * theta) / slope(-psi * theta),
    ),
}


def field(name: str, theta: torch.Tensor, psi: torch.Tensor, **given: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The direction of simultaneous descent, in their sign of psi."""
    objective = OBJECTIVES[name]
    hparams = {
        key: torch.tensor(given.get(key, value), dtype=torch.float64) for key, value in objective.hparams.items()
    }
    noise = {key: torch.full((1, 1) if key == "jitter" else (1,), 0.3, dtype=torch.float64) for key in objective.noise}
    real = torch.zeros(1, 1, dtype=torch.float64)

    def critic_loss(ours: torch.Tensor) -> torch.Tensor:
        return objective.critic_loss(lambda x: ours * x[:, 0], real, theta.reshape(1, 1), noise, hparams)

    def generator_loss(theta: torch.Tensor) -> torch.Tensor:
        return objective.generator_loss(lambda x: -psi * x[:, 0], real, theta.reshape(1, 1), noise, hparams)

    return -torch.func.grad(generator_loss)(theta), torch.func.grad(critic_loss)(-psi)


def test_every_objective_has_a_closed_form() -> None:
    assert FIELDS.keys() == OBJECTIVES.keys()


@pytest.mark.parametrize("name", FIELDS)
def test_field_equals_its_closed_form(name: str) -> None:
    values = (-3.0, -0.7, 0.4, 2.5)
    for theta, psi in product(values, values):
        actual = field(name, torch.tensor(theta, dtype=torch.float64), torch.tensor(psi, dtype=torch.float64))
        np.testing.assert_allclose([part.item() for part in actual], FIELDS[name](theta, psi), rtol=1e-13, atol=0)


def eigenvalues(name: str, **hparams: float) -> np.ndarray:
    """Of the Jacobian of the field at the equilibrium, the origin; by imaginary, then by real part."""
    zero = torch.zeros((), dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda *point: torch.stack(field(name, *point, **hparams)), argnums=(0, 1))
    values: np.ndarray = np.linalg.eigvals(torch.stack(jacobian(zero, zero), 1).numpy())
    return np.array(sorted(values, key=lambda value: (round(value.imag, 6), value.real)))


@pytest.mark.parametrize(
    ("name", "frequency"),
    [
        ("minimax", 0.5),
        ("non_saturating", 0.5),
        ("relativistic", 0.5),
        ("relativistic_average", 1.0),
        ("alpha_gan", math.sqrt(0.5 ** (7 / 6))),
        ("wgan_clip", 1.0),
        ("wgan_div", 1.0),
        ("hinge", 1.0),
        ("fgan_kl", math.exp(-1)),
        ("fgan_reverse_kl", 1.0),
        ("fgan_pearson", 1.0),
        ("fgan_hellinger", 1.0),
        ("least_squares", 0.0),
    ],
)
def test_eigenvalues_at_the_equilibrium(name: str, frequency: float) -> None:
    """Purely imaginary: training circles the equilibrium. A penalty of higher order, as WGAN-div's, is no brake."""
    np.testing.assert_allclose(eigenvalues(name), [-frequency * 1j, frequency * 1j], atol=1e-14)


@pytest.mark.parametrize(
    ("gamma", "expected"),
    [
        (0.3, [-0.15 - 0.47696960070847j, -0.15 + 0.47696960070847j]),
        (1.0, [-0.5, -0.5]),
        (2.0, [-1.8660254037844386, -0.1339745962155614]),
    ],
)
@pytest.mark.parametrize(("name", "times"), [("non_saturating_r1", 1), ("non_saturating_r1_r2", 2), ("r3gan", 2)])
def test_eigenvalues_with_zero_centred_penalties(name: str, times: int, gamma: float, expected: list[complex]) -> None:
    """``-gamma / 2 +- sqrt(gamma^2 / 4 - 1 / 4)``: all to the left. Both penalties count as twice the gamma of one."""
    # A double eigenvalue that has one eigenvector is found to the root of the rounding error.
    np.testing.assert_allclose(eigenvalues(name, penalty_weight=gamma / times), expected, atol=3e-8)


@pytest.mark.parametrize(("name", "speed"), [("wgan_gp", 20.0), ("dragan", 20.0), ("cramer", 40.0)])
def test_a_penalty_centred_at_1_has_no_rest_at_the_equilibrium(name: str, speed: float) -> None:
    """The critic flees from slope 0 to either side at one speed: the field jumps, and has no linear part there."""
    little = torch.tensor(1e-9, dtype=torch.float64)
    for side in (-1, 1):
        assert field(name, little, side * little)[1].item() == pytest.approx(side * speed, rel=1e-8)


def distance_after(name: str, steps: int, **hparams: float) -> float:
    """Simultaneous descent from near the equilibrium, with step 0.01."""
    point = torch.tensor([0.1, 0.05], dtype=torch.float64)
    for _ in range(steps):
        point = point + 0.01 * torch.stack(field(name, *point, **hparams))
    return point.norm().item()


def test_which_games_converge() -> None:
    """The paper's verdict: games with zero-centred penalties do, WGAN and WGAN-GP do not, and GAN goes in circles."""
    begin = math.hypot(0.1, 0.05)
    assert distance_after("non_saturating_r1", 3_000, penalty_weight=1.0) < 1e-4 * begin
    assert distance_after("r3gan", 3_000, penalty_weight=0.5) < 1e-4 * begin
    for name in ("minimax", "wgan_clip"):
        assert distance_after(name, 500) > begin
    assert distance_after("wgan_gp", 500) > 0.5


def test_simultaneous_descent_on_minimax_spirals_out() -> None:
    """The squared distance grows by ``1 + h^2 f'(psi theta)^2`` at each step."""
    theta, psi, h = torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64), 0.1
    for _ in range(20):
        before = (theta**2 + psi**2).item()
        growth = 1 + h**2 * slope((psi * theta).item()) ** 2
        d_theta, d_psi = field("minimax", theta, psi)
        theta, psi = theta + h * d_theta, psi + h * d_psi
        assert (theta**2 + psi**2).item() == pytest.approx(before * growth, rel=1e-13)
