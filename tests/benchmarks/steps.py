"""The engine's ways of stepping, ready to be timed beside a loop written by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch

from bench import training_settings
from bench.engine import Training, Way

CRITIC_STEPS = {"minimax": 1, "non_saturating": 1, "wgan_clip": 5, "wgan_gp": 5}
"""Of one step, by objective, as their references train."""
DEVICES = {way: "cuda" if way == "cuda_graph" else "cpu" for way in get_args(Way)}
"""Where a way is timed, and its baseline: on the CPU what can be, so that any machine measures the same."""
WAYS = [
    pytest.param(way, marks=pytest.mark.skipif(device == "cuda" and not torch.cuda.is_available(), reason="no CUDA"))
    for way, device in DEVICES.items()
]


def training(objective: str, way: Way, replicas: int, **settings: Any) -> Training:
    """Replicas of an objective with these settings, one step on their way."""
    resolved = training_settings.resolve({"objective": objective, "critic_steps": CRITIC_STEPS[objective], **settings})
    found = Training(
        training_settings.make_problem(resolved),
        range(replicas),
        training_settings.make_scalars([resolved] * replicas),
        way=way,
        device=DEVICES[way],
    )
    found.advance(1)
    return found


def done(device: str, advance: Callable[..., None], *counts: int) -> Callable[[], None]:
    """The call, and the wait until the device has done what it asks for."""

    def call() -> None:
        advance(*counts)
        if device == "cuda":
            torch.cuda.synchronize()

    return call
