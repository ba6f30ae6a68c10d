"""What runs on images stored for pictures, as far as it can be drawn.

The files may be anyone's: whatever has another shape or type than it should, or is too large, is left out.
Shape letters: O observations, L latents, C channels (1 or 3), H and W pixels, K classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.report.figures import Load
from bench.report.view import CellView, Task

Array = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]
"""Images [..., C, H, W]."""

LARGEST_SIDE = 128
MOST_TILES = 64
MOST_LATENTS = 8
MOST_OBSERVATIONS = 64
MOST_CLASSES = 10_000
LAST_STEP = 10**9
MOST_CELLS = 12
MOST_SEEDS = 16
"""What is drawn at most: pixels of a side; tiles, latents, observations, classes of a run; its last step; cells of a
task, seeds of each."""
FEW_TILES = 16
"""What is kept of a seed that is not the median one."""


@dataclass(frozen=True, eq=False)
class Strip:
    """The samples of the same latents at each observation [O, L, C, H, W], and its step."""

    frames: Pixels
    steps: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The training images that are nearest to the first samples of a sheet, and how far each is."""

    images: Pixels
    distances: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Histogram:
    """How many samples are of each class, and the share of each in the data [K]."""

    counts: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]

    @property
    def n(self) -> int:
        """How many samples there are."""
        return int(self.counts.sum())

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """Of the samples [K]."""
        return np.asarray(self.counts / self.counts.sum())


@dataclass(frozen=True, eq=False)
class Stored:
    """Of one run; what is missing, or cannot be drawn, is None."""

    sheet: Pixels | None
    """Last samples."""
    real: Pixels | None
    strip: Strip | None
    nearest: Neighbours | None
    classes: Histogram | None


@dataclass(frozen=True, eq=False)
class Face:
    """A cell with its runs that have samples to draw, by seed, and which of its seeds is in the middle."""

    cell: CellView
    median: int | None
    runs: Mapping[int, Stored]

    @property
    def middle(self) -> Stored | None:
        """The run of the median seed."""
        return self.runs.get(self.median) if self.median is not None else None


@dataclass(frozen=True, eq=False)
class Album:
    """The pictures of a task on images."""

    task: Task
    name: str
    """For file names, another for every task."""
    faces: tuple[Face, ...]
    left_out: int
    """Cells that there is no room for."""

    @property
    def cells(self) -> tuple[CellView, ...]:
        """Those that are shown."""
        return tuple(face.cell for face in self.faces)

    @property
    def undrawn(self) -> int:
        """Runs that ended well and have no samples that can be drawn."""
        tried = (set(face.cell.seeds[:MOST_SEEDS]) & set(face.cell.ended("ok")) for face in self.faces)
        return sum(len(seeds - set(face.runs)) for face, seeds in zip(self.faces, tried, strict=True))


def read(tasks: Sequence[Task], load: Load, column: str) -> list[Album]:
    """The tasks that have pictures; the seeds of a cell are ranked by the column."""
    names = unique(file_name("_".join(filter(None, (task.dataset, task.arm)))) for task in tasks)
    return [album for task, name in zip(tasks, names, strict=True) if (album := _album(task, name, load, column))]


def _album(task: Task, name: str, load: Load, column: str) -> Album | None:
    cells = task.cells[:MOST_CELLS]
    medians = [cell.median_seed(column) for cell in cells]
    middles = [
        stored(load(cell, seed) or {}) if seed is not None else None for cell, seed in zip(cells, medians, strict=True)
    ]
    if not any(middle is not None and middle.sheet is not None for middle in middles):
        return None
    faces = []
    for cell, median, middle in zip(cells, medians, middles, strict=True):
        runs = {median: middle} if median is not None and middle is not None else {}
        for seed in cell.seeds[:MOST_SEEDS]:
            if seed != median and seed in cell.ended("ok"):
                runs[seed] = stored(load(cell, seed) or {}, whole=False)
        faces.append(Face(cell, median, {seed: run for seed, run in sorted(runs.items()) if run.sheet is not None}))
    return Album(task, name, tuple(faces), len(task.cells) - len(cells))


def stored(arrays: Mapping[str, Array], *, whole: bool = True) -> Stored:
    """What can be drawn of a run's arrays; not the ``whole`` of it: a few samples and the classes."""
    classes = _classes(arrays)
    if not whole:
        return Stored(_images(arrays.get("sheet"), FEW_TILES), None, None, None, classes)
    sheet, real = (_images(arrays.get(name), MOST_TILES) for name in ("sheet", "real_sheet"))
    nearest = _nearest(arrays, sheet) if sheet is not None else None
    return Stored(sheet, real, _strip(arrays), nearest, classes)


def _images(array: Array | None, most: int) -> Pixels | None:
    """A copy of the first of them, so that the rest of the file is not kept."""
    if array is None or array.ndim != 4 or array.dtype != np.uint8:
        return None
    tiles, channels, *sides = array.shape
    whole = tiles > 0 and channels in (1, 3) and all(0 < side <= LARGEST_SIDE for side in sides)
    return array[:most].copy() if whole else None


def _strip(arrays: Mapping[str, Array]) -> Strip | None:
    strip, steps = arrays.get("strip"), arrays.get("strip_steps")
    if strip is None or steps is None or strip.ndim != 5 or not _is_list(steps, "iu", strip.shape[0]):
        return None
    told = steps.tolist()
    if told != sorted(set(told)) or told[0] < 0 or told[-1] > LAST_STEP:
        return None
    chosen = evenly(len(told), MOST_OBSERVATIONS)
    frames = [frame for index in chosen if (frame := _images(strip[index], MOST_LATENTS)) is not None]
    return Strip(np.stack(frames), tuple(told[index] for index in chosen)) if frames else None


def _nearest(arrays: Mapping[str, Array], sheet: Pixels) -> Neighbours | None:
    images, distances = _images(arrays.get("nearest"), len(sheet)), arrays.get("nearest_distance")
    if images is None or distances is None or images.shape[1:] != sheet.shape[1:]:
        return None
    if not _is_list(distances, "f", len(arrays["nearest"])) or not np.isfinite(distances).all():
        return None
    return Neighbours(images[:MOST_LATENTS], tuple(map(float, distances[: len(images)][:MOST_LATENTS])))


def _classes(arrays: Mapping[str, Array]) -> Histogram | None:
    counts, weights = arrays.get("class_counts"), arrays.get("class_weights")
    if counts is None or weights is None or counts.ndim != 1 or not 1 < len(counts) <= MOST_CLASSES:
        return None
    if not _is_list(counts, "iu", len(counts)) or not _is_list(weights, "f", len(counts)):
        return None
    counted, due = counts.astype(np.float64), weights.astype(np.float64)
    whole = (counted >= 0).all() and counted.any() and (due >= 0).all() and abs(due.sum() - 1) < 1e-3
    return Histogram(counted, due / due.sum()) if whole else None


def _is_list(array: Array, kinds: str, length: int) -> bool:
    """Whether it holds so many numbers, above none, of one of the kinds that numpy has letters for."""
    return array.shape == (length,) and length > 0 and array.dtype.kind in kinds


def evenly(length: int, most: int) -> list[int]:
    """At most so many of the indices of a sequence, the first and the last among them."""
    return sorted({round(float(place)) for place in np.linspace(0, length - 1, min(length, most))})


def file_name(text: str) -> str:
    """The text as a part of a file's name, whatever stands in it."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text)[:60] or "-"


def unique(names: Iterable[str]) -> Iterator[str]:
    """The names in their order; one that was there before gets a number."""
    taken: set[str] = set()
    for name in names:
        own = next(one for one in chain([name], (f"{name}_{i}" for i in count(2))) if one not in taken)
        taken.add(own)
        yield own
