"""Reports of depth and of estimates, on records whose slopes, correlations and ratios are known beforehand."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import settings_of, write_manifest

from bench import records
from bench.cell import SCHEMA_VERSION, canonical, flatten
from bench.report import SHOWN, depth, estimate, style, view
from bench.report.figures import Drawing
from bench.report.tables import Table
from bench.statistics import Estimate

SEEDS = (0, 1, 2)


def publish(folder: Path, experiment: str, settings: dict[str, Any], cell_id: str, seed: int, values: Any) -> None:
    """One run, a row a step; ``values`` are rows of columns by step."""
    common = {
        "schema_version": SCHEMA_VERSION, "grid": "cut", "cell_id": cell_id, "run_id": f"{cell_id}-s{seed}",
        "seed": seed, "status": "ok", "message": "", "experiment": experiment,
        **dict(flatten(settings)), "settings": canonical(settings), "git_commit": "0" * 40, "git_dirty": False,
    }  # fmt: skip
    records.publish(pd.DataFrame([{**common, "step": step, **row} for step, row in values.items()]), folder)


def entries(table: Table) -> dict[str, dict[str, Any]]:
    keys = [heading.key for heading in table.headings]
    return {str(row.entries[0]): dict(zip(keys, row.entries, strict=True)) for part in table.parts for row in part.rows}


def draw(module: Any, folder: Path) -> dict[str, Drawing]:
    found = view.read(folder)
    with style.applied():
        return {
            drawing.name: drawing
            for drawing in module.drawings(found, lambda cell, seed: records.load_samples(folder, f"{cell.id}-s{seed}"))
        }


# --- estimates

STEPS = [100 * k for k in range(1, 9)]
DISTANCE = np.array([2.0, 1.6, 1.2, 1.0, 0.7, 0.5, 0.18, 0.16])
"""The last two are below twice the floor of .1."""
SHUFFLED = np.array([3, 1, 2, 5, 4, 7, 8, 6]) / 10


def signals(objective: str, seed: int) -> Mapping[str, np.ndarray]:
    """A critic that tells 1.5 times the distance, at a slope of 1.5; one whose estimate rises; one in some disorder."""
    gap = {"wgan_gp": 1.5 * DISTANCE, "minimax": 1 - DISTANCE / 4, "wgan_clip": SHUFFLED}[objective]
    gap = gap * (1 + seed)
    return {
        "emd": DISTANCE * (1 + seed), "score_gap": gap, "critic_loss": -(gap**3), "js_estimate": np.full(8, 0.5),
        "slope_between": np.full(8, 1.5), "emd_floor": np.full(8, 0.1 * (1 + seed)), "emd_n": np.full(8, 1000.0),
    }  # fmt: skip


@pytest.fixture(scope="module")
def estimates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("estimate")
    cells = []
    for objective in ("minimax", "wgan_clip", "wgan_gp"):
        settings = settings_of(objective, "ring")
        cells.append({"cell_id": objective, "settings": settings, "seeds": list(SEEDS)})
        for seed in SEEDS:
            values = pd.DataFrame(signals(objective, seed), index=STEPS).to_dict("index")
            publish(folder, "estimate", settings, objective, seed, values)
    write_manifest(folder, cells)
    return folder


@pytest.fixture(scope="module")
def told(estimates: Path) -> dict[str, dict[str, dict[str, Any]]]:
    return {table.name: entries(table) for table in estimate.tables(view.read(estimates))}


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Without ties: 1 - 6 sum d^2 / (n (n^2 - 1))."""
    rank = [values.argsort().argsort() for values in (x, y)]
    n = len(x)
    return float(1 - 6 * np.square(rank[0] - rank[1]).sum() / (n * (n**2 - 1)))


def kendall(x: np.ndarray, y: np.ndarray) -> float:
    """Without ties: concordant less discordant pairs, as a share."""
    signs = [np.sign((x[i] - x[j]) * (y[i] - y[j])) for i, j in itertools.combinations(range(len(x)), 2)]
    return float(np.mean(signs))


def test_rank_correlations_with_the_distance(told: dict[str, dict[str, dict[str, Any]]]) -> None:
    found = told["estimate_follows"]
    for objective, row in found.items():
        gap = np.asarray(signals(objective, 0)["score_gap"])
        for name in ("score_gap", "critic_loss"):  # a monotone function of the gap, with its sign turned
            assert row[f"spearman_{name}"].value == pytest.approx(spearman(gap, DISTANCE))
            assert row[f"kendall_{name}"].value == pytest.approx(kendall(gap, DISTANCE))
        assert row["spearman_js_estimate"].n == 0  # one value throughout has no rank
        assert (row["n"], row["checkpoints"]) == (3, 8)
    assert found["wgan_gp"]["spearman_score_gap"].value == pytest.approx(1)
    assert found["minimax"]["kendall_score_gap"].value == pytest.approx(-1)
    assert 0 > found["wgan_clip"]["kendall_score_gap"].value > -1


def test_trends_over_the_steps(told: dict[str, dict[str, dict[str, Any]]]) -> None:
    found = told["estimate_falls"]
    for name in ("emd", "score_gap", "critic_loss"):
        assert found["wgan_gp"][name].value == pytest.approx(-1)
    assert found["minimax"]["score_gap"].value == pytest.approx(1)
    assert found["wgan_clip"]["score_gap"].value == pytest.approx(kendall(SHUFFLED, np.arange(8)))


def test_ratios_and_errors_where_the_distance_is_clear_of_its_floor(told: dict[str, dict[str, dict[str, Any]]]) -> None:
    found = told["estimate_errors"]
    row = found["wgan_gp"]
    assert (row["ratio"].value, row["error"].value) == pytest.approx((1.5, 0.5))
    assert (row["ratio_by_slope"].value, row["error_by_slope"].value) == pytest.approx((1, 0))
    assert (row["half"].value, row["half"].n) == (1, 3)
    clear = (SHUFFLED / DISTANCE)[:6]
    row = found["wgan_clip"]
    assert row["ratio"].value == pytest.approx(np.median(clear))
    assert row["error"].value == pytest.approx(np.median(abs(clear - 1)))
    assert row["half"].value == float(np.median(clear) >= 0.5)
    assert row["half"].low == 0  # exact binomial, of 3
    assert found["floor"]["emd"].value == pytest.approx(0.2)


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, float("nan")], [1, 2, 3])])
def test_too_few_checkpoints_have_no_correlation(x: list[float], y: list[float]) -> None:
    assert np.isnan(estimate.rank_correlation(np.array(x), np.array(y)))


def test_estimates_are_drawn_beside_the_distance_and_against_it(estimates: Path) -> None:
    drawing = draw(estimate, estimates)["estimates"]
    shown = [axes for axes in drawing.figure.axes if axes.axison]
    assert len(shown) == 3 * 4
    for row, objective in enumerate(("minimax", "wgan_clip", "wgan_gp")):
        distance, gap, divergence, against = shown[4 * row : 4 * row + 4]
        means = np.mean([signals(objective, seed)["score_gap"] for seed in SEEDS], axis=0)
        [thick] = [line for line in gap.lines if line.get_linewidth() > 1]
        np.testing.assert_allclose(thick.get_ydata(), means)
        assert gap.get_title(loc="right") == f"rho {spearman(signals(objective, 0)['score_gap'], DISTANCE):.2f}"
        assert np.log(2) in [line.get_ydata()[0] for line in divergence.lines if line.get_linestyle() == "--"]
        assert pytest.approx(0.2) in [line.get_ydata()[0] for line in distance.lines if line.get_linestyle() == ":"]
        points = np.concatenate(
            [np.column_stack(line.get_data()) for line in against.lines if line.get_marker() == "."]
        )
        expected = [np.column_stack([signals(objective, s)[name] for name in ("emd", "score_gap")]) for s in SEEDS]
        together = np.concatenate(expected)
        np.testing.assert_allclose(sorted(map(tuple, points)), sorted(map(tuple, together[together[:, 1] > 0])))
    assert ("not positive" in drawing.caption) == bool((np.asarray(signals("minimax", 0)["score_gap"]) <= 0).any())


# --- depth

SLOPE = {0.1: 0.5, 0.01: -1.0}
LAYERS = 5


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("depth")
    cells = []
    for clip, slope in SLOPE.items():
        settings = {**settings_of("wgan_clip", "ring"), "hparams": {"clip": clip}, "probe": {"batches": 4}}
        cell_id = f"clip-{clip}"
        cells.append({"cell_id": cell_id, "settings": settings, "seeds": list(SEEDS)})
        for seed in SEEDS:
            rows = {}
            for step, part in ((0, 0.0), (10, 0.5), (100, 1.0)):
                own = part * slope * (1 + seed)
                norms = {f"activation_gradient[{k}]": 10.0 ** (own * (LAYERS - k)) for k in range(1, LAYERS + 1)}
                norms |= {f"weight_gradient[{k}]": float(k > 1) for k in range(1, LAYERS + 1)}
                rows[step] = {
                    "slope_per_layer": own, "weight_slope_per_layer": float("nan"), **norms,
                    "share_at_bound": 0.2 + 0.1 * seed * part, "largest_weight": clip,
                }  # fmt: skip
            publish(folder, "depth", settings, cell_id, seed, rows)
            counts = np.zeros(200, dtype=np.float32)
            counts[[0, 100, 199]] = 0.1, 0.7, 0.2
            records.publish_samples({"weight_histogram": counts}, folder, f"{cell_id}-s{seed}")
    write_manifest(folder, cells)
    return folder


@pytest.fixture(scope="module")
def drawn(deep: Path) -> dict[str, Drawing]:
    return draw(depth, deep)


def test_slopes_and_shares_at_the_start_and_at_the_end(deep: Path) -> None:
    found = entries(depth.tables(view.read(deep))[0])
    for clip, slope in SLOPE.items():
        row = found[f"wgan_clip (hparams.clip={clip})"]
        assert (row["n"], row["layers"]) == (3, LAYERS)
        assert row["slope_per_layer_0"] == Estimate(0, 0, 0, 3)
        assert row["slope_per_layer"].value == pytest.approx(2 * slope)
        assert row["weight_slope_per_layer"].n == 0
        assert (row["share_at_bound_0"].value, row["share_at_bound"].value) == pytest.approx((0.2, 0.3))
        assert row["largest_weight"].value == clip


def test_gradients_are_drawn_from_the_score_to_the_input(drawn: dict[str, Drawing]) -> None:
    by_activations, by_weights, over_steps = drawn["gradient_by_layer"].figure.axes
    for axes in (by_activations, by_weights):
        assert axes.get_xlim()[0] > axes.get_xlim()[1]
    thick = [line for line in by_activations.lines if line.get_linewidth() > 1]
    for line, slope in zip(thick, SLOPE.values(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), range(1, LAYERS + 1))
        np.testing.assert_allclose(
            line.get_ydata(), [2 * slope * (LAYERS - k) for k in range(1, LAYERS + 1)], atol=1e-12
        )
    for line in (line for line in by_weights.lines if line.get_linewidth() > 1):
        assert np.isnan(line.get_ydata()[0])  # a gradient of 0 has no logarithm
    ends = [line.get_ydata()[-1] for line in over_steps.lines if line.get_linewidth() > 1]
    np.testing.assert_allclose(ends, [2 * slope for slope in SLOPE.values()])


def test_weights_have_a_panel_for_each_setting(drawn: dict[str, Drawing]) -> None:
    shown = drawn["weights"].figure.axes
    assert [axes.get_title() for axes in shown] == [f"wgan_clip\nclip={clip}\n30% at +-{clip}" for clip in SLOPE]
    for axes in shown:
        stairs = axes.patches[-1].get_data()
        np.testing.assert_allclose(stairs.values[[0, 100, 199]], [0.1, 0.7, 0.2], rtol=1e-6)
        np.testing.assert_allclose(stairs.edges[[0, 100, 200]], [-1, 0, 1])


def test_a_folder_without_a_run_that_ended_well_shows_nothing(tmp_path: Path) -> None:
    settings = {**settings_of("wgan_clip", "ring"), "probe": {"batches": 4}}
    write_manifest(tmp_path, [{"cell_id": "clip", "settings": settings, "seeds": [0]}])
    found = view.read(tmp_path)
    for module in (SHOWN["depth"], SHOWN["estimate"]):
        assert module.tables(found) == []
        assert module.drawings(found, no_samples) == []


def no_samples(cell: view.CellView, seed: int) -> None:
    """As of a folder without stored samples."""
