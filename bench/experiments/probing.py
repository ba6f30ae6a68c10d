"""What experiments share that train, and read at each mark what training itself does not tell.

Shape letters: R replica.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import torch

from bench.cell import Settings, Unit
from bench.checkpoints import go_on
from bench.engine import Training
from bench.experiments.base import Context, Result, check_keys, identity_row, skipped
from bench.experiments.session import Observe, Session, schedule
from bench.settings import SettingError, check_block


class Reader(ABC):
    """Looks at the replicas of one unit in training, with draws of its own that are the same at every mark."""

    @abstractmethod
    def __init__(self, settings: Settings, training: Training) -> None: ...

    @abstractmethod
    def read(self) -> Mapping[str, torch.Tensor]:
        """Numbers at this mark: column -> [R]."""

    def arrays(self) -> Mapping[str, torch.Tensor]:
        """What figures need of the last mark: name -> [R, ...]."""
        return {}


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """Of an experiment that has none of its own."""


class Probing:
    """An experiment that trains and reads.

    Settings: those of training, ``observe`` (when to read, see ``Observe``) and ``probe`` (the experiment's own).
    """

    about: ClassVar[ModuleType]
    """Where the settings of training come from: `bench.critic_settings` or `bench.training_settings`."""
    name: str
    probe: ClassVar[type[Any]] = NoSettings
    reader: ClassVar[type[Reader]]
    critics: ClassVar[tuple[str, ...]] = ()
    """The families whose layers the reader knows, where it looks inside; empty: any."""

    def resolve(self, raw: Mapping[str, Any]) -> Settings:
        """See ``Experiment.resolve``."""
        check_keys(raw, (*self.about.KEYS, "observe", "probe"))
        settings = self.about.resolve(raw)
        if self.critics and settings["critic"]["name"] not in self.critics:
            words = f"{self.name} reads the layers of {', '.join(self.critics)}, not of {settings['critic']['name']}"
            raise SettingError(("critic",), words)
        return {
            **settings,
            "observe": check_block([Observe], raw.get("observe", {}), ("observe",)),
            "probe": check_block([self.probe], raw.get("probe", {}), ("probe",)),
        }

    def sources(self, settings: Settings) -> Settings:
        """See ``Experiment.sources``."""
        sources: Settings = self.about.sources(settings)
        return sources

    def label(self, settings: Settings) -> str:
        """See ``Experiment.label``."""
        where = settings["pair"] if "pair" in settings else settings["dataset"]
        return f"{where.get('dataset', where)['name']}-{settings['objective']}"

    def group(self, settings: Settings) -> str:
        """See ``Experiment.group``."""
        group: str = self.about.group(settings)
        return group

    def work(self, settings: Settings) -> float:
        """See ``Experiment.work``."""
        work: float = self.about.work(settings)
        return work

    def run(self, unit: Unit, context: Context) -> list[Result]:
        """See ``Experiment.run``."""
        settings = unit.runs[0].cell.settings
        reason = self.about.impossible(settings)
        if reason is not None:
            return [skipped(run, reason) for run in unit.runs]
        return go_on(context.work, context.say, lambda: self._read(unit, context))

    def _read(self, unit: Unit, context: Context) -> list[Result]:
        cells = [run.cell.settings for run in unit.runs]
        settings = cells[0]
        session = Session(
            context, self.about.make_problem(settings),
            [run.seed for run in unit.runs], self.about.make_scalars(cells),
            shape=self.about.shape(settings), updates=self.about.critic_updates(settings, settings["steps"]),
        )  # fmt: skip
        reader = self.reader(settings, session.training)
        for mark in [0, *schedule(settings["observe"], settings["steps"])]:
            session.train_until(mark)
            if session.training.step == mark:  # else an earlier try has been past it
                observe(session, reader)
        return results(unit, session, reader)


def observe(session: Session, reader: Reader) -> None:
    """Read at this step, unless an earlier try has, and save."""
    if str(session.training.step) not in session.readings:
        means = session.training.readings() if session.training.step else {}  # of updates since the last mark
        session.read({**means, **reader.read()})
        session.save()


def results(unit: Unit, session: Session, reader: Reader) -> list[Result]:
    """Every run's rows, the last one of a run that diverged saying so, and its arrays."""
    diverged, arrays = session.training.diverged(), reader.arrays()
    found = []
    for r, (run, end) in enumerate(zip(unit.runs, diverged, strict=True)):
        common = {**identity_row(run), "way": session.way, "replicas": len(unit.runs)}
        rows = [
            {
                **common,
                "step": int(step),
                "status": "ok",
                "message": "",
                **{k: values[r] for k, values in named.items()},
            }
            for step, named in sorted(session.readings.items(), key=lambda item: int(item[0]))
            if end is None or int(step) < end[0]
        ]
        if end is not None:
            step, site = end
            rows.append({**common, "step": step, "status": "diverged", "message": f"{site} stopped being finite"})
        found.append(Result(run, rows, {name: tensor[r].cpu().numpy() for name, tensor in arrays.items()}))
    return found
