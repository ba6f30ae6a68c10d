"""The experiment that times training steps: what its rows say, and what becomes of ways that cannot be timed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from at_work import after, context

from bench import step_cost, timing
from bench.cell import Run, Unit
from bench.errors import UserError
from bench.experiments import EXPERIMENTS, Stopped, make_cell, throughput, together
from bench.experiments.entrants import NAMES, Entrant, Name
from bench.grid import load_grid
from bench.launch.plan import make_plan
from bench.launch.run import Options
from bench.launch.run import run as launch
from bench.settings import SettingError

THROUGHPUT = EXPERIMENTS["throughput"]
NETWORK = {"name": "mlp", "depth": 1, "width": 4}
RAW: dict[str, Any] = {
    "objective": "wgan_clip", "dataset": "ring", "batch_size": 8, "critic_steps": 2, "generator": NETWORK,
    "critic": NETWORK, "replicas": 3, "rounds": 3,
}  # fmt: skip


def unit(*names: str, **raw: Any) -> Unit:
    cells = [make_cell(THROUGHPUT, THROUGHPUT.resolve({**RAW, **raw, "way": name})) for name in names]
    return Unit(tuple(Run(cell, 0) for cell in cells))


def rows(unit: Unit, folder: Path, **offer: Any) -> dict[str, dict[str, Any]]:
    results = THROUGHPUT.run(unit, context(folder, **offer))
    assert [result.run for result in results] == list(unit.runs)
    return {result.run.cell.settings["way"]: result.rows[0] for result in results for _ in result.rows}


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(throughput, "BURST_SECONDS", 0.01)
        patch.setattr(timing, "SIZES", {"cpu": (32, 64)})
        return rows(unit("cuda_graph", "loop", "plain", "vmap"), tmp_path_factory.mktemp("work"))


def test_every_way_has_a_row(timed: dict[str, dict[str, Any]]) -> None:
    graph = timed.pop("cuda_graph")
    assert (graph["status"], graph["message"]) == ("skipped", "CUDA graphs are for CUDA devices")
    assert {name: row["status"] for name, row in timed.items()} == dict.fromkeys(("loop", "plain", "vmap"), "ok")
    for row in timed.values():
        assert 0 < row["step_ms_low"] <= row["step_ms"] <= row["step_ms_high"]
        assert row["replica_steps_per_second"] == pytest.approx(3000 / row["step_ms"])
        assert row["speedup_low"] <= row["speedup"] <= row["speedup_high"]
        assert row["first_step_seconds"] > 0
        assert row["step"] % row["rounds"] == 0
        assert row["wall_seconds"] > 0
        assert row["rounds"] == 3
        assert math.isnan(row["scaling"])
        seconds = row["step_ms"] / 1e3
        assert row["matmul_share"] == pytest.approx(row["flops"] / seconds / row["matmul_flops_per_second"])
        assert row["bandwidth_share"] == pytest.approx(row["bytes"] / seconds / row["copy_bytes_per_second"])


def test_the_plain_loop_is_one_replica_after_the_other(timed: dict[str, dict[str, Any]]) -> None:
    plain = timed["plain"]
    assert plain["speedup_low"] == plain["speedup"] == plain["speedup_high"] == 1
    # Three replicas, a mean beside a median: alike but for what else the machine does meanwhile.
    assert 0.25 < plain["wall_seconds"] * 3 / plain["step"] / (plain["step_ms"] / 1e3) < 4
    assert plain["peak_memory_bytes"] < timed["vmap"]["peak_memory_bytes"] / 3


def test_the_choice_is_a_way_of_the_engine(timed: dict[str, dict[str, Any]]) -> None:
    assert timed["plain"]["chosen"] == 0
    assert sorted([timed["loop"]["chosen"], timed["vmap"]["chosen"]]) == [0, 1]


def test_what_a_step_asks_for(timed: dict[str, dict[str, Any]]) -> None:
    """Written out: two critic updates and one of the generator, of networks 2-4-2 and 2-4-1 at batch 8."""
    g, c, first = 2 * 4 + 4 * 2, 2 * 4 + 4 * 1, 2 * 4
    critic = 8 * (2 * g + 2 * (2 * c + 4 * c - 2 * first))
    generator = 8 * (2 * g + 4 * g - 2 * first + 2 * c + 2 * c)
    # RMSProp keeps one slot: parameter, gradient and slot, read and written; latents and real points have two numbers.
    parameters_g, parameters_c = g + 4 + 2, c + 4 + 1
    moved = 4 * (2 * (6 * parameters_c + 32) + 6 * parameters_g + 16)
    for name in ("loop", "plain", "vmap"):
        assert timed[name]["flops"] == 3 * (2 * critic + generator)
        assert timed[name]["bytes"] == 3 * moved


class Fake:
    """A way that takes no time at all."""

    def __init__(self, *fails: str) -> None:
        self.fails = fails
        self.asked: list[tuple[str, int]] = []

    def __call__(self, settings: Any, name: Name, replicas: int, seed: int, device: str) -> Entrant:
        self.asked.append((name, replicas))
        if name in self.fails and replicas > 1:
            raise RuntimeError("no header\nmore")
        return Entrant(
            work=lambda count: None, times=replicas if name == "plain" else 1, first_step_seconds=1.0,
            peak_memory_bytes=1000,
        )  # fmt: skip


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(throughput, "BURST_SECONDS", 1e-4)
    monkeypatch.setattr(timing, "BURST_SECONDS", 1e-4)
    monkeypatch.setattr(timing, "SIZES", {"cpu": (8,)})
    monkeypatch.setattr(timing, "COPIED", 1 << 10)
    return monkeypatch


def test_a_way_that_fails_costs_no_other(quick: pytest.MonkeyPatch, tmp_path: Path) -> None:
    quick.setattr(throughput, "enter", Fake("vmap"))
    found = rows(unit("loop", "plain", "vmap"), tmp_path)
    assert {name: row["status"] for name, row in found.items()} == {"loop": "ok", "plain": "ok", "vmap": "failed"}
    assert found["vmap"]["message"] == "RuntimeError: no header"
    assert found["loop"]["chosen"] == 1


def test_what_does_not_fit_is_skipped_before_it_is_built(quick: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = Fake()
    quick.setattr(throughput, "enter", fake)
    quick.setattr(step_cost, "free_bytes", lambda device: 3000 / step_cost.ROOM - 1)
    found = rows(unit("loop", "plain", "vmap"), tmp_path)
    assert {name: row["status"] for name, row in found.items()} == {
        "loop": "skipped", "plain": "ok", "vmap": "skipped",
    }  # fmt: skip
    assert "GiB that are free" in found["vmap"]["message"]
    assert fake.asked == [("vmap", 1), ("plain", 3)]


def test_what_is_missing_is_timed_beside_the_plain_loop(quick: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = Fake()
    quick.setattr(throughput, "enter", fake)
    found = rows(unit("vmap"), tmp_path)
    assert list(found) == ["vmap"]
    assert math.isfinite(found["vmap"]["speedup"])
    assert ("plain", 3) in fake.asked


def test_it_stops_when_asked(quick: pytest.MonkeyPatch, tmp_path: Path) -> None:
    quick.setattr(throughput, "enter", Fake())
    with pytest.raises(Stopped):
        rows(unit("plain", "vmap"), tmp_path, stopping=after(3))


def test_a_combination_that_a_paper_forbids_is_skipped(tmp_path: Path) -> None:
    found = rows(unit("plain", "vmap", objective="wgan_gp", critic={**NETWORK, "norm": "batch"}), tmp_path)
    assert {row["status"] for row in found.values()} == {"skipped"}


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"way": "vmapp"}, ("way",)),
        ({"way": "vmap", "replica": 2}, ("replica",)),
        ({"way": "vmap", "rounds": 2}, ("rounds",)),
        ({"way": "vmap", "ema": 0.9}, ("ema",)),
        ({"way": "vmap", "objective": {"name": "wgan_gp", "lr_schedule": {"shape": "linear"}}}, ("lr_schedule",)),
        ({"way": "vmap", "evaluate": {"n": 10}}, ("evaluate",)),
        ({}, ("way",)),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, Any], path: tuple[str, ...]) -> None:
    with pytest.raises(SettingError) as caught:
        THROUGHPUT.resolve({**RAW, **wrong})
    assert caught.value.path == path


def test_critic_steps_are_the_recipes() -> None:
    raw = {key: value for key, value in RAW.items() if key != "critic_steps"}
    assert THROUGHPUT.resolve({**raw, "way": "plain"})["critic_steps"] == 5


GRID = """\
experiment: throughput
seeds: 5
objective: [minimax, wgan_gp]
dataset: ring
replicas: [1, 2]
way: [plain, loop, vmap, compiled, cuda_graph]
"""


def test_a_shape_is_never_cut_and_has_the_machine_alone(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(GRID)
    grid = load_grid(path)
    plan = make_plan(grid.runs(), tmp_path / "out", set(), device="cpu", workers=64)
    assert len(plan.units) == 4
    for one in plan.units:
        assert sorted((run.cell.settings["way"], run.seed) for run in one.runs) == sorted(
            (name, seed) for name in NAMES for seed in range(5)
        )
    with pytest.raises(UserError, match="--workers 2: throughput has the machine to itself"):
        launch(grid, Options(folder=tmp_path / "out", workers=2, device="cpu", dry=True))
    with pytest.raises(UserError, match="--launch ray: throughput has the machine to itself"):
        launch(grid, Options(folder=tmp_path / "out", engine="ray", device="cpu", dry=True))


def test_scaling_is_work_a_second_over_that_of_one() -> None:
    assert together.scaling_of((5.0, 7.0), [(10.0, 12.5), (10.5, 13.0)]) == pytest.approx(2 * 2.0 / 3.0)


@pytest.mark.campaign
def test_processes_at_once(tmp_path: Path) -> None:
    """Idle cores serve both: more than one's work a second, and not more than two's."""
    found = rows(unit("plain", "vmap", processes=2, seconds=5), tmp_path)
    assert all(0.2 < row["scaling"] < 3 for row in found.values())


def test_a_cuda_device_has_no_processes_at_once(tmp_path: Path) -> None:
    (result,) = THROUGHPUT.run(unit("plain", processes=2), replace(context(tmp_path), device="cuda"))
    assert result.rows[0]["status"] == "skipped"
