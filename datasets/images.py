"""Finite sets of images: their parts, the one tensor they are kept in, and sets that stack three of them.

Shape letters: N images of a set, n samples asked for, C, H, W channels, height and width, K classes.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol, TypeAlias, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from datasets.base import LabelledImages, Part

PARTS: tuple[Part, ...] = get_args(Part)
SHARES: Mapping[Part, float] = {"evaluation": 0.3, "judge": 0.3}
"""Of a set without a division of its own: the part ``train`` has the rest, 40 %."""

Indices: TypeAlias = "npt.NDArray[np.int64]"


class Pictures(NamedTuple):
    """Images as a source has them [n, C, H, W], from 0, which is black; their classes [n], integers from 0."""

    pixels: npt.NDArray[np.uint8]
    classes: Indices


@runtime_checkable
class NeedsFiles(Protocol):
    """A data set of which somebody has to bring the files."""

    def missing(self) -> str | None:
        """What is not there and how to get it, in one line; None where nothing is missing. Decodes no image."""
        ...


@dataclass(frozen=True, kw_only=True)
class FiniteImages(ABC):
    """All of a set of single images but its settings and source, which a subclass adds.

    A process keeps the whole set as one float32 tensor a device. A value is ``2 v / levels - 1`` for the source's v
    from 0 to ``levels``, so that -1 is black and 1 is white; nothing else is done to it.
    """

    levels: ClassVar[int] = 255

    @property
    @abstractmethod
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one sample, [C, H, W]."""

    @abstractmethod
    def sizes(self) -> dict[Part, int]:
        """How many images each part has; known before any is read. What the source has twice is counted twice."""

    @abstractmethod
    def read(self) -> Mapping[Part, Pictures]:
        """The source's images; a ValueError, OSError or ImportError with one line of words where that fails."""

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent draws of the part ``train`` [n, C, H, W], float32, on the generator's device."""
        return self.sample_part("train", n, generator)

    def sample_part(self, part: Part, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent draws, each image of the part as likely [n, C, H, W], float32, on the generator's device."""
        images = _held(self, generator.device)[part].images
        return images[torch.randint(len(images), (n,), generator=generator, device=generator.device)]

    def distinct(self, part: Part, n: int, generator: torch.Generator) -> torch.Tensor:
        """The same without replacement; a ValueError where the part has fewer than n."""
        images = _held(self, generator.device)[part].images
        if n > len(images):
            raise ValueError(f"the part {part} has {len(images):,} images, not {n:,}")
        return images[torch.randperm(len(images), generator=generator, device=generator.device)[:n]]


@dataclass(frozen=True, kw_only=True)
class LabelledFiniteImages(FiniteImages):
    """A finite set of images of K classes."""

    def class_weights(self) -> torch.Tensor:
        """Share of each class in the part ``train`` [K], float64, on the CPU."""
        held = _held(self, torch.device("cpu"))
        modes = 1 + max(int(held[part].classes.max()) for part in PARTS)
        counts = torch.bincount(held["train"].classes, minlength=modes).to(torch.float64)
        return counts / counts.sum()

    def labelled(self) -> LabelledImages:
        """The set itself."""
        return self

    def labelled_part(self, part: Part) -> tuple[torch.Tensor, torch.Tensor]:
        """All of a part: images [n, C, H, W] and classes [n], int64, on the CPU; copies, which may be changed."""
        images, classes = _held(self, torch.device("cpu"))[part]
        return images.clone(), classes.clone()


class _Part(NamedTuple):
    images: torch.Tensor
    classes: torch.Tensor


@lru_cache(maxsize=4)
def _held(dataset: FiniteImages, device: torch.device) -> Mapping[Part, _Part]:
    """The set on a device: each part is a piece of the same tensor."""
    if device.type == "cpu":
        images, classes = _read(dataset)
    else:
        parts = _held(dataset, torch.device("cpu")).values()
        images, classes = (torch.cat(tensors).to(device) for tensors in zip(*parts, strict=True))
    sizes = [dataset.sizes()[part] for part in PARTS]
    pieces = zip(torch.split(images, sizes), torch.split(classes, sizes), strict=True)
    return {part: _Part(*piece) for part, piece in zip(PARTS, pieces, strict=True)}


def _read(dataset: FiniteImages) -> tuple[torch.Tensor, torch.Tensor]:
    """All images [N, C, H, W], scaled, and classes [N], the parts one after another."""
    source = dataset.read()
    for part, size in dataset.sizes().items():
        found, due = source[part].pixels.shape, (size, *dataset.event_shape)
        if found != due:
            words = f"the part {part} has images of shape {list(found)}, not {list(due)}"
            raise ValueError(f"{words}: the source is another, or most of its images are equal")
    pixels = np.concatenate([source[part].pixels for part in PARTS])
    classes = np.concatenate([source[part].classes for part in PARTS])
    images = torch.from_numpy(pixels).to(torch.float32).div_(dataset.levels / 2).sub_(1)
    return images, torch.from_numpy(classes.astype(np.int64))


def parted(pictures: Pictures, shares: Mapping[Part, float]) -> dict[Part, Pictures]:
    """The parts named, each with its share of every class to within an image or two; the part ``train`` has the rest.

    Within a class images stand in the order of the SHA-256 of their pixels, which is as good as random and the same on
    every machine and in every order of the source. The first go to the part that is named first. Equal images stand
    side by side, in the class of the first of them, and no border is drawn between them. Over all classes a part has
    its share of the images, rounded to a whole number, unless equal ones stand at the last class's border.
    """
    pixels, classes = pictures
    hashes = (hashlib.sha256(image.tobytes()).digest()[:8] for image in pixels)
    keys = np.array([int.from_bytes(digits, "big") for digits in hashes], np.uint64)
    _, first, same = np.unique(keys, return_index=True, return_inverse=True)
    strata = classes[first[same]]
    order = np.lexsort((keys, strata))
    chosen: dict[Part, list[int]] = {part: [] for part in (*shares, "train")}
    seen = 0
    for own in np.split(order, 1 + np.flatnonzero(np.diff(strata[order]))):
        seen, start = seen + len(own), 0
        for part, share in shares.items():
            end = start + max(0, round(share * seen) - len(chosen[part]))
            while start < end < len(own) and keys[own[end]] == keys[own[end - 1]]:
                end += 1
            chosen[part].extend(own[start:end])
            start = end
        chosen["train"].extend(own[start:])
    return {part: Pictures(pixels[index], classes[index]) for part, index in chosen.items()}


def part_sizes(n: int) -> dict[Part, int]:
    """Of n images that are divided by ``SHARES``."""
    sizes = {part: round(share * n) for part, share in SHARES.items()}
    return {"train": n - sum(sizes.values()), **sizes}


def require_content(what: str, pictures: Pictures, digest: str) -> None:
    """Raise a ValueError unless the pixels and classes, as bytes, have this SHA-256, so that the code tells them."""
    content = pictures.pixels.tobytes() + pictures.classes.astype(np.uint8).tobytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{what} are not those that this data set is made of; install another version")


@dataclass(frozen=True, kw_only=True)
class Stacked(ABC):
    """Three grey images of one set of ten classes as the channels of one: events [3, H, W], a thousand classes.

    Channels are independent draws from the same part; the class is ``100 c_0 + 10 c_1 + c_2`` of theirs, and its weight
    the product of theirs: Metz et al. 2017 (arXiv:1611.02163, section 3.3.1). Every draw is a fresh one of the N^3
    images that N make.
    """

    made_of: ClassVar[tuple[type[LabelledImages], ...]]
    """The sets of which one serves: their code is part of this one's."""

    @abstractmethod
    def labelled(self) -> LabelledImages:
        """The set of which each channel shows an image."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one sample, [3, H, W]."""
        return (3, *self.labelled().event_shape[1:])

    def sizes(self) -> dict[Part, int]:
        """How many images each part has: N^3 for the N that a channel can show."""
        return {part: size**3 for part, size in self.labelled().sizes().items()}

    def class_weights(self) -> torch.Tensor:
        """Share of each class in the part ``train`` [1000], float64, on the CPU."""
        single = self.labelled().class_weights()
        return torch.einsum("i,j,k->ijk", single, single, single).flatten()

    def labelled_part(self, part: Part) -> tuple[torch.Tensor, torch.Tensor]:
        """All that a channel can show: images [n, 1, H, W] and classes [n], int64, on the CPU."""
        return self.labelled().labelled_part(part)

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent draws of the part ``train`` [n, 3, H, W], float32, on the generator's device."""
        return self.sample_part("train", n, generator)

    def sample_part(self, part: Part, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent draws, each of the N^3 images as likely [n, 3, H, W], float32, on the generator's device."""
        return self.labelled().sample_part(part, 3 * n, generator).reshape(n, *self.event_shape)

    def distinct(self, part: Part, n: int, generator: torch.Generator) -> torch.Tensor:
        """The same as ``sample_part``: independent triples; a ValueError where n is more than there are.

        Of a single set, draws with replacement would repeat a good part of its few hundred images. Here n triples of
        N^3 repeat one with a chance of at most ``n^2 / (2 N^3)``, and independent draws are what the law of the set is.
        """
        size = self.sizes()[part]
        if n > size:
            raise ValueError(f"the part {part} has {size:,} images, not {n:,}")
        return self.sample_part(part, n, generator)


# --- files that somebody has to bring


def data_folder() -> Path:
    """Where they lie: ``$GAN_BENCH_DATA``, or ``gan-objectives-bench/data`` in the user's cache.

    It is no setting: settings are part of a cell's id and of its record, which are to tell what the images are, and not
    where on a machine.
    """
    own = os.environ.get("GAN_BENCH_DATA")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(cache) / "gan-objectives-bench" / "data"


def shown_folder(*names: str) -> str:
    """A folder below it, in words that a record may have."""
    cache = "$XDG_CACHE_HOME" if os.environ.get("XDG_CACHE_HOME") else "~/.cache"
    base = "$GAN_BENCH_DATA" if os.environ.get("GAN_BENCH_DATA") else f"{cache}/gan-objectives-bench/data"
    return "/".join([base, *names])
