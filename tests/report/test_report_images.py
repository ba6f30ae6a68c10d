"""Pictures of runs on images, read back from the figures pixel by pixel."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence
from synthetic import OBJECTIVES, blobs, make_pictures, pictures_of

from bench import records
from bench.launch.run import rebuild
from bench.report import albums, animation, build, captions, classes, images, sheets, style, train, view
from bench.report.albums import Strip, stored
from bench.report.figures import Drawing
from bench.report.view import View

SEEDS = range(3)
KINDS = ("sheets", "seeds", "strip", "classes", "nearest")


def draw(folder: Path) -> tuple[View, dict[str, Drawing]]:
    """All figures but the slow ones that have nothing to do with images."""
    found = view.read(folder)
    with style.applied(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "CURVES", train.CURVES[1:])
        patch.setattr(train, "LOSSES", ())
        drawings = train.drawings(found, lambda cell, seed: records.load_samples(folder, f"{cell.id}-s{seed}"))
        for drawing in drawings:
            style.settle(drawing.figure)
    return found, {drawing.name: drawing for drawing in drawings}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("images"), *blobs(), seeds=SEEDS, planar=["ring"])


@pytest.fixture(scope="module")
def drawn(folder: Path) -> tuple[View, dict[str, Drawing]]:
    return draw(folder)


def arrays(found: View, folder: Path, objective: str, seed: int | None = None) -> dict[str, np.ndarray]:
    cell = next(cell for cell in found.cells if cell.objective == objective and cell.id.endswith("images"))
    stored_arrays = records.load_samples(folder, f"{cell.id}-s{cell.median_seed('emd') if seed is None else seed}")
    assert stored_arrays is not None
    return stored_arrays


def shown(drawing: Drawing) -> list[np.ndarray]:
    """The images of a figure as they are drawn, from left to right and from the top."""
    axes = sorted(drawing.figure.axes, key=lambda one: (-round(one.get_position().y1, 4), one.get_position().x0))
    return [np.asarray(one.images[0].get_array()) for one in axes]


def tiles_of(image: np.ndarray, side: int = 8, between: int = 1) -> list[np.ndarray]:
    rows, columns = (-(-length // (side + between)) for length in image.shape[:2])
    corners = [(i * (side + between), j * (side + between)) for i in range(rows) for j in range(columns)]
    return [image[top : top + side, left : left + side] for top, left in corners]


def same(tiles: list[np.ndarray], samples: np.ndarray) -> bool:
    """Grey samples [N, 1, H, W] against tiles [H, W, 3]."""
    return len(tiles) == len(samples) and all(
        (tile == own.transpose(1, 2, 0)).all() for tile, own in zip(tiles, samples, strict=True)
    )


def test_a_folder_has_pictures_of_images_beside_samples_in_the_plane(drawn: tuple[View, dict[str, Drawing]]) -> None:
    names = list(drawn[1])
    assert names == ["summary", *(f"{kind}_blobs" for kind in KINDS), "samples", "modes", "emd", "profiles"]
    told = [axes.get_title(loc="left") for axes in drawn[1]["emd"].figure.axes]
    assert {"ring", "blobs"} <= set(told)
    titles = {axes.get_title().split("\n")[0] for axes in drawn[1]["samples"].figure.axes if axes.axison}
    assert titles == {"real samples", *OBJECTIVES[:2]}
    assert "no room" not in drawn[1]["samples"].caption


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_covers_another_or_leaves_the_page(drawn: tuple[View, dict[str, Drawing]], kind: str) -> None:
    figure = drawn[1][f"{kind}_blobs"].figure
    with style.applied():
        figure.draw_without_rendering()
        renderer = figure.canvas.get_renderer()
        boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in figure.texts]
    width, height = figure.canvas.get_width_height()
    assert width == 7 * style.DPI
    for text, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text  # noqa: PT018
    for (one, a), (other, b) in combinations(boxes, 2):
        assert min(a.x1, b.x1) - max(a.x0, b.x0) < 1 or min(a.y1, b.y1) - max(a.y0, b.y0) < 1, (one, other)
    if kind != "classes":
        panels = [axes.get_window_extent(renderer) for axes in figure.axes]
        for box, (text, own) in ((box, text) for box in panels for text in boxes):
            assert min(own.x1, box.x1) - max(own.x0, box.x0) < 1 or min(own.y1, box.y1) - max(own.y0, box.y0) < 1, text


def test_sheets_are_of_the_median_seed_below_real_samples(drawn: tuple[View, dict[str, Drawing]], folder: Path) -> None:
    found, drawings = drawn
    real, *faces = shown(drawings["sheets_blobs"])
    across = (real.shape[1] + 1) // 9
    assert same(tiles_of(real), arrays(found, folder, "minimax")["real_sheet"][: 2 * across])
    texts = [text.get_text() for text in drawings["sheets_blobs"].figure.texts]
    for objective, face in zip(OBJECTIVES, faces, strict=True):
        own = arrays(found, folder, objective)
        assert same(tiles_of(face), own["sheet"][: 2 * across])
        cell = next(cell for cell in found.cells if cell.objective == objective and cell.id.endswith("images"))
        start = texts.index(objective)
        covered = (own["class_counts"] > 0).sum()
        assert texts[start + 1 : start + 3] == [f"seed {cell.median_seed('emd')}", f"{covered}/10 modes"]


def test_every_pixel_is_the_same_whole_number_of_pixels_wide(drawn: tuple[View, dict[str, Drawing]]) -> None:
    """Against the file: the pixels of the page, taken apart, are the image again."""
    drawing = drawn[1]["sheets_blobs"]
    with style.applied():
        page = np.asarray(Image.open(io.BytesIO(style.png(drawing.figure, "", ""))).convert("RGB"))
    height, width = page.shape[:2]
    for axes, image in zip(drawing.figure.axes, shown(drawing), strict=True):
        box = axes.get_position()
        left, right, top, bottom = (box.x0 * width, box.x1 * width, (1 - box.y1) * height, (1 - box.y0) * height)
        scale = round((right - left) / image.shape[1])
        assert np.allclose([left, right, top, bottom], np.round([left, right, top, bottom]), atol=1e-6)
        part = page[round(top) : round(bottom), round(left) : round(right)]
        np.testing.assert_array_equal(part, image.repeat(scale, 0).repeat(scale, 1))


def test_no_seed_is_hidden(drawn: tuple[View, dict[str, Drawing]], folder: Path) -> None:
    found, drawings = drawn
    drawing = drawings["seeds_blobs"]
    texts = [text.get_text() for text in drawing.figure.texts]
    assert [texts.count(f"seed {seed}") for seed in SEEDS] == [4, 4, 4]
    assert [texts.count(word) for word in ("diverged", "failed")] == [1, 1]
    ended = [(o, s) for o in OBJECTIVES for s in SEEDS if (o, s) not in (("minimax", 1), ("wgan_clip", 2))]
    for (objective, seed), image in zip(ended, shown(drawing), strict=True):
        assert same(tiles_of(image), arrays(found, folder, objective, seed)["sheet"][:16])


def test_the_strip_has_the_same_latents_at_steps_from_first_to_last(
    drawn: tuple[View, dict[str, Drawing]], folder: Path
) -> None:
    found, drawings = drawn
    drawing = drawings["strip_blobs"]
    texts = [text.get_text() for text in drawing.figure.texts]
    told = [text for text in texts if re.fullmatch(r"(step )?[\d,]+", text)]
    assert (len(told), told[0], told[-1]) == (8, "step 100", "10,000")
    own = arrays(found, folder, "minimax")
    at = [own["strip_steps"].tolist().index(int(text.removeprefix("step ").replace(",", ""))) for text in told]
    assert at == sorted(set(at))
    for image, index in zip(shown(drawing)[:8], at, strict=True):
        assert same(tiles_of(image), own["strip"][index])


def test_samples_stand_above_their_nearest_training_images(
    drawn: tuple[View, dict[str, Drawing]], folder: Path
) -> None:
    found, drawings = drawn
    pairs = shown(drawings["nearest_blobs"])
    texts = [text.get_text() for text in drawings["nearest_blobs"].figure.texts]
    for row, objective in enumerate(OBJECTIVES):
        own = arrays(found, folder, objective)
        for index, pair in enumerate(pairs[8 * row : 8 * row + 8]):
            assert same(tiles_of(pair), np.stack([own["sheet"][index], own["nearest"][index]]))
        assert all(f"{distance:.2f}" in texts for distance in own["nearest_distance"])


def test_few_classes_are_bars_with_dots_for_seeds(drawn: tuple[View, dict[str, Drawing]], folder: Path) -> None:
    found, drawings = drawn
    panels = drawings["classes_blobs"].figure.axes
    assert [axes.get_title(loc="left") for axes in panels] == list(OBJECTIVES)
    for axes, objective in zip(panels, OBJECTIVES, strict=True):
        runs = [s for s in SEEDS if (objective, s) not in (("minimax", 1), ("wgan_clip", 2))]
        counts = np.stack([arrays(found, folder, objective, seed)["class_counts"] for seed in runs])
        shares = counts / counts.sum(1, keepdims=True)
        bars = [bar for bar in axes.patches if hasattr(bar, "get_width")]
        np.testing.assert_allclose([bar.get_height() for bar in bars], shares.mean(0))
        np.testing.assert_allclose([line.get_ydata() for line in axes.lines], shares)
        [data] = [patch for patch in axes.patches if not hasattr(patch, "get_width")]
        np.testing.assert_allclose(data.get_data().values, np.full(10, 0.1))


def test_many_classes_are_masses_by_rank_beside_a_perfect_sampler(tmp_path: Path) -> None:
    make_pictures(tmp_path, *blobs(channels=3), objectives=["wgan_gp"], seeds=[0], k=300, n=3000, observed=1)
    found, drawings = draw(tmp_path)
    [axes] = drawings["classes_blobs"].figure.axes
    counts = arrays(found, tmp_path, "wgan_gp")["class_counts"]
    [thin, thick, perfect] = axes.lines
    for line in (thin, thick):
        np.testing.assert_allclose(line.get_ydata(), np.sort(counts[counts > 0])[::-1] / 3000)
    assert perfect.get_linestyle() == "--"
    assert "seeds_blobs" not in drawings  # one seed is in the sheets
    assert shown(drawings["sheets_blobs"])[1].std(-1).max() == 0  # blobs are grey in all three channels


@pytest.mark.parametrize("weights", [np.full(200, 1 / 200), np.arange(1, 201) / 20100])
def test_the_perfect_sampler_is_what_simulation_gives(weights: np.ndarray) -> None:
    ranks, shares = classes.perfect(1000, weights)
    drawn = np.random.default_rng(0).multinomial(1000, weights, size=4000)
    expected = [(drawn >= round(1000 * share)).sum(1).mean() for share in shares]
    np.testing.assert_allclose(ranks, expected, rtol=0.02, atol=0.1)
    assert ranks[-1] == pytest.approx(1) or ranks[-1] > 0.99
    assert ranks[0] == pytest.approx((1 - (1 - weights) ** 1000).sum(), rel=1e-9)


def test_the_perfect_sampler_is_found_for_any_number_of_samples() -> None:
    for n in (1, 2, 10**9):
        ranks, shares = classes.perfect(n, np.full(1000, 1 / 1000))
        assert 0 < len(ranks) <= 500
        assert np.isfinite([ranks, shares]).all()


# --- what others stored

GOOD = pictures_of(*blobs(), skill=1.0, seed=0)
PIECES = {"sheet": "sheet", "real_sheet": "real", "strip": "strip", "strip_steps": "strip", "nearest": "nearest",
          "nearest_distance": "nearest", "class_counts": "classes", "class_weights": "classes"}  # fmt: skip
WRONG: dict[str, Any] = {
    "without an axis": lambda a: a[..., 0],
    "with one more": lambda a: a[None],
    "empty": lambda a: a[:0],
    "of another type": lambda a: a.astype(np.complex64),
    "of truth values": lambda a: a.astype(bool),
    "a number": lambda a: a.reshape(-1)[0],
}


def test_all_that_is_whole_is_taken() -> None:
    found = stored(GOOD)
    assert all(getattr(found, part) is not None for part in PIECES.values())


@pytest.mark.parametrize("how", WRONG)
@pytest.mark.parametrize("name", PIECES)
def test_what_has_another_shape_or_type_is_left_out_alone(name: str, how: str) -> None:
    found = stored(GOOD | {name: np.asarray(WRONG[how](GOOD[name]))})
    gone = {PIECES[name]} | ({"nearest"} if name == "sheet" else set())
    assert {part for part in PIECES.values() if getattr(found, part) is None} == gone


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("sheet", {"sheet": np.zeros((64, 2, 8, 8), np.uint8)}),
        ("sheet", {"sheet": np.zeros((1, 1, 8, 1000), np.uint8)}),
        ("sheet", {"sheet": np.zeros((4, 1, 0, 8), np.uint8)}),
        ("strip", {"strip_steps": GOOD["strip_steps"][::-1].copy()}),
        ("strip", {"strip_steps": GOOD["strip_steps"] - 1000}),
        ("strip", {"strip_steps": GOOD["strip_steps"] * 10**9}),
        ("strip", {"strip": GOOD["strip"][:5]}),
        ("nearest", {"nearest": GOOD["nearest"][:, :, :4]}),
        ("nearest", {"nearest_distance": GOOD["nearest_distance"] * np.nan}),
        ("nearest", {"nearest_distance": GOOD["nearest_distance"][:3]}),
        ("classes", {"class_counts": -GOOD["class_counts"]}),
        ("classes", {"class_counts": GOOD["class_counts"] * 0}),
        ("classes", {"class_weights": GOOD["class_weights"] * np.nan}),
        ("classes", {"class_weights": GOOD["class_weights"] * 2}),
        ("classes", {"class_weights": GOOD["class_weights"][:4]}),
    ],
)
def test_what_cannot_be_is_left_out(part: str, changes: dict[str, np.ndarray]) -> None:
    assert getattr(stored(GOOD | changes), part) is None


def test_no_more_is_kept_than_is_drawn() -> None:
    many = {"sheet": np.zeros((500, 1, 8, 8), np.uint8), "strip": np.zeros((300, 20, 1, 8, 8), np.uint8)}
    found = stored(many | {"strip_steps": np.arange(300)})
    assert found.sheet is not None
    assert found.strip is not None
    assert found.sheet.shape[0] == 64
    assert found.sheet.base is None
    assert found.strip.frames.shape[:2] == (64, 8)
    assert (found.strip.steps[0], found.strip.steps[-1]) == (0, 299)
    few = stored(GOOD, whole=False)
    assert few.sheet is not None
    assert (len(few.sheet), few.strip, few.real) == (16, None, None)


def test_runs_that_cannot_be_drawn_are_told_and_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_strip", lambda album, colours: None)  # figures that this is not about
    monkeypatch.setattr(train, "CURVES", ())
    monkeypatch.setattr(train, "LOSSES", ())
    make_pictures(tmp_path, *blobs(), dataset="../a b", objectives=OBJECTIVES[1:3], seeds=[0, 1])
    [path, other] = sorted((tmp_path / "samples").glob("non_saturating*"))
    path.write_bytes(path.read_bytes()[:-1])
    records.publish_samples({"sheet": np.zeros((3, 3))}, tmp_path, other.stem)
    report = build(tmp_path)
    assert [error.path.name for error in report.errors] == [path.name]
    names = {file.stem for file in (tmp_path / "figures").iterdir()}
    assert names == {"summary", "sheets_-a-b", "seeds_-a-b", "classes_-a-b", "nearest_-a-b"}
    assert "Runs without samples that can be drawn: 2." in (tmp_path / "report.html").read_text()


def test_figures_are_bounded_and_say_what_they_leave_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(albums, "MOST_CELLS", 3)
    monkeypatch.setattr(images, "MOST_LINES", 2)
    make_pictures(tmp_path, *blobs(), seeds=[0, 1], observed=2)
    found = view.read(tmp_path)
    load = lambda cell, seed: records.load_samples(tmp_path, f"{cell.id}-s{seed}")  # noqa: E731
    with style.applied():
        [album] = albums.read(train.compared(found), load, "emd")
        drawings = {drawing.name: drawing for drawing in images.drawings(album, style.colours(OBJECTIVES), "")}
    assert "Cells that this figure has no room for: 1." in drawings["sheets_blobs"].caption
    assert len(drawings["sheets_blobs"].figure.axes) == 1 + 3
    assert "Runs that this figure has no room for: 4." in drawings["seeds_blobs"].caption
    assert len(drawings["seeds_blobs"].figure.axes) == 3  # one of four runs diverged


def test_names_of_files_are_safe_and_differ() -> None:
    assert list(albums.unique(["a", "a", "a_2", "b"])) == ["a", "a_2", "a_2_2", "b"]
    for name in ("../x", "a/b", "\x00", "", "é\ud800", "x" * 500):
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,60}", albums.file_name(name))


def test_larger_images_than_their_place_are_drawn_smaller() -> None:
    tiles = np.zeros((8, 3, 128, 100), np.uint8)
    with style.applied():
        figure = sheets.figure([sheets.Line("n", (), "black", (sheets.Block(tiles, 4),) * 8)])
    for axes in figure.axes:
        box = axes.get_position()
        assert box.width * 1400 <= sheets.WIDEST // 8
        assert (box.height * figure.get_figheight()) / (box.width * 7) == pytest.approx(265 / 421, rel=0.02)


# --- captions


def test_captions_tell_the_judge_and_the_parts(drawn: tuple[View, dict[str, Drawing]]) -> None:
    found, drawings = drawn
    judge = "Judge of blobs: held-out accuracy 98.2 % (n = 539; weights 1a2b3c4d)."
    parts = "Images: 719 to train on, 539 to compare with, 539 for the judge."
    for text in (
        train.tables(found)[0].caption,
        *(drawings[f"{kind}_blobs"].caption for kind in ("sheets", "classes")),
    ):
        assert text.count(judge) == 1
        assert text.count(parts) == 1
    assert "Judge" not in drawings["samples"].caption
    assert captions.judges(found.tasks[0].cells) == ""


def test_two_data_sets_have_their_names_in_captions(drawn: tuple[View, dict[str, Drawing]]) -> None:
    cells = [cell for cell in drawn[0].cells if cell.id.endswith("images")][:2]
    rows = cells[1].rows.assign(part_judge=np.nan, judge=None, part_train=10.0)
    other = view.CellView("x", "o", "", cells[1].seeds, rows, {"dataset": "more"})
    assert captions.parts([cells[0], other]) == (
        "Images of blobs: 719 to train on, 539 to compare with, 539 for the judge. "
        "Images of more: 10 to train on, 539 to compare with."
    )
    assert captions.judges([cells[0], other]).count("Judge of") == 1


# --- animations


def test_an_animation_is_the_strip_frame_by_frame() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(256, size=(4, 8, 1, 8, 8), dtype=np.uint8)
    data = animation.gif(Strip(frames, (0, 10, 100, 2000)))
    assert data == animation.gif(Strip(frames.copy(), (0, 10, 100, 2000)))
    with Image.open(io.BytesIO(data)) as image:
        found = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
        assert image.info["loop"] == 0
    assert len(found) == 4
    scale = found[0].shape[1] // 35
    for picture, tiles in zip(found, frames, strict=True):
        assert same(tiles_of(picture[animation.HEAD :: scale, ::scale]), tiles)
        assert picture[: animation.HEAD].min() < 128  # the step is written there


@pytest.mark.usefixtures("undrawn")
def test_animations_are_written_where_they_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pictures(tmp_path, *blobs(), objectives=OBJECTIVES[2:], seeds=[0, 1], observed=3)
    assert rebuild(tmp_path) == 0
    assert not list(tmp_path.rglob("*.gif"))
    assert rebuild(tmp_path, gif=True) == 0
    paths = [tmp_path / "figures" / f"strip_blobs_{objective}.gif" for objective in OBJECTIVES[2:]]
    assert sorted(tmp_path.rglob("*.gif")) == paths
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("animation")] == [
        f"animation: {path}" for path in paths
    ]
    with Image.open(paths[0]) as image:
        assert getattr(image, "n_frames", 1) == 3


@pytest.mark.usefixtures("undrawn")
def test_a_folder_without_images_has_no_animation(
    small: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert rebuild(small(seeds=[0]), gif=True) == 0
    assert "no animation" in capsys.readouterr().out
