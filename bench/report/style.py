"""How every figure looks: sizes, fonts, and one colour for an objective wherever it is drawn."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

PAGE_WIDTH = 7.0
COLUMN_WIDTH = 4.5
"""Inches: the text width of a page, which no figure exceeds, and what one panel of curves takes."""
DPI = 200
MOST_PIXELS = 5_000_000
"""Of a page of a PDF, while it is drawn: each takes thirty bytes."""
GREY = "#767676"
INK = "#222222"
SMALL = 7.0
"""Points: notes and direct labels."""

RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "axes.titley": 1.0,  # else each layout looks for what is above the axes, which takes a sixth of a report's time
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "pdf.fonttype": 42,
    "text.parse_math": False,  # a label is text, whatever stands in it
}

_COLOURS = json.loads(Path(__file__).with_name("colours.json").read_text(encoding="utf-8"))

WAYS: Mapping[str, str] = _COLOURS["ways"]
"""A colour for each way to step replicas, the baseline first."""


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name: its own where it has one, else one of the further colours.

    A name without its own colour takes the one that its hash points to, or the next that is free, in the order of the
    names: it changes only where two such names meet.
    """
    fixed: dict[str, str] = _COLOURS["fixed"]
    further: list[str] = _COLOURS["further"]
    taken: dict[int, str] = {}
    result = {}
    for name in sorted(set(names)):
        if name in fixed:
            result[name] = fixed[name]
            continue
        first = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:4], "big")
        turns = range(first, first + len(further))
        slot = next((turn % len(further) for turn in turns if turn % len(further) not in taken), first % len(further))
        taken[slot] = name
        result[name] = further[slot]
    return result


def shades(colour: str, count: int) -> list[str]:
    """The colour in as many steps, from a lighter one to a darker one, for settings of one objective."""
    base = np.array(to_rgb(colour))
    light, dark = 1 - (1 - base) * 0.65, base * 0.5
    return [to_hex(light + (dark - light) * part) for part in np.linspace(0, 1, count)] if count > 1 else [colour]


def plain(text: str, longest: int = 60) -> str:
    """The text in characters that the font has, those of Latin-1, on one line, cut where it is too long."""
    text = text.encode("latin-1", "backslashreplace").decode("latin-1")
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


@contextmanager
def applied() -> Iterator[None]:
    """This style, whatever matplotlib has been told elsewhere."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        yield


def new_figure(height: float, width: float = PAGE_WIDTH, gap: float = 0.02) -> Figure:
    """An empty figure that arranges itself, with gaps between rows as a share of the height."""
    layout = ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.04, hspace=gap, wspace=0.02)
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def log_steps(axes: Axes, steps: Iterable[float]) -> None:
    """A logarithmic axis for steps, with ticks at 1, 2 and 5 of each decade and numbers at 1.

    Where step 0 was observed it stands left of the first decade.
    """
    known = sorted(set(steps))
    if known and known[0] <= 0:
        first = next((step for step in known if step > 0), 1.0)
        axes.set_xscale("symlog", linthresh=first, linscale=0.4, subs=(2, 5))
        decades = range(math.ceil(math.log10(first)), math.floor(math.log10(max(known[-1], first))) + 1)
        axes.xaxis.set_major_locator(FixedLocator([0.0, *(10.0**decade for decade in decades)]))
    else:
        axes.set_xscale("log", subs=(2, 5))
    axes.xaxis.set_major_formatter(FuncFormatter(short))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", labelbottom=False)


def log_values(axes: Axes) -> None:
    """A logarithmic axis for values, with plain numbers at 1, 2 and 5 of each decade."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(short))
    axes.yaxis.set_minor_locator(NullLocator())  # every tick takes its time in each layout


def short(value: float, _: object = None) -> str:
    """A number for an axis: 500, 1k, 20k, 1M; 0.05."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def panel_height(labels: int, least: float = 1.35) -> float:
    """Inches that a panel needs for so many labels at its right, one above another."""
    return max(least, 1.25 * SMALL / 72 * labels)


def label_gap(height: float) -> float:
    """How far apart labels one above another stand, as a share of a panel ``height`` inches high."""
    return 1.25 * SMALL / 72 / height


def label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]], height: float) -> None:
    """Write (y, text, colour) at the right of the axes, ``height`` inches high, each near its y and none over another.

    What has no y stands lowest.
    """
    gap = label_gap(height)
    low, high = (axes.transData.transform((1, y))[1] for y in axes.get_ylim())

    def place_of(y: float) -> float:
        return min(1.0, max(0.0, float(axes.transData.transform((1, y))[1] - low) / (high - low))) if y == y else 0.0

    wanted = sorted(((place_of(y), text, colour) for y, text, colour in ends), key=lambda end: end[:2])
    for place, (_, text, colour) in zip(spread([y for y, *_ in wanted], gap), wanted, strict=True):
        axes.annotate(
            text, (1, place), (4, 0), xycoords="axes fraction", textcoords="offset points",
            va="center", fontsize=SMALL, color=colour, annotation_clip=False,
        )  # fmt: skip


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Ascending places moved as little as it takes, in least squares, to stand at least ``gap`` apart."""
    blocks: list[tuple[float, int]] = []  # mean of what the block's members want of its first, and their number
    for index, place in enumerate(places):
        mean, size = place - index * gap, 1
        while blocks and blocks[-1][0] > mean:
            other, count = blocks.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        blocks.append((mean, size))
    firsts = [mean for mean, size in blocks for _ in range(size)]
    return [first + index * gap for index, first in enumerate(firsts)]


def settle(figure: Figure) -> None:
    """Arrange the figure, for all formats that it is saved in."""
    engine = figure.get_layout_engine()
    assert engine is not None
    for _ in range(2):  # labels that are aligned move after the first time
        engine.execute(figure)
    figure.set_layout_engine(None)  # with any, saving would draw everything twice


def pdf(figure: Figure, title: str, caption: str) -> bytes:
    """The figure as a page with embedded outlines and no date: equal figures, equal bytes.

    What it has of pixels is twice as fine as in the PNG, or as fine as ``MOST_PIXELS`` allow.
    """
    sink = io.BytesIO()
    width, height = figure.get_size_inches()
    dpi = min(2 * DPI, math.sqrt(MOST_PIXELS / (width * height)))
    metadata = {"Title": title, "Subject": caption, "CreationDate": None}
    figure.savefig(sink, format="pdf", dpi=dpi, metadata=metadata)
    return sink.getvalue()


def png(figure: Figure, title: str, caption: str) -> bytes:
    """The figure as pixels, without a date."""
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=DPI, metadata={"Title": title, "Description": caption, "Software": None})
    return sink.getvalue()
