"""Arrays of shards on a real Slurm of two nodes: cancelled, requeued, out of time, without a daemon, without a node."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from commands import Bench, frame_of
from slurm import Cluster, lacking, until
from table import told

from bench import ROOT

pytestmark = pytest.mark.campaign

TASKS = 2

LIMIT = 60
"""Seconds that a fault may make anybody wait."""

LONG_WAIT = 3600
"""Seconds for work that takes two minutes on two idle cores."""

SLOW = """\
seeds: 1
steps: 300
batch_size: [16, 24, 32, 40]
dataset: ring
objective: [slow_minimax, slow_non_saturating]
generator: {name: mlp, depth: 1, width: 8}
critic: {name: mlp, depth: 1, width: 8}
evaluate: {observations: 3, n: 100, emd_n: 50}
"""
"""Eight runs of at least 15 seconds: a task is at work for longer than Slurm takes to see a node die. No two of them
have a graph in common, so that each is a unit of its own, whose bits no other can change."""

WORDS = ("--plugin", str(Path(__file__).with_name("slow_objectives.py")), "--way", "vmap")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two idle nodes."""
    if reason := lacking():
        pytest.skip(reason)
    with Cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture
def nodes(cluster: Cluster) -> Iterator[Cluster]:
    """The two nodes for a test, whatever the one before has done to them."""
    until(cluster.idle, LIMIT)
    yield cluster
    cluster.mend()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The grid, and its results without Slurm and without shards."""
    bench = Bench(tmp_path_factory.mktemp("undisturbed"))
    process = bench.start("run", "--grid", bench.grid(SLOW, "slow"), "--out", "undisturbed", *WORDS)
    output = process.communicate(timeout=LONG_WAIT)[0]
    assert process.returncode == 0, output
    return bench


class Array:
    """A grid as an array of tasks, with a results folder of its own."""

    def __init__(self, cluster: Cluster, grid: Path, out: Path, *words: str) -> None:
        self.cluster, self.out = cluster, out
        command = [sys.executable, "-m", "bench", "slurm-script", "--grid", grid, "--out", out, "--tasks", str(TASKS)]
        done = subprocess.run([*command, "--time", "1:00:00", "--", *words], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        self.file = grid.parent / "array.sh"
        self.file.write_text(done.stdout)

    def begin(self) -> str:
        """Submit it, and wait until each task has something to lose; gives the job's id."""
        job = self.cluster.submit(self.file)
        until(lambda: len(list(self.out.glob("work/*/state.safetensors"))) == TASKS, LONG_WAIT)
        assert {task["JobState"] for task in self.cluster.tasks(job).values()} == {"RUNNING"}
        return job

    def end(self, job: str) -> None:
        """Wait until all tasks have come to a good end."""
        until(lambda: not self.cluster.running(job), LONG_WAIT)
        ends = {(task["JobState"], task["ExitCode"]) for task in self.cluster.tasks(job).values()}
        assert ends == {("COMPLETED", "0:0")}, self.log()

    def records(self) -> dict[str, int]:
        """When each was written."""
        return {path.name: path.stat().st_mtime_ns for path in (self.out / "runs").glob("*.parquet")}

    def log(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.out.glob("logs/slurm-*.log")))


def cancelled(array: Array, job: str) -> float:
    array.cluster.ask("scancel", job)
    seconds = until(lambda: not array.cluster.running(job), LIMIT)
    assert {task["JobState"] for task in array.cluster.tasks(job).values()} == {"CANCELLED"}
    kept = {path: path.read_bytes() for path in array.out.glob("work/*/state.safetensors")}
    array.end(array.cluster.submit(array.file, "--array=1"))
    left = {path: path.read_bytes() for path in kept if path.exists()}
    assert 0 < len(left) < len(kept), "the first task has done its part, and thrown away what the second had saved"
    assert left.items() <= kept.items()
    return seconds


def requeued(array: Array, job: str) -> float:
    tasks = array.cluster.tasks(job)
    for index in tasks:
        array.cluster.ask("scontrol", "requeue", f"{job}_{index}")
    seconds = until(lambda: all(begun_again(array, job, index) for index in tasks), LIMIT)
    array.end(job)
    return seconds


def out_of_time(array: Array, job: str) -> float:
    for task in array.cluster.tasks(job).values():
        array.cluster.ask("scontrol", "update", f"JobId={task['JobId']}", "TimeLimit=2")
    seconds = until(lambda: not array.cluster.running(job), LIMIT)
    assert {task["ExitCode"] for task in array.cluster.tasks(job).values()} == {"143:0"}
    assert array.log().count("the same command goes on from here") == TASKS
    return seconds


def without_daemon(array: Array, job: str) -> float:
    """The task on the node goes on, and Slurm begins it a second time on the other."""
    index = index_on(array, job, "n2")
    array.cluster.kill_daemon("n2")
    seconds = until(lambda: begun_again(array, job, index), LIMIT)
    array.end(job)
    return seconds


def without_node(array: Array, job: str) -> float:
    index = index_on(array, job, "n2")
    array.cluster.power_off("n2")
    seconds = until(lambda: begun_again(array, job, index), LIMIT)
    array.end(job)
    return seconds


def begun_again(array: Array, job: str, index: str) -> bool:
    task = array.cluster.tasks(job)[index]
    return task["Restarts"] == "1" and task["JobState"] in ("RUNNING", "COMPLETING", "COMPLETED")


def index_on(array: Array, job: str, node: str) -> str:
    (index,) = (index for index, task in array.cluster.tasks(job).items() if task["NodeList"] == node)
    return index


@pytest.mark.parametrize("fault", [cancelled, requeued, out_of_time, without_daemon, without_node])
def test_no_fault_of_slurm_costs_a_row_or_changes_a_bit(
    nodes: Cluster, undisturbed: Bench, tmp_path: Path, fault: Callable[[Array, str], float]
) -> None:
    """R9: each fault meets both tasks at work; whatever the array has left, the array again does."""
    array = Array(nodes, undisturbed.folder / "slow.yaml", tmp_path / "out", *WORDS)
    job = array.begin()
    struck = len(array.records())
    seconds = fault(array, job)
    before = array.records()
    array.end(nodes.submit(array.file))
    assert before.items() <= array.records().items(), "a record was written twice"
    found, expected = frame_of(array.out), frame_of(undisturbed.folder / "undisturbed")
    assert not found.duplicated(["run_id", "step"]).any()
    assert len(array.records()) == expected["run_id"].nunique() == 8
    assert struck < 8
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert (array.out / "report.html").exists()
    assert not (array.out / "leases").exists()
    assert not (array.out / "work").exists()
    note = f"{fault.__name__}: {struck} of 8 runs done when struck, {seconds:.0f} s until tasks had ended or were back"
    told("R9", 1, 1, note)


def test_slurm_reads_an_ugly_name_as_it_is(nodes: Cluster, undisturbed: Bench, tmp_path: Path) -> None:
    out = tmp_path / "a b#c'd%e\"f$g;é"
    array = Array(nodes, undisturbed.folder / "slow.yaml", out, *WORDS, "--dry-run")
    array.end(nodes.submit(array.file))
    assert array.log().count("slow: 8 cells x 1 seeds") == TASKS
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
