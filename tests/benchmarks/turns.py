"""Rounds that take turns: what is timed, and what it is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ratios import ratio_of


class Against:
    """Times work with pytest-benchmark, and before each of its rounds a round of its baseline.

    The ratio of their times stays with the benchmark, where ``ratios.py`` finds it.
    """

    def __init__(self, benchmark: Any) -> None:
        self._benchmark = benchmark

    def __call__(
        self, baseline: Callable[[], object], work: Callable[[], object], *, rounds: int, times: float = 1
    ) -> float:
        """The median ratio, where a round of the work does so many ``times`` what a round of the baseline does."""
        seconds: list[float] = []

        def before_a_round() -> None:
            start = time.perf_counter()
            baseline()
            seconds.append(time.perf_counter() - start)

        self._benchmark.pedantic(work, setup=before_a_round, rounds=rounds, warmup_rounds=1)
        ratio = ratio_of(self._benchmark.stats.stats.data, seconds[1:], times)
        self._benchmark.extra_info["ratio"] = ratio
        return ratio["median"]
