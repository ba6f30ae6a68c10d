"""What a person may choose of the tables that compare objectives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from bench import statistics
from bench.errors import UserError, nearest
from bench.report.latex import Preset

T = TypeVar("T")

ESTIMATORS: Mapping[str, tuple[str, statistics.Estimator]] = {
    "mean": ("mean", statistics.mean),
    "iqm": ("interquartile mean", statistics.iqm),
    "median": ("median", statistics.median),
}
"""What each is called in a caption, and how it is computed."""


@dataclass(frozen=True)
class Choices:
    """The choices; the defaults are what ``run`` writes."""

    metrics: tuple[str, ...] = ()
    """The columns of metrics and of budgets, in this order; all that there are where it is empty."""
    estimator: Literal["mean", "iqm", "median"] = "mean"
    digits: int | None = None
    """How many digits of the middle interval's half width a column shows; None for what each column has by itself."""
    columns: Preset = "double"
    """For which place in a paper the LaTeX is laid out."""

    @property
    def word(self) -> str:
        """The estimator's name in a sentence."""
        return ESTIMATORS[self.estimator][0]

    @property
    def estimate(self) -> statistics.Estimator:
        """The estimator."""
        return ESTIMATORS[self.estimator][1]

    def check(self, known: Iterable[str]) -> None:
        """``UserError`` where a chosen column is not a known one."""
        known = set(known)
        for name in self.metrics:
            if name not in known:
                raise UserError(f"--metrics: nothing here measured {name!r}; {nearest(name, known)}")

    def kept(self, columns: Mapping[str, T]) -> dict[str, T]:
        """The chosen ones of the columns."""
        return {name: columns[name] for name in self.metrics or columns if name in columns}

    def refuse(self, experiment: str) -> None:
        """``UserError`` where a choice is made that only tables of training runs offer."""
        for flag, made in (("--metrics", bool(self.metrics)), ("--estimator", self.estimator != "mean")):
            if made:
                raise UserError(f"{flag}: the tables of {experiment!r} do not offer this; those of 'train' do")


DEFAULTS = Choices()
