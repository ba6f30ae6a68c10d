"""Results folders as releases wrote them, and copies of them to do harm to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from bench import records

HERE = Path(__file__).parent
RELEASES = sorted(path.name for path in HERE.iterdir() if (path / records.MANIFEST).is_file())


def copy(folder: Path, release: str = RELEASES[-1]) -> Path:
    """The results folder that a release wrote, byte for byte."""
    return shutil.copytree(HERE / release, folder)


def grown(folder: Path, seeds: Iterable[int], release: str = RELEASES[-1]) -> Path:
    """A results folder of today with the runs of a release's under these seeds, each with its samples."""
    seeds = list(seeds)
    manifest = records.load_manifest(HERE / release)
    folder.mkdir()
    for path in sorted((HERE / release / records.RUNS).iterdir()):
        frame, samples = records.load_run(path), records.load_samples(HERE / release, path.stem)
        for seed in seeds:
            run_id = f"{frame['cell_id'].iloc[0]}-s{seed}"
            records.publish(frame.assign(seed=seed, run_id=run_id, git_dirty=False), folder)
            if samples is not None:
                records.publish_samples(samples, folder, run_id)
    text = json.dumps(manifest | {"cells": [cell | {"seeds": seeds} for cell in manifest["cells"]]})
    (folder / records.MANIFEST).write_text(text)
    return folder
