"""Figures made of small images, drawn so that every pixel of an image is the same whole number of pixels wide.

Shape letters: N tiles, C channels (1: grey, 3: red, green, blue), H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine

from bench.report import style
from bench.report.albums import Pixels

PAGE = round(style.PAGE_WIDTH * style.DPI)
GUTTER = 264
EDGE = 12
LINE = 24
WIDEST = PAGE - GUTTER - EDGE
"""Pixels of the PNG: the page's width, what is left of it for labels, its margin, a line of text, what images have."""
LETTERS = 22
"""How many stand in a line of a label."""


@dataclass(frozen=True)
class Block:
    """Tiles [N, C, H, W] with so many side by side, and text above and below; or a note in place of them."""

    tiles: Pixels | None
    across: int = 1
    above: str = ""
    below: str = ""
    note: str = ""


@dataclass(frozen=True)
class Line:
    """Blocks side by side with a label at their left: a name in its colour, and what there is to know of it."""

    name: str
    facts: tuple[str, ...]
    colour: str
    blocks: tuple[Block, ...]


def mosaic(tiles: Pixels, across: int) -> Pixels:
    """The tiles row by row on white, with gaps between them: [N, C, H, W] -> [height, width, 3]."""
    n, channels, height, width = tiles.shape
    between, across = gap(width), min(across, n)
    down = -(-n // across)
    sheet = np.full((down * (height + between), across * (width + between), 3), 255, np.uint8)
    for index, tile in enumerate(np.repeat(tiles, 3 // channels, axis=1)):
        top, left = index // across * (height + between), index % across * (width + between)
        sheet[top : top + height, left : left + width] = tile.transpose(1, 2, 0)
    return sheet[:-between, :-between]


def gap(width: int) -> int:
    """Pixels between tiles so wide."""
    return max(1, width // 14)


def fitting(tiles: Pixels, size: int) -> int:
    """How many of the tiles, about ``size`` pixels wide each, stand side by side on the page."""
    width: int = tiles.shape[3] + gap(tiles.shape[3])
    return max(1, WIDEST // (width * max(1, size // width)))


def figure(lines: Sequence[Line], widest: int = WIDEST) -> Figure:
    """The lines one below another; a block is at most ``widest`` pixels wide."""
    abreast = max(len(line.blocks) for line in lines)
    pitch = min(WIDEST // abreast, widest + 2 * EDGE)
    images = [[_drawn(block, min(widest, pitch - EDGE)) for block in line.blocks] for line in lines]
    drawn = [image for own in images for image in own if image is not None]
    usual = max((image.height, image.width) for image in drawn) if drawn and abreast > 1 else (LINE, 0)
    heights = [_height(line, own, usual[0]) for line, own in zip(lines, images, strict=True)]
    page = _Page(sum(heights) + EDGE * (len(lines) + 1))
    top = EDGE
    for line, own, height in zip(lines, images, heights, strict=True):
        above = LINE * any(block.above for block in line.blocks)
        page.label(line, top + above)
        for index, (block, image) in enumerate(zip(line.blocks, own, strict=True)):
            page.block(block, image, GUTTER + index * pitch, top + above, usual)
        top += height + EDGE
    return page.figure


@dataclass(frozen=True)
class _Drawn:
    """Pixels [h, w, 3] and how large they are drawn, in pixels of the page."""

    pixels: Pixels
    width: int
    height: int


def _drawn(block: Block, widest: int) -> _Drawn | None:
    if block.tiles is None:
        return None
    pixels = mosaic(block.tiles, block.across)
    height, width = pixels.shape[:2]
    scale = widest // width or widest / width  # where it is too large, pixels are left out
    return _Drawn(pixels, max(1, round(width * scale)), max(1, round(height * scale)))


def _height(line: Line, images: Sequence[_Drawn | None], usual: int) -> int:
    above, below = (LINE * any(getattr(block, part) for block in line.blocks) for part in ("above", "below"))
    tallest = max(usual if image is None else image.height for image in images)
    return above + max(tallest + below, LINE * (1 + len(line.facts)))


class _Page:
    """A figure on which things stand at whole pixels from its left and its top."""

    def __init__(self, height: int) -> None:
        self.height = height
        self.figure = style.new_figure(height / style.DPI)
        self.figure.set_layout_engine(PlaceHolderLayoutEngine(adjust_compatible=True, colorbar_gridspec=True))

    def block(self, block: Block, image: _Drawn | None, left: int, top: int, usual: tuple[int, int]) -> None:
        """Draw the image, or the note in the middle of where one of the usual height and width would be."""
        height, width = (image.height, image.width) if image is not None else usual
        middle, side = (left + width / 2, "center") if width else (left, "left")
        self._text(middle, top - LINE, block.above, style.INK, side)
        self._text(middle, top + height, block.below, style.GREY, side)
        if image is None:
            self._text(middle, top + (height - LINE) / 2, block.note, style.GREY, side)
            return
        low = self.height - top - height
        axes = self.figure.add_axes((left / PAGE, low / self.height, width / PAGE, height / self.height))
        axes.imshow(image.pixels, interpolation="nearest", aspect="auto")
        axes.set_axis_off()

    def label(self, line: Line, top: int) -> None:
        """The name and the facts of a line."""
        self._text(EDGE, top, line.name, line.colour, "left")
        for index, fact in enumerate(line.facts, 1):
            self._text(EDGE, top + index * LINE, fact, style.GREY, "left")

    def _text(self, x: float, top: float, text: str, colour: str, side: str) -> None:
        if text:
            y = 1 - (top + LINE / 2) / self.height
            self.figure.text(x / PAGE, y, text, color=colour, fontsize=style.SMALL, ha=side, va="center_baseline")
