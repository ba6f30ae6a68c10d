"""Exports as other programs read them: Python's csv, a spreadsheet's rules, TensorBoard's own reader."""

from __future__ import annotations

import csv
import math
import shutil
import socket
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from report.synthetic import cut_short, not_run, run_rows, settings_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from bench import ROOT, records
from bench.cli import main
from bench.export import export

CELL = "wgan_gp-ring-0123456789"
ODD = [0.1 + 0.2, 1e-320, 1.7976931348623157e308, -0.0, math.inf, math.nan, 2**53 + 1.0, 1 / 3]


def rows_of(seed: int, **changes: Any) -> list[dict[str, Any]]:
    rows = run_rows("wgan_gp", "ring", seed, CELL, settings_of("wgan_gp", "ring"))
    return [row | changes for row in rows]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three runs: one well, one that diverged, one that was skipped; texts and numbers that are hard to write."""
    good = rows_of(0, device_name='=cmd|"/c calc"!A1, "x"\nÅ')
    for row, value in zip(good, ODD, strict=False):
        row["emd"] = value
    records.publish(pd.DataFrame(good), tmp_path)
    records.publish(pd.DataFrame(cut_short(rows_of(1), "diverged", "the critic *loss*\n<b>", 4)), tmp_path)
    records.publish(pd.DataFrame(not_run(rows_of(2), "skipped", "batch norm and a penalty")), tmp_path)
    return tmp_path


def bits(value: float) -> bytes:
    return b"nan" if math.isnan(value) else struct.pack("<d", value)


def test_csv_has_every_value_and_numbers_read_back_bit_by_bit(folder: Path) -> None:
    done = export(folder, "csv")
    assert (done.path, done.runs, done.rows, done.errors) == (folder / "results.csv", 3, 12 + 5 + 1, ())
    data = done.path.read_bytes().decode("utf-8")
    assert data.endswith("\n")
    assert "\r" not in data
    told = list(csv.DictReader(data.splitlines()))
    stored = [row for path in sorted((folder / "runs").iterdir()) for row in pq.read_table(path).to_pylist()]
    assert len(told) == len(stored)
    assert set(told[0]) == set().union(*stored)
    for line, row in zip(told, stored, strict=True):
        for name, text in line.items():
            value = row.get(name)
            if value is None or value != value:
                assert text == "", name
            elif isinstance(value, bool):
                assert text == str(value).lower()
            elif isinstance(value, str):
                assert text.lstrip("'") == value.replace("\n", "\\n")
            else:
                assert bits(float(text)) == bits(value), name
    assert [bits(float(line["emd"] or "nan")) for line in told[: len(ODD)]] == [*map(bits, ODD)]


def test_no_text_of_a_csv_is_a_spreadsheets_formula(folder: Path) -> None:
    out = folder / "of mine.csv"
    assert export(folder, "csv", out).path == out
    with out.open(newline="") as file:
        texts = {text for line in csv.reader(file) for text in line}
    assert """'=cmd|"/c calc"!A1, "x"\\nÅ""" in texts
    for text in texts:
        if text[:1] in tuple("=+-@\t\r"):
            float(text)


def test_tensorboard_reads_every_number_as_float32_and_no_other(folder: Path) -> None:
    done = export(folder, "tensorboard")
    assert (done.path, done.runs, done.unmeasured) == (folder / "tensorboard", 3, 1)
    assert {path.name for path in done.path.iterdir()} == {f"{CELL}-s{seed}" for seed in range(3)}
    for seed in range(3):
        stored = pq.read_table(folder / "runs" / f"{CELL}-s{seed}.parquet").to_pandas()
        reader = EventAccumulator(str(done.path / f"{CELL}-s{seed}")).Reload()
        tags = reader.Tags()["scalars"]
        assert not set(tags) & {"seed", "step", "steps", "critic_steps", "evaluate.n", "schema_version"}
        assert ("emd" in tags) is ("modes_covered" in tags) is (seed < 2)
        for tag in tags:
            kept = stored.dropna(subset=tag)
            events = reader.Scalars(tag)
            assert [event.step for event in events] == kept["step"].tolist()
            with np.errstate(over="ignore"):
                expected = kept[tag].to_numpy(np.float32)
            np.testing.assert_array_equal(np.array([event.value for event in events], np.float32), expected)
            assert [event.wall_time for event in events] == kept["wall_seconds"].tolist()
        measured = stored.select_dtypes("number").dropna(axis=1, how="all").columns
        settings = {"steps", "critic_steps", "seed", "step", "schema_version"}
        assert set(tags) == {name for name in measured if "." not in name} - settings


def test_tensorboard_knows_settings_and_how_a_run_ended(folder: Path) -> None:
    path = export(folder, "tensorboard", folder / "events").path
    for seed, status in enumerate(("ok", "diverged", "skipped")):
        reader = EventAccumulator(str(path / f"{CELL}-s{seed}")).Reload()
        [content] = reader.PluginTagToContent("hparams").values()
        session = HParamsPluginData.FromString(content).session_start_info
        assert session.group_name == CELL
        assert session.hparams["generator_optimizer.lr"].number_value == 1e-4
        assert session.hparams["dataset"].string_value == "ring"
        assert session.hparams["seed"].number_value == seed
        texts = {}
        for tag in reader.Tags()["tensors"]:
            if not tag.startswith("_hparams_"):
                [value] = reader.Tensors(tag)[0].tensor_proto.string_val
                texts[tag] = value.decode()
        assert "\n    generator.width: 128\n" in texts["settings"]
        assert all(line.startswith("    ") for text in texts.values() for line in text.splitlines())
        assert ("end" in texts) is (status != "ok")
        if status == "diverged":
            assert texts["end"].splitlines()[0].strip() == "status: diverged"
            assert texts["end"].splitlines()[2] == "    message: the critic *loss*\\n<b>"


def test_equal_records_give_equal_files_that_tell_no_host(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "a-host-of-ours")
    first, second = (export(folder, "tensorboard", folder / name).path for name in "ab")
    files = sorted(path.relative_to(first) for path in first.rglob("*.*") if path.is_file())
    assert len(files) == 3
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes()
        assert b"a-host-of-ours" not in (first / file).read_bytes() + file.name.encode()


def test_probes_are_exported_too(tmp_path: Path) -> None:
    name = "minimax-alternating-a7365e0d5a-s0"
    (tmp_path / "runs").mkdir()
    shutil.copy(ROOT / "results" / "dirac" / "runs" / f"{name}.parquet", tmp_path / "runs")
    reader = EventAccumulator(str(export(tmp_path, "tensorboard").path / name), {"scalars": 0}).Reload()
    stored = pq.read_table(tmp_path / "runs" / f"{name}.parquet").to_pandas()
    values = [event.value for event in reader.Scalars("distance")]
    np.testing.assert_array_equal(np.array(values, np.float32), stored["distance"].to_numpy(np.float32))


def test_damaged_records_are_named_and_the_others_exported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "runs" / f"{CELL}-s1.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    assert main(["export", str(folder), "--to", "csv"]) == 2
    said = capsys.readouterr()
    assert said.out == f"{folder}/results.csv: 13 rows of 2 runs, 1 of them without a number\n"
    assert said.err.startswith(f"bench: left out: {path}: damaged")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "cvs"], "unknown FORMAT 'cvs'; did you mean 'csv'?"),
        (["--to", "tensorbord"], "did you mean 'tensorboard'?"),
        (["--t", "csv"], "unknown flag '--t'; did you mean '--to'?"),
        (["--to", "csv"], "no results here: runs/ has no record"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path), *words]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert (told.out, told.err.count("\n")) == ("", 1)


def test_a_missing_package_is_one_line_with_the_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert main(["export", str(folder), "--to", "tensorboard"]) == 2
    assert capsys.readouterr().err == (
        "bench: --to tensorboard needs TensorBoard's package: pip install -e '.[tensorboard]'\n"
    )
    assert not (folder / "tensorboard").exists()
