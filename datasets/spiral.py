"""Two arms wound around each other: a density whose parts are close together and far apart along the curve."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from datasets.base import require_between, require_positive


@dataclass(frozen=True, kw_only=True)
class Spiral:
    """``±(-t cos t + jitter u, t sin t + jitter v) / divisor + noise n``: events [2].

    The sign is even, ``t = 2 pi turns sqrt(w)``, u, v and w are uniform on [0, 1], n is normal. The defaults give the
    "2spirals" of the toy code of FFJORD (Grathwohl et al. 2019, arXiv:1810.01367; lib/toy_data.py), which many have.

    Departures: the sign is drawn for each sample; the code gives each arm half of a batch.
    """

    turns: float = 1.5
    jitter: float = 0.5
    divisor: float = 3.0
    noise: float = 0.1

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range."""
        require_positive("turns", self.turns)
        require_between("jitter", self.jitter, 0, 1e12)
        require_positive("divisor", self.divisor)
        require_between("noise", self.noise, 0, 1e12)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Points of the plane."""
        return (2,)

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent samples [n, 2], float32, on the generator's device."""
        device = generator.device
        uniform = torch.rand(n, 4, generator=generator, device=device, dtype=torch.float32)
        noise = torch.randn(n, 2, generator=generator, device=device, dtype=torch.float32)
        t = 2 * math.pi * self.turns * uniform[:, :1].sqrt()
        sign = 1 - 2 * (uniform[:, 1:2] < 0.5).to(torch.float32)
        arm = torch.cat([-t * t.cos(), t * t.sin()], 1) + self.jitter * uniform[:, 2:]
        return sign * arm / self.divisor + self.noise * noise
