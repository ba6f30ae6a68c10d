"""From a grid's words to settings: recipes, layers, refusals."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from bench import training_settings
from bench.experiments import EXPERIMENTS, make_cell
from bench.experiments.train import schedule
from bench.settings import SettingError
from objectives import OBJECTIVES

TRAIN = EXPERIMENTS["train"]
BASE: dict[str, Any] = {"objective": "wgan_gp", "dataset": "ring"}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_a_grid_leaves_out_is_the_references_recipe(name: str) -> None:
    settings, recipe = TRAIN.resolve({"objective": name, "dataset": "ring"}), OBJECTIVES[name].recipe
    assert settings["critic_steps"] == recipe.critic_steps
    for player in ("generator_optimizer", "critic_optimizer"):
        assert getattr(recipe, player).items() <= settings[player].items()
    assert settings["hparams"] == dict(OBJECTIVES[name].hparams)


def test_published_recipes() -> None:
    clip, gp = (TRAIN.resolve({"objective": name, "dataset": "ring"}) for name in ("wgan_clip", "wgan_gp"))
    assert (clip["hparams"], clip["critic_steps"]) == ({"clip": 0.01}, 5)
    assert clip["critic_optimizer"]["name"] == "rmsprop"
    assert clip["critic_optimizer"]["lr"] == 5e-5
    assert (gp["hparams"], gp["critic_steps"]) == ({"penalty_weight": 10.0}, 5)
    assert [gp["critic_optimizer"][k] for k in ("name", "lr", "beta1", "beta2")] == ["adam", 1e-4, 0.0, 0.9]


def test_layers_are_laid_in_order() -> None:
    raw = {
        **BASE,
        "optimizer": {"lr": 1e-3},
        "critic_optimizer": {"beta2": 0.99},
        "critic_steps": 2,
        "objective": {
            "name": "wgan_gp",
            "penalty_weight": 1,
            "optimizer": {"beta1": 0.5},
            "critic_steps": 3,
            "steps": 7,
        },
    }
    settings = TRAIN.resolve(raw)
    assert [settings["critic_optimizer"][k] for k in ("lr", "beta1", "beta2")] == [1e-3, 0.5, 0.99]
    assert [settings["generator_optimizer"][k] for k in ("lr", "beta1", "beta2")] == [1e-3, 0.5, 0.9]
    assert (settings["critic_steps"], settings["steps"], settings["hparams"]) == (3, 7, {"penalty_weight": 1.0})


def test_another_optimiser_brings_its_own_defaults() -> None:
    settings = TRAIN.resolve({**BASE, "optimizer": {"name": "sgd", "lr": 0.1}})
    assert settings["generator_optimizer"] == {"name": "sgd", "lr": 0.1, "momentum": 0.0}


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"dics_iters": 3}, ("dics_iters",), "unknown setting 'dics_iters'"),
        ({"critic_step": 3}, ("critic_step",), "did you mean 'critic_steps'?"),
        ({"objective": "wgan_pg"}, ("objective", "name"), "did you mean 'wgan_gp'?"),
        ({"objective": {"name": "wgan_gp", "lamba": 1.0}}, ("objective", "lamba"), "penalty_weight"),
        ({"objective": {"name": "wgan_gp", "penalty_weight": "10"}}, ("objective", "penalty_weight"), "without quotes"),
        ({"objective": {"name": "wgan_gp", "penalty_weight": True}}, ("objective", "penalty_weight"), "a number"),
        ({"objective": {"name": "wgan_gp", "steps": 0}}, ("objective", "steps"), "greater than or equal to 1"),
        ({"objective": {"name": "wgan_gp", "steps": 1.5}}, ("objective", "steps"), "integer"),
        ({"dataset": {"name": "ring", "std": -1.0}}, ("dataset",), "std"),
        ({"dataset": {"name": "ring", "mode": 8}}, ("dataset", "mode"), "did you mean 'modes'?"),
        ({"dataset": 3}, ("dataset",), "a word or a block with a name"),
        ({"generator": {"name": "mlp", "activation": "rely"}}, ("generator", "activation"), "relu"),
        ({"optimizer": {"lr": "1e-4"}}, ("optimizer", "lr"), "without quotes"),
        ({"optimizer": {"lr": -1.0}}, ("optimizer",), "lr is a positive number"),
        ({"optimizer": {"name": "adm", "lr": 1.0}}, ("optimizer", "name"), "did you mean 'adam'?"),
        ({"latent": {"dim": 0}}, ("latent",), "1 to 65536"),
        ({"evaluate": {"emd_n": 3000}}, ("evaluate", "emd_n"), "at most n"),
        ({"evaluate": {"emd_x": 3000}}, ("evaluate", "emd_x"), "did you mean 'emd_n'?"),
        ({"batch_size": True}, ("batch_size",), "integer"),
    ],
)  # fmt: skip
def test_mistakes_are_named_where_they_stand(change: dict[str, Any], path: tuple[str, ...], words: str) -> None:
    with pytest.raises(SettingError) as found:
        TRAIN.resolve({**BASE, **change})
    assert found.value.path == path
    assert words in found.value.message
    assert "\n" not in found.value.message


@pytest.mark.parametrize("missing", ["objective", "dataset"])
def test_what_has_no_default_must_be_there(missing: str) -> None:
    with pytest.raises(SettingError, match="missing"):
        TRAIN.resolve({key: value for key, value in BASE.items() if key != missing})


def test_every_setting_is_in_the_id() -> None:
    """Change each leaf of the resolved settings: each change makes another cell."""
    settings = TRAIN.resolve(BASE)
    cell = make_cell(TRAIN, settings)
    ids = {cell.id}

    def variants(tree: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        if isinstance(tree, dict):
            return [leaf for key, value in tree.items() for leaf in variants(value, (*path, key))]
        return [path]

    leaves = [path for path in variants(settings) if path[-1] not in ("name", "objective")]
    assert len(leaves) >= 25
    for path in leaves:
        changed = copy.deepcopy(settings)
        block: Any = changed
        for key in path[:-1]:
            block = block[key]
        block[path[-1]] = f"{block[path[-1]]}!"
        ids.add(replace(cell, settings=changed).id)
    assert len(ids) == len(leaves) + 1


def test_groups_differ_in_shape_alone() -> None:
    def group(**change: Any) -> str:
        return TRAIN.group(TRAIN.resolve({**BASE, **change}))

    same = {"optimizer": {"lr": 0.5}}, {"objective": {"name": "wgan_gp", "penalty_weight": 0.1}}
    other = (
        {"steps": 5},
        {"critic_steps": 1},
        {"critic": {"name": "mlp", "width": 5}},
        {"optimizer": {"name": "sgd", "lr": 1.0}},
    )
    assert all(group(**change) == group() for change in same)
    assert all(group(**change) != group() for change in other)


def test_data_sets_with_samples_of_one_shape_share_a_measurement() -> None:
    def shape(**change: Any) -> str:
        return training_settings.shape(TRAIN.resolve({**BASE, **change}))

    assert shape() == shape(dataset="grid") == shape(steps=5) == shape(evaluate={"n": 2000})
    assert len({shape(), shape(batch_size=5), shape(objective="wgan_clip"), shape(latent={"dim": 5})}) == 4


@pytest.mark.parametrize("spacing", ["log", "linear"])
@pytest.mark.parametrize("steps", [1, 7, 400, 10_000])
@pytest.mark.parametrize("observations", [1, 2, 12])
def test_schedules_end_at_the_last_step(spacing: str, steps: int, observations: int) -> None:
    marks = schedule({"observations": observations, "spacing": spacing}, steps)
    assert marks[-1] == steps
    assert marks == sorted(set(marks))
    assert marks[0] >= 1
    assert len(marks) <= observations
    if (steps, observations) == (10_000, 12):
        assert marks[0] == (100 if spacing == "log" else 833)
        assert len(marks) == 12
