"""A Ray cluster on this machine, for tests: several real nodes, of which some can be killed.

As a script it is the cluster itself, a process apart from the drivers that use it: it prints the head's address, does
what the lines of its input say, and ends with its input.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from commands import Bench

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # nodes and drivers meet at 127.0.0.1, and listen nowhere else
    "RAY_worker_niceness": "0",
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "500",
    "RAY_health_check_failure_threshold": "3",
}
STORE_BYTES = 80 << 20

_CLONE_NEWNS = 0x00020000


class Training(Bench):
    """For drivers on such a cluster; without the report, which takes longer than a small grid."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment |= ENVIRONMENT

    def _words(self, words: Sequence[str | Path]) -> list[str]:
        python, flag, code, *rest = super()._words(words)
        lazily = "from bench import lazy_torch; lazy_torch.install()"
        quick = f"{lazily}; from bench.launch import run; run.report = lambda *_, **__: 0; sys.exit("
        return [python, flag, code.replace("sys.exit(", quick), *rest]


class Cluster:
    """Nodes with one CPU each, used as a context.

    Args:
        nodes: how many to begin with, the head among them.
        environment: of all their processes; drivers need ``ENVIRONMENT`` too.
        hidden: a folder that all nodes but the head find empty.
    """

    def __init__(self, nodes: int, environment: dict[str, str], hidden: Path | None = None) -> None:
        # Not in pytest's folder: there is little room in the paths of sockets.
        self._folder = tempfile.TemporaryDirectory(prefix="ray-")
        words = [sys.executable, __file__, str(nodes), self._folder.name]
        if hidden is not None:
            hidden.mkdir()
            words = ["unshare", "--user", "--map-root-user", "--mount", *words, str(hidden)]
        self._words = words
        self._environment = {**environment, **ENVIRONMENT}

    def __enter__(self) -> Cluster:
        self._process = subprocess.Popen(
            self._words, env=self._environment, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.address = self._answer()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=120)
        self._folder.cleanup()

    def tell(self, word: str) -> None:
        """``kill`` a node, ``add`` one, or kill the ``head``."""
        assert self._process.stdin
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        assert self._answer() == word

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


def serve(nodes: int, folder: str, hidden: str = "") -> None:
    """Be the cluster."""
    from ray.cluster_utils import Cluster as Nodes

    place = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "temp_dir": folder, "object_store_memory": STORE_BYTES}
    cluster = Nodes(initialize_head=True, head_node_args={"include_dashboard": False, **place})
    if hidden:
        _hide(hidden)
    others = [cluster.add_node(**place) for _ in range(nodes - 1)]
    print(cluster.address, flush=True)
    for line in sys.stdin:
        match line.strip():
            case "kill":
                cluster.remove_node(others.pop(0), allow_graceful=False)
            case "add":
                others.append(cluster.add_node(**place))
            case "head":
                cluster.remove_node(cluster.head_node, allow_graceful=False)
        print(line.strip(), flush=True)
    cluster.shutdown()


def _hide(folder: str) -> None:
    """From the processes that this one begins from now on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) or libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, None):
        raise OSError(ctypes.get_errno(), "cannot hide a folder")


if __name__ == "__main__":
    serve(int(sys.argv[1]), *sys.argv[2:])
