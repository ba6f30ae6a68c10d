from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import numpy as np
import pytest

import bench.metrics
from bench.contracts.metric import values_of
from bench.metrics import METRICS, Truth, all_columns, as_floor, compute_all

POINTS = tuple(name for name, metric in METRICS.items() if not metric.of_images)
"""Metrics of samples that are no images."""


def test_every_file_is_in_the_table():
    files = {path.stem for path in Path(bench.metrics.__file__).parent.glob("*.py")} - {"__init__", "base"}
    assert set(METRICS) == files
    assert all(name == metric.name for name, metric in METRICS.items())


def test_columns_and_settings_belong_to_one_metric():
    others = [metric for metric in METRICS.values() if metric.of_images]
    images = {name: column for metric in others for name, column in metric.columns.items()}
    shared = {name for name in METRICS["modes"].columns if name in images}
    assert all(images[name] is METRICS["modes"].columns[name] for name in shared)  # no data set has both
    assert len(all_columns()) == sum(len(metric.columns) for metric in METRICS.values()) - len(shared)
    names = [field.name for metric in METRICS.values() for field in fields(metric.settings)]
    assert len(names) == len(set(names))
    labels = [column.label for column in all_columns().values()]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
class TestContract:
    def test_gives_its_columns_as_plain_numbers(self, metric, ring, draw):
        points = draw(ring, np.arange(40) % 8)
        values = values_of(metric, points, points, ring)
        assert values.keys() == metric.columns.keys()
        assert all(type(value) is float for value in values.values())

    def test_declares_itself(self, metric):
        assert metric.reference
        assert metric.version >= 1
        directions = {"up", "down", "floor", "none"}
        assert all(column.label and column.direction in directions for column in metric.columns.values())
        with pytest.raises(FrozenInstanceError):
            metric.settings().radius = 1

    def test_directions(self, metric, ring, draw, rng):
        """Fresh real samples are better than a collapsed generator and a diffuse one, whichever a column can see."""
        reference, real = draw(ring, np.arange(400) % 8), draw(ring, np.arange(400) % 8)
        bad = [draw(ring, np.zeros(400, dtype=int)) * 1.5, rng.normal(size=(400, 2))]
        best = values_of(metric, real, reference, ring)
        for points in bad:
            worse = values_of(metric, points, reference, ring)
            for name, column in metric.columns.items():
                if name == "recall" and points is bad[1]:
                    continue  # the balls of a diffuse generator hold everything
                sign = {"up": 1, "down": -1}.get(column.direction, 0)
                assert sign * best[name] >= sign * worse[name]

    def test_leaves_its_arguments_alone(self, metric, ring, draw):
        points, reference = draw(ring, np.arange(40) % 8), draw(ring, np.arange(40) % 8)
        before = points.copy(), reference.copy()
        values_of(metric, points, reference, ring)
        np.testing.assert_array_equal(points, before[0])
        np.testing.assert_array_equal(reference, before[1])


def measured(names, points, reference, modes=None, settings=None):
    return compute_all(names, {"data": points}, {"data": reference}, Truth(modes=modes), settings or {})


def test_events_of_any_rank_in_any_precision(ring, draw):
    points = draw(ring, np.arange(40) % 8).astype(np.float32)
    reference = draw(ring, np.arange(40) % 8).astype(np.float32)
    flat = measured(POINTS, points, reference, ring, {"emd_n": 30}).values
    image = measured(POINTS, points[:, None, :, None], reference.reshape(-1, 2, 1), ring, {"emd_n": 30}).values
    assert image == flat
    modes = bench.metrics.Modes(ring.means[:, None], ring.std, ring.weights)
    assert measured(["modes"], points, reference, modes).values.items() <= flat.items()


def test_metrics_get_flat_float64_of_their_space(ring, monkeypatch):
    def compute(points, reference, truth, settings):
        return {"ok": float({points.dtype, reference.dtype} == {np.dtype(np.float64)} and points.shape == (8, 2))}

    spy = replace(METRICS["emd"], name="spy", space="features", columns={}, compute=compute)
    monkeypatch.setitem(METRICS, "spy", spy)
    points = {"data": np.zeros((8, 3, 3)), "features": ring.means.astype(np.float32)[:, None]}
    assert compute_all(["spy"], points, points, Truth(), {}).values == {"ok": 1}


def test_settings_reach_their_metric(ring):
    points = ring.means + 0.02  # .028 away in the plane, .02 in the box
    assert measured(["modes"], points, points, ring, {"radius": 2.5}).values["high_quality_share"] == 0
    values = measured(["modes"], points, points, ring, {"radius": 2.5, "norm": "box", "emd_n": 3}).values
    assert values["high_quality_share"] == 1
    assert measured(["emd"], points, points, settings={"emd_n": 3}).values["emd_n"] == 3


def test_seconds_are_each_metrics_own(ring, monkeypatch):
    clock = iter([1.0, 3.0, 10.0, 15.0])
    monkeypatch.setattr(bench.metrics, "perf_counter", lambda: next(clock))
    assert measured(["modes", "emd"], ring.means, ring.means, ring).seconds == {"modes": 2.0, "emd": 5.0}


def test_floor_names_only_what_has_a_direction(ring):
    values = measured(POINTS, ring.means, ring.means, ring).values
    floor = as_floor(values)
    assert floor.keys() == {f"{name}_floor" for name in values} - {"modes_total_floor", "emd_n_floor"}
    assert {floor["emd_floor"], floor["modes_covered_floor"], floor["high_quality_share_floor"]} == {0, 8, 1}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"settings": {"emd_m": 5}}, "no metric has the setting 'emd_m'; did you mean 'emd_n'?"),
        ({"points": np.zeros((0, 2)), "reference": []}, "samples of one size are compared, and some of each"),
        ({"points": np.zeros((0, 2))}, "samples of one size are compared, and some of each"),
        ({"reference": np.zeros((5, 3))}, "samples of one size are compared, and some of each"),
        ({"modes": None}, "the metric 'modes' needs data whose modes are known"),
        ({"names": ["prdc"]}, "the metric 'prdc' looks at features, which is not given"),
    ],
)
def test_what_cannot_be_measured_is_refused(changed, message, ring):
    arguments = {"names": POINTS, "points": ring.means, "reference": ring.means, "modes": ring}
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        measured(**{**arguments, **changed})


@pytest.mark.benchmark(group="emd")
@pytest.mark.parametrize("collapsed", [False, True])
def test_speed_of_a_solve(benchmark, ring, draw, collapsed):
    labels = np.arange(1000) % 8
    x, y = draw(ring, labels * (not collapsed)), draw(ring, labels)
    values, _ = benchmark(measured, ["emd"], x, y)
    assert values["emd_n"] == 1000
