"""``throughput`` as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path

from commands import TINY, Bench

GRID = """\
experiment: throughput
seeds: 1
objective: non_saturating
dataset: ring
batch_size: 8
generator: {name: mlp, depth: 1, width: 4}
critic: {name: mlp, depth: 1, width: 4}
replicas: 2
rounds: 15
way: [plain, loop, vmap, cuda_graph]
"""


def test_rows_as_json_and_nothing_else_on_stdout(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    grid = bench.grid(GRID, "quick")
    words = ("throughput", "--grid", grid, "--json", "--device", "cpu", "--set", "rounds=3", "--set", "seconds=0.1")
    done = bench(*words)
    assert done.returncode == 0, done.stderr
    rows = {row["way"]: row for row in json.loads(done.stdout)}
    assert {name: row["status"] for name, row in rows.items()} == {
        "plain": "ok", "loop": "ok", "vmap": "ok", "cuda_graph": "skipped",
    }  # fmt: skip
    assert rows["vmap"]["rounds"] == 3
    assert rows["vmap"]["scaling"] is None
    assert rows["vmap"]["speedup"] > 0
    assert "on 1 processes" in done.stderr
    assert (tmp_path / "results" / "quick" / "report.html").exists()


def test_a_grid_of_another_experiment_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    done = bench("throughput", "--grid", bench.grid(TINY))
    assert done.returncode == 2
    assert done.stdout == ""
    assert "asks for train, not throughput; `run` does such a grid" in done.stderr
    assert done.stderr.count("\n") == 1
