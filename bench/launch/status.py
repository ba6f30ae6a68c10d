"""How far a grid has come, read from its results folder alone, from any machine that sees it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from bench import records
from bench.launch import WORK


def status(folder: Path) -> str:
    """Counts of runs by status, and how far the units at work are.

    Raises:
        RecordError: there is no manifest.
    """
    manifest = records.load_manifest(folder)
    wanted = {f"{cell['cell_id']}-s{seed}" for cell in manifest["cells"] for seed in cell["seeds"]}
    counts = Counter(_last_status(folder, run_id) for run_id in records.finished(folder) & wanted)
    done = sum(counts.values())
    lines = [f"{manifest['grid']}: {done:,} of {len(wanted):,} runs done"]
    lines += [f"  {name}: {count:,}" for name, count in sorted(counts.items())]
    for path in sorted((folder / WORK).glob("*/unit.json")):
        marks = [int(mark.stem.split("-")[-1]) for mark in path.parent.glob("metrics-*.json")]
        runs = len(json.loads(path.read_text()))
        lines.append(
            f"  at work or interrupted: {path.parent.name}, {runs} runs, judged to step {max(marks, default=0):,}"
        )
    return "\n".join(lines)


def _last_status(folder: Path, run_id: str) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Read first, and decoded on one thread: for files so small pyarrow's own ways take four times as long.
        data = pa.BufferReader((folder / records.RUNS / f"{run_id}.parquet").read_bytes())
        return str(pq.ParquetFile(data).read(columns=["status"], use_threads=False)["status"][-1])
    except (OSError, ValueError, LookupError):
        return "damaged"
