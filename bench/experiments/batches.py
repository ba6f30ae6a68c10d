"""Is a batch of real images nearer to another batch of real images, or to copies of their mean?

The Wasserstein distance of samples is not that of their laws: in many dimensions two small batches of one law are far
from each other. Stanczuk et al. 2021 (arXiv:2103.01678) conclude that a generator which minimised the distance of
batches would not learn the law. No training.

Shape letters: n images of a batch, *E event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field

from bench import seeding, sources
from bench.cell import Run, Settings, Unit
from bench.experiments.base import Context, Result, Stopped, check_keys, identity_row
from bench.metrics.base import Array
from bench.metrics.emd import earth_movers_distance
from bench.settings import SettingError, build, check_block, check_named
from bench.sources import DATASET, code_digest
from bench.training_settings import require
from datasets import DATASETS
from datasets.base import Images, Part
from datasets.presets import expand

KEYS = ("dataset", "probe")

COMPARED: tuple[Part, ...] = ("evaluation", "train")
"""The parts that the two batches are from, so that no image is in both: of an unlimited supply none would be."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Batch sizes: the smallest, and its double so many times."""

    smallest: Annotated[int, Field(ge=2, le=5000)] = 64
    doublings: Annotated[int, Field(ge=0, le=10)] = 3

    def sizes(self) -> list[int]:
        """In ascending order."""
        return [self.smallest * 2**k for k in range(self.doublings + 1)]


class Batches:
    """The experiment ``batches``: a row a batch size, which is the ``step``.

    Distances are exact, between uniform weights on float64 pixels, with the Euclidean norm over all pixels of the
    values as the data set has them, -1 for black and 1 for white. Images of a batch are distinct, those of a smaller
    one the first of a larger one.

    - ``batch_size``: n, of either side.
    - ``w1_batches``: W1 between n images of the part ``evaluation`` and n of the part ``train``.
    - ``w1_mean_image``: W1 between the same n images of the part ``evaluation`` and copies of one image, the mean over
      the whole part ``train``; this is the mean distance from that image.
    """

    name = "batches"

    def resolve(self, raw: Mapping[str, Any]) -> Settings:
        """See ``Experiment.resolve``."""
        check_keys(raw, KEYS)
        require(raw, "dataset")
        named = check_named(expand(raw["dataset"]), "data set", DATASETS, ("dataset",))
        probe = check_block([Probe], raw.get("probe", {}), ("probe",))
        dataset, most = build(named, DATASETS), Probe(**probe).sizes()[-1]
        if not isinstance(dataset, Images):
            raise SettingError(("dataset",), f"{named['name']} is no set of images")
        for part in COMPARED:
            there = dataset.sizes()[part]
            if most > there:
                words = f"batches of up to {most:,} images; the part {part} of {named['name']} has {there:,}"
                raise SettingError(("probe",), words)
        return {"dataset": named, "probe": probe}

    def sources(self, settings: Settings) -> Settings:
        """See ``Experiment.sources``."""
        dataset = code_digest(DATASET, settings["dataset"]["name"])
        return {"dataset": dataset, "metrics": {"emd": sources.metric_version("emd")}}

    def label(self, settings: Settings) -> str:
        """See ``Experiment.label``."""
        return f"batches-{settings['dataset']['name']}"

    def group(self, settings: Settings) -> str:
        """See ``Experiment.group``: each run is done by itself, and any may share a unit."""
        return ""

    def work(self, settings: Settings) -> float:
        """See ``Experiment.work``."""
        return float(sum(500 * size**2.5 / 30 for size in Probe(**settings["probe"]).sizes()))

    def run(self, unit: Unit, context: Context) -> list[Result]:
        """See ``Experiment.run``: a killed try begins again, since a run takes seconds."""
        results = []
        for index, run in enumerate(unit.runs):
            if context.stopping():
                raise Stopped
            results.append(_measure(run))
            context.progress((index + 1) / len(unit.runs))
        return results


BATCHES = Batches()


def _measure(run: Run) -> Result:
    dataset = build(run.cell.settings["dataset"], DATASETS)
    sizes = Probe(**run.cell.settings["probe"]).sizes()
    batch, other = (
        _flat(dataset.distinct(part, sizes[-1], seeding.generator(run.seed, purpose)))
        for part, purpose in zip(COMPARED, ("reference", "evaluation"), strict=True)
    )
    everything = dataset.distinct("train", dataset.sizes()["train"], seeding.generator(run.seed, "evaluation"))
    mean = _flat(everything.mean(0, keepdim=True, dtype=torch.float64))
    rows = [
        {
            **identity_row(run),
            "step": n,
            "status": "ok",
            "message": "",
            "batch_size": n,
            "w1_batches": earth_movers_distance(batch[:n], other[:n], norm="euclidean"),
            "w1_mean_image": earth_movers_distance(batch[:n], mean, norm="euclidean"),
        }
        for n in sizes
    ]
    return Result(run, rows)


def _flat(images: torch.Tensor) -> Array:
    """Images [n, *E] as rows of float64."""
    return images.flatten(1).to(torch.float64).numpy()
