"""What runs on images look like: samples, of every seed, over training, by class, and beside training images."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from bench.report import captions, sheets, style
from bench.report.albums import FEW_TILES, MOST_SEEDS, Album, Face, Pixels, evenly
from bench.report.classes import MOST_BARS, classes
from bench.report.figures import Drawing
from bench.report.sheets import LETTERS, Block, Line
from bench.report.view import CellView

DOWN = 2
TILE = 62
"""Rows of samples in a line of the first figure, and about how many pixels of the page one is wide."""
SEEDS_ABREAST = 8
SEED_ACROSS = 4
SEED_WIDTH = 250
MOST_LINES = 20
"""Sheets of seeds side by side, samples side by side in each, pixels that it takes at most; lines of sheets."""
STEPS_ABREAST = 8
STEP_ACROSS = 2
STEP_WIDTH = 124
"""The same for observations."""
PAIR_WIDTH = 88
"""Pixels that a sample above its nearest neighbour takes at most."""


def drawings(album: Album, colours: Mapping[str, str], told: str) -> list[Drawing]:
    """The figures of a task, each where its runs have what it shows; ``told`` ends every caption."""
    seeds, rest = _seeds(album, colours)
    about = captions.sentences(_left_out(album), captions.parts(album.cells))
    judge = captions.judges(album.cells)
    shown = (
        ("sheets", "Samples", _sheets(album, colours), (_sheets_caption(album), judge)),
        ("seeds", "Samples of every seed", seeds, (_seeds_caption(album, rest), judge)),
        ("strip", "Samples over training", _strip(album, colours), (_STRIP,)),
        ("classes", "Classes of samples", classes(album, colours), (_classes_caption(album), judge)),
        ("nearest", "Nearest training images", _nearest(album, colours), (_NEAREST,)),
    )
    return [
        Drawing(
            f"{kind}_{album.name}",
            f"{title}: {style.plain(album.task.label)}",
            captions.sentences(*words, about, told),
            figure,
        )
        for kind, title, figure, words in shown
        if figure is not None
    ]


def _sheets(album: Album, colours: Mapping[str, str]) -> Figure:
    """A line for each cell: samples of its median seed; real ones above."""
    reals = [face.middle.real for face in album.faces if face.middle and face.middle.real is not None]
    lines = [Line("real samples", (), style.INK, (_samples(real),)) for real in reals[:1]]
    for face in album.faces:
        tiles = face.middle.sheet if face.middle else None
        block = _samples(tiles) if tiles is not None else Block(None, note=_why_none(face))
        lines.append(_line(face, colours, [block]))
    return sheets.figure(lines)


def _samples(tiles: Pixels) -> Block:
    across = sheets.fitting(tiles, TILE)
    return Block(tiles[: DOWN * across], across)


def _why_none(face: Face) -> str:
    return str(face.cell.outcomes) if face.median is None else f"seed {face.median}: no samples"


def _seeds(album: Album, colours: Mapping[str, str]) -> tuple[Figure | None, int]:
    """Small sheets of every seed, and how many runs there is no room for; no figure where all cells have one seed."""
    if max(len(face.cell.seeds) for face in album.faces) < 2:
        return None, 0
    lines = []
    for face in album.faces:
        blocks = [_seed(face, seed) for seed in face.cell.seeds[:MOST_SEEDS]]
        for start in range(0, len(blocks), SEEDS_ABREAST):
            own = _line(face, colours, blocks[start : start + SEEDS_ABREAST], median=False)
            lines.append(own if start == 0 else replace(own, name="", facts=()))
    drawn = sum(len(line.blocks) for line in lines[:MOST_LINES])
    rest = sum(len(cell.seeds) for cell in album.task.cells) - drawn
    return sheets.figure(lines[:MOST_LINES], SEED_WIDTH), rest


def _seed(face: Face, seed: int) -> Block:
    """A small sheet with the modes that the run covers, or how it ended."""
    run, last = face.runs.get(seed), face.cell.last
    if run is not None and run.sheet is not None:
        return Block(run.sheet[:FEW_TILES], SEED_ACROSS, f"seed {seed}", _modes(face.cell, seed))
    status = str(last["status"].get(seed, "missing")) if len(last) else "missing"
    return Block(None, above=f"seed {seed}", note="no samples" if status == "ok" else status)


def _strip(album: Album, colours: Mapping[str, str]) -> Figure | None:
    """A line for each cell: at each observation of its median seed, the samples of the same latents."""
    lines: list[Line] = []
    above: list[str] = []
    for face in album.faces:
        strip = face.middle.strip if face.middle else None
        if strip is not None:
            chosen = evenly(len(strip.steps), STEPS_ABREAST)
            steps = [f"{strip.steps[index]:,}" for index in chosen]
            told = [f"step {steps[0]}", *steps[1:]] if steps != above else [""] * len(steps)
            blocks = [Block(strip.frames[i], STEP_ACROSS, word) for i, word in zip(chosen, told, strict=True)]
            lines.append(_line(face, colours, blocks))
            above = steps
    return sheets.figure(lines, STEP_WIDTH) if lines else None


def _nearest(album: Album, colours: Mapping[str, str]) -> Figure | None:
    """A line for each cell: samples of its median seed, below each its nearest training image."""
    lines = []
    for face in album.faces:
        run = face.middle
        if run is not None and run.sheet is not None and run.nearest is not None:
            pairs = zip(run.sheet, run.nearest.images, run.nearest.distances, strict=False)
            blocks = [Block(np.stack(pair), below=f"{distance:.2f}") for *pair, distance in pairs]
            lines.append(_line(face, colours, blocks))
    return sheets.figure(lines, PAIR_WIDTH) if lines else None


def _line(face: Face, colours: Mapping[str, str], blocks: list[Block], *, median: bool = True) -> Line:
    """The blocks behind the cell's name, with the median seed and its modes where the blocks are of that one."""
    facts = textwrap.wrap(style.plain(face.cell.variant, 2 * LETTERS), LETTERS)
    if median and face.median is not None:
        modes = _modes(face.cell, face.median)
        facts += [f"seed {face.median}", *([f"{modes} modes"] if modes else [])]
    name = style.plain(face.cell.objective, LETTERS)
    return Line(name, tuple(facts), colours[face.cell.objective], tuple(blocks))


def _modes(cell: CellView, seed: int) -> str:
    covered, total = (cell.final(column).get(seed) for column in ("modes_covered", "modes_total"))
    return f"{covered:g}/{total:g}" if covered is not None and total is not None else ""


_STRIP = (
    "Samples of the median seed by EMD (lower middle of those that ended well) at some of the steps at which it was "
    "observed, the first and the last among them. The same place is the same latent at every step."
)
_NEAREST = (
    "The first of the last samples of the median seed by EMD (lower middle of those that ended well), each above the "
    "training image that is nearest to it, in stacked sets channel by channel, with their Euclidean distance in pixels "
    "from -1 to 1."
)


def _sheets_caption(album: Album) -> str:
    return captions.sentences(
        f"The first of the last samples of the median seed by EMD of {captions.seeds(album.cells)} (lower middle of "
        "those that ended well), below real ones; none is chosen by eye.",
        _modes_caption(album),
    )


def _seeds_caption(album: Album, rest: int) -> str:
    return captions.sentences(
        f"The first {FEW_TILES} of the last samples of every seed, with the modes covered below; in words, how a run "
        "ended that has no samples.",
        _modes_caption(album),
        f"Runs that this figure has no room for: {rest}." if rest else "",
    )


def _modes_caption(album: Album) -> str:
    """Of how many samples the covered modes are counted; nothing where none are."""
    known = any(cell.final("modes_covered") for cell in album.cells)
    return f"Modes: classes with at least one of {_classified(album)}, by the judge." if known else ""


def _classes_caption(album: Album) -> str:
    runs = [run.classes for face in album.faces for run in face.runs.values() if run.classes is not None]
    k = len(runs[0].counts) if runs else 0
    told = (
        "The share of each class: bars are the mean over seeds, dots single seeds. Dashed: in the data."
        if k <= MOST_BARS
        else "The share of each class, in descending order. Thick: the mean over seeds, rank by rank; thin: single "
        "seeds. A line ends at the last class that has a sample. Dashed: what is expected of a perfect sampler with as "
        "many samples, by sums of binomial tail probabilities."
    )
    return captions.sentences(told, f"Classified: {_classified(album)}.")


def _classified(album: Album) -> str:
    runs = (run.classes for face in album.faces for run in face.runs.values())
    counts = sorted({run.n for run in runs if run is not None})
    return f"{captions.either(f'{n:,}' for n in counts[:2])} samples a run" if counts else "the samples of a run"


def _left_out(album: Album) -> str:
    cells, runs = album.left_out, album.undrawn
    return captions.sentences(
        f"Cells that this figure has no room for: {cells}." if cells else "",
        f"Runs without samples that can be drawn: {runs}." if runs else "",
    )
