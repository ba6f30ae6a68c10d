"""Critic steps per second on images: the engine's ways with ``dcgan``, and the loop of ``nn.Module`` written by hand.

``pytest tests/benchmarks/test_image_step.py --benchmark-only`` times each; with ``-s -k against`` it prints them beside
each other, from rounds that take turns, so that a drift of the machine hits all.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import pytest
import torch

from bench import training_settings
from bench.engine import Training, Way
from datasets import DATASETS

CRITIC_STEPS = 10
"""To each generator step: it is the critic step that is compared."""
REPLICAS, BATCH, LATENT, WIDTH = 4, 64, 32, 16
ROUNDS = 7
WAYS: tuple[Way, ...] = ("loop", "vmap", "compiled")
SETS = {"digits": 2, "mnist_5k": 7}
"""With the side to which two halvings lead."""


def engine(objective: str, dataset: str, way: Way, width: int = WIDTH) -> Training:
    network = {"name": "dcgan", "width": width}
    raw: dict[str, Any] = {
        "objective": objective, "dataset": dataset, "latent": {"dim": LATENT}, "batch_size": BATCH,
        "critic_steps": CRITIC_STEPS, "generator": network, "critic": network,
    }  # fmt: skip
    settings = training_settings.resolve(raw)
    training = Training(
        training_settings.make_problem(settings),
        range(REPLICAS),
        training_settings.make_scalars([settings] * REPLICAS),
        way=way,
    )
    training.advance(1)
    return training


class HandWritten:
    """One replica: convolutions of torch.nn, torch.optim, autograd.grad; it shares no line with the harness."""

    def __init__(self, objective: str, dataset: str, width: int = WIDTH) -> None:
        self.gradient_penalty, side = objective == "wgan_gp", SETS[dataset]
        nn, inner = torch.nn, 2 * width
        self.generator = nn.Sequential(
            nn.Linear(LATENT, inner * side**2), nn.Unflatten(1, (inner, side, side)), nn.ReLU(),
            nn.ConvTranspose2d(inner, width, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(width, 1, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip
        self.critic = nn.Sequential(
            nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, inner, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Linear(inner * side**2, 1),
        )  # fmt: skip
        rate, betas = (1e-4, (0.0, 0.9)) if self.gradient_penalty else (2e-4, (0.5, 0.999))
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), rate, betas)
        self.generator_optimizer = torch.optim.Adam(self.generator.parameters(), rate, betas)
        self.images = DATASETS[dataset]().sample(1000, torch.Generator().manual_seed(0))

    def critic_step(self) -> None:
        real = self.images[torch.randint(len(self.images), (BATCH,))]
        with torch.no_grad():
            fake = self.generator(torch.randn(BATCH, LATENT))
        if self.gradient_penalty:
            mix = torch.rand(BATCH, 1, 1, 1)
            points = (mix * real + (1 - mix) * fake).requires_grad_()
            (slope,) = torch.autograd.grad(self.critic(points).sum(), points, create_graph=True)
            penalty = ((slope.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
            loss = self.critic(fake).mean() - self.critic(real).mean() + 10 * penalty
        else:
            softplus = torch.nn.functional.softplus
            loss = softplus(-self.critic(real)).mean() + softplus(self.critic(fake)).mean()
        self.critic_optimizer.zero_grad()
        loss.backward()
        self.critic_optimizer.step()

    def generator_step(self) -> None:
        score = self.critic(self.generator(torch.randn(BATCH, LATENT)))
        loss = -score.mean() if self.gradient_penalty else torch.nn.functional.softplus(-score).mean()
        self.generator_optimizer.zero_grad()
        loss.backward()
        self.generator_optimizer.step()

    def advance(self, iterations: int) -> None:
        for _ in range(iterations):
            for _ in range(CRITIC_STEPS):
                self.critic_step()
            self.generator_step()


@pytest.mark.parametrize("dataset", SETS)
@pytest.mark.parametrize("objective", ["non_saturating", "wgan_gp"])
def test_hand_written(benchmark: Any, objective: str, dataset: str) -> None:
    loop = HandWritten(objective, dataset)
    loop.advance(1)
    benchmark.extra_info["replica-steps per round"] = CRITIC_STEPS
    benchmark.pedantic(loop.advance, args=(1,), rounds=ROUNDS)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dataset", SETS)
@pytest.mark.parametrize("objective", ["non_saturating", "wgan_gp"])
def test_engine(benchmark: Any, objective: str, dataset: str, way: Way) -> None:
    training = engine(objective, dataset, way)
    benchmark.extra_info["replica-steps per round"] = CRITIC_STEPS * REPLICAS
    benchmark.pedantic(training.advance, args=(1,), rounds=ROUNDS)


@pytest.mark.parametrize("width", [16, 32])
@pytest.mark.parametrize("dataset", SETS)
@pytest.mark.parametrize("objective", ["non_saturating", "wgan_gp"])
def test_engine_against_hand_written(benchmark: Any, objective: str, dataset: str, width: int) -> None:
    """Every way and the hand-written loop in turns: the least time of each, since other work only adds to it."""
    runs: dict[str, Any] = {way: engine(objective, dataset, way, width) for way in WAYS}
    loop = HandWritten(objective, dataset, width)
    loop.advance(1)
    times: dict[str, list[float]] = {name: [] for name in (*runs, "hand-written")}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            times[name].append(_milliseconds(run, 1) / REPLICAS)
        times["hand-written"].append(_milliseconds(loop, 2) / 2)
    spent = ", ".join(f"{name} {min(own):.2f}" for name, own in times.items())
    chosen = min(WAYS, key=lambda way: statistics.median(times[way]))
    ratio = statistics.median(a / b for a, b in zip(times["hand-written"], times[chosen], strict=True))
    words = (
        f"{objective}, {dataset}, width {width}: {spent} ms a critic step and replica; "
        f"hand-written over {chosen}, median of rounds: {ratio:.2f}"
    )
    print(f"\n{words}")
    benchmark.extra_info["engine against hand-written"] = words
    benchmark.pedantic(loop.advance, args=(1,), rounds=1)


def _milliseconds(run: Any, iterations: int) -> float:
    """A critic step of so many iterations; the generator's step, the same for all, is in it."""
    start = time.perf_counter()
    run.advance(iterations)
    return 1e3 * (time.perf_counter() - start) / CRITIC_STEPS
