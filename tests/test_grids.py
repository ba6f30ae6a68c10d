"""The grid files of the project: each is good, and what one takes from another is what that one found."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

from bench import ROOT, records
from bench.cell import Cell
from bench.grid import load_grid

SAME = ("dataset", "generator", "critic", "latent", "steps", "batch_size")
COMMITTED = (
    "modes", "tuning", "search",
    "score_curve", "saturation", "optimal_critic", "depth", "lipschitz", "paths", "estimate", "w1_benchmark", "dirac",
    "images", "known_samplers",
    "balance", "architectures", "penalties", "lines", "momentum", "deep_critics", "exact", "batches", "emd_cost",
)  # fmt: skip
"""Grids whose records are in the repository, at full size."""

FILES = sorted((ROOT / "grids").rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_grid_file_is_good(path: object) -> None:
    grid = load_grid(path)  # type: ignore[arg-type]
    assert grid.cells
    assert grid.missing_files() == []  # all can run as they are


def tuned() -> Iterator[tuple[Cell, str, str]]:
    for cell in load_grid(ROOT / "grids" / "modes.yaml").cells:
        if cell.settings["arm"] == "tuned":
            yield cell, cell.settings["objective"], cell.settings["dataset"]["name"]


def test_modes_and_tuning_differ_in_what_is_tuned_and_seeds_alone() -> None:
    modes, tuning = (load_grid(ROOT / "grids" / f"{name}.yaml") for name in ("modes", "tuning"))
    assert not set(modes.seeds) & set(tuning.seeds)
    assert {str([cell.settings[key] for key in SAME]) for cell in modes.cells} == {
        str([cell.settings[key] for key in SAME]) for cell in tuning.cells
    }
    tried = pd.Series([(cell.settings["objective"], cell.settings["dataset"]["name"]) for cell in tuning.cells])
    assert set(tried) == {(objective, dataset) for _, objective, dataset in tuned()}
    assert set(tried.value_counts()) == {16}


def test_modes_takes_the_settings_that_tuning_found() -> None:
    """The rule of grids/tuning.yaml: for each objective and data set the lowest EMD at the end; no diverged run."""
    grid = load_grid(ROOT / "grids" / "tuning.yaml")
    frame, errors = records.load(ROOT / "results" / "tuning", {run.id for run in grid.runs()})
    assert not errors
    last = frame.drop_duplicates("run_id", keep="last")
    assert len(last) == len(list(grid.runs()))
    well = last[last["status"] == "ok"]
    best = well.loc[well.groupby(["objective", "dataset"])["emd"].idxmin()].set_index(["objective", "dataset"])
    settings = {cell.id: cell.settings for cell in grid.cells}
    for cell, objective, dataset in tuned():
        found = settings[best.loc[(objective, dataset), "cell_id"]]
        for key in ("hparams", "critic_steps", "generator_optimizer", "critic_optimizer"):
            assert cell.settings[key] == found[key], (objective, dataset, key)


def test_the_reference_arm_is_every_objectives_recipe() -> None:
    from objectives import OBJECTIVES

    cells = [cell for cell in load_grid(ROOT / "grids" / "modes.yaml").cells if cell.settings["arm"] == "reference"]
    assert len(cells) == 8
    for cell in cells:
        objective = OBJECTIVES[cell.settings["objective"]]
        assert cell.settings["critic_steps"] == objective.recipe.critic_steps
        assert cell.settings["hparams"] == dict(objective.hparams)
        for player in ("generator_optimizer", "critic_optimizer"):
            assert getattr(objective.recipe, player).items() <= cell.settings[player].items()


@pytest.mark.parametrize(("name", "folder"), [*((name, name) for name in COMMITTED), ("throughput_cpu", "throughput")])
def test_the_committed_records_are_those_of_the_committed_grid(name: str, folder: str) -> None:
    """A change of an objective, a data set or a grid asks for a new run; words and comments do not."""
    grid = load_grid(ROOT / "grids" / f"{name}.yaml")
    assert {run.id for run in grid.runs()} == records.finished(ROOT / "results" / folder)


@pytest.mark.parametrize("name", ["pacgan_table1", "wgan_gp_toy", "unrolled_ring"])
def test_the_committed_cuts_of_protocols_are_of_the_grids_as_they_are(name: str) -> None:
    """The overrides of the cut are in its manifest, and in the grid file's comment."""
    folder = ROOT / "results" / name
    manifest = records.load_manifest(folder)
    seeds = sorted({seed for cell in manifest["cells"] for seed in cell["seeds"]})
    grid = load_grid(ROOT / "grids" / "papers" / f"{name}.yaml", manifest["overrides"], len(seeds))
    assert {run.id for run in grid.runs()} == records.finished(folder)
    source = grid.source.replace('"', "")
    assert all(f"--set {override}" in source for override in manifest["overrides"])
