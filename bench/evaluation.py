"""Metrics of stored samples, in a process of its own without torch, so that solves run while training goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from safetensors.numpy import load_file

from bench.metrics import Array, Modes, Space, Truth, as_floor, compute_all
from bench.records import publish_bytes


def evaluate(
    samples: Path, key: str, real: Path, names: Sequence[str], settings: Mapping[str, Any], result: Path
) -> list[dict[str, float]]:
    """Metrics of every replica's points against its own reference; they are written to ``result`` and given back.

    Args:
        samples: file with the points [R, N, *E] under ``key``, and under ``<key>_<space>`` in other spaces; a replica
            whose points are not finite gets NaN.
        real: file with ``reference``, likewise; of a mixture ``means`` [K, *E], ``std`` [], ``weights`` [K]; of images
            ``classes`` [K], the share of each, and ``training`` [T, *E].
        names: which metrics.
        settings: of the metrics.
        result: a finished result there is read, not made again.
    """
    if result.exists():
        return _read(result)
    found, known = load_file(samples), load_file(real)
    modes = Modes(known["means"], float(known["std"]), known["weights"]) if "means" in known else None
    training = known["training"].reshape(len(known["training"]), -1) if "training" in known else None
    truth = Truth(modes=modes, classes=known.get("classes"), training=training)
    points, reference = spaces(found, key), spaces(known, "reference")
    measured = []
    for r in range(len(reference["data"])):
        own = compute_all(names, _of(points, r), _of(reference, r), truth, settings)
        measured.append({**own.values, "metric_seconds": sum(own.seconds.values())})
    publish_bytes(json.dumps(measured).encode(), result)
    return measured


def spaces(arrays: Mapping[str, Array], key: str) -> dict[str, Array]:
    """What a file has of samples, by space: ``fake`` is their data, ``fake_features`` their features."""
    named = {space: key if space == "data" else f"{key}_{space}" for space in get_args(Space)}
    return {space: arrays[name] for space, name in named.items() if name in arrays}


def _of(points: Mapping[str, Array], replica: int) -> dict[str, Array]:
    return {space: array[replica] for space, array in points.items()}


def evaluate_floor(
    real: Path, names: Sequence[str], settings: Mapping[str, Any], result: Path
) -> list[dict[str, float]]:
    """The same metrics of fresh real samples, as floor columns."""
    rows = evaluate(real, "fresh", real, names, settings, result)
    return [as_floor({name: value for name, value in row.items() if name != "metric_seconds"}) for row in rows]


def _read(path: Path) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = json.loads(path.read_text())
    return rows
