"""Train a generator and a critic, and judge the samples on a schedule: the experiment that most grids run.

Shape letters: R replica, N evaluation samples, *E event, Z latent, K modes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field

from bench import checkpoints, evaluation, probes, seeding, training_settings
from bench.cache import shared_folder
from bench.cell import Run, Settings, Unit
from bench.checkpoints import CheckpointError, go_on
from bench.experiments import evidence
from bench.experiments.base import Context, Result, Row, check_keys, identity_row, skipped
from bench.experiments.session import Observe, Session, schedule
from bench.problem import at
from bench.settings import SettingError, build, reads
from datasets import DATASETS


@dataclass(frozen=True, kw_only=True)
class Evaluate(Observe):
    """When samples are judged, and how many."""

    n: Annotated[int, Field(ge=2, le=10**6)] = 2500


class Train:
    """The experiment ``train``."""

    name = "train"
    evaluate: ClassVar[type[Evaluate]] = Evaluate

    def resolve(self, raw: Mapping[str, Any]) -> Settings:
        """See ``Experiment.resolve``."""
        check_keys(raw, (*training_settings.KEYS, "evaluate"))
        settings = training_settings.resolve(raw)
        dataset = build(settings["dataset"], DATASETS)
        evaluate = evidence.resolve(self.evaluate, raw, dataset)
        if settings["pack"] > evaluate["n"]:
            words = f"n is at least pack, the samples of one score: {evaluate['n']} < {settings['pack']}"
            raise SettingError(("evaluate", "n"), words)
        return {**settings, "evaluate": evaluate}

    def sources(self, settings: Settings) -> Settings:
        """See ``Experiment.sources``."""
        return _sources(settings)

    def label(self, settings: Settings) -> str:
        """See ``Experiment.label``."""
        return f"{settings['dataset']['name']}-{settings['objective']}"

    def group(self, settings: Settings) -> str:
        """See ``Experiment.group``."""
        return training_settings.group(settings)

    def work(self, settings: Settings) -> float:
        """See ``Experiment.work``."""
        return training_settings.work(settings)

    def run(self, unit: Unit, context: Context) -> list[Result]:
        """See ``Experiment.run``."""
        reason = training_settings.impossible(unit.runs[0].cell.settings)
        if reason is not None:
            return [skipped(run, reason) for run in unit.runs]
        return go_on(context.work, context.say, lambda: _Judged(unit, context).run())


@reads("objective", "dataset", "evaluate")
def _sources(settings: Settings) -> Settings:
    return {**training_settings.sources(settings), "metrics": evidence.versions(settings)}


TRAIN = Train()


class _Judged:
    """One unit's training, from wherever an earlier try left it to the rows of its runs."""

    def __init__(self, unit: Unit, context: Context) -> None:
        self.unit, self.context, self.shared = unit, context, shared_folder(context.work)
        self.settings = unit.runs[0].cell.settings
        self.problem = training_settings.make_problem(self.settings)
        self.seeds = [run.seed for run in unit.runs]
        self.metrics = evidence.metrics(self.settings)
        self.judging = evidence.of_metrics(self.settings["evaluate"])
        scalars = training_settings.make_scalars([run.cell.settings for run in unit.runs])
        self.session = Session(
            context, self.problem, self.seeds, scalars,
            shape=training_settings.shape(self.settings),
            updates=training_settings.critic_updates(self.settings, self.settings["steps"]),
        )  # fmt: skip
        self.training = self.session.training
        self.draws = probes.draw_for_training(self.problem, self.seeds, context.device)
        self.evidence = evidence.gather(self.settings, self.seeds, context.device, context.say)
        self.marks = schedule(self.settings["evaluate"], self.settings["steps"])
        self._check()

    def _check(self) -> None:
        """What an earlier try has left must be whole, and of one time; else raises ``CheckpointError``."""
        for mark in self.marks:
            path = self._path(str(mark))
            if path.exists():
                checkpoints.load(path)
            if path.exists() and str(mark) not in self.session.readings:
                raise CheckpointError(path, "there are no readings with it")
            if not path.exists() and mark < self.training.step:
                raise CheckpointError(path, "missing, and training has gone on since")
        if self._path("real").exists():
            checkpoints.load(self._path("real"))

    def run(self) -> list[Result]:
        latents = self._draw_evaluation()
        floor = self.context.evaluator.submit(
            evaluation.evaluate_floor,
            self._path("real"), self.metrics, self.judging, evidence.versions(self.settings), self.shared,
        )  # fmt: skip
        judged = {step: self._judge(step) for step in self.marks if self._path(str(step)).exists()}
        for mark in self.marks:
            if mark not in judged:
                self.session.train_until(mark)
                self._observe(mark, latents)
                judged[mark] = self._judge(mark)
            for future in (floor, *judged.values()):
                if future.done():
                    future.result()  # what cannot be judged, for want of memory or else, is not trained to the end
            if all(self.training.diverged()):
                break
        return self._results(judged, floor)

    def _draw_evaluation(self) -> torch.Tensor:
        """Latents [R, N, Z], the same at every observation; the real samples to compare with are left in a file."""
        if not self._path("real").exists():
            evidence.store(self._path("real"), self.evidence.real(self.shared))
        n, latent = self.evidence.latents, self.problem.latent
        return torch.stack([latent.sample(n, seeding.generator(seed, "evaluation")) for seed in self.seeds])

    def _observe(self, step: int, latents: torch.Tensor) -> None:
        found = self.evidence.of(self.training.generate, latents)
        if str(step) not in self.session.readings:  # else a kill came between the two writes below
            self._read(found["fake"][:, : self.evidence.probed])
        # The samples are written after the state that has their readings: where they exist, the state is as late.
        self.session.save()
        evidence.store(self._path(str(step)), found)

    def _read(self, fake: torch.Tensor) -> None:
        real = evidence.load(self._path("real"))["fresh"][:, : self.evidence.probed]
        training = self.training
        state, scalars = training.state, training.scalars
        parts = [
            probes.training_readings(
                self.problem, at(state, own), at(scalars, own), at(self.draws, own), real[own], fake[own]
            )
            for own in training.together
        ]
        found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        self.session.read({**training.readings(), **found})

    def _judge(self, step: int) -> Future[list[dict[str, float]]]:
        return self.context.evaluator.submit(
            evaluation.evaluate,
            self._path(str(step)), "fake", self._path("real"), self.metrics, self.judging,
            self.context.work / f"metrics-{step}.json",
        )  # fmt: skip

    def _results(
        self, judged: Mapping[int, Future[list[dict[str, float]]]], floor: Future[list[dict[str, float]]]
    ) -> list[Result]:
        results = [Result(run) for run in self.unit.runs]
        floors, diverged = floor.result(), self.training.diverged()
        nothing = {name: float("nan") for name in self.session.readings[str(max(judged))]}
        for step, future in judged.items():
            for r, values in enumerate(future.result()):
                end = diverged[r]
                if end is None or end[0] > step:
                    readings = {name: column[r] for name, column in self.session.readings[str(step)].items()}
                    results[r].rows.append(self._row(results[r].run, step, "ok", "", readings, values, floors[r]))
        self._add_exhibits(results, sorted(judged))
        for r, (result, end) in enumerate(zip(results, diverged, strict=True)):
            if end is not None:
                step, site = end
                values = {name: float("nan") for name in future.result()[r]}
                words = f"{site} stopped being finite"
                result.rows.append(self._row(result.run, step, "diverged", words, nothing, values, floors[r]))
        return results

    def _add_exhibits(self, results: Sequence[Result], steps: Sequence[int]) -> None:
        """What takes the samples of all observations: modes that a run has been at, and what is kept for figures."""
        fakes = [evidence.load(self._path(str(step))) for step in steps]
        real = evidence.load(self._path("real"))
        for r, result in enumerate(results):
            own, truth = [evidence.of_replica(fake, r) for fake in fakes], evidence.of_replica(real, r)
            for row, found in zip(result.rows, self.evidence.history(own[: len(result.rows)], truth), strict=False):
                row.update(found)
            result.samples = self.evidence.keep(steps, own, truth)

    def _row(
        self,
        run: Run, step: int, status: str, message: str,
        readings: Mapping[str, float], values: Mapping[str, float], floors: Mapping[str, float],
    ) -> Row:  # fmt: skip
        wall = readings["wall_seconds"]
        return {
            **identity_row(run),
            "step": step,
            "status": status,
            "message": message,
            "generator_steps_done": step * self.settings["generator_steps"],
            "critic_steps_done": training_settings.critic_updates(self.settings, step),
            "replica_steps_per_second": len(self.seeds) * step / wall if wall > 0 else float("nan"),
            **readings,
            **values,
            **floors,
            **self.evidence.facts,
            "way": self.session.way,
            "replicas": len(self.seeds),
        }

    def _path(self, what: str) -> Path:
        return self.context.work / f"samples-{what}.safetensors"
