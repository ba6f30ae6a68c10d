"""Solves larger than memory: the plan says what they take, and a run that cannot be judged ends with a reason."""

from __future__ import annotations

import re
from concurrent.futures import Future
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest

from bench import footprint
from bench.cell import Run, Unit
from bench.experiments import EXPERIMENTS, make_cell
from bench.grid import load_grid
from bench.launch import worker
from bench.launch.plan import make_plan
from bench.launch.run import _words
from bench.metrics import emd

TINY = {
    "objective": "non_saturating", "dataset": "ring", "steps": 8, "batch_size": 8,
    "generator": {"name": "mlp", "depth": 1, "width": 4}, "critic": {"name": "mlp", "depth": 1, "width": 4},
    "evaluate": {"observations": 8, "spacing": "linear", "n": 50, "emd_n": 50},
}  # fmt: skip


def test_a_plan_says_what_large_solves_take(tmp_path: Path) -> None:
    told = []
    for n in (100, 20_000):
        path = tmp_path / "large.yaml"
        path.write_text(f"seeds: 3\nobjective: minimax\ndataset: ring\nevaluate: {{n: {n}, emd_n: {n}}}\n")
        asked = load_grid(path)
        plan = make_plan(asked.runs(), tmp_path, set(), device="cpu", workers=2)
        (line,) = (line for line in _words(asked, plan, tmp_path, "cpu").splitlines() if line.startswith("memory"))
        told.append(float(re.search(r"about ([0-9.]+) GB a process", line)[1]))  # type: ignore[index]
    assert told[1] - told[0] == pytest.approx(emd.memory(20_000) / 1e9, abs=0.2)


def test_units_and_processes_are_fewer_where_memory_is(tmp_path: Path) -> None:
    path = tmp_path / "wide.yaml"
    path.write_text("seeds: 16\nobjective: minimax\ndataset: ring\ncritic: {name: mlp, depth: 3, width: 2048}\n")
    runs = load_grid(path).runs()
    need = footprint.memory(runs[0].cell.settings, 1, "cpu")
    for limit, processes in ((10**12, 2), (3 * need, 2), (1.2 * need, 1), (0.5 * need, 1)):
        plan = make_plan(runs, tmp_path, set(), device="cpu", workers=2, limit=int(limit))
        assert plan.workers == processes
        assert sum(len(unit.runs) for unit in plan.units) == 16
        if limit >= need:
            assert footprint.processes_that_fit(plan.memory, limit) >= processes
        else:
            assert plan.memory > limit  # which `run` refuses


class AtOnce:
    """An evaluator in this process that is done when it is asked."""

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(function(*arguments))
        except MemoryError as error:
            done.set_exception(error)
        return done


def test_a_solve_that_does_not_fit_ends_its_runs_early_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emd, "available", lambda: 1000)
    kind = EXPERIMENTS["train"]
    unit = Unit(tuple(Run(make_cell(kind, kind.resolve(TINY)), seed) for seed in range(2)))
    ours, theirs = Pipe()
    orders = worker.Orders(folder=tmp_path, grid="g", device="cpu", way="vmap", plugins=(), provenance={})
    end = worker._do(unit, orders, AtOnce(), theirs)  # type: ignore[arg-type]
    assert isinstance(end, worker.Failed)
    assert end.status == "oom"
    assert end.message.startswith("MemoryError: an EMD of 50 samples takes up to 0.00012 GB, and 1e-06 GB are free")
    told = []
    while ours.poll():
        told.append(ours.recv())
    assert told == [worker.Progress(1 / 8)]  # it was not trained to the end
