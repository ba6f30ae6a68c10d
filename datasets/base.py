"""What a data set is: a frozen dataclass of its settings with a pure sampler.

Shape letters: n samples asked for, *E event (the shape of one sample), K modes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol, runtime_checkable

import torch


@runtime_checkable
class Dataset(Protocol):
    """Anything that can be sampled."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        ...

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent samples [n, *E] on the generator's device; no other randomness, no hidden scaling."""
        ...


@runtime_checkable
class Mixture(Dataset, Protocol):
    """A mixture of K Gaussians, so that every mode is known; they are isotropic unless it is a ``FlatMixture``."""

    @property
    def std(self) -> float:
        """Standard deviation of each mode along each axis, or each that it spreads over."""
        ...

    def means(self) -> torch.Tensor:
        """Centres of the modes [K, *E], float64, on the CPU."""
        ...

    def weights(self) -> torch.Tensor:
        """Share of mass of each mode [K], float64, on the CPU; they sum to 1."""
        ...

    def sample_modes(self, modes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """One sample from each named mode: modes [n], integers -> [n, *E]."""
        ...

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """Log density at x [n, *E] -> [n]."""
        ...


@runtime_checkable
class FlatMixture(Mixture, Protocol):
    """A mixture whose modes spread over some axes only and are exactly at their means along the others.

    Modes differ along the others, so that each lies in a plane of its own. ``log_prob`` is the density within the
    planes; off them it is minus infinity.
    """

    @property
    def axes(self) -> int:
        """How many numbers of the flattened event a mode spreads over: the first ones."""
        ...


@runtime_checkable
class PointMass(Dataset, Protocol):
    """A data set that is one point, so that no sample can differ from another."""

    def point(self) -> torch.Tensor:
        """The point [*E], float64, on the CPU."""
        ...


Part = Literal["train", "evaluation", "judge"]
"""The parts of a set of images, which share none: generators learn from the first and are compared with the second; a
classifier that judges them learns from the third."""


@runtime_checkable
class Images(Dataset, Protocol):
    """Images [C, H, W] with values in [-1, 1], -1 black; ``sample`` draws from the part ``train``."""

    def sample_part(self, part: Part, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent draws of a part, with replacement [n, C, H, W], float32, on the generator's device."""
        ...

    def distinct(self, part: Part, n: int, generator: torch.Generator) -> torch.Tensor:
        """The same without replacement, so that no image comes twice; a ValueError where the part has fewer."""
        ...

    def sizes(self) -> dict[Part, int]:
        """How many different images each part has."""
        ...


@runtime_checkable
class LabelledImages(Images, Protocol):
    """Images of K classes, of which a judge learns to tell the class."""

    def class_weights(self) -> torch.Tensor:
        """Share of each class in the part ``train`` [K], float64, on the CPU; they sum to 1."""
        ...

    def labelled(self) -> LabelledImages:
        """The set whose classes a judge is to learn: the set itself, or what each of its channels shows one of."""
        ...

    def labelled_part(self, part: Part) -> tuple[torch.Tensor, torch.Tensor]:
        """All of a part of ``labelled()``: images [n, C, H, W] and classes [n], integers from 0, on the CPU."""
        ...


@runtime_checkable
class OnManifold(Images, Protocol):
    """Images that all lie on a known set, so that it can be told how far off any other image is."""

    def distances(self, images: torch.Tensor) -> torch.Tensor:
        """How far each image [n, C, H, W] is from the set, in pixels' Euclidean distance [n]; a close upper bound."""
        ...


@dataclass(frozen=True, kw_only=True)
class GaussianMixture(ABC):
    """All of a mixture but its settings and means, which a subclass adds; weights are equal unless it says else.

    Checking the settings needs no tensor, so that a wrong one is refused before torch is loaded.
    """

    std: float

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range; a subclass checks its own and calls this one."""
        require_positive("std", self.std)

    @property
    @abstractmethod
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""

    @abstractmethod
    def means(self) -> torch.Tensor:
        """Centres of the modes [K, *E], float64, on the CPU."""

    def weights(self) -> torch.Tensor:
        """Share of mass of each mode [K], float64, on the CPU: 1 / K each."""
        modes = len(self.means())
        return torch.full((modes,), 1 / modes, dtype=torch.float64)

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent samples [n, *E], float32, on the generator's device: a mode by weight, then normal noise."""
        _, bounds = _tables(self, generator.device)
        uniform = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float32)
        return self.sample_modes(torch.bucketize(uniform, bounds, right=True), generator)

    def sample_modes(self, modes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """One sample from each named mode: modes [n], integers -> [n, *E], float32, on the generator's device."""
        means, _ = _tables(self, generator.device)
        noise = torch.randn(
            len(modes), *self.event_shape, generator=generator, device=generator.device, dtype=torch.float32
        )
        return means[modes.to(generator.device)] + self.std * noise

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """``log sum_k weight_k N(x; mean_k, std^2)`` in nats: x [n, *E] -> [n], float64, on the device of x."""
        offsets = x.to(torch.float64).unsqueeze(1) - self.means().to(x.device)
        axes = math.prod(self.event_shape)
        squares = offsets.flatten(2).square().sum(2) / self.std**2
        normal = -(squares + axes * math.log(2 * math.pi * self.std**2)) / 2
        return torch.logsumexp(self.weights().to(x.device).log() + normal, 1)


@lru_cache(maxsize=64)
def _tables(mixture: GaussianMixture, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """What sampling looks up, in float32: the means, and the mass up to and with each mode but the last."""
    shares = mixture.weights().cumsum(0)[:-1]
    return mixture.means().to(device, torch.float32), shares.to(device, torch.float32)


MAX_MODES = 10_000
"""Every observation compares each sample with each mode, so that more would not fit in memory."""


def require_positive(name: str, value: float) -> None:
    """Raise a ValueError in plain words unless the value is a positive number that float32 arithmetic can carry."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1e-12 <= value <= 1e12:
        raise ValueError(f"{name} must be a number between 1e-12 and 1e12, not {value!r}")


def require_between(name: str, value: float, least: float, most: float) -> None:
    """Raise a ValueError in plain words unless the value is a number from ``least`` to ``most``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{name} must be a number between {least:g} and {most:g}, not {value!r}")


def require_count(name: str, value: int, most: int, least: int = 1) -> None:
    """Raise a ValueError in plain words unless the value is a whole number from ``least`` to ``most``."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number between {least} and {most}, not {value!r}")
