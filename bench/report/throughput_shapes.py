"""Timings of training steps as a report wants them: what was timed together, and how long each way took."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.cell import canonical
from bench.report import captions, style
from bench.report.view import CellView, View

BASELINE = "plain"
LOOPS = (BASELINE, "loop")
"""Ways that the engine's choice is to keep up with."""

TOLERANCE = 1.03
"""By which the choice may take longer than one of them."""

PLAYERS = ("generator", "critic")
TOLD = ("dataset", "batch_size", "replicas", "processes", "rounds", "seconds", *PLAYERS)
"""Settings, or blocks of them, that an objective's label does without: told elsewhere, or how long is timed."""


@dataclass(frozen=True, eq=False)
class Shape:
    """One step of so many replicas at once, timed in several ways by turns."""

    network: str
    data: str
    objective: str
    """With the settings in which it differs from others on its network and data."""
    settings: Mapping[str, Any]
    cells: Mapping[str, CellView]
    """By way."""

    @property
    def replicas(self) -> int:
        """How many train at once."""
        return int(self.settings["replicas"])

    @property
    def processes(self) -> int:
        """How many do so beside each other."""
        return int(self.settings["processes"])

    @property
    def batch(self) -> str:
        """The data and how many of them a loss sees."""
        return f"{self.data}, batch {self.settings['batch_size']:,}"

    @property
    def critic_steps(self) -> str:
        """How many updates of the critic a step has."""
        steps = self.settings["critic_steps"]
        return f"{steps:,} critic step{'s' * (steps != 1)}"

    @property
    def family(self) -> str:
        """What it shares with those that it is compared with."""
        return f"{self.batch}, {self.critic_steps}"

    @property
    def name(self) -> str:
        """For a sentence that picks it out."""
        return f"{self.objective} with {self.replicas:,} x {self.network}, {self.batch}"

    @cached_property
    def _runs(self) -> dict[str, tuple[CellView, int]]:
        """Of each way the first run that ended well: its cell and its seed."""
        return {way: (cell, ended[0]) for way, cell in self.cells.items() if (ended := cell.ended("ok"))}

    def read(self, way: str, column: str) -> float:
        """What the run of that way has in the column; NaN without a run that ended well or without a finite value."""
        if way not in self._runs:
            return math.nan
        cell, seed = self._runs[way]
        return cell.final(column).get(seed, math.nan)

    @cached_property
    def timed(self) -> tuple[str, ...]:
        """The ways with a time, the baseline first."""
        return tuple(way for way in style.WAYS if self.read(way, "step_ms") > 0)

    @cached_property
    def chosen(self) -> str | None:
        """The way that the engine takes by itself, where it is among those that were timed."""
        return next((way for way in self.timed if self.read(way, "chosen") == 1), None)

    def of_choice(self, column: str) -> float:
        """What the engine's choice has in the column; NaN without a choice."""
        return math.nan if self.chosen is None else self.read(self.chosen, column)

    def milliseconds(self, way: str, end: str = "") -> float:
        """Of one replica's step; ``end`` asks for a quartile: ``_low``, ``_high``."""
        return self.read(way, f"step_ms{end}") / self.replicas

    def rate(self, way: str, end: str = "") -> float:
        """Replica-steps a second at that time."""
        return 1000 / self.milliseconds(way, end)

    @property
    def slower(self) -> bool | None:
        """Whether the choice takes longer than a loop, beyond the tolerance; None where there is nothing to compare."""
        loops = [self.milliseconds(way) for way in LOOPS if way in self.timed]
        return None if self.chosen is None or not loops else self.milliseconds(self.chosen) > TOLERANCE * min(loops)

    def ending(self, way: str) -> tuple[str, str]:
        """How the way's first run ended, and the reason that it gave."""
        last = self.cells[way].last
        if not len(last):
            return "missing", ""
        reason = str(last["message"].iloc[0]).strip().rstrip(".")
        return str(last["status"].iloc[0]), reason[: captions.LONGEST_REASON]


def shapes(view: View) -> list[Shape]:
    """What was timed together: cells that differ in nothing but the way."""
    together: dict[str, dict[str, CellView]] = {}
    for cell in view.cells:
        rest = {key: value for key, value in cell.settings.items() if key != "way"}
        together.setdefault(canonical(rest), {})[str(cell.settings["way"])] = cell
    groups = list(together.values())
    settings = [{k: v for k, v in next(iter(group.values())).settings.items() if k != "way"} for group in groups]
    networks = _labels([_network(own) for own in settings], [_blocks(own, *PLAYERS) for own in settings])
    data = _labels([str(own["dataset"]) for own in settings], [_blocks(own, "dataset") for own in settings])
    objectives = _labels(
        [str(own["objective"]) for own in settings],
        [{key: value for key, value in own.items() if key.split(".")[0] not in TOLD} for own in settings],
        [(network, laws, own["batch_size"]) for network, laws, own in zip(networks, data, settings, strict=True)],
    )
    return [Shape(*parts) for parts in zip(networks, data, objectives, settings, groups, strict=True)]


def _blocks(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key.split(".")[0] in names}


def _network(settings: Mapping[str, Any]) -> str:
    """Both networks in few words, once where these are the same: ``mlp 3 x 128``."""
    words = []
    for player in PLAYERS:
        sizes = [settings.get(f"{player}.{key}") for key in ("depth", "width")]
        words.append(" ".join([settings[player], " x ".join(f"{size}" for size in sizes if size is not None)]).strip())
    return " / ".join(dict.fromkeys(words))


def _labels(names: Sequence[str], blocks: Sequence[Mapping[str, Any]], families: Iterable[Hashable] = ()) -> list[str]:
    """The names, each with the settings in which blocks of that name, within a family, differ."""
    keys = list(zip(names, families, strict=True)) if families else list(names)
    values: dict[Hashable, dict[str, set[str]]] = {}
    for key, block in zip(keys, blocks, strict=True):
        for setting, value in block.items():
            values.setdefault(key, {}).setdefault(setting, set()).add(repr(value))
    labels = []
    for name, key, block in zip(names, keys, blocks, strict=True):
        told = [
            f"{k.removeprefix('hparams.').removeprefix('dataset.')} {v}"
            for k, v in block.items()
            if len(values[key][k]) > 1
        ]
        labels.append(f"{name} ({', '.join(told)})" if told else name)
    return labels


def device(view: View) -> str:
    """Where times were taken, by what; times of several machines may not be compared, so that it names them all."""
    columns = ["device_name", "device", "torch_version"]
    if not {*columns, "status"} <= set(view.rows.columns):
        return ""
    counts = view.rows[view.rows["status"] == "ok"][columns].astype(str).value_counts(sort=False).sort_index()
    told = [f"{name} ({device}), torch {torch}" for name, device, torch in counts.index]
    if len(told) == 1:
        return f"Timed on {told[0]}."
    runs = "; ".join(f"{text}: {count} runs" for text, count in zip(told, counts, strict=True))
    return f"Timed on {len(told)} different machines or versions, whose times may not be compared: {runs}." * bool(told)


def rounds(found: Sequence[Shape]) -> str:
    """How many times each way had its turn."""
    counts = sorted({int(n) for shape in found for way in shape.timed if (n := shape.read(way, "rounds")) > 0})
    return " to ".join(dict.fromkeys(f"{n:,}" for n in (*counts[:1], *counts[-1:]))) or "0"


def untimed(found: Sequence[Shape]) -> str:
    """How many shapes each way has no time on, and why."""
    counts: dict[tuple[str, str], int] = {}
    for shape in found:
        for way in shape.cells:
            if way not in shape.timed:
                status, reason = shape.ending(way)
                key = (way, f"{status}: {reason}" if reason else status)
                counts[key] = counts.get(key, 0) + 1
    told = [f"{way} {count} time{'s' * (count != 1)} ({why})" for (way, why), count in counts.items()]
    rest = sum(list(counts.values())[captions.MOST_NAMED :])
    told = [*told[: captions.MOST_NAMED], *([f"and {rest} more"] if rest else [])]
    return f"Not timed: {'; '.join(told)}." if told else ""


def kept_up(found: Sequence[Shape]) -> str:
    """How many rows there are in which the choice is slower than a loop, and which."""
    judged = [shape for shape in found if shape.slower is not None]
    slow = [shape.name for shape in judged if shape.slower]
    more = [f"{len(slow) - captions.MOST_NAMED} more"] if len(slow) > captions.MOST_NAMED else []
    names = f" ({'; '.join([*slow[: captions.MOST_NAMED], *more])})" if slow else ""
    percent = f"{100 * (TOLERANCE - 1):.0f} %"
    if not judged:
        return ""
    return (
        f"Rows in which the choice is more than {percent} slower than {captions.either(LOOPS)}: "
        f"{len(slow)} of {len(judged)}{names}."
    )
