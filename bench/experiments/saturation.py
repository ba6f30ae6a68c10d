"""What a generator's gradient becomes while a critic is trained to convergence against it, which stands still.

After Arjovsky & Bottou 2017 (arXiv:1701.04862, figures 2 and 3): train a generator under one objective, freeze it,
train a fresh critic under a second, and read on the way the gradient that every generator loss would give. A step is
one update of the fresh critic.

Gradients are read in float64, of the float32 parameters of training, on batches that no player is trained with, so that
the reading itself does not saturate.

Departures from the paper: any networks and data, for its DCGANs after 1, 10 and 25 epochs on images. The norm is of the
gradient of one batch, and the mean of it over batches is told.

Shape letters: R replica, M batches, B batch, *E event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, cast

import torch
from pydantic import Field

from bench import critic_settings, probes, seeding, training_settings
from bench.cell import Settings, Unit, canonical
from bench.checkpoints import go_on
from bench.engine import Training
from bench.experiments.base import Context, Result, check_keys, identity_row, skipped
from bench.experiments.probing import Reader, observe, results
from bench.experiments.session import Observe, Session, schedule
from bench.networks import NETWORKS, Network
from bench.optim import OPTIMIZERS, Parameters
from bench.pairs import build_pair, check_pair
from bench.problem import CriticWarmup, LrSchedule, Problem
from bench.settings import SettingError, build, check_block
from bench.sources import OBJECTIVE, code_digest
from objectives import OBJECTIVES
from objectives.base import Critic

CRITIC = tuple(key for key in critic_settings.KEYS if key != "pair")
KEYS = (*CRITIC, "dataset", "frozen", "pair", "observe", "probe")
FROZEN = tuple(key for key in training_settings.KEYS if key != "dataset")
"""What a cell may set here, and what of the training of the generator."""

PURPOSE = "fresh critic"
"""What the seed of the second part is derived for: its weights and batches are not those that the generator had."""

MOST_POINTS = 500
"""Samples that are kept for figures."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Which gradients are read.

    Attributes:
        batches: on how many batches.
        losses: of which objectives, by name or as a block with its hyperparameters; of all of them by default.
    """

    batches: Annotated[int, Field(ge=2, le=10**4)] = 16
    losses: Any = None


def marks(observe: Settings, steps: int) -> list[int]:
    """The steps to read at, besides 0: where they are spaced by ratio, from the first one to the last."""
    count = observe["observations"]
    if observe["spacing"] == "linear" or count == 1:
        return schedule(observe, steps)
    return sorted({round(steps ** (index / (count - 1))) for index in range(count)})


def moved(event_shape: tuple[int, ...]) -> Network:
    """The generator ``x + shift`` of a pair of laws: from the fake law's samples x, with shift [*E], which is 0.

    Its parameters are where the fake law lies, and the gradient by them is the mean of those by the samples.
    """

    def init(_: torch.Generator) -> Parameters:
        return {"shift": torch.zeros(event_shape)}

    return Network(init, lambda parameters: lambda x: x + parameters["shift"])


def _optimal_discriminator(settings: Settings) -> Network | None:
    """The log-ratio of a pair's densities as a critic without parameters; None where it is not known."""
    if "pair" not in settings:
        return None
    pair = build_pair(settings["pair"])
    known = pair.log_ratio(pair.real(1, torch.Generator())) is not None
    return Network(lambda _: {}, lambda _: cast(Critic, pair.log_ratio)) if known else None


class _Reader(Reader):
    """Reads all gradients on the same batches at every mark."""

    def __init__(self, settings: Settings, training: Training, device: str = "cpu") -> None:
        self._training, p = training, training.problem
        self._losses = {}
        for name, hparams in settings["probe"]["losses"].items():
            problem = replace(p, objective=OBJECTIVES[name])
            draws = probes.draw(problem, training.seeds, batches=settings["probe"]["batches"], device=device)
            everyone = torch.ones(len(training.seeds), dtype=torch.float64, device=device)
            self._losses[name] = problem, draws, {key: value * everyone for key, value in hparams.items()}
        self._real, latents = (draws[kind].transpose(0, 1).flatten(1, 2) for kind in ("real", "latent"))
        self._fake = training.generate(latents)
        self._at_optimum = {}
        optimum = _optimal_discriminator(settings)
        if optimum is not None:
            for name in self._losses:
                norms = self._gradients(name, optimum, {})["gradient_norm"]
                self._at_optimum[f"gradient_norm_at_optimum[{name}]"] = norms

    def _critic(self) -> Parameters:
        """As its objective projects it, which from the first step on it is: step 0 too is of a critic that may be."""
        training = self._training
        project = training.problem.objective.project
        if project is None:
            return training.parameters("critic")

        def projected(own: Parameters, hparams: Mapping[str, torch.Tensor]) -> Parameters:
            return dict(project(own, hparams))

        own = training.state["critic"]
        hparams = {name: value.to(torch.float32) for name, value in training.scalars["objective"].items()}
        return {**torch.func.vmap(projected)(own, hparams), **training.state["critic_buffers"]}

    def _gradients(self, name: str, critic: Network, parameters: Parameters) -> Mapping[str, torch.Tensor]:
        problem, draws, hparams = self._losses[name]
        return probes.gradient_readings(
            replace(problem, critic=critic), self._training.state["generator"], parameters, draws, hparams,
            generator_buffers=self._training.state["generator_buffers"], dtype=torch.float64,
        )  # fmt: skip

    def read(self) -> Mapping[str, torch.Tensor]:
        """`bench.probes.gradient_readings` by loss, and `bench.probes.score_readings` of the same samples.

        gradient_norm_at_optimum: the same, had the critic the log-ratio of the pair's densities for its score, which is
        the optimal discriminator's logit; where that is known.
        """
        network, critic = self._training.problem.critic, self._critic()
        scores = (torch.func.vmap(network.apply)(critic, x) for x in (self._real, self._fake))
        found = dict(probes.score_readings(*scores))
        for name in self._losses:
            gradients = self._gradients(name, network, critic)
            found |= {f"{reading}[{name}]": values for reading, values in gradients.items()}
        return {**found, **self._at_optimum}

    def arrays(self) -> Mapping[str, torch.Tensor]:
        """Samples of both laws, in the plane."""
        if self._real.shape[2:] != (2,):
            return {}
        return {"real": self._real[:, :MOST_POINTS].float(), "fake": self._fake[:, :MOST_POINTS].float()}


class Saturation:
    """The experiment ``saturation``.

    Settings: those of a critic that is trained alone; ``dataset`` and ``frozen``, what a generator is trained with and
    how, or ``pair``, two laws of which the fake one is the generator's; ``observe`` and ``probe``.
    """

    name = "saturation"

    def resolve(self, raw: Mapping[str, Any]) -> Settings:
        """See ``Experiment.resolve``."""
        check_keys(raw, KEYS)
        if ("pair" in raw) == ("frozen" in raw):
            raise SettingError(("frozen",), "a frozen generator or a pair of laws belongs here: set frozen or pair")
        settings = critic_settings.resolve_critic(raw)
        if "pair" in raw:
            if "dataset" in raw:
                raise SettingError(("dataset",), "a pair has its own laws; remove dataset, or set frozen in its place")
            settings["pair"] = check_pair(raw["pair"])
        else:
            settings |= _resolve_frozen(raw)
        probe = check_block([Probe], raw.get("probe", {}), ("probe",))
        return {
            **settings,
            "observe": check_block([Observe], raw.get("observe", {}), ("observe",)),
            "probe": {**probe, "losses": _resolve_losses(probe["losses"])},
        }

    def sources(self, settings: Settings) -> Settings:
        """See ``Experiment.sources``."""
        losses = {name: code_digest(OBJECTIVE, name) for name in settings["probe"]["losses"]}
        if "pair" in settings:
            return {**critic_settings.sources(settings), "losses": losses}
        objective = code_digest(OBJECTIVE, settings["objective"])
        return {"objective": objective, "frozen": training_settings.sources(_frozen(settings)), "losses": losses}

    def label(self, settings: Settings) -> str:
        """See ``Experiment.label``."""
        if "pair" in settings:
            return f"{settings['pair']['name']}-{settings['objective']}"
        frozen = settings["frozen"]
        return f"{settings['dataset']['name']}-{frozen['objective']}-{frozen['steps']}-{settings['objective']}"

    def group(self, settings: Settings) -> str:
        """See ``Experiment.group``."""
        if "frozen" in settings:
            settings = {**settings, "frozen": training_settings.group(_frozen(settings))}
        return critic_settings.group(settings)

    def work(self, settings: Settings) -> float:
        """See ``Experiment.work``."""
        return _work_before(settings) + _work_after(settings)

    def run(self, unit: Unit, context: Context) -> list[Result]:
        """See ``Experiment.run``."""
        cells = [run.cell.settings for run in unit.runs]
        settings = cells[0]
        reason = training_settings.impossible(settings)
        if reason is None and "frozen" in settings:
            reason = training_settings.impossible(settings["frozen"])
        if reason is not None:
            return [skipped(run, reason) for run in unit.runs]
        return go_on(context.work, context.say, lambda: self._measure(unit, context))

    def _measure(self, unit: Unit, context: Context) -> list[Result]:
        cells = [run.cell.settings for run in unit.runs]
        settings = cells[0]
        begin: dict[str, Parameters] = {}
        lost: list[tuple[int, str] | None] = [None] * len(cells)
        share = _work_before(settings) / self.work(settings)
        if "frozen" in settings:
            first = _train_generator(unit, context, share)
            begin = {name: first.state[name] for name in ("generator", "generator_buffers")}
            lost = first.diverged()
        session = Session(
            context, _problem(settings),
            [seeding.seed_of(run.seed, PURPOSE) for run in unit.runs], critic_settings.make_scalars(cells),
            shape=_shape(settings), updates=settings["steps"], begin=begin, span=(share, 1.0),
        )  # fmt: skip
        reader = _Reader(settings, session.training, context.device)
        for mark in [0, *marks(settings["observe"], settings["steps"])]:
            session.train_until(mark)
            if session.training.step == mark:  # else an earlier try has been past it
                observe(session, reader)
        found = results(unit, session, reader)
        return [_without_generator(own, end) if end else own for own, end in zip(found, lost, strict=True)]


SATURATION = Saturation()


# Settings


def _resolve_frozen(raw: Mapping[str, Any]) -> dict[str, Any]:
    """``dataset``, and ``frozen`` with every default of a training on it."""
    training_settings.require(raw, "dataset")
    block = raw["frozen"]
    if not isinstance(block, Mapping):
        raise SettingError(("frozen",), f"a block of settings belongs here, not {block!r}; write {{key: value}}")
    check_keys(block, FROZEN, ("frozen",), others=())
    try:
        found = training_settings.resolve({**block, "dataset": raw["dataset"]})
    except SettingError as error:
        path = error.path if error.path[:1] == ("dataset",) else ("frozen", *error.path)
        raise SettingError(path, error.message) from None
    if found["ema"]:
        raise SettingError(("frozen", "ema"), "the generator is frozen as it is, not as its average; remove ema")
    return {"dataset": found.pop("dataset"), "frozen": found}


def _resolve_losses(raw: Any) -> dict[str, dict[str, float]]:
    """Hyperparameters by objective."""
    found = {}
    for entry in sorted(OBJECTIVES) if raw is None else raw if isinstance(raw, list) else [raw]:
        try:
            loss, _ = training_settings.read_objective({"objective": entry}, ())
        except SettingError as error:
            raise SettingError(("probe", "losses", *error.path[1:]), error.message) from None
        found[loss["objective"]] = loss["hparams"]
    return found


# The two parts


def _frozen(settings: Settings) -> dict[str, Any]:
    """The settings of the generator's training."""
    return {**settings["frozen"], "dataset": settings["dataset"]}


def _train_generator(unit: Unit, context: Context, share: float) -> Training:
    cells = [_frozen(run.cell.settings) for run in unit.runs]
    session = Session(
        context, training_settings.make_problem(cells[0]),
        [run.seed for run in unit.runs], training_settings.make_scalars(cells),
        shape=training_settings.shape(cells[0]),
        updates=training_settings.critic_updates(cells[0], cells[0]["steps"]),
        name="frozen", span=(0.0, share),
    )  # fmt: skip
    session.train_until(cells[0]["steps"])
    session.save()
    return session.training


def _problem(settings: Settings) -> Problem:
    """Of the fresh critic: what the generator was trained with has no part in it but its network and the data."""
    if "pair" in settings:
        problem = critic_settings.make_problem(settings)
        return replace(problem, generator=moved(problem.dataset.event_shape))
    before = training_settings.make_problem(_frozen(settings))
    return replace(
        before,
        objective=OBJECTIVES[settings["objective"]],
        critic=build(settings["critic"], NETWORKS).build(before.dataset.event_shape, ()),
        critic_optimizer=OPTIMIZERS[settings["critic_optimizer"]["name"]],
        batch_size=settings["batch_size"],
        critic_steps=1,
        generator_steps=0,
        steps=settings["steps"],
        simultaneous=False,
        pack=1,
        lr_schedule=LrSchedule(**settings["lr_schedule"]),
        critic_warmup=CriticWarmup(),
        instance_noise=None,
        training_set=0,
    )


def _shape(settings: Settings) -> str:
    if "pair" in settings:
        return critic_settings.shape(settings)
    kept = {key: settings[key] for key in ("objective", "critic", "batch_size", "lr_schedule")}
    frozen = {key: settings["frozen"][key] for key in ("generator", "latent")}
    event = _problem(settings).dataset.event_shape
    return canonical(["saturation", kept, settings["critic_optimizer"]["name"], frozen, event])


def _work_before(settings: Settings) -> float:
    return training_settings.work(_frozen(settings)) if "frozen" in settings else 0.0


def _work_after(settings: Settings) -> float:
    """Three passes of the critic a step, real and fake, one of the generator; three of both for each gradient."""
    problem = _problem(settings)
    event = problem.dataset.event_shape
    critic, generator = build(settings["critic"], NETWORKS).multiplications(event, ()), 0
    if "frozen" in settings:
        latent = (settings["frozen"]["latent"]["dim"],)
        generator = build(settings["frozen"]["generator"], NETWORKS).multiplications(latent, event)
    looks = 1 + len(marks(settings["observe"], settings["steps"]))
    gradients = looks * len(settings["probe"]["losses"]) * settings["probe"]["batches"]
    steps = settings["steps"] * (6 * critic + generator)
    return float(2 * settings["batch_size"] * (steps + gradients * 3 * (critic + generator)))


def _without_generator(result: Result, end: tuple[int, str]) -> Result:
    """Of a run whose generator diverged before there was a critic."""
    step, site = end
    message = f"{site} stopped being finite at step {step} of the frozen generator's training"
    return Result(result.run, [{**identity_row(result.run), "step": 0, "status": "diverged", "message": message}])
