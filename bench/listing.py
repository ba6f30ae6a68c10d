"""What a grid can name, in words."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from bench import ROOT


def listing(kind: str) -> str:
    """The entries of one kind: name, settings with their defaults, what it is."""
    return "\n".join([f"{kind}:", *(f"  {line}" for line in _lines(kind))])


def _lines(kind: str) -> list[str]:
    match kind:
        case "objectives":
            from objectives import OBJECTIVES

            return _aligned((o.name, _values(o.hparams), o.reference) for o in OBJECTIVES.values())
        case "datasets":
            from datasets import DATASETS
            from datasets.presets import PRESETS

            presets = ((p.name, f"{p.dataset}: {_values(p.settings)}", p.source) for p in PRESETS.values())
            return [*_classes(DATASETS), *_aligned(presets, under=True)]
        case "networks":
            from bench.networks import NETWORKS

            return _classes(NETWORKS)
        case "optimizers":
            from bench.optim import OPTIMIZERS

            return _classes(OPTIMIZERS)
        case "pairs":
            from bench.pairs import PAIRS

            return _classes(PAIRS)
        case "samplers":
            from bench.experiments.known_samplers import SAMPLERS

            return _classes(SAMPLERS)
        case "metrics":
            from bench.metrics import METRICS

            return _aligned(((m.name, ", ".join(m.columns), m.reference) for m in METRICS.values()), under=True)
        case "experiments":
            from bench.experiments import EXPERIMENTS

            return _aligned((name, _summary(inspect.getmodule(type(e)))) for name, e in EXPERIMENTS.items())
        case "claims":
            from bench.claims import CLAIMS

            return _aligned((claim.id, claim.statement) for claim in CLAIMS.values())
        case _:
            paths = sorted((ROOT / "grids").rglob("*.yaml"))
            return [str(path.relative_to(ROOT)) for path in paths]


def _classes(table: Mapping[str, type[Any]]) -> list[str]:
    return _aligned(((name, _fields(kind), _summary(kind)) for name, kind in table.items()), under=True)


def _aligned(rows: Iterable[tuple[str, ...]], under: bool = False) -> list[str]:
    """Rows as columns; ``under`` puts the last of each on a line of its own."""
    rows = list(rows)
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        *cells, last = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        parts = ["".join(cells), " " * widths[0] + last] if under else ["".join(cells) + last]
        lines += [part.rstrip() for part in parts]
    return lines


def _fields(kind: type[Any]) -> str:
    given = {f.name: f.default for f in dataclasses.fields(kind)}
    return ", ".join(name if value is dataclasses.MISSING else f"{name}={value}" for name, value in given.items())


def _values(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in values.items())


def _summary(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]
