"""What a results folder says of itself: by hand, without a run, with real processes for drivers."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import Bench, end, interruptible, wait_for

from bench import ROOT, records
from bench.cell import SCHEMA_VERSION
from bench.launch import at_work
from bench.launch.leases import boot_id
from bench.launch.status import Look, status

GONE = "nobody is at work; `run` goes on"


def record(folder: Path, seed: int, statuses: list[str], cell: str = "c", **further: Any) -> Path:
    rows = {
        "schema_version": SCHEMA_VERSION, "grid": "g", "cell_id": cell, "run_id": f"{cell}-s{seed}", "seed": seed,
        "experiment": "train", "objective": "x", "dataset": "ring", "settings": "{}",
        "step": range(len(statuses)), "status": statuses, **further,
    }  # fmt: skip
    return records.publish(pd.DataFrame(rows), folder)


def manifest(folder: Path, **cells: int) -> None:
    content: Mapping[str, Any] = {
        "schema_version": SCHEMA_VERSION, "grid": "g",
        "cells": [{"cell_id": cell, "settings": {}, "seeds": [*range(seeds)]} for cell, seeds in cells.items()],
    }  # fmt: skip
    (folder / records.MANIFEST).write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    manifest(tmp_path, c=7)
    return tmp_path


def driver(folder: Path, name: str, *, age: float = 0.0, **told: Any) -> Path:
    """The file of a driver on another machine."""
    path = folder / "drivers" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"host": "elsewhere", "pid": 4711, "boot_id": "another", **told}))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_a_run_counts_by_how_it_ended(folder: Path) -> None:
    for seed, statuses in enumerate([["ok"], ["ok", "ok", "diverged"], ["ok", "ok"], ["failed"]]):
        record(folder, seed, statuses)
    cut, alien = record(folder, 4, ["ok"]), record(folder, 5, ["ok"])
    cut.write_bytes(cut.read_bytes()[:-100])
    alien.write_text("no record")
    record(folder, 99, ["ok"])  # of no cell of the grid
    lines = status(folder).splitlines()
    assert lines[:5] == ["g: 6 of 7 runs done", "  damaged: 2", "  diverged: 1", "  failed: 1", "  ok: 2"]
    assert lines[-1] == GONE


def test_it_loads_no_more_than_it_reads(folder: Path) -> None:
    for seed in range(7):
        record(folder, seed, ["ok"])
    heavy = "{'pandas', 'scipy', 'torch._C', 'pydantic', 'rich', 'bench.experiments', 'bench.grid'}"
    code = (
        f"import sys; from bench.cli import main; main(['status', {str(folder)!r}]); print({heavy} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["g: 7 of 7 runs done", "  ok: 7", "set()"]


def test_a_record_whose_footer_tells_is_not_decoded(folder: Path) -> None:
    path = folder / "runs" / "c-s0.parquet"
    path.parent.mkdir()
    table = pa.table({"status": ["ok", "failed"], **{f"c{index}": [0.0, 1.0] for index in range(1000)}})
    with pq.ParquetWriter(path, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"digest": "0" * 64, "status": "ok"})
    assert status(folder).splitlines()[1] == "  ok: 1"
    path.write_bytes(path.read_bytes()[:-1])
    assert status(folder).splitlines()[1] == "  damaged: 1"
    with pq.ParquetWriter(path, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"digest": "0" * 64, "status": "failed"})
    assert status(folder).splitlines()[1] == "  failed: 1"


# Causes


def test_failures_are_grouped_by_cause(tmp_path: Path) -> None:
    manifest(tmp_path, **{"wgan-ring-0123456789": 18})
    of = {"cell": "wgan-ring-0123456789"}
    for seed in range(10):
        message = f"ValueError: shape ({seed}, {1.5e-7 * seed}) of wgan-ring-0123456789-s{seed} at 0x7f{seed:04x}"
        record(tmp_path, seed, ["failed"], **of, message=message + " again" * (seed < 6), traceback="0a1b2c3d4e")
    for seed in range(10, 13):
        record(tmp_path, seed, ["killed"], **of, message="the worker ended by SIGKILL, 3 times")
    for seed in range(13, 18):
        record(tmp_path, seed, ["ok", "diverged"], **of, message=f"critic_loss is nan at step {seed}")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "worker-aa-0.log").write_text("traceback 9999999999:\n")
    (tmp_path / "logs" / "worker-aa-1.log").write_text("x" * 2_000_000 + "traceback 0a1b2c3d4e:\nTraceback …")
    lines = status(tmp_path).splitlines()
    why = [line for line in lines if " x " in line]
    assert [line.split(": ")[0] for line in why] == ["  6 x failed", "  4 x failed", "  3 x killed", "  5 x diverged"]
    assert why[0].endswith(f" again (wgan-ring-0123456789-s0; see {tmp_path}/logs/worker-aa-1.log)"), "the shortest"
    assert why[2] == (
        f"  3 x killed: the worker ended by SIGKILL, 3 times (wgan-ring-0123456789-s10; see {tmp_path}/logs)"
    )
    assert why[3] == "  5 x diverged: critic_loss is nan at step 13 (wgan-ring-0123456789-s13)"


def test_ten_causes_are_told_and_the_rest_is_counted(tmp_path: Path) -> None:
    manifest(tmp_path, c=40)
    for seed, letter in enumerate("abcdefghijklzz"):
        record(tmp_path, seed, ["failed"], message=f"ValueError: {letter}")
    lines = status(tmp_path).splitlines()
    assert lines[2].startswith("  2 x failed: ValueError: z (c-s12; ")
    assert sum(" x failed: " in line for line in lines) == 10
    assert "  3 more, for 3 other reasons" in lines


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tensor of 3 x 4", "tensor of 30 x 4"), ("loss 1.5e-07 at 12:30", "loss 2 at 1:1"), ("at 0x7ffe", "at 0x1"),
        ("in wgan_gp-ring-0123456789-s3", "in dcgan-9876543210-s12"), ("commit 98c8c081a7ff", "commit 0123456789ab"),
        ("1,234,567 bytes", "12 bytes"),
    ],
)  # fmt: skip
def test_messages_that_differ_in_numbers_and_ids_are_one_cause(tmp_path: Path, one: str, other: str) -> None:
    manifest(tmp_path, c=2)
    record(tmp_path, 0, ["failed"], message=one)
    record(tmp_path, 1, ["failed"], message=other)
    assert f"  2 x failed: {min(one, other, key=len)} (c-s" in status(tmp_path)


@pytest.mark.parametrize(("one", "other"), [("no critic", "no generator"), ("deadbeef", "facade"), ("a-b", "a-c")])
def test_messages_that_differ_in_words_are_two(tmp_path: Path, one: str, other: str) -> None:
    manifest(tmp_path, c=2)
    record(tmp_path, 0, ["failed"], message=one)
    record(tmp_path, 1, ["failed"], message=other)
    assert status(tmp_path).count(" 1 x failed: ") == 2


# Folders of others


def hostile(path: Path, **columns: pa.Array) -> None:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path, store_schema=False)


def test_nothing_of_another_harms_the_terminal_or_the_memory(folder: Path) -> None:
    runs = folder / "runs"
    escape = "\x1b]0;mine\x07\x1b[31m\r\u202e"
    hostile(runs / "c-s0.parquet", status=pa.array([escape]), message=pa.array([escape]))
    hostile(runs / "c-s1.parquet", status=pa.array(["failed"]), message=pa.array([escape * 1000]))
    texts = pa.array(["ok" * 5_000_000, "ok"])
    told = pa.DictionaryArray.from_arrays(pa.array([0] * 5000 + [1], pa.int32()), texts)
    hostile(runs / "c-s2.parquet", status=told)  # 50 GB, in some kilobytes
    hostile(runs / "c-s3.parquet", status=pa.array(["failed"] * (records.MOST_ROWS + 1)))
    hostile(runs / "c-s4.parquet", status=pa.array([], pa.string()))
    os.mkfifo(runs / "c-s5.parquet")
    (runs / "c-s6.parquet").symlink_to("/dev/zero")
    for name, data in (("[1" + escape, "[" * 100_000), ("u", "{}"), ("v", '["a", "b"]')):
        (folder / "work" / name).mkdir(parents=True)
        (folder / "work" / name / "unit.json").write_text(data)
    (folder / "work" / "v" / f"metrics-{escape}.json").touch()
    (folder / "work" / "w").mkdir()
    (folder / "work" / "w" / "unit.json").symlink_to("/dev/zero")
    driver(folder, "d" + escape, host=escape * 50, workers=[escape], speed=float("inf"), seconds_left=10**400)
    (folder / "drivers" / "e.json").write_text('{"work_left": NaN, "speed": true')
    text = status(folder)
    assert all(line.isprintable() for line in text.splitlines())
    assert text.startswith("g: 7 of 7 runs done\n  damaged: 5\n  failed: 1\n  ok: 1\n")
    assert "v, 2 runs, judged to step 0" in text


def test_the_name_of_a_log_is_as_another_wrote_it(folder: Path) -> None:
    record(folder, 0, ["failed"], message="a", traceback="0123456789")
    (folder / "logs").mkdir()
    (folder / "logs" / "worker-\x1b[31m.log").write_text("traceback 0123456789:")
    os.mkfifo(folder / "logs" / "worker-pipe.log")
    assert r"logs/worker-\x1b[31m.log)" in status(folder)


# Who is at work


def test_units_are_told_one_by_one_while_they_are_few(folder: Path) -> None:
    for unit in range(25):
        path = folder / "work" / f"u{unit:02}"
        path.mkdir(parents=True)
        (path / "unit.json").write_text(json.dumps(["a"] * 3))
        (path / f"metrics-{100 * unit}.json").touch()
    lines = status(folder).splitlines()
    assert lines[1] == "  at work or interrupted: u00, 3 runs, judged to step 0"
    assert lines[10:12] == [
        "  at work or interrupted: u09, 3 runs, judged to step 900", "  and 15 more units with 45 runs"
    ]  # fmt: skip


@pytest.fixture
def here(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this machine that holds the lock of its file, as a driver does."""
    path = driver(folder, "here", boot_id=boot_id(), host="here", workers=2, runs_done=3, runs_planned=7)
    code = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def test_a_driver_that_was_killed_is_not_at_work(folder: Path, here: subprocess.Popen[bytes]) -> None:
    words = r"driver here on here, pid 4711: {}, heartbeat \d+ s ago; 3 of 7 runs, 2 workers\n{}$"
    assert re.search(words.format("alive", "time left: not known yet"), status(folder))
    here.kill()
    here.wait()
    assert re.search(words.format("dead", GONE), status(folder))


def test_one_driver_tells_when_it_is_done(folder: Path) -> None:
    driver(folder, "a", seconds_left=7800.0, work_left=1.0, speed=1.0)
    now = time.time()
    line = status(folder).splitlines()[-1]
    due = {time.strftime("%a %H:%M", time.localtime(at + 7800)) for at in (now, time.time())}
    assert line in {f"about 2 h 10 min left, until {end}" for end in due}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([{"work_left": 900, "speed": 10}, {"work_left": 1000, "speed": 20}], "about 30 s left"),
        ([{"work_left": 900, "speed": None}, {"work_left": 900, "speed": 3}], "about 5 min left"),
        ([{"work_left": 900, "speed": 0}, {}], "time left: not known yet"),
        ([{"seconds_left": None}], "time left: not known yet"),
        ([{"seconds_left": 1e300}], "time left: not known yet"),
        ([{"seconds_left": 60, "shard": "1/2"}, {"seconds_left": 7200, "shard": "2/2"}], "about 2 h left"),
        ([{"seconds_left": 60, "shard": "1/2"}, {"shard": "2/2"}], "time left: not known yet"),
        ([{"seconds_left": 86400 * 30}], "about 30 d left"),
    ],
)
def test_several_drivers_are_done_together(folder: Path, told: list[dict[str, Any]], words: str) -> None:
    for index, one in enumerate(told):
        driver(folder, f"d{index}", **one)
    assert status(folder).splitlines()[-1].startswith(words)


def test_a_silent_driver_of_another_machine_is_not_counted(folder: Path) -> None:
    driver(folder, "a", age=3600, seconds_left=60)
    assert "driver a on elsewhere, pid 4711: unknown, heartbeat 1 h ago" in status(folder)
    assert status(folder).endswith(GONE)


def test_many_drivers_are_counted(folder: Path) -> None:
    for index in range(300):
        driver(folder, f"d{index}", age=0 if index % 100 == 0 else 3600, seconds_left=60)
    lines = status(folder).splitlines()
    assert sum("driver d" in line for line in lines) == 10
    told = [line for line in lines if "driver d" in line]
    assert [" 1 h ago" in line for line in told] == [False] * 3 + [True] * 7, "those at work first"
    assert "  290 more drivers, 0 of them at work" in lines


# Watching


def test_only_what_has_changed_is_read_again(folder: Path) -> None:
    opened: list[str] = []
    sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)

    def read() -> set[str]:
        opened.clear()
        look.see()
        return {str(Path(path).relative_to(folder)) for path in opened if path.startswith(str(folder))}

    for seed in range(5):
        record(folder, seed, ["failed"], message="a", traceback="0123456789")
    (folder / "work" / "u").mkdir(parents=True)
    (folder / "work" / "u" / "unit.json").write_text("[1]")
    (folder / "logs").mkdir()
    (folder / "logs" / "worker-a-0.log").write_text("nothing")
    look = Look(folder)
    assert len(read()) == 5 + 1 + 1 + 1, "records, manifest, unit, log"
    assert read() == set()
    record(folder, 5, ["ok"])
    record(folder, 3, ["ok", "ok"])
    manifest(folder, c=6)
    assert read() == {"runs/c-s5.parquet", "runs/c-s3.parquet", "manifest.json"}
    (folder / "runs" / "c-s0.parquet").unlink()
    text = look.see().text
    assert text.startswith("g: 5 of 6 runs done\n  failed: 3\n  ok: 2\n")


def test_a_driver_elsewhere_lives_as_long_as_its_file_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_work, "STALE_SECONDS", 0.5)
    look = Look(folder)
    states = []
    for beat in range(4):
        driver(folder, "slow-clock", age=1e6, beats=beat)  # by its own clock, days ago
        driver(folder, "fast-clock", age=-1e6, beats=0)
        sight = look.see()
        states.append(sorted(re.findall(r"driver (\S+) on \S+ pid \d+: (\w+)", sight.text)))
        assert not sight.over
        time.sleep(0.2)
    assert states[0] == [("fast-clock", "unknown"), ("slow-clock", "unknown")]
    assert states[-1] == [("fast-clock", "dead"), ("slow-clock", "alive")]
    time.sleep(0.4)
    assert look.see().over


def test_without_a_terminal_it_prints_what_has_changed(folder: Path) -> None:
    bench = Bench(folder)
    driver(folder, "a", seconds_left=60)
    process = bench.start("status", folder, "--watch", "0.05")
    assert process.stdout
    assert process.stdout.readline().startswith("g: 0 of 7 runs done; about 60 s left, until ")
    for seed in range(7):
        record(folder, seed, ["ok"])
        assert process.stdout.readline().startswith(f"g: {seed + 1} of 7 runs done; {seed + 1} ok")
    assert (process.wait(20), end(process)) == (0, "")


def test_it_ends_when_nobody_is_at_work(folder: Path) -> None:
    done = Bench(folder)("status", folder, "--watch", "0.05")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"g: 0 of 7 runs done; {GONE}\n", "")


def test_in_a_terminal_it_draws_in_place_until_ctrl_c(folder: Path) -> None:
    driver(folder, "a", seconds_left=60)
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "bench", "status", str(folder), "--watch", "0.05"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        words, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=interruptible
    )
    os.close(theirs)
    seen = b""

    def has(words: bytes) -> bool:
        nonlocal seen
        seen += os.read(ours, 4096)
        return words in seen

    wait_for(lambda: has(b"0 of 7 runs done"))
    record(folder, 0, ["ok"])
    wait_for(lambda: has(b"1 of 7 runs done"))
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    while os.get_blocking(ours) and not has(b"\x1b[?25h"):  # the cursor is shown again
        pass
    os.close(ours)
    text = seen.decode()
    assert "\x1b[1A" in text, "up, to draw over what was there"
    assert "Traceback" not in text
