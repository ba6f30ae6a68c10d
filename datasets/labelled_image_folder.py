"""A person's own images, a folder a class."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from datasets.image_folder import FEWEST, ImageFolder
from datasets.images import LabelledFiniteImages, shown_folder


@dataclass(frozen=True, kw_only=True)
class LabelledImageFolder(ImageFolder, LabelledFiniteImages):
    """PNG, JPEG and WebP images in sub-folders of a folder, each a class: events [channels, size, size].

    Classes are numbered from 0 in the order of the sub-folders' names. All else is as for ``image_folder``, which takes
    the same images without their classes; each part has its share of every class.
    """

    def _class(self, file: Path) -> str:
        return file.parent.name

    def _files(self) -> list[Path]:
        files = super()._files()
        place = shown_folder(self.folder)
        counts = Counter(file.parent for file in files)
        if min(len(folder.parts) for folder in counts) < max(len(folder.parts) for folder in counts) or len(counts) < 2:
            raise ValueError(
                f"{place}: images belong into two or more sub-folders, one for each class, and nowhere else"
            )
        folder, fewest = min(counts.items(), key=lambda item: item[1])
        if fewest < FEWEST:
            raise ValueError(f"{place}: the class {folder.name!r} has {fewest} images, fewer than {FEWEST}")
        return files
