"""The score curve against scipy, and the scores where arithmetic gives out against the limits of its numbers."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from at_work import context
from scipy.special import expit

from bench.cell import Run, Unit
from bench.experiments import make_cell
from bench.experiments.score_curve import SCORE_CURVE
from bench.report import score_curve as report
from bench.report import style
from bench.report.view import CellView, Task, View
from bench.settings import SettingError

HALF_OF_THE_SMALLEST = {"float32": -150 * math.log(2), "float64": -1075 * math.log(2)}
"""Logarithms: from there on down everything rounds to 0."""
LARGEST = {"float32": 128 * math.log(2), "float64": 1024 * math.log(2)}


def measure(folder: Path, *cells: dict[str, Any]) -> list[pd.DataFrame]:
    runs = [Run(make_cell(SCORE_CURVE, SCORE_CURVE.resolve(cell)), 0) for cell in cells]
    return [pd.DataFrame(result.rows) for result in SCORE_CURVE.run(Unit(tuple(runs)), context(folder))]


def of(name: Any, dtype: str, points: int = 25) -> dict[str, Any]:
    return {"objective": name, "probe": {"dtype": dtype, "points": points}}


def test_the_curve_of_the_saturating_loss(tmp_path: Path) -> None:
    for dtype, accuracy in (("float32", 3e-7), ("float64", 1e-15)):
        (frame,) = measure(tmp_path, of("minimax", dtype))
        scores = np.linspace(-60, 60, 25)
        np.testing.assert_array_equal(frame["score"], scores)
        np.testing.assert_array_equal(frame["step"], np.arange(25))
        np.testing.assert_allclose(frame["score_gradient"], -expit(scores), rtol=accuracy)
        np.testing.assert_allclose(frame["closed_form"], -expit(scores), rtol=1e-15)
        expected = np.abs(frame["score_gradient"] / -expit(scores) - 1)
        np.testing.assert_allclose(frame["relative_error"], expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_where_the_arithmetic_gives_out(dtype: str, tmp_path: Path) -> None:
    """Under a process that flushes small numbers to 0, as a worker does."""
    names = ("minimax", "non_saturating", "wgan_gp", "fgan_hellinger", "alpha_gan")
    torch.set_flush_denormal(True)
    try:
        frames = measure(tmp_path, *(of(name, dtype, points=2) for name in names))
        assert float(torch.tensor(2.0**-126) / 2) == 0.0
    finally:
        torch.set_flush_denormal(False)
    small, large = HALF_OF_THE_SMALLEST[dtype], LARGEST[dtype]
    # The generator's power of alpha_gan is 1 - 1 / 1.2 = 1/6: it falls six times as slowly on the left.
    expected = [(small, math.nan), (math.nan, -small), (math.nan, math.nan), (small, large), (6 * small, -small)]
    for frame, (below, above) in zip(frames, expected, strict=True):
        for column, value in (("dies_below", below), ("dies_above", above)):
            assert frame[column].nunique(dropna=False) == 1
            np.testing.assert_allclose(frame[column].iloc[0], value, atol=2e-3)
    # With k steps of the smallest number left, a gradient is off by at most 1 / (2 k): 1 % is reached at k = 49.5 ...
    minimax = frames[0]["inexact_below"].iloc[0]
    assert small < minimax <= small + math.log(2 * 50.5)
    # ... but an overflow comes at once.
    assert frames[3]["inexact_above"].iloc[0] == frames[3]["dies_above"].iloc[0]


def test_an_objective_without_a_closed_form_has_a_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from objectives import closed_forms

    monkeypatch.delitem(closed_forms.SCORE_GRADIENTS, "hinge")
    (frame,) = measure(tmp_path, of("hinge", "float32"))
    assert (frame["score_gradient"] == -1).all()
    assert frame[["closed_form", "relative_error", "dies_below", "inexact_above"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("raw", "path", "words"),
    [
        ({}, ("objective",), "missing"),
        ({"objective": "hinge", "steps": 3}, ("steps",), "unknown setting 'steps'"),
        ({"objective": "hinge", "probe": {"dtype": "float16"}}, ("probe", "dtype"), "float32"),
        ({"objective": "hinge", "probe": {"pints": 5}}, ("probe", "pints"), "did you mean 'points'"),
        ({"objective": {"name": "hinge", "clip": 1}}, ("objective", "clip"), "hinge has no setting 'clip'"),
    ],
)
def test_impossible_settings(raw: dict[str, Any], path: tuple[str, ...], words: str) -> None:
    with pytest.raises(SettingError, match=words) as error:
        SCORE_CURVE.resolve(raw)
    assert error.value.path == path


def test_hyperparameters_count(tmp_path: Path) -> None:
    """``-P^(1 - 1/alpha) (1 - P)`` at P = 1/2."""
    (frame,) = measure(tmp_path, of({"name": "alpha_gan", "alpha_generator": 2.0}, "float64", points=3))
    assert frame["score_gradient"].iloc[1] == pytest.approx(-(0.5**1.5), rel=1e-14)
    assert frame["closed_form"].iloc[1] == pytest.approx(-(0.5**1.5), rel=1e-15)


def test_the_report(tmp_path: Path) -> None:
    """A part for each arithmetic, a row for each objective, an empty entry at a score that was not looked at."""
    cells = [of(name, dtype, points=4) for name in ("minimax", "wgan_gp") for dtype in ("float32", "float64")]
    frames = measure(tmp_path, *cells)
    views = tuple(
        CellView(f["cell_id"].iloc[0], f["objective"].iloc[0], "", (0,), f, dict(f.iloc[0].items())) for f in frames
    )
    view = View(tmp_path, "g", "score_curve", {}, pd.concat(frames), (Task("", "", views),), (), 0)
    (table,) = report.tables(view)
    assert [part.title for part in table.parts] == ["float32", "float64"]
    assert [row.entries[0] for row in table.parts[0].rows] == ["minimax", "wgan_gp"]
    entries = dict(zip([h.key for h in table.headings], table.parts[1].rows[0].entries, strict=True))
    assert entries["score_gradient_at_-60"] == pytest.approx(-expit(-60.0), rel=1e-14)
    assert entries["score_gradient_at_0"] is None
    assert entries["dies_below"] == pytest.approx(-1075 * math.log(2), abs=2e-3)
    with style.applied():
        drawings = report.drawings(view, lambda cell, seed: None)
    log = drawings[0].figure.axes[0]
    crosses = [line for line in log.lines if line.get_marker() == "x"]
    assert not crosses, "nothing dies between -60 and 60"
    assert {axes.get_title(loc="left") for axes in drawings[0].figure.axes if axes.axison} == {"minimax", "wgan_gp"}
