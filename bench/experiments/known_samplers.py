"""What every metric says of samplers whose worth is known: the judges judged, before any generator is.

No training: a cell is a data set and a sampler, and its one row holds all metrics of the sampler's draws, with their
floors, as ``train`` measures a generator's. What a metric cannot see stands in its own row: the data themselves, which
of images is what a thief shows, a hundred of them over and over, one, noise.

Shape letters: R replica, n samples, *E event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import torch
from pydantic import Field

from bench import evaluation, seeding
from bench.cache import shared_folder
from bench.cell import Settings, Unit, canonical
from bench.experiments import evidence
from bench.experiments.base import Context, Result, check_keys, identity_row
from bench.settings import build, check_named
from bench.sources import DATASET, code_digest
from bench.training_settings import require
from datasets import DATASETS
from datasets.base import Dataset
from datasets.presets import expand

KEYS = ("dataset", "sampler", "evaluate")
"""What a cell may set."""


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """How many samples are compared with as many real ones."""

    n: Annotated[int, Field(ge=2, le=10**6)] = 2500


class Sampler(Protocol):
    """Something that is no generator."""

    def draw(self, dataset: Dataset, n: int, generator: torch.Generator) -> torch.Tensor:
        """So many samples [n, *E]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Data:
    """What generators learn from: the perfect sampler, and of a finite set of images the perfect thief."""

    def draw(self, dataset: Dataset, n: int, generator: torch.Generator) -> torch.Tensor:
        """See ``Sampler.draw``."""
        return dataset.sample(n, generator)


@dataclass(frozen=True, kw_only=True)
class Copies:
    """``count`` samples of what generators learn from, drawn once, over and over; one is the collapsed generator."""

    count: Annotated[int, Field(ge=1, le=10**6)] = 100

    def draw(self, dataset: Dataset, n: int, generator: torch.Generator) -> torch.Tensor:
        """See ``Sampler.draw``."""
        known = dataset.sample(self.count, generator)
        return known[torch.randint(self.count, (n,), generator=generator)]


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Uniform noise on [-1, 1], each number of a sample for itself."""

    def draw(self, dataset: Dataset, n: int, generator: torch.Generator) -> torch.Tensor:
        """See ``Sampler.draw``."""
        return 2 * torch.rand((n, *dataset.event_shape), generator=generator) - 1


SAMPLERS: dict[str, type[Sampler]] = {"data": Data, "copies": Copies, "noise": Noise}
"""Every sampler that a grid file can name."""


class KnownSamplers:
    """The experiment ``known_samplers``."""

    name = "known_samplers"

    def resolve(self, raw: Mapping[str, Any]) -> Settings:
        """See ``Experiment.resolve``."""
        check_keys(raw, KEYS)
        require(raw, "dataset", "sampler")
        settings = {
            "dataset": check_named(expand(raw["dataset"]), "data set", DATASETS, ("dataset",)),
            "sampler": check_named(raw["sampler"], "sampler", SAMPLERS, ("sampler",)),
        }
        return {**settings, "evaluate": evidence.resolve(Evaluate, raw, build(settings["dataset"], DATASETS))}

    def sources(self, settings: Settings) -> Settings:
        """See ``Experiment.sources``."""
        return {"dataset": code_digest(DATASET, settings["dataset"]["name"]), "metrics": evidence.versions(settings)}

    def label(self, settings: Settings) -> str:
        """See ``Experiment.label``."""
        return f"{settings['dataset']['name']}-{settings['sampler']['name']}"

    def group(self, settings: Settings) -> str:
        """See ``Experiment.group``."""
        return canonical(settings)

    def work(self, settings: Settings) -> float:
        """See ``Experiment.work``: a guess at the solves and neighbours, which are quadratic at least."""
        return 1e3 * float(settings["evaluate"]["n"]) ** 2

    def run(self, unit: Unit, context: Context) -> list[Result]:
        """See ``Experiment.run``."""
        settings, seeds = unit.runs[0].cell.settings, [run.seed for run in unit.runs]
        sampler, dataset = build(settings["sampler"], SAMPLERS), build(settings["dataset"], DATASETS)
        told = evidence.gather(settings, seeds, context.device, context.say)
        real, drawn = context.work / "real.safetensors", context.work / "drawn.safetensors"
        shared = shared_folder(context.work)
        evidence.store(real, told.real(shared))
        sources = [seeding.generator(seed, "evaluation") for seed in seeds]
        samples = torch.stack([sampler.draw(dataset, told.latents, source) for source in sources])
        evidence.store(drawn, told.of(lambda some: some, samples))
        context.progress(0.5)
        names, own = evidence.metrics(settings), evidence.of_metrics(settings["evaluate"])
        rows = context.evaluator.submit(
            evaluation.evaluate, drawn, "fake", real, names, own, context.work / "metrics.json"
        )
        versions = evidence.versions(settings)
        floors = context.evaluator.submit(evaluation.evaluate_floor, real, names, own, versions, shared)
        fake, truth = evidence.load(drawn), evidence.load(real)
        results = []
        for r, (run, values, floor) in enumerate(zip(unit.runs, rows.result(), floors.result(), strict=True)):
            row = {**identity_row(run), "step": 0, "status": "ok", "message": "", **values, **floor, **told.facts}
            kept = told.keep([0], [evidence.of_replica(fake, r)], evidence.of_replica(truth, r))
            results.append(Result(run, [row], kept))
        return results


KNOWN_SAMPLERS = KnownSamplers()
