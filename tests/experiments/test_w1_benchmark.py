"""The W1 benchmark: readings of critics in closed form, a critic that learns, tables beside published numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from at_work import context

from bench import records
from bench.cell import SCHEMA_VERSION, Run, Unit
from bench.experiments import Result, make_cell
from bench.experiments.w1_benchmark import COLUMNS, W1_BENCHMARK, readings
from bench.networks import Network
from bench.pairs.funnels import Funnels
from bench.report import view, w1_benchmark
from bench.report.tables import Quoted, markdown
from bench.settings import SettingError
from bench.statistics import Estimate

RAW = {
    "objective": "wgan_lp", "pair": {"name": "funnels", "dim": 3}, "steps": 50, "batch_size": 64,
    "critic": {"name": "mlp", "depth": 1, "width": 32}, "optimizer": {"name": "adam", "lr": 1e-2},
    "observe": {"observations": 2}, "probe": {"n": 300},
}  # fmt: skip
CONSTRAINED = {**RAW["critic"], "constraint": "orthonormal", "activation": "group_sort"}


def run(raw: dict[str, Any], work: Path, seeds: int = 2) -> list[Result]:
    cell = make_cell(W1_BENCHMARK, W1_BENCHMARK.resolve(raw))
    return W1_BENCHMARK.run(Unit(tuple(Run(cell, seed) for seed in range(seeds))), context(work))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Result]]:
    work = tmp_path_factory.mktemp("work")
    return {
        "wgan_lp": run(RAW, work / "penalty"),
        "orthonormal, group_sort": run(
            {**RAW, "objective": {"name": "wgan_clip", "clip": 1e9}, "critic": CONSTRAINED}, work / "constraint"
        ),
    }


def linear(slopes: list[list[float]]) -> dict[str, torch.Tensor]:
    return {"slope": torch.tensor(slopes)}


LINEAR = Network(lambda generator: {}, lambda own: lambda x: x @ own["slope"] + 7)


def test_readings_of_linear_critics_are_those_of_the_formulas() -> None:
    rng = np.random.default_rng(0)
    real, fake, optimal = (rng.normal(size=(3, 50, 2)) for _ in range(3))
    slopes = np.array([[1.0, 2.0], [-0.5, 0.25], [0.0, 0.0]])
    found = readings(LINEAR, {"slope": torch.tensor(slopes)}, *map(torch.tensor, (real, fake, optimal)))
    for r, slope in enumerate(slopes):
        size, g = np.linalg.norm(slope), optimal[r]
        assert float(found["w1_estimate"][r]) == pytest.approx(slope @ (real[r].mean(0) - fake[r].mean(0)))
        assert float(found["gradient_l2_error"][r]) == pytest.approx(((slope - g) ** 2).sum(1).mean())
        assert float(found["largest_slope"][r]) == pytest.approx(size)
        cosine = (g @ slope / np.linalg.norm(g, axis=1)).mean() / size if size else 0.0
        assert float(found["gradient_cosine"][r]) == pytest.approx(cosine)
        field = (g @ slope).mean() / (size * np.sqrt((g**2).sum(1).mean())) if size else math.nan
        assert float(found["gradient_field_cosine"][r]) == pytest.approx(field, nan_ok=True)


def test_the_optimal_critic_has_no_error_and_its_mirror_image_every_one() -> None:
    pair = Funnels(dim=8)
    fake, real = pair.transport(500, torch.Generator().manual_seed(0))
    u = Network(lambda generator: {}, lambda own: lambda x: own["sign"] * pair.potential(x))
    laws = [law.double().expand(2, -1, -1) for law in (real, fake, -pair.potential_gradient(real))]
    found = {name: values.tolist() for name, values in readings(u, {"sign": torch.tensor([-1.0, 1.0])}, *laws).items()}
    length = float((fake - real).norm(dim=1).mean())
    assert found["w1_estimate"] == pytest.approx([length, -length], rel=1e-6)
    for name in ("gradient_cosine", "gradient_field_cosine"):
        assert found[name] == pytest.approx([1, -1])
    assert found["gradient_l2_error"] == pytest.approx([0, 4])
    assert found["largest_slope"] == pytest.approx([1, 1])


def test_a_critic_learns_the_distance_and_the_gradient(results: dict[str, list[Result]]) -> None:
    for one in results["wgan_lp"]:
        first, last = one.rows[0], one.rows[-1]
        assert [row["step"] for row in one.rows] == [0, 50]
        assert last["w1_estimate"] > first["w1_estimate"] + 0.3
        assert last["gradient_cosine"] > max(0.4, first["gradient_cosine"])
        assert last["relative_error"] == pytest.approx((last["w1_estimate"] - last["w1_true"]) / last["w1_true"])
        assert last["w1_true"] == Funnels(dim=3).wasserstein()
        assert set(COLUMNS) <= last.keys()
    for one in results["orthonormal, group_sort"]:
        assert one.rows[-1]["largest_slope"] <= 1 + 1e-5
        assert 0.05 < one.rows[-1]["w1_estimate"] < one.rows[-1]["w1_true"] * 1.1


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"pair": {"name": "two_gaussians"}}, ("pair", "name")),
        ({"pair": {"name": "funnels", "dims": 2}}, ("pair", "dims")),
        ({"probe": {"n": 1}}, ("probe", "n")),
        ({"latent": {"dim": 2}}, ("latent",)),
    ],
)
def test_wrong_settings_are_refused_where_they_stand(wrong: dict[str, Any], path: tuple[str, ...]) -> None:
    with pytest.raises(SettingError) as caught:
        W1_BENCHMARK.resolve({**RAW, **wrong})
    assert caught.value.path == path


@pytest.fixture(scope="module")
def shown(results: dict[str, list[Result]], tmp_path_factory: pytest.TempPathFactory) -> view.View:
    """The records with a manifest that quotes a paper, read back."""
    folder = tmp_path_factory.mktemp("shown")
    for one in (one for runs in results.values() for one in runs):
        records.publish(pd.DataFrame([{"grid": "w1", **row} for row in one.rows]), folder)
    cells = [runs[0].run.cell for runs in results.values()]
    quoted = {"gradient_cosine": [0.96, None], "relative_error": [0.06, None]}
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "grid": "w1",
        "cells": [{"cell_id": cell.id, "settings": cell.settings, "seeds": [0, 1]} for cell in cells],
        "published": [{"source": "A paper", "where": {"pair.dim": 3, "objective": "wgan_lp"}, "values": quoted}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return view.read(folder)


def test_the_table_has_means_over_seeds_and_the_published_numbers_below(
    shown: view.View, results: dict[str, list[Result]]
) -> None:
    [table] = w1_benchmark.tables(shown)
    [part] = table.parts
    assert part.title == "3 dimensions"
    assert sorted(row.entries[0] for row in part.rows if not row.aside) == sorted(results)
    keys = [heading.key for heading in table.headings]
    below = dict(zip([row.entries[0] for row in part.rows], part.rows[1:], strict=False))
    for row in part.rows:
        if row.aside:
            continue
        entries = dict(zip(keys, row.entries, strict=True))
        for name in ("w1_estimate", "gradient_cosine", "gradient_l2_error"):
            entry = entries[name]
            assert isinstance(entry, Estimate)
            ends = [one.rows[-1][name] for one in results[str(row.entries[0])]]
            assert (entry.value, entry.n) == (pytest.approx(np.mean(ends)), 2)
        assert entries["w1_true"] == Funnels(dim=3).wasserstein()
    quoted = dict(zip(keys, below["wgan_lp"].entries, strict=True))
    assert (quoted["gradient_cosine"], quoted["relative_error"]) == (Quoted(0.96), Quoted(0.06))
    text = markdown(table)
    assert "A paper" in text
    assert "wgan_clip with clip = 1e+09" in text


def test_the_figure_has_a_filled_and_a_hollow_mark_where_there_is_a_number(
    shown: view.View, results: dict[str, list[Result]]
) -> None:
    agreement, curves = w1_benchmark.drawings(shown, lambda cell, seed: None)
    cosines = agreement.figure.axes[0]
    ends = {np.mean([one.rows[-1]["gradient_cosine"] for one in runs]) for runs in results.values()}
    marks = {line.get_marker(): [] for line in cosines.lines}
    for line in cosines.lines:
        marks[line.get_marker()] += list(line.get_ydata())
    assert sorted(marks["o"]) == pytest.approx(sorted(ends))
    assert marks["D"] == [0.96]
    assert [axes.get_ylabel() for axes in curves.figure.axes] == ["relative error", "cosine", "largest slope"]
