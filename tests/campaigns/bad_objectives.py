"""A plug-in of objectives that go wrong in every way that a process can, each at its first critic step."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from objectives.minimax import OBJECTIVE

_done: set[str] = set()


def _raise() -> None:
    raise ArithmeticError("no sum of these")


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _out_of_memory() -> None:
    """For real: the address space is limited, then asked for."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, before[1]))
    try:
        np.ones(1 << 30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _out_of_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def _talk() -> None:
    line = "x" * 9999
    for _ in range(10_000):
        print(line)
    sys.stdout.flush()


BAD: dict[str, tuple[Callable[[], object], str]] = {
    "raises": (_raise, "failed"),
    "is_killed": (_kill, "killed"),
    "segfaults": (lambda: ctypes.string_at(0), "killed"),
    "exits": (lambda: os._exit(3), "killed"),
    "takes_memory": (_out_of_memory, "oom"),
    "takes_gpu": (_out_of_gpu, "oom"),
    "hangs": (lambda: time.sleep(3600), "timeout"),
    "talks": (_talk, "ok"),
}
"""Name -> what it does, and how its runs end."""


def _bad(name: str, act: Callable[[], object]) -> Any:
    def critic_loss(critic: Any, real: Any, fake: Any, noise: Any, hparams: Any) -> Any:
        if name not in _done:
            _done.add(name)
            act()
        return OBJECTIVE.critic_loss(critic, real, fake, noise, hparams)

    return replace(OBJECTIVE, name=name, critic_loss=critic_loss)


OBJECTIVES = [_bad(name, act) for name, (act, _) in BAD.items()]
