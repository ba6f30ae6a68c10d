"""What the training probes cost beside the training that they read.

The ratio is the time of one observation's probes over that of a compiled step of the same replicas. Of a run at the
default schedule, 12 observations in 10,000 steps, they may take 5 %.
"""

from __future__ import annotations

import pytest
import torch
from steps import training
from turns import Against

from bench import probes
from bench.metrics import Modes
from bench.rotation import rotation

REPLICAS, N = 16, 2500
OBSERVATIONS, STEPS = 12, 10_000
MOST = 0.05
"""The share of training time that probes may take."""


@pytest.mark.parametrize("objective", ["non_saturating", "wgan_gp"])
def test_probes(against: Against, objective: str) -> None:
    own = training(objective, "compiled", REPLICAS, dataset="ring")
    p, source = own.problem, torch.Generator().manual_seed(0)
    draws = probes.draw_for_training(p, own.seeds)
    real = torch.stack([p.dataset.sample(N, source) for _ in own.seeds])
    fake = own.generate(torch.stack([p.latent.sample(N, source) for _ in own.seeds]))
    modes = Modes(p.dataset.means().numpy(), p.dataset.std, p.dataset.weights().numpy())

    def read() -> None:
        probes.training_readings(p, own.state, own.scalars, draws, real, fake)
        for samples in fake:
            rotation([samples.numpy()], modes)

    steps = 5
    ratio = against(lambda: own.advance(steps), read, rounds=7, times=1 / steps)
    assert OBSERVATIONS * ratio / STEPS < MOST
