"""What the checks are written with: assertions in words, and a watch on randomness."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch

Checked = TypeVar("Checked")
Checks: TypeAlias = Mapping[str, Callable[[Checked], None]]
"""Name -> check; a check raises an AssertionError in words."""


def require(condition: bool, words: str) -> None:
    """Raise an AssertionError with these words unless the condition holds; unlike ``assert``, under -O as well."""
    if not condition:
        raise AssertionError(words)


def close(actual: torch.Tensor, expected: torch.Tensor, words: str, *, rtol: float = 1e-9, atol: float = 1e-10) -> None:
    """Raise an AssertionError with these words, and torch's, unless the tensors agree in values, shape and type."""
    try:
        torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)
    except AssertionError as error:
        raise AssertionError(f"{words}\n{error}") from None


class GlobalRandomness:
    """Watch the global generators of torch, numpy and Python for use, and give them back as they were."""

    used = False

    def __enter__(self) -> GlobalRandomness:
        self._before = self._marked = self._state()
        return self

    def stir(self) -> None:
        """Move all global generators elsewhere, as another program's draws would."""
        self._look()
        torch.rand(3)
        np.random.rand(3)  # noqa: NPY002 (the global generator is the point)
        random.random()
        self._marked = self._state()

    def __exit__(self, *_: object) -> None:
        self._look()
        torch.set_rng_state(self._before[0])
        np.random.set_state(self._before[1])  # noqa: NPY002
        random.setstate(self._before[2])

    def _look(self) -> None:
        now = self._state()
        self.used = (
            self.used
            or not torch.equal(now[0], self._marked[0])
            or not all(np.array_equal(one, other) for one, other in zip(now[1], self._marked[1], strict=True))
            or now[2] != self._marked[2]
        )

    @staticmethod
    def _state() -> tuple[torch.Tensor, tuple[Any, ...], tuple[Any, ...]]:
        return torch.get_rng_state(), np.random.get_state(legacy=True), random.getstate()  # type: ignore[return-value]  # noqa: NPY002


def check_randomness(draw: Callable[[torch.Generator], torch.Tensor], what: str) -> None:
    """The generator given matters, and suffices."""
    with GlobalRandomness() as randomness:
        first = draw(torch.Generator().manual_seed(1))
        randomness.stir()
        again = draw(torch.Generator().manual_seed(1))
        other = draw(torch.Generator().manual_seed(2))
    require(not randomness.used, f"{what} draws from global randomness; pass the generator on to every draw")
    require(
        torch.equal(first, again), f"{what} differs between two generators with one seed: what else does it draw from?"
    )
    require(not torch.equal(first, other), f"{what} is the same for two seeds: the generator given is not used")
    generator = torch.Generator().manual_seed(1)
    draw(generator)
    following = draw(generator)
    require(not torch.equal(first, following), f"{what} repeats itself when the generator goes on")
