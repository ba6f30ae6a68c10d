"""S1: hostile files in the places of checkpoints; nothing in them runs, and the unit ends as if nobody had come."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from at_work import after, context
from commands import TIMES, TINY, Bench, end, frame_of, wait_for
from hostile_files import HOSTILE, RUNNING
from table import told
from test_attacks_input import patiently

from bench import records
from bench.cell import Run, Unit
from bench.experiments import EXPERIMENTS, Result, Stopped, make_cell

TRAIN = EXPERIMENTS["train"]
RAW = {
    "objective": "minimax", "dataset": "ring", "steps": 40, "batch_size": 16,
    "generator": {"name": "mlp", "depth": 1, "width": 8}, "critic": {"name": "mlp", "depth": 1, "width": 8},
    "evaluate": {"observations": 4, "n": 50, "emd_n": 20},
}  # fmt: skip
PLACES = ("state", "samples-real", "samples-2")
"""The last one is of the first observation that there is."""
CASES = [(name, place) for name in HOSTILE for place in PLACES]
QUICK = [
    ("pickle of exec, protocol 5", "state"), ("torch", "samples-2"), ("header of 2^63 bytes", "state"),
    ("another unit's", "samples-2"), ("nan", "state"), ("pipe", "samples-real"),
]  # fmt: skip

WIDE = TINY.replace("steps: 60", "steps: 600").replace("batch_size: 16", "batch_size: [8, 16]")
UNITS = 4


def unit() -> Unit:
    cell = make_cell(TRAIN, TRAIN.resolve(RAW))
    return Unit((Run(cell, 0), Run(cell, 1)))


def rows(results: list[Result]) -> list[list[dict[str, Any]]]:
    return [[{k: v for k, v in row.items() if not k.endswith(TIMES)} for row in own.rows] for own in results]


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a unit that was stopped between its second observation and its third."""
    work = tmp_path_factory.mktemp("interrupted") / "unit"
    with pytest.raises(Stopped):
        TRAIN.run(unit(), context(work, after(3)))
    assert {f"{place}.safetensors" for place in PLACES} < {path.name for path in work.iterdir()}
    return work


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    return TRAIN.run(unit(), context(tmp_path_factory.mktemp("undisturbed") / "unit"))


@pytest.mark.parametrize("cases", [QUICK, pytest.param(CASES, marks=pytest.mark.campaign)], ids=len)
def test_a_unit_begins_again_and_says_why(
    tmp_path: Path, interrupted: Path, undisturbed: list[Result], cases: list[tuple[str, str]]
) -> None:
    for index, (name, place) in enumerate(cases):
        work, canary = tmp_path / f"{index}" / "unit", tmp_path / "canary"
        shutil.copytree(interrupted, work)
        HOSTILE[name](work / f"{place}.safetensors", canary)
        said: list[str] = []
        found = TRAIN.run(unit(), replace(context(work), say=said.append))
        assert not canary.exists(), name
        assert len(said) == 1, (name, place, said)
        (line,) = said
        assert line.startswith(f"unit/{place}.safetensors: "), name
        assert line.endswith("; it is set aside, and the unit begins again")
        assert line.isprintable()
        assert len(line) < 400
        np.testing.assert_equal(rows(found), rows(undisturbed))
        for one, other in zip(found, undisturbed, strict=True):
            np.testing.assert_equal(dict(one.samples), dict(other.samples))
        shutil.rmtree(work.parent)
    told("S1", len(cases), len(cases), f"{len({name for name, _ in cases})} files in the place of a unit's checkpoints")


def test_what_nobody_touched_is_gone_on_from(interrupted: Path, undisturbed: list[Result], tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    work = tmp_path / "unit"
    shutil.copytree(interrupted, work)
    said: list[str] = []
    state = (work / "samples-2.safetensors").stat().st_mtime_ns
    found = TRAIN.run(unit(), replace(context(work), say=said.append))
    assert said == []
    assert (work / "samples-2.safetensors").stat().st_mtime_ns == state
    np.testing.assert_equal(rows(found), rows(undisturbed))


@pytest.mark.parametrize("gone", ["samples-2", "state", "samples-real"])
def test_a_file_that_is_missing_costs_work_and_no_row(
    interrupted: Path, undisturbed: list[Result], tmp_path: Path, gone: str
) -> None:
    """Samples of an early step cannot be drawn from a later state; real samples can be drawn at any time."""
    work = tmp_path / "unit"
    shutil.copytree(interrupted, work)
    (work / f"{gone}.safetensors").unlink()
    said: list[str] = []
    found = TRAIN.run(unit(), replace(context(work), say=said.append))
    assert len(said) == (gone != "samples-real")
    np.testing.assert_equal(rows(found), rows(undisturbed))


@pytest.mark.parametrize(
    "names", [[name for name, _ in QUICK], pytest.param(list(HOSTILE), marks=pytest.mark.campaign)], ids=len
)
def test_stored_samples_are_refused_by_name(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        shutil.rmtree(tmp_path / "samples", ignore_errors=True)
        path = records.publish_samples({"fake": np.ones((30, 2)), "real": np.zeros((30, 2))}, tmp_path, "a-s0")
        HOSTILE[name](path, tmp_path / "canary")
        refused: list[str] = []
        try:
            found: Mapping[str, np.ndarray] | None = records.load_samples(tmp_path, "a-s0")
        except records.RecordError as error:
            found = None
            refused.append(str(error))
        assert found is None, name
        assert all(line.startswith(str(path)) and line.isprintable() for line in refused)
        assert bool(refused) == path.exists(), "a link to nothing is no file"
        assert not (tmp_path / "canary").exists()
    told("S1", len(names), len(names), "files in the place of stored samples")


@pytest.mark.campaign
@pytest.mark.parametrize("name", list(RUNNING))
def test_the_payloads_bite(tmp_path: Path, name: str) -> None:
    """In a process that unpickles them; numpy is told to, torch's tar by its own members."""
    path, canary = tmp_path / "file", tmp_path / "canary"
    path.touch()
    RUNNING[name](path, canary)
    code = (
        "import pickle, sys, tarfile, numpy, torch\n"
        "path = sys.argv[1]\n"
        "if tarfile.is_tarfile(path): pickle.load(tarfile.open(path).extractfile('pickle'))\n"
        "elif b'torch' in open(path, 'rb').read(): torch.load(path, weights_only=False)\n"
        "else: [f['fake'] if hasattr(f, 'files') else f for f in [numpy.load(path, allow_pickle=True)]]\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, timeout=100)
    assert canary.exists()


# The command as a person runs it


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A finished run of a grid of four units, and one that was killed while all four were at work."""
    bench = Bench(tmp_path_factory.mktemp("killed"))
    grid = bench.grid(WIDE, "wide")
    words = ("run", "--grid", grid, "--way", "vmap", "--workers", str(UNITS))
    assert patiently(bench, *words, "--out", "whole").returncode == 0
    process = bench.start(*words, "--out", "killed")
    try:
        wait_for(lambda: min(map(len, observed(bench.folder / "killed").values()), default=0) >= 3, 1000)
    finally:
        process.send_signal(signal.SIGKILL)
        end(process)
    assert len(observed(bench.folder / "killed")) == UNITS
    return bench


def observed(folder: Path) -> dict[Path, list[Path]]:
    """Of every unit at work, the files of samples: the real ones, and those of each observation."""
    return {path.parent: sorted(path.parent.glob("samples-*")) for path in folder.glob("work/*/unit.json")}


@pytest.mark.campaign
def test_the_command_goes_on_over_hostile_files(killed: Bench) -> None:
    expected, placed = frame_of(killed.folder / "whole"), 0
    cases = [(name, PLACES[index % len(PLACES)]) for index, name in enumerate(HOSTILE)]
    for start in range(0, len(cases), UNITS):
        some = cases[start : start + UNITS]
        shutil.copytree(killed.folder / "killed", killed.folder / "out", symlinks=True)
        lines = []
        for (name, place), (work, samples) in zip(some, sorted(observed(killed.folder / "out").items()), strict=False):
            path = samples[0] if place == PLACES[-1] else work / f"{place}.safetensors"
            HOSTILE[name](path, killed.folder / "canary")
            lines.append(f"{work.name}/{path.name}: ")
        done = patiently(killed, "run", "--grid", "wide.yaml", "--out", "out", "--way", "vmap", "--workers", "2")
        assert done.returncode == 0, (some, done.stdout, done.stderr)
        assert not (killed.folder / "canary").exists(), some
        for line in lines:
            (said,) = (own for own in done.stdout.splitlines() if line in own)
            assert said.endswith("; it is set aside, and the unit begins again"), some
        logs = [path.read_text() for path in (killed.folder / "out" / "logs").glob("*")]
        assert "Traceback" not in "".join([done.stdout, done.stderr, *logs]), some
        pd.testing.assert_frame_equal(frame_of(killed.folder / "out"), expected, check_exact=True)
        assert not (killed.folder / "out" / "work").exists()
        placed += len(some)
        shutil.rmtree(killed.folder / "out")
    told("S1", len(cases), placed, f"files in the work folders of a killed run of {UNITS} units, the command run again")


@pytest.mark.campaign
def test_a_report_leaves_hostile_samples_out(killed: Bench) -> None:
    expected, names = frame_of(killed.folder / "whole"), list(HOSTILE)
    for start in range(0, len(names), UNITS * 2):
        shutil.copytree(killed.folder / "whole", killed.folder / "shown")
        paths = sorted((killed.folder / "shown" / "samples").iterdir())
        for name, path in zip(names[start:], paths, strict=False):
            HOSTILE[name](path, killed.folder / "canary")
        done = patiently(killed, "report", "shown")
        assert done.returncode == 0, (names[start], done.stdout, done.stderr)
        assert "Traceback" not in done.stdout + done.stderr
        assert "samples/" in done.stdout
        assert not (killed.folder / "canary").exists()
        pd.testing.assert_frame_equal(frame_of(killed.folder / "shown"), expected, check_exact=True)
        shutil.rmtree(killed.folder / "shown")
    told("S1", len(names), len(names), "files in the place of stored samples, `report` run on them")
