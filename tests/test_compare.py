"""Results folders side by side and merged: against scipy, numpy and the bytes of the records themselves."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from report.synthetic import change_manifest, make_world
from scipy import stats

from bench import ROOT, records
from bench.cli import main
from bench.errors import UserError
from bench.report import agreement, build, train, view
from bench.report.compare import compare
from bench.report.sides import Side, read_sides, refuse_mixing

GP, NS = "wgan_gp-ring-0.0001", "non_saturating-ring-0.0001"
SEEDS = range(5)
DIRAC = ("minimax-alternating-a7365e0d5a-s0", "wgan_gp-alternating-a90b8afc2c-s0")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, not to be written to: two objectives on one mixture, five seeds."""
    folder = tmp_path_factory.mktemp("made") / "here"
    return make_world(folder, objectives=["non_saturating", "wgan_gp"], datasets=["ring"], seeds=SEEDS)


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes copies of it."""

    def make(name: str = "there", of: Path = made) -> Path:
        return shutil.copytree(of, tmp_path / name)

    return make


def change(folder: Path, run: str, /, **changes: Any) -> None:
    """Publish a run again with other columns: values, or functions of the rows."""
    frame = records.load_run(folder / "runs" / f"{run}.parquet")
    for name, value in changes.items():
        frame[name] = value(frame) if callable(value) else value
    records.publish(frame, folder)


def change_all(folder: Path, **changes: Any) -> None:
    for path in (folder / "runs").iterdir():
        change(folder, path.stem, **changes)


def rows_of(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / "tables" / f"{table}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def dirac(folder: Path) -> Path:
    """A folder with two real records and no manifest."""
    (folder / "runs").mkdir(parents=True)
    for name in DIRAC:
        shutil.copy(ROOT / "results" / "dirac" / "runs" / f"{name}.parquet", folder / "runs")
    return folder


def bytes_of(folder: Path) -> dict[str, bytes]:
    kinds = (folder / "runs", folder / "samples")
    return {path.name: path.read_bytes() for kind in kinds for path in kind.iterdir()}


def test_another_machine_with_the_same_values_agrees(made: Path, copy: Callable[..., Path], tmp_path: Path) -> None:
    other = copy()
    change_all(other, wall_seconds=1e3, replica_steps_per_second=7.0, device_name="another processor", way="loop")
    found = compare([made, other], tmp_path / "out")
    assert "Runs that both here and there have: 10; the same in every value but times: 10; different: 0." in found.text
    assert "another processor" in found.text
    assert not found.errors
    assert "The same in both folders for every seed, left out: 12." in found.text
    assert bytes_of(tmp_path / "out") == bytes_of(made)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["cells"] == records.load_manifest(made)["cells"]
    assert {path.stem for path in (tmp_path / "out" / "tables").iterdir()} == {"compare_folders", "compare"}


def test_a_changed_value_is_found_with_its_step_and_size(made: Path, copy: Callable[..., Path], tmp_path: Path) -> None:
    other = copy()
    factor = np.where(np.arange(12) == 3, 1 + 1e-9, np.where(np.arange(12) == 7, 1 - 1e-6, 1))
    change(other, f"{GP}-s2", emd=lambda frame: frame["emd"] * factor, message="something else")
    with pytest.raises(UserError) as refused:
        compare([made, other], tmp_path / "out")
    assert "1 runs are not the same in here and there" in str(refused.value)
    assert f"{GP}-s2" in str(refused.value)
    assert not (tmp_path / "out").exists()
    for order in ([made, other], [other, made]):
        out = tmp_path / f"out of {order[0].name}"
        compare(order, out, mix=True)
        emd, message = sorted(rows_of(out, "compare_columns"), key=lambda row: row["column"])
        assert (emd["column"], emd["runs"], emd["first_step"], emd["last_step"]) == ("emd", "1", "350", "1800")
        assert (emd["step"], emd["run_id"]) == ("1800", f"{GP}-s2")
        values = [records.load_run(f / "runs" / f"{GP}-s2.parquet")["emd"].iloc[7] for f in order]
        assert [float(emd["first"]), float(emd["second"])] == values
        assert float(emd["relative"]) == pytest.approx(1e-6, rel=1e-6)
        assert [message[key] for key in ("column", "relative", "first_step")] == ["message", "nan", "100"]
        [run] = rows_of(out, "compare_runs")
        assert (run["run_id"], run["all_columns"]) == (f"{GP}-s2", "message, emd")
        assert bytes_of(out) == bytes_of(order[0])
        merged = json.loads((out / "manifest.json").read_text())["merged"]
        assert merged["differing"] == [f"{GP}-s2"]
        assert set(merged["from"].values()) == {order[0].name}


def test_agreement_value_by_value() -> None:
    """Against what each pair of values is, by hand."""
    inf, nan = np.inf, np.nan
    cases = [
        (1.0, 1.0, None), (nan, nan, None), (inf, inf, None), (0.0, -0.0, 0.0), (1.0, nan, inf), (inf, 1.0, inf),
        (2.0, 1.0, 0.5), (1e308, -1e308, 2.0), (1.0, np.nextafter(1.0, 0), 2**-53), (0.0, 1e-320, 1.0),
    ]  # fmt: skip
    first, second = (
        pd.DataFrame(
            {"run_id": "r", "step": range(len(cases)), "x": [case[side] for case in cases], "message": "",
             "dataset.std": float(side), "wall_seconds": float(side), "device_name": str(side), "way": str(side)}
        )
        for side in (0, 1)
    )  # fmt: skip
    found = agreement.compare(first, second).found
    assert set(found["column"]) == {"x"}
    assert dict(zip(found["step"], found["relative"], strict=True)) == {
        step: case[2] for step, case in enumerate(cases) if case[2] is not None
    }
    second.loc[0, "message"] = "no"
    found = agreement.compare(first.drop(index=4), second.drop(index=5)).found
    alone = found[found["column"] == "step"].set_index("step")
    assert alone[["first", "second"]].astype(object).to_dict("index") == {
        5: {"first": 5, "second": None}, 4: {"first": None, "second": 4},
    }  # fmt: skip
    assert found[found["column"] == "message"][["step", "first", "second"]].to_numpy().tolist() == [[0, "", "no"]]


def test_differences_are_those_of_a_paired_test(made: Path, copy: Callable[..., Path], tmp_path: Path) -> None:
    other = copy()
    shift = {GP: [0.9, 1.1, 1.0, 1.05, 0.97], NS: [0.4, -0.6, 0.1, 0.3, -0.2]}
    for cell, seed in itertools.product(shift, SEEDS):
        change(other, f"{cell}-s{seed}", emd=lambda frame, by=shift[cell][seed]: frame["emd"] + by)
    (other / "runs" / f"{NS}-s4.parquet").unlink()
    out = tmp_path / "out"
    text = compare([made, other], out, mix=True).text
    rows = {(row["cell"], row["part"]): row for row in rows_of(out, "compare")}
    finals = {
        folder: {
            cell: np.array([
                records.load_run(path)["emd"].iloc[-1]
                for path in sorted((folder / "runs").glob(f"{cell}-s*"))
            ])
            for cell in shift
        }
        for folder in (made, other)
    }  # fmt: skip
    # Of 12 comparisons the ten others differ in nothing: p = 1; Holm's multipliers are 12 and 11.
    ps = {}
    for cell, n in ((GP, 5), (NS, 4)):
        a, b = finals[made][cell][:n], finals[other][cell]
        row = rows[cell.split("-")[0], "ring, 8 modes: EMD, less is better"]
        assert (row["n_1"], row["n_2"], row["pairs"]) == ("5", str(n), str(n))
        assert float(row["value_1"]) == pytest.approx(finals[made][cell].mean(), rel=1e-12)
        assert float(row["value_2"]) == pytest.approx(b.mean(), rel=1e-12)
        assert float(row["difference"]) == pytest.approx((b - a).mean(), rel=1e-12)
        assert float(row["difference_low"]) < (b - a).mean() < float(row["difference_high"])
        ps[cell] = stats.ttest_rel(b, a).pvalue
        assert row["apart"] == ("yes" if cell == GP else "no")
        assert float(row["p"]) == pytest.approx(min(1, ps[cell] * (12 if cell == GP else 11)), rel=1e-6)
    assert ps[GP] < ps[NS]
    assert "adjusted after Holm over all 12 comparisons" in text
    [missing] = rows_of(out, "compare_missing")
    assert [missing[key] for key in ("cell_id", "folders", "runs", "seeds")] == [NS, "here", "1", "4"]


def test_other_code_is_refused_until_told(
    made: Path, copy: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """One run is enough."""
    other = copy()
    change(other, f"{GP}-s1", git_commit="f" * 40)
    said = "git_commit 0123456789 in here, 0123456789+ffffffffff in there"
    assert main(["compare", str(made), str(other)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"bench: different code: {said}; do one of them again with what made the other, or add --mix\n"
    assert main(["compare", str(made), str(other), "--mix"]) == 0
    assert "the same in every value but times: 10" in capsys.readouterr().out


def test_code_is_versions_of_torch_kinds_of_device_and_files_as_committed(
    made: Path, copy: Callable[..., Path]
) -> None:
    first, second = read_sides([made, copy()])
    refuse_mixing([first, second])
    for column, value, said in (
        ("torch_version", "2.13.0", "torch_version 2.14.1 in here, 2.13.0+2.14.1 in there"),
        ("bench_version", "0.2.0", "bench_version 0.1.0 in here, 0.1.0+0.2.0 in there"),
        ("device", "cuda", "device cpu in here, cpu+cuda in there"),
        ("git_dirty", True, "git_dirty False in here, False+True in there"),
    ):
        rows = second.view.rows.copy()
        rows.loc[5, column] = value
        with pytest.raises(UserError) as refused:
            refuse_mixing([first, Side("there", replace(second.view, rows=rows))])
        assert f"different code: {said}; do one" in str(refused.value)
    modified = [
        Side(side.name, replace(side.view, rows=side.view.rows.assign(git_dirty=True))) for side in (first, second)
    ]
    with pytest.raises(UserError, match="git_dirty True in here, True in there"):
        refuse_mixing(modified)


def test_shards_of_three_machines_become_one_folder(
    made: Path, copy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has some seeds, the last another grid's cell too; a report of all is that of an undivided run."""
    shards = [copy(name) for name in "abc"]
    for shard, seeds in zip(shards, ({0, 1}, {1, 2, 3}, {3, 4}), strict=True):
        for path in [*(shard / "runs").iterdir(), *(shard / "samples").iterdir()]:
            if int(path.stem[-1]) not in seeds:
                path.unlink()
        cells = [cell | {"seeds": sorted(seeds)} for cell in records.load_manifest(shard)["cells"]]
        change_manifest(shard, cells=cells)
    more = make_world(tmp_path / "more", objectives=["minimax"], datasets=["ring"], seeds=[0])
    [extra] = records.load_manifest(more)["cells"]
    shutil.copytree(more / "runs", shards[2] / "runs", dirs_exist_ok=True)
    change_manifest(shards[2], grid="other", cells=[*records.load_manifest(shards[2])["cells"], extra])
    out = tmp_path / "whole"
    found = compare(shards, out)
    assert "Runs that both a and b have: 2; the same" in found.text
    assert "Runs that both a and c have: 0; the same" in found.text
    manifest = records.load_manifest(out)
    assert manifest["grid"] == "modes + other"
    assert {cell["cell_id"]: cell["seeds"] for cell in manifest["cells"]} == {
        NS: [*SEEDS], GP: [*SEEDS], extra["cell_id"]: [0]
    }  # fmt: skip
    own = {name: data for name, data in bytes_of(out).items() if not name.startswith("minimax")}
    assert own == bytes_of(made)
    monkeypatch.setattr(train, "drawings", lambda view, load: [])
    assert str(build(out).outcomes) == "11 of 11 runs done"
    pd.testing.assert_frame_equal(
        view.read(out).rows.query("objective != 'minimax'").reset_index(drop=True).dropna(axis=1, how="all"),
        view.read(made).rows.dropna(axis=1, how="all"),
    )


def test_a_damaged_record_is_named_and_taken_from_the_other(
    made: Path, copy: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = copy()
    path = other / "runs" / f"{GP}-s3.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    assert main(["compare", str(other), str(made), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"bench: left out: {path}: damaged")
    assert said.err.count("\n") == 1
    assert "1 unusable" in said.out
    assert bytes_of(tmp_path / "out") == bytes_of(made)


def test_a_cell_of_other_sources_is_matched_by_its_settings(made: Path, copy: Callable[..., Path]) -> None:
    other = copy()
    for seed in SEEDS:
        change(other, f"{GP}-s{seed}", cell_id=f"{GP}x", run_id=f"{GP}x-s{seed}", emd=lambda frame: frame["emd"] + 1.5)
        (other / "runs" / f"{GP}-s{seed}.parquet").unlink()
    cells = records.load_manifest(other)["cells"]
    change_manifest(other, cells=[c | {"cell_id": c["cell_id"].replace(GP, f"{GP}x")} for c in cells])
    text = compare([made, other]).text
    assert "1.50" in text
    assert "Cells with the same settings but other code of plug-ins or metrics: wgan_gp." in text
    assert f"| {GP}x " in text


def test_settings_and_versions_that_differ_are_told(made: Path, copy: Callable[..., Path]) -> None:
    other = copy()
    cells = records.load_manifest(other)["cells"]
    cells[1]["cell_id"], cells[1]["settings"]["steps"] = "longer", 20_000
    change_manifest(other, cells=cells, versions={"python": "3.12.1"}, overrides=["steps=20000"])
    text = compare([made, other]).text
    for row in (
        ["steps", "10000", "10000, 20000"],
        ["python", "3.11.9", "3.12.1"],
        ["overrides", r'\["steps=10"\]', r'\["steps=20000"\]'],
        ["left out", "nothing", "5 of cells that the manifest does not have"],
    ):
        assert any([entry.strip() for entry in line.strip("|").split(" | ")] == row for line in text.splitlines()), row


def test_experiments_without_samples_are_compared_by_their_results(tmp_path: Path) -> None:
    """On real records, of the Dirac-GAN."""
    folders = [dirac(tmp_path / name) for name in ("one", "two")]
    assert "different: 0." in compare(folders).text
    change(folders[1], DIRAC[0], late_distance=lambda frame: frame["late_distance"] * 2)
    found = compare(folders, tmp_path / "out", mix=True)
    assert not found.errors
    [row] = rows_of(tmp_path / "out", "compare_columns")
    assert (row["column"], row["relative"], row["first_step"], row["last_step"]) == (
        "late_distance",
        "0.5",
        "0",
        "1000",
    )
    [row] = rows_of(tmp_path / "out", "compare")
    assert float(row["value_2"]) == 2 * float(row["value_1"])
    assert (row["pairs"], row["apart"]) == ("1", "")
    assert len(records.load_manifest(tmp_path / "out")["cells"]) == 2


def test_names_are_other_peoples_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [
        make_world(
            tmp_path / f"a|b`<i>\x1b[31m{side}", objectives=["wgan_gp"], datasets=["ring"], seeds=[0],
            write=lambda text, side=side: f"=1+1|<script>\x1b]0;{text}{side if text == 'modes' else ''}\n",
        )
        for side in "xy"
    ]  # fmt: skip
    change_all(folders[1], emd=3.0)
    assert main(["compare", *map(str, folders), "--out", str(tmp_path / "out"), "--mix"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert r"a\|b\`\<i\>\\x1b\[31mx" in said
    assert "<script>" not in said.replace(r"\<script", "")
    for path in (tmp_path / "out" / "tables").glob("*.csv"):
        with path.open(newline="") as file:
            assert not [text for line in csv.reader(file) for text in line if text.startswith("=")]


def test_mistakes_are_one_line(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full, newer = tmp_path / "full", tmp_path / "newer"
    full.mkdir()
    (full / "mine").write_text("")
    newer.mkdir()
    other = dirac(tmp_path / "dirac")
    (newer / "manifest.json").write_text('{"schema_version": 2}')
    for words, said in (
        ([made], "two results folders or more"),
        ([made, made.parent / "." / made.name], "named twice"),
        ([made, tmp_path / "missing"], "no results here"),
        ([made, newer], "has schema version 2, this is version 1; read it with the release that wrote it"),
        ([made, made, "--mxi"], "did you mean '--mix'?"),
        ([other, made, "--out", full], "is there and not empty"),
        ([other, made, "--mix", "--out", tmp_path / "o"], "one experiment, not dirac, train"),
    ):
        assert main(["compare", *map(str, words)]) == 2
        told = capsys.readouterr()
        assert said in told.err
        assert (told.out, told.err.count("\n")) == ("", 1)
