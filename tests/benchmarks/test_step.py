"""Critic steps per second of the engine's ways, and of the loop as people write it.

``pytest tests/benchmarks --benchmark-only`` times each; with ``-s -k against`` it prints the ratio of the engine to the
hand-written loop, from rounds that take turns, so that a drift of the machine hits both.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import pytest
from hand_written import HandWritten

from bench import training_settings
from bench.engine import Training, Way
from bench.experiments import EXPERIMENTS

CRITIC_STEPS = 20
"""To each generator step: it is the critic step that is compared."""
REPLICAS, DEPTH, WIDTH, BATCH = 16, 3, 128, 128
ROUNDS = 15


def engine(objective: str, way: Way, replicas: int = REPLICAS) -> Training:
    network = {"name": "mlp", "depth": DEPTH, "width": WIDTH}
    raw: dict[str, Any] = {
        "objective": objective, "dataset": "ring", "batch_size": BATCH, "critic_steps": CRITIC_STEPS,
        "generator": network, "critic": network,
    }  # fmt: skip
    settings = EXPERIMENTS["train"].resolve(raw)
    training = Training(
        training_settings.make_problem(settings),
        range(replicas),
        training_settings.make_scalars([settings] * replicas),
        way=way,
    )
    training.advance(1)
    return training


@pytest.mark.parametrize("objective", ["non_saturating", "wgan_gp"])
def test_hand_written(benchmark: Any, objective: str) -> None:
    loop = HandWritten(objective, DEPTH, WIDTH, BATCH)
    loop.advance(1, CRITIC_STEPS)
    benchmark.extra_info["replica-steps per round"] = CRITIC_STEPS
    benchmark(loop.advance, 1, CRITIC_STEPS)


@pytest.mark.parametrize("way", ["loop", "vmap", "compiled"])
@pytest.mark.parametrize("objective", ["non_saturating", "wgan_gp"])
def test_engine(benchmark: Any, objective: str, way: Way) -> None:
    training = engine(objective, way)
    benchmark.extra_info["replica-steps per round"] = CRITIC_STEPS * REPLICAS
    benchmark.pedantic(training.advance, args=(1,), rounds=5)


@pytest.mark.parametrize("objective", ["non_saturating", "wgan_gp"])
def test_engine_against_hand_written(benchmark: Any, objective: str) -> None:
    """The engine's best way on 16 replicas against as many steps of the hand-written loop, in turns."""
    training, loop = engine(objective, "compiled"), HandWritten(objective, DEPTH, WIDTH, BATCH)
    loop.advance(1, CRITIC_STEPS)
    ratios, ours, theirs = [], [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        training.advance(1)
        middle = time.perf_counter()
        loop.advance(2, CRITIC_STEPS)
        end = time.perf_counter()
        ours.append(1e3 * (middle - start) / REPLICAS / CRITIC_STEPS)
        theirs.append(1e3 * (end - middle) / 2 / CRITIC_STEPS)
        ratios.append(theirs[-1] / ours[-1])
    low, _, high = statistics.quantiles(ratios, n=4)
    words = (
        f"{objective}: engine {statistics.median(ours):.3f} ms, hand-written {statistics.median(theirs):.3f} ms "
        f"a critic step and replica; ratio {statistics.median(ratios):.2f} (quartiles {low:.2f} to {high:.2f})"
    )
    print(f"\n{words}")
    benchmark.extra_info["engine against hand-written"] = words
    benchmark.pedantic(training.advance, args=(1,), rounds=1)
