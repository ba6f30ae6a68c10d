"""What a pair of laws is: a real one and a fake one, both fixed, that a critic can be trained between.

Shape letters: n samples asked for, *E event (the shape of one sample).
"""

from __future__ import annotations

from typing import Protocol

import torch


class Pair(Protocol):
    """Two laws that can be sampled, and what is known of them: a frozen dataclass of its settings."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one sample of either."""
        ...

    def real(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent real samples [n, *E], float32, on the generator's device."""
        ...

    def fake(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent fake samples [n, *E], float32, on the generator's device."""
        ...

    def log_ratio(self, x: torch.Tensor) -> torch.Tensor | None:
        """``log p_real(x) - log p_fake(x)``, the score of the optimal discriminator: x [n, *E] -> [n], float64.

        None where it is not known.
        """
        ...

    def wasserstein(self) -> float | None:
        """W1 of the two laws, in units of the data; None where it is not known."""
        ...
