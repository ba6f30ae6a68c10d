"""Shards: every run in exactly one of them, whatever the ids and however many shards."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from commands import TINY
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from table import told

from bench.errors import UserError
from bench.grid import load_grid
from bench.launch.shard import Shard


def parts(ids: list[str], count: int) -> list[list[str]]:
    return [[*filter(Shard(index, count).has, ids)] for index in range(1, count + 1)]


@pytest.mark.parametrize("pairs", [40, pytest.param(1000, marks=pytest.mark.campaign)])
def test_the_union_is_the_grid_and_no_two_shards_meet(pairs: int) -> None:
    tried = set()

    @settings(max_examples=pairs, deadline=None, database=None, derandomize=True)
    @given(st.integers(1, 64), st.integers(0, 300))
    @example(1, 300)
    @example(64, 1)
    @example(64, 0)
    def split(count: int, size: int) -> None:
        tried.add((count, size))
        ids = [f"ring-{size:x}-s{seed}" for seed in range(size)]
        found = parts(ids, count)
        assert sum(map(len, found)) == size
        assert set().union(*found) == set(ids)

    split()
    assert len(tried) >= pairs
    told("R9", len(tried), len(tried), "pairs of (shards, runs): union = grid, intersections empty")


@pytest.mark.parametrize("examples", [40, pytest.param(2000, marks=pytest.mark.campaign)])
def test_any_id_has_one_place_which_finer_shards_keep(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, database=None)
    @given(st.text(max_size=80), st.integers(1, 40), st.integers(1, 5))
    def place(run_id: str, count: int, finer: int) -> None:
        (index,) = [index for index in range(1, count + 1) if Shard(index, count).has(run_id)]
        # A number modulo a multiple of n tells the number modulo n.
        (inner,) = [index for index in range(1, count * finer + 1) if Shard(index, count * finer).has(run_id)]
        assert (inner - 1) % count == index - 1
        assert Shard.parse(str(Shard(index, count))) == Shard(index, count)

    place()
    told("R18", examples, examples, "shards: one place for any id, kept by finer shards; text and back")


def test_the_place_is_that_of_the_hash_as_others_compute_it() -> None:
    for run_id in ("ring-minimax-0123456789-s0", "é", ""):
        made = subprocess.run(["sha256sum"], input=run_id.encode(), capture_output=True, check=True).stdout
        number = int(made[:12], 16)
        assert [index for index in range(1, 8) if Shard(index, 7).has(run_id)] == [number % 7 + 1]


def test_the_runs_of_a_grid_spread_evenly(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    ids = [run.id for run in load_grid(tmp_path / "tiny.yaml", [], 200).runs()]
    sizes = [len(part) for part in parts(ids, 8)]
    assert sum(sizes) == len(set(ids)) == 400
    assert sum((size - 50) ** 2 / 50 for size in sizes) < chi2.ppf(1 - 1e-4, 7)


@pytest.mark.parametrize(
    "text", ["", "3", "0/8", "9/8", "1/0", "-1/8", "1/8/", " 1/8", "1/8\n", "1.0/8", "١/٨", "1/" + "9" * 5000]
)
def test_what_is_no_shard_is_one_line(text: str) -> None:
    with pytest.raises(UserError) as error:
        Shard.parse(text)
    assert "I/N" in str(error.value)
    assert len(str(error.value)) < 200
    assert "\n" not in str(error.value)
