"""How fast is a training step, by each way of making it?

A unit times every way of one shape, in rounds in which the ways and the machine's own best take turns, so that a drift
of the machine hits all alike. ``plain`` is the loop as people write it, of one replica at a time with nothing of this
harness about it; the rest are the engine's ways. A step is the critic's updates and then the generator's, of all
replicas. On a CPU the process has one thread, as in training.
"""

from __future__ import annotations

import math
import statistics
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, cast

from pydantic import Field

from bench import step_cost, timing, training_settings, ways
from bench.cell import Run, Settings, Unit, canonical
from bench.engine import Way
from bench.errors import first_line
from bench.experiments import together
from bench.experiments.base import Context, Result, Row, Stopped, check_keys, identity_row, skipped
from bench.experiments.entrants import NAMES, PLAIN, Entrant, Name, enter
from bench.settings import SettingError, check_block
from bench.timing import Work

USUAL = ("update", "ema", "training_set", "lr_schedule", "critic_warmup", "instance_noise")
"""Settings of training that stay at their defaults: the plain loop is without them."""

BURST_SECONDS = 0.2
"""How long a way is at work in a row, at least: a run trains about as long between two looks up from it."""

ENERGY_SECONDS = 1.0
"""How long a way is at work for its energy to be read: drivers count in steps of about a tenth."""

OPERATIONS_A_SECOND, OPERATIONS_TO_COMPILE = 2.5e10, 5e11
"""For plans alone: what a core does, and how many operations compiling takes as long as."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What is timed, and how long.

    Attributes:
        way: how replicas are stepped.
        replicas: how many at once.
        processes: how many of them, with as many replicas each, are timed at work together too.
        rounds: in each of which every way has its turn; at most.
        seconds: after which no further round begins, if there have been three.
    """

    way: Name
    replicas: Annotated[int, Field(ge=1, le=10**5)] = 16
    processes: Annotated[int, Field(ge=1, le=1024)] = 1
    rounds: Annotated[int, Field(ge=timing.FEWEST, le=1000)] = 15
    seconds: Annotated[float, Field(gt=0, le=3600)] = 20.0


OWN = tuple(field.name for field in fields(Timing))


class Throughput:
    """The experiment ``throughput``: one row a way."""

    name = "throughput"

    def resolve(self, raw: Mapping[str, Any]) -> Settings:
        """See ``Experiment.resolve``."""
        check_keys(raw, (*training_settings.KEYS, *OWN))
        own = check_block([Timing], {key: value for key, value in raw.items() if key in OWN})
        settings = training_settings.resolve(raw)
        named = ("objective", "dataset", "generator", "critic")
        bare = training_settings.resolve({key: settings[key] for key in named})
        for key in USUAL:
            if settings[key] != bare[key]:
                raise SettingError((key,), "what is timed is training without it; remove it")
        return {**settings, **own}

    def sources(self, settings: Settings) -> Settings:
        """See ``Experiment.sources``."""
        return training_settings.sources(settings)

    def label(self, settings: Settings) -> str:
        """See ``Experiment.label``."""
        return f"{settings['dataset']['name']}-{settings['objective']}-{settings['replicas']}-{settings['way']}"

    def group(self, settings: Settings) -> str:
        """See ``Experiment.group``: the ways of one shape."""
        return canonical({key: value for key, value in settings.items() if key != "way"})

    def work(self, settings: Settings) -> float:
        """See ``Experiment.work``: as if the processor did matrix products all the while."""
        step = settings["replicas"] * training_settings.work(settings) / settings["steps"]
        burst = max(step, OPERATIONS_A_SECOND * BURST_SECONDS)
        rounds = min(settings["rounds"], OPERATIONS_A_SECOND * settings["seconds"] / (len(NAMES) * burst))
        compiling = OPERATIONS_TO_COMPILE if settings["way"] == "compiled" else 0.0
        return float(max(rounds, timing.FEWEST) * burst + 3 * step + compiling)

    def run(self, unit: Unit, context: Context) -> list[Result]:
        """See ``Experiment.run``: a killed try begins again."""
        results: dict[str, Result] = {}
        for seed in sorted({run.seed for run in unit.runs}):
            runs = {cast(Name, run.cell.settings["way"]): run for run in unit.runs if run.seed == seed}
            results |= {result.run.id: result for result in _Shape(runs, context).results()}
        return [results[run.id] for run in unit.runs]


THROUGHPUT = Throughput()


class _Shape:
    """The ways of one shape, with one seed: ``runs``, by way, are to have a row each."""

    def __init__(self, runs: Mapping[Name, Run], context: Context) -> None:
        some = next(iter(runs.values()))
        self.runs, self.context, self.device = runs, context, context.device
        self.settings, self.seed = some.cell.settings, some.seed
        self.replicas: int = self.settings["replicas"]
        self.entrants: dict[Name, Entrant] = {}
        self.lost: dict[Name, tuple[str, str]] = {}
        """Status and reason of the ways that cannot be timed."""
        self.bursts: dict[str, tuple[Work, int]] = {}
        """What has its turn in each round, and how often in a row: ways by their names, and yardsticks."""
        self.rounds: list[Mapping[str, float]] = []
        """The seconds of one call of each."""

    def results(self) -> list[Result]:
        """Their rows, when all has been measured."""
        reason = training_settings.impossible(self.settings)
        if reason is None and self.settings["processes"] > 1 and self.device != "cpu":
            reason = "several processes at once are timed on CPUs alone"
        if reason is not None:
            return [skipped(run, reason) for run in self.runs.values()]
        self._enter()
        self._take_turns()
        scaling, facts, chosen = self._scaling(), self._facts(), self._choice()
        results = []
        for name, run in self.runs.items():
            told: Row = {"step": 0, "status": "ok", "message": ""}
            if name in self.lost:
                told["status"], told["message"] = self.lost[name]
            else:
                told |= {**facts, **self._figures(name, facts)}
                told |= {"chosen": float(name == chosen), "scaling": scaling.get(name, math.nan)}
            results.append(Result(run, [{**identity_row(run), **told}]))
        return results

    def _enter(self) -> None:
        """Build each way that has a row, and the plain loop in any case: the rest are held against it."""
        one = enter(self.settings, "vmap", 1, self.seed, "cpu").peak_memory_bytes
        for name in NAMES:
            if name not in self.runs and name != PLAIN:
                continue
            self._look_up(0.0)
            reason = self._impossible(name, one)
            if reason is not None:
                self.lost[name] = "skipped", reason
                continue
            try:
                self.entrants[name] = enter(self.settings, name, self.replicas, self.seed, self.device)
            except Exception as error:  # the compiler's own errors have no common class; none may cost another way
                if name == PLAIN:
                    raise
                traceback.print_exc()
                status = "oom" if type(error).__name__ == "OutOfMemoryError" else "failed"
                self.lost[name] = status, first_line(error)

    def _impossible(self, name: Name, one: int) -> str | None:
        """Why a way cannot be timed here; ``one`` is the memory of one replica."""
        if name == "cuda_graph" and self.device == "cpu":
            return "CUDA graphs are for CUDA devices"
        if name == "compiled" and (reason := ways.cannot_compile(self.device)) is not None:
            return reason
        needed, free = self.replicas * one, step_cost.free_bytes(self.device)
        if name != PLAIN and needed > step_cost.ROOM * free:
            return f"takes about {needed / 2**30:.3g} GiB in tensors, of {free / 2**30:.3g} GiB that are free"
        return None

    def _take_turns(self) -> None:
        device, sizes = self.device, timing.SIZES[self.device]
        yardsticks = {_product(size): timing.matrix_product(size, device) for size in sizes}
        yardsticks[COPY] = timing.copying(device)
        self.bursts = {name: (work, timing.burst_of(work, device)) for name, work in yardsticks.items()}
        for name, entrant in self.entrants.items():
            self.bursts[name] = entrant.work, timing.burst_of(entrant.work, device, BURST_SECONDS)
        rounds, seconds = self.settings["rounds"], self.settings["seconds"]
        for found in timing.take_turns(self.bursts, self.device, rounds=rounds, seconds=seconds):
            self.rounds.append(found)
            self._look_up(len(self.rounds) / rounds)

    def _look_up(self, share: float) -> None:
        self.context.progress(share)
        if self.context.stopping():
            raise Stopped

    def _seconds(self, name: Name) -> list[float]:
        """Of a step of all replicas, round by round."""
        times = self.entrants[name].times
        return [times * found[name] for found in self.rounds]

    def _facts(self) -> Row:
        """What does not depend on the way."""
        problem = training_settings.make_problem(self.settings)
        scalars = training_settings.make_scalars([self.settings])
        sizes = timing.SIZES[self.device]
        return {
            "rounds": len(self.rounds),
            "flops": self.replicas * step_cost.step_flops(problem, scalars),
            "bytes": self.replicas * step_cost.step_bytes(problem),
            "matmul_flops_per_second": max(2 * size**3 / self._median(_product(size)) for size in sizes),
            "copy_bytes_per_second": 2 * timing.COPIED / self._median(COPY),
        }

    def _median(self, name: str) -> float:
        return statistics.median(found[name] for found in self.rounds)

    def _figures(self, name: Name, facts: Row) -> Row:
        """Of a way that was timed."""
        entrant, seconds = self.entrants[name], self._seconds(name)
        low, median, high = _quartiles(seconds)
        speedups = [plain / own for plain, own in zip(self._seconds(PLAIN), seconds, strict=True)]
        speedup_low, speedup, speedup_high = _quartiles(speedups)
        count = self.bursts[name][1]
        return {
            "step": count * len(self.rounds),
            "step_ms": 1e3 * median,
            "step_ms_low": 1e3 * low,
            "step_ms_high": 1e3 * high,
            "replica_steps_per_second": self.replicas / median,
            "first_step_seconds": entrant.first_step_seconds,
            "peak_memory_bytes": entrant.peak_memory_bytes,
            "matmul_share": facts["flops"] / (median * facts["matmul_flops_per_second"]),
            "bandwidth_share": facts["bytes"] / (median * facts["copy_bytes_per_second"]),
            "energy_joules": self._joules(name),
            "speedup": speedup,
            "speedup_low": speedup_low,
            "speedup_high": speedup_high,
            "wall_seconds": count * sum(found[name] for found in self.rounds),
        }

    def _joules(self, name: Name) -> float:
        """Of a step of all replicas; NaN where nothing counts them."""
        meter, entrant = timing.meter(self.device), self.entrants[name]
        if meter is None:
            return math.nan
        count = math.ceil(ENERGY_SECONDS / self._median(name))
        return entrant.times * meter.joules_of(entrant.work, count) / count

    def _choice(self) -> Way | None:
        """What the engine would take, of the ways that were timed."""
        own = [cast(Way, name) for name in self.entrants if name != PLAIN]
        steps = {way: statistics.median(self._seconds(way)) for way in own}
        starts = {way: self.entrants[way].first_step_seconds for way in own}
        return ways.best(steps, starts, self.settings["steps"]) if own else None

    def _scaling(self) -> Mapping[Name, float]:
        """Of each way, the median over rounds; of several processes."""
        if self.settings["processes"] == 1:
            return {}
        counts = {name: math.ceil(together.BURST_SECONDS / self._median(name)) for name in self.entrants}
        found: dict[Name, list[float]] = {name: [] for name in counts}
        with together.Together(self.settings, list(counts), self.replicas, self.settings["processes"]) as processes:
            start = time.monotonic()
            for k in range(self.settings["rounds"]):
                if k >= timing.FEWEST and time.monotonic() - start > self.settings["seconds"]:
                    break
                for name, count in counts.items():
                    found[name].append(processes.scaling(name, count))
                self._look_up(1.0)
        return {name: statistics.median(values) for name, values in found.items()}


COPY = "copy"


def _product(size: int) -> str:
    return f"product of {size}"


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, median, high = statistics.quantiles(values, n=4)
    return low, median, high
