"""One page for a grid: what was asked, how its runs ended, and its main figures below each other."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from matplotlib.lines import Line2D

from bench.report import captions, style
from bench.report.albums import Pixels
from bench.report.figures import Drawing
from bench.report.view import View

NAME, TITLE = "summary", "Summary"
HEIGHT = 9.9
"""Inches, with the width of a page those of A4, which no summary exceeds."""
MARGIN = 0.06
LINE = 0.145
"""Inches at the page's edges, and of a line of text."""
LETTERS = 112
MOST_LINES = 4
"""Of the description: letters in a line, and lines."""
TITLES = 0.3
"""Inches that a figure's title takes on the page."""
SMALLEST = 0.75
"""How far figures may be scaled down for one more to fit."""


class Page:
    """A figure with a head, on which things stand at inches from its left and its top."""

    def __init__(self, view: View, height: float) -> None:
        *question, ended = _head(view)
        self.top = head_height(view)
        self.height = min(HEIGHT, self.top + height)
        self.figure = style.new_figure(self.height)
        self.figure.set_layout_engine(PlaceHolderLayoutEngine(adjust_compatible=True, colorbar_gridspec=True))
        self.text(MARGIN, 0.16, style.plain(view.grid), size=13, weight="bold")
        for place, line in enumerate(question):
            self.text(MARGIN, 0.38 + place * LINE, line, size=8)
        self.text(MARGIN, 0.38 + len(question) * LINE, ended, size=8, colour=style.GREY)
        self.rule(self.top - 0.06)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """An empty panel."""
        low = self.height - top - height
        page = (style.PAGE_WIDTH, self.height)
        return self.figure.add_axes((left / page[0], low / page[1], width / page[0], height / page[1]))

    def text(
        self, left: float, middle: float, text: str, *, size: float = style.SMALL, colour: str = style.INK, **how: Any
    ) -> None:
        """A line of text; what it looks like besides is matplotlib's."""
        at = (left / style.PAGE_WIDTH, 1 - middle / self.height)
        self.figure.text(*at, text, fontsize=size, color=colour, **{"va": "center", **how})

    def rule(self, top: float) -> None:
        """A thin line from edge to edge."""
        edge, y = MARGIN / style.PAGE_WIDTH, 1 - top / self.height
        self.figure.add_artist(Line2D([edge, 1 - edge], [y, y], color="#C8C8C8", linewidth=0.8))


def _head(view: View) -> list[str]:
    """The question, in lines that fit; how the runs ended and the code."""
    text = style.plain(" ".join(str(view.manifest.get("description") or "").split()), LETTERS * MOST_LINES)
    seeds = f"; {captions.seeds(view.cells)} a cell" if view.cells else ""
    last = f"{view.experiment}: {len(view.cells)} cells{seeds}; {view.outcomes}; commit {view.commit}"
    return [*textwrap.wrap(text, LETTERS)[:MOST_LINES], style.plain(last, LETTERS + 12)]


def head_height(view: View) -> float:
    """Inches from the top of the page to what stands below the head."""
    return 0.38 + LINE * len(_head(view)) + 0.1


@dataclass(frozen=True)
class _Plate:
    """A figure on the page, and how large."""

    drawing: Drawing
    scale: float

    @property
    def size(self) -> tuple[float, float]:
        """Inches."""
        width, height = self.drawing.figure.get_size_inches()
        return float(width) * self.scale, float(height) * self.scale


def first(view: View, drawings: Sequence[Drawing]) -> list[Drawing]:
    """The drawings, settled, behind their summary: the one that is among them, or else a page of the first of them."""
    for drawing in drawings:
        style.settle(drawing.figure)
    if not drawings or any(drawing.name == NAME for drawing in drawings):
        return list(drawings)
    page = _of(view, drawings)
    style.settle(page.figure)
    return [page, *drawings]


def _of(view: View, drawings: Sequence[Drawing]) -> Drawing:
    """A page of settled figures as pixels, twice as fine as in a PNG."""
    plates = _chosen(drawings, HEIGHT - head_height(view) - MARGIN)
    page = Page(view, sum(TITLES + plate.size[1] for plate in plates) + MARGIN)
    top = page.top
    for plate in plates:
        width, height = plate.size
        page.text(MARGIN, top + 0.14, style.plain(plate.drawing.title, 100), size=9, weight="bold")
        axes = page.axes((style.PAGE_WIDTH - width) / 2, top + TITLES, width, height)
        axes.imshow(_pixels(plate), aspect="auto")
        axes.set_axis_off()
        top += TITLES + height
    told = "; ".join(plate.drawing.title for plate in plates)
    caption = captions.sentences(
        f"The grid on a page: {told}. Each stands below once more, with how to read it.", captions.origin(view)
    )
    return Drawing(NAME, TITLE, caption, page.figure)


def _chosen(drawings: Sequence[Drawing], room: float) -> list[_Plate]:
    """The first, and those after it that fit beside the ones before, in their order, all at one scale."""
    chosen: list[Drawing] = []
    for one in drawings:
        if not chosen or _scale([*chosen, one], room) >= SMALLEST:
            chosen.append(one)
    return [_Plate(one, _scale(chosen, room)) for one in chosen]


def _scale(drawings: Sequence[Drawing], room: float) -> float:
    heights = sum(float(one.figure.get_size_inches()[1]) for one in drawings)
    return min(1.0, (room - TITLES * len(drawings)) / heights)


def _pixels(plate: _Plate) -> Pixels:
    """The figure as it is drawn on a page of twice the resolution, [height, width, 4]."""
    figure = plate.drawing.figure
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(2 * style.DPI * plate.scale)
    canvas.draw()  # type: ignore[no-untyped-call]
    figure.set_dpi(style.DPI)
    return np.array(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
