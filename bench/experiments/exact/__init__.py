"""What can be settled without training, or to the last bit with it: statements of theory, computed.

A cell is a check with its settings. Of what a check draws, the purpose ``laws`` of the seed decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench import sources, training_settings
from bench.cell import Settings, Unit
from bench.experiments import plain_training
from bench.experiments.base import Context, Result, Stopped, check_keys, identity_row
from bench.experiments.exact.axioms import Axioms
from bench.experiments.exact.base import Check
from bench.experiments.exact.carried_earth import CarriedEarth
from bench.experiments.exact.dual import Dual
from bench.experiments.exact.sign_flip import SignFlip
from bench.settings import build, check_named

CHECKS: dict[str, type[Check]] = {
    "carried_earth": CarriedEarth, "dual": Dual, "axioms": Axioms, "sign_flip": SignFlip,
}  # fmt: skip
"""Every check that a grid file can name."""


class Exact:
    """The experiment ``exact``: a check with its settings, beside those of training for one that trains."""

    name = "exact"

    def resolve(self, raw: Mapping[str, Any]) -> Settings:
        """See ``Experiment.resolve``."""
        training_settings.require(raw, "check")
        check = check_named(raw["check"], "check", CHECKS, ("check",))
        trains = CHECKS[check["name"]].trains
        check_keys(raw, ("check", *(training_settings.KEYS if trains else ())))
        rest = {key: value for key, value in raw.items() if key != "check"}
        return {**(plain_training.resolve(rest, "what is checked") if trains else {}), "check": check}

    def sources(self, settings: Settings) -> Settings:
        """See ``Experiment.sources``."""
        if CHECKS[settings["check"]["name"]].trains:
            return training_settings.sources(settings)
        return {"metrics": {"emd": sources.metric_version("emd")}}

    def label(self, settings: Settings) -> str:
        """See ``Experiment.label``."""
        return "-".join([settings["check"]["name"], *([settings["objective"]] if "objective" in settings else [])])

    def group(self, settings: Settings) -> str:
        """See ``Experiment.group``: each run is done by itself, and any may share a unit."""
        return ""

    def work(self, settings: Settings) -> float:
        """See ``Experiment.work``."""
        check: Check = build(settings["check"], CHECKS)
        return check.work(settings)

    def run(self, unit: Unit, context: Context) -> list[Result]:
        """See ``Experiment.run``: a killed try begins again, since a run takes seconds."""
        results = []
        for index, run in enumerate(unit.runs):
            if context.stopping():
                raise Stopped
            check: Check = build(run.cell.settings["check"], CHECKS)
            told = {**identity_row(run), "status": "ok", "message": ""}
            rows = check.rows(run.cell.settings, run.seed, context.device)
            results.append(Result(run, [{**told, **row} for row in rows]))
            context.progress((index + 1) / len(unit.runs))
        return results


EXACT = Exact()
