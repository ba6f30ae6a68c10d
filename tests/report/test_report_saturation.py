"""The report of the saturation probe: numbers against numpy over the rows that were written, figures that show them."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import write_manifest

from bench import records
from bench.cell import SCHEMA_VERSION, canonical, flatten
from bench.report import saturation, style, tables, view
from bench.report.view import View

SEEDS = (0, 1, 2)
STEPS = (0, 1, 100)
LOSSES = ("minimax", "wgan_clip", "wgan_gp")
FAILED = ("wgan_gp", 100, 2)
"""Critic, steps of the generator, seed."""


def settings_of(critic: str, where: dict[str, Any]) -> dict[str, Any]:
    return {"objective": critic, "hparams": {}, "critic": {"name": "mlp", "width": 8}, "steps": 100, **where}


def norm(critic: str, loss: str, scale: float, seed: int, step: int) -> float:
    """One loss falls under one critic, from a peak at step 1; the others, which are equal, grow."""
    if critic == "minimax" and loss == "minimax":
        return scale * (1 + seed) * {0: 1.0, 1: 3.0, 100: 0.0 if scale == 8 else 1e-4}[step]
    return (1 + seed / 10) * (1 + step)


def rows_of(settings: dict[str, Any], cell_id: str, seed: int) -> list[dict[str, Any]]:
    scale = float(settings["pair"]["distance"] if "pair" in settings else settings["frozen"]["steps"])
    identity = {
        "schema_version": SCHEMA_VERSION, "grid": "saturation", "cell_id": cell_id, "run_id": f"{cell_id}-s{seed}",
        "seed": seed, "experiment": "saturation", "dataset": "", "message": "", "git_commit": "0" * 40,
        "git_dirty": False, **dict(flatten(settings)), "settings": canonical(settings),
    }  # fmt: skip
    rows = []
    for step in STEPS:
        row = {**identity, "step": step, "status": "ok", "critic_accuracy": 0.5 + step / 200, "critic_auc": 0.9,
               "saturated_fake": step / 100, "js_estimate": 0.1 * seed, "score_gap": 2.0}  # fmt: skip
        for loss in LOSSES:
            value = norm(settings["objective"], loss, scale, seed, step)
            row |= {f"gradient_norm[{loss}]": value, f"gradient_variance[{loss}]": value**2}
            row |= {f"gradient_norm_at_optimum[{loss}]": 10.0**-scale} if "pair" in settings else {}
        rows.append(row)
    if (settings["objective"], scale, seed) == FAILED:
        rows[-1]["status"] = "failed"
    return rows


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> View:
    folder = tmp_path_factory.mktemp("saturation")
    frozen = [{"dataset": {"name": "ring"}, "frozen": {"objective": "minimax", "steps": steps}} for steps in (10, 100)]
    pairs = [{"pair": {"name": "two_gaussians", "distance": d, "std": 0.5}} for d in (8.0, 1.0)]
    cells = []
    for index, where in enumerate([*frozen, *pairs]):
        for critic in ("minimax", "wgan_gp"):
            settings, cell_id = settings_of(critic, where), f"{critic}-{index}"
            cells.append({"cell_id": cell_id, "settings": settings, "seeds": list(SEEDS)})
            for seed in SEEDS:
                records.publish(pd.DataFrame(rows_of(settings, cell_id, seed)), folder)
                points = np.random.default_rng(seed).normal(size=(50, 2)).astype(np.float32)
                records.publish_samples({"real": points, "fake": points + 3}, folder, f"{cell_id}-s{seed}")
    write_manifest(folder, cells, grid="saturation")
    return view.read(folder)


def part_of(table: tables.Table, part: str) -> list[dict[str, str]]:
    return [row for row in csv.DictReader(io.StringIO(tables.csv_text(table))) if row["part"] == part]


def test_changes_are_decades_between_the_last_step_and_the_first_or_the_largest(found: View) -> None:
    by_name = {table.name: table for table in saturation.tables(found)}
    falling, growing = part_of(by_name["norm"], "ring, T = 100")
    assert (falling["critic"], falling["n"], growing["critic"], growing["n"]) == ("minimax", "3", "wgan_gp", "2")
    assert float(falling["minimax"]) == pytest.approx(-4)
    assert float(falling["wgan_clip"]) == pytest.approx(np.log10(101))
    assert [h.label for h in by_name["norm"].headings[2:]] == ["minimax", "wgan_clip, wgan_gp"]
    assert float(part_of(by_name["norm_from_peak"], "ring, T = 100")[0]["minimax"]) == pytest.approx(-4 - np.log10(3))
    assert float(part_of(by_name["variance"], "ring, T = 10")[0]["minimax"]) == pytest.approx(-8)
    bold = [row.best for row in by_name["norm"].parts[0].rows]
    assert bold == [{"minimax"}, {"wgan_clip"}], "each critic's own loss, which may be another's too"
    critic = part_of(by_name["critic"], "ring, T = 10")[0]
    assert float(critic["critic_accuracy"]) == 1
    assert (float(critic["js_estimate"]), float(critic["js_estimate_high"])) == pytest.approx((0.1, 0.2))


def test_a_gradient_of_zero_counts_as_the_faintest_one(found: View) -> None:
    table = next(table for table in saturation.tables(found) if table.name == "norm")
    row = part_of(table, "two_gaussians, distance=8.0")[0]
    expected = [-162 - np.log10(8 * (1 + seed)) for seed in SEEDS]
    assert (float(row["minimax"]), int(row["minimax_n"])) == (pytest.approx(np.mean(expected)), 3)


def test_figures_show_geometric_means_by_critic_and_generator(found: View) -> None:
    with style.applied():
        drawn = {one.name: one for one in saturation.drawings(found, lambda cell, seed: records.load_samples(
            found.folder, f"{cell.id}-s{seed}"))}  # fmt: skip
        style.settle(drawn["gradient_norm_ring"].figure)
    families = ("frozen", "gradient_norm", "gradient_variance", "critic")
    assert set(drawn) == {f"{kind}_{name}" for kind in families for name in ("ring", "two_gaussians")} | {"distance"}
    panels = drawn["gradient_norm_ring"].figure.axes
    assert [axes.get_title("left") for axes in panels] == ["critic: minimax", "critic: wgan_gp", "", ""]
    own = max(panels[2].lines, key=lambda line: line.get_linewidth())
    expected = [[norm("minimax", "minimax", 100, seed, step) for step in STEPS] for seed in SEEDS]
    np.testing.assert_allclose(own.get_ydata(), np.exp(np.log(expected).mean(0)))
    assert own.get_xdata().tolist() == list(STEPS)
    assert own.get_color() == style.colours(LOSSES)["minimax"]
    low, high = panels[0].get_ylim()
    assert low < min(map(min, expected))
    assert high > 3 * 101, "all panels share an axis that holds every value"
    near, _, optimum = drawn["distance"].figure.axes
    assert optimum.get_title("left") == "optimal discriminator"
    assert max(near.lines, key=lambda line: line.get_linewidth()).get_xdata().tolist() == [2, 16]
    closed = max(optimum.lines, key=lambda line: line.get_linewidth())
    np.testing.assert_allclose(closed.get_ydata(), [1e-1, 1e-8])


def test_without_a_run_that_ended_well_there_is_nothing_to_show(found: View) -> None:
    empty = view.View(found.folder, "g", "saturation", {}, found.rows.iloc[:0], (), (), 0)
    assert saturation.tables(empty) == []
    assert saturation.drawings(empty, lambda cell, seed: None) == []
