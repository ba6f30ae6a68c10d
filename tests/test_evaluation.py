"""Samples judged in files: what each metric takes, and floors that are computed once for all who share them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy import stats

from bench import evaluation
from bench.evaluation import evaluate, evaluate_floor, largest_solve

NAMES, SETTINGS, VERSIONS = ["modes", "emd"], {"emd_n": 30}, {"modes": 1, "emd": 1}


def real_file(path: Path, seeds: list[int], std: float = 0.5) -> Path:
    """Two modes on a line, so that the distance is that of sorted samples."""
    drawn = [np.random.default_rng(seed).normal(size=(2, 40, 1)) for seed in seeds]
    known = {"means": np.array([[-1.0], [1.0]]), "std": np.array(std), "weights": np.full(2, 0.5)}
    save_file({"reference": np.stack([x for x, _ in drawn]), "fresh": np.stack([x for _, x in drawn]), **known}, path)
    return path


@pytest.fixture
def solved(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was computed, and not read."""
    calls: list[Any] = []
    whole = evaluation.compute_all
    monkeypatch.setattr(evaluation, "compute_all", lambda *given: calls.append(given) or whole(*given))
    return calls


def test_each_metric_has_its_seconds_and_all_have_their_sum(tmp_path: Path) -> None:
    real = real_file(tmp_path / "real", [0, 1])
    rows = evaluate(real, "fresh", real, NAMES, SETTINGS, tmp_path / "rows.json")
    for row in rows:
        assert {name for name in row if name.endswith("_seconds")} == {"modes_seconds", "emd_seconds", "metric_seconds"}
        assert row["metric_seconds"] == row["modes_seconds"] + row["emd_seconds"] > 0
    assert evaluate(Path("gone"), "fresh", Path("gone"), NAMES, SETTINGS, tmp_path / "rows.json") == rows


def test_a_floor_is_that_of_the_fresh_samples_and_costs_nothing(tmp_path: Path) -> None:
    floors = evaluate_floor(real_file(tmp_path / "real", [3, 4]), NAMES, SETTINGS, VERSIONS, tmp_path / "shared")
    for seed, floor in zip((3, 4), floors, strict=True):
        reference, fresh = np.random.default_rng(seed).normal(size=(2, 40))
        assert floor["emd_floor"] == pytest.approx(stats.wasserstein_distance(reference[:30], fresh[:30]), rel=1e-12)
        assert not [name for name in floor if "seconds" in name]


def test_a_seeds_floor_is_computed_once_for_all_units(tmp_path: Path, solved: list[Any]) -> None:
    shared = tmp_path / "shared"
    first = evaluate_floor(real_file(tmp_path / "one", [0, 1, 0]), NAMES, SETTINGS, VERSIONS, shared)
    assert len(solved) == 2
    assert first[0] == first[2] != first[1]
    second = evaluate_floor(real_file(tmp_path / "two", [2, 1]), NAMES, SETTINGS, VERSIONS, shared)
    assert len(solved) == 3
    assert second[1] == first[1]


@pytest.mark.parametrize("other", ["settings", "versions", "names", "truth"])
def test_a_floor_of_another_kind_is_another(tmp_path: Path, solved: list[Any], other: str) -> None:
    real = real_file(tmp_path / "real", [0])
    evaluate_floor(real, NAMES, SETTINGS, VERSIONS, tmp_path)
    names = ["emd"] if other == "names" else NAMES
    settings = {"emd_n": 29} if other == "settings" else SETTINGS
    versions = {"modes": 1, "emd": "1-abc"} if other == "versions" else VERSIONS
    evaluate_floor(
        real_file(tmp_path / "real", [0], 0.25) if other == "truth" else real, names, settings, versions, tmp_path
    )
    assert len(solved) == 2


@pytest.mark.parametrize(
    ("settings", "n"),
    [
        ({"n": 2500, "emd_n": 1000}, 1000),
        ({"n": 9000, "emd_n": 700, "emd_features_n": 8000}, 8000),
        ({"n": 750, "emd_n": 500, "emd_features_n": 1000}, 750),
        ({"observations": 3}, 0),
    ],
)
def test_the_largest_solve_that_settings_ask_for(settings: dict[str, int], n: int) -> None:
    assert largest_solve(settings) == n
