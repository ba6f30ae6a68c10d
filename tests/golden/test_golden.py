"""What a release wrote, later ones read: a small results folder of each is kept here."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from golden.copies import HERE, RELEASES, copy
from table import told
from test_records import raw

from bench import records
from bench.cell import SCHEMA_VERSION
from bench.cli import main
from bench.launch.doctor import examine
from bench.launch.status import status

LATER = SCHEMA_VERSION + 1
HINT = f"has schema version {LATER}, this is version {SCHEMA_VERSION}; read it with the release that wrote it"


@pytest.mark.parametrize("release", RELEASES)
def test_a_folder_of_a_release_is_read(release: str, tmp_path: Path) -> None:
    folder = copy(tmp_path / release, release)
    rows, errors = records.load(folder)
    assert not errors
    plain = [pd.read_parquet(path) for path in sorted((HERE / release / "runs").iterdir())]
    assert len(plain) == 3
    for part in plain:  # as a reader of Parquet that knows nothing of records has them
        run_id = part["run_id"].iloc[0]
        own = rows[rows["run_id"] == run_id].reset_index(drop=True)[part.columns]
        pd.testing.assert_frame_equal(own, part, check_dtype=False)
        assert records.load_samples(folder, run_id) is not None
    ends = [part["status"].iloc[-1] for part in plain]
    assert sorted(ends) == ["diverged", "ok", "ok"]
    said = status(folder).splitlines()
    assert said[0].endswith(": 3 of 3 runs done")
    assert {"  diverged: 1", "  ok: 2"} <= set(said)
    assert examine(folder, fix=False).code == 0
    assert len(records.finished(folder)) == 3


@pytest.mark.campaign
@pytest.mark.parametrize("release", RELEASES)
def test_a_folder_of_a_release_is_reported(release: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copy(tmp_path / release, release)
    assert main(["report", str(folder)]) == 0
    assert "2 of 3 runs done, 1 diverged" in capsys.readouterr().out
    assert (folder / "report.html").stat().st_size > 10_000
    view = pd.read_parquet(folder / "results.parquet")
    assert view["run_id"].nunique() == 3
    assert examine(folder, fix=False).code == 0
    with capsys.disabled():
        told("R17", 1, 1, f"a folder of release {release}: read, reported, told of and examined")


@pytest.mark.parametrize("command", ["status", "report", "doctor"])
def test_a_folder_of_a_later_release_is_refused_with_the_remedy(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy(tmp_path / "later")
    manifest = json.loads((folder / records.MANIFEST).read_text())
    (folder / records.MANIFEST).write_text(json.dumps({**manifest, "schema_version": LATER, "cells": {"new": 1}}))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert main([command, str(folder)]) == 2
    assert capsys.readouterr().err == f"bench: {folder / records.MANIFEST}: {HINT}\n"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_records_of_later_releases_are_left_out_with_the_remedy(tmp_path: Path) -> None:
    """Whatever they hold besides: a new column, a known one of another kind, or rows in another order."""
    folder = copy(tmp_path / "later")
    first, second, third = sorted((folder / "runs").iterdir())
    raw(records.load_run(first).assign(schema_version=LATER, word="new"), first)
    raw(records.load_run(second).assign(schema_version=LATER, message=0.5), second)
    raw(records.load_run(third).assign(schema_version=LATER)[::-1], third)
    rows, errors = records.load(folder)
    assert rows.empty
    assert [str(error) for error in errors] == [f"{path}: {HINT}" for path in (first, second, third)]
