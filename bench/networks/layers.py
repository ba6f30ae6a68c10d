"""What stands between the matrices of a network: pure functions of a batch, [B, n] or images, for one replica."""

from __future__ import annotations

from typing import Literal

import torch


def normalise(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Mean 0 and variance 1 along an axis: ``(x - mean) / sqrt(variance + 1e-5)``, the variance with 1/n."""
    centred = x - x.mean(axis, keepdim=True)
    return centred * torch.rsqrt(centred.square().mean(axis, keepdim=True) + 1e-5)


def maxout(x: torch.Tensor, pieces: int) -> torch.Tensor:
    """The largest of each ``pieces`` neighbours: [B, n pieces] -> [B, n] (Goodfellow et al. 2013, arXiv:1302.4389)."""
    return x.reshape(x.shape[0], -1, pieces).amax(2)


def group_sort(x: torch.Tensor) -> torch.Tensor:
    """Each two neighbours in ascending order: [B, n] -> [B, n], n even (Anil, Lucas & Grosse 2019, arXiv:1811.05381).

    GroupSort with groups of 2, which the paper also calls MaxMin. Gradients keep their norm where no two tie.
    """
    first, second = x.reshape(x.shape[0], -1, 2).unbind(2)
    return torch.stack([torch.minimum(first, second), torch.maximum(first, second)], 2).flatten(1)


def append_deviation(x: torch.Tensor) -> torch.Tensor:
    """Minibatch standard deviation (Karras et al. 2018, arXiv:1710.10196, Section 3): [B, n] -> [B, n + 1].

    The new feature, the same for every sample, is the standard deviation over the batch, averaged over features:
    ``mean_j sqrt(var_j + 1e-8)``, the variance with 1/B.

    Departure from the paper's code: the whole batch is one group, not groups of 4.
    """
    centred = x - x.mean(0)
    deviation = torch.sqrt(centred.square().mean(0) + 1e-8).mean()
    return torch.cat([x, deviation.expand(x.shape[0], 1)], 1)


def normalise_channels(
    x: torch.Tensor, norm: Literal["batch", "layer"], scale: torch.Tensor, shift: torch.Tensor
) -> torch.Tensor:
    """Mean 0 and variance 1, then each channel's scale and shift: images [B, C, H, W], scale and shift [C].

    ``batch``: over the batch and all pixels of each channel; ``layer``: over all channels and pixels of each sample.
    ``(x - mean) / sqrt(variance + 1e-5)``, the variance with 1/n.
    """
    if norm == "layer":
        return torch.nn.functional.group_norm(x, 1, scale, shift)
    return torch.nn.functional.batch_norm(x, None, None, scale, shift, training=True)
