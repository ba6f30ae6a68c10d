"""Solves larger than memory: the plan says what they take, and a run that cannot be judged ends with a reason."""

from __future__ import annotations

from concurrent.futures import Future
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest

from bench import records
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


@pytest.mark.parametrize(("n", "gigabytes"), [(4000, None), (20_000, "19.6")])
def test_a_plan_says_what_large_solves_take(tmp_path: Path, n: int, gigabytes: str | None) -> None:
    path = tmp_path / "large.yaml"
    path.write_text(f"seeds: 3\nobjective: minimax\ndataset: ring\nevaluate: {{n: {n}, emd_n: {n}}}\n")
    asked = load_grid(path)
    plan = make_plan(asked.runs(), tmp_path, set(), device="cpu", workers=2)
    told = [line for line in _words(asked, plan, 2).splitlines() if "EMD" in line]
    expected = f"memory: an EMD of {n:,} samples takes up to {gigabytes} GB in each of 2 evaluators"
    assert told == ([expected] if gigabytes else [])


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
    done = worker._do(unit, orders, AtOnce(), theirs)  # type: ignore[arg-type]
    assert done is not None
    assert done.statuses == ["oom", "oom"]
    assert done.message.startswith("MemoryError: an EMD of 50 samples takes up to 0.00012 GB, and 1e-06 GB are free")
    told = []
    while ours.poll():
        told.append(ours.recv())
    assert told == [worker.Progress(1 / 8)]  # it was not trained to the end
    frame, errors = records.load(tmp_path)
    assert not errors
    assert frame["message"].tolist() == [done.message] * 2
