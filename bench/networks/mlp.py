"""Multilayer perceptrons, for generators and critics."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from bench.networks.base import Network, Sizes
from bench.networks.constraints import draw_vectors, orthonormal, power_iteration, spectral
from bench.networks.layers import append_deviation, group_sort, maxout, normalise
from bench.optim import Parameters


@dataclass(frozen=True, kw_only=True)
class Mlp:
    """``depth`` hidden layers of ``width`` units and a linear layer out.

    A hidden layer is linear, norm, activation; the input is first multiplied by ``input_scale``.

    ``init`` of the weights: ``uniform`` U(+-1/sqrt(fan in)) for weights and biases (torch's default), ``he``
    N(0, 2/fan in), ``normal`` N(0, .02^2), ``orthogonal`` with gain ``gain``; all but ``uniform`` start with biases
    at 0. Fan in is the number of a layer's inputs, whatever the activation.

    ``norm``: ``layer`` over the units, ``batch`` over the batch, both with learned scale and shift. Batch norm always
    uses the statistics of the batch it is given, at evaluation too, where the batch is the whole evaluation sample;
    there is no running mean. The bias before it changes nothing and drifts by rounding.

    ``activation``: leaky ReLU has slope .2; ``maxout`` makes the linear map ``pieces`` times as wide and keeps the
    largest of each ``pieces`` units; ``group_sort`` orders the units in pairs.

    ``constraint``, on all weights, the last layer's too, but not on biases: ``spectral`` divides each by an estimate
    of its largest singular value, whose vectors are buffers, refreshed by one power iteration before each update
    (Miyato et al.: in each forward pass); ``orthonormal`` uses the nearest matrix with orthonormal rows or columns.
    Every activation here is 1-Lipschitz, so with orthonormal weights the network is ``input_scale``-Lipschitz.

    ``minibatch_std`` gives the last layer one more input, the standard deviation over the batch. A sample's output
    then depends on the other samples, but is not normalised by them: progressive GANs, which introduced it, train
    with a gradient penalty.
    """

    depth: int = 3
    width: int = 128
    activation: Literal["relu", "leaky_relu", "tanh", "elu", "softplus", "maxout", "group_sort"] = "relu"
    pieces: int = 5
    init: Literal["uniform", "he", "normal", "orthogonal"] = "uniform"
    gain: float = 1.0
    norm: Literal["none", "layer", "batch"] = "none"
    constraint: Literal["none", "spectral", "orthonormal"] = "none"
    minibatch_std: bool = False
    input_scale: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.depth <= 64 and 1 <= self.width <= 65536):
            raise ValueError(f"an mlp has 0 to 64 hidden layers of 1 to 65536 units, not {self.depth} of {self.width}")
        if not 2 <= self.pieces <= 64:
            raise ValueError(f"maxout has 2 to 64 pieces, not {self.pieces}")
        if not self.input_scale > 0:
            raise ValueError(f"input_scale is a positive number, not {self.input_scale}")
        if self.activation == "group_sort" and self.width % 2:
            raise ValueError(f"group_sort orders the units in pairs: width is even, not {self.width}")
        if self.constraint != "none" and self.norm != "none":
            raise ValueError(f"{self.norm} norm undoes what a constraint does to the weights: set norm or constraint")
        if self.constraint == "orthonormal" and self.minibatch_std:
            raise ValueError("with minibatch_std a network is not 1-Lipschitz, for which orthonormal weights are meant")

    @property
    def normalises_batch(self) -> bool:
        """See ``NetworkSettings.normalises_batch``."""
        return self.norm == "batch"

    def build(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Network:
        """See ``NetworkSettings.build``."""
        shapes = self._shapes(inputs, outputs)

        def init(generator: torch.Generator) -> Parameters:
            parameters: Parameters = {}
            for layer, (fan_in, fan_out) in enumerate(shapes):
                parameters[f"{layer}.weight"], parameters[f"{layer}.bias"] = self._draw(fan_in, fan_out, generator)
                if self.norm != "none" and layer < self.depth:
                    parameters[f"{layer}.scale"] = torch.ones(fan_out)
                    parameters[f"{layer}.shift"] = torch.zeros(fan_out)
            return parameters

        def bind(parameters: Parameters) -> Callable[[torch.Tensor], torch.Tensor]:
            weights = [self.weight(parameters, layer) for layer in range(self.depth + 1)]

            def linear(layer: int, x: torch.Tensor) -> torch.Tensor:
                return torch.nn.functional.linear(x, weights[layer], parameters[f"{layer}.bias"])

            def apply(x: torch.Tensor) -> torch.Tensor:
                x = x.flatten(1)
                if self.input_scale != 1:
                    x = x * self.input_scale
                for layer in range(self.depth):
                    x = linear(layer, x)
                    if self.norm != "none":
                        x = normalise(x, 1 if self.norm == "layer" else 0)
                        x = x * parameters[f"{layer}.scale"] + parameters[f"{layer}.shift"]
                    x = self._activate(x)
                if self.minibatch_std:
                    x = append_deviation(x)
                return linear(self.depth, x).reshape(-1, *outputs)

            return apply

        def init_buffers(parameters: Parameters, generator: torch.Generator) -> Parameters:
            buffers: Parameters = {}
            for layer in range(self.depth + 1):
                vectors = draw_vectors(parameters[f"{layer}.weight"], generator)
                buffers[f"{layer}.u"], buffers[f"{layer}.v"] = vectors
            return buffers

        def refresh(parameters: Parameters, buffers: Parameters) -> Parameters:
            fresh: Parameters = {}
            for layer in range(self.depth + 1):
                vectors = power_iteration(parameters[f"{layer}.weight"], buffers[f"{layer}.u"])
                fresh[f"{layer}.u"], fresh[f"{layer}.v"] = vectors
            return fresh

        mixes = self.norm == "batch" or self.minibatch_std
        if self.constraint == "spectral":
            return Network(init, bind, init_buffers, refresh, mixes=mixes)
        return Network(init, bind, mixes=mixes)

    def multiplications(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> int:
        """See ``NetworkSettings.multiplications``; a constraint's own work, the same for any batch, does not count."""
        return sum(fan_in * fan_out for fan_in, fan_out in self._shapes(inputs, outputs))

    def sizes(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Sizes:
        """See ``NetworkSettings.sizes``."""
        shapes = self._shapes(inputs, outputs)
        norms = sum(2 * fan_out for _, fan_out in shapes[:-1]) if self.norm != "none" else 0
        parameters = sum((fan_in + 1) * fan_out for fan_in, fan_out in shapes) + norms
        return Sizes(parameters, sum(fan_out for _, fan_out in shapes), max(fan_out for _, fan_out in shapes))

    def _shapes(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> list[tuple[int, int]]:
        """Inputs and outputs of each linear map."""
        hidden = self.width * self.pieces if self.activation == "maxout" else self.width
        fans_in = [math.prod(inputs), *[self.width] * self.depth]
        fans_in[-1] += self.minibatch_std
        return list(zip(fans_in, [*[hidden] * self.depth, math.prod(outputs)], strict=True))

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

    def weight(self, parameters: Parameters, layer: int) -> torch.Tensor:
        """The matrix of a layer under the constraint."""
        weight = parameters[f"{layer}.weight"]
        match self.constraint:
            case "spectral":
                return spectral(weight, parameters[f"{layer}.u"], parameters[f"{layer}.v"])
            case "orthonormal":
                return orthonormal(weight)
            case "none":
                return weight

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
            case "maxout":
                return maxout(x, self.pieces)
            case "group_sort":
                return group_sort(x)
