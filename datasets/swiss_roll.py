"""A rolled-up strip seen from its end: one long curve that comes close to itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from datasets.base import require_between, require_positive


@dataclass(frozen=True, kw_only=True)
class SwissRoll:
    """``(t cos t, t sin t) + noise n``, over ``divisor``; t uniform on [1.5 pi, 4.5 pi], n normal: events [2].

    The first and the last coordinate of scikit-learn's ``make_swiss_roll``. The defaults are those of the toy code of
    WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028; gan_toy.py), where the divisor stands for a standard deviation.

    Departures: none.
    """

    noise: float = 0.25
    divisor: float = 7.5

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range."""
        require_between("noise", self.noise, 0, 1e12)
        require_positive("divisor", self.divisor)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Points of the plane."""
        return (2,)

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent samples [n, 2], float32, on the generator's device."""
        device = generator.device
        t = 1.5 * math.pi * (1 + 2 * torch.rand(n, 1, generator=generator, device=device, dtype=torch.float32))
        noise = torch.randn(n, 2, generator=generator, device=device, dtype=torch.float32)
        return (torch.cat([t * t.cos(), t * t.sin()], 1) + self.noise * noise) / self.divisor
