"""The data sets, by name: classes whose instances are frozen settings with a sampler."""

from __future__ import annotations

from datasets.base import Dataset
from datasets.checkerboard import Checkerboard
from datasets.dirac import Dirac
from datasets.grid import Grid
from datasets.imbalanced_ring import ImbalancedRing
from datasets.parallel_lines import ParallelLines
from datasets.random_gaussians import RandomGaussians
from datasets.ring import Ring
from datasets.spiral import Spiral
from datasets.swiss_roll import SwissRoll
from datasets.two_gaussians import TwoGaussians
from datasets.two_moons import TwoMoons
from datasets.unrolled_ring import UnrolledRing
from datasets.veegan_1200d import Veegan1200d

DATASETS: dict[str, type[Dataset]] = {
    "checkerboard": Checkerboard,
    "dirac": Dirac,
    "grid": Grid,
    "imbalanced_ring": ImbalancedRing,
    "parallel_lines": ParallelLines,
    "random_gaussians": RandomGaussians,
    "ring": Ring,
    "spiral": Spiral,
    "swiss_roll": SwissRoll,
    "two_gaussians": TwoGaussians,
    "two_moons": TwoMoons,
    "unrolled_ring": UnrolledRing,
    "veegan_1200d": Veegan1200d,
}
"""Every data set that a grid file can name."""
