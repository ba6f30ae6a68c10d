from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import OBJECTIVES, SEEDS, STEPS, make_search, not_run, run_rows, settings_of

from bench import records
from bench.report import view


def test_tasks_and_cells_are_in_the_order_of_the_grid(world: Path) -> None:
    found = view.read(world)
    assert [task.label for task in found.tasks] == ["ring", "grid"]
    for task in found.tasks:
        assert [cell.label for cell in task.cells] == list(OBJECTIVES)
        assert all(cell.seeds == SEEDS for cell in task.cells)


def publish(folder: Path, name: str, settings: dict[str, object], **columns: object) -> None:
    row = run_rows("minimax", "ring", 0, name, settings_of("minimax", "ring"))[-1]
    row |= {"settings": json.dumps(settings), "objective": settings["objective"]} | columns
    records.publish(pd.DataFrame([row]), folder)


def labels(folder: Path) -> list[list[str]]:
    return [[task.label, *sorted(cell.label for cell in task.cells)] for task in view.read(folder).tasks]


def test_a_label_tells_what_differs_and_no_more(tmp_path: Path) -> None:
    base = {"dataset": {"name": "ring", "std": 0.02}, "steps": 10, "latent": {"dim": 2}}
    for index, lr in enumerate((5e-5, 5e-4)):
        both = {"critic_optimizer": {"name": "adam", "lr": lr}, "generator_optimizer": {"name": "adam", "lr": lr}}
        publish(tmp_path, f"a{index}", base | both | {"objective": "a"})
    for index, clip in enumerate((0.1, 0.01)):
        one = {"hparams": {"clip": clip}, "critic_optimizer": {"name": "adam", "lr": 10 * clip}}
        publish(tmp_path, f"b{index}", base | one | {"objective": "b"})
    publish(tmp_path, "c0", base | {"objective": "c"})
    publish(tmp_path, "c1", base | {"objective": "c", "hparams": {"clip": 1}})
    assert labels(tmp_path) == [
        [
            "ring",
            "a (lr=0.0005)", "a (lr=5e-05)",
            "b (hparams.clip=0.01, critic_optimizer.lr=0.1)", "b (hparams.clip=0.1, critic_optimizer.lr=1.0)",
            "c (hparams.clip=-)", "c (hparams.clip=1)",
        ]
    ]  # fmt: skip


def test_what_is_judged_differently_is_not_compared(tmp_path: Path) -> None:
    for index, (std, n) in enumerate(((0.02, 100), (0.05, 100), (0.05, 200))):
        settings = {"objective": "a", "dataset": {"name": "ring", "std": std}, "evaluate": {"n": n}}
        publish(tmp_path, f"a{index}", settings)
    assert sorted(labels(tmp_path)) == [
        ["ring (dataset.std=0.02, evaluate.n=100)", "a"],
        ["ring (dataset.std=0.05, evaluate.n=100)", "a"],
        ["ring (dataset.std=0.05, evaluate.n=200)", "a"],
    ]


def test_arms_are_not_compared_and_an_arm_without_a_name_is_not_told(tmp_path: Path) -> None:
    base = {"objective": "a", "dataset": {"name": "ring", "std": 0.02}}
    publish(tmp_path, "a0", base | {"arm": ""})
    publish(tmp_path, "a1", base | {"arm": "reference"})
    publish(tmp_path, "a2", base | {"arm": "tuned", "steps": 10})
    publish(tmp_path, "a3", base | {"arm": "tuned", "steps": 20})
    assert sorted(labels(tmp_path)) == [
        ["ring", "a"],
        ["ring, arm: reference", "a"],
        ["ring, arm: tuned", "a (steps=10)", "a (steps=20)"],
    ]


def test_drawn_cells_are_told_from_chosen_ones(tmp_path: Path) -> None:
    found = view.read(make_search(tmp_path, settings=3, objectives=["wgan_gp"], arms=[""], chosen=[0]))
    [task] = found.tasks
    assert [cell.draw for cell in task.cells] == [None, 0, 1, 2]
    assert [cell.label for cell in task.chosen] == ["wgan_gp"]
    assert [cell.draw for cell in task.drawn] == [0, 1, 2]
    told = {cell.variant for cell in task.drawn}
    assert told == {
        f"hparams.penalty_weight={cell.settings['hparams.penalty_weight']}, lr={cell.settings['critic_optimizer.lr']}"
        for cell in task.drawn
    }
    assert len(told) == 3
    assert task.chosen[0].settings["critic_optimizer"] == "adam"


def test_without_a_word_of_draws_every_cell_is_chosen(world: Path) -> None:
    assert "draw" not in records.load_manifest(world)["cells"][0]
    assert {cell.draw for cell in view.read(world).cells} == {None}


def test_steps_of_runs_that_never_trained_are_not_observed(small: Callable[..., Path]) -> None:
    folder = small(objectives=["wgan_gp"])
    rows = run_rows("wgan_gp", "ring", 1, "wgan_gp-ring-0.0001", settings_of("wgan_gp", "ring"))
    records.publish(pd.DataFrame(not_run(rows, "failed", "no")), folder)
    [cell] = view.read(folder).cells
    assert cell.rows["step"].min() == 0
    assert cell.observed == STEPS
    assert cell.ended("ok", "failed") == [0, 1]


def test_final_values_are_those_of_runs_that_ended_well(world: Path) -> None:
    cell = next(cell for cell in view.read(world).tasks[1].cells if cell.objective == "minimax")
    assert sorted(cell.final("emd")) == [0, 2, 3, 5, 6, 7]
    assert cell.final("nothing") == {}
    assert cell.ended("diverged") == [1, 4]
    assert str(cell.outcomes) == "6 of 8 runs done, 2 diverged"


def test_curves_end_where_a_run_diverged(world: Path) -> None:
    cell = view.read(world).tasks[1].cells[0]
    table = cell.curves("emd")
    assert table.shape == (12, 8)
    assert table.count().tolist() == [12, 7, 12, 12, 10, 12, 12, 12]
    path = world / "runs" / f"{cell.id}-s3.parquet"
    np.testing.assert_array_equal(table[3], pd.read_parquet(path)["emd"])


def test_curves_are_a_pivot_of_what_is_finite() -> None:
    """Of two rows on one step the first counts; steps without a value are not there, seeds without one are."""
    rows = pd.DataFrame(
        {
            "seed": [3, 3, 3, 3, 1, 1, 2],
            "step": [10, 20, 20, 40, 20, 10, 10],
            "emd": [1.0, 2.0, 9.0, np.inf, 5.0, np.nan, -np.inf],
            "none": [None] * 7,
        }
    )
    cell = view.CellView("a", "a", "", (1, 2, 3), rows)
    expected = pd.DataFrame({1: [np.nan, 5.0], 2: [np.nan, np.nan], 3: [1.0, 2.0]}, index=[10, 20])
    pd.testing.assert_frame_equal(cell.curves("emd"), expected, check_names=False)
    assert cell.curves("none").empty
    assert cell.curves("nothing").empty


def test_rows_belong_to_their_cell_whatever_lies_between_their_files(tmp_path: Path) -> None:
    base = {"dataset": {"name": "ring"}, "objective": "a"}
    for cell_id, seed, steps in (("a", 0, 1), ("a", 2, 1), ("a-s1", 0, 2)):
        publish(tmp_path, cell_id, base | {"steps": steps}, seed=seed, run_id=f"{cell_id}-s{seed}")
    assert [path.stem for path in sorted((tmp_path / "runs").iterdir())] == ["a-s0", "a-s1-s0", "a-s2"]
    found = {cell.id: cell for cell in view.read(tmp_path).cells}
    assert {name: cell.seeds for name, cell in found.items()} == {"a": (0, 2), "a-s1": (0,)}
    assert {name: cell.rows["run_id"].tolist() for name, cell in found.items()} == {
        "a": ["a-s0", "a-s2"],
        "a-s1": ["a-s1-s0"],
    }


@pytest.mark.parametrize("seeds", [range(5), range(4)])
def test_the_median_seed_is_the_lower_middle(small: Callable[..., Path], seeds: range) -> None:
    cell = view.read(small(seeds=seeds)).tasks[0].cells[0]
    last = cell.rows[cell.rows["step"] == 10000].set_index("seed")["emd"]
    assert last[cell.median_seed("emd")] == last.quantile(0.5, interpolation="lower")
    assert cell.median_seed("nothing") == (len(seeds) - 1) // 2


def test_the_floor_is_by_seed(world: Path) -> None:
    floor = view.read(world).tasks[0].floor("emd_floor")
    assert floor == pytest.approx({seed: 0.05 + 0.001 * seed for seed in SEEDS})


def test_the_commit_tells_where_files_were_changed(tmp_path: Path) -> None:
    base = {"objective": "a", "dataset": {"name": "ring"}}
    publish(tmp_path, "a0", base, git_commit="f" * 40, git_dirty=True)
    publish(tmp_path, "a1", base | {"steps": 1}, git_commit="a" * 40)
    assert view.read(tmp_path).commit == f"{'a' * 10}, {'f' * 10} (modified)"


def test_of_cells_only_what_is_unusual_is_told() -> None:
    """One thing changed at a time: the plain cell has no variant, and no two have the same."""
    changed = {"plain": {}, "deep": {"depth": "4"}, "narrow": {"width": "32"}, "smooth": {"act": "tanh"}}
    blocks = {name: {"depth": "2", "width": "128", "act": "relu"} | own for name, own in changed.items()}
    found = view._variants(blocks, dict.fromkeys(blocks, "a"), sparing=True)
    assert found == {"plain": "", "deep": "depth=4", "narrow": "width=32", "smooth": "act=tanh"}
    halves = {name: {"lr": lr} for name, lr in zip("abcd", "1122", strict=True)}
    assert set(view._variants(halves, dict.fromkeys(halves, "a"), sparing=True).values()) == {"lr=1", "lr=2"}
