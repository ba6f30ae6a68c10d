"""Two parallel segments of the plane: the pair for which the Wasserstein distance was proposed."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from datasets.parallel_lines import ParallelLines


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Real ``(0, Z)``, fake ``(theta, Z)``, Z uniform on [0, 1]: events [2] (Arjovsky et al. 2017, example 1)."""

    theta: float = 1.0

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range."""
        ParallelLines(theta=self.theta)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Points of the plane."""
        return (2,)

    def real(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Points of the segment at 0, [n, 2], float32."""
        return ParallelLines().sample(n, generator)

    def fake(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Points of the segment at theta, [n, 2], float32."""
        return ParallelLines(theta=self.theta).sample(n, generator)

    def log_ratio(self, x: torch.Tensor) -> None:
        """There is none: neither law has a density, nor do they share a null set."""

    def wasserstein(self) -> float:
        """``|theta|``."""
        return abs(self.theta)
