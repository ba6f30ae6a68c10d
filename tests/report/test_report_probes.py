from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.transforms import Bbox
from synthetic import MEANS, OBJECTIVES, run_rows, settings_of, write_manifest

from bench import records
from bench.report import probes, style, view
from bench.report.figures import Drawing
from bench.report.view import View

SEEDS = (0, 1)
FIXED = style.colours(OBJECTIVES)


def probed(rows: list[dict[str, Any]], objective: str, total: int, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng([seed, len(objective)])
    for k, row in enumerate(rows):
        for player in ("generator", "critic"):
            row[f"{player}_gradient_norm"] = 10.0 ** (rng.normal() - (k if objective == "minimax" else 0))
            row[f"{player}_update_ratio"] = 1e-4 * rng.uniform(0.5, 2)
            row[f"{player}_update_cosine"] = rng.uniform(-0.2, 1)
        for side in ("real", "fake"):
            row[f"slope_{side}"], row[f"saturated_{side}"] = rng.uniform(0.5, 2), rng.uniform()
        row["modes_occupied"], row["modes_visited"] = 2.0, float(min(total, 2 + k))
    return rows


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., View]:
    def folder(
        objectives: Sequence[str],
        datasets: Sequence[str],
        rates: Sequence[float] = (1e-4,),
        without: Sequence[str] = (),
    ) -> View:
        path, cells = tmp_path_factory.mktemp("probed"), []
        for dataset, objective, rate in product(datasets, objectives, rates):
            settings, cell_id = settings_of(objective, dataset, rate), f"{objective}-{dataset}-{rate:g}"
            cells.append({"cell_id": cell_id, "settings": settings, "seeds": list(SEEDS)})
            for seed in SEEDS:
                rows = run_rows(objective, dataset, seed, cell_id, settings)[::4]
                table = pd.DataFrame(probed(rows, objective, len(MEANS[dataset]), seed))
                records.publish(table.drop(columns=list(without)), path)
        write_manifest(path, cells)
        return view.read(path)

    return folder


@pytest.fixture(scope="module")
def drawn(make: Callable[..., View]) -> tuple[View, Drawing]:
    found = make(OBJECTIVES[2:], ("ring", "grid"))
    with style.applied():
        drawing = probes.drawing(found)
        assert drawing is not None
    return found, drawing


def boxes(drawing: Drawing) -> Iterator[tuple[str, Bbox]]:
    renderer = drawing.figure.canvas.get_renderer()
    for axes in drawing.figure.axes:
        for text in (axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts):
            if text.get_text():
                yield text.get_text(), text.get_window_extent(renderer)
    for text in drawing.figure.legends[0].get_texts():
        yield text.get_text(), text.get_window_extent(renderer)


def test_records_without_probes_have_no_figure(small: Callable[..., Path]) -> None:
    assert probes.drawing(view.read(small())) is None


def test_every_reading_has_a_panel_with_the_means_of_every_cell(drawn: tuple[View, Drawing]) -> None:
    found, drawing = drawn
    shown = drawing.figure.axes
    assert len(shown) == 2 * 2 * 6
    assert {text.get_text() for text in drawing.figure.legends[0].get_texts()} == set(OBJECTIVES[2:])

    def panel(title: str, task: int) -> Axes:
        own = shown[2 * task :: 4] + shown[2 * task + 1 :: 4]
        [axes] = [axes for axes in own if axes.get_title("left").splitlines()[-1] == title]
        return axes

    for index, task in enumerate(found.tasks):
        for title, column in {
            "generator: gradient norm": "generator_gradient_norm",
            "critic: cosine of step": "critic_update_cosine",
            "critic: slope at fakes": "slope_fake",
            "saturated scores, real": "saturated_real",
            "modes visited so far": "modes_visited",
        }.items():
            axes = panel(title, index)
            for cell in task.cells:
                [thick] = [line for line in axes.lines if line.get_color() == FIXED[cell.objective]]
                thin = [one for one in axes.collections if isinstance(one, LineCollection)]
                colours = [to_hex(one.get_color()[0]) for one in thin]
                own = thin[colours.index(FIXED[cell.objective].lower())]
                assert len(own.get_segments()) == len(SEEDS)
                expected = cell.rows.groupby("step")[column].mean()
                np.testing.assert_allclose(np.asarray(thick.get_ydata()), expected, rtol=1e-12)
        modes = [line for line in panel("modes occupied", index).lines if line.get_color() == style.GREY]
        assert [float(np.asarray(line.get_ydata())[0]) for line in modes] == [len(MEANS[task.dataset])]


def test_no_text_covers_another_or_leaves_the_page(make: Callable[..., View]) -> None:
    """Of a figure without the rows of which a column is missing."""
    with style.applied():
        drawing = probes.drawing(
            make(OBJECTIVES[2:], ("ring", "grid"), without=("critic_update_ratio", "slope_real", "saturated_fake"))
        )
        assert drawing is not None
        assert len(drawing.figure.axes) == 2 * 2 * 3
        style.settle(drawing.figure)
        drawing.figure.draw_without_rendering()
        found = list(boxes(drawing))
    width, height = drawing.figure.canvas.get_width_height()
    for text, box in found:
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0, text
    for (one, a), (other, b) in combinations(found, 2):
        assert min(a.x1, b.x1) - max(a.x0, b.x0) < 1 or min(a.y1, b.y1) - max(a.y0, b.y0) < 1, (one, other)


def test_what_has_no_room_is_told(make: Callable[..., View], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "MOST_CELLS", 1)
    with style.applied():
        drawing = probes.drawing(make(OBJECTIVES[2:3], ("ring",), (1e-4, 1e-3)))
    assert drawing is not None
    assert "Cells that this figure has no room for: 1." in drawing.caption
    assert len(drawing.figure.axes) == 12
