"""The choice of a way: by measured cost, remembered, and never at the price of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import ROOT, training_settings, ways
from bench.engine import Training
from bench.experiments import EXPERIMENTS


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(ways, "MEASURE_SECONDS", 0.02)
    small = {"name": "mlp", "depth": 1, "width": 4}
    raw = {
        "objective": "wgan_gp",
        "dataset": "ring",
        "batch_size": 4,
        "critic_steps": 1,
        "generator": small,
        "critic": small,
    }
    return dict(EXPERIMENTS["train"].resolve(raw))


def choose(settings: dict[str, Any], steps: int, said: list[str] | None = None) -> str:
    return ways.choose(
        training_settings.make_problem(settings), [0, 1], training_settings.make_scalars([settings] * 2),
        steps=steps, shape="shape", device="cpu", say=[].append if said is None else said.append,
    )  # fmt: skip


def stored(folder: Path) -> Path:
    (path,) = folder.glob("gan-objectives-bench/ways/*.json")
    return path


@pytest.mark.parametrize(
    ("seconds", "steps", "way"),
    [
        ({"loop": 1.0, "vmap": 2.0}, 10, "loop"),
        ({"loop": 2.0, "vmap": 1.0}, 10, "vmap"),
        ({"loop": 2.0, "vmap": 1.96}, 10, "loop"),
        ({"loop": 2.0, "vmap": 1.0, "compiled": 0.5}, 199, "vmap"),
        ({"loop": 2.0, "vmap": 1.0, "compiled": 0.5}, 201, "compiled"),
        ({"loop": 1.0, "vmap": 2.0, "compiled": 1.5}, 1000, "loop"),
        ({"loop": 2.0, "vmap": 1.0, "compiled": 0.5, "cuda_graph": 0.1}, 1000, "cuda_graph"),
    ],
)
def test_the_cheapest_way_of_the_whole_run_is_taken_from_memory(
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: dict[str, float],
    steps: int,
    way: str,
) -> None:
    choose(settings, 1)
    starts = {"loop": 1.0, "vmap": 1.0, "compiled": 100.0, "cuda_graph": 100.0}
    stored(tmp_path).write_text(json.dumps({"seconds": seconds, "starts": starts}))
    monkeypatch.setattr(ways, "Training", None)  # nothing is measured again
    monkeypatch.setattr(ways, "COMPILE_SECONDS", 1e9)
    assert ways.best(seconds, {name: starts[name] for name in seconds if name not in ("loop", "vmap")}, steps) == way
    if "cuda_graph" not in seconds:
        assert choose(settings, steps) == way


def test_measurements_are_kept_and_compiling_is_not_tried_for_short_runs(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    choose(settings, 10)
    known = json.loads(stored(tmp_path).read_text())
    assert set(known["seconds"]) == set(known["starts"]) == {"loop", "vmap"}
    assert all(value > 0 for own in known.values() for value in own.values())
    stored(tmp_path).write_text("{ damaged")
    choose(settings, 10)
    assert json.loads(stored(tmp_path).read_text()).keys() == known.keys()


@pytest.mark.skipif(ways.cannot_compile("cpu") is not None, reason=f"{ways.cannot_compile('cpu')}")
def test_a_compiler_that_fails_costs_a_sentence_and_no_run(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*words: Any, way: str, **named: Any) -> Training:
        if way == "compiled":
            raise RuntimeError("no header\nmore")
        return Training(*words, way=way, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(ways, "Training", broken)
    said: list[str] = []
    assert choose(settings, 10**8, said) in ("loop", "vmap")
    assert said == ["not compiling, which would be faster: RuntimeError: no header"]


def test_without_a_compiler_it_says_so_and_goes_on(tmp_path: Path) -> None:
    small = '{"name": "mlp", "depth": 1, "width": 4}'
    code = f"""
from bench import training_settings, ways
from bench.experiments import EXPERIMENTS
ways.MEASURE_SECONDS = 0.02
small = {small}
raw = dict(objective="minimax", dataset="ring", batch_size=4, generator=small, critic=small)
settings = EXPERIMENTS["train"].resolve(raw)
print(ways.choose(training_settings.make_problem(settings), [0], training_settings.make_scalars([settings]),
                  steps=10**8, shape="", device="cpu", say=print))
"""
    environment = {**os.environ, "CXX": "no-such-compiler", "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    reason, way = done.stdout.splitlines()
    assert reason.startswith("not compiling, which would be faster: this machine has no C++ compiler")
    assert way in ("loop", "vmap")
