"""The Dirac-GAN of Mescheder et al. 2018: critic psi x, real data at 0, fake data at theta.

Their critic is high on fake samples, ours on real ones, so that their psi is minus ours:
the fields are in theirs. Which of these games converge is looked at in `tests/experiments/test_dirac_experiment.py`.
"""

import math
from decimal import Decimal
from itertools import product

import numpy as np
import pytest
import torch
from scipy.special import expit

from objectives import OBJECTIVES
from objectives.closed_forms import DIRAC_FIELDS, exact


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


@pytest.mark.parametrize("name", DIRAC_FIELDS)
def test_field_equals_its_closed_form(name: str) -> None:
    """At hyperparameters that are not the defaults, which the closed form might know by heart."""
    values = (-3.0, -0.7, 0.4, 2.5)
    points = torch.tensor(list(product(values, values)), dtype=torch.float64)
    for factor in (1.0, 0.75):
        hparams = {key: factor * value for key, value in OBJECTIVES[name].hparams.items()}
        actual = torch.func.vmap(lambda point, h=hparams: torch.stack(field(name, *point, **h)))(points)
        expected = [DIRAC_FIELDS[name](*map(Decimal, point), exact(hparams)) for point in points.tolist()]
        np.testing.assert_allclose(actual.numpy(), np.array(expected, dtype=float), rtol=1e-13, atol=0)


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


def test_simultaneous_descent_on_minimax_spirals_out() -> None:
    """The squared distance grows by ``1 + h^2 f'(psi theta)^2`` at each step."""
    theta, psi, h = torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64), 0.1
    for _ in range(20):
        before = (theta**2 + psi**2).item()
        growth = 1 + h**2 * float(expit(-(psi * theta).item())) ** 2
        d_theta, d_psi = field("minimax", theta, psi)
        theta, psi = theta + h * d_theta, psi + h * d_psi
        assert (theta**2 + psi**2).item() == pytest.approx(before * growth, rel=1e-13)
