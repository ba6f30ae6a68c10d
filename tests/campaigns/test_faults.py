"""Kills, full disks, drivers side by side, runs that go wrong, signals: real processes, real files."""

from __future__ import annotations

import errno
import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from bad_objectives import BAD
from commands import TINY, Bench, children, end, frame_of, gone, wait_for
from table import told

from bench import records

HERE = Path(__file__).parent
CAMPAIGN = pytest.mark.campaign

FORTY_EIGHT = TINY.replace("seeds: 2", "seeds: 12").replace("[non_saturating,", "[non_saturating, minimax, wgan_clip,")
TWENTY_FOUR = FORTY_EIGHT.replace("seeds: 12", "seeds: 6").replace("steps: 60", "steps: 400")


# R1


@CAMPAIGN
def test_kills_of_driver_worker_or_both(tmp_path: Path) -> None:
    """R1: at random times of a grid of 24 runs, then the same command again."""
    bench, chance = Bench(tmp_path), random.Random(1)
    words = ("run", "--grid", bench.grid(TWENTY_FOUR, "kills"), "--way", "vmap")
    start = time.monotonic()
    assert bench(*words, "--out", "undisturbed").returncode == 0
    whole = time.monotonic() - start
    expected = frame_of(tmp_path / "undisturbed")
    assert expected["run_id"].nunique() == 24
    kills, hits, folders, survived = 30, 0, 0, 0
    for kill in range(kills):
        victim = ("driver", "worker", "both")[kill % 3]
        process = bench.start(*words, "--out", "out")
        time.sleep(chance.uniform(1.0, whole))
        family = [p.pid for w in children(process) for p in (w, *w.children(recursive=True))]
        targets = ([process.pid] if victim != "worker" else []) + ([*family[:1]] if victim != "driver" else [])
        if process.poll() is None:
            hits += 1
            for pid in targets:
                os.kill(pid, signal.SIGKILL)
        if victim == "worker":
            assert process.wait(300) == 0
        end(process)
        if bench("run", "--grid", "kills.yaml", "--out", "out", "--dry-run").stdout.count("24 of them done"):
            assert bench(*words, "--out", "out").returncode == 0
            pd.testing.assert_frame_equal(frame_of(tmp_path / "out"), expected, check_exact=True)
            folders += 1
            (tmp_path / "out").rename(tmp_path / f"out-{kill}")
        survived += 1
    assert bench(*words, "--out", "out").returncode == 0
    pd.testing.assert_frame_equal(frame_of(tmp_path / "out"), expected, check_exact=True)
    told("R1", kills, survived, f"{hits} met a process at work; {folders + 1} folders of 24 rows, every bit equal")
    assert hits >= kills // 2


# R4


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two mebibytes, where one can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def full_disk(bench: Bench, disk: Path, grid: Path, left: int) -> tuple[int, str]:
    """Fill the disk so that so many bytes are left, run, and give what the command said; then make room again."""
    stat = os.statvfs(disk)
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * max(0, stat.f_bavail * stat.f_frsize - left))
    before = {path: path.read_bytes() for path in (disk / "out").glob("runs/*.parquet")}
    done = bench("run", "--grid", grid, "--out", disk / "out", "--way", "vmap", "--workers", "1")
    assert all(path.read_bytes() == data for path, data in before.items())
    _, errors = records.load(disk / "out")
    assert not errors
    ballast.unlink()
    return done.returncode, done.stderr


@pytest.mark.parametrize("amount", [1, pytest.param(12, marks=CAMPAIGN)])
def test_a_full_disk_ends_cleanly_and_costs_nothing(tmp_path: Path, small_disk: Path, amount: int) -> None:
    """R4: so many moments at which a real file system runs full."""
    bench = Bench(tmp_path)
    grid = bench.grid(TINY.replace("seeds: 2", "seeds: 3"))
    chance, full = random.Random(amount), 0
    for moment in range(amount):
        left = 60_000 if amount == 1 else chance.choice([0, 4096]) + chance.randrange(150_000)
        code, said = full_disk(bench, small_disk, grid, left)
        assert code in (0, 2), said
        if code:
            full += 1
            lines = said.strip().splitlines()
            assert len(lines) == 1, said
            assert re.search(r"^bench: \S*disk\S*: No space left on device \(while publishing [0-9,]+ bytes\)", said), (
                said
            )
        if moment % 3 == 2:  # and now and then all of it again
            assert bench("run", "--grid", grid, "--out", small_disk / "out", "--way", "vmap").returncode == 0
            (tmp_path / f"kept-{moment}").mkdir()
            for path in (small_disk / "out").glob("*"):
                subprocess.run(["mv", str(path), str(tmp_path / f"kept-{moment}")], check=True)
            (small_disk / "out" / ".lock").unlink(missing_ok=True)
    done = bench("run", "--grid", grid, "--out", small_disk / "out", "--way", "vmap")
    assert done.returncode == 0, done.stderr
    assert frame_of(small_disk / "out")["run_id"].nunique() == 6
    told("R4-full", amount, amount, f"{full} ended with path and need in one line; resumed to 6 of 6 runs")
    assert full >= amount / 2


@pytest.mark.parametrize("amount", [pytest.param(8, marks=CAMPAIGN)])
def test_files_that_may_not_grow_end_cleanly(tmp_path: Path, amount: int) -> None:
    """R4 where nobody may mount: RLIMIT_FSIZE in the whole family of processes."""
    bench = Bench(tmp_path)
    grid = bench.grid()
    for moment in range(amount):
        limit = 2_000 + 6_000 * moment
        code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
        words = bench._words(["run", "--grid", grid, "--out", f"out-{moment}", "--way", "vmap"])
        words[2] = code + words[2]
        done = subprocess.run(words, cwd=tmp_path, env=bench.environment, capture_output=True, text=True, timeout=300)
        assert done.returncode in (0, 2), done.stderr
        if done.returncode:
            assert "File too large" in done.stderr
            assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        again = bench("run", "--grid", grid, "--out", f"out-{moment}", "--way", "vmap")
        assert again.returncode == 0, again.stderr
        assert frame_of(tmp_path / f"out-{moment}")["run_id"].nunique() == 4
    told("R4-limit", amount, amount, f"EFBIG ({errno.EFBIG}) at limits of 2 to {2 + 6 * (amount - 1)} kB")


# R5


@pytest.mark.parametrize("repeats", [pytest.param(20, marks=CAMPAIGN)])
def test_four_drivers_on_one_folder(tmp_path: Path, repeats: int) -> None:
    """R5: all start at once on a grid of 48 runs."""
    bench = Bench(tmp_path)
    grid = bench.grid(FORTY_EIGHT, "many")
    words = ("run", "--grid", grid, "--way", "vmap", "--workers", "1")
    trained = []
    for repeat in range(repeats):
        processes = [bench.start(*words, "--out", f"out-{repeat}") for _ in range(4)]
        said = []
        for process in processes:
            assert process.wait(300) == 0
            said.append(end(process))
        frame = frame_of(tmp_path / f"out-{repeat}")
        assert frame["run_id"].nunique() == 48
        assert not frame.duplicated(["run_id", "step"]).any()
        assert not {"drivers", "leases", "work"} & {path.name for path in (tmp_path / f"out-{repeat}").iterdir()}
        trained.append(sum(int(count) for text in said for count in re.findall(r": (\d+) ok; ", text)))
        assert trained[-1] == 48
    told("R5", repeats, repeats, f"48 rows each time, trained {min(trained)} to {max(trained)} times")


# R7


@pytest.mark.parametrize(
    ("kinds", "repeats"), [(("segfaults",), 1), pytest.param((*BAD,), 5, marks=CAMPAIGN)], ids=["sample", "all"]
)
def test_bad_runs_are_one_row_each_and_harm_no_other(tmp_path: Path, kinds: tuple[str, ...], repeats: int) -> None:
    """R7: a grid of 20 runs in which one of each kind goes wrong."""
    bench, timeout = Bench(tmp_path), 60
    good = 20 - len(kinds) if len(kinds) > 1 else 2
    rates = ", ".join(f"{1e-4 * (1 + index):.1e}" for index in range(good))
    objectives = f"[{{name: non_saturating, optimizer: {{lr: [{rates}]}}}}, {', '.join(kinds)}]"
    text = re.sub(r"objective: .*", f"objective: {objectives}", TINY).replace("seeds: 2", "seeds: 1")
    words = ("run", "--grid", bench.grid(text, "bad"), "--way", "vmap", "--plugin", HERE / "bad_objectives.py")
    survived = 0
    for repeat in range(repeats):
        out = tmp_path / f"out-{repeat}"
        done = bench(*words, "--out", out, "--timeout", str(timeout))
        assert done.returncode == 1, done.stdout + done.stderr
        last = frame_of(out).drop_duplicates("run_id", keep="last")
        assert len(last) == good + len(kinds)
        ends = dict(zip(last["objective"], last["status"], strict=True))
        assert {name: ends[name] for name in kinds} == {name: BAD[name][1] for name in kinds}
        assert (last["status"] == "ok").sum() == good + ("talks" in kinds)
        bad = last[last["status"].isin(records.FAILED)]
        assert bad["message"].str.len().gt(10).all()
        assert sum(path.stat().st_size for path in (out / "logs").iterdir()) < 20_000_000
        survived += len(kinds)
    told("R7", repeats * len(kinds), survived, "the other runs ok; a hang ends after the timeout; logs rotate")


@CAMPAIGN
def test_a_hang_ends_within_five_seconds_of_its_timeout(tmp_path: Path) -> None:
    bench, timeout = Bench(tmp_path), 20
    text = re.sub(r"objective: .*", "objective: hangs", TINY).replace("seeds: 2", "seeds: 1")
    grid = bench.grid(text, "bad")
    process = bench.start(
        "run", "--grid", grid, "--way", "vmap", "--plugin", HERE / "bad_objectives.py", "--timeout", str(timeout)
    )
    wait_for(lambda: list(tmp_path.glob("results/bad/work/*/state.way")), 120)
    start = time.monotonic()
    wait_for(lambda: list(tmp_path.glob("results/bad/runs/*.parquet")), 120)
    taken = time.monotonic() - start
    end(process)
    told("R7-hang", 1, int(taken < timeout + 5), f"cut {taken:.0f} s after it fell silent, timeout {timeout} s")
    assert taken < timeout + 5


# R14


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ((signal.SIGINT,), 130),
        ((signal.SIGINT, signal.SIGINT), 130),
        ((signal.SIGTERM,), 143),
        ((signal.SIGHUP,), 129),
    ],
    ids=["INT", "INT-INT", "TERM", "HUP"],
)
@CAMPAIGN
def test_signals(tmp_path: Path, signals: tuple[signal.Signals, ...], code: int) -> None:
    """R14: five times each; what was finished is published, nobody is left, and the command goes on."""
    bench, chance = Bench(tmp_path), random.Random(code)
    grid = bench.grid(TWENTY_FOUR.replace("steps: 400", "steps: 4000"), "slow")
    words = ("run", "--grid", grid, "--way", "vmap", "--out", "out")
    longest = 0.0
    for _ in range(5):
        process = bench.start(*words)
        wait_for(lambda: list((tmp_path / "out").glob("work/*/state.safetensors")))
        time.sleep(chance.uniform(0.0, 3.0))
        family = [p.pid for w in children(process) for p in (w, *w.children(recursive=True))]
        start = time.monotonic()
        for number in signals:
            process.send_signal(number)
            time.sleep(0.3)
        assert process.wait(60) in (code, 128 - code)  # where it had not begun, the signal itself ends it
        longest = max(longest, time.monotonic() - start)
        end(process)
        wait_for(lambda pids=family: gone(pids), 10)
        assert not records.load(tmp_path / "out")[1]
    names = "-".join(number.name.removeprefix("SIG") for number in signals)
    told(f"R14-{names}", 5, 5, f"exit code {code}, at most {longest:.1f} s, no process left")
    assert longest < 20


# R19


def test_exit_codes(tmp_path: Path) -> None:
    """R19: the codes as the README has them; 130 is tested with the signals."""
    bench = Bench(tmp_path)
    text = re.sub(r"objective: .*", "objective: {name: minimax, optimizer: {lr: 1.0e+38}}", TINY)
    text = text.replace("seeds: 2", "seeds: 1")
    words = ("run", "--grid", bench.grid(text, "wild"), "--out", "wild", "--way", "vmap")
    found = Counter({"diverged": bench(*words).returncode, "strict": bench(*words, "--strict").returncode})
    found["bad grid"] = bench("run", "--grid", bench.grid("objective: none", "bad")).returncode
    found["bad shard"] = bench(*words, "--shard", "3/2").returncode
    assert found == {"diverged": 0, "strict": 1, "bad grid": 2, "bad shard": 2}
    told("R19", 4, 4, "; ".join(f"{name}: {code}" for name, code in found.items()))
