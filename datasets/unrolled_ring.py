"""The ring of the unrolled-GAN notebook, where eight modes are seven."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from datasets.base import MAX_MODES, GaussianMixture, require_count, require_positive


@dataclass(frozen=True, kw_only=True)
class UnrolledRing(GaussianMixture):
    """``angles - 1`` Gaussians in the plane, ``mean_k = radius (sin a_k, cos a_k)``, one of double weight: events [2].

    The demo notebook of Metz et al. 2017 (arXiv:1611.02163; code poolio/unrolled_gan) means to draw from 8 modes of std
    0.01 on radius 1, at the angles ``a = linspace(0, 2 pi, 8)``. Both ends are included and are the same point, so that
    7 modes remain: the one at the top, (0, radius), has a share of 2/8, the others 1/8 each. Many codes have copied it.
    ``angles`` is the 8 of the notebook.

    Departures: the two coinciding modes are one mode here, so that the modes in the data are counted right.
    """

    angles: int = 8
    radius: float = 1.0
    std: float = 0.01

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range; a positive radius keeps the means distinct."""
        require_count("angles", self.angles, MAX_MODES, least=2)
        require_positive("radius", self.radius)
        super().__post_init__()

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Points of the plane."""
        return (2,)

    def means(self) -> torch.Tensor:
        """Centres [angles - 1, 2], float64, on the CPU, clockwise from the top, which has double weight."""
        angles = torch.arange(self.angles - 1, dtype=torch.float64) * (2 * math.pi / (self.angles - 1))
        return self.radius * torch.stack([angles.sin(), angles.cos()], 1)

    def weights(self) -> torch.Tensor:
        """Share of mass of each mode [angles - 1], float64, on the CPU."""
        counts = torch.ones(self.angles - 1, dtype=torch.float64)
        counts[0] = 2
        return counts / self.angles
