"""The settings that every experiment with training shares: from a grid's words to a problem that can be trained."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from pydantic import Field

from bench.cell import Settings, canonical
from bench.errors import nearest
from bench.networks import NETWORKS
from bench.optim import OPTIMIZERS
from bench.problem import CriticWarmup, InstanceNoise, Latent, LrSchedule, Problem
from bench.settings import Path, SettingError, build, check_block, check_named, reads, split_name
from bench.sources import DATASET, OBJECTIVE, code_digest
from datasets import DATASETS
from datasets.presets import PRESETS, expand
from objectives import OBJECTIVES
from objectives.base import Recipe


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Settings of training that are one word or number each.

    Attributes:
        steps: how long training lasts; a step is ``critic_steps`` updates of the critic, then ``generator_steps`` of
            the generator.
        batch_size: how many scores a loss sees of real inputs, and of fake ones.
        update: ``simultaneous``: the generator's update sees the critic as it was before the critic's.
        pack: how many samples make one input of the critic.
        ema: decay of the moving average of the generator's parameters that samples are then drawn from; 0 is none.
        training_set: size of a fixed set of samples, drawn once a seed; 0: fresh samples all the time.
        arm: a word for what a comparison is about: only cells of one arm are compared.
    """

    steps: Annotated[int, Field(ge=1, le=10**8)] = 10_000
    batch_size: Annotated[int, Field(ge=2, le=10**6)] = 128
    critic_steps: Annotated[int, Field(ge=1, le=10**4)] = 1
    generator_steps: Annotated[int, Field(ge=1, le=10**4)] = 1
    update: Literal["alternating", "simultaneous"] = "alternating"
    pack: Annotated[int, Field(ge=1, le=1024)] = 1
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    training_set: Annotated[int, Field(ge=0, le=10**8)] = 0
    arm: Annotated[str, Field(max_length=40)] = ""


PLAIN = tuple(field.name for field in fields(Plain))
BLOCKS = {"lr_schedule": LrSchedule, "critic_warmup": CriticWarmup, "instance_noise": InstanceNoise}
OPTIMIZER = ("optimizer", "generator_optimizer", "critic_optimizer")
NETWORK = ("generator", "critic")
KEYS = ("objective", "dataset", "latent", *NETWORK, *OPTIMIZER, *PLAIN, *BLOCKS)
"""What a cell may set here; ``optimizer`` stands for both players' and is laid over the recipe's before their own."""

PER_OBJECTIVE = tuple(key for key in KEYS if key not in ("objective", "dataset", "latent", *NETWORK))
"""What an ``objective`` entry may carry beside its hyperparameters; it wins over the grid's."""


def resolve(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The settings named in ``KEYS`` with every default filled in, the recipe's of the objective first.

    Raises:
        SettingError: a setting is unknown, missing, of a wrong type or impossible.
    """
    require(raw, "objective", "dataset")
    named = _read_named(raw)
    if isinstance(raw["objective"], Mapping):
        raw = {**raw, **_without_hparams(raw)}  # so that what follows is asked once for all of them
    return {**named, **_read_generator_optimizer(raw), **_read_critic_optimizer(raw), **_read_training(raw)}


@reads("objective", "dataset", *NETWORK, "latent")
def _read_named(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {**read_objective(raw, PER_OBJECTIVE)[0], **_read_players(raw)}


@reads("objective")
def _without_hparams(raw: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in raw["objective"].items() if key == "name" or key in PER_OBJECTIVE}
    return {"objective": kept}


@reads("dataset", *NETWORK, "latent")
def _read_players(raw: Mapping[str, Any]) -> dict[str, Any]:
    split_name(raw["dataset"], "data set", {**DATASETS, **PRESETS}, ("dataset",))
    return {
        "dataset": check_named(expand(raw["dataset"]), "data set", DATASETS, ("dataset",)),
        "generator": check_named(raw.get("generator", "mlp"), "network", NETWORKS, ("generator",)),
        "critic": check_named(raw.get("critic", "mlp"), "network", NETWORKS, ("critic",)),
        "latent": check_block([Latent], raw.get("latent", {}), ("latent",)),
    }


@reads("objective", "optimizer", "generator_optimizer")
def _read_generator_optimizer(raw: Mapping[str, Any]) -> dict[str, Any]:
    recipe, own = _recipe(raw)
    layers = [(raw, ()), (own, ("objective",))]
    return {"generator_optimizer": read_optimizer(recipe.generator_optimizer, "generator_optimizer", layers)}


@reads("objective", "optimizer", "critic_optimizer")
def _read_critic_optimizer(raw: Mapping[str, Any]) -> dict[str, Any]:
    recipe, own = _recipe(raw)
    layers = [(raw, ()), (own, ("objective",))]
    return {"critic_optimizer": read_optimizer(recipe.critic_optimizer, "critic_optimizer", layers)}


@reads("objective", "dataset", *NETWORK, "latent", *PLAIN, *BLOCKS)
def _read_training(raw: Mapping[str, Any]) -> dict[str, Any]:
    """``PLAIN`` and ``BLOCKS``, which fit each other and the rest."""
    recipe, own = _recipe(raw)
    settings = {**read_plain({"critic_steps": recipe.critic_steps}, raw, own), **_read_blocks(raw)}
    _check_update(settings)
    _check_fits(_read_players(raw), settings["pack"])
    return settings


@reads("objective", *BLOCKS)
def _read_blocks(raw: Mapping[str, Any]) -> dict[str, Any]:
    _, own = _recipe(raw)
    return {key: read_block(key, raw, own) for key in BLOCKS}


def _check_fits(players: Settings, pack: int) -> None:
    event = build(players["dataset"], DATASETS).event_shape
    check_fit(players["generator"], (players["latent"]["dim"],), event, ("generator",))
    check_fit(players["critic"], _packed(event, pack), (), ("critic",))


def _recipe(raw: Mapping[str, Any]) -> tuple[Recipe, dict[str, Any]]:
    """The objective's, and what its entry in the grid carries."""
    name, own = split_name(raw["objective"], "objective", OBJECTIVES, ("objective",))
    return OBJECTIVES[name].recipe, own


def check_fit(network: Settings, inputs: tuple[int, ...], outputs: tuple[int, ...], path: Path) -> None:
    """Refuse a network that cannot map what it gets to what it is to give: a convolution of points of the plane."""
    try:
        build(network, NETWORKS).multiplications(inputs, outputs)
    except ValueError as error:
        raise SettingError(path, str(error)) from None


def require(raw: Mapping[str, Any], *keys: str) -> None:
    """Refuse settings without these."""
    for key in keys:
        if key not in raw:
            raise SettingError((key,), "missing; it has no default")


def read_objective(raw: Mapping[str, Any], beside: Container[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings ``objective`` and ``hparams``; and all that the entry carries, what stands ``beside`` them too."""
    name, own = split_name(raw["objective"], "objective", OBJECTIVES, ("objective",))
    known = OBJECTIVES[name].hparams
    given = {key: value for key, value in own.items() if key not in beside}
    _check_hparams(given, known, name)
    return {"objective": name, "hparams": {key: float(given.get(key, known[key])) for key in known}}, own


def read_block(key: str, raw: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """One of ``BLOCKS`` with its defaults, from the objective's entry or else from the grid."""
    layer, path = (own, ("objective", key)) if key in own else (raw, (key,))
    return check_block([BLOCKS[key]], layer.get(key, {}), path)


def read_plain(recipe: Mapping[str, Any], raw: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of ``Plain``, the objective's entry first, then the grid, then the recipe."""
    block = {**recipe, **{key: layer[key] for layer in (raw, own) for key in PLAIN if key in layer}}
    try:
        return check_block([Plain], block)
    except SettingError as error:
        path: Path = ("objective", *error.path) if own.keys() & error.path else error.path
        raise SettingError(path, error.message) from None


def _check_update(settings: Settings) -> None:
    if settings["update"] == "simultaneous":
        many = [key for key in ("critic_steps", "generator_steps") if settings[key] != 1]
        many += ["critic_warmup"] if settings["critic_warmup"]["steps"] else []
        if many:
            raise SettingError(("update",), f"simultaneous players have one update each a step; {many[0]} says more")


def impossible(settings: Settings) -> str | None:
    """Why a paper forbids the combination, where one does: such a cell is skipped, with this for a reason."""
    if OBJECTIVES[settings["objective"]].penalises_slopes and build(settings["critic"], NETWORKS).normalises_batch:
        return (
            f"{settings['objective']} looks at each sample's own slope, and batch norm in the critic mixes samples "
            "(Gulrajani et al. 2017, section 4); use norm: layer"
        )
    return None


def _check_hparams(given: Mapping[str, Any], known: Mapping[str, float], objective: str) -> None:
    for key, value in given.items():
        if key not in known:
            words = f"{objective} has no setting {key!r}; {nearest(key, {*known, *PER_OBJECTIVE})}"
            raise SettingError(("objective", key), words)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SettingError(("objective", key), f"a number belongs here, without quotes, not {value!r}")


def read_optimizer(
    recipe: Mapping[str, Any], key: str, layers: Sequence[tuple[Mapping[str, Any], Path]]
) -> dict[str, Any]:
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


@reads("objective", "dataset")
def sources(settings: Settings) -> dict[str, Any]:
    """Hashes of the code of the plug-ins that a cell names."""
    return {
        "objective": code_digest(OBJECTIVE, settings["objective"]),
        "dataset": code_digest(DATASET, settings["dataset"]["name"]),
    }


def group(settings: Settings) -> str:
    """Equal for cells that train in one batch: those that differ at most in scalars that replicas carry themselves."""
    kept = _agreed(settings)
    del kept["hparams"], kept["arm"]
    return repr(kept)  # all settings come in the order of ``resolve``; their canonical text would take twice as long


def _agreed(settings: Settings) -> dict[str, Any]:
    """The settings, with no more of those that replicas carry as scalars than what they must agree on."""
    noise = settings["instance_noise"]
    return {
        **settings,
        "generator_optimizer": settings["generator_optimizer"]["name"],
        "critic_optimizer": settings["critic_optimizer"]["name"],
        "instance_noise": {"until": noise["until"]} if noise["std"] else None,
        "ema": settings["ema"] > 0,
    }


def shape(settings: Settings) -> str:
    """Equal for cells whose training steps take equally long: a data set matters by the shape of its samples alone."""
    event = build(settings["dataset"], DATASETS).event_shape
    left_out = ("hparams", "arm", "dataset", "evaluate", "steps", "training_set", "critic_warmup")
    kept = {key: value for key, value in _agreed(settings).items() if key not in left_out}
    return canonical([kept, event])


def critic_updates(settings: Settings, step: int) -> int:
    """The critic's updates in the first so many steps of a run."""
    return CriticWarmup(**settings["critic_warmup"]).updates(step, settings["critic_steps"])


@reads("dataset", "latent", *NETWORK, "steps", "batch_size", "critic_steps", "generator_steps", "pack", "critic_warmup")
def work(settings: Settings) -> float:
    """Floating-point operations of one run in matrix products, roughly: three passes a training step and network."""
    generator, critic = _multiplications(settings)
    scores, steps = settings["batch_size"], settings["steps"]
    samples = scores * settings["pack"]
    operations = critic_updates(settings, steps) * (generator * samples + 6 * critic * scores)
    operations += steps * settings["generator_steps"] * (3 * generator * samples + 2 * critic * scores)
    return float(2 * operations)


def _multiplications(settings: Settings) -> tuple[int, int]:
    event = build(settings["dataset"], DATASETS).event_shape
    latent = (settings["latent"]["dim"],)
    return (
        build(settings["generator"], NETWORKS).multiplications(latent, event),
        build(settings["critic"], NETWORKS).multiplications(_packed(event, settings["pack"]), ()),
    )


def _packed(event: tuple[int, ...], pack: int) -> tuple[int, ...]:
    return (pack * event[0], *event[1:])


def make_problem(settings: Settings) -> Problem:
    """The problem that resolved settings describe."""
    dataset = build(settings["dataset"], DATASETS)
    latent = Latent(**settings["latent"])
    return Problem(
        objective=OBJECTIVES[settings["objective"]],
        dataset=dataset,
        generator=build(settings["generator"], NETWORKS).build((latent.dim,), dataset.event_shape),
        critic=build(settings["critic"], NETWORKS).build(_packed(dataset.event_shape, settings["pack"]), ()),
        latent=latent,
        generator_optimizer=OPTIMIZERS[settings["generator_optimizer"]["name"]],
        critic_optimizer=OPTIMIZERS[settings["critic_optimizer"]["name"]],
        simultaneous=settings["update"] == "simultaneous",
        lr_schedule=LrSchedule(**settings["lr_schedule"]),
        critic_warmup=CriticWarmup(**settings["critic_warmup"]),
        instance_noise=InstanceNoise(**settings["instance_noise"]) if settings["instance_noise"]["std"] else None,
        averaged=settings["ema"] > 0,
        **{
            key: settings[key]
            for key in ("steps", "batch_size", "critic_steps", "generator_steps", "pack", "training_set")
        },
    )


def scalar_column(cells: Sequence[Settings], key: str) -> dict[str, list[float]]:
    """A block of numbers as replicas carry it: name -> one value a replica."""
    return {name: [float(cell[key][name]) for cell in cells] for name in cells[0][key] if name != "name"}


def make_scalars(cells: Sequence[Settings]) -> dict[str, dict[str, list[float]]]:
    """What replicas carry themselves, one value a replica: settings of the objective, the optimisers, the training."""
    return {
        "objective": scalar_column(cells, "hparams"),
        "generator_optimizer": scalar_column(cells, "generator_optimizer"),
        "critic_optimizer": scalar_column(cells, "critic_optimizer"),
        "training": {
            "ema": [cell["ema"] for cell in cells],
            "instance_noise": [cell["instance_noise"]["std"] for cell in cells],
        },
    }
