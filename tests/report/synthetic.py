"""A synthetic results folder: four objectives on two mixtures, eight seeds, twelve steps; most runs end well."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from bench import records
from bench.cell import SCHEMA_VERSION, canonical, flatten

STEPS = [100, 150, 230, 350, 520, 790, 1200, 1800, 2800, 4200, 6400, 10000]
SEEDS = tuple(range(8))
OBJECTIVES = ("minimax", "non_saturating", "wgan_clip", "wgan_gp")
MEANS = {
    "ring": 2 * np.stack([f(2 * np.pi * np.arange(8) / 8) for f in (np.cos, np.sin)], 1),
    "grid": np.stack(np.meshgrid(np.arange(-4, 5, 2.0), np.arange(-4, 5, 2.0)), -1).reshape(-1, 2),
}
STD = {"ring": 0.02, "grid": 0.05}
SKILL = {"minimax": 0.35, "non_saturating": 0.6, "wgan_clip": 0.75, "wgan_gp": 1.0}
LOSS = {"minimax": (1.2, -0.6), "non_saturating": (1.1, 0.9), "wgan_clip": (-0.02, 0.01), "wgan_gp": (-1.5, 3.0)}
DIVERGED = {("minimax", "grid", 1), ("minimax", "grid", 4)}
FAILED = ("wgan_clip", "ring", 2)
UNFINISHED = ("wgan_gp", "grid", 7)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
Write: TypeAlias = Callable[[str], str]


def settings_of(objective: str, dataset: str, lr: float = 1e-4) -> dict[str, Any]:
    return {
        "objective": objective,
        "hparams": {"clip": 0.01} if objective == "wgan_clip" else {},
        "dataset": {"name": dataset, "std": STD[dataset]},
        "generator": {"name": "mlp", "depth": 3, "width": 128},
        "critic": {"name": "mlp", "depth": 3, "width": 128},
        "generator_optimizer": {"name": "adam", "lr": lr},
        "critic_optimizer": {"name": "adam", "lr": lr},
        "critic_steps": 5 if objective.startswith("wgan") else 1,
        "steps": 10000,
        "evaluate": {"n": 2500, "emd_n": 1000},
    }


def run_rows(
    objective: str, dataset: str, seed: int, cell_id: str, settings: dict[str, Any], skill: float = 1.0
) -> list[dict[str, Any]]:
    """A run that learns: rows by arithmetic and a little noise, the better the more skilled the objective."""
    rng = np.random.default_rng([seed, OBJECTIVES.index(objective), len(dataset), round(1e6 * (1 - skill))])
    k = len(MEANS[dataset])
    skill *= SKILL[objective] * rng.uniform(0.75, 1.05)
    rows = []
    for step in STEPS:
        progress = 1 / (1 + (600 / step) ** 1.6)
        good = min(1.0, skill * progress * rng.uniform(0.93, 1.03))
        covered = min(k, round(k * good**0.5))
        critic, generator = LOSS[objective]
        rows.append(
            {
                "schema_version": SCHEMA_VERSION, "grid": "modes", "cell_id": cell_id, "run_id": f"{cell_id}-s{seed}",
                "seed": seed, "step": step, "status": "ok", "message": "", "experiment": "train",
                **dict(flatten(settings)), "settings": canonical(settings),
                "generator_steps_done": step, "critic_steps_done": step * settings["critic_steps"],
                "wall_seconds": step / 90, "cpu_seconds": step / 100 * settings["critic_steps"] + rng.uniform(),
                "replica_steps_per_second": 90.0,
                "critic_loss": critic * (0.4 + 0.6 * (1 - progress)) + 0.05 * rng.normal() * abs(critic),
                "generator_loss": generator * (0.4 + 0.6 * progress) + 0.05 * rng.normal() * abs(generator),
                "modes_covered": float(covered), "modes_covered_by_mass": float(min(covered, round(k * good))),
                "modes_total": float(k), "high_quality_share": 0.98 * good,
                "reverse_kl": 0.002 + 1.5 * (1 - good), "total_variation": 0.02 + 0.7 * (1 - good),
                "emd": 0.05 + 2.4 * (1 - good) ** 2, "emd_n": 1000.0,
                "modes_covered_floor": float(k), "modes_covered_by_mass_floor": float(k),
                "high_quality_share_floor": 0.9889 - 0.001 * seed / 8, "reverse_kl_floor": 0.0015,
                "total_variation_floor": 0.02, "emd_floor": 0.05 + 0.001 * seed,
                "device": "cpu", "device_name": "a processor", "way": "vmap", "torch_version": "2.14.1",
                "bench_version": "0.1.0", "git_commit": COMMIT, "git_dirty": False, "deterministic": True,
            }
        )  # fmt: skip
    return rows


def cut_short(rows: list[dict[str, Any]], status: str, message: str, observed: int) -> list[dict[str, Any]]:
    """The rows of a run that ends badly between two observations."""
    quality = ("modes_", "high_", "reverse_", "total_", "emd", "critic_loss", "generator_loss")
    last = dict(rows[observed])
    last |= {name: float("nan") for name in last if name.startswith(quality)}
    last |= {"step": last["step"] - 7, "status": status, "message": message}
    return [*rows[:observed], last]


def not_run(rows: list[dict[str, Any]], status: str, message: str) -> list[dict[str, Any]]:
    """The one row of a run that never trained."""
    settings = dict(flatten(json.loads(rows[0]["settings"])))
    identity = (*records.IDENTITY, *settings, "git_commit", "git_dirty")
    return [{name: rows[0][name] for name in identity} | {"step": 0, "status": status, "message": message}]


def points_of(dataset: str, skill: float, seed: int, n: int = 2500) -> np.ndarray:
    rng = np.random.default_rng([seed, 7])
    means = MEANS[dataset]
    kept = means[rng.permutation(len(means))[: max(1, round(skill * len(means)))]]
    spread = STD[dataset] * np.where(rng.random((n, 1)) < skill, 1, 12)
    return (kept[rng.integers(len(kept), size=n)] + spread * rng.normal(size=(n, 2))).astype(np.float32)


def make_world(
    folder: Path,
    *,
    objectives: Sequence[str] = OBJECTIVES,
    datasets: Sequence[str] = tuple(MEANS),
    seeds: Sequence[int] = SEEDS,
    rates: Sequence[float] = (1e-4,),
    write: Write = str,
) -> Path:
    """Write a results folder: two runs diverged, one failed, one never finished, where the seeds asked for have them.

    ``write`` turns each text of a record and of the manifest into another.
    """
    cells = []
    for dataset in datasets:
        for objective in objectives:
            for rate in rates:
                settings = settings_of(objective, dataset, rate)
                settings |= {"objective": write(objective), "dataset": settings["dataset"] | {"name": write(dataset)}}
                cell_id = f"{objective}-{dataset}-{rate:g}"
                cells.append({"cell_id": cell_id, "settings": settings, "seeds": list(seeds)})
                for seed in seeds:
                    rows = run_rows(objective, dataset, seed, cell_id, settings)
                    if (objective, dataset, seed) in DIVERGED:
                        rows = cut_short(rows, "diverged", "the critic loss", 6 + seed)
                    if (objective, dataset, seed) == FAILED:
                        rows = cut_short(rows, "failed", "RuntimeError: no", 3)
                    if (objective, dataset, seed) == UNFINISHED:
                        continue
                    for row in rows:
                        row |= {name: write(row[name]) for name in ("grid", "message", "device_name", "git_commit")}
                    path = records.publish(pd.DataFrame(rows), folder)
                    if rows[-1]["status"] == "ok":
                        fake, real = points_of(dataset, SKILL[objective], seed), points_of(dataset, 1.0, 99)
                        k = len(MEANS[dataset])
                        arrays = {"fake": fake, "real": real, "means": MEANS[dataset], "weights": np.full(k, 1 / k)}
                        records.publish_samples(arrays, folder, path.stem)
    write_manifest(folder, cells, write)
    return folder


def write_manifest(folder: Path, cells: list[dict[str, Any]], write: Write = str, **further: Any) -> None:
    manifest = {
        "schema_version": SCHEMA_VERSION, "grid": write("modes"), "description": write("Four objectives."),
        "grid_source": write("seeds: 8\nobjective: [minimax]\n"), "overrides": [write("steps=10")], "cells": cells,
        "git_commit": write(COMMIT), "git_dirty": False, "versions": {write("python"): write("3.11.9")},
        "device": write("cpu"), "command": ["python", "-m", "bench", "run", "--grid", write("grids/modes.yaml")],
        "search": None, "published": [], **further,
    }  # fmt: skip
    records.publish_bytes(json.dumps(manifest).encode(), folder / records.MANIFEST)


def quoted(source: str, where: dict[str, Any], **values: list[float | None]) -> dict[str, Any]:
    """An entry of published numbers as the manifest has it."""
    return {"source": source, "where": where, "values": values}


def change_manifest(folder: Path, **changes: Any) -> None:
    manifest = records.load_manifest(folder)
    records.publish_bytes(json.dumps(manifest | changes).encode(), folder / records.MANIFEST)


ENDS = {3: "diverged", 5: "failed", 7: "skipped", 9: "missing", 10: "diverged"}
"""How the runs of a search end at some draws; all others end well."""


def make_search(
    folder: Path,
    *,
    objectives: Sequence[str] = OBJECTIVES[1:],
    datasets: Sequence[str] = ("ring",),
    settings: int = 24,
    seeds: Sequence[int] = (0,),
    arms: Sequence[str] = ("reference", "tuned"),
    chosen: Sequence[int] = SEEDS,
) -> Path:
    """Write the folder of a search: the first arm has each objective at its recipe, the second at random settings."""
    cells = []
    for dataset, objective in product(datasets, objectives):
        base = settings_of(objective, dataset)
        cell_id = f"{objective}-{dataset}"
        if chosen:
            cells.append({"cell_id": cell_id, "settings": base | {"arm": arms[0]}, "seeds": list(chosen), "draw": None})
        for seed in chosen:
            publish(folder, run_rows(objective, dataset, seed, cell_id, base | {"arm": arms[0]}, 0.8), dataset)
        for draw in range(settings):
            rng = np.random.default_rng([draw, 3])
            rate = float(f"{10 ** rng.uniform(-5, -2):.6g}")
            own = base | {name: {"name": "adam", "lr": rate} for name in ("generator_optimizer", "critic_optimizer")}
            own |= (
                {"hparams": {"penalty_weight": float(f"{10 ** rng.uniform(-1, 2):.6g}")}} if "gp" in objective else {}
            )
            own |= {"arm": arms[-1]}
            cell_id = f"{objective}-{dataset}-{draw}"
            cells.append({"cell_id": cell_id, "settings": own, "seeds": list(seeds), "draw": draw})
            skill = math.exp(-0.5 * (math.log10(rate) + 3.5) ** 2) * rng.uniform(0.9, 1)
            for seed in seeds:
                rows = run_rows(objective, dataset, seed, cell_id, own, skill)
                end = ENDS.get(draw, "ok")
                if end in ("skipped", "failed"):
                    rows = not_run(rows, end, "batch norm and a penalty.")
                elif end == "diverged":
                    rows = cut_short(rows, end, "a gradient", 2)
                if end != "missing":
                    publish(folder, rows, dataset)
    write_manifest(folder, cells, search={"settings": settings, "seed": 7})
    return folder


def publish(folder: Path, rows: list[dict[str, Any]], dataset: str) -> None:
    path = records.publish(pd.DataFrame(rows), folder)
    if rows[-1]["status"] == "ok":
        good = rows[-1]["high_quality_share"]
        fake, real = points_of(dataset, good, rows[-1]["seed"]), points_of(dataset, 1.0, 99)
        records.publish_samples({"fake": fake, "real": real, "means": MEANS[dataset]}, folder, path.stem)


def blobs(n: int = 60, side: int = 8, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Images [n, C, H, W] as bytes, a bright spot each, and their class: where it is, one of ten places."""
    rng = np.random.default_rng(5)
    classes = rng.integers(10, size=n)
    places = np.stack([classes % 5, classes // 5 * 3], 1)[:, :, None] * side / 5
    squares = (np.arange(side) - places) ** 2  # [n, 2, side]
    spot = 255 * np.exp(-(squares[:, 1, :, None] + squares[:, 0, None, :]) / side)
    return np.repeat(spot[:, None], channels, 1).astype(np.uint8), classes


def pictures_of(
    images: np.ndarray, classes: np.ndarray, skill: float, seed: int, *, k: int = 10, n: int = 2500, observed: int = 12
) -> dict[str, np.ndarray]:
    """What a run on images stores, of a generator that gives noisy real images of some of the classes."""
    rng = np.random.default_rng([seed, round(100 * skill)])
    kept = rng.permutation(k)[: max(1, round(skill * k))]
    pool = images[np.isin(classes % k, kept)]
    own = pool[rng.integers(len(pool), size=64)] if len(pool) else images[:64]
    noise = rng.normal(size=own.shape)
    levels = [1 - skill * (step + 1) / observed for step in range(observed)]
    strip = np.stack([np.clip((1 - t) * own[:8] + t * (128 + 60 * noise[:8]), 0, 255) for t in levels])
    shares = np.zeros(k)
    shares[kept] = rng.gamma(20 * skill, size=len(kept))
    counts = rng.multinomial(n, shares / shares.sum())
    return {
        "sheet": np.clip(skill * own + (1 - skill) * (128 + 60 * noise), 0, 255).astype(np.uint8),
        "real_sheet": images[rng.integers(len(images), size=64)],
        "strip": strip.astype(np.uint8), "strip_steps": np.array(STEPS[:observed], dtype=np.int64),
        "nearest": own[:8], "nearest_distance": np.sort(rng.gamma(9, size=8)) * (1.2 - skill),
        "class_counts": counts, "class_weights": np.full(k, 1 / k),
    }  # fmt: skip


def make_pictures(
    folder: Path,
    images: np.ndarray,
    classes: np.ndarray,
    *,
    dataset: str = "blobs",
    objectives: Sequence[str] = OBJECTIVES,
    seeds: Sequence[int] = SEEDS,
    k: int = 10,
    planar: Sequence[str] = (),
    **how: int,
) -> Path:
    """Write a results folder of runs on images, one of which diverged and one failed, and of runs on mixtures."""
    make_world(folder, objectives=objectives[:2], datasets=planar, seeds=seeds[:2])
    cells = records.load_manifest(folder)["cells"]
    for objective in objectives:
        settings = settings_of(objective, "ring") | {"dataset": {"name": dataset}}
        cell_id = f"{objective}-images"
        cells.append({"cell_id": cell_id, "settings": settings, "seeds": list(seeds)})
        for seed in seeds:
            rows = run_rows(objective, "ring", seed, cell_id, settings)
            arrays = pictures_of(images, classes, SKILL[objective], seed, k=k, **how)
            for row in rows:
                covered = float((arrays["class_counts"] > 0).sum())
                row |= {"modes_covered": covered, "modes_covered_by_mass": covered, "modes_total": float(k)}
                row |= {"judge": "1a2b3c4d5e6f", "judge_of": "blobs", "judge_accuracy": 0.9821, "judge_n": 539.0}
                row |= {"part_train": 719.0, "part_evaluation": 539.0, "part_judge": 539.0}
            ends = {("minimax", 1): "diverged", ("wgan_clip", 2): "failed"}
            end = ends.get((objective, seed), "ok")
            path = records.publish(pd.DataFrame(rows if end == "ok" else cut_short(rows, end, "a loss", 6)), folder)
            if end == "ok":
                records.publish_samples(arrays, folder, path.stem)
    write_manifest(folder, cells)
    return folder
