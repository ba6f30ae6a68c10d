"""A data set and the same with Gaussian noise: what WGAN-GP's critics are trained between in its figure 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from bench.settings import build
from datasets import DATASETS
from datasets.base import Dataset, FlatMixture, GaussianMixture, require_positive


@dataclass(frozen=True, kw_only=True)
class Noised:
    """Real samples are the data set's; fake ones are others of the same, plus N(0, std^2) along every axis.

    Gulrajani et al. 2017 (arXiv:1704.00028, figure 1a, which fixes the generator's law so) have noise of variance 1.
    In their code a fake sample is the real one that it is paired with, plus noise; here it is another one, as in their
    algorithm, so that segments are longer.
    """

    dataset: Mapping[str, Any]
    std: float = 1.0

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range."""
        require_positive("std", self.std)

    @property
    def _data(self) -> Dataset:
        known: Dataset = build(self.dataset, DATASETS)
        return known

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The data set's."""
        return self._data.event_shape

    def real(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Samples of the data set."""
        return self._data.sample(n, generator)

    def fake(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Samples of the data set with noise."""
        clean = self._data.sample(n, generator)
        return clean + self.std * torch.randn(clean.shape, generator=generator, device=generator.device)

    def log_ratio(self, x: torch.Tensor) -> torch.Tensor | None:
        """Known where the data are a mixture of Gaussians: noise makes it one of ``sqrt(own std^2 + std^2)``."""
        data = self._data
        if not isinstance(data, GaussianMixture) or isinstance(data, FlatMixture):
            return None
        return data.log_prob(x) - replace(data, std=math.hypot(data.std, self.std)).log_prob(x)

    def wasserstein(self) -> None:
        """Not known."""
