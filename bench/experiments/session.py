"""A unit in training, of which a kill costs seconds: state and readings are saved together, often, in its folder."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal, cast, get_args

import torch
from pydantic import Field

from bench import checkpoints, ways
from bench.cell import Settings
from bench.checkpoints import CheckpointError
from bench.engine import Training, Way
from bench.errors import first_line
from bench.experiments.base import Context, Stopped
from bench.optim import Parameters
from bench.problem import CriticWarmup, Problem
from bench.records import publish_bytes

CHECKPOINT_SECONDS = 20.0
"""How much training a kill may cost."""

PULSE_SECONDS = 0.5
"""How often, at most, a unit looks up from its work: to tell of progress, to be stopped, to save."""


@dataclass(frozen=True, kw_only=True)
class Observe:
    """When a run is read: ``observations`` steps up to the last, spaced by ratio or evenly."""

    observations: Annotated[int, Field(ge=1, le=1000)] = 12
    spacing: Literal["log", "linear"] = "log"


def schedule(observe: Settings, steps: int) -> list[int]:
    """The steps to observe at; by ratio they start at 1 % of the way, and the last step is always one of them."""
    count = observe["observations"]
    if observe["spacing"] == "linear":
        marks = {round(steps * (index + 1) / count) for index in range(count)}
    else:
        marks = {round(steps * 100 ** (-(count - 1 - index) / max(1, count - 1))) for index in range(count)}
    return sorted(mark for mark in marks | {steps} if mark >= 1)


class Session:
    """Replicas in training, and what has been read of them.

    Args:
        context: of the unit.
        problem, seeds, scalars, begin: see ``Training``.
        shape: names all that decides the speed of a step; see ``ways.choose``.
        updates: how many the critic has before it.
        name: of the files, where a unit has several sessions.
        span: which part of the unit's work this is.
    """

    def __init__(
        self,
        context: Context,
        problem: Problem,
        seeds: Sequence[int],
        scalars: Mapping[str, Mapping[str, Sequence[float]]],
        *,
        shape: str,
        updates: int,
        begin: Mapping[str, Parameters] | None = None,
        name: str = "state",
        span: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        self.problem, self.seeds, self.scalars = problem, seeds, scalars
        self._context, self._span = context, span
        self._path = context.work / f"{name}.safetensors"
        self.way = self._choose(shape, updates)
        self.training = Training(problem, seeds, scalars, way=self.way, device=context.device, begin=begin)
        self.readings: dict[str, dict[str, list[float]]] = {}
        """Step -> name -> one number a replica."""
        self.wall = self.cpu = 0.0
        self._saved = time.monotonic()
        self._load()

    def _choose(self, shape: str, updates: int) -> Way:
        path = self._path.with_suffix(".way")
        with contextlib.suppress(OSError, ValueError):  # what is no way, or none of this device, is measured again
            known = path.read_text() if path.is_file() else ""
            if known in get_args(Way) and not (known == "cuda_graph" and self._context.device == "cpu"):
                return cast(Way, known)
        # A warm-up is critic steps too: they are counted, and an ordinary step is what is timed.
        ordinary = replace(self.problem, critic_warmup=CriticWarmup())
        way: Way = self._context.way or ways.choose(
            ordinary, self.seeds, self.scalars,
            steps=math.ceil(updates / ordinary.critic_steps), shape=shape,
            device=self._context.device, say=self._context.say,
        )  # fmt: skip
        publish_bytes(way.encode(), path)
        return way

    def train_until(self, mark: int) -> None:
        """Train to the step, telling of progress; raises ``Stopped`` where that was asked for, with all saved."""
        training, pulse = self.training, 1
        while training.step < mark:
            wall, cpu = time.perf_counter(), time.process_time()
            count = min(pulse, mark - training.step)
            training.advance(count)
            if self._context.device != "cpu":
                torch.cuda.synchronize()
            taken = time.perf_counter() - wall
            self.wall, self.cpu = self.wall + taken, self.cpu + time.process_time() - cpu
            pulse = max(1, min(2 * pulse, round(PULSE_SECONDS / (taken / count))))
            first, last = self._span
            self._context.progress(first + (last - first) * training.step / self.problem.steps)
            stopping = self._context.stopping()
            if stopping or time.monotonic() - self._saved > CHECKPOINT_SECONDS:
                self.save()
            if stopping:
                raise Stopped

    def read(self, named: Mapping[str, torch.Tensor]) -> None:
        """Keep what was read at this step, [R] a name, beside the time that training has taken; nothing is saved."""
        self.readings[str(self.training.step)] = {
            **{name: values.tolist() for name, values in named.items()},
            "wall_seconds": [self.wall] * len(self.seeds),
            "cpu_seconds": [self.cpu / len(self.seeds)] * len(self.seeds),
        }

    def save(self) -> None:
        """Publish state and readings as one file."""
        told = {"readings": self.readings, "wall": self.wall, "cpu": self.cpu}
        arrays = {name: tensor.numpy() for name, tensor in self.training.state_dict().items()}
        checkpoints.store(self._path, arrays, told)
        self._saved = time.monotonic()

    def _load(self) -> None:
        """Go on from what was saved; raises ``CheckpointError`` where that cannot be."""
        if not self._path.exists():
            return
        arrays, told = checkpoints.load(self._path)
        try:
            self.training.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
            self.readings, self.wall, self.cpu = told["readings"], told["wall"], told["cpu"]
        except (ValueError, RuntimeError, LookupError, TypeError) as error:
            raise CheckpointError(self._path, first_line(error)) from error
