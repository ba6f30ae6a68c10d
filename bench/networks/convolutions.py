"""What networks on images are made of: products with weights, and stacks of them.

Shape letters: B batch, S side of a square image, *E event (the shape of one output).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch

from bench.networks.base import Network, Sizes
from bench.networks.layers import normalise_channels
from bench.optim import Parameters

Precision = Literal["float32", "bfloat16"]
Activation: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"

HALVINGS = {8: (8, 4, 2), 28: (28, 14, 7), 32: (32, 16, 8, 4), 64: (64, 32, 16, 8, 4)}
"""The sides of images that networks are made for, each with what halving gives on the way to the innermost."""


def image_of(family: str, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> tuple[int, int, bool]:
    """Channels and side of the images that a network makes or scores, and whether it makes them.

    Raises:
        ValueError: it does neither, or they are of another size.
    """
    event, makes = outputs or inputs, bool(outputs)
    if len(event) != 3 or event[1] != event[2] or event[1] not in HALVINGS or (makes and len(inputs) != 1):
        sizes = ", ".join(f"{side}x{side}" for side in HALVINGS)
        raise ValueError(f"{family} makes from vectors, or scores, images of {sizes} pixels, not {inputs} -> {outputs}")
    return event[0], event[1], makes


def require_width(family: str, width: int) -> None:
    """Raise a ValueError unless the width can be."""
    if not 1 <= width <= 4096:
        raise ValueError(f"{family} has a width of 1 to 4096 channels, not {width}")


@dataclass(frozen=True, kw_only=True)
class Product:
    """A product of each sample with one weight: by a matrix or a convolution."""

    shape: tuple[int, ...]
    """Of the weight, as torch has it."""
    biases: int
    channels: int
    """Of the output."""
    fan_in: float
    """How many inputs one output is a weighted sum of, away from the edges."""
    multiplications: int
    """Of one sample, those with padding counted."""
    outputs: int
    """Numbers that it gives for one sample."""
    apply: Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
    """(x, weight, bias) -> [B, *E]."""


def matrix(inputs: int, event: tuple[int, ...] = ()) -> Product:
    """Of x, flattened, to [B, *event]."""
    outputs = math.prod(event)

    def apply(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return torch.nn.functional.linear(x.flatten(1), weight, bias).reshape(-1, *event)

    return Product(
        shape=(outputs, inputs),
        biases=outputs,
        channels=event[0] if event else 1,
        fan_in=inputs,
        multiplications=inputs * outputs,
        outputs=outputs,
        apply=apply,
    )


def convolution(inputs: int, channels: int, kernel: int, side: int, stride: int = 1) -> Product:
    """[B, inputs, side, side] -> [B, channels, S, S], S being side / stride, for odd kernels rounded up."""
    padding = (kernel - 1) // 2
    after = (side + 2 * padding - kernel) // stride + 1

    def apply(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return torch.nn.functional.conv2d(x, weight, bias, stride, padding)

    return Product(
        shape=(channels, inputs, kernel, kernel),
        biases=channels,
        channels=channels,
        fan_in=inputs * kernel**2,
        multiplications=inputs * channels * (kernel * after) ** 2,
        outputs=channels * after**2,
        apply=apply,
    )


def transposed(inputs: int, channels: int, kernel: int, side: int, after: int) -> Product:
    """[B, inputs, side, side] -> [B, channels, after, after]: the way back of a ``convolution`` by strides of 2."""
    padding = (kernel - 1) // 2
    missing = after - 2 * (side - 1) + 2 * padding - kernel

    def apply(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return torch.nn.functional.conv_transpose2d(x, weight, bias, 2, padding, missing)

    return Product(
        shape=(inputs, channels, kernel, kernel),
        biases=channels,
        channels=channels,
        fan_in=inputs * kernel**2 / 4,
        multiplications=inputs * channels * (kernel * side) ** 2,
        outputs=channels * after**2,
        apply=apply,
    )


def draw(name: str, product: Product, std: float, generator: torch.Generator, *, bias: bool = True) -> Parameters:
    """A product's weight from N(0, std^2), and its bias at 0."""
    weight = torch.empty(product.shape).normal_(0, std, generator=generator)
    return {f"{name}.weight": weight, **({f"{name}.bias": torch.zeros(product.biases)} if bias else {})}


def multiply(
    name: str, product: Product, parameters: Mapping[str, torch.Tensor], x: torch.Tensor, precision: Precision
) -> torch.Tensor:
    """The product of x with the weight and the bias of that name; in bfloat16 where ``precision`` says so.

    The result has the type of x. Where automatic casting is set to float32, as ``objectives.base`` does for slopes,
    nothing is cast whatever the precision.
    """
    weight, bias = parameters[f"{name}.weight"], parameters.get(f"{name}.bias")
    if precision == "float32" or torch.get_autocast_dtype(x.device.type) == torch.float32:
        return product.apply(x, weight, bias)
    return product.apply(x.bfloat16(), weight.bfloat16(), None if bias is None else bias.bfloat16()).to(x.dtype)


def linear(x: torch.Tensor) -> torch.Tensor:
    """x as it is."""
    return x


def relu(x: torch.Tensor) -> torch.Tensor:
    """``max(x, 0)``."""
    return torch.relu(x)


def leaky_relu(slope: float) -> Activation:
    """x where it is positive, ``slope * x`` elsewhere."""
    return lambda x: torch.nn.functional.leaky_relu(x, slope)


def output_of(name: Literal["tanh", "linear"]) -> Activation:
    """What the last numbers go through."""
    return (lambda x: torch.tanh(x)) if name == "tanh" else linear


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A product, then a norm with a learned scale and shift of each channel, then an activation."""

    product: Product
    norm: Literal["none", "batch", "layer"] = "none"
    activation: Activation = linear


def sizes_of(products: Iterable[Product]) -> Sizes:
    """Of the products of a network, each with a bias."""
    products = list(products)
    parameters = sum(math.prod(product.shape) + product.biases for product in products)
    outputs = [product.outputs for product in products]
    return Sizes(parameters, sum(outputs), max(outputs))


def sizes_of_stack(stages: Sequence[Stage]) -> Sizes:
    """Of the network that ``stack`` makes: in place of a bias, a norm has a scale and a shift a channel."""
    sizes = sizes_of(stage.product for stage in stages)
    normed = [stage.product for stage in stages if stage.norm != "none"]
    more = sum(2 * product.channels - product.biases for product in normed)
    return sizes._replace(parameters=sizes.parameters + more)


def stack(stages: Sequence[Stage], std: Callable[[Product], float], precision: Precision) -> Network:
    """Stages one after the other; weights start from N(0, std^2), biases, where no norm follows, at 0."""

    def init(generator: torch.Generator) -> Parameters:
        parameters: Parameters = {}
        for k, stage in enumerate(stages):
            parameters |= draw(f"{k}", stage.product, std(stage.product), generator, bias=stage.norm == "none")
            if stage.norm != "none":
                channels = stage.product.channels
                parameters |= {f"{k}.scale": torch.ones(channels), f"{k}.shift": torch.zeros(channels)}
        return parameters

    def bind(parameters: Parameters) -> Callable[[torch.Tensor], torch.Tensor]:
        def apply(x: torch.Tensor) -> torch.Tensor:
            for k, stage in enumerate(stages):
                x = multiply(f"{k}", stage.product, parameters, x, precision)
                if stage.norm != "none":
                    x = normalise_channels(x, stage.norm, parameters[f"{k}.scale"], parameters[f"{k}.shift"])
                x = stage.activation(x)
            return x

        return apply

    return Network(init, bind, mixes=any(stage.norm == "batch" for stage in stages))
