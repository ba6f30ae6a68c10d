"""Images in training and out of it: what evidence is gathered, from which part, and what it says of known samplers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from at_work import after, context, told
from scipy import stats
from sklearn.neighbors import NearestNeighbors

from bench import judge
from bench.cell import Run, Unit
from bench.experiments import EXPERIMENTS, Result, Stopped, evidence, make_cell
from bench.metrics import METRICS
from bench.rotation import occupied_classes, visits
from bench.settings import SettingError
from datasets.digits import Digits

TRAINED: dict[str, Any] = {
    "objective": "non_saturating", "dataset": "digits", "steps": 4, "batch_size": 8,
    "generator": {"name": "dcgan", "width": 2, "norm": "batch"}, "critic": {"name": "dcgan", "width": 2},
    "evaluate": {"observations": 2, "n": 70, "emd_n": 30, "class_n": 150},
}  # fmt: skip


def unit(raw: dict[str, Any], experiment: str = "train", seeds: int = 2) -> Unit:
    kind = EXPERIMENTS[experiment]
    cell = make_cell(kind, kind.resolve(raw))
    return Unit(tuple(Run(cell, seed) for seed in range(seeds)))


def sampled(folder: Path, sampler: Any, dataset: str = "stacked_digits") -> tuple[dict[str, Any], Result]:
    raw = {"dataset": dataset, "sampler": sampler, "evaluate": {"n": 150, "emd_n": 100, "class_n": 1000}}
    kind = EXPERIMENTS["known_samplers"]
    (result,) = kind.run(unit(raw, "known_samplers", 1), context(folder / str(sampler)))
    (row,) = result.rows
    return row, result


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    return EXPERIMENTS["train"].run(unit(TRAINED), context(tmp_path_factory.mktemp("images") / "work"))


def test_every_metric_of_images_is_in_a_row_with_its_floor(trained: list[Result]) -> None:
    row = trained[1].rows[-1]
    absent = {"modes", "manifold", "inception"}
    for metric in METRICS.values():
        for name, column in metric.columns.items() if metric.name not in absent else ():
            assert math.isfinite(row[name]), name
            assert (f"{name}_floor" in row) == (column.direction != "none")
    assert not {"high_quality_share", "manifold_distance", "inception_frechet"} & row.keys()
    assert (row["modes_total"], row["part_train"], row["part_evaluation"], row["part_judge"]) == (10, 719, 539, 539)
    assert row["judge_accuracy"] >= 0.98
    assert row["judge_n"] == 539


def test_classes_are_counted_as_scipy_does(trained: list[Result]) -> None:
    for result in trained:
        row, counts = result.rows[-1], result.samples["class_counts"]
        assert counts.sum() == 150
        assert row["modes_covered"] == (counts > 0).sum()
        assert row["reverse_kl"] == pytest.approx(stats.entropy(counts, result.samples["class_weights"]), rel=1e-9)


def test_what_is_kept_for_pictures(trained: list[Result]) -> None:
    one, other = (result.samples for result in trained)
    assert one["strip_steps"].tolist() == [row["step"] for row in trained[0].rows]
    assert one["strip"].shape == (len(one["strip_steps"]), evidence.STRIP, 1, 8, 8)
    np.testing.assert_array_equal(one["strip"][-1], one["sheet"][: evidence.STRIP])
    assert (one["sheet"].dtype, one["sheet"].shape, one["real_sheet"].shape) == (np.uint8, (64, 1, 8, 8), (64, 1, 8, 8))
    assert not np.array_equal(one["sheet"], other["sheet"])
    training = Digits().labelled_part("train")[0].numpy().reshape(719, -1)
    shown = one["sheet"][: evidence.STRIP].reshape(evidence.STRIP, -1) / 127.5 - 1
    distance, _ = NearestNeighbors(n_neighbors=1).fit(training).kneighbors(shown)
    np.testing.assert_allclose(one["nearest_distance"], distance[:, 0], atol=8 / 255)  # of 64 rounded pixels


def test_a_stopped_training_on_images_goes_on_bit_for_bit(trained: list[Result], tmp_path: Path) -> None:
    stops = 0
    while True:
        try:
            resumed = EXPERIMENTS["train"].run(unit(TRAINED), context(tmp_path / "work", after(1)))
            break
        except Stopped:
            stops += 1
    assert stops > 0
    parts, whole = (
        [[{k: v for k, v in row.items() if not k.endswith(("_seconds", "_per_second"))} for row in rows] for rows in of]
        for of in (told(resumed), told(trained))
    )
    np.testing.assert_equal(parts, whole)
    np.testing.assert_equal([dict(result.samples) for result in resumed], [dict(result.samples) for result in trained])


def test_real_images_are_of_the_evaluation_part_and_none_is_on_both_sides(tmp_path: Path) -> None:
    settings = EXPERIMENTS["train"].resolve(TRAINED)
    real = evidence.gather(settings, [0, 1], "cpu", lambda words: None).real(tmp_path)
    held_out = {image.tobytes() for image in Digits().labelled_part("evaluation")[0].numpy()}
    for seed in (0, 1):
        reference, fresh = ({image.tobytes() for image in real[name][seed].numpy()} for name in ("reference", "fresh"))
        assert len(reference) == len(fresh) == 70
        assert not reference & fresh
        assert reference | fresh <= held_out
    assert not torch.equal(real["reference"][0], real["reference"][1])
    assert real["training"].shape == (719, 1, 8, 8)


def test_the_data_of_a_thousand_modes_are_at_the_floor(tmp_path: Path) -> None:
    row, _ = sampled(tmp_path, "data")
    expected = 1000 * (1 - 0.999**1000)  # of 1000 draws; the classes' shares are nearly equal
    assert abs(row["modes_covered"] - expected) < 4 * math.sqrt(1000 * 0.368 * 0.632)
    assert abs(row["modes_covered_floor"] - expected) < 4 * math.sqrt(1000 * 0.368 * 0.632)
    assert row["reverse_kl"] == pytest.approx(row["reverse_kl_floor"], rel=0.15)
    assert row["precision"] > 0.9
    assert row["recall"] > 0.9
    assert row["modes_total"] == 1000


def test_copies_are_seen_as_such(tmp_path: Path) -> None:
    hundred, _ = sampled(tmp_path, {"name": "copies", "count": 100})
    assert 80 <= hundred["modes_covered"] <= 100
    assert hundred["reverse_kl"] >= math.log(1000 / 100) - 0.1
    assert hundred["coverage"] < hundred["coverage_floor"]
    one, result = sampled(tmp_path, {"name": "copies", "count": 1})
    (named,) = np.flatnonzero(result.samples["class_counts"])
    assert one["modes_covered"] == 1
    assert one["reverse_kl"] == pytest.approx(-math.log(result.samples["class_weights"][named]), rel=1e-9)
    assert one["recall"] == 0
    assert one["emd"] > hundred["emd"] > hundred["emd_floor"]


def test_noise_is_far_from_everything_and_a_thief_is_not(tmp_path: Path) -> None:
    row, _ = sampled(tmp_path, "noise", "digits")
    assert row["confident_share"] < 0.9 * row["confident_share_floor"]
    assert row["coverage"] < 0.5 * row["coverage_floor"]
    assert row["train_distance_ratio"] > 1.5
    stolen, _ = sampled(tmp_path, "data", "digits")
    assert (stolen["train_distance_ratio"], stolen["copied_share"]) == (0, 1)
    assert stolen["train_distance_ratio_floor"] == pytest.approx(1, abs=0.15)


def test_images_of_a_known_set_are_measured_by_their_distance_to_it(tmp_path: Path) -> None:
    raw = {"dataset": {"name": "polygons", "size": 8}, "sampler": "data"}
    kind = EXPERIMENTS["known_samplers"]
    sizes = {"evaluate": {"n": 40, "emd_n": 40, "manifold_n": 5}}
    (result,) = kind.run(unit({**raw, **sizes}, "known_samplers", 1), context(tmp_path / "work"))
    (row,) = result.rows
    assert row["manifold_distance"] < 1e-4
    assert row["manifold_precision"] == row["manifold_precision_floor"] == 1
    assert not {"modes_covered", "precision", "train_distance_ratio", "judge"} & row.keys()
    assert "nearest" not in result.samples


def test_more_real_images_than_there_are_cannot_be_asked_for() -> None:
    for name in ("train", "known_samplers"):
        raw = TRAINED if name == "train" else {"dataset": "digits", "sampler": "data"}
        with pytest.raises(SettingError, match="270 is more than half of the 538 images to compare with") as error:
            EXPERIMENTS[name].resolve({**raw, "evaluate": {"n": 270, "emd_n": 100}})
        assert error.value.path == ("evaluate", "n")


def test_settings_of_images_and_of_points_are_apart() -> None:
    images = EXPERIMENTS["train"].resolve(TRAINED)["evaluate"]
    assert images.keys() >= {"class_n", "prdc_n", "ndb_bins", "inception", "emd_n"}
    assert not {"radius", "norm"} & images.keys()
    with pytest.raises(SettingError, match="unknown setting 'class_n'"):
        EXPERIMENTS["train"].resolve({"objective": "minimax", "dataset": "ring", "evaluate": {"class_n": 5}})


def test_classes_are_occupied_by_the_mass_rule() -> None:
    weights = np.array([0.5, 0.3, 0.2])
    named = np.repeat([0.0, 1.0, 2.0], [30, 67, 3])
    judged = np.stack([named, np.ones(100)], 1)
    now = occupied_classes(judged, weights)
    assert now.tolist() == [True, True, False]  # 3 of 100 is under a fifth of 20
    later = occupied_classes(np.stack([np.full(100, 2.0), np.ones(100)], 1), weights)
    assert [row["modes_visited"] for row in visits([now, later])] == [2, 3]
    judged[4] = np.nan
    assert not occupied_classes(judged, weights).any()


def test_real_images_are_looked_at_once_for_all_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, look = [], judge.Judge.look
    monkeypatch.setattr(judge.Judge, "look", lambda self, images: seen.append(len(images)) or look(self, images))

    def real(seeds: list[int], **other: Any) -> dict[str, torch.Tensor]:
        settings = EXPERIMENTS["train"].resolve({**TRAINED, **other})
        seen.clear()
        return evidence.gather(settings, seeds, "cpu", lambda words: None).real(tmp_path)

    first = real([0, 1, 0])
    assert sum(seen) == 2 * (70 + 70 + 150)
    second = real([1, 2], objective="minimax")
    assert sum(seen) == 70 + 70 + 150
    assert first.keys() == second.keys()
    for name in first.keys() - {"classes", "training"}:
        assert torch.equal(first[name][0], first[name][2])
        assert torch.equal(first[name][1], second[name][0])
    assert real([1], evaluate={**TRAINED["evaluate"], "class_n": 151})["fresh_classes"].shape == (1, 151, 2)
    monkeypatch.undo()
    settings = EXPERIMENTS["train"].resolve(TRAINED)
    features = judge.judge_of(Digits(), lambda words: None).look(second["fresh"][1]).features
    torch.testing.assert_close(second["fresh_features"][1], features)
    assert EXPERIMENTS["train"].sources(settings)["metrics"]["judge"] == judge.VERSION
