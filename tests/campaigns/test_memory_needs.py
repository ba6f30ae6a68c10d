"""What units are said to take, in memory and on disk, against what real workers and their evaluators took."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from commands import Bench, end
from table import told

from bench import footprint
from bench.grid import load_grid

pytestmark = pytest.mark.campaign

LEAST, MOST = 0.8, 3.0

IMAGES = {"batch_size": 64, "latent": {"dim": 32}, "steps": 4}


def _mlp(width: int) -> dict[str, object]:
    network = {"name": "mlp", "depth": 3, "width": width}
    return {"dataset": "ring", "generator": network, "critic": network, "steps": 4}


def _images(dataset: str, network: str, width: int) -> dict[str, object]:
    own = {"name": network, "width": width}
    return {"dataset": dataset, "generator": own, "critic": own, **IMAGES}


KINDS: dict[str, tuple[int, dict[str, object]]] = {
    "small mlp, 1 replica": (1, _mlp(64)),
    "small mlp, 16 replicas": (16, _mlp(64)),
    "wide mlp, 1 replica": (1, _mlp(1024)),
    "wide mlp, 4 replicas": (4, _mlp(1024)),
    "wide mlp, penalty, 4 replicas": (4, {**_mlp(1024), "objective": "wgan_gp"}),
    "large batch, 4 replicas": (4, {**_mlp(256), "batch_size": 4096}),
    "large batch, penalty, 4 replicas": (4, {**_mlp(256), "batch_size": 4096, "objective": "wgan_gp"}),
    "5,000 samples, 16 replicas": (16, {**_mlp(64), "evaluate": {"observations": 4, "n": 5000, "emd_n": 500}}),
    "EMD of 3,000, 1 replica": (1, {**_mlp(64), "evaluate": {"observations": 1, "n": 3000, "emd_n": 3000}}),
    "8x8, 16 replicas, penalty": (16, {**_images("digits", "dcgan", 32), "objective": "wgan_gp"}),
    "8x8x3, 4 replicas": (4, _images("stacked_digits", "unrolled_conv", 8)),
    "28x28, 1 replica": (1, _images("mnist_5k", "dcgan", 32)),
    "28x28, 4 replicas, penalty": (4, {**_images("mnist_5k", "dcgan", 32), "objective": "wgan_gp"}),
    "28x28 residual, 1 replica, penalty": (1, {**_images("mnist_5k", "resnet", 16), "objective": "wgan_gp"}),
}
SAMPLES = {"observations": 1, "n": 500, "emd_n": 500}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of all runs: judges are trained once."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("kind", KINDS)
def test_estimates_lie_between_the_truth_and_three_times_that(tmp_path: Path, cache: Path, kind: str) -> None:
    replicas, settings = KINDS[kind]
    n = {**SAMPLES, "n": 200, "emd_n": 200} if "8x8" in kind and "28" not in kind else SAMPLES
    grid = {"seeds": replicas, "objective": "non_saturating", "evaluate": n, **settings}
    bench = Bench(tmp_path)
    bench.environment["XDG_CACHE_HOME"] = str(cache)
    path = bench.grid(json.dumps(grid))  # JSON is YAML too
    cell = load_grid(path).cells[0].settings
    process = bench.start("run", "--grid", path, "--out", "out", "--workers", 1, "--way", "vmap", "--device", "cpu")
    peaks, at_work = _watch(process, tmp_path / "out" / "work")
    said = end(process)
    assert process.returncode == 0, said
    files = [file for folder in ("runs", "samples") for file in (tmp_path / "out" / folder).iterdir()]
    disk = footprint.disk(cell)
    ratios = {
        "memory": footprint.memory(cell, replicas, "cpu") / sum(peaks.values()),
        "left": disk.left * replicas / sum(512 * file.stat().st_blocks for file in files),
        "at work": (disk.unit + replicas * disk.at_work) / at_work,
    }
    words = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    right = {name: LEAST <= ratio <= MOST for name, ratio in ratios.items()}
    told("R7-memory", 1, int(right["memory"]), f"{kind}: {sum(peaks.values()) / 1e9:.2f} GB; estimate / truth: {words}")
    assert all(right.values()), words


def _watch(process: subprocess.Popen[str], work: Path) -> tuple[dict[int, int], int]:
    """The peak of resident bytes of each worker and evaluator, as the kernel keeps it, and the most bytes at work."""
    driver, peaks, most = psutil.Process(process.pid), dict[int, int](), 0
    while process.poll() is None:
        for child in driver.children(recursive=True):
            if peak := _peak(child.pid):
                peaks[child.pid] = max(peaks.get(child.pid, 0), peak)
        most = max(most, _bytes(work))
        time.sleep(0.02)
    return peaks, most


def _peak(pid: int) -> int:
    """Of a process that `multiprocessing` made and that lives, else 0."""
    try:
        if b"spawn_main" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return 0
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _bytes(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):  # it has just got its name, or gone
            total += 0 if file.is_dir() else file.stat().st_size
    return total
