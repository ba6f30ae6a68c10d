"""What the exact earth mover's distance costs beside the critic that stands in for it.

The time of one exact solve over the number of samples, and in turns with it the time of training steps as people write
them, in the plain loop: how many samples a step could have matched exactly. On a CPU the process has one thread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import quantiles
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from bench import seeding, sources, timing, training_settings
from bench.cell import Run, Settings, Unit, canonical
from bench.experiments import plain_training
from bench.experiments.base import Context, Result, Row, Stopped, check_keys, identity_row, skipped
from bench.metrics.base import Array
from bench.metrics.emd import earth_movers_distance
from bench.settings import build, check_block
from bench.timing import Work
from datasets import DATASETS

BURST_SECONDS = 0.1
"""How long a thing is done in a row, at least, to be timed once."""

CRITIC, TRAINING = "critic_step_seconds", "training_step_seconds"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Which solves are timed, and how often.

    Attributes:
        smallest: number of samples on either side of the smallest problem.
        doublings: how often it is doubled.
        fit_from: the smallest number of samples that the power law is fitted to: below, fixed costs count.
        rounds: in each of which every size and every kind of step has its turn.
    """

    smallest: Annotated[int, Field(ge=2, le=10**4)] = 64
    doublings: Annotated[int, Field(ge=1, le=10)] = 5
    fit_from: Annotated[int, Field(ge=2, le=10**5)] = 256
    rounds: Annotated[int, Field(ge=timing.FEWEST, le=1000)] = 5

    def __post_init__(self) -> None:
        if self.sizes()[-1] > 10**4:
            raise ValueError(f"a solve has at most 10,000 samples a side, not {self.sizes()[-1]:,}")
        if self.sizes()[-2] < self.fit_from:
            raise ValueError(f"a power law is fitted to two sizes at least; from {self.fit_from:,} on there are fewer")

    def sizes(self) -> list[int]:
        """In ascending order."""
        return [self.smallest * 2**k for k in range(self.doublings + 1)]


class EmdCost:
    """The experiment ``emd_cost``: a row a size, which is the ``step``; settings are those of training beside its own.

    - ``n``: samples of the data set on either side, fresh ones on both.
    - ``emd_seconds``, ``_low``, ``_high``: of one solve as the metric ``emd`` makes it, Euclidean costs and checks
      included: median over rounds and quartiles.
    - ``critic_step_seconds``, ``_low``, ``_high``: of one update of the critic, its samples drawn.
    - ``training_step_seconds``, ``_low``, ``_high``: of a step, the critic's updates and then the generator's.
    - ``emd_exponent`` a, ``emd_constant_seconds`` c: of the power law seconds = c n^a, by least squares on the
      logarithms of the medians of all n from ``fit_from`` on; in every row of a run, as the next.
    - ``n_per_training_step``: (training_step_seconds / c)^(1/a), the largest n whose solve costs no more than one
      training step, by that law.

    A seed is other samples, another start, and another timing.
    """

    name = "emd_cost"

    def resolve(self, raw: Mapping[str, Any]) -> Settings:
        """See ``Experiment.resolve``."""
        check_keys(raw, (*training_settings.KEYS, "probe"))
        rest = {key: value for key, value in raw.items() if key != "probe"}
        probe = check_block([Probe], raw.get("probe", {}), ("probe",))
        return {**plain_training.resolve(rest, "what is timed"), "probe": probe}

    def sources(self, settings: Settings) -> Settings:
        """See ``Experiment.sources``."""
        return {**training_settings.sources(settings), "metrics": {"emd": sources.metric_version("emd")}}

    def label(self, settings: Settings) -> str:
        """See ``Experiment.label``."""
        return f"{settings['dataset']['name']}-{settings['objective']}"

    def group(self, settings: Settings) -> str:
        """See ``Experiment.group``: the seeds of a cell, one after the other."""
        return canonical(settings)

    def work(self, settings: Settings) -> float:
        """See ``Experiment.work``."""
        probe = Probe(**settings["probe"])
        return float((probe.rounds + 1) * sum(2000 * n**2.2 for n in probe.sizes()))

    def run(self, unit: Unit, context: Context) -> list[Result]:
        """See ``Experiment.run``: a killed try begins again."""
        results = []
        for index, run in enumerate(unit.runs):
            reason = training_settings.impossible(run.cell.settings)
            results.append(skipped(run, reason) if reason is not None else _time(run, context))
            context.progress((index + 1) / len(unit.runs))
        return results


EMD_COST = EmdCost()


def _time(run: Run, context: Context) -> Result:
    probe = Probe(**run.cell.settings["probe"])
    solves = {_solve_of(n): work for n, work in _solves(run, probe).items()}
    works = {**solves, **_steps(run, context.device)}
    bursts = {}
    for name, work in works.items():
        _look_up(context)
        bursts[name] = work, timing.burst_of(work, context.device, BURST_SECONDS)
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for found in timing.take_turns(bursts, context.device, rounds=probe.rounds, seconds=math.inf):
        for name, value in found.items():
            seconds[name].append(value)
        _look_up(context)
    steps = {**_quartiles(CRITIC, seconds[CRITIC]), **_quartiles(TRAINING, seconds[TRAINING])}
    told = [_quartiles("emd_seconds", seconds[_solve_of(n)]) for n in probe.sizes()]
    medians = [row["emd_seconds"] for row in told]
    law = power_law(probe.sizes(), medians, probe.fit_from, steps[TRAINING])
    common: Row = {**identity_row(run), "status": "ok", "message": "", "rounds": len(seconds[TRAINING])}
    rows = [{**common, "step": n, "n": n, **own, **steps, **law} for n, own in zip(probe.sizes(), told, strict=True)]
    return Result(run, rows)


def _look_up(context: Context) -> None:
    if context.stopping():
        raise Stopped


def _solve_of(n: int) -> str:
    return f"solve of {n}"


def _solves(run: Run, probe: Probe) -> dict[int, Work]:
    """By size, solving the first so many samples of either side."""
    dataset, most = build(run.cell.settings["dataset"], DATASETS), probe.sizes()[-1]
    x, y = (
        dataset.sample(most, seeding.generator(run.seed, purpose)).flatten(1).double().numpy()
        for purpose in ("reference", "evaluation")
    )
    return {n: _solving(x[:n], y[:n]) for n in probe.sizes()}


def _solving(x: Array, y: Array) -> Work:
    def solve(count: int) -> None:
        for _ in range(count):
            earth_movers_distance(x, y, norm="euclidean")

    return solve


def _steps(run: Run, device: str) -> dict[str, Work]:
    """One update of the critic, whose generator stands still, and whole steps of another training."""
    problem = training_settings.make_problem(run.cell.settings)
    alone = replace(problem, critic_steps=1, generator_steps=0)
    return {
        name: plain_training.start(p, run.cell.settings, run.seed, device).advance
        for name, p in ((CRITIC, alone), (TRAINING, problem))
    }


def _quartiles(name: str, seconds: Sequence[float]) -> dict[str, float]:
    low, median, high = quantiles(seconds, n=4)
    return {name: median, f"{name}_low": low, f"{name}_high": high}


def power_law(sizes: Sequence[int], seconds: Sequence[float], fit_from: int, step: float) -> dict[str, float]:
    """The columns of the fit to the sizes from ``fit_from`` on; ``step`` is the seconds of a training step."""
    kept = np.array(sizes) >= fit_from
    exponent, constant = np.polyfit(np.log(sizes)[kept], np.log(seconds)[kept], 1).tolist()
    return {
        "emd_exponent": exponent,
        "emd_constant_seconds": math.exp(constant),
        "n_per_training_step": math.exp((math.log(step) - constant) / exponent),
    }
