"""The experiment ``paths``: distances against closed forms, scipy and POT; paths against the networks themselves."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import ot
import pandas as pd
import pytest
import torch
from at_work import after, context
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from bench import records, seeding
from bench.cell import SCHEMA_VERSION, Run, Unit
from bench.distances import between_lines, divergences, shares
from bench.experiments.base import Stopped, make_cell
from bench.experiments.paths import PATHS, Generators
from bench.networks.mlp import Mlp
from bench.problem import Latent
from bench.report import paths as shown
from bench.report import view
from bench.settings import SettingError

FEW = {"points": 5, "halvings": 6, "n": 100, "histogram_n": 2000, "bins": 64, "coarsenings": 1}
LINES = {"probe": {"path": "lines", **FEW}}
CURVES = {
    "probe": {"path": "generator", **FEW},
    "generator": {"name": "mlp", "depth": 1, "width": 32, "activation": "tanh", "input_scale": 6.0},
    "latent": {"dim": 1, "law": "uniform"},
}
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two paths, two seeds, as a command would publish them."""
    folder = tmp_path_factory.mktemp("paths")
    cells = []
    for raw in (LINES, CURVES):
        cell = make_cell(PATHS, PATHS.resolve(raw))
        work = folder / "work" / cell.id
        work.mkdir(parents=True)
        cells.append({"cell_id": cell.id, "settings": cell.settings, "seeds": list(SEEDS)})
        for result in PATHS.run(Unit(tuple(Run(cell, seed) for seed in SEEDS)), context(work)):
            rows = [{"grid": "paths", **row, "git_commit": "0" * 40, "git_dirty": False} for row in result.rows]
            records.publish_samples(result.samples, folder, result.run.id)
            records.publish(pd.DataFrame(rows), folder)
    manifest = {"schema_version": SCHEMA_VERSION, "grid": "paths", "cells": cells}
    records.publish_bytes(json.dumps(manifest).encode(), folder / records.MANIFEST)
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, pd.DataFrame]:
    """The rows of each path."""
    rows, errors = records.load(folder)
    assert not errors
    return {str(name): part for name, part in rows.groupby("probe.path")}


def test_divergences_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(20), 2)
    p[:3] = q[5:7] = 0
    p, q = p / p.sum(), q / q.sum()
    both = (p > 0) & (q > 0)
    first, second = p[both] / p[both].sum(), q[both] / q[both].sum()
    for a, b in ((p, q), (first, second)):
        values = divergences(a, b)
        assert values["jensen_shannon"] == pytest.approx(jensenshannon(a, b) ** 2, rel=1e-12)
        assert values["kullback_leibler"] == pytest.approx(entropy(a, b), rel=1e-12)
        assert values["kullback_leibler_reverse"] == pytest.approx(entropy(b, a), rel=1e-12)
        assert values["total_variation"] == pytest.approx(np.maximum(a - b, 0).sum(), rel=1e-12)
    assert divergences(p, q)["kullback_leibler"] == math.inf
    assert divergences(first, second)["kullback_leibler"] < math.inf


def test_jensen_shannon_of_samples_of_one_law_is_about_a_quarter_of_bins_over_samples() -> None:
    rng = np.random.default_rng(1)
    p, q = rng.multinomial(4000, np.full(50, 1 / 50), size=(2, 400)) / 4000
    mean = np.mean([divergences(*pair)["jensen_shannon"] for pair in zip(p, q, strict=True)])
    assert mean == pytest.approx(49 / (4 * 4000), rel=0.05)


def test_shares_are_those_of_numpys_histogram() -> None:
    rng = np.random.default_rng(2)
    x, y, shift = rng.normal(size=(300, 2)), rng.normal(1, 2, size=(200, 2)), np.array([0.3, 0.8])
    edges = [(np.arange(-80, 81) - move) / 4 for move in shift]
    due = np.stack([np.histogram2d(*points.T, bins=edges)[0].ravel() / len(points) for points in (x, y)])
    np.testing.assert_allclose(np.stack(shares(x, y, 4, shift)), due[:, due.sum(0) > 0], rtol=1e-12)


@pytest.mark.parametrize("theta", [-0.7, 0.0, 0.25])
def test_closed_forms_of_parallel_lines(theta: float) -> None:
    """The lines as 300 points each: with one bin a point, what scipy and POT say of them is what holds in the limit."""
    z = np.linspace(0, 1, 300)
    lines = [np.stack([np.full_like(z, place), z], 1) for place in (0.0, theta)]
    values, uniform = between_lines(theta), np.full(300, 1 / 300)
    masses = [np.r_[uniform, np.zeros(300)], np.r_[np.zeros(300), uniform] if theta else np.r_[uniform, np.zeros(300)]]
    assert values["wasserstein"] == pytest.approx(ot.emd2(uniform, uniform, ot.dist(*lines, metric="euclidean")))
    assert values["jensen_shannon"] == pytest.approx(jensenshannon(*masses) ** 2)
    assert values["kullback_leibler"] == entropy(*masses)
    assert values["kullback_leibler_reverse"] == entropy(*masses[::-1])
    assert values["total_variation"] == pytest.approx(np.abs(np.subtract(*masses)).sum() / 2)


def test_lines_are_measured_as_the_closed_forms_say(found: dict[str, pd.DataFrame]) -> None:
    rows = found["lines"]
    assert sorted(set(rows["position"])) == sorted({0.0, *(s / 2**k for s in (-1, 1) for k in range(7))})
    theta, floor = rows["position"], rows["wasserstein_floor"]
    assert (floor > 0).all()
    assert ((rows["wasserstein"] - theta.abs()).abs() <= floor + 1e-9).all()
    np.testing.assert_allclose(rows["wasserstein_paired"], theta.abs(), atol=1e-6)
    np.testing.assert_allclose(rows["coupling"], theta.abs(), atol=1e-6)
    np.testing.assert_allclose(rows["wasserstein_closed"], theta.abs())
    far = rows[theta.abs() > 1 / 64]
    assert len(far) == len(SEEDS) * 12
    np.testing.assert_allclose(far["jensen_shannon[64]"], math.log(2))
    np.testing.assert_allclose(far["total_variation[64]"], 1)
    assert (far["kullback_leibler[64]"] == math.inf).all()  # as written to a record and read again
    same = rows[theta == 0]
    assert (same["jensen_shannon[64]"] < 3 * 64 / (4 * 2000)).all()
    assert (same["jensen_shannon[64]"] == same["jensen_shannon[64]_floor"]).all()


def test_no_divergence_of_fine_bins_tells_near_from_far_on_curves(found: dict[str, pd.DataFrame]) -> None:
    rows = found["generator"]
    assert (rows["wasserstein_paired"] <= rows["coupling"] + 1e-9).all()
    at = rows.groupby(rows["offset"].abs())[["wasserstein_paired", "jensen_shannon[64]"]].mean()
    near, far = at.loc[1 / 8], at.loc[1.0]
    assert 1 / 16 < near["wasserstein_paired"] / far["wasserstein_paired"] < 1 / 4
    assert near["jensen_shannon[64]"] > 0.7 * far["jensen_shannon[64]"]


@pytest.mark.parametrize(("d", "t"), [(-1.0, 0.0), (0.5, 0.75), (1.0, 1.0)])
def test_a_path_of_generators_is_between_the_networks_own_outputs(d: float, t: float) -> None:
    network, latent = Mlp(depth=2, width=8, activation="tanh").build((2,), (2,)), Latent(dim=2)
    path = Generators(network, latent, 5)
    ends = [network.init(seeding.generator(5, purpose)) for purpose in ("init_generator", "init_generator_end")]
    z = latent.sample(9, seeding.generator(5, "evaluation"))
    weights = [torch.lerp(ends[0][f"{k}.weight"], ends[1][f"{k}.weight"], t) for k in range(3)]
    biases = [torch.lerp(ends[0][f"{k}.bias"], ends[1][f"{k}.bias"], t) for k in range(3)]
    due = torch.tanh(torch.tanh(z @ weights[0].T + biases[0]) @ weights[1].T + biases[1]) @ weights[2].T + biases[2]
    assert path.position(d) == t
    drawn = path.sample(d, 9, seeding.generator(5, "evaluation"))
    torch.testing.assert_close(drawn, due, rtol=1e-5, atol=1e-6)
    if t in (0.0, 1.0):
        torch.testing.assert_close(drawn, network.apply(ends[int(t)], z), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("raw", "path", "words"),
    [
        ({"probe": {"path": "line"}}, ("probe", "path"), "'lines' or 'generator'"),
        ({"probe": {"path": "lines", "points": 4}}, ("probe",), "odd"),
        ({"probe": {"path": "lines", "n": 600, "histogram_n": 500}}, ("probe",), "600 > 500"),
        ({"probe": {"path": "lines", "bins": 8, "coarsenings": 2}}, ("probe",), "quartered"),
        ({"probe": {"path": "lines"}, "latent": {"dim": 1}}, ("latent",), "unknown setting .latent."),
        ({**CURVES, "latnet": {}}, ("latnet",), "latent"),
        ({**CURVES, "generator": {"name": "mlp", "norm": "batch"}}, ("generator", "norm"), "batch norm"),
    ],
)
def test_settings_that_cannot_be_are_refused(raw: dict[str, Any], path: tuple[str, ...], words: str) -> None:
    with pytest.raises(SettingError, match=words) as caught:
        PATHS.resolve(raw)
    assert caught.value.path == path


def test_a_stopped_unit_goes_on_from_the_runs_that_it_has_measured(tmp_path: Path) -> None:
    tiny = {**LINES["probe"], "points": 3, "halvings": 1, "n": 5, "histogram_n": 20}
    cell = make_cell(PATHS, PATHS.resolve({"probe": tiny}))
    unit = Unit(tuple(Run(cell, seed) for seed in SEEDS))
    with pytest.raises(Stopped):
        PATHS.run(unit, context(tmp_path, after(1)))
    (kept,) = tmp_path.iterdir()
    made = kept.stat().st_mtime_ns
    first, second = PATHS.run(unit, context(tmp_path))
    assert kept.stat().st_mtime_ns == made
    assert second.rows[0]["wasserstein"] == pytest.approx(1, abs=0.2)
    assert [row["step"] for row in second.rows] == list(range(5))
    kept.write_text(kept.read_text().replace('"wasserstein": ', '"wasserstein": 7'))  # by another hand
    np.testing.assert_equal(PATHS.run(unit, context(tmp_path))[0].rows, first.rows)


def test_tables_say_how_distances_fall(folder: Path, found: dict[str, pd.DataFrame]) -> None:
    lines, moduli = shown.tables(view.read(folder))
    keys = [heading.key for heading in lines.headings]
    by_place = {row.entries[0]: dict(zip(keys, row.entries, strict=True)) for row in lines.parts[0].rows}
    assert by_place["0.5"]["kullback_leibler_closed"] == "infinite"
    assert by_place["0.5"]["kullback_leibler"] == "infinite (2/2)"
    assert by_place["0.5"]["wasserstein_paired"].value == pytest.approx(0.5)
    assert by_place["largest error"]["wasserstein_paired"] < 1e-6
    assert by_place["largest error"]["wasserstein"] == pytest.approx(
        max(by_place["0"]["wasserstein"].low, by_place["0"]["wasserstein"].high)
    )
    keys = [heading.key for heading in moduli.headings]
    tables = [{r.entries[0]: dict(zip(keys, r.entries, strict=True)) for r in part.rows} for part in moduli.parts]
    for table in tables:
        assert table["bound on W"]["slope"].value == pytest.approx(1, abs=0.2)
        assert table["JS, 64"]["left"].value > 3 * table["W, same inputs"]["left"].value
        assert table["KL(P, Q), 64"]["end"] == "infinite (2/2)"
    ends = found["generator"][found["generator"]["position"].isin([0.0, 1.0])]
    assert tables[1]["W, fresh samples"]["end"].value == pytest.approx(ends["wasserstein"].mean())
    floors = found["generator"].drop_duplicates("seed")["jensen_shannon[64]_floor"]
    assert tables[1]["JS, 64"]["floor"].value == pytest.approx(floors.mean())
    assert tables[0]["W, same inputs"]["left"].value == pytest.approx(1 / 64)
    assert tables[0]["W, same inputs"]["step"].value == pytest.approx(1 / 2)  # five places, |theta|
    assert tables[0]["W, fresh samples"]["slope"] is None  # near the middle it is its floor


def test_figures_have_a_row_a_path(folder: Path) -> None:
    found = view.read(folder)
    drawings = shown.drawings(found, lambda cell, seed: records.load_samples(folder, f"{cell.id}-s{seed}"))
    assert [drawing.name for drawing in drawings] == ["paths", "moduli"]
    along, nearby = (drawing.figure.axes for drawing in drawings)
    assert len(along) == len(nearby) == 6
    portrait = [line for line in along[0].get_lines() if len(line.get_xdata()) == 512]
    assert [set(np.asarray(line.get_xdata())) for line in portrait] == [{-1.0}, {1.0}, {0.0}]
    closed = next(line for line in along[1].get_lines() if line.get_linestyle() == "--")
    np.testing.assert_allclose(closed.get_ydata(), np.abs(np.asarray(closed.get_xdata())))
    assert all(axes.get_xscale() == axes.get_yscale() == "log" for axes in nearby)
    thick = [np.asarray(line.get_xdata()) for line in nearby[3].get_lines() if line.get_label() == "coupling"]
    np.testing.assert_allclose(thick[0], [2.0**-k for k in range(6, -1, -1)])
