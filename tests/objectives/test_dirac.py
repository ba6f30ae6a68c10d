"""The Dirac-GAN of Mescheder et al. 2018: critic psi x, real data at 0, fake data at theta.

Their critic is high on fake samples, ours on real ones, so that their psi is minus ours:
the fields below are written in theirs, with f'(t) = 1 / (1 + e^t).
"""

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
}


def field(name: str, theta: torch.Tensor, psi: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The direction of simultaneous descent, in their sign of psi."""
    objective = OBJECTIVES[name]
    hparams = {key: torch.tensor(value, dtype=torch.float64) for key, value in objective.hparams.items()}
    noise = {key: torch.full((1,), 0.3, dtype=torch.float64) for key in objective.noise}
    real = torch.zeros(1, 1, dtype=torch.float64)

    def critic_loss(ours: torch.Tensor) -> torch.Tensor:
        return objective.critic_loss(lambda x: ours * x[:, 0], real, theta.reshape(1, 1), noise, hparams)

    def generator_loss(theta: torch.Tensor) -> torch.Tensor:
        return objective.generator_loss(lambda x: -psi * x[:, 0], real, theta.reshape(1, 1), noise, hparams)

    return -torch.func.grad(generator_loss)(theta), torch.func.grad(critic_loss)(-psi)


@pytest.mark.parametrize("name", FIELDS)
def test_field_equals_its_closed_form(name: str) -> None:
    values = (-3.0, -0.7, 0.4, 2.5)
    for theta, psi in product(values, values):
        actual = field(name, torch.tensor(theta, dtype=torch.float64), torch.tensor(psi, dtype=torch.float64))
        np.testing.assert_allclose([part.item() for part in actual], FIELDS[name](theta, psi), rtol=1e-13, atol=0)


@pytest.mark.parametrize(("name", "frequency"), [("minimax", 0.5), ("non_saturating", 0.5), ("wgan_clip", 1.0)])
def test_eigenvalues_at_the_equilibrium(name: str, frequency: float) -> None:
    """Purely imaginary: training circles the equilibrium."""
    zero = torch.zeros((), dtype=torch.float64)
    rows = torch.func.jacrev(lambda theta, psi: torch.stack(field(name, theta, psi)), argnums=(0, 1))(zero, zero)
    eigenvalues = np.linalg.eigvals(torch.stack(rows, 1).numpy())
    np.testing.assert_allclose(sorted(eigenvalues, key=np.imag), [-frequency * 1j, frequency * 1j], atol=1e-14)


def test_simultaneous_descent_on_minimax_spirals_out() -> None:
    """The squared distance grows by ``1 + h^2 f'(psi theta)^2`` at each step."""
    theta, psi, h = torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64), 0.1
    for _ in range(20):
        before = (theta**2 + psi**2).item()
        growth = 1 + h**2 * slope((psi * theta).item()) ** 2
        d_theta, d_psi = field("minimax", theta, psi)
        theta, psi = theta + h * d_theta, psi + h * d_psi
        assert (theta**2 + psi**2).item() == pytest.approx(before * growth, rel=1e-13)
