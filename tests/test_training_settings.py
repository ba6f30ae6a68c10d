"""From a grid's words to settings: recipes, layers, refusals."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from bench import training_settings
from bench.experiments import EXPERIMENTS, make_cell
from bench.experiments.session import schedule
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
        ({"objective": "wgan_clap"}, ("objective", "name"), "did you mean 'wgan_clip'?"),
        ({"objective": {"name": "wgan_gp", "lamba": 1.0}}, ("objective", "lamba"), "penalty_weight"),
        ({"objective": {"name": "wgan_gp", "penalty_weight": "10"}}, ("objective", "penalty_weight"), "without quotes"),
        ({"objective": {"name": "wgan_gp", "penalty_weight": True}}, ("objective", "penalty_weight"), "a number"),
        ({"objective": {"name": "wgan_gp", "steps": 0}}, ("objective", "steps"), "greater than or equal to 1"),
        ({"objective": {"name": "wgan_gp", "steps": 1.5}}, ("objective", "steps"), "integer"),
        ({"dataset": {"name": "ring", "std": -1.0}}, ("dataset",), "std"),
        ({"dataset": {"name": "ring", "mode": 8}}, ("dataset", "mode"), "did you mean 'modes'?"),
        ({"dataset": 3}, ("dataset",), "a word or a block with a name"),
        ({"dataset": "ring_vegan"}, ("dataset", "name"), "did you mean 'ring_veegan'?"),
        ({"generator": {"name": "mlp", "activation": "rely"}}, ("generator", "activation"), "relu"),
        ({"optimizer": {"lr": "1e-4"}}, ("optimizer", "lr"), "without quotes"),
        ({"optimizer": {"lr": -1.0}}, ("optimizer",), "lr is a positive number"),
        ({"optimizer": {"name": "adm", "lr": 1.0}}, ("optimizer", "name"), "did you mean 'adam'?"),
        ({"latent": {"dim": 0}}, ("latent",), "1 to 65536"),
        ({"evaluate": {"emd_n": 3000}}, ("evaluate", "emd_n"), "at most n"),
        ({"evaluate": {"emd_x": 3000}}, ("evaluate", "emd_x"), "did you mean 'emd_n'?"),
        ({"batch_size": True}, ("batch_size",), "integer"),
        ({"pack": 9, "evaluate": {"n": 8, "emd_n": 8}}, ("evaluate", "n"), "at least pack"),
        ({"pack": 0}, ("pack",), "greater than or equal to 1"),
        ({"objective": {"name": "wgan_gp", "pack": 0}}, ("objective", "pack"), "greater than or equal to 1"),
        ({"ema": 1.0}, ("ema",), "less than 1"),
        ({"update": "both"}, ("update",), "simultaneous"),
        ({"update": "simultaneous"}, ("update",), "critic_steps says more"),
        ({"update": "simultaneous", "critic_steps": 1, "critic_warmup": {"steps": 9}}, ("update",), "critic_warmup"),
        ({"lr_schedule": {"shape": "step"}}, ("lr_schedule", "shape"), "cosine"),
        (
            {"objective": {"name": "wgan_gp", "lr_schedule": {"fnal": 0.1}}},
            ("objective", "lr_schedule", "fnal"),
            "final",
        ),
        ({"instance_noise": {"until": 2.0}}, ("instance_noise", "until"), "less than or equal to 1"),
        ({"dataset": {"name": "ring_veegan", "mode": 8}}, ("dataset", "mode"), "did you mean 'modes'?"),
        ({"critic": {"name": "mlp", "activation": "group_sort", "width": 5}}, ("critic",), "pairs"),
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

    same = {"optimizer": {"lr": 0.5}}, {"objective": {"name": "wgan_gp", "penalty_weight": 0.1}}, {"arm": "tuned"}
    assert group(ema=0.9) == group(ema=0.99) != group()
    assert group(instance_noise={"std": 0.1}) == group(instance_noise={"std": 0.2}) != group()
    other = (
        {"pack": 2},
        {"generator_steps": 2},
        {"training_set": 10},
        {"lr_schedule": {"shape": "linear"}},
        {"critic_warmup": {"steps": 100}},
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


def test_a_preset_is_the_data_set_that_it_stands_for() -> None:
    by_name, by_hand = (
        make_cell(TRAIN, TRAIN.resolve({**BASE, "dataset": dataset}))
        for dataset in ("ring_veegan", {"name": "ring", "radius": 1.0, "std": 0.01})
    )
    assert by_name.id == by_hand.id


def test_blocks_of_an_objective_win_over_the_grids() -> None:
    raw = {**BASE, "ema": 0.9, "lr_schedule": {"shape": "linear", "warmup": 5}, "instance_noise": {"std": 0.1}}
    own = {"name": "wgan_gp", "ema": 0.5, "lr_schedule": {"shape": "cosine"}}
    settings = TRAIN.resolve({**raw, "objective": own})
    assert settings["ema"] == 0.5
    assert settings["lr_schedule"] == {"shape": "cosine", "warmup": 0, "final": 0.0}
    assert settings["instance_noise"] == {"std": 0.1, "until": 1.0}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_batch_norm_in_a_critic_whose_slopes_are_looked_at_is_impossible(name: str) -> None:
    """By the papers: those with a penalty on slopes, and none else."""
    penalised = {
        "wgan_gp", "wgan_lp", "wgan_div", "dragan", "non_saturating_r1", "non_saturating_r1_r2",
        "relativistic_r1", "r3gan", "cramer",
    }  # fmt: skip
    raw = {"objective": name, "dataset": "ring", "critic": {"name": "mlp", "norm": "batch"}}
    reason = training_settings.impossible(TRAIN.resolve(raw))
    assert (reason is not None) == (name in penalised)
    assert reason is None or "use norm: layer" in reason
    for norm in ("layer", "none"):
        raw["critic"] = {"name": "mlp", "norm": norm}
        assert training_settings.impossible(TRAIN.resolve(raw)) is None


def test_work_counts_the_updates_that_there_are() -> None:
    """Of a linear generator 2 -> 2 and a linear critic 2 m -> 1, by hand."""
    linear = {"name": "mlp", "depth": 0}
    raw = {"objective": "non_saturating", "dataset": "ring", "generator": linear, "critic": linear}
    raw |= {"steps": 10, "batch_size": 7, "pack": 3, "generator_steps": 2, "critic_warmup": {"steps": 5, "until": 4}}
    generator, critic, scores, samples = 4, 6, 7, 21
    critic_updates, generator_updates = 4 * 5 + 6 * 1, 20
    expected = critic_updates * (generator * samples + 6 * critic * scores)
    expected += generator_updates * (3 * generator * samples + 2 * critic * scores)
    settings = TRAIN.resolve(raw)
    assert training_settings.critic_updates(settings, 10) == critic_updates
    assert training_settings.work(settings) == 2 * expected


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


@pytest.mark.parametrize(("player", "pack"), [("generator", 1), ("critic", 2)])
def test_a_network_that_does_not_fit_its_data_is_refused_before_anything_runs(player: str, pack: int) -> None:
    with pytest.raises(SettingError, match="8x8, 28x28, 32x32") as error:
        TRAIN.resolve({"objective": "minimax", "dataset": "ring", player: "dcgan", "pack": pack})
    assert error.value.path == (player,)


@pytest.mark.parametrize("name", ["lipschitz", "depth"])
def test_what_looks_inside_a_critic_says_whose_layers_it_knows(name: str) -> None:
    raw = {"objective": "wgan_gp", "critic": {"name": "dcgan", "width": 2}, "dataset": "digits"}
    if name == "lipschitz":
        raw = {**raw, "pair": {"name": "noised", "dataset": "digits", "std": 1.0}}
        del raw["dataset"]
    with pytest.raises(SettingError, match="reads the layers of mlp, not of dcgan"):
        EXPERIMENTS[name].resolve(raw)


def test_a_critic_that_does_not_fit_is_told_where_it_stands() -> None:
    raw = {"pair": {"name": "two_gaussians"}, "objective": {"name": "wgan_gp", "critic": "dcgan"}}
    with pytest.raises(SettingError, match="images of 8x8") as error:
        EXPERIMENTS["optimal_critic"].resolve(raw)
    assert error.value.path == ("objective", "critic")
