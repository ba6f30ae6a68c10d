"""Experiments that train and read: what a stopped unit goes on from, and how rows come about."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from at_work import after, context, told

from bench.cell import Run, Unit
from bench.experiments import EXPERIMENTS, Stopped, make_cell
from bench.experiments.session import schedule
from bench.settings import SettingError

OPTIMAL_CRITIC = EXPERIMENTS["optimal_critic"]

RAW = {
    "objective": "wgan_gp", "pair": {"name": "noised", "dataset": "ring", "std": 0.5}, "steps": 40, "batch_size": 16,
    "critic": {"name": "mlp", "depth": 1, "width": 8}, "observe": {"observations": 3}, "probe": {"n": 50, "surface": 5},
}  # fmt: skip


def unit(raw: Any = RAW, seeds: int = 2) -> Unit:
    cell = make_cell(OPTIMAL_CRITIC, OPTIMAL_CRITIC.resolve(raw))
    return Unit(tuple(Run(cell, seed) for seed in range(seeds)))


def test_a_stopped_unit_goes_on_bit_for_bit(tmp_path: Path) -> None:
    undisturbed = OPTIMAL_CRITIC.run(unit(), context(tmp_path / "whole"))
    stops = 0
    while True:
        try:
            resumed = OPTIMAL_CRITIC.run(unit(), context(tmp_path / "parts", after(2)))
            break
        except Stopped:
            stops += 1
    assert stops > 0
    np.testing.assert_equal(told(resumed), told(undisturbed))
    for one, other in zip(resumed, undisturbed, strict=True):
        np.testing.assert_equal(dict(one.samples), dict(other.samples))


def test_rows_begin_at_step_0_and_follow_the_schedule(tmp_path: Path) -> None:
    result, _ = OPTIMAL_CRITIC.run(unit(), context(tmp_path / "work"))
    assert [row["step"] for row in result.rows] == [0, *schedule({"observations": 3, "spacing": "log"}, 40)]
    assert {row["status"] for row in result.rows} == {"ok"}
    assert "critic_loss" not in result.rows[0], "no update has been made that it could be the mean of"
    assert math.isfinite(result.rows[-1]["critic_loss"])
    assert (result.rows[0]["objective"], result.rows[0]["dataset"], result.rows[0]["pair"]) == ("wgan_gp", "", "noised")


def test_a_run_that_diverges_ends_with_its_step(tmp_path: Path) -> None:
    raw = {**RAW, "optimizer": {"name": "sgd", "lr": 1e30}}
    result, _ = OPTIMAL_CRITIC.run(unit(raw), context(tmp_path / "work"))
    *before, last = result.rows
    assert last["status"] == "diverged"
    assert "stopped being finite" in last["message"]
    assert all(row["step"] < last["step"] for row in before)


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"generator": "mlp"}, ("generator",)),
        ({"probe": {"m": 1}}, ("probe", "m")),
        ({"pair": "noised"}, ("pair", "dataset")),
        ({"pair": {"name": "noised", "dataset": "rong"}}, ("pair", "dataset", "name")),
        ({"objective": {"name": "wgan_gp", "pack": 2}}, ("objective", "pack")),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, Any], path: tuple[str, ...]) -> None:
    with pytest.raises(SettingError) as caught:
        OPTIMAL_CRITIC.resolve({**RAW, **wrong})
    assert caught.value.path == path


def test_an_entry_of_an_objective_may_carry_its_own_critic_and_steps() -> None:
    own = {"name": "wgan_gp", "steps": 7, "critic": {"name": "mlp", "width": 4}, "optimizer": {"lr": 0.5}}
    settings = OPTIMAL_CRITIC.resolve({**RAW, "objective": own})
    assert (settings["steps"], settings["critic"]["width"], settings["critic_optimizer"]["lr"]) == (7, 4, 0.5)
