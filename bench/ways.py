"""The choice of how to step a unit's replicas: measured once a machine, device and shape, then remembered.

The plain loop is always among what is measured, so the choice is never slower than it beyond the noise of the
measurement. Compiling is tried only where it could pay for itself within the run.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from bench import provenance
from bench.cache import cache_folder
from bench.cell import digest
from bench.engine import Training, Way
from bench.problem import Problem
from bench.records import publish_bytes

COMPILE_SECONDS = 45.0
"""What a first compilation may take on a slow core; below this much work it is not tried. Measured 7 to 45 s."""

MEASURE_SECONDS = 0.4
"""How long each way is timed."""


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
    known = _load(path)
    before = dict(known)

    def measure(way: Way) -> None:
        if f"{way}" not in known:
            start = time.perf_counter()
            training = Training(problem, seeds, scalars, way=way, device=device)
            training.advance(1)
            known[f"{way} start"] = time.perf_counter() - start
            known[way] = _seconds_an_iteration(training, device)

    measure("loop")
    measure("vmap")
    if min(known["loop"], known["vmap"]) * steps > COMPILE_SECONDS and "compiled" not in known:
        reason = _cannot_compile(device)
        if reason is None:
            try:
                measure("compiled")
            except Exception as error:  # the compiler's own errors have no common class; none may cost a run
                reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                torch._dynamo.reset()
        if reason is not None:
            say(f"not compiling, which would be faster: {reason}")
    if known != before:
        publish_bytes(json.dumps(known).encode(), path)
    costs: dict[Way, float] = {"loop": known["loop"] * steps, "vmap": known["vmap"] * steps}
    if "compiled" in known:
        costs["compiled"] = known["compiled"] * steps + known["compiled start"]
    return min(costs, key=lambda way: costs[way])


def _seconds_an_iteration(training: Training, device: str) -> float:
    """The least over short bursts, since whatever else the machine does only adds."""
    best, spent, burst = float("inf"), 0.0, 1
    while spent < MEASURE_SECONDS:
        start = time.perf_counter()
        training.advance(burst)
        if device != "cpu":
            torch.cuda.synchronize()
        taken = time.perf_counter() - start
        best, spent = min(best, taken / burst), spent + taken
        burst = max(1, min(64, round(MEASURE_SECONDS / 8 / (taken / burst))))
    return best


def _cannot_compile(device: str) -> str | None:
    if device != "cpu":
        return None
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "this machine has no C++ compiler; install g++, or point CXX at one"
    return None


def _machine(device: str) -> list[str]:
    name = torch.cuda.get_device_name() if device != "cpu" else provenance.processor()
    return [platform.node(), name, torch.__version__]


def _load(path: Path) -> dict[str, float]:
    try:
        stored: dict[str, float] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return stored
