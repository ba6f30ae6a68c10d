"""What samples of a data set are judged by: the metrics that apply, real samples, and what metrics are told of any.

Shape letters: R replica, N samples that are compared, M samples that are classified, *E event, K modes or classes, T
training images, F features, O observations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from bench import checkpoints, inception, judge, seeding
from bench.cache import content_digest
from bench.cell import Settings
from bench.checkpoints import CheckpointError
from bench.evaluation import TRUTH
from bench.metrics import METRICS, Metric, Modes
from bench.rotation import Occupied, occupied, occupied_classes, visits
from bench.settings import SettingError, build, check_block, once, reads
from bench.sources import DATASET, code_digest, metric_version
from datasets import DATASETS
from datasets.base import Dataset, Images, LabelledImages, Mixture, OnManifold, Part

Arrays: TypeAlias = "Mapping[str, np.ndarray]"
"""Of one run: what a file of samples holds, without the axis of replicas."""
Generate: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"
"""Latents [R, n, Z] -> samples [R, n, *E]."""

CHUNK = 500
"""Images are generated so many at a time; with batch norm in the generator this is the batch that it sees."""
MOST_TRAINING = 60_000
"""Of a larger part for training metrics are told nothing: it would not fit beside each evaluation."""
SHEET = 64
STRIP = 8
"""Images that are kept of a run for pictures: at the end, and at every observation."""


# --- which metrics


def metrics(settings: Settings) -> list[str]:
    """The metrics of a cell, by name."""
    dataset = build(settings["dataset"], DATASETS)
    unwanted = set() if settings["evaluate"].get("inception") else {"inception"}
    return [name for name in METRICS if name not in unwanted and _applies(METRICS[name], dataset)]


def _applies(metric: Metric, dataset: Any) -> bool:
    spaces, known = _offers(dataset)
    return metric.space in spaces and metric.needs in known


@lru_cache(maxsize=1024)
def _offers(dataset: Any) -> tuple[frozenset[str], frozenset[str]]:
    """In which spaces samples of the data set can be looked at, and what of the truth is known."""
    images, labelled = isinstance(dataset, Images), isinstance(dataset, LabelledImages)
    spaces = {"data": True, "features": labelled, "classes": labelled, "inception": images}
    spaces["manifold"] = isinstance(dataset, OnManifold)
    known = {"nothing": True, "modes": isinstance(dataset, Mixture), "classes": labelled}
    known["training"] = 0 < _training_size(dataset) <= MOST_TRAINING
    offered, told = ({name for name, given in kind.items() if given} for kind in (spaces, known))
    return frozenset(offered), frozenset(told)


def _training_size(dataset: Dataset) -> int:
    return _sizes(dataset).get("train", 0)


def _sizes(dataset: Dataset) -> dict[Part, int]:
    """Of the parts of a set of images; ``SettingError`` where its files are not what the settings say."""
    try:
        return dataset.sizes() if isinstance(dataset, Images) else {}
    except (OSError, ValueError) as error:
        raise SettingError(("dataset",), str(error)) from None


def resolve(kind: type[Any], raw: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    """The block ``evaluate``, of an experiment's own ``kind`` and the metrics', with every default.

    Raises:
        SettingError: a setting is unknown or impossible, or there are fewer samples, or real images, than it asks for.
    """
    return once((kind, dataset, repr(raw.get("evaluate", ...))), lambda: _resolve(kind, raw, dataset))


def _resolve(kind: type[Any], raw: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    evaluate = check_block([kind, *_settings_kinds(dataset)], raw.get("evaluate", {}), ("evaluate",))
    if evaluate["emd_n"] > evaluate["n"]:
        words = f"emd_n is at most n, the samples that there are: {evaluate['emd_n']} > {evaluate['n']}"
        raise SettingError(("evaluate", "emd_n"), words)
    most = _sizes(dataset).get("evaluation", 0) // 2
    if 0 < most < evaluate["n"]:
        words = f"{evaluate['n']:,} is more than half of the {2 * most:,} images to compare with"
        raise SettingError(("evaluate", "n"), f"{words}; the other half serves as the floor: at most {most:,}")
    return evaluate


def of_metrics(evaluate: Settings) -> dict[str, Any]:
    """The settings of the block that are metrics' own."""
    known = {field.name for metric in METRICS.values() for field in fields(metric.settings)}
    return {name: value for name, value in evaluate.items() if name in known}


@reads("dataset", "evaluate")
def versions(settings: Settings) -> dict[str, Any]:
    """Of the metrics of a cell, and of the judge that they ask."""
    judged = "classes" in _offers(build(settings["dataset"], DATASETS))[0]
    return {name: metric_version(name) for name in metrics(settings)} | ({"judge": judge.VERSION} if judged else {})


def _settings_kinds(dataset: Any) -> list[type[Any]]:
    """The settings of all metrics of images, or of all of points, whether they apply to the data set or not."""
    images = "inception" in _offers(dataset)[0]
    return [m.settings for m in METRICS.values() if (m.needs != "modes" if images else not m.of_images)]


# --- files


def store(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Publish samples as a checkpoint."""
    checkpoints.store(path, {name: tensor.cpu().contiguous().numpy() for name, tensor in tensors.items()})


def load(path: Path) -> dict[str, torch.Tensor]:
    """What was stored by this process, or has been checked by it."""
    from safetensors.torch import load_file

    return load_file(path)


def of_replica(tensors: Mapping[str, torch.Tensor], replica: int) -> dict[str, np.ndarray]:
    """What a file holds of one replica, and of all: the truth."""
    return {name: (x if name in TRUTH else x[replica]).numpy() for name, x in tensors.items()}


# --- evidence


class Evidence(ABC):
    """Of one unit's replicas."""

    facts: Mapping[str, Any]
    """Columns that every row has beside what is measured."""
    latents: int
    """How many samples an observation takes."""
    probed: int
    """How many of them the critic is asked about."""

    @abstractmethod
    def real(self, shared: Path) -> dict[str, torch.Tensor]:
        """What the file of real samples holds: ``reference`` to compare with, ``fresh`` for the floor, the truth.

        What takes long, and is the same for all units with these seeds, is left in the folder ``shared`` for the next.
        """

    @abstractmethod
    def of(self, generate: Generate, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """What a file of generated samples holds: ``fake`` [R, N, *E], and what metrics are told in other spaces."""

    @abstractmethod
    def occupied(self, fake: Arrays, real: Arrays) -> Occupied | None:
        """Which modes one run's samples are at; None where there are none to be at."""

    @abstractmethod
    def keep(self, steps: Sequence[int], fakes: Sequence[Arrays], real: Arrays) -> dict[str, np.ndarray]:
        """What is kept of one run for figures: from its samples at every observation, the last one last."""

    def history(self, fakes: Sequence[Arrays], real: Arrays) -> list[dict[str, float]]:
        """Of each observation of one run, in order, which modes it is at and has been at; empty where there are none.

        See ``bench.rotation.visits``.
        """
        found = [self.occupied(fake, real) for fake in fakes]
        return visits([now for now in found if now is not None])


def gather(settings: Settings, seeds: Sequence[int], device: str, say: Callable[[str], None]) -> Evidence:
    """The evidence on replicas with these seeds; ``say`` is told of what takes long."""
    dataset = build(settings["dataset"], DATASETS)
    if isinstance(dataset, Images):
        return _OfImages(dataset, settings, seeds, device, say)
    return _OfPoints(dataset, settings["evaluate"]["n"], seeds)


class _OfPoints(Evidence):
    """Samples as they are, and the truth about a mixture."""

    def __init__(self, dataset: Dataset, n: int, seeds: Sequence[int]) -> None:
        self._dataset, self._seeds = dataset, seeds
        self.latents, self.probed, self.facts = n, n, {}

    def real(self, shared: Path) -> dict[str, torch.Tensor]:
        dataset, n = self._dataset, self.latents
        draws: dict[str, list[torch.Tensor]] = {"reference": [], "fresh": []}
        for seed in self._seeds:
            generator = seeding.generator(seed, "reference")
            draws["reference"].append(_reference(dataset, n, generator))
            draws["fresh"].append(dataset.sample(n, generator))
        known = {name: torch.stack(values) for name, values in draws.items()}
        if isinstance(dataset, Mixture):
            known |= {"means": dataset.means(), "weights": dataset.weights()}
            known |= {"std": torch.tensor(dataset.std, dtype=torch.float64)}
        return known

    def of(self, generate: Generate, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"fake": generate(latents)}

    def occupied(self, fake: Arrays, real: Arrays) -> Occupied | None:
        if "means" not in real:
            return None
        return occupied(fake["fake"], Modes(real["means"], float(real["std"]), real["weights"]))

    def keep(self, steps: Sequence[int], fakes: Sequence[Arrays], real: Arrays) -> dict[str, np.ndarray]:
        known = {name: array for name, array in real.items() if name not in ("reference", "fresh")}
        return {"fake": fakes[-1]["fake"], "real": real["reference"], **known}


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


class _OfImages(Evidence):
    """Images, and what a judge, a known manifold or Inception says of them."""

    def __init__(
        self, dataset: Images, settings: Settings, seeds: Sequence[int], device: str, say: Callable[[str], None]
    ) -> None:
        evaluate = settings["evaluate"]
        self._dataset, self._seeds, self._device = dataset, seeds, device
        classified = evaluate["class_n"] if isinstance(dataset, LabelledImages) else 0
        self._most = {"data": evaluate["n"], "features": evaluate["n"], "classes": classified}
        self._measured = evaluate["manifold_n"]
        self._inception = "inception" in metrics(settings)
        if self._inception:
            inception.weights()  # raises before anything is trained where they are not there
        self._judge: judge.Judge | None = None
        self.latents, self.probed = max(self._most.values()), min(evaluate["n"], CHUNK)
        self.facts: dict[str, Any] = {f"part_{part}": size for part, size in dataset.sizes().items()}
        if isinstance(dataset, LabelledImages):
            self._judge = found = judge.judge_of(dataset, say, device)
            self.facts |= {"judge": found.digest, "judge_of": found.of}
            self.facts |= {"judge_accuracy": found.accuracy, "judge_n": found.n}
        code, asked = code_digest(DATASET, settings["dataset"]["name"]), [self._measured, self._inception]
        self._told_by = [settings["dataset"], code, versions(settings), asked, self.facts, device, torch.__version__]
        """What decides, beside the images, what is told of them."""

    def real(self, shared: Path) -> dict[str, torch.Tensor]:
        of_seeds = [self._real(seed, shared) for seed in self._seeds]
        found = {name: torch.stack([own[name] for own in of_seeds]) for name in of_seeds[0]}
        if isinstance(self._dataset, LabelledImages):
            found["classes"] = self._dataset.class_weights()
        training = _training(self._dataset)
        return found if training is None else {**found, "training": training}

    def _real(self, seed: int, shared: Path) -> dict[str, torch.Tensor]:
        """The real samples of one seed, and what is told of them."""
        dataset, n = self._dataset, self._most["data"]
        source = seeding.generator(seed, "reference")
        pair = dataset.distinct("evaluation", 2 * n, source)
        images = {"reference": pair[:n], "fresh": pair[n:]}
        # Classes are counted over more samples than a finite set has images: over draws with replacement.
        labelled = isinstance(dataset, LabelledImages)
        many = dataset.sample_part("evaluation", self._most["classes"], source) if labelled else pair[:0]
        drawn = {name: own.numpy() for name, own in {**images, "many": many}.items()}
        path = shared / f"real-{content_digest(drawn, self._told_by)}.safetensors"
        try:
            checkpoints.load(path)
        except CheckpointError:
            told = {key: value for name, own in images.items() for key, value in self._told_of(name, own).items()}
            store(path, told | ({"fresh_classes": self._look(many[None])["classes"][0]} if labelled else {}))
        return {**images, **load(path)}

    def of(self, generate: Generate, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        told: list[dict[str, torch.Tensor]] = []
        for done in range(0, self.latents, CHUNK):
            images = generate(latents[:, done : done + CHUNK])
            seen = {"data": images, **self._look(images)}
            told.append({space: values[:, : max(0, self._most[space] - done)] for space, values in seen.items()})
        joined = {space: torch.cat([one[space] for one in told], 1) for space in told[0]}
        images = joined.pop("data")
        return {"fake": images, **_prefixed("fake", {**joined, **self._measure(images)})}

    def _told_of(self, name: str, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """What is told of one seed's images [N, *E] in other spaces [N, ...]."""
        told = _prefixed(name, {**self._look(images[None]), **self._measure(images[None])})
        return {key: values[0] for key, values in told.items()}

    def _look(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the judge says of images [R, n, *E]."""
        if self._judge is None:
            return {}
        seen = self._judge.look(images.flatten(0, 1).to(self._device))
        classes = torch.stack([seen.classes.to(torch.float64), seen.confidence.to(torch.float64)], 1)
        return {
            name: values.reshape(*images.shape[:2], -1).cpu()
            for name, values in (("features", seen.features), ("classes", classes))
        }

    def _measure(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """What needs no judge, and takes long, of images [R, N, *E]."""
        found = {}
        if isinstance(self._dataset, OnManifold):
            few = images[:, : self._measured].cpu().to(torch.float32)
            found["manifold"] = torch.stack([self._dataset.distances(own) for own in few])[..., None]
        if self._inception:
            seen = inception.features(images.flatten(0, 1))
            found["inception"] = seen.reshape(*images.shape[:2], -1).cpu()
        return found

    def occupied(self, fake: Arrays, real: Arrays) -> Occupied | None:
        return occupied_classes(fake["fake_classes"], real["classes"]) if "fake_classes" in fake else None

    def keep(self, steps: Sequence[int], fakes: Sequence[Arrays], real: Arrays) -> dict[str, np.ndarray]:
        last = fakes[-1]
        kept = {
            "sheet": _pixels(last["fake"][:SHEET]),
            "real_sheet": _pixels(real["reference"][:SHEET]),
            "strip": _pixels(np.stack([fake["fake"][:STRIP] for fake in fakes])),
            "strip_steps": np.array(steps, dtype=np.int64),
        }
        if "fake_classes" in last:
            named = last["fake_classes"][:, 0]
            counts = np.bincount(named[named >= 0].astype(np.int64), minlength=len(real["classes"]))
            kept |= {"class_counts": counts.astype(np.int64), "class_weights": real["classes"]}
        training = self._learnt()
        if training is not None:
            nearest, distances = _nearest(last["fake"][:STRIP], training)
            kept |= {"nearest": _pixels(nearest), "nearest_distance": distances}
        return kept

    def _learnt(self) -> np.ndarray | None:
        """The images [T, C, H, W] that generators learn from, or those that one channel shows one of."""
        if isinstance(self._dataset, LabelledImages):
            return self._dataset.labelled_part("train")[0].numpy()
        training = _training(self._dataset)
        return None if training is None else training.numpy()


def _prefixed(name: str, spaces: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{name}_{space}": values for space, values in spaces.items()}


def _training(dataset: Images) -> torch.Tensor | None:
    """All images that generators learn from [T, *E], where they are few enough."""
    size = _training_size(dataset)
    return dataset.distinct("train", size, torch.Generator().manual_seed(0)) if 0 < size <= MOST_TRAINING else None


def _pixels(images: np.ndarray) -> np.ndarray:
    """From [-1, 1] to 0 to 255; what is not a number is black."""
    scaled = np.clip(np.nan_to_num((images + 1) / 2, nan=0.0), 0, 1)
    return np.round(255 * scaled).astype(np.uint8)


def _nearest(images: np.ndarray, training: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The training images nearest to images [n, C, H, W], and their Euclidean distances [n].

    Where an image has more channels than those of training, each of its channels, or groups of them, shows one.
    """
    from scipy.spatial.distance import cdist

    parts = np.nan_to_num(images).reshape(-1, *training.shape[1:])
    distances = cdist(parts.reshape(len(parts), -1), training.reshape(len(training), -1))
    index = distances.argmin(axis=1)
    least = distances[np.arange(len(parts)), index].reshape(len(images), -1)
    return training[index].reshape(images.shape), np.linalg.norm(least, axis=1)
