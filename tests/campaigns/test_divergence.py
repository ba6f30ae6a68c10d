"""R6: a value that is not finite, wherever and whenever it appears in training, ends its own run and no other.

One of a unit's three runs is struck before a step: by a term of a loss, a rate or a weight that is not finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import cycle, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from at_work import context
from commands import TIMES
from report.synthetic import write_manifest
from table import told

from bench import records
from bench.cell import Run, Unit
from bench.engine import Training
from bench.experiments import EXPERIMENTS, Result, make_cell, session
from bench.report.choices import Choices
from bench.report.train import tables
from bench.report.view import read
from objectives import OBJECTIVES
from objectives.base import Objective

STEPS = 20
MOMENTS = (0, STEPS // 2, STEPS - 1)
"""Before the first step, in the middle, and before the last."""
STRUCK = 1
"""The replica."""

SITES = {
    "critic_loss": "the critic loss",
    "critic_gradient": "the critic's gradient or its square",
    "critic_rate": "the critic's parameters",
    "critic_weight": "the critic loss",
    "generator_loss": "the generator loss",
    "generator_gradient": "the generator's gradient or its square",
    "generator_rate": "the generator's parameters",
    "generator_weight": "the fake samples",
}
"""What is struck, and where the row says that it shows."""

POINTS: dict[str, Any] = {
    "dataset": "ring", "steps": STEPS, "batch_size": 16, "optimizer": {"name": "adam", "lr": 1e-3},
    "generator": {"name": "mlp", "depth": 1, "width": 8}, "critic": {"name": "mlp", "depth": 1, "width": 8},
    "evaluate": {"observations": 3, "n": 100, "emd_n": 50},
}  # fmt: skip
IMAGES: dict[str, Any] = {
    "dataset": "digits", "steps": STEPS, "batch_size": 8,
    "generator": {"name": "dcgan", "width": 2, "norm": "batch"}, "critic": {"name": "dcgan", "width": 2},
    "evaluate": {"observations": 2, "n": 70, "emd_n": 30, "class_n": 150},
}  # fmt: skip
FROZEN: dict[str, Any] = {
    "pair": {"name": "noised", "dataset": "ring", "std": 0.5}, "steps": STEPS, "batch_size": 16,
    "critic": {"name": "mlp", "depth": 1, "width": 8}, "observe": {"observations": 3}, "probe": {"n": 50, "surface": 5},
}  # fmt: skip


class Case(NamedTuple):
    """Who is struck, where and when."""

    objective: str
    site: str
    moment: int
    way: str
    experiment: str = "train"
    raw: Any = POINTS


QUICK = [
    Case("wgan_gp", "critic_gradient", 0, "vmap"),
    Case("non_saturating", "generator_loss", STEPS // 2, "loop"),
    Case("minimax", "generator_weight", STEPS - 1, "vmap"),
]
EVERY = [Case(*case, "vmap" if i % 2 else "loop") for i, case in enumerate(product(OBJECTIVES, SITES, MOMENTS))]
FURTHER = [
    *(Case("non_saturating", site, STEPS // 2, "vmap", raw=IMAGES) for site in SITES),
    *(
        Case("wgan_gp", site, moment, "vmap", "optimal_critic", FROZEN)
        for site, moment in product([site for site in SITES if site.startswith("critic")], MOMENTS)
    ),
]


def fragile(base: Objective) -> Objective:
    """The objective with terms in its losses that are 0, with a gradient of 0, until a setting of theirs is struck."""

    def struck(player: str, loss: Any) -> Callable[..., torch.Tensor]:
        def value(critic: Any, real: Any, fake: Any, noise: Any, hparams: Any) -> torch.Tensor:
            score, steep = critic(fake).mean(), hparams[f"{player}_gradient"]
            # At 1 it is the root of something that is 0 and grows with the score: 0, with an infinite slope.
            root = torch.sqrt(1 - steep + steep * (score - score.detach())) - (1 - steep)
            return loss(critic, real, fake, noise, hparams) + root + hparams[f"{player}_loss"]

        return value

    terms = {f"{player}_{what}": 0.0 for player in ("critic", "generator") for what in ("loss", "gradient")}
    return replace(
        base, hparams={**base.hparams, **terms},
        critic_loss=struck("critic", base.critic_loss), generator_loss=struck("generator", base.generator_loss),
    )  # fmt: skip


class Ill(Training):
    """Training in which one replica is struck before a step."""

    def __init__(self, *words: Any, site: str, moment: int, value: float, **named: Any) -> None:
        super().__init__(*words, **named)
        self.blow, self.moment = (site, value), moment

    def advance(self, iterations: int) -> None:
        before = self.moment - self.step
        if 0 <= before < iterations:
            super().advance(before)
            self.strike(*self.blow)
            iterations -= before
        super().advance(iterations)

    def strike(self, site: str, value: float) -> None:
        player, _, what = site.partition("_")
        if what == "weight":
            *_, last = self.state[player].values()
            last[STRUCK] = math.nan  # a bounded last layer makes a finite sample of a weight that is infinite
        elif what == "rate":
            self.scalars[f"{player}_optimizer"]["lr"][STRUCK] = math.inf
        else:
            self.scalars["objective"][site][STRUCK] = 1.0 if what == "gradient" else value


@pytest.fixture(autouse=True)
def _fragile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, objective in OBJECTIVES.items():
        monkeypatch.setitem(OBJECTIVES, name, fragile(objective))


@contextmanager
def struck(site: str, moment: int, value: float) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "Training", partial(Ill, site=site, moment=moment, value=value))
        yield


def results_of(case: Case, work: Path) -> list[Result]:
    experiment = EXPERIMENTS[case.experiment]
    cell = make_cell(experiment, experiment.resolve({**case.raw, "objective": case.objective}))
    unit = Unit(tuple(Run(cell, seed) for seed in range(3)))
    return experiment.run(unit, replace(context(work), way=case.way))


def rows_of(result: Result) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if not key.endswith(TIMES)} for row in result.rows]


def judge(case: Case, ill: Sequence[Result], well: Sequence[Result]) -> None:
    """The run that was struck has rows up to the step and no number after; the others are what they would have been."""
    for r in range(3):
        if r != STRUCK:
            np.testing.assert_equal(rows_of(ill[r]), rows_of(well[r]))
            np.testing.assert_equal(dict(ill[r].samples), dict(well[r].samples))
    *before, last = rows_of(ill[STRUCK])
    step = case.moment + 1
    assert (last["status"], last["step"]) == ("diverged", step)
    assert last["message"] == f"{SITES[case.site]} stopped being finite"
    np.testing.assert_equal(before, [row for row in rows_of(well[STRUCK]) if row["step"] < step])
    columns = {"critic_loss", "generator_loss", "emd", "modes_covered", "score_gap"} & last.keys()
    assert all(math.isnan(last[column]) for column in columns)
    assert columns or case.experiment != "train"


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param(QUICK, id="sample"),
        pytest.param(EVERY, id="every-objective", marks=pytest.mark.campaign),
        pytest.param(FURTHER, id="images-and-critics", marks=pytest.mark.campaign),
    ],
)
def test_what_is_not_finite_ends_its_own_run(cases: Sequence[Case], tmp_path: Path) -> None:
    undisturbed: dict[Any, list[Result]] = {}
    misses = []
    for i, (case, value) in enumerate(zip(cases, cycle([math.nan, math.inf, -math.inf]), strict=False)):
        alike = (case.objective, case.way, case.experiment, id(case.raw))
        if alike not in undisturbed:
            undisturbed[alike] = results_of(case, tmp_path / f"well-{i}")
        try:
            with struck(case.site, case.moment, value):
                judge(case, results_of(case, tmp_path / f"ill-{i}"), undisturbed[alike])
        except Exception as error:
            misses.append((case[:5], value, error))
    told("R6", len(cases), len(cases) - len(misses), f"{len({case.objective for case in cases})} objectives")
    assert not misses


def test_tables_count_the_runs_that_diverged(tmp_path: Path) -> None:
    case = QUICK[0]
    with struck(case.site, case.moment, math.nan):
        results = results_of(case, tmp_path / "work")
    for result in results:
        records.publish(records_of(result), tmp_path)
    cell = results[0].run.cell
    write_manifest(tmp_path, [{"cell_id": cell.id, "settings": cell.settings, "seeds": [0, 1, 2]}])
    found = read(tmp_path)
    assert str(found.outcomes) == "2 of 3 runs done, 1 diverged"
    quality = tables(found, Choices())[0]
    shown = dict(zip([heading.key for heading in quality.headings], quality.parts[0].rows[0].entries, strict=True))
    assert (shown["n"], shown["diverged"], shown["lost"]) == (2, 1, 0)


def records_of(result: Result) -> Any:
    import pandas as pd

    provenance = {"grid": "tiny", "device": "cpu", "git_commit": "0" * 40, "git_dirty": False, "deterministic": True}
    return pd.DataFrame([{**row, **provenance} for row in result.rows])
