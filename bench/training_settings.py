"""The settings that every experiment with training shares: from a grid's words to a problem that can be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from bench.cell import Settings, canonical, source_digest
from bench.errors import nearest
from bench.networks import NETWORKS
from bench.optim import OPTIMIZERS
from bench.problem import Latent, Problem
from bench.settings import Path, SettingError, build, check_block, check_named, split_name
from datasets import DATASETS
from objectives import OBJECTIVES


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How long training lasts: a step is one generator update, after ``critic_steps`` critic updates."""

    steps: Annotated[int, Field(ge=1, le=10**8)] = 10_000
    batch_size: Annotated[int, Field(ge=2, le=10**6)] = 128
    critic_steps: Annotated[int, Field(ge=1, le=10**4)] = 1


BUDGET = ("steps", "batch_size", "critic_steps")
OPTIMIZER = ("optimizer", "generator_optimizer", "critic_optimizer")
KEYS = ("objective", "dataset", "generator", "critic", "latent", *OPTIMIZER, *BUDGET)
"""What a cell may set here; ``optimizer`` stands for both players' and is laid over the recipe's before their own."""

PER_OBJECTIVE = (*OPTIMIZER, *BUDGET)
"""What an ``objective`` entry may carry beside its hyperparameters; it wins over the grid's."""


def resolve(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The settings named in ``KEYS`` with every default filled in, the recipe's of the objective first.

    Raises:
        SettingError: a setting is unknown, missing, of a wrong type or impossible.
    """
    for key in ("objective", "dataset"):
        if key not in raw:
            raise SettingError((key,), "missing; it has no default")
    name, own = split_name(raw["objective"], "objective", OBJECTIVES, ("objective",))
    objective = OBJECTIVES[name]
    hparams = {key: value for key, value in own.items() if key not in PER_OBJECTIVE}
    _check_hparams(hparams, objective.hparams, name)
    recipe = objective.recipe
    block: dict[str, Any] = {"critic_steps": recipe.critic_steps}
    block |= {key: raw[key] for key in BUDGET if key in raw}
    try:
        budget = check_block([Budget], block | {key: own[key] for key in BUDGET if key in own})
    except SettingError as error:
        raise SettingError(
            ("objective", *error.path) if own.keys() & error.path else error.path, error.message
        ) from None
    layers = [(raw, ()), (own, ("objective",))]
    return {
        "objective": name,
        "hparams": {key: float(hparams.get(key, default)) for key, default in objective.hparams.items()},
        "dataset": check_named(raw["dataset"], "data set", DATASETS, ("dataset",)),
        "generator": check_named(raw.get("generator", "mlp"), "network", NETWORKS, ("generator",)),
        "critic": check_named(raw.get("critic", "mlp"), "network", NETWORKS, ("critic",)),
        "latent": check_block([Latent], raw.get("latent", {}), ("latent",)),
        "generator_optimizer": _optimizer(recipe.generator_optimizer, "generator_optimizer", layers),
        "critic_optimizer": _optimizer(recipe.critic_optimizer, "critic_optimizer", layers),
        **budget,
    }


def _check_hparams(given: Mapping[str, Any], known: Mapping[str, float], objective: str) -> None:
    for key, value in given.items():
        if key not in known:
            words = f"{objective} has no setting {key!r}; {nearest(key, {*known, *PER_OBJECTIVE})}"
            raise SettingError(("objective", key), words)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SettingError(("objective", key), f"a number belongs here, without quotes, not {value!r}")


def _optimizer(recipe: Mapping[str, Any], key: str, layers: Sequence[tuple[Mapping[str, Any], Path]]) -> dict[str, Any]:
    """The recipe's optimiser under what the grid and then the objective's entry say; another name drops what was."""
    merged: dict[str, Any] = dict(recipe)
    where: Path = (key,)
    for layer, path in layers:
        for word in ("optimizer", key):
            if word not in layer:
                continue
            raw, where = layer[word], (*path, word)
            if isinstance(raw, str):
                raw = {"name": raw}
            if not isinstance(raw, Mapping):
                raise SettingError(
                    where, f"a word or a block belongs here, not {raw!r}; known: {', '.join(OPTIMIZERS)}"
                )
            same = raw.get("name", merged["name"]) == merged["name"]
            merged = {**merged, **raw} if same else dict(raw)
    return check_named(merged, "optimizer", OPTIMIZERS, where)


def sources(settings: Settings) -> dict[str, Any]:
    """Hashes of the code of the plug-ins that a cell names."""
    return {
        "objective": source_digest(OBJECTIVES[settings["objective"]].critic_loss.__module__),
        "dataset": source_digest(DATASETS[settings["dataset"]["name"]].__module__),
    }


def group(settings: Settings) -> str:
    """Equal for cells that train in one batch: those that differ at most in scalars that replicas carry themselves."""
    shape = {key: value for key, value in settings.items() if key not in ("hparams", *OPTIMIZER)}
    names = {key: settings[key]["name"] for key in OPTIMIZER if key in settings}
    return canonical(shape | names)


def shape(settings: Settings) -> str:
    """Equal for cells whose training steps take equally long: a data set matters by the shape of its samples alone."""
    event = build(settings["dataset"], DATASETS).event_shape
    kept = ("objective", "generator", "critic", "latent", "batch_size", "critic_steps")
    names = [settings[key]["name"] for key in ("generator_optimizer", "critic_optimizer")]
    return canonical([{key: settings[key] for key in kept}, names, event])


def work(settings: Settings) -> float:
    """Floating-point operations of one run in matrix products, roughly: three passes a training step and network."""
    generator, critic = _multiplications(settings)
    iteration = settings["critic_steps"] * (generator + 6 * critic) + 3 * generator + 2 * critic
    return float(2 * iteration * settings["batch_size"] * settings["steps"])


def _multiplications(settings: Settings) -> tuple[int, int]:
    event = build(settings["dataset"], DATASETS).event_shape
    latent = (settings["latent"]["dim"],)
    return (
        build(settings["generator"], NETWORKS).multiplications(latent, event),
        build(settings["critic"], NETWORKS).multiplications(event, ()),
    )


def make_problem(settings: Settings) -> Problem:
    """The problem that resolved settings describe."""
    dataset = build(settings["dataset"], DATASETS)
    latent = Latent(**settings["latent"])
    return Problem(
        objective=OBJECTIVES[settings["objective"]],
        dataset=dataset,
        generator=build(settings["generator"], NETWORKS).build((latent.dim,), dataset.event_shape),
        critic=build(settings["critic"], NETWORKS).build(dataset.event_shape, ()),
        latent=latent,
        generator_optimizer=OPTIMIZERS[settings["generator_optimizer"]["name"]],
        critic_optimizer=OPTIMIZERS[settings["critic_optimizer"]["name"]],
        batch_size=settings["batch_size"],
        critic_steps=settings["critic_steps"],
    )


def make_scalars(cells: Sequence[Settings]) -> dict[str, dict[str, list[float]]]:
    """What replicas carry themselves, one value a replica: settings of the objective and of the optimisers."""

    def column(key: str) -> dict[str, list[float]]:
        return {name: [float(cell[key][name]) for cell in cells] for name in cells[0][key] if name != "name"}

    return {
        "objective": column("hparams"),
        "generator_optimizer": column("generator_optimizer"),
        "critic_optimizer": column("critic_optimizer"),
    }
