"""Fashion-MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from datasets.mnist import Mnist


@dataclass(frozen=True, kw_only=True)
class FashionMnist(Mnist):
    """Fashion-MNIST's 70,000 articles of clothing: events [1, 28, 28]; needs the extra ``images`` and its four files.

    Xiao et al. 2017 (arXiv:1708.07747). Files and parts are like those of ``mnist``.
    """

    kind: ClassVar[str] = "FashionMNIST"
    home: ClassVar[str] = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    folder: ClassVar[tuple[str, ...]] = ("FashionMNIST", "raw")
