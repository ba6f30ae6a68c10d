"""Gaussians on a square grid: the mixture of 25 modes of the mode-coverage tables."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from datasets.base import MAX_MODES, GaussianMixture, require_count, require_positive


@dataclass(frozen=True, kw_only=True)
class Grid(GaussianMixture):
    """``side^2`` equal Gaussians in the plane, neighbours ``spacing`` apart, centred on the origin: events [2].

    The defaults, means in {-4, -2, 0, 2, 4}^2 of std 0.05, are those of VEEGAN (Srivastava et al. 2017), of PacGAN (Lin
    et al. 2018) and of the code of WGAN-GP (Gulrajani et al. 2017, which then divides samples by 2.828; nothing is
    rescaled here).

    Departures: none.
    """

    side: int = 5
    spacing: float = 2.0
    std: float = 0.05

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range; a positive spacing keeps the means distinct."""
        require_count("side", self.side, math.isqrt(MAX_MODES))
        require_positive("spacing", self.spacing)
        super().__post_init__()

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Points of the plane."""
        return (2,)

    def means(self) -> torch.Tensor:
        """Centres [side^2, 2], float64, on the CPU, in rows: the second coordinate runs faster."""
        ticks = (torch.arange(self.side, dtype=torch.float64) - (self.side - 1) / 2) * self.spacing
        return torch.cartesian_prod(ticks, ticks)
