"""Ways of making a training step, ready to be timed: the engine's, and the plain loop of one replica at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch

from bench import timing, training_settings
from bench.cell import Settings
from bench.engine import Training, Way
from bench.plain_module import PlainModule
from bench.step_cost import held_bytes, transient_bytes
from bench.timing import Work

Name = Literal["plain", "loop", "vmap", "compiled", "cuda_graph"]
NAMES: tuple[Name, ...] = get_args(Name)
PLAIN: Name = "plain"

FEW = (4, 8)
"""Of so many replicas that are stepped one after the other, the memory of more is found by a straight line."""


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A way that has made its first step.

    Attributes:
        work: its steps.
        times: how many steps of the work make one step of all replicas.
        first_step_seconds: from nothing to the first step of all replicas: building, compiling with an empty cache,
            the step.
        peak_memory_bytes: the most that it holds in tensors during a step, with what it keeps between steps. On a CUDA
            device from its building on, since a graph takes its memory when it is captured.
    """

    work: Work
    times: int
    first_step_seconds: float
    peak_memory_bytes: int


def make_work(settings: Settings, name: Name, replicas: int, seed: int, device: str) -> Work:
    """Training by a way, of so many replicas, or by ``plain`` of one."""
    problem = training_settings.make_problem(settings)
    if name == PLAIN:
        scalars = training_settings.make_scalars([settings])
        own = {group: {key: values[0] for key, values in block.items()} for group, block in scalars.items()}
        return PlainModule(problem, seed, own, device).advance
    seeds = range(seed * replicas, (seed + 1) * replicas)
    scalars = training_settings.make_scalars([settings] * replicas)
    return Training(problem, seeds, scalars, way=cast(Way, name), device=device).advance


def enter(settings: Settings, name: Name, replicas: int, seed: int, device: str) -> Entrant:
    """Build the way and make its first step, with an eye on time and memory."""
    from torch._inductor.utils import fresh_cache

    def make(count: int) -> Work:
        return make_work(settings, name, count, seed, device)

    times = replicas if name == PLAIN else 1
    if device != "cpu":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    with fresh_cache() if name in ("compiled", "cuda_graph") else nullcontext():
        start = time.perf_counter()
        work = make(replicas)
        timing.seconds_of(work, 1, device)
        first = time.perf_counter() - start
    if device != "cpu":
        timing.seconds_of(work, 1, device)
        peak = torch.cuda.max_memory_allocated() - before
    else:
        peak = held_bytes(work) + (_transient_of_many(make, replicas) if name == "loop" else transient_bytes(work))
    return Entrant(work=work, times=times, first_step_seconds=times * first, peak_memory_bytes=peak)


def _transient_of_many(make: Callable[[int], Work], replicas: int) -> int:
    """Of replicas that are stepped one after the other: a profile of very many would be too long to be read."""
    few, more = FEW
    if replicas <= more:
        return transient_bytes(make(replicas))
    low, high = (transient_bytes(make(count)) for count in FEW)
    return high + (replicas - more) * (high - low) // (more - few)
