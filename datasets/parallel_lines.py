"""A segment in the plane: two of them, side by side, are why the Wasserstein distance was proposed."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from datasets.base import require_between


@dataclass(frozen=True, kw_only=True)
class ParallelLines:
    """``(theta, Z)`` with Z uniform on [0, 1]: events [2].

    Example 1 of Arjovsky et al. 2017 (arXiv:1701.07875): between the segment at theta and the one at 0 the Wasserstein
    distance is |theta|, while the Jensen-Shannon divergence is log 2 for every theta but 0.

    Departures: none.
    """

    theta: float = 0.0

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range."""
        require_between("theta", self.theta, -1e12, 1e12)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Points of the plane."""
        return (2,)

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent samples [n, 2], float32, on the generator's device."""
        z = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float32)
        return torch.stack([torch.full_like(z, self.theta), z], 1)
