"""How hard a generator loss pulls at a sample, by the critic's score of it: dL/ds, in float32 and float64.

The critic is the identity, so that a sample is its own score: the gradient is that of the real generator loss, of one
fake sample with the score s and one real sample with the score 0. Numbers too small for full precision are kept, not
flushed to 0 as in training: what dies here has no representation at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from bench import probes
from bench.cell import Run, Settings, Unit
from bench.experiments import objective_alone
from bench.experiments.base import Context, Result, Stopped, identity_row
from objectives import OBJECTIVES
from objectives.closed_forms import SCORE_GRADIENTS, exact

Floats = npt.NDArray[np.float64]

FARTHEST = 5000.0
"""How far out, on either side, is looked for the score where a gradient dies."""

COLUMNS = ("score", "score_gradient", "closed_form", "relative_error")

CUTS, ROUNDS = 100, 4
"""The search cuts what is left so often, so many times: to ``FARTHEST / CUTS^ROUNDS``, 5e-5."""

INEXACT = 0.01
"""The relative error from which a gradient counts as inexact."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Which scores: ``points`` of them, evenly from ``-range`` to ``range``, in which arithmetic."""

    dtype: Literal["float32", "float64"] = "float32"
    range: Annotated[float, Field(gt=0, le=FARTHEST)] = 60.0
    points: Annotated[int, Field(ge=2, le=10_000)] = 481


class ScoreCurve:
    """The experiment ``score_curve``: a row a score, and in every row where the gradient dies on either side."""

    name = "score_curve"

    def resolve(self, raw: Mapping[str, Any]) -> Settings:
        """See ``Experiment.resolve``."""
        return objective_alone.resolve(raw, Probe)

    def sources(self, settings: Settings) -> Settings:
        """See ``Experiment.sources``."""
        return objective_alone.sources(settings)

    def label(self, settings: Settings) -> str:
        """See ``Experiment.label``."""
        return f"{settings['objective']}-{settings['probe']['dtype']}"

    def group(self, settings: Settings) -> str:
        """See ``Experiment.group``: each run is done by itself, and any may share a unit."""
        return ""

    def work(self, settings: Settings) -> float:
        """See ``Experiment.work``."""
        return float(100 * settings["probe"]["points"])

    def run(self, unit: Unit, context: Context) -> list[Result]:
        """See ``Experiment.run``: a killed try begins again, since a run takes less than a second."""
        results = []
        for index, run in enumerate(unit.runs):
            if context.stopping():
                raise Stopped
            results.append(_measure(run))
            context.progress((index + 1) / len(unit.runs))
        return results


SCORE_CURVE = ScoreCurve()


@dataclass(frozen=True)
class _Curve:
    """Of each of n scores, as the arithmetic has it: gradient, closed form, relative error; NaN without closed form."""

    score: Floats
    score_gradient: Floats
    closed_form: Floats
    relative_error: Floats
    dead: npt.NDArray[np.bool_]
    """Where the gradient is 0 or not finite, and the closed form is not."""

    @property
    def inexact(self) -> npt.NDArray[np.bool_]:
        """Where the gradient is off by more than a percent; the dead are among them."""
        return self.relative_error > INEXACT


def _measure(run: Run) -> Result:
    probe = run.cell.settings["probe"]
    with probes.denormals():
        at = _curves(run.cell.settings, run.seed)
        curve = at(np.linspace(-probe["range"], probe["range"], probe["points"]))
        ends = {
            "dies_below": _first(lambda scores: at(scores).dead, -1),
            "dies_above": _first(lambda scores: at(scores).dead, 1),
            "inexact_below": _first(lambda scores: at(scores).inexact, -1),
            "inexact_above": _first(lambda scores: at(scores).inexact, 1),
        }
    columns = {name: getattr(curve, name).tolist() for name in COLUMNS}
    rows = [
        {
            **identity_row(run), "step": index, "status": "ok", "message": "",
            **{name: values[index] for name, values in columns.items()}, **ends,
        }
        for index in range(len(curve.score))
    ]  # fmt: skip
    return Result(run, rows)


def _curves(settings: Settings, seed: int) -> Callable[[Floats], _Curve]:
    """The function that measures at scores [n]."""
    objective = OBJECTIVES[settings["objective"]]
    dtype = getattr(torch, settings["probe"]["dtype"])
    hparams = objective_alone.make_hparams(settings, dtype)
    noise = objective_alone.draw_noise(settings, seed, dtype)
    real = torch.zeros(1, 1, dtype=dtype)
    closed_form = SCORE_GRADIENTS.get(settings["objective"])
    numbers = exact(settings["hparams"])

    def loss(score: torch.Tensor) -> torch.Tensor:
        return objective.generator_loss(lambda x: x[:, 0], real, score.reshape(1, 1), noise, hparams)

    gradient_of = torch.func.vmap(torch.func.grad(loss))

    def at(scores: Floats) -> _Curve:
        rounded = torch.from_numpy(scores).to(dtype)
        score, gradient = rounded.tolist(), gradient_of(rounded).tolist()
        if closed_form is None:
            nothing = np.full(len(score), math.nan)
            return _Curve(np.array(score), np.array(gradient), nothing, nothing, np.zeros(len(score), dtype=bool))
        truth = [closed_form(Decimal(s), numbers) for s in score]
        pairs = list(zip(gradient, truth, strict=True))
        return _Curve(
            np.array(score),
            np.array(gradient),
            np.array([float(t) for t in truth]),
            np.array([_relative_error(g, t) for g, t in pairs]),
            np.array([bool(t) and (g == 0 or not math.isfinite(g)) for g, t in pairs]),
        )

    return at


def _relative_error(value: float, truth: Decimal) -> float:
    """Infinite where the value is not finite, or where it is not 0 and ought to be."""
    if not math.isfinite(value):
        return math.inf
    error = abs(Decimal(value) - truth)
    return float(error / abs(truth)) if truth else math.inf if error else 0.0


def _first(fails: Callable[[Floats], npt.NDArray[np.bool_]], side: int) -> float:
    """The score nearest to 0 on a side, to 5e-5 outwards, where that is so; NaN if nowhere up to ``FARTHEST``.

    What fails at a score is taken to fail beyond it.
    """
    near, far = 0.0, FARTHEST
    for _ in range(ROUNDS):
        marks = np.linspace(near, far, CUTS + 1)
        failed = fails(side * marks[1:])
        if not failed.any():
            return math.nan
        first = int(failed.argmax())
        near, far = float(marks[first]), float(marks[first + 1])
    return side * far
