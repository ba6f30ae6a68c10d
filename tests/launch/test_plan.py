"""A plan's units and its estimate of their work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.grid import load_grid
from bench.launch.plan import make_plan
from bench.networks.mlp import Mlp


def test_the_work_of_a_plan_is_that_of_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted once for what differs in it, and added for every run that is missing."""
    content = {
        "seeds": 3, "dataset": "ring", "objective": "wgan_gp", "steps": [100, 300], "critic_steps": 2,
        "generator": {"name": "mlp", "depth": 1, "width": 4}, "critic": {"name": "mlp", "depth": 1, "width": 8},
        "batch_size": 10, "critic_optimizer": {"lr": [0.001 * n for n in range(1, 9)]},
    }  # fmt: skip
    (tmp_path / "g.yaml").write_text(json.dumps(content))
    grid = load_grid(tmp_path / "g.yaml")
    runs = grid.runs()
    asked = 0
    multiplications = Mlp.multiplications

    def counted(self: Mlp, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> int:
        nonlocal asked
        asked += 1
        return multiplications(self, inputs, outputs)

    monkeypatch.setattr(Mlp, "multiplications", counted)
    latent = grid.cells[0].settings["latent"]["dim"]
    plan = make_plan(runs, tmp_path / "results", {runs[0].id}, device="cpu", workers=1)
    assert asked == 2 * 2
    generator, critic = latent * 4 + 4 * 2, 2 * 8 + 8 * 1
    step = 2 * (2 * (generator * 10 + 6 * critic * 10) + 3 * generator * 10 + 2 * critic * 10)
    of_run = {run.id: step * run.cell.settings["steps"] for run in runs}
    assert plan.work == sum(of_run.values()) - of_run[runs[0].id]
    sizes = [sum(of_run[run.id] for run in unit.runs) for unit in plan.units]
    assert sizes == sorted(sizes, reverse=True)
    assert (plan.finished, plan.total) == (1, 48)


def test_what_replicas_carry_does_not_part_a_group(tmp_path: Path) -> None:
    content = {
        "seeds": 2, "dataset": "ring", "objective": ["minimax", "wgan_gp"], "arm": ["a", "b"],
        "generator_optimizer": {"lr": [0.001, 0.002]}, "ema": [0.9, 0.99],
    }  # fmt: skip
    (tmp_path / "g.yaml").write_text(json.dumps(content))
    runs = load_grid(tmp_path / "g.yaml").runs()
    plan = make_plan(runs, tmp_path / "results", set(), device="cpu", workers=1)
    assert sorted(len(unit.runs) for unit in plan.units) == [16, 16]
