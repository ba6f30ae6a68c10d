"""A step of ``dcgan`` in each of the engine's ways, beside the loop of ``nn.Module`` written by hand.

The ratio is the time of a replica's step over that of the loop.
"""

from __future__ import annotations

import pytest
import torch
from hand_written import HandWrittenImages
from steps import CRITIC_STEPS, DEVICES, WAYS, done, training
from turns import Against

from bench.engine import Way
from datasets import DATASETS

REPLICAS, BATCH, LATENT, WIDTH = 4, 64, 32, 16


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("objective", "dataset"), [("non_saturating", "digits"), ("wgan_gp", "digits"), ("wgan_gp", "mnist_5k")]
)
def test_image_step(against: Against, objective: str, dataset: str, way: Way) -> None:
    device, network = DEVICES[way], {"name": "dcgan", "width": WIDTH}
    own = training(
        objective, way, REPLICAS,
        dataset=dataset, latent={"dim": LATENT}, batch_size=BATCH, generator=network, critic=network,
    )  # fmt: skip
    images = DATASETS[dataset]().sample(1000, torch.Generator().manual_seed(0))
    loop = HandWrittenImages(objective, images, WIDTH, BATCH, LATENT, device)
    against(
        done(device, loop.advance, 2, CRITIC_STEPS[objective]),
        done(device, own.advance, 1),
        rounds=7,
        times=REPLICAS / 2,
    )
