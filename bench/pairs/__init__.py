"""Pairs of laws that critics are trained between: a file each, and their table."""

from __future__ import annotations

from typing import Any

from bench.pairs.base import Pair
from bench.pairs.funnels import Funnels
from bench.pairs.lines import Lines
from bench.pairs.noised import Noised
from bench.pairs.two_gaussians import TwoGaussians
from bench.settings import build, check_named, split_name
from datasets import DATASETS
from datasets.presets import PRESETS, expand

PAIRS: dict[str, type[Any]] = {"two_gaussians": TwoGaussians, "noised": Noised, "lines": Lines, "funnels": Funnels}


def check_pair(raw: object) -> dict[str, Any]:
    """The settings of a pair with every default filled in, those of a data set in it too."""
    name, own = split_name(raw, "pair", PAIRS, ("pair",))
    if "dataset" in own:
        path = ("pair", "dataset")
        split_name(own["dataset"], "data set", {**DATASETS, **PRESETS}, path)
        own["dataset"] = check_named(expand(own["dataset"]), "data set", DATASETS, path)
    return check_named({"name": name, **own}, "pair", PAIRS, ("pair",))


def build_pair(settings: dict[str, Any]) -> Pair:
    """The pair that checked settings describe."""
    pair: Pair = build(settings, PAIRS)
    return pair


__all__ = ["PAIRS", "Pair", "build_pair", "check_pair"]
