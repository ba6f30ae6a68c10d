"""One results folder out of several: records copied byte for byte, and a manifest of all their cells."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import records
from bench.cell import SCHEMA_VERSION
from bench.errors import UserError
from bench.report.sides import Pair, Side, versions
from bench.report.view import View

SAID = ("description", "bench_version", "git_commit", "device")
"""Texts of a manifest of which the merged one has each once."""


def refuse_differing(pairs: Sequence[Pair]) -> None:
    """Refuse folders of which two have a run that is not the same in both: one folder holds one record of a run.

    Raises:
        UserError: in one line, how many there are, the first of them, and the remedy.
    """
    for pair in pairs:
        if pair.agreed.differing:
            one = pair.agreed.found.iloc[0]
            raise UserError(
                f"{len(pair.agreed.differing):,} runs are not the same in {pair.name}, such as {one['run_id']} in "
                f"{records.printable(one['column'])} at step {one['step']:,}; leave out --out to see them all, or add "
                "--mix to keep those of the folder named first"
            )


def refuse_full(folder: Path) -> None:
    """Refuse a folder that has something in it: records would be mixed with what nobody named.

    Raises:
        UserError: it is not empty, or a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is there and not empty; choose another folder with --out")


def merge(sides: Sequence[Side], differing: Collection[str], folder: Path) -> list[records.RecordError]:
    """Write the records and samples of all sides, of each run those of the first side that has it, and a manifest.

    Records were verified as they were read, and are written as the bytes that they are. The manifest, which is written
    last, says under ``merged`` from which folder each run is, and which were ``differing``. Gives what was left out.

    Raises:
        UserError: the sides are of several experiments, or give one cell several settings.
    """
    experiments = sorted({side.view.experiment for side in sides if side.runs})
    if len(experiments) > 1:
        raise UserError(f"one folder holds one experiment, not {', '.join(map(records.printable, experiments))}")
    manifest = _manifest(sides, folder)
    errors: list[records.RecordError] = []
    kept: dict[str, str] = {}
    for side in sides:
        for run_id in sorted(side.runs - kept.keys()):
            _copy(side.view.folder, folder, run_id, errors)
            kept[run_id] = side.name
    manifest["merged"] = {"from": kept, "differing": sorted(differing)}
    records.publish_bytes(json.dumps(manifest, indent=1).encode(), folder / records.MANIFEST)
    return errors


def _copy(source: Path, folder: Path, run_id: str, errors: list[records.RecordError]) -> None:
    path = Path(records.RUNS) / f"{run_id}.parquet"
    records.publish_bytes((source / path).read_bytes(), folder / path)
    try:
        if records.load_samples(source, run_id) is not None:
            path = Path(records.SAMPLES) / f"{run_id}.safetensors"
            records.publish_bytes((source / path).read_bytes(), folder / path)
    except records.RecordError as error:
        errors.append(error)


def _manifest(sides: Sequence[Side], folder: Path) -> dict[str, Any]:
    told, names = [side.view.manifest for side in sides], [side.name for side in sides]
    searches = _distinct(manifest.get("search") for manifest in told)
    return {
        "schema_version": SCHEMA_VERSION,
        "grid": " + ".join(_distinct(side.view.grid for side in sides)),
        "grid_source": _sources(sides),
        **{key: " + ".join(_distinct(str(manifest.get(key) or "") for manifest in told)) for key in SAID},
        "git_dirty": any(manifest.get("git_dirty", True) for manifest in told),
        "overrides": _distinct(each for manifest in told for each in manifest.get("overrides") or ()),
        "cells": _cells(sides),
        "search": searches[0] if len(searches) == 1 else None,
        "published": _distinct(each for manifest in told for each in manifest.get("published") or ()),
        "plugins": _distinct(each for manifest in told for each in manifest.get("plugins") or ()),
        "versions": _versions(told),
        "command": ["python", "-m", "bench", "compare", *names, "--out", folder.name],
    }


def _sources(sides: Sequence[Side]) -> str:
    """The grid files: one where they are the same, else one after the other."""
    texts = _distinct(str(side.view.manifest.get("grid_source") or "") for side in sides)
    return texts[0] if len(texts) == 1 else "\n".join(f"# {i} of {len(texts)}\n{t}" for i, t in enumerate(texts, 1))


def _cells(sides: Sequence[Side]) -> list[dict[str, Any]]:
    """The cells of all sides in their order, each with the seeds of all."""
    found: dict[str, dict[str, Any]] = {}
    for side in sides:
        for cell in _own(side.view):
            known = found.setdefault(cell["cell_id"], {**cell, "seeds": []})
            if known["settings"] != cell["settings"]:
                path = side.view.folder / records.MANIFEST
                raise records.RecordError(path, f"cell {cell['cell_id']} has other settings in another folder")
            known["seeds"] = _distinct([*known["seeds"], *cell["seeds"]])
    return list(found.values())


def _own(view: View) -> list[dict[str, Any]]:
    """The cells as the manifest has them, or where there is none, as the records do."""
    if view.manifest:
        return [dict(cell) for cell in view.manifest["cells"]]
    settings = dict(zip(view.rows["cell_id"], view.rows["settings"], strict=True)) if len(view.rows) else {}
    return [
        {"cell_id": cell.id, "settings": json.loads(settings[cell.id]), "seeds": list(cell.seeds), "draw": None}
        for cell in view.cells
    ]


def _versions(manifests: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for manifest in manifests:
        for name, version in versions(manifest).items():
            found.setdefault(name, []).append(str(version))
    return {name: " + ".join(_distinct(values)) for name, values in found.items()}


def _distinct(values: Iterable[Any]) -> list[Any]:
    """The values that differ, in the order in which they come; those that say nothing are left out."""
    return list({json.dumps(value, sort_keys=True): value for value in values if value or value == 0}.values())
