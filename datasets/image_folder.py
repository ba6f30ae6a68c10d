"""A person's own images, from a folder."""

from __future__ import annotations

import hashlib
import io
import re
import stat
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from datasets.base import Part, require_count
from datasets.images import SHARES, FiniteImages, Pictures, data_folder, part_sizes, parted, shown_folder

FORMATS = ("PNG", "JPEG", "WEBP")
"""That are decoded; whatever a file calls itself, nothing else is tried."""
MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
"""Of pixels, at most 8 bits a channel; those of 16 would be cut to white."""
MOST_BYTES = 2**25
"""Of a file."""
MOST_PIXELS = 2**26
"""Of an image before it is resized: 200 MB decoded, which a file of a few kB can claim. Pillow warns from 2^26.4 on."""
MOST_IMAGES = 200_000
MOST_NUMBERS = 2**29
"""Of all images after they are resized: 2 GiB in float32."""
FEWEST = 10
"""Images in all, and of each class, so that each part has some."""


@dataclass(frozen=True, kw_only=True)
class ImageFolder(FiniteImages):
    """PNG, JPEG and WebP images in a folder and its sub-folders, without classes: events [channels, size, size].

    ``folder`` is a folder, or a link to one, in the data folder (``$GAN_BENCH_DATA``, else gan-objectives-bench/data in
    the user's cache), so that no record tells where on a machine the images lie. What they are is told by ``digest``, a
    hash of all files' bytes; without it, or with another's, nothing runs, and the error says what to write.

    An image is turned as its EXIF data say, laid over black where it is transparent, made grey (``channels: 1``) or
    RGB, cut to the square in its middle and resized by Pillow's bicubic filter. Hidden files and folders are left out,
    and folders of sub-folders; anything else that is no image is an error. Parts: 40 % to train with, 30 % to compare
    with, 30 % for a judge; equal images are in one part.
    """

    folder: str = "images"
    size: int = 32
    channels: Literal[1, 3] = 3
    digest: str = ""

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range; the folder is not looked at."""
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", self.folder):
            words = "folder must be the name of one in the data folder, of letters, digits, _, . and -"
            raise ValueError(f"{words}, not {self.folder!r}")
        require_count("size", self.size, 64, least=8)
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, not {self.channels!r}")
        if not re.fullmatch(r"([0-9a-f]{16})?", self.digest):
            raise ValueError(f"digest must be 16 hexadecimal digits in quotes, not {self.digest!r}")

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Grey or coloured squares."""
        return (self.channels, self.size, self.size)

    def sizes(self) -> dict[Part, int]:
        """How many images each part has, by the files that there are; an OSError or ValueError if they do not fit."""
        return part_sizes(len(self._files()))

    def missing(self) -> str | None:
        """In one line, that the folder is not there or not fit, or what ``digest`` it has if that is not the one."""
        try:
            found = self._digest()
        except (OSError, ValueError) as error:
            return str(error)
        if found == self.digest:
            return None
        if self.digest:
            return f"{shown_folder(self.folder)} has other images, with digest: '{found}', not '{self.digest}'"
        return f"{shown_folder(self.folder)}: beside folder, write digest: '{found}', so that records tell its images"

    def read(self) -> Mapping[Part, Pictures]:
        """From the folder, every file decoded and resized."""
        words = self.missing()
        if words is not None:
            raise ValueError(words)
        files = self._files()
        pixels = np.stack([_decode(file, self.size, self.channels) for file in files])
        _, classes = np.unique([self._class(file) for file in files], return_inverse=True)
        return parted(Pictures(pixels, classes), SHARES)

    def _class(self, file: Path) -> str:
        """The word for the image's class."""
        return ""

    def _digest(self) -> str:
        """Of each file's class and bytes, under whatever name it has."""
        lines = sorted(f"{self._class(file)}/{hashlib.sha256(_bytes(file)).hexdigest()}" for file in self._files())
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:16]

    def _files(self) -> list[Path]:
        place = data_folder() / self.folder
        if not place.is_dir():
            words = "put a folder of images, or a link to one, there"
            raise FileNotFoundError(f"there is no {shown_folder(self.folder)}; {words}")
        entries = _entries(place)
        inside = [path for folder in entries if folder.is_dir() for path in _entries(folder)]
        files = [path for path in [*entries, *inside] if not path.is_dir()]
        most = min(MOST_IMAGES, MOST_NUMBERS // (self.channels * self.size**2))
        if not FEWEST <= len(files) <= most:
            words = f"{shown_folder(self.folder)} has {len(files):,} images"
            raise ValueError(f"{words}; between {FEWEST} and {most:,} of this size can be used")
        return files


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _word(file: Path) -> str:
    """For a person, in one line."""
    return repr(file.relative_to(data_folder()).as_posix())


def _bytes(file: Path) -> bytes:
    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):
            raise ValueError(f"{_word(file)} is no file")
        if about.st_size > MOST_BYTES:
            raise ValueError(f"{_word(file)} has {about.st_size:,} bytes, more than {MOST_BYTES:,}")
        return file.read_bytes()
    except OSError as error:
        raise ValueError(f"{_word(file)} cannot be read: {error.strerror}") from error


def _decode(file: Path, size: int, channels: int) -> npt.NDArray[np.uint8]:
    """An image [channels, size, size]."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(_bytes(file)), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are too many")
            if image.mode not in MODES:
                raise ValueError(f"pixels of the kind {image.mode}, not of 8 bits a channel")
            upright = ImageOps.exif_transpose(image)
            if upright.has_transparency_data:
                upright = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", upright.size, (0, 0, 0, 255)), upright)
            plain = upright.convert("RGB" if channels == 3 else "L")
            side = min(plain.size)
            left, top = (plain.width - side) // 2, (plain.height - side) // 2
            square = plain.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BICUBIC)
    except Exception as error:  # decoders of strangers' files raise all kinds
        raise ValueError(f"{_word(file)} is no image that can be used: {' '.join(str(error).split())}") from error
    return np.asarray(square, np.uint8).reshape(size, size, channels).transpose(2, 0, 1)
