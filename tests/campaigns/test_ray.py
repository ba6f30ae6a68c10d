"""A Ray cluster of three nodes that are killed: no row is lost, none is doubled, no bit changes; nobody else gets in.

With ``BENCH_CAMPAIGNS`` set, the numbers of the large grid are kept in ``results/campaigns/ray.json``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pandas as pd
import psutil
import pytest
from commands import end, frame_of, gone, wait_for
from ray_cluster import Cluster, Training
from table import told

from bench import ROOT, records

pytestmark = pytest.mark.campaign

KILLS = 5
LIMIT_SECONDS = 20.0
"""From a kill to the end of the grid, of runs that take a core a second: it holds on two cores without other work."""

TWENTY_FOUR = """\
seeds: 1
steps: 600
batch_size: [8, 16, 24]
dataset: ring
objective: [non_saturating, minimax, wgan_clip, {name: wgan_gp, critic_steps: 2}]
generator: {name: mlp, depth: 1, width: [8, 16]}
critic: {name: mlp, depth: 1, width: 8}
evaluate: {observations: 4, n: 200, emd_n: 100}
"""
"""Of unlike networks or batches, so that each run is a unit of its own, and its bits do not depend on the plan."""

SHORT = TWENTY_FOUR.replace("steps: 600", "steps: 60")
TWO_HUNDRED = TWENTY_FOUR.replace("seeds: 1", "seeds: 25").replace("[8, 16, 24]", "16")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Training]:
    bench = Training(tmp_path_factory.mktemp("ray"))
    bench.grid(TWENTY_FOUR, "small")
    done = bench("run", "--grid", "small.yaml", "--out", "local", "--way", "vmap", "--workers", "2")
    assert done.returncode == 0, done.stderr
    return bench


def start(bench: Training, out: str, *words: str, grid: str = "small.yaml") -> subprocess.Popen[str]:
    return bench.start("run", "--grid", grid, "--out", out, "--way", "vmap", "--launch", "ray", *words)


def finished(folder: Path) -> int:
    return len(records.finished(folder))


def last_record(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder / "runs").glob("*.parquet"))


def equal(out: Path, expected: Path) -> None:
    found = frame_of(out)
    assert not found.duplicated(["run_id", "step"]).any()
    pd.testing.assert_frame_equal(found, frame_of(expected), check_exact=True)


def test_a_node_killed_while_it_works(bench: Training) -> None:
    """R8: of three nodes, at a random time, ungracefully; each time another takes its place for the next grid."""
    chance, hits, seconds = random.Random(8), 0, list[float]()
    bench.grid(SHORT, "short")
    done = bench("run", "--grid", "short.yaml", "--out", "undisturbed", "--way", "vmap", "--workers", "2")
    assert done.returncode == 0, done.stderr
    with Cluster(3, bench.environment) as cluster:
        for kill in range(KILLS):
            out = bench.folder / f"out-{kill}"
            process = start(bench, out.name, "--ray-address", cluster.address, grid="short.yaml")
            wait_for(lambda out=out: finished(out) >= 4, 300)
            time.sleep(chance.uniform(0.0, 2.0))
            killed = time.time()
            cluster.tell("kill")
            assert process.wait(1500) == 0, end(process)
            hits += "a node of the cluster is lost" in end(process)
            equal(out, bench.folder / "undisturbed")
            seconds.append(last_record(out) - killed)
            cluster.tell("add")
    assert hits >= KILLS // 2, "the kills met no node at work"
    in_time = sum(each <= LIMIT_SECONDS for each in seconds)
    spans = f"done {min(seconds):.0f} to {max(seconds):.0f} s after the kill"
    told("R8", KILLS, in_time, f"{hits} of the nodes were at work; no row lost, none doubled, no bit changed; {spans}")
    assert in_time == KILLS


def test_the_head_killed(bench: Training) -> None:
    """R8: the launch ends in one line, and the grid is finished locally."""
    out = bench.folder / "headless"
    with Cluster(3, bench.environment) as cluster:
        process = start(bench, out.name, "--ray-address", cluster.address)
        wait_for(lambda: finished(out) >= 2, 300)
        before = finished(out)
        cluster.tell("head")
        begun = time.monotonic()
        assert process.wait(120) == 2
        seconds = time.monotonic() - begun
    lines = [line for line in end(process).splitlines() if line.startswith("bench: ")]
    assert len(lines) == 1
    assert "the Ray cluster at 127.0.0.1" in lines[0]
    assert 2 <= before < 24
    done = bench("run", "--grid", "small.yaml", "--out", out.name, "--way", "vmap", "--workers", "2")
    assert done.returncode == 0, done.stderr
    equal(out, bench.folder / "local")
    told("R8", 1, 1, f"head killed: the driver ended after {seconds:.0f} s; the grid was finished locally")


def test_nothing_listens_but_on_loopback_and_a_signal_ends_all(bench: Training) -> None:
    """S10: a cluster of this machine's own, which nobody joins without its token; R14: its end by Ctrl-C."""
    out = bench.folder / "own"
    process = start(bench, out.name, "--workers", "2")
    wait_for(lambda: finished(out) >= 1, 300)
    family = {child.pid: child for child in psutil.Process(process.pid).children(recursive=True)}
    sockets = [connection for connection in psutil.net_connections("inet") if connection.status == psutil.CONN_LISTEN]
    ours = [(connection.pid, connection.laddr) for connection in sockets if connection.pid in {process.pid, *family}]
    assert len(ours) >= 4, "what is looked for is found: at least a control store, a node and two workers"
    hosts = {ip_address(laddr.ip.removeprefix("::ffff:")) for _, laddr in ours}
    assert all(host.is_loopback for host in hosts), hosts
    assert 8265 not in {laddr.port for _, laddr in ours}, "the dashboard"
    (head,) = (laddr.port for pid, laddr in ours if pid in family and family[pid].name() == "gcs_server")
    stranger = subprocess.Popen(
        [sys.executable, "-c", f"import ray; ray.init(address='127.0.0.1:{head}')"],
        env=bench.environment, cwd=bench.folder, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert stranger.stderr
    assert any("Authentication token is missing" in line for line in stranger.stderr)
    stranger.kill()
    stranger.communicate()
    assert finished(out) < 24
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    assert "stopped by SIGINT" in end(process)
    wait_for(lambda: gone(sorted(family)), 20)
    done = bench("run", "--grid", "small.yaml", "--out", out.name, "--way", "vmap", "--workers", "2")
    assert done.returncode == 0, done.stderr
    equal(out, bench.folder / "local")
    told("S10", len(ours), len(ours), f"listening sockets, all on {', '.join(map(str, sorted(hosts)))}")


def test_a_grid_of_two_hundred_runs(bench: Training) -> None:
    """By local launch, on two nodes, and on three of which one is killed in the middle."""
    bench.grid(TWO_HUNDRED, "large")
    seconds, words = {}, ("--grid", "large.yaml", "--way", "vmap", "--workers", "24")

    def timed(out: str, process: subprocess.Popen[str], begun: float) -> None:
        assert process.wait(1500) == 0, end(process)
        seconds[out] = last_record(bench.folder / out) - begun
        end(process)

    two = ("run", *words[:4], "--workers", "2", "--out")
    timed("by_local", bench.start(*two, "by_local"), time.time())
    with Cluster(2, bench.environment) as cluster:
        begun = time.time()
        timed("by_two", bench.start(*two, "by_two", "--launch", "ray", "--ray-address", cluster.address), begun)
    with Cluster(3, bench.environment) as cluster:
        out, begun = bench.folder / "by_three", time.time()
        process = bench.start("run", *words, "--out", out.name, "--launch", "ray", "--ray-address", cluster.address)
        wait_for(lambda: finished(out) >= 80, 1500)
        cluster.tell("kill")
        killed, before = time.time(), finished(out)
        timed(out.name, process, begun)
    equal(bench.folder / "by_two", bench.folder / "by_local")
    frame = frame_of(out)
    told_of = {
        "runs": 200,
        "rows_of_runs_after_the_kill": int(frame["run_id"].nunique()),
        "duplicates": int(frame.duplicated(["run_id", "step"]).sum()),
        "runs_finished_at_the_kill": before,
        "seconds_from_kill_to_end": round(last_record(out) - killed, 1),
        "seconds_three_nodes_one_killed": round(seconds["by_three"], 1),
        "seconds_two_local_processes": round(seconds["by_local"], 1),
        "seconds_two_nodes": round(seconds["by_two"], 1),
        "overhead_seconds_per_run": round((seconds["by_two"] - seconds["by_local"]) / 200, 3),
        "cores": len(os.sched_getaffinity(0)),
    }
    print(json.dumps(told_of, indent=1))
    assert told_of["rows_of_runs_after_the_kill"] == 200
    assert told_of["duplicates"] == 0
    if os.environ.get("BENCH_CAMPAIGNS"):
        path = ROOT / "results" / "campaigns" / "ray.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(told_of, indent=1) + "\n")
    told(
        "R8",
        1,
        1,
        f"of 200 runs {before} were done at the kill, the rest {told_of['seconds_from_kill_to_end']} s after",
    )
