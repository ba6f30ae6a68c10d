"""Two Gaussians in the plane: the smallest mixture of which a mode can be lost."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from datasets.base import GaussianMixture, require_positive


@dataclass(frozen=True, kw_only=True)
class TwoGaussians(GaussianMixture):
    """Equal Gaussians at ``(-distance / 2, 0)`` and ``(distance / 2, 0)``: events [2].

    How far modes may lie apart before a generator keeps only one is a matter of ``distance / std``.

    Departures: no paper is followed; Arjovsky et al. 2017 (arXiv:1701.07875, figure 2) compare two Gaussians, one real
    and one generated, without saying where they lie.
    """

    distance: float = 2.0
    std: float = 0.1

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range; a positive distance keeps the means distinct."""
        require_positive("distance", self.distance)
        super().__post_init__()

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Points of the plane."""
        return (2,)

    def means(self) -> torch.Tensor:
        """Centres [2, 2], float64, on the CPU, the left one first."""
        return torch.tensor([[-self.distance / 2, 0.0], [self.distance / 2, 0.0]], dtype=torch.float64)
