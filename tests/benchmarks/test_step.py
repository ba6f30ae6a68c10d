"""A step of 16 replicas in each of the engine's ways, beside the loop as people write it.

The ratio is the time of a replica's step over that of the loop.
"""

from __future__ import annotations

import pytest
from hand_written import HandWritten
from steps import CRITIC_STEPS, DEVICES, WAYS, done, training
from turns import Against

from bench.engine import Way

REPLICAS, DEPTH, WIDTH, BATCH = 16, 3, 128, 128
LOOP_STEPS = 4
"""In a round of the loop, so that it takes some tens of milliseconds."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("objective", CRITIC_STEPS)
def test_step(against: Against, objective: str, way: Way) -> None:
    device, network = DEVICES[way], {"name": "mlp", "depth": DEPTH, "width": WIDTH}
    own = training(objective, way, REPLICAS, dataset="ring", batch_size=BATCH, generator=network, critic=network)
    loop = HandWritten(objective, DEPTH, WIDTH, BATCH, device)
    against(
        done(device, loop.advance, LOOP_STEPS, CRITIC_STEPS[objective]),
        done(device, own.advance, 1),
        rounds=11,
        times=REPLICAS / LOOP_STEPS,
    )
