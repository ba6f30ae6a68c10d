"""The experiment ``batches``: its distances against scipy's assignment and norms, its images against the parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from at_work import context
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from bench.cell import Run, Unit
from bench.experiments import EXPERIMENTS, batches, make_cell
from bench.settings import SettingError
from datasets.digits import Digits

BATCHES = EXPERIMENTS["batches"]


def test_distances_of_disjoint_batches_and_of_the_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = batches.earth_movers_distance, []

    def ask(x: Any, y: Any, **words: Any) -> float:
        asked.append((x, y))
        return real(x, y, **words)

    monkeypatch.setattr(batches, "earth_movers_distance", ask)
    cell = make_cell(BATCHES, BATCHES.resolve({"dataset": "digits", "probe": {"smallest": 10, "doublings": 2}}))
    results = BATCHES.run(Unit((Run(cell, 0), Run(cell, 1))), context(tmp_path))
    parts = {part: Digits().labelled_part(part)[0].flatten(1).numpy() for part in ("train", "evaluation")}
    for run, result in enumerate(results):
        assert [row["batch_size"] for row in result.rows] == [row["step"] for row in result.rows] == [10, 20, 40]
        for place, row in enumerate(result.rows):
            (x, y), (same, mean) = asked[6 * run + 2 * place :][:2]
            assert row["w1_batches"] == pytest.approx(cdist(x, y)[linear_sum_assignment(cdist(x, y))].mean(), rel=1e-9)
            assert row["w1_mean_image"] == pytest.approx(np.linalg.norm(x - mean, axis=1).mean(), rel=1e-9)
            np.testing.assert_array_equal(x, same)
            np.testing.assert_allclose(mean, parts["train"].mean(0, dtype=np.float64)[None], atol=1e-6)
            for batch, part in ((x, "evaluation"), (y, "train")):
                assert len(batch) == len(np.unique(batch, axis=0)) == row["batch_size"]
                assert (cdist(batch, parts[part]).min(axis=1) == 0).all()
    largest, smallest = asked[4][0], asked[0][0]
    np.testing.assert_array_equal(largest[:10], smallest)
    assert (asked[0][0] != asked[6][0]).any()


@pytest.mark.parametrize(
    ("raw", "path", "words"),
    [
        ({"dataset": "ring"}, ("dataset",), "no set of images"),
        (
            {"dataset": "digits", "probe": {"doublings": 4}},
            ("probe",),
            "up to 1,024 images; the part evaluation .* 539",
        ),
        ({"probe": {}}, ("dataset",), "missing"),
        ({"dataset": "digits", "n": 3}, ("n",), "unknown setting"),
    ],
)
def test_settings_that_cannot_be_are_refused(raw: dict[str, Any], path: tuple[str, ...], words: str) -> None:
    with pytest.raises(SettingError, match=words) as caught:
        BATCHES.resolve(raw)
    assert caught.value.path == path
