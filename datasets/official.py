"""Sets of images with an official test part, read by torchvision from files that somebody has to bring."""

from __future__ import annotations

import importlib.util
import os
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np

from datasets.base import Part
from datasets.images import LabelledFiniteImages, Pictures, data_folder, parted, shown_folder

DOWNLOAD = "GAN_BENCH_DOWNLOAD"
"""Set to 1, this environment variable lets torchvision download what is missing. Like the data folder it is no setting:
it does not change what the images are, which is known by the files' checksums."""


@dataclass(frozen=True, kw_only=True)
class Official(LabelledFiniteImages):
    """A set of torchvision's: ten classes, of which the official test images are the part ``evaluation``.

    The judge has 10,000 of the official training images, the part ``train`` the rest. The official files are used
    whole: should a test image equal a training image, both stay.

    No file is opened before its MD5 is torchvision's for it, which tells damage, and a file that somebody else made.
    """

    kind: ClassVar[str]
    """The class of torchvision.datasets."""
    home: ClassVar[str]
    """Where the files can be got."""
    folder: ClassVar[tuple[str, ...]]
    """Where torchvision looks for them, below its root."""
    files: ClassVar[tuple[str, ...]]
    training: ClassVar[int]
    test: ClassVar[int] = 10_000
    judge: ClassVar[int] = 10_000
    """Official training images that the judge has."""

    @abstractmethod
    def _checksums(self, kind: Any) -> Mapping[str, str]:
        """The MD5 of each file, as torchvision knows it."""

    @abstractmethod
    def _open(self, kind: Any, root: Path) -> tuple[Pictures, Pictures]:
        """The official training and test images, from files that have been checked."""

    def sizes(self) -> dict[Part, int]:
        """How many images each part has."""
        return {"train": self.training - self.judge, "evaluation": self.test, "judge": self.judge}

    def missing(self) -> str | None:
        """Which files are not there, or that torchvision is not, in one line; None where it can go on."""
        if importlib.util.find_spec("torchvision") is None:
            return f"{self.kind} needs torchvision: pip install -e '.[images]'"
        absent = self._absent()
        if not absent or os.environ.get(DOWNLOAD) == "1":
            return None
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        place = shown_folder(*self.folder)
        return f"{self.kind}: {place} lacks {absent[0]}{more}; set {DOWNLOAD}=1, or put there what {self.home} has"

    def read(self) -> Mapping[Part, Pictures]:
        """From the files, which are downloaded first if that is asked for."""
        words = self.missing()
        if words is not None:
            raise FileNotFoundError(words)
        from torchvision import datasets
        from torchvision.datasets.utils import check_integrity

        kind, root = getattr(datasets, self.kind), data_folder()
        if self._absent():
            self._download(kind, root)
        for name, checksum in self._checksums(kind).items():
            if not check_integrity(root.joinpath(*self.folder, name), checksum):
                place = shown_folder(*self.folder, name)
                words = "is damaged, or not the official file"
                raise ValueError(f"{self.kind}: {place} {words}: its MD5 is not {checksum}")
        training, test = self._open(kind, root)
        return {**parted(training, {"judge": self.judge / self.training}), "evaluation": test}

    def _absent(self) -> list[str]:
        place = data_folder().joinpath(*self.folder)
        return [name for name in self.files if not (place / name).is_file()]

    def _download(self, kind: Any, root: Path) -> None:
        """Beside the place first, since several processes may do so at once, and any may be killed."""
        root.mkdir(parents=True, exist_ok=True)
        place = root.joinpath(*self.folder)
        with TemporaryDirectory(dir=root) as fresh:
            try:
                kind(fresh, download=True)
            except (RuntimeError, OSError) as error:
                target = shown_folder(*self.folder)
                words = f"{self.kind} could not be downloaded; put what {self.home} has into {target}"
                raise FileNotFoundError(f"{words} ({' '.join(str(error).split())})") from error
            place.mkdir(parents=True, exist_ok=True)
            for name in self.files:
                Path(fresh, *self.folder, name).replace(place / name)


def pictures(pixels: Any, classes: Any) -> Pictures:
    """What torchvision holds, [n, H, W] or [n, H, W, C], as images [n, C, H, W]."""
    values = np.asarray(pixels, np.uint8)
    values = values[:, None] if values.ndim == 3 else values.transpose(0, 3, 1, 2)
    return Pictures(values, np.asarray(classes, np.int64))
