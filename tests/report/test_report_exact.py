"""Reports of the experiments of theory: tables and figures against the rows that they are made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from at_work import context
from matplotlib.axes import Axes

from bench import records
from bench.cell import SCHEMA_VERSION, Run, Unit
from bench.experiments import EXPERIMENTS, make_cell
from bench.experiments.base import identity_row
from bench.report import SHOWN, build, tables, view

NETWORK = {"name": "mlp", "depth": 1, "width": 4}
TRAINING = {"dataset": "ring", "generator": NETWORK, "critic": NETWORK, "batch_size": 8}
SEEDS = (0, 1, 2)


def publish(folder: Path, experiment: str, raws: Sequence[dict[str, Any]], made: Any = None) -> view.View:
    """A results folder of these cells, with rows as the experiment gives them, or as they are ``made`` from a seed."""
    cells = []
    for raw in raws:
        cell = make_cell(EXPERIMENTS[experiment], EXPERIMENTS[experiment].resolve(raw))
        cells.append({"cell_id": cell.id, "settings": cell.settings, "seeds": list(SEEDS)})
        runs = [Run(cell, seed) for seed in SEEDS]
        if made is None:
            found = [r.rows for r in EXPERIMENTS[experiment].run(Unit(tuple(runs)), context(folder / "work"))]
        else:
            told = {"status": "ok", "message": ""}
            found = [[{**identity_row(run), **told, **row} for row in made(run.seed)] for run in runs]
        for rows in found:
            frame = pd.DataFrame([{"grid": experiment, **row} for row in rows])
            records.publish(frame.assign(git_commit="0" * 40, git_dirty=False), folder)
    manifest = {"schema_version": SCHEMA_VERSION, "grid": experiment, "cells": cells}
    records.publish_bytes(json.dumps(manifest).encode(), folder / records.MANIFEST)
    return view.read(folder)


def lines(table: tables.Table, part: int = 0) -> dict[str, dict[str, Any]]:
    """The rows of a part, by their first entries."""
    keys = [heading.key for heading in table.headings]
    return {str(row.entries[0]): dict(zip(keys, row.entries, strict=True)) for row in table.parts[part].rows}


def test_every_check_has_its_table(tmp_path: Path) -> None:
    raws: list[dict[str, Any]] = [
        {"check": "carried_earth"},
        {"check": {"name": "dual", "points": 4}},
        {"check": {"name": "axioms", "triples": 3}},
        {"check": "sign_flip", "objective": "wgan_clip", "steps": 3, **TRAINING},
    ]
    found = publish(tmp_path, "exact", raws)
    assert build(tmp_path).outcomes.ok == 4 * len(SEEDS)
    carried, dual, axioms, flips = SHOWN["exact"].tables(found)
    earth = lines(carried)
    assert [earth[point]["carried"] for point in "1234"] == [2, 2, -1, 0]
    assert [earth["in all"][f"cost_{name}"] for name in ("recursion", "emd", "closed_form")] == pytest.approx([5] * 3)
    last = found.rows.drop_duplicates("run_id", keep="last")
    primal = last["primal"].dropna()
    row = lines(dual)["4 points, d = 2"]
    assert row["primal"].value == pytest.approx(primal.mean())
    assert row["supremum_error"] < 1e-9
    assert row["infimum_error"] == pytest.approx(2 * primal.max())
    assert row["infimum_from_negative"] < 1e-9
    kept = lines(axioms)
    assert kept["Cross-entropy"]["identity_violations"] == 1
    assert kept["Cross-entropy"]["self_distance"] == pytest.approx(last["cross_entropy_self_distance"].max())
    assert kept["KL"]["triangle_violations"] == pytest.approx(last["kullback_leibler_triangle_violations"].mean())
    assert kept["W1, in the plane"]["symmetry_violations"] == 0
    flip = lines(flips)["wgan_clip"]
    assert flip["largest_generator_difference"] == flip["score_sum"] == 0
    assert flip["largest_generator_change"] == pytest.approx(last["largest_generator_change"].min())
    assert flip["flipped_score_gap"].value == pytest.approx(-last["score_gap"].mean())
    assert not SHOWN["exact"].drawings(found, lambda cell, seed: None)


def test_batches_have_a_row_a_size_and_lines_through_the_means(tmp_path: Path) -> None:
    found = publish(tmp_path, "batches", [{"dataset": "digits", "probe": {"smallest": 4, "doublings": 2}}])
    (table,) = SHOWN["batches"].tables(found)
    by_size = found.rows.groupby("step")[["w1_batches", "w1_mean_image"]].mean()
    for size, (batches, mean) in by_size.iterrows():
        row = lines(table)[str(size)]
        assert (row["w1_batches"].value, row["w1_mean_image"].value) == pytest.approx((batches, mean))
        assert row["difference"].value == pytest.approx(batches - mean)
    (drawing,) = SHOWN["batches"].drawings(found, lambda cell, seed: None)
    thick = [line for line in axes_of(drawing)[0].get_lines() if line.get_linewidth() > 1]
    assert [line.get_linestyle() for line in thick] == ["-", "--"]
    for line, name in zip(thick, by_size, strict=True):
        np.testing.assert_allclose(line.get_xdata(), [4, 8, 16])
        np.testing.assert_allclose(line.get_ydata(), by_size[name])


def test_costs_are_told_in_milliseconds_and_drawn_with_their_law(tmp_path: Path) -> None:
    def made(seed: int) -> list[dict[str, Any]]:
        """Solves of (1 + seed) n^2 nanoseconds."""
        slow = 1 + seed
        steps = {"critic_step_seconds": slow * 1e-3, "training_step_seconds": slow * 4e-3}
        law = {"emd_exponent": 2.0, "emd_constant_seconds": slow * 1e-9, "n_per_training_step": 2000.0}
        sizes = ((n, slow * n**2 * 1e-9) for n in (512, 1024, 2048))
        quartiles = (
            {"step": n, "n": n, "emd_seconds": t, "emd_seconds_low": t / 2, "emd_seconds_high": 3 * t} for n, t in sizes
        )
        return [{**row, **steps, **law} for row in quartiles]

    raw = {"objective": "wgan_gp", **TRAINING, "probe": {"smallest": 512, "doublings": 2, "fit_from": 1024}}
    found = publish(tmp_path, "emd_cost", [raw], made)
    times, laws = SHOWN["emd_cost"].tables(found)
    told = lines(times)
    assert told["exact, 1,024 samples"]["milliseconds"].value == pytest.approx(2 * 1.048576)
    assert told["one training step"]["milliseconds"].value == pytest.approx(8)
    (law,) = lines(laws).values()
    assert law["emd_constant_nanoseconds"].value == pytest.approx(2)
    assert (law["emd_exponent"].value, law["n_per_training_step"].value) == pytest.approx((2, 2000))
    (drawing,) = SHOWN["emd_cost"].drawings(found, lambda cell, seed: None)
    (axes,) = axes_of(drawing)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    (dashed,) = [line for line in axes.get_lines() if line.get_linestyle() == "--"]
    np.testing.assert_allclose(dashed.get_xdata(), [1024, 2048])
    np.testing.assert_allclose(dashed.get_ydata(), 6 ** (1 / 3) * 1e-9 * np.array([1024.0, 2048.0]) ** 2)
    levels = {line.get_ydata()[0] for line in axes.get_lines() if len(set(np.asarray(line.get_ydata()))) == 1}
    assert sorted(levels) == pytest.approx([2e-3, 8e-3])


def axes_of(drawing: Any) -> list[Axes]:
    return [axes for axes in drawing.figure.axes if axes.axison]
