"""Handwritten digits of 8 x 8 pixels: the smallest real images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from datasets.base import Part
from datasets.images import SHARES, LabelledFiniteImages, Pictures, part_sizes, parted, require_content

IMAGES = 1797
CONTENT = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


@dataclass(frozen=True, kw_only=True)
class Digits(LabelledFiniteImages):
    """scikit-learn's digits, ten classes of 174 to 183: events [1, 8, 8], the counts 0 ... 16 as ``count / 8 - 1``.

    The test part of Alpaydin & Kaynak 1998 (UCI Machine Learning Repository, Optical Recognition of Handwritten
    Digits), where a pixel counts the inked ones of 4 x 4. No two images are equal. Parts: 719 to train with, 539 to
    compare with, 539 for a judge.
    """

    levels: ClassVar[int] = 16

    @property
    def event_shape(self) -> tuple[int, ...]:
        """One channel of 8 x 8."""
        return (1, 8, 8)

    def sizes(self) -> dict[Part, int]:
        """How many images each part has."""
        return part_sizes(IMAGES)

    def read(self) -> Mapping[Part, Pictures]:
        """From scikit-learn."""
        from sklearn.datasets import load_digits

        found = load_digits()
        pictures = Pictures(found.images.astype(np.uint8)[:, None], found.target.astype(np.int64))
        require_content("scikit-learn's digits", pictures, CONTENT)
        return parted(pictures, SHARES)
