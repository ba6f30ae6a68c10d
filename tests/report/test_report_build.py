from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import COMMIT, DIVERGED, SEEDS, cut_short, run_rows, settings_of

from bench import records
from bench.records import RecordError
from bench.report import Report, build

FILES = {
    *(f"tables/quality.{ending}" for ending in ("md", "tex", "csv")),
    *(
        f"figures/{name}.{ending}"
        for name in ("summary", "samples", "modes", "modes_covered", "emd", "profiles", "losses")
        for ending in ("pdf", "png")
    ),
    "tables/numbers.tex",
    "results.parquet",
    "report.html",
}


def outputs(folder: Path) -> dict[str, str]:
    """Digest of each file that is not a record, samples or the manifest."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name not in ("runs", "samples") and path.name != records.MANIFEST
    }


def test_writes_what_it_promises_and_counts_how_runs_ended(built: tuple[Path, Report]) -> None:
    folder, report = built
    assert set(outputs(folder)) == FILES
    ends = report.outcomes
    assert (ends.planned, ends.ok, ends.diverged, ends.failed, ends.missing) == (64, 60, 2, 1, 1)
    assert str(ends) == "60 of 64 runs done, 2 diverged, 1 failed, 1 missing"
    assert report.tables == ((folder / "tables" / "quality.md").read_text(),)
    assert report.errors == ()
    assert "60 of 64 runs done, 2 diverged, 1 failed, 1 missing" in (folder / "report.html").read_text()


def test_the_same_records_give_the_same_bytes_in_another_process_without_torch(
    built: tuple[Path, Report], world: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere" / "copied"
    shutil.copytree(world, folder)
    script = (
        "import sys, pathlib, bench.report; bench.report.build(pathlib.Path(sys.argv[1]));"
        "assert 'torch' not in sys.modules, 'torch was loaded'"
    )
    environment = os.environ | {"PYTHONHASHSEED": "5", "SOURCE_DATE_EPOCH": "1000000000", "TZ": "Asia/Tokyo"}
    subprocess.run(
        [sys.executable, "-c", script, str(folder)], check=True, env=environment, cwd=Path(records.__file__).parents[1]
    )
    assert outputs(folder) == outputs(built[0])


def test_what_is_built_is_never_read(small: Callable[..., Path]) -> None:
    folder = small()
    build(folder)
    before = outputs(folder)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and str(path.relative_to(folder)) in FILES:
            path.write_bytes(b"rubbish")
    build(folder)
    assert outputs(folder) == before


def test_the_view_has_every_row_of_every_record(built: tuple[Path, Report]) -> None:
    folder, _ = built
    rows = pd.read_parquet(folder / "results.parquet")
    parts = [pd.read_parquet(path) for path in sorted((folder / "runs").iterdir())]
    pd.testing.assert_frame_equal(rows, pd.concat(parts, ignore_index=True)[rows.columns], check_dtype=False)


@pytest.mark.usefixtures("undrawn")
def test_a_damaged_record_is_named_and_reaches_no_table(small: Callable[..., Path]) -> None:
    folder = small(seeds=range(6))
    build(folder)
    whole = pd.read_csv(folder / "tables" / "quality.csv").set_index("objective")
    path = folder / "runs" / "non_saturating-ring-0.0001-s3.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    (folder / "runs" / "notes.txt").write_text("mine")
    report = build(folder)
    rest = pd.read_csv(folder / "tables" / "quality.csv").set_index("objective")
    assert [error.path.name for error in report.errors] == [path.name, "notes.txt"]
    assert report.outcomes.missing == 1
    assert rest.loc["non_saturating", ["n", "lost"]].tolist() == [5, 1]
    assert rest.loc["wgan_clip", "emd"] == whole.loc["wgan_clip", "emd"]
    page = (folder / "report.html").read_text()
    assert f"<code>runs/{path.name}</code>: damaged" in page
    assert "<code>runs/notes.txt</code>: not a record" in page
    assert str(folder) not in page


def test_damaged_samples_are_named_and_not_drawn(small: Callable[..., Path]) -> None:
    folder = small()
    (folder / "samples" / "wgan_clip-ring-0.0001-s0.safetensors").unlink()
    for path in (folder / "samples").iterdir():
        data = bytearray(path.read_bytes())
        data[-5] ^= 1
        path.write_bytes(data)
    report = build(folder)
    assert sorted(str(error).split("/")[-2:] for error in report.errors) == [
        ["samples", f"{run}.safetensors: damaged: the content does not match its digest"]
        for run in ("non_saturating-ring-0.0001-s0", "non_saturating-ring-0.0001-s1", "wgan_clip-ring-0.0001-s1")
    ]
    assert not (folder / "figures" / "samples.png").exists()


@pytest.mark.usefixtures("undrawn")
def test_no_manifest_no_plan(small: Callable[..., Path]) -> None:
    folder = small()
    (folder / records.MANIFEST).unlink()
    report = build(folder)
    assert str(report.outcomes) == "4 of 4 runs done"
    assert [error.path.name for error in report.errors] == [records.MANIFEST]


@pytest.mark.usefixtures("undrawn")
def test_records_of_another_grid_are_left_out_and_counted(small: Callable[..., Path]) -> None:
    folder = small()
    settings = settings_of("minimax", "ring")
    records.publish(pd.DataFrame(run_rows("minimax", "ring", 0, "minimax-other", settings)), folder)
    report = build(folder)
    assert report.outcomes.planned == 4
    assert "minimax" not in report.tables[0]
    assert "records of other grids, left out</th><td>1<" in (folder / "report.html").read_text()


def test_a_grid_without_a_finished_run_has_a_page(small: Callable[..., Path]) -> None:
    folder = small()
    for path in (folder / "runs").iterdir():
        path.unlink()
    report = build(folder)
    assert str(report.outcomes) == "0 of 4 runs done, 4 missing"
    assert "No run has finished yet." in (folder / "report.html").read_text()


def test_a_grid_whose_runs_all_diverged_has_tables_and_figures(tmp_path: Path) -> None:
    settings = settings_of("minimax", "ring")
    for seed, observed in enumerate((0, 3)):
        rows = cut_short(run_rows("minimax", "ring", seed, "minimax-x", settings), "diverged", "a gradient", observed)
        records.publish(pd.DataFrame(rows), tmp_path)
    report = build(tmp_path)
    assert str(report.outcomes) == "0 of 2 runs done, 2 diverged"
    assert (tmp_path / "figures" / "emd.png").exists()


def test_columns_that_the_records_lack_are_not_shown(tmp_path: Path) -> None:
    settings = settings_of("minimax", "ring")
    for seed in range(2):
        frame = pd.DataFrame(run_rows("minimax", "ring", seed, "minimax-x", settings))
        quality = [name for name in frame if name.startswith(("modes", "high", "reverse", "total", "generator_loss"))]
        records.publish(frame.drop(columns=[*quality, "critic_loss", "cpu_seconds"]), tmp_path)
    report = build(tmp_path)
    assert sorted(path.name for path in (tmp_path / "figures").glob("*.png")) == ["emd.png", "summary.png"]
    head = report.tables[0].splitlines()[2]
    assert "EMD" in head
    assert not any(word in head for word in ("Modes", "Reverse", "CPU"))


def test_an_experiment_without_a_report_of_its_own_has_a_page(tmp_path: Path) -> None:
    frame = pd.DataFrame(run_rows("minimax", "ring", 0, "minimax-x", settings_of("minimax", "ring")))
    records.publish(frame.assign(experiment="of_a_later_release"), tmp_path)
    assert build(tmp_path).tables == ()
    assert "1 of 1 runs done" in (tmp_path / "report.html").read_text()


def test_a_folder_that_is_none_is_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no results here"):
        build(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_numbers_in_the_table_are_those_of_the_records(built: tuple[Path, Report]) -> None:
    """Against pandas over the raw files."""
    folder, _ = built
    table = pd.read_csv(folder / "tables" / "quality.csv")
    rows = pd.concat([pd.read_parquet(path) for path in (folder / "runs").iterdir()])
    last = rows[(rows["step"] == 10000) & (rows["status"] == "ok")]
    means = last.groupby(["dataset", "objective"])[["emd", "modes_covered", "cpu_seconds"]].mean()
    for dataset in ("ring", "grid"):
        part = table[table["part"].str.startswith(dataset)].set_index("objective")
        expected = means.loc[dataset]
        for column in expected:
            np.testing.assert_allclose(part[column].drop("floor"), expected[column][part.index[:-1]], rtol=1e-12)
        floor = np.mean([0.05 + 0.001 * seed for seed in SEEDS])
        assert part.loc["floor", "emd"] == pytest.approx(floor, rel=1e-12)
        assert part["diverged"].drop("floor").tolist() == [len(DIVERGED) if dataset == "grid" else 0, 0, 0, 0]
        inside = (part["emd_low"] <= part["emd"]) & (part["emd"] <= part["emd_high"])
        assert inside.all()


def test_captions_say_what_was_measured(built: tuple[Path, Report]) -> None:
    _, report = built
    caption = report.tables[0].splitlines()[-1]
    for part in (
        "8 seeds", "Mean", "95 % percentile bootstrap", "2,500 generated samples", "EMD on 1,000",
        "equal in generator steps (10,000), not in critic steps and CPU seconds", COMMIT[:10], "2 diverged",
    ):  # fmt: skip
        assert part in caption
