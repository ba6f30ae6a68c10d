"""The closed forms against scipy's functions, against the losses' autograd, and where float64 gives out.

Those of the Dirac-GAN are compared in `tests/objectives/test_dirac.py`.
"""

import math
from decimal import Decimal

import numpy as np
import pytest
import torch
from scipy.special import expit, log_expit

from objectives import OBJECTIVES
from objectives.closed_forms import DIRAC_FIELDS, SCORE_GRADIENTS, exact

SCORES = np.array([-700.0, -60.0, -7.25, -1.0, -1e-3, 1e-3, 0.5, 3.0, 20.0, 60.0, 700.0])
SATURATING = -expit(SCORES)
NON_SATURATING = -np.exp(log_expit(-SCORES))

EXPECTED = {
    "minimax": SATURATING,
    "non_saturating": NON_SATURATING,
    "wgan_gp": np.full(len(SCORES), -1.0),
    "cramer": 2 * np.sign(SCORES),
    "least_squares": SCORES - 1,
    "relativistic_average": 2 * NON_SATURATING,
    "fgan_kl": -np.exp(SCORES - 1),
    "fgan_pearson": -(SCORES / 2 + 1),
    "fgan_hellinger": -np.exp(SCORES),
    "alpha_gan": -np.exp((1 - 1 / 1.2) * log_expit(SCORES) + log_expit(-SCORES)),
}


def test_every_objective_of_the_project_has_its_closed_forms() -> None:
    assert SCORE_GRADIENTS.keys() == DIRAC_FIELDS.keys() == OBJECTIVES.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_score_gradients_are_those_of_scipy(name: str) -> None:
    numbers = exact(OBJECTIVES[name].hparams)
    actual = [float(SCORE_GRADIENTS[name](Decimal(score), numbers)) for score in SCORES.tolist()]
    np.testing.assert_allclose(actual, EXPECTED[name], rtol=5e-14, atol=0)


def test_score_gradients_are_those_of_the_losses() -> None:
    """One fake sample that is its own score, and a real one with the score 0."""
    scores = torch.tensor([-60.0, -7.25, -0.5, 0.5, 3.0, 20.0, 60.0], dtype=torch.float64)
    real = torch.zeros(1, 1, dtype=torch.float64)
    for name, objective in OBJECTIVES.items():
        hparams = {key: torch.tensor(value, dtype=torch.float64) for key, value in objective.hparams.items()}
        fakes = scores.clone().requires_grad_()
        losses = [objective.generator_loss(lambda x: x[:, 0], real, s.reshape(1, 1), {}, hparams) for s in fakes]
        (gradients,) = torch.autograd.grad(torch.stack(losses).sum(), fakes)
        numbers = exact(objective.hparams)
        expected = [float(SCORE_GRADIENTS[name](Decimal(s), numbers)) for s in scores.tolist()]
        np.testing.assert_allclose(gradients.numpy(), expected, rtol=1e-13, atol=0, err_msg=name)


@pytest.mark.parametrize(
    ("name", "score", "logarithm"),
    [
        ("minimax", -5000, -5000.0),
        ("non_saturating", 5000, -5000.0),
        ("fgan_kl", 5000, 4999.0),
        ("fgan_hellinger", -5000, -5000.0),
        ("alpha_gan", -5000, -5000 * (1 - 1 / 1.2)),
    ],
)
def test_they_live_where_float64_does_not(name: str, score: int, logarithm: float) -> None:
    """``e^-5000`` is 10^2171 times smaller than the smallest number of float64; its logarithm is not lost."""
    gradient = SCORE_GRADIENTS[name](Decimal(score), exact(OBJECTIVES[name].hparams))
    assert float(gradient) in (0.0, -math.inf)
    assert float((-gradient).ln()) == pytest.approx(logarithm, rel=1e-14)
