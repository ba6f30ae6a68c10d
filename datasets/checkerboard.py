"""The dark squares of a chess board: a density with edges and corners, and no modes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from datasets.base import require_count, require_positive


@dataclass(frozen=True, kw_only=True)
class Checkerboard:
    """Uniform on every other square of a board of ``squares^2``, centred on the origin: events [2].

    Squares have sides of length ``side``; the one at the lower left is dark. The defaults, 8 dark squares in
    [-4, 4]^2, give the "checkerboard" of the toy data that codes of normalizing flows have in common.

    Departures: no paper is followed.
    """

    squares: int = 4
    side: float = 2.0

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range."""
        require_count("squares", self.squares, 1000)
        require_positive("side", self.side)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Points of the plane."""
        return (2,)

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent samples [n, 2], float32, on the generator's device."""
        device, squares = generator.device, self.squares
        dark = 2 * torch.randint((squares**2 + 1) // 2, (n,), generator=generator, device=device)
        column, row = dark // squares, dark % squares
        if squares % 2 == 0:
            row = row + column % 2
        within = torch.rand(n, 2, generator=generator, device=device, dtype=torch.float32)
        return self.side * (torch.stack([column, row], 1) - squares / 2 + within)
