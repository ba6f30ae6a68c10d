"""A real Slurm of two nodes on this machine, from Debian's packages, without accounting and without munge."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

NODES = ("n1", "n2")

PACKAGES = "slurmctld slurmd slurm-client slurm-wlm-basic-plugins libhwloc15"

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "squeue", "sinfo")

# A credential lives for cred_expire seconds, and for so long a task that was requeued waits. Tasks go to the node with
# the least to do, so that both have some.
CONFIGURATION = """\
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU,CR_LLN
SchedulerParameters=sched_interval=5
SlurmdParameters=config_overrides
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
SlurmdTimeout=10
KillWait=30
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmdLogFile={folder}/%n.log
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmctldPidFile={folder}/slurmctld.pid
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class Cluster:
    """The two nodes, used as a context; at its end nothing of them is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Cluster:
        (self.folder / "state").mkdir(parents=True)
        text = CONFIGURATION.format(
            folder=self.folder, host=socket.gethostname(), user=getpass.getuser(), ports=_free_ports(3)
        )
        (self.folder / "slurm.conf").write_text(text)
        self._start("slurmctld", "-D", "-c")
        for node in NODES:
            self._power_on(node)
        with ExitStack() as undone:
            undone.push(self.__exit__)
            until(self.idle, 60)
            undone.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for node in NODES:
            self.power_off(node)
        self._end("slurmctld")

    def ask(self, *words: str | Path) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def submit(self, file: Path, *words: str) -> str:
        """The id of the job."""
        return self.ask("sbatch", "--parsable", *words, file)

    def tasks(self, job: str) -> dict[str, dict[str, str]]:
        """What Slurm knows of the tasks of an array, by index."""
        lines = self.ask("scontrol", "show", "job", "-o", job).splitlines()
        told = [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines]
        return {task["ArrayTaskId"]: task for task in told}

    def running(self, job: str) -> bool:
        return any(task["JobState"] in ("RUNNING", "COMPLETING", "PENDING") for task in self.tasks(job).values())

    def idle(self) -> bool:
        """Both nodes wait for work."""
        return self.ask("sinfo", "-h", "-N", "-o", "%T").split() == ["idle", "idle"]

    def kill_daemon(self, node: str) -> None:
        """The node's slurmd is killed; its tasks go on."""
        self._end(node)

    def power_off(self, node: str) -> None:
        """Nothing on the node goes on."""
        self._end(node)
        log = str(self.folder / f"{node}.log")
        daemons = [process for process in psutil.process_iter(["name"]) if "slurmstepd" in process.info["name"]]
        daemons = [process for process in daemons if log in _files(process)]
        family = [process for daemon in daemons for process in (daemon, *daemon.children(recursive=True))]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=10)

    def mend(self) -> None:
        """Nothing is left to do, and what was killed begins again."""
        self.ask("scancel", "--me")
        for node in NODES:
            if self._daemons[node].poll() is not None:
                self._power_on(node)

    def _power_on(self, node: str) -> None:
        self._start("slurmd", "-D", "-N", node, name=node)

    def _start(self, program: str, *words: str, name: str | None = None) -> None:
        with (self.folder / f"{name or program}.out").open("ab") as output:
            self._daemons[name or program] = subprocess.Popen(
                [_found(program) or program, *words], env=self.environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def _end(self, name: str) -> None:
        self._daemons[name].kill()
        self._daemons[name].wait()


def lacking() -> str:
    """Why there can be no such cluster here; nothing where there can."""
    missing = [program for program in PROGRAMS if not _found(program)]
    if missing:
        return f"a real Slurm needs {', '.join(missing)}: apt-get install {PACKAGES}"
    return "a slurmd needs root" if os.getuid() else ""


def until(condition: Callable[[], object], seconds: float) -> float:
    """Wait until a function says so, and give how many seconds it took; each look costs Slurm a process."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() < begin + seconds, "it did not happen in time"
        time.sleep(0.5)
    return time.monotonic() - begin


def _found(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _files(process: psutil.Process) -> list[str]:
    with suppress(psutil.NoSuchProcess):
        return [file.path for file in process.open_files()]
    return []


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
