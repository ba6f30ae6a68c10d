from pathlib import Path

import pytest

import objectives
from objectives import OBJECTIVES

FILES = {path.stem for path in Path(objectives.__file__).parent.glob("*.py")} - {"__init__", "base", "closed_forms"}


def test_every_file_is_in_the_table_under_its_own_name() -> None:
    assert {name: objective.name for name, objective in OBJECTIVES.items()} == {stem: stem for stem in FILES}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_losses_are_those_of_the_file(name: str) -> None:
    losses = (OBJECTIVES[name].critic_loss, OBJECTIVES[name].generator_loss)
    assert {loss.__module__ for loss in losses} == {f"objectives.{name}"}


def test_recipes_are_the_papers() -> None:
    dcgan = {"name": "adam", "lr": 2e-4, "beta1": 0.5, "beta2": 0.999}
    rmsprop = {"name": "rmsprop", "lr": 5e-5, "alpha": 0.99, "eps": 1e-8}
    adam = {"name": "adam", "lr": 1e-4, "beta1": 0.0, "beta2": 0.9}
    r1 = {**rmsprop, "lr": 1e-4}
    expected = {
        "minimax": (dcgan, 1, {}),
        "non_saturating": (dcgan, 1, {}),
        "wgan_clip": (rmsprop, 5, {"clip": 0.01}),
        "wgan_gp": (adam, 5, {"penalty_weight": 10.0}),
        "wgan_lp": (rmsprop, 10, {"penalty_weight": 10.0}),
        "wgan_div": ({**adam, "lr": 2e-4}, 4, {"penalty_weight": 2.0, "power": 6.0}),
        "cramer": ({**adam, "beta1": 0.5}, 5, {"penalty_weight": 10.0}),
        "least_squares": (dcgan, 1, {}),
        "hinge": ({**adam, "lr": 2e-4}, 5, {}),
        "dragan": ({**adam, "beta1": 0.5}, 1, {"penalty_weight": 10.0, "perturbation": 0.5}),
        "non_saturating_r1": (r1, 1, {"penalty_weight": 10.0}),
        "non_saturating_r1_r2": (r1, 1, {"penalty_weight": 10.0}),
        "relativistic": (dcgan, 1, {}),
        "relativistic_average": (dcgan, 1, {}),
        "relativistic_r1": ({**adam, "lr": 2e-4, "beta2": 0.99}, 1, {"penalty_weight": 1.0}),
        "r3gan": ({**adam, "lr": 2e-4, "beta2": 0.99}, 1, {"penalty_weight": 1.0}),
        "fgan_kl": (dcgan, 1, {}),
        "fgan_reverse_kl": (dcgan, 1, {}),
        "fgan_pearson": (dcgan, 1, {}),
        "fgan_hellinger": (dcgan, 1, {}),
        "alpha_gan": ({**dcgan, "lr": 1e-4, "beta1": 0.9}, 1, {"alpha_critic": 0.5, "alpha_generator": 1.2}),
    }
    assert expected.keys() == OBJECTIVES.keys()
    for name, (optimizer, critic_steps, hparams) in expected.items():
        recipe = OBJECTIVES[name].recipe
        assert dict(recipe.critic_optimizer) == dict(recipe.generator_optimizer) == optimizer
        assert recipe.critic_steps == critic_steps
        assert dict(OBJECTIVES[name].hparams) == hparams
