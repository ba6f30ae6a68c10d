from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox
from PIL import Image
from synthetic import DIVERGED, OBJECTIVES, STEPS, make_world

from bench import records
from bench.report import Report, figures, style, train, view
from bench.report.figures import Drawing
from bench.report.view import View

FIXED = style.colours(OBJECTIVES)

# --- colours

CVD = {  # Machado, Oliveira & Fernandes 2009, table 1, severity 1
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour: str) -> np.ndarray:
    s = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* under D65."""
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    t = np.array(to_xyz) @ np.clip(rgb, 0, 1) / [0.95047, 1.0, 1.08883]
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", CVD)
def test_colours_can_be_told_apart_whatever_the_sight(sight: str) -> None:
    seen = {name: lab(np.array(CVD[sight]) @ linear(colour)) for name, colour in FIXED.items()}
    for a, b in combinations(seen, 2):
        assert np.linalg.norm(seen[a] - seen[b]) > 20, (a, b)


def test_colours_can_be_read_as_text_on_white() -> None:
    further = style._COLOURS["further"]
    for colour in [*FIXED.values(), *further]:
        luminance = float(linear(colour) @ [0.2126, 0.7152, 0.0722])
        assert 1.05 / (luminance + 0.05) >= 3, colour  # WCAG 2, large text and graphics
    assert len({*FIXED.values(), *further}) == len(FIXED) + len(further)


def test_an_objective_has_one_colour_whatever_it_is_drawn_with() -> None:
    for names in (["wgan_gp"], ["new", "wgan_gp", "other"], list(OBJECTIVES)):
        assert style.colours(names)["wgan_gp"] == FIXED["wgan_gp"]


@given(st.sets(st.text(min_size=1, max_size=8), max_size=9), st.randoms())
@settings(deadline=None, max_examples=50)
def test_further_names_get_further_colours_in_any_order(names: set[str], random: object) -> None:
    listed = sorted(names)
    found = style.colours(listed)
    random.shuffle(listed)  # type: ignore[attr-defined]
    assert style.colours([*listed, *OBJECTIVES]) == found | FIXED
    assert len(set(found.values())) == len(names)


def test_more_names_than_colours_still_have_colours() -> None:
    assert len(style.colours(f"n{i}" for i in range(50))) == 50


# --- labels


@given(st.lists(st.floats(-1, 2), max_size=12), st.floats(0.01, 0.3))
@settings(deadline=None)
def test_labels_stand_apart_and_no_further_than_needed(places: list[float], gap: float) -> None:
    """Against scikit-learn's isotonic regression: least squares with given gaps is isotonic in place - rank x gap."""
    from sklearn.isotonic import isotonic_regression

    places = sorted(places)
    found = np.array(style.spread(places, gap))
    assert (np.diff(found) >= gap - 1e-12).all()
    offsets = gap * np.arange(len(places))
    if places:
        np.testing.assert_allclose(found, isotonic_regression(np.array(places) - offsets) + offsets, atol=1e-9)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.05, "0.05"), (500, "500"), (1000, "1k"), (25000, "25k"), (1e6, "1M"), (-2000, "-2k")],
)
def test_numbers_on_an_axis_are_short(value: float, text: str) -> None:
    assert style.short(value) == text


@pytest.mark.parametrize("text", ["$\\frac{1}{0$", "a\nb\x1b", "\u4e2d\U0001f600\u202e", "x" * 200, "\ud800"])
def test_any_text_can_be_drawn(text: str) -> None:
    with style.applied():
        figure = style.new_figure(2)
        axes = figure.subplots()
        axes.set_title(style.plain(text))
        style.label_ends(axes, [(0.5, style.plain(text), "black"), (float("nan"), "none", "black")], 1.5)
        style.settle(figure)
        assert style.png(figure, "", "")
        assert style.pdf(figure, "", "")


def test_points_of_all_panels_are_one_image_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def widths() -> list[int]:
        with style.applied():
            figure = style.new_figure(2)
            for axes in figure.subplots(1, 3):
                figures._scatter(axes, np.random.default_rng(0).uniform(size=(50, 2)), "black")
            style.settle(figure)
            return [int(found) for found in re.findall(rb"/Width (\d+)", style.pdf(figure, "", ""))]

    fine = widths()
    assert len(fine) == 2  # colours, and how opaque they are
    assert 0.9 * 7 * 2 * style.DPI < fine[0] <= 7 * 2 * style.DPI
    monkeypatch.setattr(style, "MOST_PIXELS", 7 * 2 * 100**2)
    assert widths()[0] == pytest.approx(fine[0] / 4, abs=2)


def test_a_settled_figure_is_drawn_once_a_file() -> None:
    class Counted(Line2D):
        draws = 0

        def draw(self, renderer: RendererBase) -> None:
            Counted.draws += 1
            super().draw(renderer)

    with style.applied():
        figure = style.new_figure(2)
        figure.subplots().add_line(Counted([0, 1], [0, 1]))
        style.settle(figure)
        Counted.draws = 0
        style.png(figure, "", "")
        style.pdf(figure, "", "")
    assert Counted.draws == 2


# --- figures of a whole results folder


def draw(folder: Path) -> tuple[View, dict[str, Drawing]]:
    found = view.read(folder)
    with style.applied():
        drawings = train.drawings(found, lambda cell, seed: records.load_samples(folder, f"{cell.id}-s{seed}"))
        for drawing in drawings:
            style.settle(drawing.figure)
    return found, {drawing.name: drawing for drawing in drawings}


@pytest.fixture(scope="module")
def drawn(world: Path) -> tuple[View, dict[str, Drawing]]:
    return draw(world)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[View, dict[str, Drawing]]:
    folder = tmp_path_factory.mktemp("sweep")
    return draw(make_world(folder, objectives=OBJECTIVES[2:], rates=(1e-4, 5e-4, 1e-3), seeds=[0, 1]))


@pytest.fixture(scope="module")
def hunt(searched: tuple[Path, Report]) -> tuple[View, dict[str, Drawing]]:
    return draw(searched[0])


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.axison]


def boxes(figure: Figure) -> Iterator[tuple[str, Bbox]]:
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    for text in figure.texts:
        yield text.get_text(), text.get_window_extent(renderer)
    for axes in panels(figure):
        texts = [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]  # type: ignore[attr-defined]
        for text in texts:
            if text.get_text():
                yield text.get_text(), text.get_window_extent(renderer)


USUAL = ("samples", "modes_covered", "emd", "losses")
KINDS = {"drawn": (*USUAL, "summary", "modes", "profiles"), "sweep": (*USUAL, "summary"), "hunt": ("emd", "best_of_k")}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in KINDS.items() for name in names])
def test_no_text_covers_another_or_leaves_the_page(kind: str, name: str, request: pytest.FixtureRequest) -> None:
    figure = request.getfixturevalue(kind)[1][name].figure
    with style.applied():
        figure.draw_without_rendering()
        found = list(boxes(figure))
    width, height = figure.canvas.get_width_height()
    for text, box in found:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text  # noqa: PT018
    for (one, a), (other, b) in combinations(found, 2):
        assert min(a.x1, b.x1) - max(a.x0, b.x0) < 1 or min(a.y1, b.y1) - max(a.y0, b.y0) < 1, (one, other)


def test_samples_are_of_the_median_seed_with_modes_and_coverage(
    drawn: tuple[View, dict[str, Drawing]], world: Path
) -> None:
    found, drawings = drawn
    shown = panels(drawings["samples"].figure)
    clouds = drawings["samples"].figure.artists
    assert len(shown) == len(clouds) == 2 * 5
    for row, task in enumerate(found.tasks):
        real, *faces = shown[5 * row : 5 * row + 5]
        own = clouds[5 * row + 1 : 5 * row + 5]
        assert real.get_title() == "real samples"
        for axes, points, cell in zip(faces, own, task.cells, strict=True):
            assert isinstance(points, Line2D)
            seed = cell.median_seed("emd")
            covered, by_mass = (cell.final(name)[seed or 0] for name in ("modes_covered", "modes_covered_by_mass"))
            total = 8 if task.dataset == "ring" else 25
            assert axes.get_title() == f"{cell.objective}\n{covered:g}/{total} modes ({by_mass:g} by mass)"
            assert axes.get_xlabel().startswith(f"seed {seed}")
            [circles] = axes.lines
            stored = records.load_samples(world, f"{cell.id}-s{seed}")
            assert stored is not None
            inside = {tuple(point) for point in np.column_stack(points.get_data())}
            assert inside <= {tuple(point) for point in stored["fake"]}
            outside = 1 - len(inside) / len(stored["fake"])
            told = re.search(r", (\d+)% outside", axes.get_xlabel())
            assert abs((int(told[1]) if told else 0) / 100 - outside) <= 0.006
            assert points.get_color() == FIXED[cell.objective]
            assert points.get_transform() == axes.transData
            assert points.get_clip_box().bounds == axes.bbox.bounds
            np.testing.assert_array_equal(np.column_stack(circles.get_data()), stored["means"])
            assert axes.get_xlim() == real.get_xlim()


def test_curves_have_bands_single_seeds_crosses_and_the_floor(drawn: tuple[View, dict[str, Drawing]]) -> None:
    found, drawings = drawn
    for axes, task in zip(panels(drawings["emd"].figure), found.tasks, strict=True):
        assert axes.get_xscale() == "log"
        assert len(axes.collections) == 2 * 4
        for cell in task.cells:
            own = [line for line in axes.lines if line.get_color() == FIXED[cell.objective]]
            lines = [line for line in own if line.get_marker() == "None"]
            crosses = [line for line in own if line.get_marker() == "x"]
            [thick] = lines
            [thin] = [
                found
                for found in axes.collections
                if isinstance(found, LineCollection) and to_hex(found.get_color()[0]) == FIXED[cell.objective].lower()
            ]
            diverged = [
                seed for objective, name, seed in DIVERGED if (objective, name) == (cell.objective, task.dataset)
            ]
            assert sum(len(line.get_xdata()) for line in crosses) == len(diverged)
            by_seed = cell.rows.dropna(subset="emd").groupby("seed")[["step", "emd"]]
            for segment, (_, rows) in zip(thin.get_segments(), by_seed, strict=True):
                np.testing.assert_array_equal(segment, rows)
            np.testing.assert_array_equal(thick.get_xdata(), STEPS)
            expected = cell.rows.dropna(subset="emd").groupby("step")["emd"].mean()
            np.testing.assert_allclose(thick.get_ydata(), expected, rtol=1e-12)
        [floor] = [line for line in axes.lines if line.get_color() == style.GREY]
        assert floor.get_linestyle() == "--"
        assert floor.get_ydata()[0] == pytest.approx(np.mean([0.05 + 0.001 * seed for seed in range(8)]))
        assert {text.get_text() for text in axes.texts} == {*OBJECTIVES, "real samples"}


def test_losses_have_a_panel_for_each_objective(drawn: tuple[View, dict[str, Drawing]]) -> None:
    shown = panels(drawn[1]["losses"].figure)
    titles = [axes.get_title(loc="left") for axes in shown]
    assert titles == [f"{objective}, {name}" for objective in OBJECTIVES for name in ("ring", "grid")]
    assert all({text.get_text() for text in axes.texts} == {"critic", "generator"} for axes in shown)


def test_settings_of_one_objective_are_shades_in_a_panel_of_its_own(sweep: tuple[View, dict[str, Drawing]]) -> None:
    shown = panels(sweep[1]["emd"].figure)
    assert len(shown) == 4
    for axes in shown:
        assert {text.get_text() for text in axes.texts} == {"lr=0.0001", "lr=0.0005", "lr=0.001", "real samples"}
        assert len({text.get_color() for text in axes.texts}) == 4


def test_settings_of_the_only_objective_are_told_apart(tmp_path: Path) -> None:
    _, drawings = draw(make_world(tmp_path, objectives=["wgan_gp"], datasets=["ring"], rates=(1e-4, 5e-4), seeds=[0]))
    [axes] = panels(drawings["emd"].figure)
    assert {text.get_text() for text in axes.texts} == {"lr=0.0001", "lr=0.0005", "real samples"}
    assert axes.get_title(loc="left") == "wgan_gp, ring"


def test_panels_stand_in_even_rows_with_numbers_under_each_column(tmp_path: Path) -> None:
    for count, rows in ((1, [1]), (3, [3]), (4, [2, 2]), (5, [3, 2]), (7, [3, 3, 1])):
        assert [len(row) for row in figures.even_rows(range(count))] == rows
    folder = make_world(tmp_path / "w", objectives=["wgan_gp"], datasets=["ring"], seeds=[0])
    [task] = view.read(folder).tasks
    with style.applied():
        figure, _ = figures.curves([task] * 5, [[train.CURVES[1][2][0]]], FIXED)
        figure.draw_without_rendering()
    told = [
        (axes.get_xlabel(), any(t.label1.get_visible() for t in axes.xaxis.get_major_ticks()))
        for axes in panels(figure)
    ]
    assert told == [("", False), ("", False), ("steps", True), ("steps", True), ("steps", True)]


def test_a_panel_has_room_for_its_labels() -> None:
    assert style.panel_height(3) == 1.35
    assert style.panel_height(30) == pytest.approx(30 * 1.25 * style.SMALL / 72)


def test_what_has_no_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "MOST_LINES", 2)
    monkeypatch.setattr(figures, "MOST_SAMPLES", 5)
    folder = make_world(tmp_path / "w", objectives=["wgan_gp"], rates=(1e-4, 2e-4, 3e-4, 4e-4, 5e-4), seeds=[0])
    _, drawings = draw(folder)
    assert "Cells that this figure has no room for: 6." in drawings["emd"].caption
    assert "Cells that this figure has no room for: 6." in drawings["samples"].caption
    assert len(panels(drawings["samples"].figure)) == 5


def test_files_are_embeddable_and_without_dates(built: tuple[Path, Report]) -> None:
    folder, _ = built
    for path in sorted((folder / "figures").glob("*.pdf")):
        data = path.read_bytes()
        assert b"/FontFile2" in data  # TrueType outlines inside
        assert b"/Type3" not in data
        assert b"Date" not in data
    for path in (folder / "figures").glob("*.png"):
        with Image.open(path) as image:
            assert image.width in (900, 1400)
            assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
            assert set(image.info) == {"dpi", "Title", "Description"}


def test_a_persons_own_style_is_kept_out_and_left_as_it_was(
    drawn: tuple[View, dict[str, Drawing]], tmp_path: Path
) -> None:
    with matplotlib.rc_context({"font.size": 33, "lines.linewidth": 9, "text.usetex": True}):
        with style.applied():
            assert matplotlib.rcParams["font.size"] == 8
            assert not matplotlib.rcParams["text.usetex"]
        assert matplotlib.rcParams["font.size"] == 33
