"""The experiment ``estimate`` is training with other checkpoints: what it asks for by default, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from bench.experiments import EXPERIMENTS, make_cell
from bench.experiments.session import schedule
from bench.settings import SettingError

ESTIMATE, TRAIN = EXPERIMENTS["estimate"], EXPERIMENTS["train"]
GIVEN: dict[str, Any] = {"objective": "wgan_gp", "dataset": "ring", "steps": 300}


def test_checkpoints_are_many_and_evenly_spaced() -> None:
    settings = ESTIMATE.resolve(GIVEN)
    assert schedule(settings["evaluate"], 300) == list(range(10, 301, 10))
    assert TRAIN.resolve(GIVEN)["evaluate"]["spacing"] == "log"


def test_all_else_is_as_in_training() -> None:
    evaluate = {"observations": 7, "spacing": "log", "n": 900, "emd_n": 800}
    ours, theirs = (experiment.resolve({**GIVEN, "evaluate": evaluate}) for experiment in (ESTIMATE, TRAIN))
    assert ours == theirs
    assert make_cell(ESTIMATE, ours).id != make_cell(TRAIN, theirs).id
    with pytest.raises(SettingError, match="did you mean 'observations'"):
        ESTIMATE.resolve({**GIVEN, "evaluate": {"observation": 7}})
    with pytest.raises(SettingError, match="unknown setting 'observe'"):
        ESTIMATE.resolve({**GIVEN, "observe": {}})
