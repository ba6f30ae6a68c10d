"""The data sets, by name: classes whose instances are frozen settings with a sampler."""

from __future__ import annotations

from datasets.base import Dataset
from datasets.checkerboard import Checkerboard
from datasets.cifar10 import Cifar10
from datasets.digits import Digits
from datasets.dirac import Dirac
from datasets.fashion_mnist import FashionMnist
from datasets.grid import Grid
from datasets.image_folder import ImageFolder
from datasets.imbalanced_ring import ImbalancedRing
from datasets.labelled_image_folder import LabelledImageFolder
from datasets.mnist import Mnist
from datasets.mnist_5k import Mnist5k
from datasets.parallel_lines import ParallelLines
from datasets.polygons import Polygons
from datasets.random_gaussians import RandomGaussians
from datasets.ring import Ring
from datasets.spiral import Spiral
from datasets.stacked_digits import StackedDigits
from datasets.stacked_mnist import StackedMnist
from datasets.swiss_roll import SwissRoll
from datasets.two_gaussians import TwoGaussians
from datasets.two_moons import TwoMoons
from datasets.unrolled_ring import UnrolledRing
from datasets.veegan_1200d import Veegan1200d

DATASETS: dict[str, type[Dataset]] = {
    "checkerboard": Checkerboard,
    "cifar10": Cifar10,
    "digits": Digits,
    "dirac": Dirac,
    "fashion_mnist": FashionMnist,
    "grid": Grid,
    "image_folder": ImageFolder,
    "imbalanced_ring": ImbalancedRing,
    "labelled_image_folder": LabelledImageFolder,
    "mnist": Mnist,
    "mnist_5k": Mnist5k,
    "parallel_lines": ParallelLines,
    "polygons": Polygons,
    "random_gaussians": RandomGaussians,
    "ring": Ring,
    "spiral": Spiral,
    "stacked_digits": StackedDigits,
    "stacked_mnist": StackedMnist,
    "swiss_roll": SwissRoll,
    "two_gaussians": TwoGaussians,
    "two_moons": TwoMoons,
    "unrolled_ring": UnrolledRing,
    "veegan_1200d": Veegan1200d,
}
"""Every data set that a grid file can name."""
