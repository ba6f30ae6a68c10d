"""The baseline of ``throughput``, its way ``plain``, against loops written by hand: it should be as fast.

``pytest tests/benchmarks/test_plain.py --benchmark-only -s`` prints the ratios, of rounds that take turns.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hand_written import HandWritten, HandWrittenImages
from steps import CRITIC_STEPS
from turns import Against

from bench import training_settings
from bench.experiments.entrants import PLAIN, make_work
from datasets import DATASETS

ROUNDS = 7
DEPTH, WIDTH, BATCH = 3, 128, 128
IMAGES, CHANNELS, LATENT = 64, 16, 32


def plain(objective: str, **settings: Any) -> Any:
    raw = {"objective": objective, "critic_steps": CRITIC_STEPS[objective], **settings}
    return make_work(training_settings.resolve(raw), PLAIN, 1, 0, "cpu")


def compare(against: Against, objective: str, work: Any, loop: HandWritten, iterations: int) -> None:
    ratio = against(lambda: loop.advance(iterations, CRITIC_STEPS[objective]), lambda: work(iterations), rounds=ROUNDS)
    print(f"\n{objective}: plain takes {ratio:.3f} of the time of the loop written by hand")


@pytest.mark.parametrize("objective", CRITIC_STEPS)
def test_plain_mlp(against: Against, objective: str) -> None:
    network = {"name": "mlp", "depth": DEPTH, "width": WIDTH}
    work = plain(objective, dataset="ring", batch_size=BATCH, generator=network, critic=network)
    compare(against, objective, work, HandWritten(objective, DEPTH, WIDTH, BATCH), 8)


@pytest.mark.parametrize(
    ("objective", "dataset"), [("non_saturating", "digits"), ("wgan_gp", "digits"), ("non_saturating", "mnist_5k")]
)
def test_plain_images(against: Against, objective: str, dataset: str) -> None:
    network = {"name": "dcgan", "width": CHANNELS}
    work = plain(
        objective, dataset=dataset, batch_size=IMAGES, latent={"dim": LATENT}, generator=network, critic=network
    )
    images = DATASETS[dataset]().sample(1000, torch.Generator().manual_seed(0))
    compare(against, objective, work, HandWrittenImages(objective, images, CHANNELS, IMAGES, LATENT), 1)
