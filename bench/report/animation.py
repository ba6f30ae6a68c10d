"""Samples over training that move: a GIF for each cell on images."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np

from bench import records
from bench.report import albums, train, view
from bench.report.albums import Strip
from bench.report.figures import Points
from bench.report.sheets import mosaic
from bench.report.view import CellView

ACROSS = 4
WIDTH = 480
HEAD = 28
"""Samples side by side; pixels: about how wide a frame is, and the line above that tells the step."""
SPELL = 400
LAST = 2000
"""Milliseconds that a frame is shown, and the last one."""


def animate(folder: Path) -> list[Path]:
    """Write ``figures/strip_<data set>_<objective>.gif`` of each cell's median seed by EMD, a frame an observation.

    Equal samples give equal bytes under one release of Pillow. Samples that cannot be read are passed over: the report
    names them.
    """

    def load(cell: CellView, seed: int) -> Mapping[str, Points] | None:
        try:
            return records.load_samples(folder, f"{cell.id}-s{seed}")
        except records.RecordError:
            return None

    faces = [
        (f"strip_{album.name}_{albums.file_name(face.cell.objective)}", face.middle.strip)
        for album in albums.read(train.compared(view.read(folder)), load, "emd")
        for face in album.faces
        if face.middle is not None and face.middle.strip is not None
    ]
    paths = []
    for name, (_, strip) in zip(albums.unique(name for name, _ in faces), faces, strict=True):
        paths.append(folder / "figures" / f"{name}.gif")
        records.publish_bytes(gif(strip), paths[-1])
    return paths


def gif(strip: Strip) -> bytes:
    """The observations one after another, each under its step, again and again."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), 15)
    frames = []
    for tiles, step in zip(strip.frames, strip.steps, strict=True):
        sheet = mosaic(tiles, ACROSS)
        scale = max(1, WIDTH // sheet.shape[1])
        large = np.pad(sheet.repeat(scale, 0).repeat(scale, 1), ((HEAD, 0), (0, 0), (0, 0)), constant_values=255)
        frame = Image.fromarray(large)
        ImageDraw.Draw(frame).text((4, 5), f"step {step:,}", fill="black", font=font)
        frames.append(frame if strip.frames.shape[2] == 3 else frame.convert("L"))
    sink = io.BytesIO()
    spells = [SPELL] * (len(frames) - 1) + [LAST]
    frames[0].save(sink, "GIF", save_all=True, append_images=frames[1:], duration=spells, loop=0)
    return sink.getvalue()
