"""What a grid comes down to: its modes, how near its runs come to the floor, and all of it on a page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy.spatial.distance import cdist
from synthetic import COMMIT, DIVERGED, FAILED, MEANS, OBJECTIVES, UNFINISHED, blobs, make_pictures, make_world
from test_report_figures import CVD, lab, linear

from bench import records
from bench.report import mode_maps, profiles, style, summary, train, view
from bench.report.figures import Drawing, Load
from bench.report.view import View


def loader(folder: Path) -> Load:
    return lambda cell, seed: records.load_samples(folder, f"{cell.id}-s{seed}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two objectives on two mixtures, three seeds; one run diverged."""
    return make_world(tmp_path_factory.mktemp("few"), objectives=OBJECTIVES[::3], seeds=[0, 1, 2])


@pytest.fixture(scope="module")
def drawn(folder: Path) -> tuple[View, dict[str, Drawing]]:
    found = view.read(folder)
    with style.applied():
        drawings = train.drawings(found, loader(folder))
        for drawing in drawings:
            style.settle(drawing.figure)
    return found, {drawing.name: drawing for drawing in drawings}


# --- modes


def arrays_of(n: int = 400, k: int = 5, d: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(k)
    weights = np.arange(1.0, k + 1)
    means = rng.normal(size=(k, d)) + 100  # far from 0, where squares are large
    return {
        "fake": (rng.normal(size=(n, d)) + 100).astype(np.float32),
        "means": means,
        "weights": weights / weights.sum(),
    }


def test_a_mode_has_the_share_of_the_samples_nearest_to_it_over_its_weight() -> None:
    arrays = arrays_of()
    nearest = cdist(arrays["fake"], arrays["means"]).argmin(1)
    expected = [(nearest == k).mean() / weight for k, weight in enumerate(arrays["weights"])]
    np.testing.assert_allclose(mode_maps.ratios(arrays), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "changed",
    [
        {"weights": None},
        {"fake": None},
        {"weights": np.full(4, 0.25)},
        {"weights": np.array([0.5, 0.5, 0, 0, 0])},
        {"means": np.full((5, 2), 1.0)},
        {"fake": np.full((3, 3), np.nan)},
        {"fake": np.zeros((0, 3))},
        {"fake": np.zeros((4, 1, 8, 8), np.uint8)},
        {"means": np.zeros((101, 3)), "weights": np.full(101, 1 / 101)},
    ],
    ids=lambda changed: "+".join(changed),
)
def test_what_does_not_fit_has_no_shares(changed: Mapping[str, np.ndarray | None]) -> None:
    known = {name: array for name, array in (arrays_of() | changed).items() if array is not None}
    assert mode_maps.ratios(known) is None


def test_strips_have_the_mean_over_seeds_above_each_seed(drawn: tuple[View, dict[str, Drawing]], folder: Path) -> None:
    found, drawings = drawn
    shown = [axes for axes in drawings["modes"].figure.axes if axes.images]
    for axes, task in zip(shown, found.tasks, strict=True):
        assert axes.get_title(loc="left") == task.title
        assert [label.get_text() for label in axes.get_yticklabels()] == [cell.objective for cell in task.cells]
        means = MEANS[task.dataset]
        for cell, thick, thin in zip(task.cells, axes.images[::2], axes.images[1::2], strict=True):
            seeds = []
            for seed in cell.ended("ok"):
                stored = records.load_samples(folder, f"{cell.id}-s{seed}")
                assert stored is not None
                counts = np.bincount(cdist(stored["fake"], means).argmin(1), minlength=len(means))
                seeds.append(len(means) * counts / len(stored["fake"]))
            for image, expected in ((thick, np.mean(seeds, 0, keepdims=True)), (thin, np.array(seeds))):
                np.testing.assert_allclose(image.get_array(), np.clip(expected, 1 / 8, 8), rtol=1e-9)
            assert thick.get_extent()[2] == pytest.approx(thin.get_extent()[3])  # one above the other


@pytest.mark.parametrize("sight", CVD)
def test_too_few_and_too_many_can_be_told_apart_whatever_the_sight(sight: str) -> None:
    few, due, many = (lab(np.array(CVD[sight]) @ linear(to_hex(mode_maps.COLOURS(at)))) for at in (0.2, 0.5, 0.8))
    for a, b in ((few, due), (due, many), (few, many)):
        assert np.linalg.norm(a - b) > 20


# --- profiles


def test_profiles_count_runs_by_their_factor_of_the_floor_and_diverged_ones_never(world: Path) -> None:
    found = view.read(world)
    [arm] = profiles.arms(found.tasks, "emd")
    assert [line.cells[0].objective for line in arm.lines] == list(OBJECTIVES)
    ends = found.rows.drop_duplicates("run_id", keep="last")
    floors = ends[ends.status == "ok"].groupby(["dataset", "seed"])["emd_floor"].mean().groupby("dataset").mean()
    for line in arm.lines:
        own = ends[(ends.objective == line.cells[0].objective) & ends.status.isin(["ok", "diverged"])]
        factors = (own["emd"] / own["dataset"].map(floors)).to_numpy()  # NaN where the run diverged
        lost = sum(name == line.cells[0].objective for name, *_ in (FAILED, UNFINISHED))
        never = sum(name == line.cells[0].objective for name, *_ in DIVERGED)
        assert (len(factors), np.isnan(factors).sum()) == (16 - lost, never)
        levels = np.array([0.5, *np.nanquantile(factors, [0.3, 0.6]), 1e9]) * (1 + 1e-9)  # many are at the floor
        expected = np.array([np.mean(factors <= level) for level in levels])
        np.testing.assert_allclose(profiles.profile(np.concatenate([*line.factors.values()]), levels, "down"), expected)
        low, high = profiles.band(line, levels)
        assert ((low <= expected) & (expected <= high)).all()
        assert (high - low > 0).tolist() == [0 < share < 1 for share in expected]


def test_lines_are_named_from_the_first_that_rises_down(drawn: tuple[View, dict[str, Drawing]]) -> None:
    found, drawings = drawn
    [axes] = drawings["profiles"].figure.axes
    assert axes.get_xscale() == "log"
    named = [text.get_text() for text in sorted(axes.texts, key=lambda text: -text.xy[1])]  # type: ignore[attr-defined]
    assert named == ["wgan_gp", "minimax"]
    for line, objective in zip(axes.lines, ("minimax", "wgan_gp"), strict=False):
        assert line.get_color() == style.colours(OBJECTIVES)[objective]
    diverged = sum(len(cell.ended("diverged")) for cell in found.cells)
    assert axes.lines[0].get_ydata()[-1] == pytest.approx(1 - diverged / 6)


def test_one_task_has_no_profiles_and_cells_that_a_task_lacks_are_left_out(tmp_path: Path) -> None:
    found = view.read(make_world(tmp_path, objectives=OBJECTIVES[2:], seeds=[0, 1], rates=(1e-4, 2e-4)))
    assert profiles.arms(found.tasks[:1], "emd") == []
    ring, grid = found.tasks
    [arm] = profiles.arms([ring, grid.only(grid.cells[1:])], "emd")
    labels = [line.cells[0].label for line in arm.lines]
    assert labels == ["wgan_clip (lr=0.0002)", "wgan_gp (lr=0.0001)", "wgan_gp (lr=0.0002)"]
    with style.applied():
        drawing = profiles.drawing([ring, grid.only(grid.cells[1:])], style.colours(OBJECTIVES), "emd", "EMD", "")
    assert drawing is not None
    assert "left out: 1." in drawing.caption


# --- a page


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_a_page_says_what_was_asked_and_how_it_ended(drawn: tuple[View, dict[str, Drawing]]) -> None:
    figure = drawn[1]["summary"].figure
    told = words(figure)
    assert told[:2] == ["modes", "Four objectives."]
    assert told[2].startswith("train: 4 cells; 3 seeds a cell; 11 of 12 runs done, 1 diverged; commit " + COMMIT[:10])
    width, height = figure.get_size_inches()
    assert width == style.PAGE_WIDTH
    assert height <= 9.9
    assert {"ring, 8 modes", "grid, 25 modes"} <= set(told)


def test_final_values_are_a_dot_a_seed_with_their_mean_in_numbers(drawn: tuple[View, dict[str, Drawing]]) -> None:
    found, drawings = drawn
    figure = drawings["summary"].figure
    told = words(figure)
    dotted = [axes for axes in figure.axes if sum(line.get_marker() == "." for line in axes.lines) == 2]
    assert len(dotted) == 2 * 2
    for axes, (task, column) in zip(
        dotted, [(task, name) for task in found.tasks for name in ("modes_covered_by_mass", "emd")], strict=True
    ):
        dots = [line for line in axes.lines if line.get_marker() == "."]
        for line, cell in zip(dots, task.cells, strict=True):
            rows = cell.rows[cell.rows.status == "ok"].drop_duplicates("seed", keep="last")
            expected = rows[rows.seed.isin(cell.ended("ok"))].set_index("seed")[column]
            np.testing.assert_array_equal(line.get_xdata(), expected)
            assert len(set(line.get_ydata())) == len(expected)  # ties do not hide each other
            assert f"{expected.mean():.3g}" in told
        [floor] = {line.get_xdata()[0] for line in axes.lines if line.get_color() == style.GREY}
        assert floor == pytest.approx(np.mean([*task.floor(f"{column}_floor").values()]))


def test_images_have_tiles_and_classes_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train.images, "drawings", lambda album, colours, told: [])  # what this is not about
    monkeypatch.setattr(train.figures, "curves", lambda *shown, **how: (style.new_figure(1), 0))
    folder = make_pictures(tmp_path, *blobs())
    found = view.read(folder)
    with style.applied():
        [page, *_] = train.drawings(found, loader(folder))
    assert page.name == "summary"
    images = [image for axes in page.figure.axes for image in axes.images]
    tiles = [image for image in images if image.get_array().ndim == 3]
    cells = [cell for cell in found.cells if cell.ended("ok")]
    assert len(tiles) == len(cells)
    strips = [image for image in images if image.get_array().ndim == 2 and image.get_array().shape[1] == 10]
    for image, cell in zip(strips[1::2], cells, strict=True):
        counts = [records.load_samples(folder, f"{cell.id}-s{seed}")["class_counts"] for seed in cell.ended("ok")]  # type: ignore[index]
        expected = [np.clip(10 * one / one.sum(), 1 / 8, 8) for one in counts]
        np.testing.assert_allclose(image.get_array(), expected)


def plain(colour: str, height: float, name: str = "a", width: float = style.PAGE_WIDTH) -> Drawing:
    figure = style.new_figure(height, width)
    figure.set_facecolor(colour)
    axes: Axes = figure.subplots()
    axes.set_axis_off()
    return Drawing(name, f"Figure {name}", "", figure)


def test_other_experiments_have_a_page_of_their_first_figures_that_fit(drawn: tuple[View, dict[str, Drawing]]) -> None:
    with style.applied():
        given = [plain("red", 4.5), plain("lime", 3.5, "b", 4.5), plain("black", 6.0, "c"), plain("blue", 1.0, "d")]
        page, *rest = summary.first(drawn[0], given)
    assert rest == given
    assert (page.name, page.caption.count("Figure")) == ("summary", 3)
    assert words(page.figure)[3:] == ["Figure a", "Figure b", "Figure d"]
    shown = [axes for axes in page.figure.axes if axes.images]
    sizes = [axes.get_position().size * page.figure.get_size_inches() for axes in shown]
    scale = sizes[0][0] / style.PAGE_WIDTH
    assert 0.75 <= scale < 0.95
    np.testing.assert_allclose(sizes, scale * np.array([(7, 4.5), (4.5, 3.5), (7, 1)]))
    for axes, colour in zip(shown, ([255, 0, 0], [0, 255, 0], [0, 0, 255]), strict=True):
        pixels = axes.images[0].get_array()
        assert pixels.shape[1] == pytest.approx(2 * 200 * axes.get_position().width * 7, abs=1)
        assert (pixels[..., :3] == colour).all()
    assert math.isclose(page.figure.dpi, style.DPI)
    assert given[0].figure.dpi == style.DPI  # as it was


def test_a_page_is_made_once_and_only_of_something(drawn: tuple[View, dict[str, Drawing]]) -> None:
    with style.applied():
        assert summary.first(drawn[0], []) == []
        given = [plain("red", 1.0), plain("red", 1.0, "summary")]
        assert summary.first(drawn[0], given) == given


def test_a_figure_that_is_too_tall_is_made_to_fit(drawn: tuple[View, dict[str, Drawing]]) -> None:
    with style.applied():
        page = summary.first(drawn[0], [plain("red", 20.0)])[0]
    assert page.figure.get_size_inches()[1] == pytest.approx(9.9, abs=0.01)
    [axes] = [axes for axes in page.figure.axes if axes.images]
    low, high = axes.get_position().y0, axes.get_position().y1
    assert 0 <= low < high < 1


def test_letters_of_names_stay_letters() -> None:
    assert style.plain("Fr\u00e9chet \u4e2d\x9f") == "Fr\u00e9chet \\u4e2d\\x9f"
