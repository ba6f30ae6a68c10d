"""Strided convolutions without pooling, for generators and critics of images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from bench.networks.base import Network, Sizes
from bench.networks.convolutions import (
    HALVINGS,
    Precision,
    Product,
    Stage,
    convolution,
    image_of,
    leaky_relu,
    matrix,
    output_of,
    relu,
    require_width,
    sizes_of_stack,
    stack,
    transposed,
)


@dataclass(frozen=True, kw_only=True)
class Dcgan:
    """DCGAN (Radford, Metz & Chintala 2016, arXiv:1511.06434) for images of 8x8, 28x28, 32x32 and 64x64 pixels.

    Every layer halves or doubles the side: 28, 14, 7; 8, 4, 2; else down to 4. A matrix makes the generator's first
    image, another one the critic's score of its last. Next to the image there are ``width`` channels; with ``growth:
    double`` twice as many after each halving, with ``constant`` (WGAN, Arjovsky et al. 2017, figure 6) as many
    everywhere. ReLU in the generator, leaky ReLU of slope .2 in the critic, ``output`` at the generator's end.

    ``kernel``: 4, as in WGAN's code, or 5, as in DCGAN and WGAN-GP.

    ``norm`` stands after every convolution or matrix but the generator's last and the critic's first and last:
    ``batch`` over batch and pixels, always with the statistics of the batch that is given, at evaluation too; there is
    no running mean. ``layer`` over channels and pixels (WGAN-GP). Both have a scale and a shift a channel.

    ``init`` of the weights: ``normal`` N(0, .02^2), or ``he`` N(0, 2/fan in), fan in being how many inputs an output
    is a weighted sum of, as WGAN-GP's code has it where there is no norm and few filters. Biases start at 0.

    ``precision: bfloat16`` multiplies in bfloat16, with parameters, norms, activations and the result in float32, and
    gradients of penalties in float32 throughout. It is meant for GPUs; on a CPU it works and may be slower.

    Departures: there is a bias exactly where no norm follows (DCGAN and WGAN-GP have one everywhere, WGAN's code none);
    padding is the same on all sides, where TensorFlow pads a kernel of 5 by 1 and 2; the paper's 28x28 networks have
    other layers, and PacGAN's go from 28 down to 2; WGAN-GP draws from uniform laws with these deviations, and its fan
    is the mean of in and out.
    """

    width: int = 64
    kernel: Literal[4, 5] = 4
    norm: Literal["none", "batch", "layer"] = "none"
    growth: Literal["double", "constant"] = "double"
    init: Literal["normal", "he"] = "normal"
    output: Literal["tanh", "linear"] = "tanh"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        require_width("a dcgan", self.width)

    @property
    def normalises_batch(self) -> bool:
        """See ``NetworkSettings.normalises_batch``."""
        return self.norm == "batch"

    def build(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Network:
        """See ``NetworkSettings.build``."""
        return stack(self._stages(inputs, outputs), self._std, self.precision)

    def multiplications(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> int:
        """See ``NetworkSettings.multiplications``."""
        return sum(stage.product.multiplications for stage in self._stages(inputs, outputs))

    def sizes(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Sizes:
        """See ``NetworkSettings.sizes``."""
        return sizes_of_stack(self._stages(inputs, outputs))

    def _std(self, product: Product) -> float:
        return math.sqrt(2 / product.fan_in) if self.init == "he" else 0.02

    def _stages(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> list[Stage]:
        colours, side, makes = image_of("dcgan", inputs, outputs)
        sides = HALVINGS[side]
        layers = len(sides) - 1
        widths = [self.width * (2**k if self.growth == "double" else 1) for k in range(layers)]
        if makes:
            first = matrix(inputs[0], (widths[-1], sides[-1], sides[-1]))
            inner = [
                transposed(widths[k], widths[k - 1], self.kernel, sides[k + 1], sides[k])
                for k in range(layers - 1, 0, -1)
            ]
            last = transposed(widths[0], colours, self.kernel, sides[1], side)
            normed = [Stage(product=p, norm=self.norm, activation=relu) for p in (first, *inner)]
            return [*normed, Stage(product=last, activation=output_of(self.output))]
        first = convolution(colours, widths[0], self.kernel, side, 2)
        inner = [convolution(widths[k - 1], widths[k], self.kernel, sides[k], 2) for k in range(1, layers)]
        normed = [Stage(product=p, norm=self.norm, activation=leaky_relu(0.2)) for p in inner]
        last = matrix(widths[-1] * sides[-1] ** 2)
        return [Stage(product=first, activation=leaky_relu(0.2)), *normed, Stage(product=last)]
