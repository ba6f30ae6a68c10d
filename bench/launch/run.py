"""The main job: plan what is missing of a grid, launch it, report."""

from __future__ import annotations

import fcntl
import gc
import hashlib
import io
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from bench import footprint, lazy_torch, memory, plugins, provenance, records
from bench.cell import SCHEMA_VERSION, Run
from bench.engine import Way
from bench.errors import UserError
from bench.experiments import ALONE
from bench.grid import Grid
from bench.launch import LOGS, WORK
from bench.launch.leases import Leases, drivers
from bench.launch.plan import Plan, make_plan
from bench.launch.shard import Shard
from bench.yaml_file import shown

if TYPE_CHECKING:
    from bench.report.choices import Choices

LOCK = ".lock"
SUMMARY = "summary.json"

DRIVERS = ("/dev/nvidiactl", "/dev/dxg")
"""What a CUDA driver leaves in the file system, on Linux and under Windows."""

RATE = 2.5e10
"""Floating-point operations per second that one core is taken to do in plans: a guess that is right within a factor
of about 3; the time left that a run itself shows is measured."""

SPARE = 0.9
"""Of the memory that is free, what a launch may plan with."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a grid is run."""

    folder: Path
    device: str = "auto"
    workers: int | None = None
    way: Way | None = None
    dry: bool = False
    force: bool = False
    retry: bool = False
    strict: bool = False
    """A run that diverged counts as failed in the exit code."""
    shard: Shard | None = None
    """Which of the runs are this command's."""
    engine: str = "local"
    """``local`` or ``ray``."""
    ray_address: str | None = None
    """Of the cluster, ``auto`` for the one of this machine; a cluster of this machine's own where there is none."""
    gpu_fraction: float | None = None
    """Of a GPU, for a unit on Ray."""
    memory: float | None = None
    """Gigabytes that all processes together may take; 9/10 of what is free where there is none."""
    timeout: float | None = None
    """Seconds without progress after which a unit is ended; without it, none is."""
    plugins: tuple[plugins.File, ...] = ()
    """Those that the grid may name besides installed ones; they have been loaded."""
    command: tuple[str, ...] = ()
    """The words after ``python -m bench`` that the manifest tells; this process's own where there are none."""


def run(grid: Grid, options: Options) -> int:
    """Train what is missing, then report; gives the exit code."""
    gc.freeze()  # the grid is there to the end: to look through a large one for garbage is a tenth of planning it
    console = Console(soft_wrap=True)
    code = train(grid, options, console)
    if code or options.dry:
        return code
    if options.shard:
        left = len({run.id for run in grid.runs()} - records.finished(options.folder))
        if left:
            words = f"shard {options.shard} is done; {left:,} runs of the grid are not: the last shard reports"
            console.print(words, markup=False, highlight=False)
            return 0
    return report(options.folder, console, strict=options.strict)


def train(grid: Grid, options: Options, console: Console) -> int:
    """Train what is missing; gives the exit code, which runs that failed leave at 0: reports tell of them."""
    device = _device(options.device, options.engine)
    if options.way == "cuda_graph" and device == "cpu":
        raise UserError("--way cuda_graph: there is no CUDA device here; --way compiled is the nearest for a CPU")
    if options.way == "compiled":
        from bench import ways

        if reason := ways.cannot_compile(device):
            raise UserError(f"--way compiled: {reason}")
    workers = _workers(grid, options.workers, device, options.engine)
    runs = [run for run in grid.runs() if options.shard is None or options.shard.has(run.id)]
    limit = _limit(options, device)
    if not options.dry:
        _make(options.folder)
        _clear(runs, options)
    others = sum(seen.dead is not True for seen in drivers(options.folder))
    if others and any(run.cell.experiment in ALONE for run in runs):
        raise UserError(f"{options.folder}: another run is at work here, and this grid has the machine to itself")
    plan_for = partial(
        make_plan, folder=options.folder, device=device, workers=workers, drivers=1 + others, limit=limit
    )
    plan = plan_for(runs, done=_done(options))
    console.print(_words(grid, plan, options.folder, device), markup=False, highlight=False)
    if options.memory and plan.memory > limit:
        words = (
            f"a process needs about {_size(plan.memory)}; give it more, or make networks, batches or samples smaller"
        )
        raise UserError(f"--memory {options.memory:g}: {words}")
    if options.dry:
        return 0
    if plan.units or not (options.folder / records.MANIFEST).exists():
        _write_manifest(grid, options, device)
    if plan.units:
        for words in grid.missing_files():
            raise UserError(words)
        return _launch(plan, partial(plan_for, done=set(), drivers=1), grid, options, device, console)
    return 0


def report(folder: Path, console: Console, *, brief: bool = False, strict: bool = False) -> int:
    """Tables, figures and the page, made again where records have changed; prints the tables unless ``brief``."""
    with _one_at_a_time(folder):
        return _report(folder, console, brief=brief, strict=strict)


def rebuild(folder: Path, *, gif: bool = False, choices: Choices | None = None) -> int:
    """Make the report again from the records alone, and animations of images too where they are asked for.

    With ``choices`` of tables; the next ``run`` makes the report without them.
    """
    records.load_manifest(folder)
    (folder / SUMMARY).unlink(missing_ok=True)
    console = Console(soft_wrap=True)
    code = _report(folder, console, choices=choices)
    if gif:
        from bench.report.animation import animate

        made = animate(folder)
        words = "\n".join(f"animation: {path}" for path in made) or "no animation: no run stored images over training"
        console.print(words, markup=False, highlight=False)
    return code


def _launch(
    plan: Plan, plan_for: Callable[[list[Run]], Plan], grid: Grid, options: Options, device: str, console: Console
) -> int:
    from bench.launch import local
    from bench.launch.progress import Display
    from bench.launch.queue import Queue
    from bench.launch.worker import Orders

    orders = Orders(
        folder=options.folder.resolve(),
        grid=grid.name,
        device=device,
        way=options.way,
        plugins=options.plugins,
        provenance=_columns(device),
    )
    try:
        with Leases(options.folder) as leases, Display(plan.units, console) as display:
            leases.tell(workers=plan.workers, shard=options.shard and str(options.shard))
            queue = Queue(plan.units, orders, display, leases, lambda runs: plan_for(list(runs)).units)
            if options.engine == "ray":
                from bench.launch import on_ray

                on_ray.launch(
                    queue, orders, address=options.ray_address, workers=plan.workers, gpu_fraction=options.gpu_fraction,
                    timeout=options.timeout, display=display, driver=leases.driver,
                )  # fmt: skip
            else:
                local.launch(
                    queue, orders, workers=plan.workers, timeout=options.timeout, display=display, driver=leases.driver
                )
            if leases.alone():
                _tidy(options.folder, done=records.finished(options.folder).issuperset(run.id for run in grid.runs()))
    except local.Interrupted as stop:
        console.print(
            f"stopped by {stop}; finished runs are published and the same command goes on from here",
            markup=False, highlight=False,
        )  # fmt: skip
        return 128 + stop.number
    return 0


def _tidy(folder: Path, *, done: bool) -> None:
    """Remove drafts that a kill has left, and what units have where all is done: another shard goes on from its own."""
    if done:
        shutil.rmtree(folder / WORK, ignore_errors=True)
    for draft in (path for name in (records.RUNS, records.SAMPLES) for path in (folder / name).glob(".tmp-*")):
        draft.unlink(missing_ok=True)


def _report(
    folder: Path, console: Console, *, brief: bool = False, strict: bool = False, choices: Choices | None = None
) -> int:
    """Tables, figures and the page, unless the records are the same as those that the present ones were made from."""
    path, seen = folder / SUMMARY, f"{_fingerprint(folder)}{f' {choices}' if choices else ''}"
    try:
        summary: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        summary = {}
    if summary.get("records") != seen:
        lazy_torch.withdraw()
        from bench.report import build

        built = build(folder, choices) if choices else build(folder)
        text = "\n\n".join([*map(str, built.errors), *built.tables, str(built.outcomes)])
        outcomes = built.outcomes
        summary = {"records": seen, "text": text, "failed": outcomes.failed, "diverged": outcomes.diverged}
        records.publish_bytes(json.dumps(summary, indent=1).encode(), path)
    if not brief:
        console.print(summary["text"], markup=False, highlight=False)
    console.print(f"report: {folder / 'report.html'}", markup=False, highlight=False)
    if summary["failed"]:
        advice = f"{summary['failed']} runs failed; why is in {folder / LOGS}; --retry failed tries them again"
        console.print(f"bench: {advice}", markup=False, highlight=False)
    return 1 if summary["failed"] or (strict and summary["diverged"]) else 0


def _fingerprint(folder: Path) -> str:
    """Of the records' names and sizes, the manifest, what plug-ins show and the claims that the folder feeds.

    Quick, and the same after a clone.
    """
    digest = hashlib.sha256((folder / records.MANIFEST).read_bytes())
    digest.update("".join(f"{entry.name}\n" for entry in plugins.brought()).encode())
    for entry in sorted(os.scandir(folder / records.RUNS), key=lambda entry: entry.name):
        if entry.name.endswith(".parquet"):
            digest.update(f"{entry.name} {entry.stat().st_size}\n".encode())
    digest.update(_claims(folder))
    return digest.hexdigest()


def _claims(folder: Path) -> bytes:
    """What the ledger beside the folder says of it, which its page shows; all of a ledger that cannot be read."""
    path = folder.resolve().parent / records.LEDGER
    data = path.read_bytes() if path.is_file() else b""
    try:
        told = [claim for claim in json.loads(data)["claims"] if folder.resolve().name in claim["grids"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return data
    return json.dumps(told).encode() if told else b""


def _device(wanted: str, engine: str) -> str:
    """``cuda`` where it is there and not unwanted; torch, which is slow to load, is asked only if there is a driver."""
    if wanted == "cuda" and engine == "ray":
        return "cuda"  # of the cluster's nodes: this one may have none
    if wanted == "cpu" or (wanted == "auto" and not any(Path(path).exists() for path in DRIVERS)):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise UserError("--device cuda: torch finds no CUDA device here; leave the flag out to use the CPU")
    return "cpu"


def _workers(grid: Grid, wanted: int | None, device: str, engine: str) -> int:
    """How many processes train: as wanted, or one a core; but one in all where an experiment has the machine alone."""
    alone = next((cell.experiment for cell in grid.cells if cell.experiment in ALONE), None)
    if alone is None:
        return wanted or (len(os.sched_getaffinity(0)) if device == "cpu" else 1)
    if engine == "ray":
        raise UserError(f"--launch ray: {alone} has the machine to itself; leave the flag out, where it is to work")
    if wanted not in (None, 1):
        raise UserError(f"--workers {wanted}: {alone} has the machine to itself, one process; leave the flag out")
    return 1


def _limit(options: Options, device: str) -> int:
    """Bytes that all processes may take: of the machine, or of the GPU where that is what they train on."""
    if options.memory:
        return int(1e9 * options.memory)
    if options.ray_address:
        return sys.maxsize  # other machines', which tell nothing here
    if device == "cuda":
        import torch

        part = SPARE * (options.gpu_fraction or 1.0)
        return int(part * torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else sys.maxsize
    free = memory.available()
    return sys.maxsize if free is None else int(SPARE * free)


def _columns(device: str) -> dict[str, Any]:
    return {
        "device": device,
        "torch_version": metadata.version("torch"),
        **provenance.code(),
        "deterministic": device == "cpu",
    }


def _make(folder: Path) -> None:
    try:
        (folder / records.RUNS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot make the results folder ({error.strerror}); choose one with --out") from None


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """One report at a time in a folder: who comes second finds it made. Without a lock both make the same one."""
    with ExitStack() as held:
        with suppress(OSError):
            # Not through a link, and nothing is cut off: the folder may be another's, and its links lead anywhere.
            file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            held.callback(os.close, file)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _done(options: Options) -> set[str]:
    return set() if options.force and options.dry else records.finished(options.folder)


def _clear(runs: list[Run], options: Options) -> None:
    """Remove the records that are to be made again, unless somebody is at work on one of them."""
    if not (options.force or options.retry):
        return
    again = {run.id for run in runs}
    if options.retry:
        frame, _ = records.load(options.folder, again)
        again = set()
        if len(frame):
            last = frame.drop_duplicates("run_id", keep="last")
            again = set(last["run_id"][last["status"].isin(records.FAILED)])
    with Leases(options.folder) as leases:
        if leases.elsewhere(again):
            raise UserError(f"{options.folder}: another run is at work here; wait for it, or choose --out")
        if options.force and leases.alone():
            shutil.rmtree(options.folder / WORK, ignore_errors=True)
        for run_id in again:
            (options.folder / records.RUNS / f"{run_id}.parquet").unlink(missing_ok=True)


def _write_manifest(grid: Grid, options: Options, device: str) -> None:
    """Raises a SchemaError where there is one of another release, which is not overwritten."""
    try:
        records.load_manifest(options.folder)
    except records.SchemaError:
        raise
    except records.RecordError:
        pass  # none, or a damaged one
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "grid": grid.name,
        "description": grid.description,
        "grid_source": grid.source,
        "overrides": list(grid.overrides),
        "cells": [
            {"cell_id": cell.id, "settings": cell.settings, "seeds": grid.seeds, "draw": grid.draws.get(cell.id)}
            for cell in grid.cells
        ],
        "search": grid.search and asdict(grid.search),
        "published": [vars(entry) for entry in grid.published],
        **provenance.code(),
        "versions": provenance.versions(),
        "device": device,
        "plugins": plugins.told(),
        "command": ["python", "-m", "bench", *_command(list(options.command) or sys.argv[1:])],
    }
    data = io.BytesIO()  # not one text: of a million cells its pieces would take 17 GB before it can be refused
    for piece in json.JSONEncoder(indent=1).iterencode(manifest):
        data.write(piece.encode())
        if data.tell() > records.LARGEST_MANIFEST:
            count = f"{len(grid.cells):,}"
            raise UserError(f"{shown(grid.path)}: {count} cells are too many for one manifest; split the grid")
    records.publish_bytes(data.getvalue(), options.folder / records.MANIFEST)


def _command(words: list[str]) -> list[str]:
    """The words of the command, with paths out of the folder cut to their last part: a manifest tells no places."""
    parts = [word.rpartition("=") if word.startswith("--") else ("", "", word) for word in words]
    return [
        f"{flag}{sign}{Path(value).name if value.startswith(('/', '..')) else value}" for flag, sign, value in parts
    ]


def _words(grid: Grid, plan: Plan, folder: Path, device: str) -> str:
    """The plan as a person reads it."""
    lines = [f"{grid.name}: {len(grid.cells):,} cells x {len(grid.seeds):,} seeds = {plan.total:,} runs"]
    if plan.finished:
        lines[0] += f", {plan.finished:,} of them done"
    if not plan.units:
        return lines[0]
    runs = sum(len(unit.runs) for unit in plan.units)
    lines.append(f"to do: {runs:,} runs in {len(plan.units):,} units on {plan.workers} processes")
    hours = plan.work / RATE / plan.workers / 3600
    spell = f"{hours:.1f} h" if hours >= 1.5 else f"{max(1, round(60 * hours))} min"
    lines.append(f"cost: {plan.work:.1e} floating-point operations in matrix products; training takes roughly {spell}")
    free = memory.available() if device == "cpu" else None
    left = f"; {_size(free)} are free" if free is not None else ""
    lines.append(f"memory: about {_size(plan.memory)} a process{left}")
    (kept, at_work), room = plan.disk, footprint.room(folder)
    lines.append(f"disk: about {_size(kept)}, and {_size(at_work)} while at work; {_size(room)} are free")
    if kept + at_work > room:
        lines[-1] += ": THAT IS TOO LITTLE"
    counts = Counter(f"{unit.runs[0].cell.label} x {len(unit.runs)}" for unit in plan.units)
    shown = [f"  {words}" + (f"  ({count} units)" if count > 1 else "") for words, count in counts.most_common(40)]
    more = [f"  and {len(counts) - 40} more kinds of unit"] if len(counts) > 40 else []
    return "\n".join([*lines, *shown, *more])


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
