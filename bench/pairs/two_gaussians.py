"""Two equal Gaussians of the plane, one real and one fake, as in WGAN's comparison of discriminator and critic."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from datasets.two_gaussians import TwoGaussians as Mixture


@dataclass(frozen=True, kw_only=True)
class TwoGaussians:
    """Fake at ``(-distance / 2, 0)``, real at ``(distance / 2, 0)``, both with ``std`` along both axes: events [2].

    After Arjovsky et al. 2017 (arXiv:1701.07875, figure 2), which does not say where its Gaussians lie.
    """

    distance: float = 2.0
    std: float = 0.1

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range."""
        Mixture(distance=self.distance, std=self.std)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Points of the plane."""
        return (2,)

    def real(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """The right one's samples [n, 2], float32."""
        return self._mode(1, n, generator)

    def fake(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """The left one's samples [n, 2], float32."""
        return self._mode(0, n, generator)

    def _mode(self, mode: int, n: int, generator: torch.Generator) -> torch.Tensor:
        modes = torch.full((n,), mode, device=generator.device)
        return Mixture(distance=self.distance, std=self.std).sample_modes(modes, generator)

    def log_ratio(self, x: torch.Tensor) -> torch.Tensor:
        """``distance x_1 / std^2``: x [n, 2] -> [n], float64."""
        return x[:, 0].to(torch.float64) * self.distance / self.std**2

    def wasserstein(self) -> float:
        """The distance itself: one is the other, moved."""
        return self.distance
