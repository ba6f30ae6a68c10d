"""The settings of a critic that is trained between two fixed laws, and the problem that they describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bench.cell import Settings, canonical, digest, source_digest
from bench.networks import NETWORKS, Network
from bench.optim import OPTIMIZERS
from bench.pairs import PAIRS, build_pair, check_pair
from bench.problem import LrSchedule, Problem
from bench.settings import build, check_named
from bench.sources import DATASET, OBJECTIVE, code_digest
from bench.training_settings import (
    check_fit,
    impossible,
    read_block,
    read_objective,
    read_optimizer,
    read_plain,
    require,
    scalar_column,
)
from objectives import OBJECTIVES

PLAIN = ("steps", "batch_size", "arm")
PER_OBJECTIVE = ("optimizer", "critic_optimizer", "critic", *PLAIN, "lr_schedule")
"""What an ``objective`` entry may carry beside its hyperparameters; it wins over the grid's."""

KEYS = ("objective", "pair", *PER_OBJECTIVE)
"""What a cell may set here; a step is one update of the critic."""

__all__ = [
    "KEYS",
    "critic_updates",
    "group",
    "impossible",
    "make_problem",
    "make_scalars",
    "resolve",
    "shape",
    "sources",
    "work",
]


def resolve(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The settings named in ``KEYS`` with every default filled in, the recipe's of the objective first.

    Raises:
        SettingError: a setting is unknown, missing, of a wrong type or impossible.
    """
    require(raw, "pair")
    settings = {**resolve_critic(raw), "pair": check_pair(raw["pair"])}
    entry = raw["objective"]
    path = ("objective", "critic") if isinstance(entry, Mapping) and "critic" in entry else ("critic",)
    check_fit(settings["critic"], build_pair(settings["pair"]).event_shape, (), path)
    return settings


def resolve_critic(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The same without the pair of laws."""
    require(raw, "objective")
    objective, own = read_objective(raw, PER_OBJECTIVE)
    recipe = OBJECTIVES[objective["objective"]].recipe
    layer, path = (own, ("objective", "critic")) if "critic" in own else (raw, ("critic",))
    optimizer = read_optimizer(recipe.critic_optimizer, "critic_optimizer", [(raw, ()), (own, ("objective",))])
    plain = read_plain({}, *({key: one[key] for key in PLAIN if key in one} for one in (raw, own)))
    return {
        **objective,
        "critic": check_named(layer.get("critic", "mlp"), "network", NETWORKS, path),
        "critic_optimizer": optimizer,
        **{key: plain[key] for key in PLAIN},
        "lr_schedule": read_block("lr_schedule", raw, own),
    }


def sources(settings: Settings) -> dict[str, Any]:
    """Hashes of the code of the objective, the pair and the data set in it."""
    pair = [source_digest(PAIRS[settings["pair"]["name"]].__module__)]
    if "dataset" in settings["pair"]:
        pair.append(code_digest(DATASET, settings["pair"]["dataset"]["name"]))
    return {"objective": code_digest(OBJECTIVE, settings["objective"]), "pair": digest(pair)}


def group(settings: Settings) -> str:
    """Equal for cells that train in one batch: those that differ at most in scalars that replicas carry themselves."""
    kept = {key: value for key, value in settings.items() if key not in ("hparams", "arm")}
    return canonical({**kept, "critic_optimizer": settings["critic_optimizer"]["name"]})


def shape(settings: Settings) -> str:
    """Equal for cells whose steps take equally long."""
    event = build_pair(settings["pair"]).event_shape
    kept = {key: settings[key] for key in ("objective", "critic", "batch_size", "lr_schedule")}
    return canonical(["critic", kept, settings["critic_optimizer"]["name"], event])


def critic_updates(settings: Settings, step: int) -> int:
    """The critic's updates in the first so many steps of a run."""
    return step


def work(settings: Settings) -> float:
    """Floating-point operations of one run in matrix products, roughly: three passes a step, real and fake."""
    event = build_pair(settings["pair"]).event_shape
    each = build(settings["critic"], NETWORKS).multiplications(event, ())
    return float(2 * 6 * each * settings["batch_size"] * settings["steps"])


@dataclass(frozen=True)
class _Law:
    """One law of a pair, as a data set and as a source of inputs."""

    event_shape: tuple[int, ...]
    sample: Callable[[int, torch.Generator], torch.Tensor]


def _nothing(generator: torch.Generator) -> dict[str, torch.Tensor]:
    return {}


IDENTITY = Network(_nothing, lambda parameters: lambda x: x)
"""The generator that gives back what it gets: its inputs are the fake samples themselves."""


def make_problem(settings: Settings) -> Problem:
    """The problem that resolved settings describe: the generator stands still, and its law is the pair's fake one."""
    pair = build_pair(settings["pair"])
    optimizer = OPTIMIZERS[settings["critic_optimizer"]["name"]]
    return Problem(
        objective=OBJECTIVES[settings["objective"]],
        dataset=_Law(pair.event_shape, pair.real),
        generator=IDENTITY,
        critic=build(settings["critic"], NETWORKS).build(pair.event_shape, ()),
        latent=_Law(pair.event_shape, pair.fake),
        generator_optimizer=optimizer,
        critic_optimizer=optimizer,
        batch_size=settings["batch_size"],
        critic_steps=1,
        generator_steps=0,
        steps=settings["steps"],
        lr_schedule=LrSchedule(**settings["lr_schedule"]),
    )


def make_scalars(cells: Sequence[Settings]) -> dict[str, dict[str, list[float]]]:
    """What replicas carry themselves, one value a replica: settings of the objective and of its optimiser."""
    columns = {"objective": "hparams", "critic_optimizer": "critic_optimizer"}
    return {name: scalar_column(cells, key) for name, key in columns.items()}
