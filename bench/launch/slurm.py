"""The batch file of a plain Slurm array: each task does one shard of a grid, all of them in one results folder.

What Slurm does to a task needs no care beyond that folder: a task that was cancelled, requeued or out of time has saved
its work, and whoever does its shard next goes on from there.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.errors import UserError
from bench.launch import LOGS

SECONDS_TO_SAVE = 90
"""How long before the time limit a task is asked to save and end."""

_FORMS = {
    "--time": (
        r"\d{1,7}|(\d{1,4}-)?\d{1,4}(:\d{1,2}){0,2}",
        "a time as Slurm writes it: minutes, 8:00:00, 2-00:00:00",
    ),
    "--mem": (r"\d{1,9}[KMGT]?", "a size as Slurm writes it: 4000M, 16G"),
    "--partition": (r"\w[\w.,-]{0,199}", "the name of a partition, or several with commas"),
    "--account": (r"\w[\w.-]{0,99}", "the name of an account"),
}
"""What may stand in a line for Slurm, which no shell quotes, by option."""


def script(
    words: Sequence[str],
    *,
    grid: Path,
    out: Path,
    tasks: int,
    time: str,
    cpus: int = 1,
    gpu: bool = False,
    memory: str | None = None,
    partition: str | None = None,
    account: str | None = None,
) -> str:
    """The text of a file for ``sbatch`` that does a grid in an array of tasks, each with some cores or a GPU.

    Further ``words`` for ``run`` may take the place of its choice of workers and device, but not of grid, folder and
    shard. The number of shards is written into the file, so that ``sbatch --array=3,7 FILE`` does just those again.

    Raises:
        UserError: a number is below 1, or something cannot stand in a line for Slurm.
    """
    for name, number in (("tasks", tasks), ("cpus", cpus)):
        if number < 1:
            raise UserError(f"--{name} is a whole number from 1, not {number}")
    asked = {
        "--job-name": re.sub(r"[^A-Za-z0-9._-]+", "-", f"bench-{grid.stem}")[:64],
        "--array": f"1-{tasks}",
        "--nodes": "1",
        "--ntasks": "1",
        "--cpus-per-task": str(cpus),
        "--gres": "gpu:1" if gpu else None,
        "--time": _checked("--time", time),
        "--mem": _checked("--mem", memory),
        "--partition": _checked("--partition", partition),
        "--account": _checked("--account", account),
        "--output": _log(out),
        "--open-mode": "append",  # a task that was requeued goes on in the same log
        "--signal": f"B:TERM@{SECONDS_TO_SAVE}",
        "--requeue": "",
    }
    lines = (f"#SBATCH {option}{value and f'={value}'}" for option, value in asked.items() if value is not None)
    orders = "\n".join(lines)
    where = ["--device", "cuda"] if gpu else ["--device", "cpu", "--workers", str(cpus)]
    begin = shlex.join([sys.executable, "-m", "bench", "run", *where, *words, "--grid", str(grid), "--out", str(out)])
    return f"""\
#!/bin/bash
{orders}
set -eu
cd -- {shlex.quote(str(Path.cwd()))}
export OMP_NUM_THREADS=1
# In the shell's own place, where the signal before the time limit goes; it reaches no worker.
exec {begin} --shard "$SLURM_ARRAY_TASK_ID/{tasks}"
"""


def _checked(option: str, value: str | None) -> str | None:
    form, meaning = _FORMS[option]
    if value is not None and not re.fullmatch(form, value, re.ASCII):
        raise UserError(f"{value[:40]!r} cannot be given to Slurm as {option}: write {meaning}")
    return value


def _log(out: Path) -> str:
    """Slurm's own words and the driver's, a file a task; where the folder is missing, Slurm ends tasks in silence."""
    folder = out.absolute() / LOGS
    if "\\" in str(folder) or not str(folder).isprintable():
        raise UserError(f"{str(folder)!r}: Slurm writes no log into a folder of this name; choose another with --out")
    folder.mkdir(parents=True, exist_ok=True)
    name = str(folder).replace("%", "%%")
    return shlex.quote(f"{name}/slurm-%A-%a.log")
