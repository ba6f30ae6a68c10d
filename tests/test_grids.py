"""The grid files of the project: each is good, and what one takes from another is what that one found."""

from __future__ import annotations

from collections import defaultdict

import pytest

from bench import ROOT, records
from bench.grid import load_grid

SAME = ("dataset", "generator", "critic", "latent", "steps", "batch_size", "critic_steps", "hparams")


def test_modes_and_tuning_differ_in_rates_and_seeds_alone() -> None:
    modes, tuning = (load_grid(ROOT / "grids" / f"{name}.yaml") for name in ("modes", "tuning"))
    assert not set(modes.seeds) & set(tuning.seeds)

    def settings(cells: object) -> set[str]:
        return {str([cell.settings["objective"], *[cell.settings[key] for key in SAME]]) for cell in cells}  # type: ignore[attr-defined]

    assert settings(modes.cells) == settings(tuning.cells)
    counts: dict[str, set[float]] = defaultdict(set)
    for cell in tuning.cells:
        counts[cell.settings["objective"]].add(cell.settings["critic_optimizer"]["lr"])
    assert {len(rates) for rates in counts.values()} == {4}


def test_modes_takes_the_rates_that_tuning_found() -> None:
    """The rule of grids/tuning.yaml: the lowest mean of EMD over floor, without rates of which a run diverged."""
    grid = load_grid(ROOT / "grids" / "tuning.yaml")
    frame, errors = records.load(ROOT / "results" / "tuning", {run.id for run in grid.runs()})
    assert not errors
    last = frame.drop_duplicates("run_id", keep="last")
    assert len(last) == len(list(grid.runs()))
    score = (last["emd"] / last["emd_floor"]).where(last["status"] == "ok", float("inf"))
    by_rate = score.groupby([last["objective"], last["critic_optimizer.lr"], last["dataset"]]).mean()
    by_rate = by_rate.groupby(level=[0, 1]).mean()
    for cell in load_grid(ROOT / "grids" / "modes.yaml").cells:
        objective = cell.settings["objective"]
        best = by_rate[objective].idxmin()
        for player in ("generator_optimizer", "critic_optimizer"):
            assert cell.settings[player]["lr"] == pytest.approx(best), objective


def test_the_committed_records_are_those_of_the_committed_grids() -> None:
    """A change of an objective, a data set or a grid asks for a new run; words and comments do not."""
    for name in ("modes", "tuning"):
        grid = load_grid(ROOT / "grids" / f"{name}.yaml")
        assert {run.id for run in grid.runs()} == records.finished(ROOT / "results" / name)
