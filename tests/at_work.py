"""Units of experiments in this process, for tests: what the launcher would offer them, and what they leave."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from bench.experiments import Context, Result


def context(work: Path, stopping: Callable[[], bool] = lambda: False) -> Context:
    """A launcher's offer, in a folder that is made where there is none."""
    work.mkdir(exist_ok=True)
    return Context(
        work=work, device="cpu", way="vmap", evaluator=ThreadPoolExecutor(1), progress=lambda share: None,
        stopping=stopping, say=lambda text: None,
    )  # fmt: skip


def after(questions: int) -> Callable[[], bool]:
    """Says that it is time to stop from the question after so many on."""
    asked = count()
    return lambda: next(asked) >= questions


def told(results: list[Result]) -> list[list[dict[str, Any]]]:
    """Rows without what time changes."""
    times = ("wall_seconds", "cpu_seconds")
    return [[{k: v for k, v in row.items() if k not in times} for row in result.rows] for result in results]
