"""MNIST, whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from datasets.images import Pictures
from datasets.official import Official, pictures


@dataclass(frozen=True, kw_only=True)
class Mnist(Official):
    """MNIST's 70,000 handwritten digits: events [1, 28, 28]; needs the extra ``images`` and MNIST's four files.

    LeCun et al. 1998 (Proceedings of the IEEE 86). Parts: 50,000 to train with, the 10,000 official test images to
    compare with, 10,000 for a judge. The packed files are what is kept and checked: torchvision, which would trust
    unpacked ones without a checksum, reads copies that are unpacked each time.
    """

    kind: ClassVar[str] = "MNIST"
    home: ClassVar[str] = "https://ossci-datasets.s3.amazonaws.com/mnist/"
    folder: ClassVar[tuple[str, ...]] = ("MNIST", "raw")
    files: ClassVar[tuple[str, ...]] = (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    )
    training: ClassVar[int] = 60_000

    @property
    def event_shape(self) -> tuple[int, ...]:
        """One channel of 28 x 28."""
        return (1, 28, 28)

    def _checksums(self, kind: Any) -> Mapping[str, str]:
        return dict(kind.resources)

    def _open(self, kind: Any, root: Path) -> tuple[Pictures, Pictures]:
        from torchvision.datasets.utils import extract_archive

        with TemporaryDirectory() as unpacked:
            place = Path(unpacked, *self.folder)
            place.mkdir(parents=True)
            for name in self.files:
                extract_archive(root.joinpath(*self.folder, name), place)
            training, test = kind(unpacked, train=True), kind(unpacked, train=False)
        return pictures(training.data, training.targets), pictures(test.data, test.targets)
