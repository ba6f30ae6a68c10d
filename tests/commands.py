"""The command line as a person runs it, for tests: real processes, real signals, a cache of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import psutil

from bench import ROOT, records

TIMES = ("_seconds", "_per_second")
"""How columns end that differ between equal commands."""

TINY = """\
seeds: 2
steps: 60
batch_size: 16
dataset: ring
objective: [non_saturating, {name: wgan_gp, critic_steps: 2}]
generator: {name: mlp, depth: 1, width: 8}
critic: {name: mlp, depth: 1, width: 8}
evaluate: {observations: 4, n: 200, emd_n: 100}
"""


class Bench:
    """Runs ``python -m bench`` in a folder, with grid files and caches in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "COVERAGE_PROCESS_START")},
            "XDG_CACHE_HOME": str(folder / "cache"),
            "COLUMNS": "200",
        }

    def grid(self, text: str = TINY, name: str = "tiny") -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(text)
        return path

    def __call__(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._words(words), cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300
        )

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._words(words), cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            preexec_fn=interruptible,
        )  # fmt: skip

    def _words(self, words: Sequence[str | Path]) -> list[str]:
        # The checkout must be found from any folder, as it is where the project is installed in editable mode.
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from bench.cli import main; sys.exit(main())"
        return [sys.executable, "-c", code, *map(str, words)]


def interruptible() -> None:
    """Called in a new process: what a shell begins in the background ignores Ctrl-C, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def frame_of(folder: Path) -> pd.DataFrame:
    """All rows of a results folder without the columns that time changes, in one order."""
    frame, errors = records.load(folder)
    assert not errors, errors
    frame = frame.loc[:, ~frame.columns.str.endswith(TIMES)]
    ordered = frame.sort_values(["run_id", "step"]).reset_index(drop=True)
    return ordered[sorted(ordered.columns)]


def children(process: subprocess.Popen[str], word: str = "spawn_main") -> list[psutil.Process]:
    """Worker processes of a driver, the oldest first; the evaluators are their children."""
    try:
        found = psutil.Process(process.pid).children()
        return [child for child in found if any(word in part for part in child.cmdline())]
    except psutil.Error:
        return []


def wait_for(condition: object, seconds: float = 60.0) -> None:
    """Wait until a function says so."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def gone(pids: Sequence[int]) -> bool:
    """None of the processes is left (a zombie does not count)."""
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


def end(process: subprocess.Popen[str]) -> str:
    """Kill what is left of a driver's session and give what it printed."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    return process.communicate(timeout=30)[0]
