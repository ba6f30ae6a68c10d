"""The table that statistics over several tasks are made of: runs x tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.statistics.estimators import Array


@dataclass(frozen=True, eq=False)
class Scores:
    """One value for each run on each task, data sets for instance, and how many runs diverged.

    values: [n runs, m tasks], finite or NaN, which is a run that has no value there. A row is no unit: runs of two
        tasks that stand beside each other have nothing in common.
    tasks: m names.
    diverged: how many runs of the table ended badly, whatever their values count for.

    ``ValueError`` where sizes disagree, a name stands twice, or a value is infinite.
    """

    values: Array
    tasks: tuple[str, ...]
    diverged: int

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.tasks):
            raise ValueError(f"values are [runs, {len(self.tasks)} tasks], not {list(self.values.shape)}")
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"a task stands twice in {', '.join(self.tasks)}")
        if np.isinf(self.values).any():
            raise ValueError("values are finite, or NaN where a run has none")
        if not 0 <= self.diverged <= self.values.size:
            raise ValueError(f"of {self.values.size} runs {self.diverged} cannot have diverged")

    @classmethod
    def of(cls, runs: Mapping[str, npt.ArrayLike], worst: float | None) -> Scores:
        """From the values of all runs of each task, whose numbers may differ; what is not finite has diverged.

        worst: the value that a diverged run counts for; None leaves it out, which flatters whoever diverges often. It
        is in ``diverged`` either way. Runs that a task lacks are NaN, and have not diverged.
        """
        columns = [np.array(values, dtype=np.float64) for values in runs.values()]
        table = np.full((max(map(len, columns), default=0), len(columns)), np.nan)
        diverged = 0
        for task, column in enumerate(columns):
            ended = ~np.isfinite(column)
            diverged += int(ended.sum())
            table[: len(column), task] = np.where(ended, np.nan if worst is None else worst, column)
        return cls(table, tuple(runs), diverged)

    def by_task(self) -> list[Array]:
        """The values that are there, [n_j] for each task j."""
        return [column[~np.isnan(column)] for column in self.values.T]
