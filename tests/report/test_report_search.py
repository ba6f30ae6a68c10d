from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import comb
from synthetic import ENDS, OBJECTIVES, SEEDS, make_search

from bench import records
from bench.report import Report, build, search, train, view
from bench.statistics import best_of

TRIED = [draw for draw in range(24) if ENDS.get(draw) not in ("skipped", "missing")]
BADLY = [draw for draw in TRIED if draw in ENDS]


@cache
def raw(folder: Path, objective: str, draw: int, seed: int = 0) -> pd.Series:
    """The last row of a run, from its file."""
    return pd.read_parquet(folder / "runs" / f"{objective}-ring-{draw}-s{seed}.parquet").iloc[-1]


def finals(folder: Path, objective: str, column: str) -> dict[int, float]:
    return {draw: float(raw(folder, objective, draw)[column]) for draw in TRIED if draw not in BADLY}


def part(table: pd.DataFrame, words: str) -> pd.DataFrame:
    return table[table["part"].str.contains(words, regex=False)].set_index("objective")


def test_the_expected_best_is_that_of_the_records(searched: tuple[Path, Report]) -> None:
    """Against the sum over order statistics with scipy's binomials, over the raw files."""
    folder, _ = searched
    table = pd.read_csv(folder / "tables" / "search.csv")
    n = len(TRIED)
    for column, words, sign in (("emd", "EMD", 1), ("modes_covered", "one-sample", -1)):
        rows = part(table, words)
        everything = [value for name in OBJECTIVES[1:] for value in finals(folder, name, column).values()]
        worst = max(everything) if sign > 0 else 0.0
        for objective in OBJECTIVES[1:]:
            values = [*finals(folder, objective, column).values(), *[worst] * len(BADLY)]
            ordered = sorted(values, key=lambda value: sign * value)
            for k, name in ((1, "1"), (4, "4"), (16, "16"), (n, "all")):
                expected = sum(x * comb(n - i, k - 1) / comb(n, k) for i, x in enumerate(ordered, 1))
                assert rows.loc[objective, f"best_of_{name}"] == pytest.approx(expected, rel=1e-9)
                assert rows.loc[objective, f"best_of_{name}_n"] == n
    assert "best_of_64" not in table


def test_what_ended_badly_is_counted_and_what_was_not_tried_is_not(searched: tuple[Path, Report]) -> None:
    folder, report = searched
    table = pd.read_csv(folder / "tables" / "search.csv")
    counts = table[table["objective"] != "floor"][["settings", "diverged", "failed"]]
    assert (counts == [len(TRIED), 2, 1]).all().all()
    caption = report.tables[1].splitlines()[-1]
    assert "skipped or are missing, left out: 6." in caption
    assert f"{', '.join(OBJECTIVES[1:])}, skipped: batch norm and a penalty." in caption.replace("\\", "")
    floor = table[table["objective"] == "floor"].set_index("part")["best_of_4"]
    assert [f"{value:.2f}" for value in floor] == ["0.05", "8.00", "8.00"]


def test_intervals_are_those_over_settings(searched: tuple[Path, Report]) -> None:
    folder, _ = searched
    rows = part(pd.read_csv(folder / "tables" / "search.csv"), "mass")
    values = [*finals(folder, "wgan_gp", "modes_covered_by_mass").values(), *[0.0] * len(BADLY)]
    [expected] = best_of(values, [4], "up")
    found = rows.loc["wgan_gp", ["best_of_4_low", "best_of_4_high"]].tolist()
    assert found == pytest.approx([expected.low, expected.high], rel=1e-12)
    assert expected.low < expected.high


def test_chosen_cells_have_the_other_table_to_themselves(searched: tuple[Path, Report]) -> None:
    folder, report = searched
    assert len(report.tables) == 3
    table = pd.read_csv(folder / "tables" / "quality.csv")
    assert table["part"].unique().tolist() == ["ring, arm: reference, 8 modes"]
    assert table["objective"].tolist() == [*OBJECTIVES[1:], "floor"]
    assert f"of {len(SEEDS)} seeds a cell" in report.tables[0]


def test_the_best_setting_is_told_with_its_settings_and_as_chosen_after_the_fact(searched: tuple[Path, Report]) -> None:
    folder, report = searched
    cells = {cell["cell_id"]: cell for cell in records.load_manifest(folder)["cells"]}
    table = pd.read_csv(folder / "tables" / "search_best.csv").set_index("objective")
    for objective in OBJECTIVES[1:]:
        values = finals(folder, objective, "emd")
        draw = min(values, key=values.__getitem__)
        row = table.loc[objective]
        assert (row["draw"], row["n"]) == (draw, 1)
        assert row["emd"] == pytest.approx(values[draw], rel=1e-12)
        assert row["modes_covered"] == raw(folder, objective, draw)["modes_covered"]
        own = cells[f"{objective}-ring-{draw}"]["settings"]
        told = dict(word.split("=") for word in row["settings"].split(", "))
        assert float(told["lr"]) == own["critic_optimizer"]["lr"]
        assert ("hparams.penalty_weight" in told) == (objective == "wgan_gp")
    assert table.loc["floor", "emd"] == pytest.approx(0.05)
    assert "after the fact" in report.tables[2]
    assert "optimistic" in report.tables[2]


def test_captions_say_how_settings_were_drawn_and_what_failures_count_for(searched: tuple[Path, Report]) -> None:
    caption = searched[1].tables[1].splitlines()[-1]
    for words in (
        "search seed 7", "without replacement", "over settings", "1 seed", "0 modes", "worst EMD", "optimistic",
        "equal in generator steps (10,000)", "2,500 generated samples",
    ):  # fmt: skip
        assert words in caption
    assert '<th scope="row">search</th><td>seed 7, settings 24</td>' in (searched[0] / "report.html").read_text()


@pytest.mark.usefixtures("undrawn")
def test_a_setting_on_several_seeds_counts_by_their_mean(tmp_path: Path) -> None:
    folder = make_search(tmp_path, settings=5, seeds=(0, 1), objectives=["wgan_gp"], arms=[""], chosen=())
    (folder / "runs" / "wgan_gp-ring-0-s1.parquet").unlink()
    report = build(folder)
    assert len(report.tables) == 2  # nothing was chosen
    table = part(pd.read_csv(folder / "tables" / "search.csv"), "EMD")
    lasts = {
        (draw, seed): raw(folder, "wgan_gp", draw, seed) for draw in range(5) for seed in (0, 1) if draw or not seed
    }
    worst = max(row["emd"] for row in lasts.values() if row["status"] == "ok")
    value = {key: row["emd"] if row["status"] == "ok" else worst for key, row in lasts.items()}
    means = [np.mean([value[draw, seed] for seed in (0, 1) if (draw, seed) in value]) for draw in range(5)]
    assert table.loc["wgan_gp", "best_of_1"] == pytest.approx(np.mean(means), rel=1e-12)
    assert table.loc["wgan_gp", "best_of_all"] == pytest.approx(min(means), rel=1e-12)
    assert table.loc["wgan_gp", "diverged"] == 1


def test_a_search_in_which_all_diverged_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthetic.ENDS", dict.fromkeys(range(4), "diverged"))
    folder = make_search(tmp_path, settings=4, objectives=["wgan_gp"], chosen=())
    report = build(folder)
    table = pd.read_csv(folder / "tables" / "search.csv")
    assert table.loc[table["objective"] == "wgan_gp", "diverged"].tolist() == [4, 4, 4]
    assert part(table, "EMD").loc["wgan_gp", "best_of_1":].isna().all()
    assert part(table, "mass").loc["wgan_gp", "best_of_all"] == 0
    assert "none ended well" in report.tables[1]
    assert (folder / "figures" / "best_of_k.png").exists()
    assert not (folder / "figures" / "emd.png").exists()


def test_an_objective_that_has_tried_nothing_yet_keeps_its_row(tmp_path: Path) -> None:
    folder = make_search(tmp_path, settings=2, objectives=OBJECTIVES[2:])
    for path in (folder / "runs").glob("wgan_gp-ring-?-s*"):
        path.unlink()
    found = view.read(folder)
    _, expected, best = train.tables(found)
    assert expected.parts[0].rows[1].entries == ("wgan_gp", 0, 0, 0, None, None)
    assert best.parts[0].rows[1].entries[:3] == ("wgan_gp", None, 0)
    [drawing] = search.drawings(found, dict.fromkeys(OBJECTIVES, "black"))
    assert "wgan_gp (no value)" in {text.get_text() for text in drawing.figure.axes[0].texts}


def test_a_search_that_has_not_begun_shows_nothing_of_it(tmp_path: Path) -> None:
    folder = make_search(tmp_path, settings=2, objectives=["wgan_gp"])
    for path in (folder / "runs").glob("wgan_gp-ring-?-s*"):
        path.unlink()
    found = view.read(folder)
    assert [table.name for table in train.tables(found)] == ["quality"]
    assert search.drawings(found, {}) == []


def test_pictures_show_the_best_setting_of_each_objective(searched: tuple[Path, Report]) -> None:
    found = view.read(searched[0])
    tuned = found.tasks[1]
    labels = [cell.label for cell in search.best(tuned)]
    assert labels == [f"{objective} (best of {len(TRIED)} settings)" for objective in OBJECTIVES[1:]]
    shown: list[str] = []

    def load(cell: view.CellView, seed: int) -> None:
        shown.append(cell.id)

    captions = {drawing.name: drawing.caption for drawing in train.drawings(found, load)}
    best = [cell.id for cell in search.best(tuned)]
    assert list(dict.fromkeys(shown)) == [*(f"{objective}-ring" for objective in OBJECTIVES[1:]), *best]
    assert "best setting of each objective by EMD: chosen by this outcome, after the fact" in captions["emd"]


@pytest.mark.usefixtures("undrawn")
def test_a_grid_without_a_search_says_nothing_of_one(small: Callable[..., Path]) -> None:
    folder = small()
    assert len(build(folder).tables) == 1
    assert "search" not in (folder / "report.html").read_text().lower()


def test_lines_of_the_figure_end_at_the_best_and_begin_at_the_mean(searched: tuple[Path, Report]) -> None:
    folder, _ = searched
    found = view.read(folder)
    colours = {name: f"#{index + 1:06x}" for index, name in enumerate(OBJECTIVES)}
    [drawing] = search.drawings(found, colours)
    emd, mass, modes = (axes for axes in drawing.figure.axes if axes.axison)
    assert (emd.get_xscale(), emd.get_yscale(), modes.get_yscale()) == ("log", "log", "linear")
    for axes, column in ((emd, "emd"), (mass, "modes_covered_by_mass"), (modes, "modes_covered")):
        assert {text.get_text() for text in axes.texts} == {*OBJECTIVES[1:], "real samples"}
        assert len(axes.collections) == 3
        for objective in OBJECTIVES[1:]:
            [line] = [line for line in axes.lines if line.get_color() == colours[objective]]
            values = finals(folder, objective, column).values()
            best = min(values) if column == "emd" else max(values)
            assert (line.get_xdata()[0], line.get_xdata()[-1]) == (1, len(TRIED))
            assert line.get_ydata()[-1] == pytest.approx(best, rel=1e-12)
            steps = np.diff(line.get_ydata())
            assert (steps <= 1e-12 if column == "emd" else steps >= -1e-12).all()
    [floor] = [line for line in emd.lines if line.get_linestyle() == "--"]
    assert floor.get_ydata()[0] == pytest.approx(0.05)
    assert math.isclose(emd.get_xlim()[0], 1, rel_tol=0.3)
    assert modes.get_xlabel() == "settings tried"
