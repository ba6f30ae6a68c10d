"""Train a generator and a critic, and judge the samples on a schedule: the experiment that most grids run.

Shape letters: R replica, N evaluation samples, *E event, Z latent, K modes.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import Field

from bench import evaluation, seeding, sources, training_settings, ways
from bench.cell import Run, Settings, Unit
from bench.engine import Training, Way
from bench.errors import nearest
from bench.experiments.base import Context, Result, Row, Stopped, identity_row, skipped
from bench.metrics import METRICS
from bench.problem import CriticWarmup
from bench.records import publish_bytes
from bench.settings import SettingError, build, check_block
from datasets import DATASETS
from datasets.base import Dataset, Mixture

CHECKPOINT_SECONDS = 20.0
"""How much training a kill may cost."""

PULSE_SECONDS = 0.5
"""How often, at most, a unit looks up from its work: to tell of progress, to be stopped, to save."""


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """When samples are judged, and how many: ``observations`` steps up to the last, spaced by ratio or evenly."""

    observations: Annotated[int, Field(ge=1, le=1000)] = 12
    spacing: Literal["log", "linear"] = "log"
    n: Annotated[int, Field(ge=2, le=10**6)] = 2500


def schedule(evaluate: Settings, steps: int) -> list[int]:
    """The steps to observe at; by ratio they start at 1 % of the way, and the last step is always one of them."""
    count = evaluate["observations"]
    if evaluate["spacing"] == "linear":
        marks = {round(steps * (index + 1) / count) for index in range(count)}
    else:
        marks = {round(steps * 100 ** (-(count - 1 - index) / max(1, count - 1))) for index in range(count)}
    return sorted(mark for mark in marks | {steps} if mark >= 1)


class Train:
    """The experiment ``train``."""

    name = "train"

    def resolve(self, raw: Mapping[str, Any]) -> Settings:
        """See ``Experiment.resolve``."""
        for key in raw:
            if key not in (*training_settings.KEYS, "evaluate"):
                known = {*training_settings.KEYS, "evaluate", "seeds", "union", "description", "experiment"}
                known |= {"search", "published"}
                raise SettingError((key,), f"unknown setting {key!r}; {nearest(key, known)}")
        settings = training_settings.resolve(raw)
        kinds: list[type[Any]] = [Evaluate, *(metric.settings for metric in METRICS.values())]
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
        return _Session(unit, context).run()


TRAIN = Train()


def _metrics(dataset: Dataset) -> list[str]:
    known = isinstance(dataset, Mixture)
    return [name for name, metric in METRICS.items() if known or not metric.needs_modes]


class _Session:
    """One unit's training, from wherever an earlier try left it to the rows of its runs."""

    def __init__(self, unit: Unit, context: Context) -> None:
        self.unit, self.context = unit, context
        self.settings = unit.runs[0].cell.settings
        self.problem = training_settings.make_problem(self.settings)
        self.seeds = [run.seed for run in unit.runs]
        self.scalars = training_settings.make_scalars([run.cell.settings for run in unit.runs])
        self.metrics = _metrics(self.problem.dataset)
        mine = {field.name for field in fields(Evaluate)}
        self.judging = {name: value for name, value in self.settings["evaluate"].items() if name not in mine}
        self.way = self._way()
        self.training = Training(self.problem, self.seeds, self.scalars, way=self.way, device=context.device)
        self.readings: dict[str, dict[str, list[float]]] = {}
        """Step -> name -> one number a replica."""
        self.wall = self.cpu = 0.0
        self.saved = time.monotonic()

    def run(self) -> list[Result]:
        latents = self._draw_evaluation()
        self._load()
        marks = schedule(self.settings["evaluate"], self.settings["steps"])
        floor = self.context.evaluator.submit(
            evaluation.evaluate_floor,
            self._path("real"), self.metrics, self.judging, self.context.work / "floor.json",
        )  # fmt: skip
        judged = {step: self._judge(step) for step in marks if self._path(str(step)).exists()}
        for mark in marks:
            if mark not in judged:
                self._train_until(mark)
                self._observe(mark, latents)
                judged[mark] = self._judge(mark)
            if all(self.training.diverged()):
                break
        return self._results(judged, floor)

    def _way(self) -> Way:
        path = self.context.work / "way"
        if path.exists():
            return cast(Way, path.read_text())
        # A warm-up is critic steps too: they are counted, and an ordinary step is what is timed.
        ordinary = replace(self.problem, critic_warmup=CriticWarmup())
        updates = training_settings.critic_updates(self.settings, self.settings["steps"])
        way: Way = self.context.way or ways.choose(
            ordinary, self.seeds, self.scalars,
            steps=math.ceil(updates / ordinary.critic_steps), shape=training_settings.shape(self.settings),
            device=self.context.device, say=self.context.say,
        )  # fmt: skip
        publish_bytes(way.encode(), path)
        return way

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

    def _train_until(self, mark: int) -> None:
        training, pulse = self.training, 1
        while training.step < mark:
            wall, cpu = time.perf_counter(), time.process_time()
            count = min(pulse, mark - training.step)
            training.advance(count)
            if self.context.device != "cpu":
                torch.cuda.synchronize()
            taken = time.perf_counter() - wall
            self.wall, self.cpu = self.wall + taken, self.cpu + time.process_time() - cpu
            pulse = max(1, min(2 * pulse, round(PULSE_SECONDS / (taken / count))))
            self.context.progress(training.step / self.settings["steps"])
            stopping = self.context.stopping()
            if stopping or time.monotonic() - self.saved > CHECKPOINT_SECONDS:
                self._save()
            if stopping:
                raise Stopped

    def _observe(self, step: int, latents: torch.Tensor) -> None:
        fake = self.training.generate(latents)
        if str(step) not in self.readings:  # else a kill came between the two writes below
            self._read(step, fake)
        # The samples are written after the state that has their readings: where they exist, the state is as late.
        self._save()
        self._store(str(step), {"fake": fake.cpu().to(torch.float32)})

    def _read(self, step: int, fake: torch.Tensor) -> None:
        real = _load_tensors(self._path("real"))["fresh"]
        gap = self.training.score(real).mean(1) - self.training.score(fake).mean(1)
        named = {**self.training.readings(), "score_gap": gap.cpu()}
        self.readings[str(step)] = {
            **{name: values.tolist() for name, values in named.items()},
            "wall_seconds": [self.wall] * len(self.seeds),
            "cpu_seconds": [self.cpu / len(self.seeds)] * len(self.seeds),
        }

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
        nothing = {name: float("nan") for name in self.readings[str(max(judged))]}
        for step, future in judged.items():
            for r, values in enumerate(future.result()):
                end = diverged[r]
                if end is None or end[0] > step:
                    readings = {name: column[r] for name, column in self.readings[str(step)].items()}
                    results[r].rows.append(self._row(results[r].run, step, "ok", "", readings, values, floors[r]))
        last = _load_tensors(self._path(str(max(judged))))["fake"]
        real = _load_tensors(self._path("real"))
        known = {name: tensor.numpy() for name, tensor in real.items() if name not in ("reference", "fresh")}
        for r, (result, end) in enumerate(zip(results, diverged, strict=True)):
            result.samples = {"fake": last[r].numpy(), "real": real["reference"][r].numpy(), **known}
            if end is not None:
                step, site = end
                values = {name: float("nan") for name in future.result()[r]}
                words = f"{site} stopped being finite"
                result.rows.append(self._row(result.run, step, "diverged", words, nothing, values, floors[r]))
        return results

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
            "way": self.way,
            "replicas": len(self.seeds),
        }

    def _path(self, what: str) -> Path:
        return self.context.work / f"samples-{what}.safetensors"

    def _store(self, what: str, tensors: Mapping[str, torch.Tensor]) -> None:
        from safetensors.torch import save

        publish_bytes(save({name: tensor.contiguous() for name, tensor in tensors.items()}), self._path(what))

    def _save(self) -> None:
        from safetensors.torch import save

        told = {"readings": self.readings, "wall": self.wall, "cpu": self.cpu}
        data = save(self.training.state_dict(), metadata={"unit": self.unit.id, "told": json.dumps(told)})
        publish_bytes(data, self.context.work / "state.safetensors")
        self.saved = time.monotonic()

    def _load(self) -> None:
        from safetensors import safe_open

        path = self.context.work / "state.safetensors"
        if not path.exists():
            return
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            if metadata["unit"] != self.unit.id:
                raise ValueError(f"{path} is the state of another unit; remove it")
            self.training.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        told = json.loads(metadata["told"])
        self.readings, self.wall, self.cpu = told["readings"], told["wall"], told["cpu"]


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
