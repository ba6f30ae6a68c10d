"""Metrics of stored samples, in a process of its own without torch, so that solves run while training goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

from safetensors.numpy import load_file

from bench.cache import content_digest
from bench.checkpoints import kept
from bench.metrics import Array, Modes, Space, Truth, as_floor, compute_all

SECONDS = "_seconds"
"""What follows a metric's name in the column of the wall time that it took."""
TRUTH = ("means", "std", "weights", "classes", "training")
"""What a file of real samples holds without an axis of replicas."""


def evaluate(
    samples: Path, key: str, real: Path, names: Sequence[str], settings: Mapping[str, Any], result: Path
) -> list[dict[str, float]]:
    """Metrics of every replica's points against its own reference; they are written to ``result`` and given back.

    Beside them stands what each took, ``<metric>_seconds``, and their sum ``metric_seconds``: wall time, which whatever
    else runs on the machine lengthens. What was found of the real samples before, as the floors, is not in it.

    Args:
        samples: file with the points [R, N, *E] under ``key``, and under ``<key>_<space>`` in other spaces; a replica
            whose points are not finite gets NaN.
        real: file with ``reference``, likewise; of a mixture ``means`` [K, *E], ``std`` [], ``weights`` [K]; of images
            ``classes`` [K], the share of each, and ``training`` [T, *E].
        names: which metrics.
        settings: of the metrics.
        result: a finished result there is read, not made again.
    """
    return kept(result, lambda: _measure(samples, key, real, names, settings))


def _measure(
    samples: Path, key: str, real: Path, names: Sequence[str], settings: Mapping[str, Any]
) -> list[dict[str, float]]:
    found, known = load_file(samples), load_file(real)
    truth, points, reference = _truth(known), spaces(found, key), spaces(known, "reference")
    measured = []
    for r in range(len(reference["data"])):
        values, seconds = compute_all(names, _of(points, r), _of(reference, r), truth, settings)
        taken = {f"{name}{SECONDS}": wall for name, wall in seconds.items()}
        measured.append({**values, **taken, f"metric{SECONDS}": sum(seconds.values())})
    return measured


def evaluate_floor(
    real: Path, names: Sequence[str], settings: Mapping[str, Any], versions: Mapping[str, Any], shared: Path
) -> list[dict[str, float]]:
    """The same metrics of every replica's fresh real samples, as floor columns.

    Replicas of one seed have the same floor, whatever trains: it is kept in ``shared`` by a digest of the samples and
    of all else that decides it, among that the ``versions`` of the metrics. Two processes that miss it at once both
    compute it, and either may write it.
    """
    known = load_file(real)
    truth, fresh, reference = _truth(known), spaces(known, "fresh"), spaces(known, "reference")
    common = {name: known[name] for name in TRUTH if name in known}

    def floor(own: Mapping[str, Array], against: Mapping[str, Array]) -> dict[str, float]:
        return as_floor(compute_all(names, own, against, truth, settings).values)

    floors = []
    for r in range(len(reference["data"])):
        own, against = _of(fresh, r), _of(reference, r)
        arrays = {**common, **_named("fresh", own), **_named("reference", against)}
        path = shared / f"floor-{content_digest(arrays, [list(names), dict(settings), dict(versions)])}.json"
        floors.append(kept(path, partial(floor, own, against)))
    return floors


def spaces(arrays: Mapping[str, Array], key: str) -> dict[str, Array]:
    """What a file has of samples, by space: ``fake`` is their data, ``fake_features`` their features."""
    named = {space: key if space == "data" else f"{key}_{space}" for space in get_args(Space)}
    return {space: arrays[name] for space, name in named.items() if name in arrays}


def largest_solve(evaluate: Mapping[str, Any]) -> int:
    """How many samples the largest earth mover's distance is of that the settings of an evaluation ask for."""
    asked = max(int(evaluate.get(name, 0)) for name in ("emd_n", "emd_features_n"))
    return min(asked, int(evaluate.get("n", asked)))


def _truth(known: Mapping[str, Array]) -> Truth:
    modes = Modes(known["means"], float(known["std"]), known["weights"]) if "means" in known else None
    training = known["training"].reshape(len(known["training"]), -1) if "training" in known else None
    return Truth(modes=modes, classes=known.get("classes"), training=training)


def _of(points: Mapping[str, Array], replica: int) -> dict[str, Array]:
    return {space: array[replica] for space, array in points.items()}


def _named(key: str, points: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{key}_{space}": array for space, array in points.items()}
