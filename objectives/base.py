"""What an objective is: a frozen record of pure functions, written for one replica.

Shape letters: B batch, *E event (the shape of one sample), [] a scalar tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

import torch

Critic = Callable[["torch.Tensor"], "torch.Tensor"]
"""A critic with its parameters bound: x [B, *E] -> scores [B], raw real numbers."""

NoiseSampler = Callable[[int, tuple[int, ...], "torch.Generator"], "torch.Tensor"]
"""(n, event shape, generator) -> noise [n, ...]: one independent draw for each of n samples."""


class Loss(Protocol):
    """A loss to be minimised, of one replica."""

    def __call__(
        self,
        critic: Critic,
        real: torch.Tensor,
        fake: torch.Tensor,
        noise: Mapping[str, torch.Tensor],
        hparams: Mapping[str, torch.Tensor],
    ) -> torch.Tensor:
        """Of real [B, *E] and fake [B, *E] give the loss []; noise holds [B, ...] a name, hparams holds [] a name."""
        ...


Projection = Callable[
    [Mapping[str, "torch.Tensor"], Mapping[str, "torch.Tensor"]],
    Mapping[str, "torch.Tensor"],
]
"""(critic parameters by name, hparams) -> critic parameters by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How the reference trained: defaults that a grid may override.

    Optimisers are settings by name, as a grid file would write them: ``{"name": "adam", "lr": 1e-4, "beta1": 0.5}``.
    """

    critic_optimizer: Mapping[str, str | float]
    generator_optimizer: Mapping[str, str | float]
    critic_steps: int = 1


ADAM_DCGAN: Mapping[str, str | float] = MappingProxyType({"name": "adam", "lr": 2e-4, "beta1": 0.5, "beta2": 0.999})
"""Adam as Radford, Metz & Chintala 2015 (arXiv:1511.06434, section 4) set it; the common recipe of logit losses."""


def _nothing() -> Mapping[str, float]:
    return MappingProxyType({})


def _no_noise() -> Mapping[str, NoiseSampler]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A pair of losses, what they need, and how their reference trained with them."""

    name: str
    """Table key, file name, word in a grid file, value in the records, label in a figure."""
    reference: str
    """Authors, year, arXiv id, equation or algorithm."""
    critic_loss: Loss
    generator_loss: Loss
    """Gradients flow through fake."""
    hparams: Mapping[str, float] = field(default_factory=_nothing)
    """Defaults; each arrives in the losses as a [] tensor."""
    noise: Mapping[str, NoiseSampler] = field(default_factory=_no_noise)
    """What else the engine must draw, by name."""
    project: Projection | None = None
    """What is done to the critic's parameters after each critic step: clipping."""
    penalises_slopes: bool = False
    """Whether a loss looks at the critic's input gradient, sample by sample: batch norm in the critic mixes samples."""
    recipe: Recipe = field(default_factory=lambda: Recipe(critic_optimizer=ADAM_DCGAN, generator_optimizer=ADAM_DCGAN))


def softplus(x: torch.Tensor) -> torch.Tensor:
    """``log(1 + e^x)`` of any shape, value and gradient exact to the rounding of float32 and of float64.

    The logit losses are made of it: ``-log sigmoid(s) = softplus(-s)`` and ``-log(1 - sigmoid(s)) = softplus(s)``,
    finite and with the right gradient where the logarithm of a rounded sigmoid is not.
    """
    # Torch's own threshold of 20 is 2e-9 off in float64; from 37 on the two branches agree to the last bit.
    return torch.nn.functional.softplus(x, threshold=40.0)


def slopes(critic: Critic, x: torch.Tensor) -> torch.Tensor:
    """Euclidean norm of the critic's gradient at each sample, over all axes of the event.

    Computes ``|grad_x critic(x)|``: x [B, *E] -> [B]. Differentiable again, and defined at a zero gradient.
    A critic of mixed precision is evaluated in float32.
    """
    norms: torch.Tensor = torch.linalg.vector_norm(_gradient(critic, x).flatten(1), dim=1)
    return norms


def squared_slopes(critic: Critic, x: torch.Tensor) -> torch.Tensor:
    """Square of the critic's slope at each sample, ``|grad_x critic(x)|^2``: x [B, *E] -> [B].

    For zero-centred penalties: twice differentiable at a zero gradient too, where the derivative of ``slopes`` jumps.
    A critic of mixed precision is evaluated in float32.
    """
    squares: torch.Tensor = _gradient(critic, x).flatten(1).square().sum(1)
    return squares


_plainly = False


@contextmanager
def plainly() -> Iterator[None]:
    """Within it slopes are ``torch.autograd.grad``'s: a fifth faster, and impossible in a loss that is lifted."""
    global _plainly
    before, _plainly = _plainly, True
    try:
        yield
    finally:
        _plainly = before


def _gradient(critic: Critic, x: torch.Tensor) -> torch.Tensor:
    """Gradient of the critic at each sample: x [B, *E] -> [B, *E]."""
    # Torch's own setting reaches a critic through any function around it; it is off, and says what type is wanted.
    with torch.autocast(x.device.type, torch.float32, enabled=False):
        if _plainly:
            points = x if x.requires_grad else x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
        else:
            gradient = torch.func.grad(lambda points: critic(points).sum())(x)
    return gradient


def interpolate(real: torch.Tensor, fake: torch.Tensor, mix: torch.Tensor) -> torch.Tensor:
    """Points on the segments between pairs, ``mix * real + (1 - mix) * fake``: mix [B], one weight a sample."""
    weight = mix.reshape(-1, *(1,) * (real.ndim - 1))
    return weight * real + (1 - weight) * fake


def uniform_mix(n: int, event_shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """One interpolation weight a sample, uniform on [0, 1): [n]."""
    return torch.rand(n, generator=generator, device=generator.device, dtype=torch.float32)
