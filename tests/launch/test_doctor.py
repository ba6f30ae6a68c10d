"""What is found in a results folder that was harmed, and what becomes of it: with real files, links and processes."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.copies import grown
from test_records import raw

from bench import ROOT, checkpoints, records
from bench.cell import SCHEMA_VERSION, digest
from bench.cli import main
from bench.errors import UserError
from bench.launch import leases
from bench.launch.doctor import examine

SEEDS = range(3)

DRIVER = """
import sys, time
from pathlib import Path
from bench.launch.leases import Leases
with Leases(Path(sys.argv[1])) as leases:
    print(sorted(leases.take(sys.argv[2:])), flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grown(tmp_path_factory.mktemp("made") / "made", SEEDS)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "here")


def runs_of(folder: Path) -> list[Path]:
    return sorted((folder / records.RUNS).iterdir())


def files_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def in_quarantine(folder: Path) -> list[str]:
    """Names without the time that stands before each."""
    place = folder / "quarantine"
    return sorted(path.name.partition("-")[2] for path in place.iterdir()) if place.exists() else []


def change(path: Path, **changes: Any) -> None:
    """Publish the record again with other columns."""
    records.publish(records.load_run(path).assign(**changes), path.parents[1])


@contextmanager
def driver(folder: Path, *run_ids: str, alive: bool = True) -> Iterator[None]:
    """Another process that has the runs at work; or had, and was killed."""
    words = [sys.executable, "-c", DRIVER, str(folder), *run_ids]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert isinstance(process.stdout, io.TextIOBase)
            assert process.stdout.readline().strip() == str(sorted(run_ids))
            if alive:
                yield
        finally:
            process.kill()
    if not alive:
        yield


def unit(folder: Path, *run_ids: str) -> Path:
    """The folder of a unit of these runs, with a checkpoint."""
    path = folder / "work" / f"{run_ids[0].rsplit('-', 2)[0]}-{digest(list(run_ids))}"
    path.mkdir(parents=True)
    (path / "unit.json").write_text(json.dumps(run_ids))
    checkpoints.store(path / "state.safetensors", {"weight": np.arange(100.0)}, {"step": 3})
    return path


def test_a_whole_folder_is_well_and_stays_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records.publish_bytes(records.encode(records.load(folder)[0]), folder / "results.parquet")
    before = files_of(folder)
    for fix in (False, True):
        found = examine(folder, fix=fix)
        assert (found.code, found.text) == (0, f"{folder}: 9 of 9 runs have a good record")
    assert files_of(folder) == before
    assert main(["doctor", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder}: 9 of 9 runs have a good record\n"


def test_harmed_records_are_named_and_moved_and_count_as_missing(folder: Path) -> None:
    paths = runs_of(folder)[:6]
    whole = {path.name: path.read_bytes() for path in paths}
    cut, flipped, first, second, third, fourth = paths
    cut.write_bytes(whole[cut.name][:-100])
    flipped.write_bytes(whole[flipped.name][:-60] + bytes([whole[flipped.name][-60] ^ 1]) + whole[flipped.name][-59:])
    first.write_bytes(whole[second.name])
    second.write_bytes(whole[first.name])
    change(third, settings=json.dumps({"other": 1}))
    fourth.unlink()
    os.mkfifo(fourth)
    (folder / "runs" / "plot\x1b[2J.png").write_bytes(b"x")
    (folder / "runs" / "more.parquet").mkdir()
    (folder / "runs" / "loop.parquet").symlink_to("loop.parquet")
    found = examine(folder, fix=False)
    assert found.code == 1
    lines = found.text.splitlines()
    assert lines[:2] == [
        f"{folder}: 3 of 9 runs have a good record",
        "9 that cannot be used, moved to quarantine/; the next `run` trains what is missing:",
    ]
    reasons = {
        cut.name: "damaged", flipped.name: "damaged", third.name: "its id is not that of its settings and sources",
        first.name: f"holds the run {second.stem}: the name was changed", fourth.name: "not a file",
        second.name: f"holds the run {first.stem}: the name was changed", "plot\\x1b[2J.png": "not a record",
        "more.parquet": "not a file", "loop.parquet": "Too many levels of symbolic links",
    }  # fmt: skip
    assert len(lines) == 2 + len(reasons)
    for name, reason in reasons.items():
        [line] = [line for line in lines if line.startswith(f"  runs/{name}: ")]
        assert line.startswith(f"  runs/{name}: {reason}")
        assert "; now quarantine/" in line
    samples = [f"{path.stem}.safetensors" for path in paths]
    foreign = ["plot\x1b[2J.png", "more.parquet", "loop.parquet"]
    assert in_quarantine(folder) == sorted([*whole, *foreign, *samples])
    assert len(records.finished(folder)) == 3
    assert examine(folder, fix=False).text == f"{folder}: 3 of 9 runs have a good record"


def test_a_file_of_the_same_name_is_not_overwritten(folder: Path) -> None:
    for content in (b"first", b"second"):
        (folder / "runs" / "notes.txt").write_bytes(content)
        assert examine(folder, fix=False).code == 1
    assert {path.read_bytes() for path in (folder / "quarantine").iterdir()} == {b"first", b"second"}
    long = "x" * 250
    (folder / "runs" / long).write_bytes(b"third")
    assert examine(folder, fix=False).code == 1
    assert b"third" in {path.read_bytes() for path in (folder / "quarantine").iterdir()}


def test_a_run_with_harmed_samples_is_trained_again(folder: Path) -> None:
    path = runs_of(folder)[0]
    samples = folder / "samples" / f"{path.stem}.safetensors"
    samples.write_bytes(samples.read_bytes()[:-8])
    (folder / "samples" / "notes.txt").write_bytes(b"")
    text = examine(folder, fix=False).text
    assert f"{folder}: 8 of 9 runs have a good record" in text
    assert f"  samples/{samples.name}: damaged" in text
    assert f"and runs/{path.name}: now quarantine/" in text
    assert in_quarantine(folder) == sorted([path.name, samples.name, "notes.txt"])


def test_a_manifest_that_cannot_be_right_is_moved_and_records_stay(folder: Path) -> None:
    path = folder / records.MANIFEST
    manifest = records.load_manifest(folder)
    manifest["cells"][0]["settings"]["steps"] += 1
    path.write_text(json.dumps(manifest))
    text = examine(folder, fix=False).text
    assert f"  manifest.json: cell {manifest['cells'][0]['cell_id']} has other settings than its id; now quar" in text
    assert f"{folder}: 9 runs have a good record" in text
    assert examine(folder, fix=False).text.splitlines()[1:] == [
        "1 that should be there; the next `run` writes it:", "  manifest.json",
    ]  # fmt: skip
    path.write_text("{")
    assert "  manifest.json: damaged, or not a manifest" in examine(folder, fix=False).text
    assert in_quarantine(folder) == ["manifest.json"] * 2


def test_another_release_is_refused_or_left_alone(folder: Path, tmp_path: Path) -> None:
    path = runs_of(folder)[0]
    # As a release would write it that has a word more.
    data = raw(records.load_run(path).assign(schema_version=SCHEMA_VERSION + 1, word="new"), path).read_bytes()
    text = examine(folder, fix=False).text
    assert f"  runs/{path.name}: has schema version {SCHEMA_VERSION + 1}, this is version {SCHEMA_VERSION}" in text
    assert path.read_bytes() == data
    assert "; now quarantine/" in examine(folder, fix=True).text
    manifest = records.load_manifest(folder) | {"schema_version": SCHEMA_VERSION + 1}
    (folder / records.MANIFEST).write_text(json.dumps(manifest))
    before = files_of(folder)
    with pytest.raises(UserError, match="read it with the release that wrote it"):
        examine(folder, fix=True)
    assert files_of(folder) == before
    with pytest.raises(UserError, match="no results here"):
        examine(tmp_path, fix=False)


def test_fix_trains_again_what_failed_or_does_not_tell_enough(folder: Path) -> None:
    failed, told, dirty, strange, *_ = runs_of(folder)
    last = records.load_run(failed)["status"].tolist()
    change(failed, status=[*last[:-1], "killed"], message="by SIGKILL")
    change(told, device_name="", git_commit=None)
    change(dirty, git_dirty=True)
    change(strange, seed=77, run_id=f"{strange.stem.rsplit('-s', 1)[0]}-s77")
    end = int(records.load_run(failed)["step"].iloc[-1])
    kept = {path.name for path in runs_of(folder)}
    for fix in (False, True):
        found = examine(folder, fix=fix)
        assert found.code == 1
        assert f"  runs/{failed.name}: killed at step {end}: by SIGKILL" in found.text
        assert f"  runs/{told.name}: does not tell git_commit, device_name" in found.text
        assert "no fault: 1 good records are of runs that the manifest does not have" in found.text
        assert "no fault: 1 good records were made with files that differ from their commit" in found.text
        assert "7 of 9 runs have" in found.text
        kept -= {failed.name, told.name} if fix else set()
        assert {path.name for path in runs_of(folder)} == kept
    assert {failed.name, told.name} <= set(in_quarantine(folder))
    assert examine(folder, fix=True).code == 0


def test_what_the_dead_have_left_is_named_and_with_fix_removed(folder: Path) -> None:
    done, missing, *_ = runs_of(folder)
    missing.unlink()
    (folder / "samples" / f"{missing.stem}.safetensors").unlink()
    gone = missing.stem.rsplit("-s", 1)[0]
    begun = unit(folder, missing.stem)
    unit(folder, done.stem)
    unit(folder, missing.stem, f"{gone}-s99")
    for path in (folder / "runs" / ".tmp-1", folder / ".tmp-old", folder / "tables" / ".tmp-new"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    os.utime(folder / ".tmp-old", (time.time() - 90_000,) * 2)
    records.publish_samples({"fake": np.zeros(3)}, folder, f"{gone}-s99")
    before = files_of(folder)
    with driver(folder, missing.stem, alive=False):
        found = examine(folder, fix=False)
        lines = [line.strip() for line in found.text.splitlines()[2:]]
        assert found.code == 1
        told = {line.rsplit(": ", 1)[1] for line in lines}
        assert told == {
            "a draft that nobody is writing", "samples of a run that has no record", "a unit whose runs are done",
            "a unit of another grid", "of a driver that has died",
        }  # fmt: skip
        assert len(lines) == 7
        assert {name: data for name, data in files_of(folder).items() if "drivers" not in name} == before
        assert examine(folder, fix=True).text.splitlines()[1] == "7 that nobody needs, now removed:"
    assert begun.exists()
    assert (folder / "tables" / ".tmp-new").exists()  # a report may be writing it
    assert not list(folder.glob("leases/*")) + list(folder.glob("drivers/*"))
    assert examine(folder, fix=True).code == 0
    assert sorted(path.name for path in (folder / "work").iterdir()) == [begun.name]
    kept = {name for name in before if name.startswith(("runs/wgan", "runs/min", "runs/non", "samples/", "work/"))}
    assert kept - files_of(folder).keys() == {
        f"samples/{gone}-s99.safetensors", *(name for name in before if "work/" in name and begun.name not in name)
    }  # fmt: skip


def test_nothing_is_touched_that_a_driver_has_at_work(folder: Path) -> None:
    failed, missing, *_ = runs_of(folder)
    change(failed, status=[*records.load_run(failed)["status"].tolist()[:-1], "oom"])
    missing.unlink()
    records.publish_samples({"fake": np.zeros(3)}, folder, missing.stem)
    state = unit(folder, missing.stem) / "state.safetensors"
    state.write_bytes(b"being written")
    (folder / "work" / "new").mkdir()
    (folder / "runs" / ".tmp-1").write_bytes(b"half")
    before = files_of(folder)
    with driver(folder, missing.stem, failed.stem):
        assert examine(folder, fix=True).text == f"{folder}: 7 of 9 runs have a good record"
        assert {name: data for name, data in files_of(folder).items() if "drivers" not in name} == before
    assert "drivers/" in examine(folder, fix=True).text
    assert not (folder / "runs" / ".tmp-1").exists()


def test_a_checkpoint_that_nothing_can_go_on_from_is_moved(folder: Path) -> None:
    missing = runs_of(folder)[0]
    missing.unlink()
    (folder / "samples" / f"{missing.stem}.safetensors").unlink()
    state = unit(folder, missing.stem) / "state.safetensors"
    good = state.read_bytes()
    assert examine(folder, fix=True).code == 0
    for spoilt in (good[:-1], good[:-9] + bytes(9), b""):
        state.write_bytes(spoilt)
        assert f"  work/{state.parent.name}/{state.name}: damaged, or" in examine(folder, fix=False).text
        assert not state.exists()
    checkpoints.store(folder / "work" / "another" / "state.safetensors", {"weight": np.zeros(3)})
    (folder / "work" / "another" / "state.safetensors").rename(state)
    text = examine(folder, fix=False).text
    assert "another unit's" in text
    assert "  work/another: No such file or directory; now quarantine/" in text
    (state.parent / "unit.json").write_text("[1")
    assert f"  work/{state.parent.name}: damaged, or not the list of a unit's runs" in examine(folder, fix=False).text
    assert not list((folder / "work").iterdir())


@pytest.mark.parametrize("name", ["runs", "quarantine", "work", "leases"])
def test_no_link_is_followed_out_of_the_folder(folder: Path, tmp_path: Path, name: str) -> None:
    """A folder somebody else made, in which one of ours stands for one of the reader's."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.parquet").write_bytes(b"x")
    (outside / "precious~x").symlink_to("nobody")
    (outside / ".tmp-mine").write_bytes(b"x")
    if (folder / name).exists():
        (folder / name).rename(tmp_path / "away")
    (folder / name).symlink_to(outside)
    (folder / "samples" / "notes.txt").write_bytes(b"x")
    before = files_of(outside)
    assert examine(folder, fix=True).code == 1
    assert files_of(outside) == before
    assert (outside / "precious~x").is_symlink()
    assert (folder / name).is_symlink()


def test_what_cannot_be_read_for_another_reason_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network disk that is away must not cost a folder its records."""
    open_ = Path.open

    def away(path: Path, *words: Any, **more: Any) -> Any:
        if path.suffix == ".parquet":
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
        return open_(path, *words, **more)

    before = files_of(folder)
    monkeypatch.setattr(Path, "open", away)
    found = examine(folder, fix=True)
    assert found.code == 1
    assert "9 that cannot be read from here, left where it is:" in found.text
    assert "Stale file handle" in found.text
    monkeypatch.undo()
    assert files_of(folder) == before


@pytest.mark.parametrize("spoil", [lambda data: data[:-9], lambda data: data[:500] + bytes(90) + data[590:]])
def test_a_view_that_cannot_be_read_is_moved(folder: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = folder / "results.parquet"
    path.write_bytes(spoil(records.encode(records.load(folder)[0])))
    text = examine(folder, fix=False).text
    assert "  results.parquet: cannot be read (" in text
    assert "`report` makes it again; now quarantine/" in text
    assert not path.exists()


def test_leases_and_drivers_of_other_machines_are_not_judged(folder: Path) -> None:
    """Only waiting would show whether they live."""
    (folder / leases.DRIVERS).mkdir()
    (folder / leases.DRIVERS / "far.json").write_text(json.dumps({"host": "far", "boot_id": "another"}))
    (folder / leases.LEASES).mkdir()
    missing = runs_of(folder)[0]
    missing.unlink()
    (folder / leases.LEASES / missing.stem).symlink_to("far")
    (folder / "runs" / ".tmp-1").write_bytes(b"half")
    before = files_of(folder)
    assert examine(folder, fix=True).code == 0
    assert files_of(folder) == before
