"""The data sets, by name: classes whose instances are frozen settings with a sampler."""

from __future__ import annotations

from datasets.base import Dataset
from datasets.grid import Grid
from datasets.ring import Ring

DATASETS: dict[str, type[Dataset]] = {
    "grid": Grid,
    "ring": Ring,
}
"""Every data set that a grid file can name."""
