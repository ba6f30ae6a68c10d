"""Multilayer perceptrons, for generators and critics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch

from bench.networks.base import Network
from bench.optim import Parameters


@dataclass(frozen=True, kw_only=True)
class Mlp:
    """``depth`` hidden layers of ``width`` units and a linear layer out.

    A hidden layer is linear, norm, activation. ``init`` of the weights: ``uniform`` U(+-1/sqrt(fan in)) for weights and
    biases (torch's default), ``he`` N(0, 2/fan in), ``normal`` N(0, .02^2), ``orthogonal`` with gain ``gain``; all
    but ``uniform`` start with biases at 0. ``norm``: ``layer`` over the units, ``batch`` over the batch, both with
    learned scale and shift. Batch norm always uses the statistics of the batch it is given, at evaluation too,
    where the batch is the whole evaluation sample; there is no running mean. Leaky ReLU has slope .2.
    """

    depth: int = 3
    width: int = 128
    activation: Literal["relu", "leaky_relu", "tanh", "elu", "softplus"] = "relu"
    init: Literal["uniform", "he", "normal", "orthogonal"] = "uniform"
    gain: float = 1.0
    norm: Literal["none", "layer", "batch"] = "none"

    def __post_init__(self) -> None:
        if not (0 <= self.depth <= 64 and 1 <= self.width <= 65536):
            raise ValueError(f"an mlp has 0 to 64 hidden layers of 1 to 65536 units, not {self.depth} of {self.width}")

    def build(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Network:
        """See ``NetworkSettings.build``."""
        sizes = self._sizes(inputs, outputs)

        def init(generator: torch.Generator) -> Parameters:
            parameters: Parameters = {}
            for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
                parameters[f"{layer}.weight"], parameters[f"{layer}.bias"] = self._draw(fan_in, fan_out, generator)
                if self.norm != "none" and layer < self.depth:
                    parameters[f"{layer}.scale"] = torch.ones(fan_out)
                    parameters[f"{layer}.shift"] = torch.zeros(fan_out)
            return parameters

        def apply(parameters: Parameters, x: torch.Tensor) -> torch.Tensor:
            x = x.flatten(1)
            for layer in range(self.depth):
                x = _linear(parameters, layer, x)
                if self.norm != "none":
                    x = _normalise(x, 1 if self.norm == "layer" else 0)
                    x = x * parameters[f"{layer}.scale"] + parameters[f"{layer}.shift"]
                x = self._activate(x)
            return _linear(parameters, self.depth, x).reshape(-1, *outputs)

        return Network(init, apply)

    def multiplications(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> int:
        """See ``NetworkSettings.multiplications``."""
        return sum(a * b for a, b in pairwise(self._sizes(inputs, outputs)))

    def _sizes(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> list[int]:
        return [math.prod(inputs), *[self.width] * self.depth, math.prod(outputs)]

    def _draw(self, fan_in: int, fan_out: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        weight, bias = torch.empty(fan_out, fan_in), torch.zeros(fan_out)
        match self.init:
            case "uniform":
                bound = 1 / math.sqrt(fan_in)
                weight.uniform_(-bound, bound, generator=generator)
                bias.uniform_(-bound, bound, generator=generator)
            case "he":
                weight.normal_(0, math.sqrt(2 / fan_in), generator=generator)
            case "normal":
                weight.normal_(0, 0.02, generator=generator)
            case "orthogonal":
                torch.nn.init.orthogonal_(weight, self.gain, generator=generator)
        return weight, bias

    def _activate(self, x: torch.Tensor) -> torch.Tensor:
        match self.activation:
            case "relu":
                return torch.relu(x)
            case "leaky_relu":
                return torch.nn.functional.leaky_relu(x, 0.2)
            case "tanh":
                return torch.tanh(x)
            case "elu":
                return torch.nn.functional.elu(x)
            case "softplus":
                return torch.nn.functional.softplus(x)


def _linear(parameters: Parameters, layer: int, x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.linear(x, parameters[f"{layer}.weight"], parameters[f"{layer}.bias"])


def _normalise(x: torch.Tensor, axis: int) -> torch.Tensor:
    centred = x - x.mean(axis, keepdim=True)
    return centred * torch.rsqrt(centred.square().mean(axis, keepdim=True) + 1e-5)
