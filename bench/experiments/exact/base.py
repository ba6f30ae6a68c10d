"""What a check is."""

from __future__ import annotations

from typing import ClassVar, Protocol

from bench.cell import Settings
from bench.experiments.base import Row


class Check(Protocol):
    """A frozen dataclass of its settings."""

    trains: ClassVar[bool]
    """Whether its cell has the settings of training too."""

    def rows(self, settings: Settings, seed: int, device: str) -> list[Row]:
        """What is found, a ``step`` a row; the settings are the cell's, for a check that trains."""
        ...

    def work(self, settings: Settings) -> float:
        """A rough number of floating-point operations, for plans."""
        ...
