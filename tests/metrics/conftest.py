from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bench.metrics import Modes

Draw = Callable[[Modes, np.ndarray], np.ndarray]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture
def ring() -> Modes:
    """The ring of VEEGAN: 8 modes, radius 1, std .01."""
    angles = 2 * np.pi * np.arange(8) / 8
    return Modes(np.stack([np.cos(angles), np.sin(angles)], axis=1), 0.01, np.full(8, 1 / 8))


@pytest.fixture
def grid() -> Modes:
    """The grid of VEEGAN: 25 modes, spacing 2, std .05."""
    axis = np.arange(-4.0, 5.0, 2.0)
    return Modes(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), 0.05, np.full(25, 1 / 25))


@pytest.fixture
def draw(rng: np.random.Generator) -> Draw:
    """One sample from each named mode."""

    def sample(modes: Modes, labels: np.ndarray) -> np.ndarray:
        return modes.means[labels] + modes.std * rng.normal(size=(len(labels), modes.means.shape[1]))

    return sample
