"""The small convolutional networks with which unrolled GANs met stacked MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from bench.networks.base import Network, Sizes
from bench.networks.convolutions import (
    Precision,
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
class UnrolledConv:
    """The family of Metz et al. 2017 (arXiv:1611.02163) with its weak critics, as PacGAN's code reads it.

    Kernels of 3, three halvings or doublings by strides of 2: 28, 14, 7, 4; with 8, 32 and 64 pixels likewise, rounded
    up. The generator: a matrix to ``8 width`` channels, transposed convolutions to 4, 2 and 1 times ``width``, and a
    convolution of stride 1 to the image. The critic: convolutions to ``width``, 2 and 4 times that, and a matrix. The
    papers have width 8 in the generator, and 2 in a critic said to be 1/4 of it, 4 in one of 1/2.

    Batch norm, with the statistics of the batch that is given, follows all but the last layer of each; then ReLU in
    the generator, leaky ReLU of slope .3 in the critic. Weights start from N(0, .02^2), biases at 0; for ``output`` and
    ``precision`` see ``Dcgan``.

    Departures from PacGAN's code: padding is the same on all sides; the critic's convolutions are not drawn from a
    normal law cut off at two deviations; there are no biases before batch norm, where they change nothing.
    """

    width: int = 8
    output: Literal["tanh", "linear"] = "tanh"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        require_width("an unrolled_conv", self.width)

    @property
    def normalises_batch(self) -> bool:
        """See ``NetworkSettings.normalises_batch``."""
        return True

    def build(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Network:
        """See ``NetworkSettings.build``."""
        return stack(self._stages(inputs, outputs), lambda product: 0.02, self.precision)

    def multiplications(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> int:
        """See ``NetworkSettings.multiplications``."""
        return sum(stage.product.multiplications for stage in self._stages(inputs, outputs))

    def sizes(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Sizes:
        """See ``NetworkSettings.sizes``."""
        return sizes_of_stack(self._stages(inputs, outputs))

    def _stages(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> list[Stage]:
        colours, side, makes = image_of("unrolled_conv", inputs, outputs)
        sides = [-(-side // 2**k) for k in range(4)]
        if makes:
            widths = [8 * self.width, 4 * self.width, 2 * self.width, self.width]
            products = [matrix(inputs[0], (widths[0], sides[-1], sides[-1]))]
            for (before, after), (small, large) in zip(pairwise(widths), pairwise(reversed(sides)), strict=True):
                products.append(transposed(before, after, 3, small, large))
            last = Stage(product=convolution(self.width, colours, 3, side), activation=output_of(self.output))
            return [*(Stage(product=p, norm="batch", activation=relu) for p in products), last]
        widths = [colours, self.width, 2 * self.width, 4 * self.width]
        products = [convolution(b, a, 3, s, 2) for (b, a), s in zip(pairwise(widths), sides[:-1], strict=True)]
        last = Stage(product=matrix(widths[-1] * sides[-1] ** 2))
        return [*(Stage(product=p, norm="batch", activation=leaky_relu(0.3)) for p in products), last]
