"""The experiment ``emd_cost``: what its rows are of, with clocks that tell numbers known beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from at_work import after, context
from scipy.stats import linregress

from bench import timing
from bench.cell import Run, Unit
from bench.experiments import ALONE, EXPERIMENTS, Stopped, emd_cost, make_cell
from bench.settings import SettingError
from objectives import OBJECTIVES

EMD_COST = EXPERIMENTS["emd_cost"]
NETWORK = {"name": "mlp", "depth": 1, "width": 4}
RAW: dict[str, Any] = {
    "objective": "wgan_gp", "dataset": "ring", "batch_size": 8, "critic_steps": 3, "generator": NETWORK,
    "critic": NETWORK, "probe": {"smallest": 8, "doublings": 3, "fit_from": 16, "rounds": 3},
}  # fmt: skip


def a_run(seed: int = 0, **raw: Any) -> Run:
    return Run(make_cell(EMD_COST, EMD_COST.resolve({**RAW, **raw})), seed)


def test_rows_are_of_what_the_clock_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of 1, 3 and 2 times the base: 2 in the middle, and quartiles at the ends of three values."""
    base = {"solve of 8": 1.0, "solve of 16": 0.02, "solve of 32": 0.08, "solve of 64": 0.32}
    base |= {"critic_step_seconds": 0.005, "training_step_seconds": 0.01}

    def turns(bursts: Any, device: str, *, rounds: int, seconds: float) -> Iterator[dict[str, float]]:
        assert {name: count for name, (_, count) in bursts.items()} == dict.fromkeys(base, 5)
        assert (device, rounds) == ("cpu", 3)
        yield from ({name: times * value for name, value in base.items()} for times in (1, 3, 2))

    monkeypatch.setattr(timing, "take_turns", turns)
    monkeypatch.setattr(timing, "burst_of", lambda work, device, seconds: 5)
    (result,) = EMD_COST.run(Unit((a_run(),)), context(tmp_path))
    assert [row["n"] for row in result.rows] == [row["step"] for row in result.rows] == [8, 16, 32, 64]
    for row in result.rows:
        solve = base[f"solve of {row['n']}"]
        assert [row[f"emd_seconds{end}"] for end in ("_low", "", "_high")] == pytest.approx(
            [solve, 2 * solve, 3 * solve]
        )
        for name in ("critic_step_seconds", "training_step_seconds"):
            assert [row[f"{name}{end}"] for end in ("_low", "", "_high")] == pytest.approx(
                [base[name], 2 * base[name], 3 * base[name]]
            )
        # Without the smallest size the medians are .04 (n / 16)^2 seconds; a step's are .02.
        assert row["emd_exponent"] == pytest.approx(2)
        assert row["emd_constant_seconds"] == pytest.approx(0.04 / 16**2)
        assert row["n_per_training_step"] == pytest.approx(16 / np.sqrt(2))


def test_the_power_law_is_a_regression_of_logarithms() -> None:
    sizes, seconds = [64, 128, 256, 512, 1024], [3.0, 0.1, 0.013, 0.05, 0.27]
    found = emd_cost.power_law(sizes, seconds, 128, 0.02)
    due = linregress(np.log(sizes[1:]), np.log(seconds[1:]))
    assert found["emd_exponent"] == pytest.approx(due.slope)
    assert np.log(found["emd_constant_seconds"]) == pytest.approx(due.intercept)
    spent = found["emd_constant_seconds"] * found["n_per_training_step"] ** found["emd_exponent"]
    assert spent == pytest.approx(0.02)


def test_steps_are_of_the_critic_alone_and_of_both_players(monkeypatch: pytest.MonkeyPatch) -> None:
    own, updates = OBJECTIVES["wgan_gp"], {"critic": 0, "generator": 0}

    def counted(player: str, loss: Any) -> Any:
        def count(*words: Any) -> Any:
            updates[player] += 1
            return loss(*words)

        return count

    losses = {f"{player}_loss": counted(player, getattr(own, f"{player}_loss")) for player in updates}
    monkeypatch.setitem(OBJECTIVES, "wgan_gp", replace(own, **losses))
    works = emd_cost._steps(a_run(), "cpu")
    works["critic_step_seconds"](4)
    assert updates == {"critic": 4, "generator": 0}
    works["training_step_seconds"](2)
    assert updates == {"critic": 4 + 6, "generator": 2}


def test_solves_are_of_fresh_samples_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(emd_cost, "earth_movers_distance", lambda x, y, norm: asked.append((x, y, norm)))
    for seed in (0, 1):
        run = a_run(seed)
        for work in emd_cost._solves(run, emd_cost.Probe(**run.cell.settings["probe"])).values():
            work(2)
    assert [len(side) for *sides, _ in asked for side in sides] == [n for n in (8, 16, 32, 64) for _ in range(4)] * 2
    assert {norm for *_, norm in asked} == {"euclidean"}
    samples = np.concatenate([side for x, y, _ in (asked[7], asked[15]) for side in (x, y)])
    assert len(np.unique(samples, axis=0)) == 4 * 64


def test_it_is_timed_for_real_and_stops_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emd_cost, "BURST_SECONDS", 1e-3)
    (result,) = EMD_COST.run(Unit((a_run(),)), context(tmp_path))
    for row in result.rows:
        assert 0 < row["emd_seconds_low"] <= row["emd_seconds"] <= row["emd_seconds_high"]
        assert 0 < row["critic_step_seconds_low"] <= row["critic_step_seconds"] <= row["critic_step_seconds_high"]
        assert row["rounds"] == 3
    with pytest.raises(Stopped):
        EMD_COST.run(Unit((a_run(),)), context(tmp_path, after(3)))
    assert EMD_COST.name in ALONE


@pytest.mark.parametrize(
    ("raw", "path", "words"),
    [
        ({"probe": {"smallest": 64, "doublings": 2}}, ("probe",), "two sizes at least"),
        ({"probe": {"smallest": 5000, "doublings": 2}}, ("probe",), "at most 10,000"),
        ({"probe": {"rounds": 2}}, ("probe", "rounds"), "greater than or equal to 3"),
        ({"update": "simultaneous", "critic_steps": 1}, ("update",), "what is timed is training without it"),
        ({"evaluate": {}}, ("evaluate",), "unknown setting"),
    ],
)
def test_settings_that_cannot_be_are_refused(raw: dict[str, Any], path: tuple[str, ...], words: str) -> None:
    with pytest.raises(SettingError, match=words) as caught:
        EMD_COST.resolve({**RAW, **raw})
    assert caught.value.path == path
