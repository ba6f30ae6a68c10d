"""What the objectives compute where it can be written down: the theory that measurements are laid beside.

Two tables by the objective's name. All numbers are decimals of 28 digits with exponents to a million: there is no score
at which a closed form itself under- or overflows, wherever float32 and float64 do. ``sigmoid(t) = 1 / (1 + e^-t)``.

The score gradients follow from the generator losses in the objectives' own files. Of the fields, those of the GAN, the
non-saturating GAN, the WGAN, the WGAN-GP and R1 are in Mescheder, Geiger & Nowozin 2018 (arXiv:1801.04406, sections 2
and 3); the others are derived in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

Numbers = Mapping[str, Decimal]
"""Hyperparameters by name."""

ScoreGradient = Callable[[Decimal, Numbers], Decimal]
Field = Callable[[Decimal, Decimal, Numbers], tuple[Decimal, Decimal]]


def exact(numbers: Mapping[str, float]) -> dict[str, Decimal]:
    """The binary numbers as decimals, digit by digit."""
    return {name: Decimal(number) for name, number in numbers.items()}


def _sigmoid(t: Decimal) -> Decimal:
    return 1 / (1 + (-t).exp())


def _sign(t: Decimal) -> Decimal:
    return Decimal((t > 0) - (t < 0))


def _alpha(t: Decimal, alpha: Decimal) -> Decimal:
    """Minus the derivative in t of the alpha-loss of ``P = sigmoid(t)``: ``P^(1 - 1/alpha) (1 - P)``."""
    return _sigmoid(t) ** (1 - 1 / alpha) * _sigmoid(-t)


def _two_sided(psi: Decimal, weight: Decimal) -> Decimal:
    """Derivative of ``weight (|psi| - 1)^2``: it jumps at 0, from ``2 weight`` to ``-2 weight``."""
    return 2 * weight * (abs(psi) - 1) * _sign(psi)


def _power(psi: Decimal, weight: Decimal, power: Decimal) -> Decimal:
    """Derivative of ``weight |psi|^power``."""
    return weight * power * abs(psi) ** (power - 1) * _sign(psi) if psi else Decimal(0)


def _non_saturating(theta: Decimal, psi: Decimal, penalty: Decimal) -> tuple[Decimal, Decimal]:
    """The field of the non-saturating game, where the critic also pays a penalty with this derivative in psi."""
    return -psi * _sigmoid(psi * theta), theta * _sigmoid(-psi * theta) - penalty


SCORE_GRADIENTS: dict[str, ScoreGradient] = {
    "minimax": lambda s, h: -_sigmoid(s),
    "non_saturating": lambda s, h: -_sigmoid(-s),
    "wgan_clip": lambda s, h: Decimal(-1),
    "wgan_gp": lambda s, h: Decimal(-1),
    "wgan_lp": lambda s, h: Decimal(-1),
    "wgan_div": lambda s, h: Decimal(-1),
    "cramer": lambda s, h: 2 * _sign(s),  # of the energy distance 2 |s|; a single sample has no other of its kind
    "least_squares": lambda s, h: s - 1,
    "hinge": lambda s, h: Decimal(-1),
    "dragan": lambda s, h: -_sigmoid(-s),
    "non_saturating_r1": lambda s, h: -_sigmoid(-s),
    "non_saturating_r1_r2": lambda s, h: -_sigmoid(-s),
    "relativistic": lambda s, h: -_sigmoid(-s),
    "relativistic_average": lambda s, h: -2 * _sigmoid(-s),
    "relativistic_r1": lambda s, h: -_sigmoid(-s),
    "r3gan": lambda s, h: -_sigmoid(-s),
    "fgan_kl": lambda s, h: -(s - 1).exp(),
    "fgan_reverse_kl": lambda s, h: Decimal(-1),
    "fgan_pearson": lambda s, h: -(s / 2 + 1),
    "fgan_hellinger": lambda s, h: -s.exp(),
    "alpha_gan": lambda s, h: -_alpha(s, h["alpha_generator"]),
}
"""(s, hyperparameters) -> the derivative of the generator loss in the score s of a single fake sample.

The real sample, which losses over pairs and over averages look at too, has the score 0. A negative derivative raises
the score under descent.
"""

DIRAC_FIELDS: dict[str, Field] = {
    "minimax": lambda theta, psi, h: (-psi * _sigmoid(-psi * theta), theta * _sigmoid(-psi * theta)),
    "non_saturating": lambda theta, psi, h: _non_saturating(theta, psi, Decimal(0)),
    "wgan_clip": lambda theta, psi, h: (-psi, theta),
    # The paper's penalty is gamma / 2 (|psi| - 1)^2: gamma is twice the penalty weight.
    "wgan_gp": lambda theta, psi, h: (-psi, theta - _two_sided(psi, h["penalty_weight"])),
    "wgan_lp": lambda theta, psi, h: (
        -psi,
        theta - (_two_sided(psi, h["penalty_weight"]) if abs(psi) > 1 else 0),
    ),
    "wgan_div": lambda theta, psi, h: (-psi, theta - _power(psi, h["penalty_weight"], h["power"])),
    # One score each: an energy distance of 2 |psi theta|. The witness has twice the critic's slope between the two.
    "cramer": lambda theta, psi, h: (
        -2 * abs(psi) * _sign(theta),
        2 * abs(theta) * _sign(psi) - 2 * _two_sided(2 * psi, h["penalty_weight"]),
    ),
    # The fake sample's score, minus psi theta, is drawn to 0 by the critic and to 1 by the generator.
    "least_squares": lambda theta, psi, h: (-psi * (1 + psi * theta), -psi * theta**2),
    "hinge": lambda theta, psi, h: (-psi, theta * (psi * theta < 1)),
    "dragan": lambda theta, psi, h: _non_saturating(theta, psi, _two_sided(psi, h["penalty_weight"])),
    # gamma / 2 psi^2, at each of the two points where it is taken.
    "non_saturating_r1": lambda theta, psi, h: _non_saturating(theta, psi, h["penalty_weight"] * psi),
    "non_saturating_r1_r2": lambda theta, psi, h: _non_saturating(theta, psi, 2 * h["penalty_weight"] * psi),
    # The real sample's score is 0: a pair is a non-saturating game, and the average game plays it twice.
    "relativistic": lambda theta, psi, h: _non_saturating(theta, psi, Decimal(0)),
    "relativistic_average": lambda theta, psi, h: (
        -2 * psi * _sigmoid(psi * theta),
        2 * theta * _sigmoid(-psi * theta),
    ),
    "relativistic_r1": lambda theta, psi, h: _non_saturating(theta, psi, h["penalty_weight"] * psi),
    "r3gan": lambda theta, psi, h: _non_saturating(theta, psi, 2 * h["penalty_weight"] * psi),
    # f-GANs: both turn by the derivative of f*(T) at the fake sample's score.
    "fgan_kl": lambda theta, psi, h: (-psi * (-psi * theta - 1).exp(), theta * (-psi * theta - 1).exp()),
    "fgan_reverse_kl": lambda theta, psi, h: (-psi, theta),
    "fgan_pearson": lambda theta, psi, h: (-psi * (1 - psi * theta / 2), theta * (1 - psi * theta / 2)),
    "fgan_hellinger": lambda theta, psi, h: (-psi * (-psi * theta).exp(), theta * (-psi * theta).exp()),
    "alpha_gan": lambda theta, psi, h: (
        -psi * _alpha(-psi * theta, h["alpha_generator"]),
        theta * _alpha(psi * theta, h["alpha_critic"]),
    ),
}
"""(theta, psi, hyperparameters) -> (theta', psi'), the direction of simultaneous descent on the Dirac-GAN.

Real data are at 0, fake data at theta, and the critic has one weight. In the paper's sign: its critic, psi x, is high
on fake samples, where this project's, minus psi x, is high on real ones. Projections, as clipping, are no part of a
field.
"""
