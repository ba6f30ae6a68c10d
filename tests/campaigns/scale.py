"""What many runs cost: planning, publishing, status, loading, report and doctor of made-up results.

``python tests/campaigns/scale.py [--runs 1000,10000,100000] [--write]`` makes a results folder for each number of runs,
times every step in a process of its own, and finds how it grows: the slope of seconds over runs, both as logarithms,
between the last two sizes, and from it what 10^6 runs take where they were not tried.

What is real: the grid, its ids, the manifest, the commands, and the records that are timed while they are published.
What is made up: the records that fill a folder. They are those of eight real runs (12 rows, 111 columns) with another
cell, its settings, seed, id, digest and seal written over them, without compression or fsync; a reader checks them like
any other. All ended ok, and none has samples.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench import records  # noqa: E402 - of this checkout, wherever the script is started
from bench.cell import Cell, canonical  # noqa: E402

SEEDS = range(10, 60)
"""Of two digits, so that all ids are of one length."""

FAR = 1_000_000
STEEP = 1.1
"""Exponents above it are not linear; those below may owe it to chance."""

PUBLISHED = 20
"""Runs whose publication is timed."""

OPENING, MOST_OPENED = ("loading", "loading, all in one file", "report", "doctor"), 10_000
"""Steps that open every file, and runs up to which they are timed: of ten times as many they take an hour."""

MEMORY, PATIENCE = 10 << 30, 3600
"""Bytes of address space and seconds that a step may take."""

CELLS = """
seeds: [{seeds}]
steps: 10000
dataset: ring_wgan_gp_code
objective: {{name: wgan_gp, penalty_weight: [{penalties}]}}
optimizer: {{lr: [{rates}]}}
generator: {{name: mlp, depth: 2, width: 128, activation: relu, init: he}}
critic: {{name: mlp, depth: 2, width: 128, activation: relu, init: he}}
latent: {{dim: 2, law: normal}}
evaluate: {{observations: 12, spacing: log, n: 2500, emd_n: 1000}}
"""

CHILD = """
import contextlib, io, json, re, resource, sys, time
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
sys.path.insert(0, {root!r})
grid, folder = Path(sys.argv[1]), Path(sys.argv[2])
said = io.StringIO()
with contextlib.redirect_stdout(said):
    {setup}
    wall, cpu = time.perf_counter(), time.process_time()
    {act}
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
peak = int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
print(json.dumps([wall, cpu, peak / 1024]))
"""

CLI = "from bench.cli import main"
RECORDS = "from bench import records"
MANIFEST = (
    "from bench import lazy_torch; lazy_torch.install(); "
    "from bench.grid import load_grid; from bench.launch import run; grid = load_grid(grid)"
)
PUBLISH = (
    "from bench import records; frame = records.load_run(next((folder / 'runs').iterdir())); "
    "frames = [frame.assign(seed=s, run_id=frame['cell_id'] + f'-s{s}') for s in range(1000, 1020)]"
)
PACK = (
    "import pandas as pd; from bench import records; records.load(folder)[0].to_parquet(folder.parent / 'pack.parquet')"
)
STEPS = {
    "planning": (CLI, "main(['run', '--grid', str(grid), '--out', str(folder / 'none'), '--dry-run'])"),
    "writing the manifest": (MANIFEST, "run._write_manifest(grid, run.Options(folder=folder), 'cpu')"),
    "publishing a run": (PUBLISH, "paths = [records.publish(frame, folder) for frame in frames]"),
    "listing": (RECORDS, "records.finished(folder)"),
    "planning what is done": (CLI, "main(['run', '--grid', str(grid), '--out', str(folder), '--dry-run'])"),
    "status": (CLI, "main(['status', str(folder)])"),
    "status, a second look": ("from bench.launch.status import Look; look = Look(folder); look.see()", "look.see()"),
    "loading": (RECORDS, "records.load(folder)"),
    "loading, all in one file": (PACK, "pd.read_parquet(folder.parent / 'pack.parquet')"),
    "report": (CLI, "main(['report', str(folder)])"),
    "doctor": (CLI, "main(['doctor', str(folder)])"),
}


class Cost(NamedTuple):
    """Of a step: seconds of the clock and of the processor, MB at the most; or why there are none."""

    step: str
    runs: int
    wall: float
    cpu: float
    megabytes: float
    note: str = ""


def write_grid(path: Path, runs: int, seeds: Sequence[int] = SEEDS) -> Path:
    """A grid of so many runs: ten or a hundred rates, and as many penalty weights as it takes, all of one length."""
    count = runs // len(seeds)
    rates = [f"{(1001 + 2 * index) / 1e7!r}" for index in range(10 if count < 1000 else 100)]
    penalties = [f"{(10001 + 2 * index) / 1e4!r}" for index in range(count // len(rates))]
    path.write_text(
        CELLS.format(seeds=", ".join(map(str, seeds)), penalties=", ".join(penalties), rates=", ".join(rates))
    )
    return path


class Mould(NamedTuple):
    """A record with something else wherever runs differ, and its content as it is hashed."""

    data: bytes
    text: str

    def cast(self, cell: Cell, seed: int) -> bytes:
        """The record of a run."""
        settings, run_id = canonical(cell.settings), f"{cell.id}-s{seed}"
        rate, penalty = cell.settings["generator_optimizer"]["lr"], cell.settings["hparams"]["penalty_weight"]
        data, text = self.data, self.text
        for letter, word in (("S", settings), ("R", run_id), ("C", cell.id)):
            data = data.replace(letter.encode() * len(word), word.encode())
            text = text.replace(letter * len(word), json.dumps(word)[1:-1])
        for kind, place, number in (("<q", SEED, seed), ("<d", RATE, rate), ("<d", PENALTY, penalty)):
            data = data.replace(struct.pack(kind, place), struct.pack(kind, number))
            text = text.replace(repr(place), repr(number))
        data = data.replace(b"D" * 64, hashlib.sha256(text.encode()).hexdigest().encode())
        return data.replace(records._SEAL, hashlib.sha256(data).hexdigest().encode())


SEED, RATE, PENALTY = 0x0102030405060708, 1.2345678901234567, 7.6543210987654321


def moulds(cell: Cell) -> Iterator[Mould]:
    """Made from eight real runs, for cells whose ids and settings are as long as this one's."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "cell_id": "C" * len(cell.id), "run_id": "R" * (len(cell.id) + 4), "seed": SEED,
        "settings": "S" * len(canonical(cell.settings)), "hparams.penalty_weight": PENALTY,
        "generator_optimizer.lr": RATE, "critic_optimizer.lr": RATE,
    }  # fmt: skip
    plain = {"compression": "none", "use_dictionary": False, "write_statistics": False, "store_schema": False}
    for path in sorted((ROOT / "results" / "modes" / "runs").glob("ring-wgan_gp-d7ad2e1758-s*.parquet")):
        frame = records.load_run(path)
        with tempfile.TemporaryDirectory() as place:
            footer = pq.read_metadata(records.publish(frame, Path(place))).metadata
        frame = frame.assign(**columns)
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, table.schema, **plain) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata(footer | {b"digest": b"D" * 64, b"seal": records._SEAL})
        yield Mould(sink.getvalue().to_pybytes(), json.dumps(table.to_pydict()))


def fill(folder: Path, grid_file: Path) -> None:
    """Write the manifest and all records of a grid."""
    from bench.grid import load_grid
    from bench.launch import run

    grid = load_grid(grid_file)
    (folder / records.RUNS).mkdir(parents=True)
    run._write_manifest(grid, run.Options(folder=folder), "cpu")
    made = list(moulds(grid.cells[0]))
    for cell in grid.cells:
        for seed in grid.seeds:
            data = made[seed % len(made)].cast(cell, seed)
            (folder / records.RUNS / f"{cell.id}-s{seed}.parquet").write_bytes(data)
    path = folder / records.RUNS / f"{grid.cells[-1].id}-s{grid.seeds[-1]}.parquet"
    assert set(records.load_run(path)["run_id"]) == {path.stem}


def cost(step: str, runs: int, grid: Path, folder: Path) -> Cost:
    """Do a step in a process of its own."""
    setup, act = STEPS[step]
    code = CHILD.format(memory=MEMORY, root=str(ROOT), setup=setup, act=act)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, grid, folder],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        wall, cpu, megabytes = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return Cost(step, runs, math.nan, math.nan, math.nan, f"more than {PATIENCE} s")
    except (ValueError, IndexError):
        return Cost(step, runs, math.nan, math.nan, math.nan, done.stderr.strip().rpartition("\n")[2][:200])
    if step == "publishing a run":
        for path in (folder / "runs").glob("*-s10??.parquet"):
            path.unlink()
        wall, cpu = wall / PUBLISHED, cpu / PUBLISHED
    return Cost(step, runs, wall, cpu, megabytes)


def measure(runs: int, base: Path) -> Iterator[Cost]:
    """All steps at a number of runs; where they are ``FAR``, those that need no records."""
    folder = base / f"r{runs}"
    grid = write_grid(base / "scale.yaml", runs)
    if runs < FAR:
        fill(folder, grid)
    else:
        (folder / "runs").mkdir(parents=True)
    for name in STEPS:
        if runs > MOST_OPENED and name in OPENING:
            continue
        if runs < FAR or name in ("planning", "writing the manifest"):
            yield cost(name, runs, grid, folder)
    if runs >= FAR:
        for path in names_only(folder / "runs", grid):
            path.touch()
        for name in ("listing", "planning what is done"):
            yield cost(name, runs, grid, folder)
    sizes = [entry.stat().st_size for entry in os.scandir(folder / "runs")]
    words = (
        f"manifest {(folder / 'manifest.json').stat().st_size / 1e6:.1f} MB"
        if (folder / "manifest.json").exists()
        else ""
    )
    yield Cost("on disk", runs, math.nan, math.nan, sum(sizes) / 1e6, f"{len(sizes):,} records, {words}")


def names_only(folder: Path, grid_file: Path) -> Iterator[Path]:
    """Where the records of a grid belong."""
    from bench.grid import load_grid

    for run in load_grid(grid_file).runs():
        yield folder / f"{run.id}.parquet"


def one_seed(base: Path) -> Iterator[Cost]:
    """As many cells as runs, as in a search: planned, and their manifest written."""
    for runs in (1000, 10_000, 100_000):
        grid = write_grid(base / "search.yaml", runs, [10])
        folder = base / f"s{runs}"
        (folder / "runs").mkdir(parents=True)
        for name in ("planning", "writing the manifest"):
            found = cost(name, runs, grid, folder)
            size = (folder / "manifest.json").stat().st_size if (folder / "manifest.json").exists() else 0
            note = f"manifest {size / 1e6:.1f} MB" if size else found.note
            yield found._replace(step=f"{name}, one seed a cell", note=note)


def exponent(costs: Sequence[Cost]) -> float:
    """The slope between the two largest numbers of runs that were done."""
    known = sorted((cost.runs, cost.cpu) for cost in costs)
    if len(known) < 2:
        return math.nan
    (few, before), (many, after) = known[-2:]
    return math.log(after / before) / math.log(many / few)


def expected(costs: Sequence[Cost]) -> float:
    """Seconds that ``FAR`` runs take: the line through the last two sizes, or their power law where that is steeper."""
    known = sorted((cost.runs, cost.cpu) for cost in costs)
    if len(known) < 2:
        return math.nan
    (few, before), (many, after) = known[-2:]
    return max(after + (after - before) / (many - few) * (FAR - many), after * (FAR / many) ** exponent(costs))


def table(costs: Sequence[Cost]) -> str:
    """Seconds of the processor by step and number of runs, memory, growth, and what is to be expected of 10^6."""
    sizes = sorted({cost.runs for cost in costs} | {FAR})
    lines = [
        "| Step | " + " | ".join(f"{size:,} runs" for size in sizes) + " | MB at the most | Exponent |",
        "| --- |" + " --: |" * (len(sizes) + 2),
    ]
    steep = []
    for step in dict.fromkeys(cost.step for cost in costs if cost.step != "on disk"):
        known = {cost.runs: cost for cost in costs if cost.step == step and not math.isnan(cost.cpu)}
        cells = {runs: _seconds(cost.cpu) for runs, cost in known.items()}
        slope, far = exponent([*known.values()]), expected([*known.values()])
        cells.setdefault(FAR, "" if math.isnan(far) else f"about {_seconds(far)}")
        steep += [step] if slope > STEEP else []
        most = f"{max((cost.megabytes for cost in known.values()), default=math.nan):,.0f}"
        lines.append(f"| {step} | {' | '.join(cells.get(size, '') for size in sizes)} | {most} | {slope:.2f} |")
    notes = [
        f"- {cost.step}, {cost.runs:,} runs: {cost.note}" for cost in costs if cost.note and cost.step != "on disk"
    ]
    disk = [
        f"- on disk, {cost.runs:,} runs: {cost.note}, {cost.megabytes:,.0f} MB"
        for cost in costs
        if cost.step == "on disk"
    ]
    words = f"Faster than linearly (an exponent above {STEEP}): {', '.join(steep) or 'nothing'}."
    return "\n".join([*lines, "", words, "", *notes, *disk]) + "\n"


def _seconds(value: float) -> str:
    return f"{1000 * value:.2g} ms" if value < 0.1 else f"{value:.2g} s" if value < 100 else f"{value:,.0f} s"


def write(costs: Sequence[Cost]) -> None:
    """To the results that the README shows."""
    out = ROOT / "results" / "campaigns"
    out.mkdir(parents=True, exist_ok=True)
    (out / "scale.md").write_text(table(costs))
    with (out / "scale.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([Cost._fields, *costs])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", default="1000,10000,100000")
    parser.add_argument("--write", action="store_true", help="to results/campaigns")
    words = parser.parse_args()
    found: list[Cost] = []
    with tempfile.TemporaryDirectory() as place:
        for one in chain(*(measure(int(size), Path(place)) for size in words.runs.split(",")), one_seed(Path(place))):
            print(*one, flush=True)
            found.append(one)
            if words.write:
                write(found)
    print(table(found))
