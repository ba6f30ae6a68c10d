"""What a training step asks of a machine: floating-point operations, bytes moved, memory held."""

from __future__ import annotations

import gc
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FunctionType, ModuleType

import torch

from bench import memory
from bench.engine import Training
from bench.networks import Network
from bench.optim import Optimizer
from bench.problem import Problem
from bench.timing import Work

Scalars = Mapping[str, Mapping[str, Sequence[float]]]

WIDTH = 4
"""Bytes of a float32."""

ROOM = 0.8
"""The share of free memory that may be taken: what the allocator cannot use again is not counted."""


def step_flops(problem: Problem, scalars: Scalars) -> int:
    """Floating-point operations of one step of one replica, in matrix products and convolutions.

    Counted by ``torch.utils.flop_counter`` on the lifted step of a single replica: of several, convolutions become
    grouped ones, for whose gradients the counter of torch 2.14 gives too many.
    """
    from torch.utils.flop_counter import FlopCounterMode

    training = Training(problem, [0], scalars)
    with FlopCounterMode(display=False) as counter:
        training.advance(1)
    return int(counter.get_total_flops())


def step_bytes(problem: Problem) -> int:
    """Bytes that one step of one replica must move at least, if nothing else leaves the processor.

    In each update of a network its parameters, their gradients and the optimiser's slots are read once and written
    once, ``2 (2 + slots) numel``, and what was drawn for the update is read once; all in float32.
    """
    p, source = problem, torch.Generator().manual_seed(0)

    def update(network: Network, optimizer: Optimizer) -> int:
        return 2 * (2 + len(optimizer.torch_slots)) * sum(value.numel() for value in network.init(source).values())

    latent = p.batch_size * p.pack * p.latent.sample(1, source).numel()
    real = p.batch_size * p.pack * p.dataset.sample(1, source).numel()
    noise = sum(draw(p.batch_size, p.packed_shape, source).numel() for draw in p.objective.noise.values())
    critic = update(p.critic, p.critic_optimizer) + real + latent + noise
    generator = update(p.generator, p.generator_optimizer) + latent
    return WIDTH * (p.critic_steps * critic + p.generator_steps * generator)


def held_bytes(owner: object) -> int:
    """Of all tensors that can be reached from an object, gradients too, and not by way of code; each storage once."""
    storages: dict[int, int] = {}
    seen: dict[int, object] = {}
    waiting = [owner]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType):
            continue
        seen[id(one)] = one
        if isinstance(one, torch.Tensor):
            storages[one.untyped_storage().data_ptr()] = one.untyped_storage().nbytes()
            waiting += [one.grad] if one.is_leaf else []
        else:
            waiting += gc.get_referents(one)
    return sum(storages.values())


def transient_bytes(work: Work) -> int:
    """The most that one call of the work, on a CPU, holds in tensors beyond what it began with.

    By torch's profiler, which hears of every allocation, from compiled code too. It is the second of two calls that
    counts: of what was allocated before the profiler listened it does not hear the end.
    """
    from torch.profiler import ProfilerActivity, profile, record_function

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
        work(1)
        with record_function("second"):
            work(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    (begin,) = [event["ts"] for event in events if event["name"] == "second" and event["ph"] == "X"]
    held = sorted((event["ts"], event["args"]["Total Allocated"]) for event in events if event["name"] == "[memory]")
    before = [total for at, total in held if at < begin]
    return max([total for at, total in held if at >= begin], default=0) - (before[-1] if before else 0)


def free_bytes(device: str) -> float:
    """Memory that this process may still take, on the device; infinite where the system does not say."""
    if device != "cpu":
        return float(torch.cuda.mem_get_info()[0])
    free = memory.available()
    return math.inf if free is None else float(free)
