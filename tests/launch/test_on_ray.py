from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from commands import TINY, frame_of
from ray_cluster import Cluster, Training

from bench import records
from bench.cell import Cell, Run, Unit
from bench.errors import UserError
from bench.launch import on_ray, ray_node

SMALL = TINY.replace("observations: 4, n: 200, emd_n: 100", "observations: 2, n: 100, emd_n: 50")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Training]:
    bench = Training(tmp_path_factory.mktemp("ray"))
    done = bench("run", "--grid", bench.grid(SMALL), "--out", "local", "--way", "vmap", "--workers", "2")
    assert done.returncode == 0, done.stderr
    return bench


def unit_of(folder: Path) -> Unit:
    """Whose runs have the names of those that have a record there."""
    names = [run_id.rpartition("-s") for run_id in sorted(records.finished(folder))]
    return Unit(tuple(Run(_Named(name), int(seed)) for name, _, seed in names))


class _Named(Cell):
    def __init__(self, name: str) -> None:
        super().__init__("train", {}, {}, "")
        self.__dict__["id"] = name


def files_of(folder: Path, unit: Unit) -> dict[str, tuple[bytes, bytes | None]]:
    paths = {
        run.id: (folder / "runs" / f"{run.id}.parquet", folder / "samples" / f"{run.id}.safetensors")
        for run in unit.runs
    }
    return {name: (record.read_bytes(), samples.read_bytes()) for name, (record, samples) in paths.items()}


def test_a_cluster_computes_the_same_bits_whether_its_nodes_see_the_folder_or_not(bench: Training) -> None:
    out = bench.folder / "out"
    with Cluster(2, bench.environment, hidden=out) as cluster:
        done = bench("run", "--grid", "tiny.yaml", "--out", "out", "--way", "vmap", "--workers", "2",
                     "--launch", "ray", "--ray-address", cluster.address)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "4 runs in 2 units" in done.stdout
    assert done.stdout.count("a node does not see the results folder") == 1
    pd.testing.assert_frame_equal(frame_of(out), frame_of(bench.folder / "local"), check_exact=True)
    assert {path.name for path in (out / "samples").iterdir()} == {
        f"{name}.safetensors" for name in records.finished(out)
    }
    assert {path.name for path in out.iterdir()} <= {"runs", "samples", "logs", "manifest.json"}


def test_what_a_node_sends_is_published_once_it_is_found_whole(bench: Training, tmp_path: Path) -> None:
    unit = unit_of(bench.folder / "local")
    sent = files_of(bench.folder / "local", unit)
    first, second, *_ = sent
    assert on_ray._publish(unit, ray_node.Files(sent), tmp_path / "out") == ""
    pd.testing.assert_frame_equal(frame_of(tmp_path / "out"), frame_of(bench.folder / "local"), check_exact=True)
    there = (tmp_path / "out" / "runs" / f"{first}.parquet").stat().st_ino
    assert on_ray._publish(unit, ray_node.Files(sent), tmp_path / "out") == ""
    assert (tmp_path / "out" / "runs" / f"{first}.parquet").stat().st_ino == there, "what is there stays"
    record, samples = sent[second]
    assert samples is not None
    for bad in (
        {**sent, second: (record[:-50], samples)},
        {**sent, second: (record, samples[:-1] + bytes([samples[-1] ^ 1]))},
        {**sent, second: sent[first]},
        {name: files for name, files in sent.items() if name != second},
    ):
        assert on_ray._publish(unit, ray_node.Files(bad), tmp_path / "bad").startswith(second)
        assert not (tmp_path / "bad").exists(), "nothing of such a unit is published"


@pytest.mark.parametrize("address", ["nowhere", "ray://127.0.0.1:10001", "127.0.0.1", "127.0.0.1:1"])
def test_an_address_without_a_cluster_is_refused_at_once(address: str) -> None:
    with pytest.raises(UserError, match=f"^--ray-address {address}: "):
        on_ray._check(address)
