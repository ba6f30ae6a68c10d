"""What a grid can name, in words."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from bench import ROOT


def listing(kind: str) -> str:
    """One line an entry of one kind: its name, its settings with their defaults, what it is."""
    return "\n".join([f"{kind}:", *(f"  {line}" for line in _lines(kind))])


def _lines(kind: str) -> list[str]:
    match kind:
        case "objectives":
            from objectives import OBJECTIVES

            return [f"{o.name:<16}{_values(o.hparams):<24}{o.reference}" for o in OBJECTIVES.values()]
        case "datasets":
            from datasets import DATASETS

            return _classes(DATASETS)
        case "networks":
            from bench.networks import NETWORKS

            return _classes(NETWORKS)
        case "optimizers":
            from bench.optim import OPTIMIZERS

            return _classes(OPTIMIZERS)
        case "metrics":
            from bench.metrics import METRICS

            return [f"{m.name:<16}{', '.join(m.columns):<24}  {m.reference}" for m in METRICS.values()]
        case "experiments":
            from bench.experiments import EXPERIMENTS

            return [f"{name:<16}{_summary(inspect.getmodule(type(e)))}" for name, e in EXPERIMENTS.items()]
        case _:
            paths = sorted((ROOT / "grids").rglob("*.yaml"))
            return [str(path.relative_to(ROOT)) for path in paths]


def _classes(table: Mapping[str, type[Any]]) -> list[str]:
    return [f"{name:<16}{_fields(kind)}\n{'':<18}{_summary(kind)}" for name, kind in table.items()]


def _fields(kind: type[Any]) -> str:
    given = {f.name: f.default for f in dataclasses.fields(kind)}
    return ", ".join(name if value is dataclasses.MISSING else f"{name}={value}" for name, value in given.items())


def _values(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in values.items())


def _summary(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]
