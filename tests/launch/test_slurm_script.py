"""The batch file for Slurm: read by bash, by shellcheck, and by an interpreter that says what it was given."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Bench

from bench.errors import UserError
from bench.launch.slurm import script

HOSTILE = "a b'c\"d$(touch canary)`touch canary`;touch canary\n#SBATCH --uid=0\n%j*~"

REPORTER = f"""\
#!{sys.executable}
import json, os, sys
print(json.dumps([sys.argv[1:], os.getcwd(), os.getpid(), os.environ["OMP_NUM_THREADS"]]))
"""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an ugly name to work in, with an interpreter in it that only reports."""
    folder = tmp_path / 'it\'s a "$HOME" #1'
    folder.mkdir()
    monkeypatch.chdir(folder)
    interpreter = folder / "py thon"
    interpreter.write_text(REPORTER)
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    return folder


def asked(text: str) -> dict[str, str]:
    """What the lines for Slurm ask, of which bash's own rules unquote the values."""
    lines = re.findall(r"^#SBATCH (--[a-z-]+)=?(.*)$", text, re.MULTILINE)
    return {option: "".join(shlex.split(value)) for option, value in lines}


def begin(text: str, task: str = "3") -> tuple[list[str], str, int, str]:
    """Run the file as a task of an array and give what the interpreter was told."""
    process = subprocess.Popen(
        ["bash", "-s"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/",
        env={**os.environ, "SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": "1"},
    )  # fmt: skip
    output, _ = process.communicate(text, timeout=30)
    words, folder, pid, threads = json.loads(output)
    assert pid == process.pid, "the signal before the time limit goes to the shell's process, which must be ours"
    return words, folder, pid, threads


def test_each_task_gets_the_words_that_were_given_however_they_are_spelt(written: Path) -> None:
    grid, out = Path(f"{HOSTILE}.yaml"), Path("out put%j")
    text = script(["--set", HOSTILE, "--workers", "2"], grid=grid, out=out, tasks=8, time="1:00:00", cpus=4)
    words, folder, _, threads = begin(text)
    assert words == [
        "-m", "bench", "run", "--device", "cpu", "--workers", "4", "--set", HOSTILE, "--workers", "2",
        "--grid", str(grid), "--out", str(out), "--shard", "3/8",
    ]  # fmt: skip
    assert folder == str(written)
    assert threads == "1"
    assert not list(written.rglob("canary"))
    assert not Path("/canary").exists()


def test_slurm_is_asked_for_what_a_task_needs(written: Path) -> None:
    text = script(
        [], grid=Path("tiny.yaml"), out=Path("o%ut"), tasks=8, time="2-00:00:00", cpus=4, gpu=True, memory="16G",
        partition="short,long", account="lab.7",
    )  # fmt: skip
    logs = f"{written}/o%%ut/logs"
    assert asked(text) == {
        "--job-name": "bench-tiny", "--array": "1-8", "--nodes": "1", "--ntasks": "1", "--cpus-per-task": "4",
        "--gres": "gpu:1", "--time": "2-00:00:00", "--mem": "16G", "--partition": "short,long", "--account": "lab.7",
        "--output": f"{logs}/slurm-%A-%a.log", "--open-mode": "append", "--signal": "B:TERM@90", "--requeue": "",
    }  # fmt: skip
    assert (written / "o%ut" / "logs").is_dir(), "Slurm ends a task in silence whose log has no folder"
    assert begin(text)[0][3:5] == ["--device", "cuda"]
    plain = asked(script([], grid=Path("tiny.yaml"), out=Path("out"), tasks=1, time="60"))
    assert not {"--gres", "--mem", "--partition", "--account"} & plain.keys()


def test_no_line_for_slurm_comes_from_a_name(written: Path) -> None:
    text = script([HOSTILE], grid=Path(f"{HOSTILE}.yaml"), out=Path("out"), tasks=2, time="60")
    head = text.partition("\nset -eu\n")[0].splitlines()
    assert head[0] == "#!/bin/bash"
    assert all(line.startswith("#SBATCH --") for line in head[1:])
    assert not any("uid" in line for line in head if "job-name" not in line)


@pytest.mark.parametrize("command", [["bash", "-n"], ["shellcheck", "--severity=warning", "-"]])
def test_others_find_nothing_wrong_with_it(written: Path, command: list[str]) -> None:
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    for words in ([], ["--set", HOSTILE]):
        text = script(words, grid=Path("tiny.yaml"), out=Path("out"), tasks=2, time="60", cpus=2)
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_prints_it_and_finds_mistakes_before_a_job_has_waited(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    words = ("slurm-script", "--grid", bench.grid(), "--tasks", "2", "--time", "60")
    done = bench(*words, "--partition", "short", "--", "--way", "vmap", "--seeds", "3")
    assert done.returncode == 0, done.stderr
    assert asked(done.stdout)["--output"] == f"{tmp_path}/results/tiny/logs/slurm-%A-%a.log"
    assert asked(done.stdout)["--partition"] == "short"
    assert "--way vmap --seeds 3 --grid" in done.stdout
    wrong = bench(*words, "--", "--sedes", "3")
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1
    assert "'--seeds'" in wrong.stderr


def test_outside_an_array_it_does_nothing(written: Path) -> None:
    text = script([], grid=Path("tiny.yaml"), out=Path("out"), tasks=2, time="60")
    plain = {name: value for name, value in os.environ.items() if name != "SLURM_ARRAY_TASK_ID"}
    done = subprocess.run(["bash", "-s"], input=text, capture_output=True, text=True, env=plain, timeout=30)
    assert done.returncode != 0
    assert not done.stdout
    assert "SLURM_ARRAY_TASK_ID" in done.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("tasks", 0), ("cpus", -1), ("time", "soon"), ("time", "1:00\n#SBATCH --uid=0"), ("time", ""),
        ("memory", "16 G"), ("memory", "16G\n"), ("partition", "a b"), ("partition", "--wrap=x"), ("account", "a;b"),
        ("account", "\n"), ("out", Path("a\nb")), ("out", Path("a\\b")), ("out", Path("a\x1b[2J")),
    ],
)  # fmt: skip
def test_what_slurm_would_misread_is_one_line(written: Path, option: str, value: object) -> None:
    good: dict[str, object] = {"grid": Path("tiny.yaml"), "out": Path("out"), "tasks": 2, "time": "60"}
    with pytest.raises(UserError) as error:
        script([], **{**good, option: value})  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)
    assert f"--{option}" in str(error.value).replace("--mem ", "--memory ").replace("--mem:", "--memory:")
    assert not list(written.glob("a*"))
