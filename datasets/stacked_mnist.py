"""Stacked MNIST, on which most counts of a thousand modes were published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from datasets.base import LabelledImages
from datasets.images import NeedsFiles, Stacked
from datasets.mnist import Mnist
from datasets.mnist_5k import Mnist5k

Source = Literal["mnist_5k", "mnist"]


@dataclass(frozen=True, kw_only=True)
class StackedMnist(Stacked):
    """Three digits of MNIST as the channels of one image: events [3, 28, 28], 1000 classes.

    ``source: mnist`` is the published one (Metz et al. 2017, arXiv:1611.02163; VEEGAN, arXiv:1705.07761; PacGAN,
    arXiv:1712.04086) less the 10,000 training images that the judge learns from, and needs MNIST's files; ``mnist_5k``
    needs none, and its classes weigh .001 each.

    Stacks are drawn afresh all the time and values are in [-1, 1], as in PacGAN's code for its Table 3; others keep a
    fixed set of stacks, or enlarge them to 32 x 32 or 64 x 64 pixels.
    """

    made_of: ClassVar[tuple[type[LabelledImages], ...]] = (Mnist5k, Mnist)

    source: Source = "mnist_5k"

    def __post_init__(self) -> None:
        """Raise a ValueError for an unknown source."""
        if self.source not in get_args(Source):
            raise ValueError(f"source must be one of {', '.join(get_args(Source))}, not {self.source!r}")

    def labelled(self) -> LabelledImages:
        """The digits."""
        return Mnist() if self.source == "mnist" else Mnist5k()

    def missing(self) -> str | None:
        """What the source lacks, in one line, if anything."""
        single = self.labelled()
        return single.missing() if isinstance(single, NeedsFiles) else None
