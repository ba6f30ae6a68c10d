"""What training is about: the parts that a group's replicas share, and what is read while they train."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol, TypeAlias

import torch
from pydantic import Field

from bench.networks import Network
from bench.optim import Optimizer, Parameters
from datasets.base import Dataset
from objectives.base import Critic, Objective

Tree: TypeAlias = "dict[str, Any]"
"""Nested dictionaries of tensors."""

READINGS = {
    "critic_loss": "critic",
    "critic_gradient_norm": "critic",
    "generator_loss": "generator",
    "generator_gradient_norm": "generator",
}
"""Read at every update of a player: its loss, and the Euclidean norm of all its gradients together."""

SITES = (
    "",
    "the fake samples",
    "the critic loss",
    "the critic's gradient or its square",
    "the critic's parameters",
    "the generator loss",
    "the generator's gradient or its square",
    "the generator's parameters",
)
"""Where a value that is not finite can first show up; the state of a replica holds the index."""

Count = Annotated[int, Field(ge=0, le=10**8)]


class Source(Protocol):
    """What the generator's inputs are drawn from."""

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent inputs [n, ...]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Latent:
    """The law of the generator's input: ``normal`` N(0, I) or ``uniform`` U[-1, 1], in ``dim`` dimensions."""

    dim: int = 2
    law: Literal["normal", "uniform"] = "normal"

    def __post_init__(self) -> None:
        if not 1 <= self.dim <= 65536:
            raise ValueError(f"a latent has 1 to 65536 dimensions, not {self.dim}")

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent latents [n, Z]."""
        shape, device = (n, self.dim), generator.device
        if self.law == "normal":
            return torch.randn(shape, generator=generator, device=device)
        return 2 * torch.rand(shape, generator=generator, device=device) - 1


@dataclass(frozen=True, kw_only=True)
class LrSchedule:
    """A factor on both players' learning rates: a rise from 0 to 1 over ``warmup`` steps, times a fall.

    ``linear`` and ``cosine`` (half a period) fall from 1 to ``final`` over all steps of the run, those of the rise
    included; ``constant`` stays at 1.
    """

    shape: Literal["constant", "linear", "cosine"] = "constant"
    warmup: Count = 0
    final: Annotated[float, Field(ge=0, le=1)] = 0.0

    @property
    def steady(self) -> bool:
        """Whether the factor is 1 throughout."""
        return self.shape == "constant" and not self.warmup

    def factor(self, step: torch.Tensor, steps: int) -> torch.Tensor:
        """Of the step, counted from 0, of so many: float64, of the same shape."""
        step = step.to(torch.float64)
        way = step / steps
        if self.shape == "linear":
            height = 1 - (1 - self.final) * way
        elif self.shape == "cosine":
            height = self.final + (1 - self.final) * (1 + torch.cos(math.pi * way)) / 2
        else:
            height = torch.ones_like(way)
        return height * torch.clamp((step + 1) / max(1, self.warmup), max=1)


@dataclass(frozen=True, kw_only=True)
class CriticWarmup:
    """``steps`` critic updates, in place of ``critic_steps``, in the first ``until`` steps and at each ``every``-th.

    The code of WGAN (Arjovsky et al. 2017) has 100, 25 and 500; ``steps: 0`` is none, ``every: 0`` never again.
    """

    steps: Annotated[int, Field(ge=0, le=10**4)] = 0
    until: Count = 0
    every: Count = 0

    def updates(self, step: int, critic_steps: int) -> int:
        """The critic's updates in the first so many steps."""
        if not self.steps:
            return step * critic_steps
        early = min(step, self.until)
        again = -(-step // self.every) + -early // self.every if self.every else 0
        return (early + again) * self.steps + (step - early - again) * critic_steps


@dataclass(frozen=True, kw_only=True)
class InstanceNoise:
    """Normal noise on real and fake samples before the critic sees them (Sønderby et al. 2017, arXiv:1610.04490).

    Its standard deviation falls linearly from ``std`` to 0 at the share ``until`` of the steps; with ``until: 0`` it
    does not fall. A gradient penalty sees the noisy samples too.
    """

    std: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    until: Annotated[float, Field(ge=0, le=1)] = 1.0

    def factor(self, step: torch.Tensor, steps: int) -> torch.Tensor:
        """What is left of the noise at the step, counted from 0, of so many: float64, of the same shape."""
        step = step.to(torch.float64)
        return torch.clamp(1 - step / (steps * self.until), min=0) if self.until else torch.ones_like(step)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What all replicas of a group have in common: everything that shapes the graph."""

    objective: Objective
    dataset: Dataset
    generator: Network
    critic: Network
    latent: Source
    generator_optimizer: Optimizer
    critic_optimizer: Optimizer
    batch_size: int
    """How many scores a loss sees of real inputs, and of fake ones."""
    critic_steps: int
    generator_steps: int = 1
    """An iteration, or step, is ``critic_steps`` updates of the critic, then ``generator_steps`` of the generator; 0
    leaves the generator as it is, and a step is the critic's alone."""
    steps: int = 1
    """How many the run has: schedules end there."""
    simultaneous: bool = False
    """Whether the generator's update sees the critic as it was before the critic's."""
    pack: int = 1
    """How many samples make one input of the critic (Lin et al. 2018, arXiv:1712.04086)."""
    lr_schedule: LrSchedule = field(default_factory=LrSchedule)
    critic_warmup: CriticWarmup = field(default_factory=CriticWarmup)
    instance_noise: InstanceNoise | None = None
    """Its schedule; the standard deviation is a scalar of each replica."""
    averaged: bool = False
    """Whether samples come from an exponential moving average of the generator's parameters."""
    training_set: int = 0
    """How many samples are drawn once, to be drawn from with replacement ever after; 0: fresh ones all the time."""

    @property
    def packed_shape(self) -> tuple[int, ...]:
        """The event that the critic and the objective see."""
        first, *rest = self.dataset.event_shape
        return (self.pack * first, *rest)

    def packed(self, x: torch.Tensor) -> torch.Tensor:
        """Inputs of the critic, of ``pack`` samples in a row each, joined along the first axis of the event."""
        return x.reshape(-1, *self.packed_shape)

    def critic_steps_at(self, step: int) -> int:
        """The critic's updates in the step, counted from 0."""
        updates = self.critic_warmup.updates
        return updates(step + 1, self.critic_steps) - updates(step, self.critic_steps)


def tree_map(tree: Tree, function: Callable[[torch.Tensor], torch.Tensor]) -> Tree:
    """The tree with every tensor changed."""
    return {k: tree_map(v, function) if isinstance(v, dict) else function(v) for k, v in tree.items()}


def leaves(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and what they stand for."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def at(tree: Tree, index: Any) -> Tree:
    """Of every tensor what is at the index."""
    return tree_map(tree, lambda tensor: tensor[index])


def generator_batch(critic: Tree, generator: Tree) -> Tree:
    """What the generator's step sees: latents and the noise on its samples of its own, else the critic's batch."""
    batch = {**critic, **{name: value for name, value in generator.items() if name != "instance_noise"}}
    if "instance_noise" in generator:
        batch["instance_noise"] = {**critic["instance_noise"], **generator["instance_noise"]}
    return batch


def seen(p: Problem, state: Tree, batch: Tree, fake: torch.Tensor, scalars: Tree) -> tuple[torch.Tensor, torch.Tensor]:
    """Real and fake samples as the critic gets them: with instance noise, in packs."""
    real = batch["real"]
    if p.instance_noise is not None:
        left = p.instance_noise.factor(state["health"]["now"], p.steps)
        std = (scalars["training"]["instance_noise"] * left).to(real.dtype)
        real, fake = real + std * batch["instance_noise"]["real"], fake + std * batch["instance_noise"]["fake"]
    return p.packed(real), p.packed(fake)


def sharing(critic: Critic, real: torch.Tensor, fake: torch.Tensor) -> Critic:
    """The critic, which scores the real and the fake samples in one pass when it is first asked for either.

    Half as many products of twice the size are faster, and their gradients need not be added. It is for critics that
    score each sample on its own.
    """
    scores: list[torch.Tensor] = []

    def score(x: torch.Tensor) -> torch.Tensor:
        if x is not real and x is not fake:
            return critic(x)
        if not scores:
            scores.extend(critic(torch.cat([real, fake])).tensor_split([len(real)]))
        return scores[0] if x is real else scores[1]

    return score


def averaged(average: Parameters, parameters: Parameters, decay: torch.Tensor) -> Parameters:
    """The moving average after one update: ``decay * average + (1 - decay) * parameters``."""
    return {name: mean + (1 - decay).to(mean.dtype) * (parameters[name] - mean) for name, mean in average.items()}


def cast(scalars: Mapping[str, torch.Tensor], dtype: torch.dtype) -> Parameters:
    """A replica's settings in the type of its samples."""
    return {name: value.to(dtype) for name, value in scalars.items()}


def examine(health: Tree, values: Mapping[int, torch.Tensor | Parameters]) -> Tree:
    """The first site with a value that is not finite, and the step; once noted, they stay."""
    site = health["site"]
    for index, value in values.items():
        tensors = list(value.values()) if isinstance(value, dict) else [value]
        # Zero times a number that is not finite is NaN: fewer passes over memory than torch.isfinite takes.
        zero = torch.stack([(0 * tensor).sum() for tensor in tensors]).sum()
        site = torch.where((site == 0) & (zero != 0), index, site)
    return {"site": site, "step": torch.where(site != health["site"], health["now"] + 1, health["step"])}
