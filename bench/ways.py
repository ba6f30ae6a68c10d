"""The choice of how to step a unit's replicas: measured once a machine, device and shape, then remembered.

The plain loop is always among what is measured, in rounds that take turns, and another way has to be clearly faster:
the choice is never slower than the loop beyond the noise of the measurement. What has to be compiled is tried only
where it could pay for itself within the run.
"""

from __future__ import annotations

import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from bench import provenance, timing
from bench.cache import cache_folder
from bench.cell import digest
from bench.engine import Training, Way
from bench.problem import Problem
from bench.records import publish_bytes

COMPILE_SECONDS = 45.0
"""What a first compilation may take on a slow core; below this much work it is not tried. Measured 7 to 45 s."""

MEASURE_SECONDS = 0.4
"""How long each way is timed, in all its turns."""

ROUNDS = 5

CLEARLY = 0.97
"""Of the loop's time, what another way may take at most to be preferred to it."""


def best(seconds: Mapping[Way, float], starts: Mapping[Way, float], steps: int) -> Way:
    """The way with the least time for so many steps, given the seconds of one and of the start.

    The loop, where it is among them, gives way only to what is clearly faster.
    """
    costs = {way: starts.get(way, 0.0) + steps * own for way, own in seconds.items()}
    if "loop" in costs:
        costs["loop"] *= CLEARLY
    return min(costs, key=lambda way: costs[way])


def choose(
    problem: Problem,
    seeds: Sequence[int],
    scalars: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    steps: int,
    shape: str,
    device: str,
    say: Callable[[str], None],
) -> Way:
    """The way with the least time for ``steps`` iterations, compilation included.

    Args:
        problem, seeds, scalars: of the unit; throw-away replicas of it are timed.
        steps: how many iterations the unit has before it.
        shape: names all that decides the speed beside the replicas, the machine and the device.
        device: where.
        say: told once where compiling is not possible here, and why.
    """
    path = cache_folder() / "ways" / f"{digest([_machine(device), shape, len(seeds)], 32)}.json"
    seconds, starts = _load(path)
    trainings: dict[Way, Training] = {}

    def measure(*some: Way) -> None:
        for way in some:
            if way not in trainings:
                start = time.perf_counter()
                training = Training(problem, seeds, scalars, way=way, device=device)
                timing.seconds_of(training.advance, 1, device)
                trainings[way], starts[way] = training, time.perf_counter() - start
        turn = MEASURE_SECONDS / ROUNDS
        bursts = {way: (trainings[way].advance, timing.burst_of(trainings[way].advance, device, turn)) for way in some}
        rounds = list(timing.take_turns(bursts, device, rounds=ROUNDS, seconds=math.inf))
        seconds.update({way: statistics.median(found[way] for found in rounds) for way in some})
        publish_bytes(json.dumps({"seconds": seconds, "starts": starts}).encode(), path)

    if not {"loop", "vmap"} <= seconds.keys():
        measure("loop", "vmap")
    with_compiler: tuple[Way, ...] = ("compiled",) if device == "cpu" else ("compiled", "cuda_graph")
    for way in with_compiler:
        rival = best(seconds, {}, steps)
        if way in seconds or seconds[rival] * steps <= COMPILE_SECONDS:
            continue
        reason = cannot_compile(device)
        if reason is None:
            try:
                measure(rival, way)
            except Exception as error:  # the compiler's own errors have no common class; none may cost a run
                reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                torch._dynamo.reset()
        if reason is not None:
            say(f"not compiling, which would be faster: {reason}")
            break
    return best(seconds, {way: starts[way] for way in with_compiler if way in starts}, steps)


def cannot_compile(device: str) -> str | None:
    """Why nothing can be compiled here, where that is so."""
    if device != "cpu":
        return None
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "this machine has no C++ compiler; install g++, or point CXX at one"
    # It joins loops there that must not be joined: the gradients of wgan_gp are off by a hundredth.
    if torch.__version__ < "2.12":
        return f"the compiler of torch {torch.__version__} gives wrong gradients on a CPU; install torch 2.12 or later"
    return None


def _machine(device: str) -> list[str]:
    name = torch.cuda.get_device_name() if device != "cpu" else provenance.processor()
    return [platform.node(), name, torch.__version__]


def _load(path: Path) -> tuple[dict[Way, float], dict[Way, float]]:
    """Seconds of a step and of the start, by way."""
    try:
        stored = json.loads(path.read_text())
        return stored["seconds"], stored["starts"]
    except (OSError, ValueError, LookupError, TypeError):
        return {}, {}
