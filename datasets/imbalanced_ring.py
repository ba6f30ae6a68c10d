"""Gaussians on a ring, some with more mass than others: rare modes are the first to be lost."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from datasets.base import require_between
from datasets.ring import Ring


@dataclass(frozen=True, kw_only=True)
class ImbalancedRing(Ring):
    """The ring with ``weight_k`` proportional to ``ratio^(-k / (modes - 1))``: events [2].

    The mode at angle 0 is the heaviest, ``ratio`` times the lightest, which is its neighbour at the other end; between
    them weights fall by one factor from mode to mode.

    Departures: no paper is followed. Codes with unequal modes each have weights of their own; a geometric fall has one
    number to set, and a ratio of 1 is the plain ring.
    """

    ratio: float = 10.0

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range."""
        require_between("ratio", self.ratio, 1, 1e6)
        super().__post_init__()

    def weights(self) -> torch.Tensor:
        """Share of mass of each mode [modes], float64, on the CPU, the heaviest first."""
        falls = torch.arange(self.modes, dtype=torch.float64) / max(1, self.modes - 1)
        return torch.softmax(-falls * torch.tensor(self.ratio, dtype=torch.float64).log(), 0)
