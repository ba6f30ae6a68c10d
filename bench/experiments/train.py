"""Train a generator and a critic, and judge the samples on a schedule: the experiment that most grids run.

Shape letters: R replica, N evaluation samples, *E event, Z latent, K modes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from bench import evaluation, probes, seeding, sources, training_settings
from bench.cell import Run, Settings, Unit
from bench.experiments.base import Context, Result, Row, check_keys, identity_row, skipped
from bench.experiments.session import Observe, Session, schedule
from bench.metrics import METRICS, Modes
from bench.records import publish_bytes
from bench.rotation import rotation
from bench.settings import SettingError, build, check_block
from datasets import DATASETS
from datasets.base import Dataset, Mixture


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
        kinds: list[type[Any]] = [self.evaluate, *(metric.settings for metric in METRICS.values())]
        evaluate = check_block(kinds, raw.get("evaluate", {}), ("evaluate",))
        if evaluate["emd_n"] > evaluate["n"]:
            words = f"emd_n is at most n, the samples that there are: {evaluate['emd_n']} > {evaluate['n']}"
            raise SettingError(("evaluate", "emd_n"), words)
        if settings["pack"] > evaluate["n"]:
            words = f"n is at least pack, the samples of one score: {evaluate['n']} < {settings['pack']}"
            raise SettingError(("evaluate", "n"), words)
        return {**settings, "evaluate": evaluate}

    def sources(self, settings: Settings) -> Settings:
        """See ``Experiment.sources``."""
        metrics = {name: sources.metric_version(name) for name in _metrics(build(settings["dataset"], DATASETS))}
        return {**training_settings.sources(settings), "metrics": metrics}

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
        return _Judged(unit, context).run()


TRAIN = Train()


def _metrics(dataset: Dataset) -> list[str]:
    known = isinstance(dataset, Mixture)
    return [name for name, metric in METRICS.items() if known or not metric.needs_modes]


class _Judged:
    """One unit's training, from wherever an earlier try left it to the rows of its runs."""

    def __init__(self, unit: Unit, context: Context) -> None:
        self.unit, self.context = unit, context
        self.settings = unit.runs[0].cell.settings
        self.problem = training_settings.make_problem(self.settings)
        self.seeds = [run.seed for run in unit.runs]
        self.metrics = _metrics(self.problem.dataset)
        mine = {field.name for field in fields(Evaluate)}
        self.judging = {name: value for name, value in self.settings["evaluate"].items() if name not in mine}
        scalars = training_settings.make_scalars([run.cell.settings for run in unit.runs])
        self.session = Session(
            context, unit.id, self.problem, self.seeds, scalars,
            shape=training_settings.shape(self.settings),
            updates=training_settings.critic_updates(self.settings, self.settings["steps"]),
        )  # fmt: skip
        self.training = self.session.training
        self.draws = probes.draw_for_training(self.problem, self.seeds, context.device)

    def run(self) -> list[Result]:
        latents = self._draw_evaluation()
        marks = schedule(self.settings["evaluate"], self.settings["steps"])
        floor = self.context.evaluator.submit(
            evaluation.evaluate_floor,
            self._path("real"), self.metrics, self.judging, self.context.work / "floor.json",
        )  # fmt: skip
        judged = {step: self._judge(step) for step in marks if self._path(str(step)).exists()}
        for mark in marks:
            if mark not in judged:
                self.session.train_until(mark)
                self._observe(mark, latents)
                judged[mark] = self._judge(mark)
            if all(self.training.diverged()):
                break
        return self._results(judged, floor)

    def _draw_evaluation(self) -> torch.Tensor:
        """Latents [R, N, Z], the same at every observation; the real samples to compare with are left in a file."""
        n = self.settings["evaluate"]["n"]
        dataset = self.problem.dataset
        if not self._path("real").exists():
            draws: dict[str, list[torch.Tensor]] = {"reference": [], "fresh": []}
            for seed in self.seeds:
                generator = seeding.generator(seed, "reference")
                draws["reference"].append(_reference(dataset, n, generator))
                draws["fresh"].append(dataset.sample(n, generator))
            known = {name: torch.stack(values) for name, values in draws.items()}
            if isinstance(dataset, Mixture):
                known |= {"means": dataset.means(), "weights": dataset.weights()}
                known |= {"std": torch.tensor(dataset.std, dtype=torch.float64)}
            self._store("real", known)
        return torch.stack(
            [self.problem.latent.sample(n, seeding.generator(seed, "evaluation")) for seed in self.seeds]
        )

    def _observe(self, step: int, latents: torch.Tensor) -> None:
        fake = self.training.generate(latents)
        if str(step) not in self.session.readings:  # else a kill came between the two writes below
            self._read(fake)
        # The samples are written after the state that has their readings: where they exist, the state is as late.
        self.session.save()
        self._store(str(step), {"fake": fake.cpu().to(torch.float32)})

    def _read(self, fake: torch.Tensor) -> None:
        real = _load_tensors(self._path("real"))["fresh"]
        training = self.training
        found = probes.training_readings(self.problem, training.state, training.scalars, self.draws, real, fake)
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
        last = _load_tensors(self._path(str(max(judged))))["fake"]
        real = _load_tensors(self._path("real"))
        known = {name: tensor.numpy() for name, tensor in real.items() if name not in ("reference", "fresh")}
        self._add_rotation(results, known)
        for r, (result, end) in enumerate(zip(results, diverged, strict=True)):
            result.samples = {"fake": last[r].numpy(), "real": real["reference"][r].numpy(), **known}
            if end is not None:
                step, site = end
                values = {name: float("nan") for name in future.result()[r]}
                words = f"{site} stopped being finite"
                result.rows.append(self._row(result.run, step, "diverged", words, nothing, values, floors[r]))
        return results

    def _add_rotation(self, results: Sequence[Result], known: Mapping[str, np.ndarray]) -> None:
        """Which modes a run has been at, which takes the samples of all its observations."""
        if "means" not in known:
            return
        modes = Modes(known["means"], float(known["std"]), known["weights"])
        steps = sorted({row["step"] for result in results for row in result.rows})
        seen = np.stack([_load_tensors(self._path(str(step)))["fake"].numpy() for step in steps], 1)
        for own, result in zip(seen, results, strict=True):
            for row, found in zip(result.rows, rotation(own[: len(result.rows)], modes), strict=True):
                row.update(found)

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
            "way": self.session.way,
            "replicas": len(self.seeds),
        }

    def _path(self, what: str) -> Path:
        return self.context.work / f"samples-{what}.safetensors"

    def _store(self, what: str, tensors: Mapping[str, torch.Tensor]) -> None:
        from safetensors.torch import save

        publish_bytes(save({name: tensor.contiguous() for name, tensor in tensors.items()}), self._path(what))


def _reference(dataset: Dataset, n: int, generator: torch.Generator) -> torch.Tensor:
    """Real samples to compare with; of a mixture, each mode has its due number, which halves the noise of the EMD.

    The modes take turns, so that the first samples are as even as all of them.
    """
    if not isinstance(dataset, Mixture):
        return dataset.sample(n, generator)
    due = dataset.weights() * n
    counts = due.floor()
    rest = n - int(counts.sum())
    counts[torch.argsort(due - counts, descending=True, stable=True)[:rest]] += 1
    modes = torch.repeat_interleave(torch.arange(len(counts)), counts.to(torch.int64))
    turns = torch.cat([(torch.arange(int(count)) + 0.5) / count for count in counts])
    return dataset.sample_modes(modes[torch.argsort(turns, stable=True)], generator)


def _load_tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)
