"""Small residual networks without normalisation, for generators and critics of images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from bench.networks.base import Network, Sizes
from bench.networks.convolutions import (
    HALVINGS,
    Precision,
    Product,
    convolution,
    draw,
    image_of,
    leaky_relu,
    matrix,
    multiply,
    output_of,
    require_width,
    sizes_of,
)
from bench.optim import Parameters


@dataclass(frozen=True, kw_only=True)
class Resnet:
    """Residual blocks at every resolution, for images of 8x8, 28x28, 32x32 and 64x64 pixels.

    A block is ``x + conv(a(conv(a(x))))`` with 3x3 convolutions and a the leaky ReLU of slope .2. There are ``blocks``
    of them, each of ``width`` channels, at every side on the way: 28, 14, 7; 8, 4, 2; else down to 4. The generator: a
    matrix to the smallest image, blocks, doublings by repeating each pixel; then a and a 3x3 convolution to the image,
    and ``output``. The critic: a 3x3 convolution, blocks, halvings by the mean of 2x2 pixels; then a and a matrix.

    Without normalisation as the critics of WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028) and both networks of R3GAN
    (Huang et al. 2024, arXiv:2501.05441), and initialised as the latter, after Fixup: weights N(0, gain^2/fan in) with
    gain 1, in a block's first convolution ``sqrt(2 / 1.04) / sqrt(L)`` for L blocks, in its last one 0, so that every
    block starts as the identity. Biases start at 0. For ``precision`` see ``Dcgan``.

    Departures: WGAN-GP's generator has batch norm, its last critic blocks keep the side, a mean over pixels precedes
    its matrix, and it has ReLU. R3GAN's blocks have three convolutions, grouped, and no activation before the first;
    it resamples bilinearly, and its images of 4x4 pixels come from a learned basis.
    """

    width: int = 32
    blocks: int = 1
    output: Literal["tanh", "linear"] = "tanh"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        require_width("a resnet", self.width)
        if not 1 <= self.blocks <= 64:
            raise ValueError(f"a resnet has 1 to 64 blocks at each resolution, not {self.blocks}")

    @property
    def normalises_batch(self) -> bool:
        """See ``NetworkSettings.normalises_batch``."""
        return False

    def build(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Network:
        """See ``NetworkSettings.build``."""
        _, side, makes = image_of("resnet", inputs, outputs)
        products = self._products(inputs, outputs)
        sides = HALVINGS[side][::-1] if makes else HALVINGS[side]
        activate, finish = leaky_relu(0.2), output_of(self.output if makes else "linear")

        def std(name: str) -> float:
            gains = {"first": math.sqrt(2 / 1.04 / (self.blocks * len(sides))), "last": 0.0}
            return gains.get(name.rpartition(".")[2], 1.0) / math.sqrt(products[name].fan_in)

        def init(generator: torch.Generator) -> Parameters:
            parameters: Parameters = {}
            for name, product in products.items():
                parameters |= draw(name, product, std(name), generator)
            return parameters

        def bind(parameters: Parameters) -> Callable[[torch.Tensor], torch.Tensor]:
            def layer(name: str, x: torch.Tensor) -> torch.Tensor:
                return multiply(name, products[name], parameters, x, self.precision)

            def apply(x: torch.Tensor) -> torch.Tensor:
                x = layer("in", x)
                for k in range(len(sides)):
                    if k > 0:
                        x = _doubled(x) if makes else torch.nn.functional.avg_pool2d(x, 2)
                    for block in range(self.blocks):
                        inner = layer(f"{k}.{block}.first", activate(x))
                        x = x + layer(f"{k}.{block}.last", activate(inner))
                return finish(layer("out", activate(x)))

            return apply

        return Network(init, bind)

    def multiplications(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> int:
        """See ``NetworkSettings.multiplications``."""
        return sum(product.multiplications for product in self._products(inputs, outputs).values())

    def sizes(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Sizes:
        """See ``NetworkSettings.sizes``."""
        return sizes_of(self._products(inputs, outputs).values())

    def _products(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> dict[str, Product]:
        colours, side, makes = image_of("resnet", inputs, outputs)
        sides, w = HALVINGS[side], self.width
        smallest = (w, sides[-1], sides[-1])
        inner = {
            f"{k}.{block}.{place}": convolution(w, w, 3, own)
            for k, own in enumerate(reversed(sides) if makes else sides)
            for block in range(self.blocks)
            for place in ("first", "last")
        }
        if makes:
            return {"in": matrix(inputs[0], smallest), **inner, "out": convolution(w, colours, 3, side)}
        return {"in": convolution(colours, w, 3, side), **inner, "out": matrix(math.prod(smallest))}


def _doubled(x: torch.Tensor) -> torch.Tensor:
    """Each pixel four times: [B, C, S, S] -> [B, C, 2 S, 2 S]."""
    return torch.nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
