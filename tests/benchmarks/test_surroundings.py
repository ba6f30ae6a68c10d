"""What is done around the steps, each beside the plainest code that does its heaviest part.

The ratio is the time of the whole over that of the part.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from report.synthetic import make_world, run_rows, settings_of
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from turns import Against

from bench import ROOT, records
from bench.grid import load_grid
from bench.metrics.emd import earth_movers_distance
from bench.report import build


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for the disk: how long that takes changes from minute to minute, and the ratio with it."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def test_emd(against: Against) -> None:
    """1000 points to 1000; scipy's assignment on the same costs, which it is given."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1000, 2)), rng.normal(size=(1000, 2)) + 1
    cost = cdist(x, y)
    against(
        lambda: cost[linear_sum_assignment(cost)].mean(),
        lambda: earth_movers_distance(x, y, norm="euclidean"),
        rounds=7,
    )


def test_grid(against: Against, tmp_path: Path) -> None:
    """A file that stands for 2,000 cells; the same resolved settings written as JSON and hashed."""
    path = tmp_path / "wide.yaml"
    rates = [float(f"{rate:.3g}") for rate in np.geomspace(1e-5, 1e-2, 250)]
    lists = {"dataset": ["ring", "grid"], "objective": ["minimax", "non_saturating", "wgan_clip", "wgan_gp"]}
    path.write_text(json.dumps({"seeds": 1, **lists, "generator_optimizer": {"lr": rates}}))
    settings = [cell.settings for cell in load_grid(path).cells]
    assert len(settings) == 2000

    def hash_all() -> None:
        for one in settings:
            hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest()

    against(hash_all, lambda: load_grid(path), rounds=5)


@pytest.mark.usefixtures("unsynced")
def test_record(against: Against, tmp_path: Path) -> None:
    """Ten runs of 12 rows; the same tables written by pyarrow."""
    frame = pd.DataFrame(run_rows("wgan_gp", "ring", 0, "cell", settings_of("wgan_gp", "ring")))
    table = pa.Table.from_pandas(frame, preserve_index=False)

    def write() -> None:
        for _ in range(10):
            pq.write_table(table, tmp_path / "plain.parquet")

    def publish() -> None:
        for _ in range(10):
            records.publish(frame, tmp_path)

    against(write, publish, rounds=15)


@pytest.mark.usefixtures("unsynced")
def test_report(against: Against, tmp_path: Path) -> None:
    """The whole report of four runs; one figure of the width of a page saved as PDF and PNG."""
    make_world(tmp_path, objectives=("non_saturating", "wgan_clip"), datasets=("ring",), seeds=(0, 1))

    def draw() -> None:
        figure = Figure((7.0, 2.5), dpi=200)
        axes = figure.subplots(1, 3)
        for one in axes:
            for shift in range(4):
                one.plot(np.arange(12), np.arange(12) + shift, label=f"line {shift}")
            one.legend()
        for kind in ("pdf", "png"):
            figure.savefig(tmp_path / f"one.{kind}")

    against(draw, lambda: build(tmp_path), rounds=3)


def test_help(against: Against) -> None:
    """``python -m bench --help``; a Python that imports argparse and ends."""

    def python(*words: str) -> None:
        subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)

    against(lambda: python("-c", "import argparse"), lambda: python("-m", "bench", "--help"), rounds=15)
