"""R16, many stored runs: what status and report take of the processor, of memory and of open files."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import scale
from table import told

from bench import ROOT, records

MOST = {"status": 3.0, "report": 30.0}
MEMORY = 500.0
FILES = 10
"""Allowed: seconds of the processor, MB, and open files by which many runs may differ from few."""

SLACK = 2.0
"""For the seconds: on cores that many share, those of the processor are longer, too."""


@dataclass
class Taken:
    """What a command took at the most, and what it said."""

    seconds: float = 0.0
    megabytes: float = 0.0
    files: int = 0
    said: str = ""


def take(command: str, folder: Path) -> Taken:
    """Do a command, looking at its process as it goes."""
    words = [sys.executable, "-m", "bench", command, str(folder)]
    process = psutil.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    taken = Taken()
    while process.poll() is None:
        try:
            times = process.cpu_times()
            taken.seconds = times.user + times.system
            taken.megabytes = max(taken.megabytes, process.memory_info().rss / 1e6)
            taken.files = max(taken.files, process.num_fds())
        except psutil.Error:  # it has just ended
            break
        time.sleep(0.02)
    taken.said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, taken.said
    return taken


@pytest.mark.parametrize("runs", [500, pytest.param(5000, marks=pytest.mark.campaign)])
def test_many_stored_runs(tmp_path: Path, runs: int) -> None:
    commands = list(MOST) if runs > 500 else ["status"]
    few, many = tmp_path / "few", tmp_path / "many"
    scale.fill(few, scale.write_grid(tmp_path / "few.yaml", 100, range(10, 20)))
    scale.fill(many, scale.write_grid(tmp_path / "many.yaml", runs))
    assert len(records.finished(many)) == runs
    told_of, misses = [], []
    for command in commands:
        before, after = take(command, few), take(command, many)
        assert f"{runs:,} of {runs:,} runs done" in after.said or command == "report"
        told_of.append(f"{command} {after.seconds:.1f} s, {after.megabytes:.0f} MB, {after.files} files open")
        assert after.seconds < SLACK * MOST[command]
        assert after.megabytes < MEMORY
        assert after.files <= before.files + FILES
        misses += [command] if after.seconds >= MOST[command] else []
    told("R16", runs, 0 if misses else runs, "; ".join(told_of))
