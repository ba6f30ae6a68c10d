"""What a results folder says of itself: by hand, without a run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench import ROOT, records
from bench.cell import SCHEMA_VERSION
from bench.launch.status import status


def record(folder: Path, seed: int, statuses: list[str]) -> Path:
    rows = {
        "schema_version": SCHEMA_VERSION, "grid": "g", "cell_id": "c", "run_id": f"c-s{seed}", "seed": seed,
        "experiment": "train", "objective": "x", "dataset": "ring", "settings": "{}",
        "step": range(len(statuses)), "status": statuses,
    }  # fmt: skip
    return records.publish(pd.DataFrame(rows), folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    manifest: Mapping[str, Any] = {
        "schema_version": SCHEMA_VERSION, "grid": "g", "cells": [{"cell_id": "c", "settings": {}, "seeds": [*range(7)]}]
    }  # fmt: skip
    (tmp_path / records.MANIFEST).write_text(json.dumps(manifest))
    return tmp_path


def test_a_run_counts_by_how_it_ended(folder: Path) -> None:
    for seed, statuses in enumerate([["ok"], ["ok", "ok", "diverged"], ["ok", "ok"], ["failed"]]):
        record(folder, seed, statuses)
    cut, alien = record(folder, 4, ["ok"]), record(folder, 5, ["ok"])
    cut.write_bytes(cut.read_bytes()[:-100])
    alien.write_text("no record")
    record(folder, 99, ["ok"])  # of no cell of the grid
    assert status(folder).splitlines() == [
        "g: 6 of 7 runs done", "  damaged: 2", "  diverged: 1", "  failed: 1", "  ok: 2",
    ]  # fmt: skip


def test_it_loads_no_more_than_it_reads(folder: Path) -> None:
    record(folder, 0, ["ok"])
    heavy = "{'pandas', 'scipy', 'pydantic', 'bench.experiments', 'bench.grid'}"
    code = (
        f"import sys; from bench.cli import main; main(['status', {str(folder)!r}]); print({heavy} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["g: 1 of 7 runs done", "  ok: 1", "set()"]
