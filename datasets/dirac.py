"""One point: the data of the Dirac-GAN, on which training can be followed with pencil and paper."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from datasets.base import require_between


@dataclass(frozen=True, kw_only=True)
class Dirac:
    """All mass at one number, ``at``: events [1].

    The data of the Dirac-GAN of Mescheder et al. 2018 (arXiv:1801.04406), at 0.

    Departures: none.
    """

    at: float = 0.0

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range."""
        require_between("at", self.at, -1e12, 1e12)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """A line."""
        return (1,)

    def point(self) -> torch.Tensor:
        """The point [1], float64, on the CPU."""
        return torch.tensor([self.at], dtype=torch.float64)

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """The point n times [n, 1], float32, on the generator's device; nothing is drawn."""
        return self.point().to(generator.device, torch.float32).repeat(n, 1)
