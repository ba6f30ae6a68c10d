"""Kills at random times during the smoke grid: no row is lost, none is doubled, no bit changes."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
from commands import Bench, children, end, frame_of

from bench import ROOT

KILLS = 10

pytestmark = pytest.mark.campaign


@pytest.mark.parametrize("victim", ["driver", "worker"])
def test_kills_at_random_times(tmp_path: Path, victim: str) -> None:
    bench = Bench(tmp_path)
    grid = ROOT / "grids" / "smoke.yaml"
    start = time.monotonic()
    assert bench("run", "--grid", grid, "--out", "undisturbed").returncode == 0
    whole = time.monotonic() - start
    # The ways are measured by now: equal commands choose alike and compute equal bits.
    expected = frame_of(tmp_path / "undisturbed")
    chance, hits = random.Random(0), 0
    for kill in range(KILLS):
        process = bench.start("run", "--grid", grid, "--out", "out")
        time.sleep(chance.uniform(0.5, whole))
        family = [p.pid for w in children(process) for p in (w, *w.children(recursive=True))]
        alive = process.poll() is None
        if victim == "driver" and alive:
            os.kill(process.pid, signal.SIGKILL)
            hits += 1
        elif victim == "worker" and family:
            os.kill(chance.choice(family), signal.SIGKILL)
            hits += 1
            assert process.wait(300) == 0, end(process)
        end(process)
        if not alive:  # all was done before the blow: begin again, so that every kill may meet work
            (tmp_path / "out").rename(tmp_path / f"out-{kill}")
            pd.testing.assert_frame_equal(frame_of(tmp_path / f"out-{kill}"), expected, check_exact=True)
        elif victim == "worker":
            pd.testing.assert_frame_equal(frame_of(tmp_path / "out"), expected, check_exact=True)
            (tmp_path / "out").rename(tmp_path / f"out-{kill}")
    assert bench("run", "--grid", grid, "--out", "out").returncode == 0
    found = frame_of(tmp_path / "out")
    assert not found.duplicated(["run_id", "step"]).any()
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    runs = found["run_id"].nunique()
    print(f"\n{victim}: {hits} of {KILLS} kills met a process at work; {runs} runs, all bits equal")
    assert hits >= KILLS // 2
