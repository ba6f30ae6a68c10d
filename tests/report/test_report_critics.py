"""Reports of critics between fixed laws: numbers against numpy over the rows that were written, figures that show."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import write_manifest

from bench import records
from bench.cell import SCHEMA_VERSION, canonical, flatten
from bench.report import critics as critics_report
from bench.report import lipschitz, optimal_critic, style, tables, view

SEEDS = range(5)
GAUSSIANS = {"name": "two_gaussians", "distance": 4.0, "std": 0.5}
ROLL = {"name": "noised", "dataset": {"name": "swiss_roll", "noise": 0.25}, "std": 1.0}


def publish(folder: Path, experiment: str, cells: list[dict[str, Any]], rows_of: Any, samples_of: Any) -> Path:
    listed = []
    for index, settings in enumerate(cells):
        cell_id = f"{settings['objective']}-{index}"
        listed.append({"cell_id": cell_id, "settings": settings, "seeds": list(SEEDS)})
        for seed in SEEDS:
            identity = {
                "schema_version": SCHEMA_VERSION, "grid": "critics", "cell_id": cell_id, "run_id": f"{cell_id}-s{seed}",
                "seed": seed, "experiment": experiment, "dataset": "", **dict(flatten(settings)),
                "settings": canonical(settings), "status": "ok", "message": "", "git_commit": "0" * 40,
                "git_dirty": False,
            }  # fmt: skip
            rows = [{**identity, "step": step, **rows_of(settings, seed, step)} for step in (0, 10, 1000)]
            records.publish(pd.DataFrame(rows), folder)
            records.publish_samples(samples_of(settings, seed), folder, f"{cell_id}-s{seed}")
    write_manifest(folder, listed, grid="critics")
    return folder


def settings_of(objective: str, pair: dict[str, Any], probe: dict[str, Any], **own: Any) -> dict[str, Any]:
    critic = {"name": "mlp", "depth": 3, "constraint": own.pop("constraint", "none")}
    return {"objective": objective, "hparams": own, "pair": pair, "critic": critic, "steps": 1000, "probe": probe}


def part_of(table: tables.Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(tables.csv_text(table))))


# --- optimal critics

PROBE = {"n": 2048, "emd_n": 1000, "surface": 9, "margin": 0.1}


def critic_row(settings: dict[str, Any], seed: int, step: int) -> dict[str, float]:
    judge, known = settings["objective"] == "minimax", settings["pair"] is GAUSSIANS
    row = {
        "score_gap": 4.0 + seed / 10, "slope_real": 1.0 + seed / 100, "slope_fake": 2.0, "slope_between": 1.0,
        "slope_largest": 2.5, "separation": 1.6, "js_estimate": 0.6, "emd": 3.9 + seed / 50, "emd_floor": 0.1,
        "rank_correlation": -0.9 - seed / 100, "ties_score": 0.0, "logits": float(judge), "saturated_fake": 0.9,
    }  # fmt: skip
    if judge:
        row |= {"probability_slope_real": 10.0 ** (-8 - seed), "probability_slope_fake": 1e-6, "ties_probability": 0.25}
    if known:
        row |= {"probability_slope_known_real": 1e-13, "probability_slope_known_fake": 1e-13, "js_known": 0.69}
        row |= {"wasserstein": 4.0} | ({"probability_error": 0.001} if judge else {})
    return row


def critic_samples(settings: dict[str, Any], seed: int) -> dict[str, np.ndarray]:
    rng, line = np.random.default_rng(seed), np.linspace(-8, 8, 41)
    x, y = np.linspace(-3, 3, 9), np.linspace(-2, 2, 9)
    found = {
        "line": line, "line_score": line * (1 + seed / 10), "line_slope": np.full(41, 1 + seed / 10),
        "real": rng.normal((2, 0), 1, (50, 2)), "fake": rng.normal((-2, 0), 1, (50, 2)),
        "surface_axes": np.stack([x, y]), "surface_score": np.add.outer(np.sin(y), x),
    }  # fmt: skip
    if settings["pair"] is GAUSSIANS:
        found |= {"line_log_ratio": 16 * line, "surface_log_ratio": np.add.outer(0 * y, 16 * x)}
    return {name: array.astype(np.float32) for name, array in found.items()}


@pytest.fixture(scope="module")
def critics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cells = [
        settings_of(objective, pair, PROBE, **own)
        for pair in (GAUSSIANS, ROLL)
        for objective, own in (("minimax", {}), ("wgan_clip", {"clip": 0.01}), ("wgan_clip", {"clip": 0.1}))
    ]
    folder = tmp_path_factory.mktemp("critics") / "critics"
    return publish(folder, "optimal_critic", cells, critic_row, critic_samples)


def test_slopes_of_probabilities_are_compared_with_critics_by_their_logarithms(critics: Path) -> None:
    found = {table.name: table for table in optimal_critic.tables(view.read(critics))}
    assert list(found) == ["slopes", "distances", "order", "flatness"]
    slopes = part_of(found["slopes"])
    assert [row["objective"] for row in slopes[1:4]] == ["wgan_clip, clip 0.01", "wgan_clip, clip 0.1", "optimal D"]
    assert float(slopes[0]["log10_probability_slope_real"]) == pytest.approx(-10)
    assert slopes[1]["log10_probability_slope_real"] == "", "a critic has no probability"
    assert float(slopes[3]["log10_probability_slope_real"]) == pytest.approx(-13)
    assert len(slopes) == 7, "between unknown laws there is no optimum"
    flat = part_of(found["flatness"])
    assert len(flat) == 4
    expected = np.mean([-8 - seed - np.log10(1 + seed / 100) for seed in SEEDS])
    assert float(flat[0]["log10_ratio_real"]) == pytest.approx(expected)
    assert float(flat[0]["log10_ratio_real_n"]) == len(SEEDS)
    assert float(flat[0]["log10_ratio_fake"]) == pytest.approx(-6 - np.log10(2))
    assert float(flat[0]["theory_real"]) == pytest.approx(-13)
    assert flat[-1]["theory_real"] == ""


def test_distances_stand_under_what_they_are_compared_with(critics: Path) -> None:
    rows = part_of(optimal_critic.tables(view.read(critics))[1])
    by_name = {row["objective"]: row for row in rows if row["part"] == "two gaussians"}
    assert float(by_name["optimal D"]["js_estimate"]) == pytest.approx(0.69)
    assert float(by_name["W1"]["separation"]) == 4
    assert float(by_name["EMD"]["separation"]) == pytest.approx(np.mean([3.9 + seed / 50 for seed in SEEDS]))
    assert float(by_name["EMD floor"]["separation"]) == pytest.approx(0.1)
    assert {row["objective"] for row in rows if row["part"] == "swiss roll"} >= {"minimax", "EMD"} - {"W1"}


def test_known_distances_are_drawn_along_a_line_and_other_pairs_as_surfaces(critics: Path) -> None:
    read = view.read(critics)
    with style.applied():
        profiles, surfaces = optimal_critic.drawings(read, lambda cell, seed: _load(critics, cell.id, seed))
    assert (profiles.name, surfaces.name) == ("profiles", "surfaces")
    titles = [axes.get_title() for axes in surfaces.figure.axes if axes.axison]
    assert titles == ["minimax", "wgan_clip\nclip 0.01", "wgan_clip\nclip 0.1"]
    _, chances, scores, _ = profiles.figure.axes
    curves = [np.asarray(line.get_ydata()) for line in chances.get_lines()]
    assert len(curves) == len(SEEDS) + 2, "single seeds, their mean and the optimum, of discriminators alone"
    x = np.linspace(-8, 8, 41)
    seeds = [1 / (1 + np.exp(-x * (1 + seed / 10))) for seed in SEEDS]
    np.testing.assert_allclose(curves[len(SEEDS)], np.mean(seeds, axis=0), rtol=1e-5)
    np.testing.assert_allclose(curves[-1], 1 / (1 + np.exp(-16 * x)), rtol=1e-4)
    for line in scores.get_lines():
        np.testing.assert_allclose(line.get_ydata(), x, atol=1e-5)


def _load(folder: Path, cell_id: str, seed: int) -> Any:
    return records.load_samples(folder, f"{cell_id}-s{seed}")


# --- slopes

PLACES = ("real", "fake", "between")
KINDS = ("real", "fake", "any")


def slope_row(settings: dict[str, Any], seed: int, step: int) -> dict[str, float]:
    level = (0.01 if settings["hparams"].get("clip") == 0.01 else 1.0) * (1 + seed / 10)
    row = {"slope_largest": 2 * level, "slope_bound": 50 * level}
    for name, keys in (("slope", PLACES), ("secant", KINDS)):
        for key in keys:
            low, high, error = 0.5 * level, 1.5 * level, abs(level - 1)
            row |= {
                f"{name}_{stem}[{key}]": v
                for stem, v in zip(("median", "low", "high", "error"), (level, low, high, error), strict=True)
            }
    return row | {f"secant_above[{kind}]": 0.1 for kind in KINDS}


def slope_samples(settings: dict[str, Any], seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    names = (*(f"slopes_{place}" for place in PLACES), "secants")
    return {name: rng.lognormal(0, 0.2, 64).astype(np.float32) for name in names}


@pytest.fixture(scope="module")
def slopes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    probe = {"n": 1024, "starts": 64, "ascent_steps": 50}
    cells = [
        settings_of(objective, ROLL, probe, **own)
        for objective, own in (
            ("wgan_clip", {"clip": 0.01}),
            ("wgan_clip", {"clip": 0.1}),
            ("wgan_clip", {"clip": 1e9, "constraint": "spectral"}),
            ("wgan_gp", {"penalty_weight": 10.0}),
        )
    ]
    return publish(tmp_path_factory.mktemp("slopes") / "slopes", "lipschitz", cells, slope_row, slope_samples)


def test_slopes_are_means_over_seeds(slopes: Path) -> None:
    medians, quantiles = (part_of(table) for table in lipschitz.tables(view.read(slopes)))
    level = np.mean([1 + seed / 10 for seed in SEEDS])
    assert [float(row["slope_median[real]"]) for row in medians] == pytest.approx([0.01 * level, *[level] * 3])
    assert float(medians[3]["slope_error[between]"]) == pytest.approx(np.mean([seed / 10 for seed in SEEDS]))
    assert float(medians[0]["slope_bound"]) == pytest.approx(0.5 * level)
    assert float(quantiles[1]["secant_high[any]"]) == pytest.approx(1.5 * level)
    assert {row["slope_median[real]_n"] for row in medians} == {str(len(SEEDS))}


def test_cells_are_named_by_what_they_differ_in(slopes: Path) -> None:
    cells = view.read(slopes).cells
    names = [critics_report.short(cell, cells) for cell in cells]
    assert names == ["wgan_clip\nclip 0.01", "wgan_clip\nclip 0.1", "wgan_clip\nspectral", "wgan_gp"]


def test_both_bounds_are_drawn_over_steps(slopes: Path) -> None:
    read = view.read(slopes)
    with style.applied():
        spread, bounds = lipschitz.drawings(read, lambda cell, seed: _load(slopes, cell.id, seed))
    assert (spread.name, bounds.name) == ("slopes", "bounds")
    panel = bounds.figure.axes[1]
    thick = [line for line in panel.get_lines() if line.get_linewidth() > 1]
    geometric = np.exp(np.mean([np.log(1 + seed / 10) for seed in SEEDS]))
    assert [float(np.asarray(line.get_ydata())[-1]) for line in thick] == pytest.approx([2 * geometric, 50 * geometric])
    ticks = [text.get_text() for text in spread.figure.axes[0].get_xticklabels()]
    assert ticks == ["real", "fake", "segments", "pairs"] * 4
