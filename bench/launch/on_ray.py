"""Launch on a Ray cluster: each unit is a task, which supervises a worker process where it is, as ``local`` does here.

The project's own code goes with the job; Ray, torch and the other packages must be installed on every node. A node that
sees the results folder publishes there and goes on from checkpoints; one that does not sends its records back, and
they are published here once they have been read and found whole.

A node may be lost at any time, which costs its units another beginning and no row. What goes wrong inside of a worker
process comes back as data, and is no matter of Ray's. Without the head of the cluster the launch ends; what is
finished stays, and any launch goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import ROOT, footprint, records
from bench.cell import Unit
from bench.errors import UserError, first_line
from bench.launch import LOGS
from bench.launch.local import PATIENCE_SECONDS, Interrupted, Signals
from bench.launch.progress import Display
from bench.launch.queue import Queue
from bench.launch.ray_node import PULSE_SECONDS, Files, Office, do
from bench.launch.worker import Done, Failed, Full, Orders, Progress, Saying

LOOK_SECONDS = 2.0
"""How often one looks which nodes there are, and whether the head is."""

HEAD_SECONDS = 15.0
"""How long the head may be out of reach, as while it begins anew."""

AHEAD = 2
"""Units that wait for a place: no place waits for a unit, and a cluster that grows by demand sees some."""

NODES = 10
"""How many nodes a unit may lose before it is taken for the cause."""

OWN = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    # What Ray does where a machine can be no part of a cluster, and so must not be reached: all it binds is loopback.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_worker_niceness": "0",  # as the workers of a local launch
}
"""The environment of a cluster of this machine's own."""

STORE_BYTES = 100 << 20
"""Of the shared memory of a cluster of this machine's own, where next to nothing is sent."""


class _NodeLost:
    """The node of a task is gone, with what it did."""


def launch(
    queue: Queue,
    orders: Orders,
    *,
    address: str | None,
    workers: int,
    gpu_fraction: float | None,
    timeout: float | None,
    display: Display,
    driver: str,
) -> None:
    """Do all units of the queue on the cluster, or, without an address, on one of this machine's own.

    Args:
        queue, orders, timeout, display, driver: as for ``local.launch``.
        address: of the cluster's head, or ``auto`` for the cluster that this machine is part of.
        workers: processes of a cluster of this machine's own; another has as many as it has CPUs or GPUs.
        gpu_fraction: of a GPU, which a unit takes on CUDA; more than one unit shares it where this is below 1.

    Raises:
        Interrupted: a signal asked to stop.
        UserError: there is no such cluster, its head is gone, a node cannot do work, or there is no room for results.
    """
    share = gpu_fraction or 1.0 if orders.device == "cuda" else None
    with _connected(address, workers):
        cluster, signals = _Cluster(orders, share, timeout, driver), Signals()
        crew = _Crew(queue, orders, display, cluster)
        with signals.caught():
            while not (queue.finished() or signals.received or crew.full):
                crew.attend()
            crew.dismiss(signals.received)
    if signals.received:
        raise Interrupted(signals.received[0])
    if crew.full:
        raise UserError(f"{crew.full}; what was finished is intact: free some room, and the same command goes on")


class _Crew:
    """Units on their way between the queue and the cluster."""

    def __init__(self, queue: Queue, orders: Orders, display: Display, cluster: _Cluster) -> None:
        self.queue, self.orders, self.display, self.cluster = queue, orders, display, cluster
        self.nodes_lost: Counter[str] = Counter()
        self.full = ""

    def attend(self) -> None:
        """Hand out work, hear how it goes, and settle what has ended."""
        room = self.cluster.places() + AHEAD
        while len(self.cluster.units) < room and (unit := self.queue.next()) is not None:
            self.cluster.begin(unit)
        self.settle(self.cluster.ended())
        self.hear()
        self.queue.tell()

    def hear(self) -> None:
        for unit, message in self.cluster.heard():
            match message:
                case Progress(share):
                    self.display.advance(unit, share)
                case Saying(text):
                    self.display.say(text)

    def settle(self, ended: Sequence[tuple[Unit, Any, Files]]) -> None:
        for unit, end, files in ended:
            _keep_log(files, self.orders.folder)
            match end:
                case Done():
                    fault = _publish(unit, files, self.orders.folder)
                    if fault:
                        self.queue.lost(unit, f"with records that cannot be used: {fault}")
                    else:
                        self.queue.done(unit, end)
                case Failed():
                    self.queue.failed(unit, end)
                case Full(message):
                    self.full = message
                case _NodeLost() | None:
                    self.begin_again(unit)
                case str(cause):
                    self.queue.lost(unit, cause)

    def begin_again(self, unit: Unit) -> None:
        self.nodes_lost[unit.id] += 1
        if self.nodes_lost[unit.id] > NODES:
            self.queue.lost(unit, f"with its node, {NODES} times before")
        else:
            self.display.say(f"a node of the cluster is lost; {unit.id} begins again")
            self.cluster.begin(unit)

    def dismiss(self, signals: list[int]) -> None:
        """Let workers save and end; a second signal, or too long a wait, ends the patience."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with contextlib.suppress(UserError):  # the cluster may be on its way out, too
            self.cluster.stop()
            while self.cluster.units and time.monotonic() < deadline and len(signals) < 2:
                # Nothing is begun again now, and what failed may do so next time.
                self.settle([(unit, end, files) for unit, end, files in self.cluster.ended() if isinstance(end, Done)])


class _Cluster:
    """The tasks on a cluster, each with a share of a GPU, or with one CPU where that is None.

    Whatever Ray says once the cluster's head is gone ends as one UserError.
    """

    def __init__(self, orders: Orders, share: float | None, timeout: float | None, driver: str) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        context = ray.get_runtime_context()
        self._address = context.gcs_address
        # On the node of the driver: it lasts as long as there is somebody to tell.
        here = NodeAffinitySchedulingStrategy(context.get_node_id(), soft=False)
        lasting: dict[str, Any] = {"max_restarts": -1, "max_task_retries": -1}
        office: Any = ray.remote(num_cpus=0, **lasting)(Office)
        self._office = office.options(scheduling_strategy=here).remote()
        self._news = self._office.hear.remote()
        # Lost nodes are seen to by the crew, which knows when to stop: Ray would go on without end where memory lacks.
        need: dict[str, Any] = {"num_cpus": 1.0} if share is None else {"num_cpus": 0.0, "num_gpus": share}
        self._task = ray.remote(max_retries=0, **need)(do)
        self._told = (ray.put(orders), driver, self._office, timeout)
        self._share = share
        self._places = self._memory = 0
        self._looked, self._seen = -LOOK_SECONDS, time.monotonic()
        self.units: dict[Any, Unit] = {}

    def places(self) -> int:
        """How many units can be at work at once."""
        import ray

        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            if self._reachable():
                with self._headless():
                    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
                kind, need = ("CPU", 1.0) if self._share is None else ("GPU", self._share)
                self._places = sum(int(node.get(kind, 0) / need + 1e-6) for node in nodes)
                self._memory = max((int(node.get("memory", 0)) for node in nodes), default=0)
        return self._places

    def begin(self, unit: Unit) -> None:
        task = self._task
        if self._share is None:  # a node takes no more than it has memory for; what none has it for, the largest tries
            need = footprint.memory(unit.runs[0].cell.settings, len(unit.runs), "cpu")
            task = task.options(memory=min(need, self._memory) or None)
        with self._headless():
            self.units[task.remote(unit, *self._told)] = unit

    def ended(self) -> list[tuple[Unit, Any, Files]]:
        """Those that have, after a short wait: with what came of the unit, ``_NodeLost``, or the cause of its loss."""
        import ray

        if not self.units:
            time.sleep(PULSE_SECONDS)
            return []
        with self._headless():
            references, _ = ray.wait(list(self.units), num_returns=1, timeout=PULSE_SECONDS)
        return [(self.units.pop(reference), *self._end(reference)) for reference in references]

    def heard(self) -> list[tuple[Unit, Progress | Saying]]:
        import ray

        with self._headless():
            ready, _ = ray.wait([self._news], timeout=0)
            if not ready:
                return []
            told = ray.get(self._news)
            self._news = self._office.hear.remote()
        units = {unit.id: unit for unit in self.units.values()}
        return [(units[name], message) for name, message in told if name in units]

    def stop(self) -> None:
        """Let the tasks save, and end."""
        with self._headless():
            self._office.stop.remote()

    def _end(self, reference: Any) -> tuple[Any, Files]:
        import ray
        from ray import exceptions

        try:
            return ray.get(reference)  # type: ignore[no-any-return]
        except (exceptions.NodeDiedError, exceptions.LocalRayletDiedError, exceptions.ObjectLostError):
            return _NodeLost(), Files()
        except exceptions.OutOfMemoryError:
            return Failed("oom", "the node had no memory left, and Ray ended the task"), Files()
        except exceptions.WorkerCrashedError:
            return "with its Ray process", Files()
        except (exceptions.RayTaskError, exceptions.RuntimeEnvSetupError, exceptions.TaskUnschedulableError) as error:
            cause = getattr(error, "cause", None) or error
            if isinstance(cause, exceptions.RayError):  # the task could not speak to us
                return _NodeLost(), Files()
            advice = "install the project's packages on every node, the same versions"
            raise UserError(f"a node of the Ray cluster cannot do work ({first_line(cause)}); {advice}") from error
        except (exceptions.RayError, OSError) as error:
            raise self._gone() from error

    def _reachable(self) -> bool:
        """Whether the head answers; raises a UserError where it has not for long. Ray itself ends the process then."""
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=LOOK_SECONDS).close()
        except OSError as error:
            if time.monotonic() - self._seen > HEAD_SECONDS:
                raise self._gone() from error
            return False
        self._seen = time.monotonic()
        return True

    @contextlib.contextmanager
    def _headless(self) -> Iterator[None]:
        from ray.exceptions import RayError

        try:
            yield
        except (RayError, OSError, TimeoutError) as error:
            raise self._gone() from error

    def _gone(self) -> UserError:
        return UserError(
            f"the Ray cluster at {self._address} is gone; what was finished is published, and the same command goes on "
            "from here, on another cluster or with --launch local"
        )


@contextlib.contextmanager
def _connected(address: str | None, workers: int) -> Iterator[None]:
    """Part of the cluster at the address, or of one of this machine's own, which ends with the context."""
    if address is None:
        os.environ.update(OWN)  # before the import, which looks at them
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # others on this machine reach loopback too
    try:
        import ray
    except ImportError as error:
        raise UserError(f"--launch ray needs Ray ({first_line(error)}): pip install -e '.[ray]'") from error
    modules = [str(ROOT / name) for name in ("bench", "objectives", "datasets")]
    code = {"py_modules": modules, "worker_process_setup_hook": "bench.lazy_torch.install"}
    silent: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    # Not where TMPDIR says, which may be far down: there is little room in the paths of sockets.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        own: dict[str, Any] = {"_node_ip_address": "127.0.0.1", "_temp_dir": folder, "include_dashboard": False}
        size: dict[str, Any] = {"num_cpus": workers, "object_store_memory": STORE_BYTES}
        if address is not None:
            _check(address)
        try:
            ray.init(address or "local", runtime_env=code, **silent, **({} if address else {**own, **size}))
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            reason = " ".join(str(error).split())[:300]
            raise UserError(f"--launch ray{f' --ray-address {address}' if address else ''}: {reason}") from error
        try:
            yield
        finally:
            ray.shutdown()


def _check(address: str) -> None:
    """Refuse an address where nobody answers, which Ray would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise UserError(f"--ray-address {address}: auto, or host:port of the head; and from a node of the cluster")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=HEAD_SECONDS).close()
    except OSError as error:
        raise UserError(f"--ray-address {address}: nobody answers there ({first_line(error)})") from error


def _publish(unit: Unit, files: Files, folder: Path) -> str:
    """Publish what a node has sent and is not there; gives what is wrong with it, if anything is."""
    missing = [run.id for run in unit.runs if not records.has(folder, run.id)]
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        draft = Path(name)
        for run_id in missing:
            record, samples = files.runs.get(run_id, (b"", None))
            for kind, suffix, data in ((records.SAMPLES, "safetensors", samples), (records.RUNS, "parquet", record)):
                if data is not None:
                    records.publish_bytes(data, draft / kind / f"{run_id}.{suffix}")
            try:
                records.load_run(draft / records.RUNS / f"{run_id}.parquet")
                records.load_samples(draft, run_id)
            except records.RecordError as error:
                return f"{run_id}: {error.reason}"
        for path in sorted(draft.glob("*/*"), reverse=True):  # samples first: it is the record that says "finished"
            records.publish_bytes(path.read_bytes(), folder / path.relative_to(draft))
    return ""


def _keep_log(files: Files, folder: Path) -> None:
    name, data = files.log
    if data:
        with contextlib.suppress(OSError):  # nobody waits for a log
            (folder / LOGS).mkdir(exist_ok=True)
            with (folder / LOGS / Path(name).name).open("ab") as log:
                log.write(data)
