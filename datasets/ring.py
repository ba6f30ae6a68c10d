"""Gaussians on a ring: the first mixture on which GANs were seen to lose modes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from datasets.base import MAX_MODES, GaussianMixture, require_count, require_positive


@dataclass(frozen=True, kw_only=True)
class Ring(GaussianMixture):
    """Equal Gaussians in the plane, ``mean_k = radius (cos(2 pi k / modes), sin(2 pi k / modes))``: events [2].

    The defaults, 8 modes of std 0.02 on radius 2, are the ones most codes use: that of Nagarajan & Kolter 2017
    (arXiv:1706.04156), after the paper of Metz et al. 2017 (arXiv:1611.02163), and that of WGAN-GP (Gulrajani et al.
    2017, which then divides samples by 1.414; nothing is rescaled here). VEEGAN (Srivastava et al. 2017) and PacGAN
    (Lin et al. 2018), whose tables are quoted most, halve both: radius 1, std 0.01, the same mixture on another scale.

    Departures: the notebook of Metz et al. spaces angles by ``linspace(0, 2 pi, 8)`` with both ends included, which
    gives 7 modes, one of double weight. Here the modes are distinct, the first at angle 0.
    """

    modes: int = 8
    radius: float = 2.0
    std: float = 0.02

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range; a positive radius keeps the means distinct."""
        require_count("modes", self.modes, MAX_MODES)
        require_positive("radius", self.radius)
        super().__post_init__()

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Points of the plane."""
        return (2,)

    def means(self) -> torch.Tensor:
        """Centres [modes, 2], float64, on the CPU, counter-clockwise from angle 0."""
        angles = torch.arange(self.modes, dtype=torch.float64) * (2 * math.pi / self.modes)
        return self.radius * torch.stack([angles.cos(), angles.sin()], 1)
