"""Gaussians at random places in any number of dimensions: no symmetry for a network to use."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch

from datasets.base import MAX_MODES, GaussianMixture, require_count, require_positive

MAX_NUMBERS = 10**6
"""In all means together, which are drawn one by one."""


@dataclass(frozen=True, kw_only=True)
class RandomGaussians(GaussianMixture):
    """``modes`` equal Gaussians whose means are independent and uniform in the cube ``[-box, box]^dim``: events [dim].

    ``layout_seed`` alone fixes the means, with Python's Mersenne Twister, whose numbers are the same in every version:
    it is a setting of the data and has nothing to do with a run's seed. Means are distinct, but nothing keeps two of
    them from lying within a few std of each other where the cube is crowded.

    A real sample lies about sqrt(dim) std from its mean: with more dimensions than a few, the metric's ``radius`` of 3
    std refuses the data, as its floor shows.

    Departures: no paper is followed.
    """

    modes: int = 10
    dim: int = 2
    box: float = 4.0
    std: float = 0.05
    layout_seed: int = 0

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range."""
        require_count("modes", self.modes, MAX_MODES)
        require_count("dim", self.dim, MAX_NUMBERS)
        if self.modes * self.dim > MAX_NUMBERS:
            raise ValueError(f"modes times dim must be at most {MAX_NUMBERS}, not {self.modes} x {self.dim}")
        require_positive("box", self.box)
        require_count("layout_seed", self.layout_seed, 2**32 - 1, least=0)
        super().__post_init__()

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Points of ``dim`` dimensions."""
        return (self.dim,)

    def means(self) -> torch.Tensor:
        """Centres [modes, dim], float64, on the CPU; with more modes the first ones stay where they are."""
        draw = random.Random(self.layout_seed).random
        uniform = [[draw() for _ in range(self.dim)] for _ in range(self.modes)]
        return (2 * torch.tensor(uniform, dtype=torch.float64) - 1) * self.box
