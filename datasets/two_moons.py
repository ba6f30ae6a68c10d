"""Two half circles that interlock: two modes that are curves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from datasets.base import require_between


@dataclass(frozen=True, kw_only=True)
class TwoMoons:
    """``(cos a, sin a)`` or ``(1 - cos a, 1/2 - sin a)``, evenly, plus ``noise n``; a uniform on [0, pi]: events [2].

    The law of scikit-learn's ``make_moons``; n is normal.

    Departures: angles and moons are drawn for each sample; scikit-learn spaces the angles evenly and halves the number.
    """

    noise: float = 0.1

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range."""
        require_between("noise", self.noise, 0, 1e12)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Points of the plane."""
        return (2,)

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent samples [n, 2], float32, on the generator's device."""
        device = generator.device
        angle, moon = torch.rand(2, n, generator=generator, device=device, dtype=torch.float32)
        noise = torch.randn(n, 2, generator=generator, device=device, dtype=torch.float32)
        outer = torch.stack([(math.pi * angle).cos(), (math.pi * angle).sin()], 1)
        inner = outer.new_tensor([1.0, 0.5]) - outer
        return torch.where((moon < 0.5)[:, None], outer, inner) + self.noise * noise
