"""What a network is: parameters drawn from a generator, and a pure function of them, written for one replica."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch

from bench.optim import Parameters


def _no_buffers(parameters: Parameters, generator: torch.Generator) -> Parameters:
    return {}


def _unchanged(parameters: Parameters, buffers: Parameters) -> Parameters:
    return buffers


@dataclass(frozen=True)
class Network:
    """A network for given shapes.

    ``init(generator)`` draws parameters on the CPU in float32; ``bind(parameters)`` gives the function of them,
    x [B, *inputs] -> [B, *outputs], and does once what does not depend on x. The result has the type of x, whatever a
    network of mixed precision computes with; it does so in the parameters' own type where torch's automatic casting
    is set to float32, as ``objectives.base.slopes`` sets it.
    Buffers are tensors that no optimiser touches and no gradient flows into: ``init_buffers(parameters, generator)``
    draws them after the parameters, ``refresh(parameters, buffers)`` gives their values for the next update, and
    ``bind`` finds them beside the parameters: ``bind({**parameters, **buffers})``. Most networks have none.
    ``mixes`` says that a sample's output depends on the others of its batch, so that two batches may not be joined.
    """

    init: Callable[[torch.Generator], Parameters]
    bind: Callable[[Parameters], Callable[[torch.Tensor], torch.Tensor]]
    init_buffers: Callable[[Parameters, torch.Generator], Parameters] = _no_buffers
    refresh: Callable[[Parameters, Parameters], Parameters] = _unchanged
    mixes: bool = False

    def apply(self, parameters: Parameters, x: torch.Tensor) -> torch.Tensor:
        """``bind(parameters)(x)``."""
        return self.bind(parameters)(x)


class Sizes(NamedTuple):
    """How much a network holds, for estimates of memory."""

    parameters: int
    """Numbers that an optimiser adjusts."""
    outputs: int
    """Numbers that its products of weights and inputs give for one sample, those of all layers."""
    widest: int
    """The most that one of these products gives."""


class NetworkSettings(Protocol):
    """A family with its settings: a frozen dataclass."""

    @property
    def normalises_batch(self) -> bool:
        """Whether the network normalises over the batch, so that a sample's output depends on the other samples."""
        ...

    def build(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Network:
        """The network that maps [B, *inputs] to [B, *outputs]; a critic's outputs are ().

        Raises:
            ValueError: the family has none of these shapes.
        """
        ...

    def multiplications(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> int:
        """Multiplications of one forward pass of one sample, for estimates of cost; a ValueError as from ``build``."""
        ...

    def sizes(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Sizes:
        """How much the network for these shapes holds; needs no torch; a ValueError as from ``build``."""
        ...
