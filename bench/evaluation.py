"""Metrics of stored samples, in a process of its own without torch, so that solves run while training goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from bench.metrics import Modes, as_floor, compute_all
from bench.records import publish_bytes


def evaluate(
    samples: Path, key: str, real: Path, names: Sequence[str], settings: Mapping[str, Any], result: Path
) -> list[dict[str, float]]:
    """Metrics of every replica's points against its own reference; they are written to ``result`` and given back.

    Args:
        samples: file with the points [R, N, *E] under ``key``; a replica whose points are not finite gets NaN.
        real: file with ``reference`` [R, N, *E], and ``means`` [K, *E], ``std`` [], ``weights`` [K] of a mixture.
        names: which metrics.
        settings: of the metrics.
        result: a finished result there is read, not made again.
    """
    if result.exists():
        return _read(result)
    points, known = load_file(samples)[key], load_file(real)
    modes = Modes(known["means"], float(known["std"]), known["weights"]) if "means" in known else None
    found = []
    for own, reference in zip(points, known["reference"], strict=True):
        measured = compute_all(names, own, reference, modes, settings)
        found.append({**measured.values, "metric_seconds": sum(measured.seconds.values())})
    publish_bytes(json.dumps(found).encode(), result)
    return found


def evaluate_floor(
    real: Path, names: Sequence[str], settings: Mapping[str, Any], result: Path
) -> list[dict[str, float]]:
    """The same metrics of fresh real samples, as floor columns."""
    rows = evaluate(real, "fresh", real, names, settings, result)
    return [as_floor({name: value for name, value in row.items() if name != "metric_seconds"}) for row in rows]


def _read(path: Path) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = json.loads(path.read_text())
    return rows
