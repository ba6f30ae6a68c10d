"""How much memory a unit of replicas needs, and how much disk its runs take: estimated from settings, before any work.

Numbers that are held are counted, and weighed by factors that real workers were found to need: an estimate is meant to
lie between .8 and three times what is needed, and launches plan with 90 % of what is free. Torch is not loaded, and of
cells that differ little all is read once while settings are `remembered <bench.settings.remembering>`.

Shape letters: R replica, N samples that are compared, E numbers of a sample, Z latent, O observations.
"""

from __future__ import annotations

import os
from math import prod
from pathlib import Path
from typing import NamedTuple

from bench.cell import Settings
from bench.engine import AHEAD, BLOCK_BYTES
from bench.evaluation import largest_solve
from bench.experiments.evidence import CHUNK, MOST_TRAINING, SHEET, STRIP
from bench.judge import FEATURES
from bench.metrics import emd
from bench.networks import NETWORKS, Sizes
from bench.optim import OPTIMIZERS
from bench.pairs import build_pair
from bench.probes import POINTS
from bench.settings import build, reads
from datasets import DATASETS
from datasets.base import Dataset, Images, LabelledImages
from objectives import OBJECTIVES

NUMBER = 4
"""Bytes of a float32, which nearly everything is held in."""

PROCESSES = 1_250_000_000
"""Bytes of a worker and its evaluator, with their libraries, that have nothing to do yet."""
LIBRARIES = 450_000_000
"""Of these, what processes have in common: the code of libraries, which is in memory once."""
IMAGES = 250_000_000
"""For looking at images: distances between samples, some at a time, and what a judge computes."""
INCEPTION, INCEPTION_FEATURES = 1_000_000_000, 2048
"""Bytes for its weights and for looking at some images, and how many numbers it makes of one."""

SAVED, STEPPED = 4, 6
"""Copies of the state while it is saved: itself, its bytes, those put together, and read back. Copies of parameters
beside it: gradients, and a step in double precision."""
KEPT = 4
"""Copies of what layers give, activated and not, that the way back through a network holds."""
SEEN, PENALISED = 2, 3
"""Samples that a critic's update sees for each score: a real one and a fake one; and, where a loss looks at slopes, so
much again for going back twice."""
AT_ONCE = 3
"""Copies of what the widest layer gives, where there is no way back."""
STORED = 8
"""Copies of the samples of an observation: generated, stored, read again, in double precision, beside real ones."""
DRAWN = {"cpu": 8, "cuda": 64}
"""Iterations whose draws lie ready; a CPU mostly looks up from its work before it has made more."""
READ = 3
"""Copies of a set of images: as it is read, as it is held, and what is lent of it."""
WAYS = 4
"""Ways of stepping that are timed side by side at least."""

RECORD, ROW, FIGURES = 16_000, 2_000, 40_000
"""Bytes of a record, of each row in it, and of what is kept for figures that show no samples."""
BLOCK = 4096
"""Bytes that file systems give room by; a run has two files."""


class Disk(NamedTuple):
    """Bytes on disk."""

    left: int
    """Of a run's record and samples, which stay."""
    at_work: int
    """Of a run in ``work/`` while its unit is at work; they go then."""
    unit: int
    """The same of a unit, however many runs it has."""


class _Held(NamedTuple):
    """Bytes that are held however many replicas there are, and for each of them."""

    once: int
    each: int

    def and_also(self, other: _Held) -> _Held:
        return _Held(self.once + other.once, self.each + other.each)


class _Needs(NamedTuple):
    """Of the machine where training is on the CPU, of the device where it is on a GPU."""

    cpu: _Held
    cuda: _Held


def memory(settings: Settings, replicas: int, device: str) -> int:
    """Bytes that a unit of so many replicas of a cell takes at its peak, about.

    On ``cpu`` these are the machine's, for a worker and its evaluator; on ``cuda`` the device's.
    """
    once, each = _held(settings, device)
    return once + replicas * each


def replicas_that_fit(settings: Settings, limit: float, device: str) -> int:
    """The most replicas of a cell whose ``memory`` is within the limit, in bytes; 0 where one has no room."""
    once, each = _held(settings, device)
    return max(0, (int(limit) - once) // each)


def disk(settings: Settings) -> Disk:
    """What runs of a cell take on disk, about."""
    return _disk(settings)


def processes_that_fit(need: float, limit: float) -> int:
    """How many workers of a CPU, each with a ``memory`` of so many bytes, are within the limit at once."""
    return max(0, int((limit - LIBRARIES) // (need - LIBRARIES)))


def share(limit: float, processes: int) -> int:
    """The ``memory`` that each of so many workers of a CPU may have within the limit, all in bytes."""
    return int(LIBRARIES + (limit - LIBRARIES) / processes)


def room(folder: Path) -> int:
    """Bytes that this user may still write to a folder, which need not be there yet.

    Raises:
        OSError: the file system does not say.
    """
    folder = folder.absolute()
    told = os.statvfs(next(place for place in (folder, *folder.parents) if place.exists()))
    return told.f_bavail * told.f_frsize


_KEYS = (
    "objective", "dataset", "pair", "latent", "generator", "critic", "generator_optimizer", "critic_optimizer",
    "batch_size", "critic_steps", "pack", "ema", "training_set", "instance_noise", "evaluate", "observe", "probe",
    "frozen", "replicas", "processes",
)  # fmt: skip
"""What of a cell's settings is looked at."""


def _held(settings: Settings, device: str) -> _Held:
    needs = _needs(settings)
    return needs.cpu if device == "cpu" else needs.cuda


@reads(*_KEYS)
def _needs(settings: Settings) -> _Needs:
    shown, rows = _samples(settings), _Held(0, RECORD)
    cpu, cuda = (_largest(settings, device).and_also(shown).and_also(rows) for device in ("cpu", "cuda"))
    return _Needs(cpu.and_also(_judging(settings)).and_also(_Held(PROCESSES, 0)), cuda)


def _largest(settings: Settings, device: str) -> _Held:
    """Of the training that holds most, of one after another."""
    each = max(_training(part, device) for part in _parts(settings))
    if "replicas" not in settings:
        return _Held(0, each)
    # Ways are timed side by side, as many as there is room for: that is looked at before each.
    beside = PROCESSES * settings["processes"] if settings["processes"] > 1 else 0
    return _Held(WAYS * each + beside, 0)


def _parts(settings: Settings) -> list[Settings]:
    """The settings of each training of a cell; of a fresh critic's, what it has no settings for is the generator's."""
    if "frozen" not in settings:
        return [settings]
    first = {**settings["frozen"], "dataset": settings["dataset"]}
    return [first, {**first, **settings}]


def _training(settings: Settings, device: str) -> int:
    """Of a replica in training: what it is, what a step holds, and what is drawn for it."""
    if "critic" not in settings:
        return 0
    generator, critic = _networks(settings)
    batch, pack = settings["batch_size"], settings.get("pack", 1)
    seen = PENALISED if OBJECTIVES[settings["objective"]].penalises_slopes else SEEN
    of_critic = seen * KEPT * critic.outputs + pack * AT_ONCE * generator.widest
    of_generator = KEPT * (pack * generator.outputs + critic.outputs)
    numbers = SAVED * _state(settings) + STEPPED * (generator.parameters + critic.parameters)
    numbers += (
        batch * max(of_critic, of_generator)
        + _draws(settings, device)
        + prod(_event(settings)) * settings.get("training_set", 0)
    )
    return NUMBER * int(numbers)


def _draws(settings: Settings, device: str) -> int:
    """Numbers that are drawn ahead, and laid out, for one replica."""
    event, samples = prod(_event(settings)), int(settings["batch_size"] * settings.get("pack", 1))
    noise = len(OBJECTIVES[settings["objective"]].noise) + (2 if settings.get("instance_noise", {}).get("std") else 0)
    latent = int(settings.get("latent", {"dim": event})["dim"])
    batches = [samples * event] * (1 + noise) + [samples * latent] * 2
    blocks = (max(one, min(AHEAD[device] * one, BLOCK_BYTES // NUMBER)) for one in batches)
    return 2 * sum(blocks) + DRAWN[device] * int(settings.get("critic_steps", 1)) * sum(batches)


def _samples(settings: Settings) -> _Held:
    """Of samples that are looked at, where training is, and of the images that there are."""
    event, evaluate, probe = prod(_event(settings)), settings.get("evaluate", {}), settings.get("probe", {})
    generator, critic = _networks(settings)
    n, points = _compared(settings), POINTS if evaluate else probe.get("n", 0)
    images, latents = len(_event(settings)) == 3, max(n, evaluate.get("class_n", 0))
    seen = max(min(n, CHUNK) if images else n, probe.get("surface", 0) ** 2)
    looking = max(AT_ONCE * seen * max(generator.widest, critic.widest), 2 * KEPT * points * critic.outputs)
    drawn = probe.get("batches", 0) * settings.get("batch_size", 0) * len(probe.get("losses") or [0]) * 3 * event
    numbers = looking + drawn + ((STORED + _observations(settings)) * n + latents) * _told(settings)
    once = NUMBER * (READ * _pictures(settings) + STORED * _learnt(settings))
    once += (IMAGES if images else 0) + (INCEPTION if evaluate.get("inception") else 0)
    return _Held(once, NUMBER * numbers)


def _judging(settings: Settings) -> _Held:
    """Of the evaluator, and of what is solved exactly in a worker."""
    n, probe = _compared(settings), settings.get("probe", {})
    sizes = [largest_solve(settings.get("evaluate", {})), largest_solve(probe)]
    sizes.append(probe.get("smallest", 0) * 2 ** probe.get("doublings", 0))
    if "critic" not in settings:
        sizes.append(probe.get("n", 0))
    return _Held(emd.memory(max(sizes)) + 100 * probe.get("histogram_n", 0), 3 * NUMBER * n * _told(settings))


@reads(*_KEYS)
def _disk(settings: Settings) -> Disk:
    event, seen = prod(_event(settings)), _observations(settings)
    n, images = settings.get("evaluate", {}).get("n", 0), len(_event(settings)) == 3
    shown = event * (2 * SHEET + STRIP * (seen + 1)) + FIGURES if images else 2 * NUMBER * n * event
    left = RECORD + ROW * seen + (shown if n else FIGURES) + 2 * BLOCK
    # A new state is written beside the old one, before it takes its place.
    states = max(_state(part) for part in _parts(settings))
    return Disk(left, NUMBER * (2 * states + (seen + 2) * n * _told(settings)), NUMBER * _learnt(settings))


# --- what settings say


@reads("dataset", "pair")
def _event(settings: Settings) -> tuple[int, ...]:
    """The shape of a sample; () where there are none."""
    if "pair" in settings:
        return build_pair(settings["pair"]).event_shape
    dataset = _dataset(settings)
    return () if dataset is None else dataset.event_shape


@reads("dataset", "pair", "latent", "generator", "critic", "pack")
def _networks(settings: Settings) -> tuple[Sizes, Sizes]:
    """Of generator and critic; of those that there are not, nothing."""
    generator = critic = Sizes(0, 0, 0)
    if "critic" in settings:
        first, *rest = _event(settings)
        packed = (settings.get("pack", 1) * first, *rest)
        critic = build(settings["critic"], NETWORKS).sizes(packed, ())
    if "generator" in settings:
        latent = settings["latent"]["dim"]
        generator = build(settings["generator"], NETWORKS).sizes((latent,), _event(settings))
    return generator, critic


def _state(settings: Settings) -> int:
    """Numbers that training changes: parameters, their optimisers' slots, the generator's average."""
    total = 0
    for name, sizes in zip(("generator", "critic"), _networks(settings), strict=True):
        if f"{name}_optimizer" in settings:
            slots = len(OPTIMIZERS[settings[f"{name}_optimizer"]["name"]].torch_slots)
            total += sizes.parameters * (1 + slots + (name == "generator" and settings.get("ema", 0) > 0))
    return total


def _compared(settings: Settings) -> int:
    """Samples of an observation."""
    return max(int(settings.get(block, {}).get("n", 0)) for block in ("evaluate", "probe"))


def _observations(settings: Settings) -> int:
    return int({**settings.get("observe", {}), **settings.get("evaluate", {})}.get("observations", 1))


def _told(settings: Settings) -> int:
    """Numbers of a sample, and those that metrics are told of it."""
    event = _event(settings)
    judged = FEATURES * event[0] if len(event) == 3 else 0
    inception = INCEPTION_FEATURES if settings.get("evaluate", {}).get("inception") else 0
    return prod(event) + judged + inception


@reads("dataset", "pair")
def _pictures(settings: Settings) -> int:
    """Numbers of a set of images that a process keeps."""
    dataset = _dataset(settings)
    if not isinstance(dataset, Images):
        return 0
    single = dataset.labelled() if isinstance(dataset, LabelledImages) else dataset
    return sum(single.sizes().values()) * prod(single.event_shape)


@reads("dataset", "pair", "evaluate")
def _learnt(settings: Settings) -> int:
    """Numbers of the images that generators learn from, where metrics are told of them."""
    dataset = _dataset(settings)
    size = dataset.sizes().get("train", 0) if isinstance(dataset, Images) and "evaluate" in settings else 0
    return size * prod(_event(settings)) if size <= MOST_TRAINING else 0


def _dataset(settings: Settings) -> Dataset | None:
    """The cell's, or its pair's; None where there is none, or none but a name for what is made otherwise."""
    named = settings.get("pair", settings).get("dataset")
    dataset: Dataset | None = build(named, DATASETS) if isinstance(named, dict) else None
    return dataset
