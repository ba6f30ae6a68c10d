"""What the training probes cost beside the training that they read.

``pytest tests/benchmarks/test_probes_cost.py --benchmark-only`` times one observation's probes; with ``-s -k share`` it
prints their share of a run at the default schedule: 12 observations in 10,000 steps.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from bench import probes, training_settings
from bench.engine import Training, Way
from bench.experiments import EXPERIMENTS
from bench.metrics import Modes
from bench.rotation import rotation

REPLICAS, ROUNDS, N = 16, 7, 2500
OBSERVATIONS, STEPS = 12, 10_000
MOST = 0.05
"""The share of training time that probes may take."""


def at_work(objective: str, way: Way) -> tuple[Training, Callable[[], Any]]:
    """Replicas of the default settings on the ring, and the reading of one observation's probes."""
    settings = EXPERIMENTS["train"].resolve({"objective": objective, "dataset": "ring"})
    p, seeds = training_settings.make_problem(settings), range(REPLICAS)
    training = Training(p, seeds, training_settings.make_scalars([settings] * REPLICAS), way=way)
    training.advance(1)
    draws = probes.draw_for_training(p, seeds)
    source = torch.Generator().manual_seed(0)
    real = torch.stack([p.dataset.sample(N, source) for _ in seeds])
    fake = training.generate(torch.stack([p.latent.sample(N, source) for _ in seeds]))
    modes = Modes(p.dataset.means().numpy(), p.dataset.std, p.dataset.weights().numpy())

    def read() -> None:
        probes.training_readings(p, training.state, training.scalars, draws, real, fake)
        for samples in fake:
            rotation([samples.numpy()], modes)

    read()
    return training, read


@pytest.mark.parametrize("objective", ["non_saturating", "wgan_gp"])
def test_probes_of_an_observation(benchmark: Any, objective: str) -> None:
    _, read = at_work(objective, "vmap")
    benchmark.pedantic(read, rounds=ROUNDS)


@pytest.mark.parametrize("way", ["vmap", "compiled"])
@pytest.mark.parametrize("objective", ["non_saturating", "wgan_gp"])
def test_share_of_a_run(benchmark: Any, objective: str, way: Way) -> None:
    """Readings and steps take turns, so that a drift of the machine hits both."""
    training, read = at_work(objective, way)
    readings, steps = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        read()
        middle = time.perf_counter()
        training.advance(5)
        readings.append(1e3 * (middle - start))
        steps.append(1e3 * (time.perf_counter() - middle) / 5)
    reading, step = statistics.median(readings), statistics.median(steps)
    share = OBSERVATIONS * reading / (STEPS * step)
    words = (
        f"{objective}, {way}: probes {reading:.0f} ms an observation, step {step:.1f} ms, {REPLICAS} replicas; "
        f"{OBSERVATIONS} observations are {share:.2%} of {STEPS:,} steps"
    )
    print(f"\n{words}")
    benchmark.extra_info["share of training time"] = words
    benchmark.pedantic(read, rounds=1)
    assert share < MOST
