"""CIFAR-10."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datasets.images import Pictures
from datasets.official import Official, pictures


@dataclass(frozen=True, kw_only=True)
class Cifar10(Official):
    """CIFAR-10's 60,000 coloured photographs: events [3, 32, 32]; needs the extra ``images`` and CIFAR-10's files.

    Krizhevsky 2009 (Learning multiple layers of features from tiny images). Parts: 40,000 to train with, the 10,000
    official test images to compare with, 10,000 for a judge.

    The files are pickles, which can run any code when they are opened: none is, unless the MD5 of all is that of the
    official files.
    """

    kind: ClassVar[str] = "CIFAR10"
    home: ClassVar[str] = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    folder: ClassVar[tuple[str, ...]] = ("cifar-10-batches-py",)
    files: ClassVar[tuple[str, ...]] = (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch", "batches.meta")
    training: ClassVar[int] = 50_000

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Three channels of 32 x 32."""
        return (3, 32, 32)

    def _checksums(self, kind: Any) -> Mapping[str, str]:
        return {**dict(kind.train_list), **dict(kind.test_list), kind.meta["filename"]: kind.meta["md5"]}

    def _open(self, kind: Any, root: Path) -> tuple[Pictures, Pictures]:
        training, test = kind(root, train=True), kind(root, train=False)
        return pictures(training.data, training.targets), pictures(test.data, test.targets)
