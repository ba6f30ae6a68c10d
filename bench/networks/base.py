"""What a network is: parameters drawn from a generator, and a pure function of them, written for one replica."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from bench.optim import Parameters


@dataclass(frozen=True)
class Network:
    """A network for given shapes.

    ``init(generator)`` draws parameters on the CPU in float32; ``apply(parameters, x [B, *inputs]) -> [B, *outputs]``.
    """

    init: Callable[[torch.Generator], Parameters]
    apply: Callable[[Parameters, torch.Tensor], torch.Tensor]


class NetworkSettings(Protocol):
    """A family with its settings: a frozen dataclass."""

    def build(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Network:
        """The network that maps [B, *inputs] to [B, *outputs]; a critic's outputs are ()."""
        ...

    def multiplications(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> int:
        """Multiplications of one forward pass of one sample, for estimates of cost."""
        ...
