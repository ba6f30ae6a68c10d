"""What the experiment ``throughput`` shows: how long a training step takes in each way, and how far from the limit.

Of a cell with several seeds the first run that ended well is shown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

from bench.report import captions, figures, style
from bench.report.figures import Drawing
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.throughput_figures import MOST_BLOCKS, blocks, rates, speedups, widest
from bench.report.throughput_shapes import Shape, device, kept_up, rounds, shapes, untimed
from bench.report.view import View
from bench.statistics import Estimate

MOST_ROWS = 30
"""Of a table, to fit a page."""

DIGITS = 3
"""Significant ones of every number."""

NAMES = (Heading("objective", "Objective"), Heading("replicas", "Replicas"))

QUARTILES = ("_low", "_high")

COMPILED = "compiled"
"""The way whose first step may take longer than many others together."""

COSTS = (
    ("flops", "gflop", "GFLOP", 1e-9),
    ("matmul_share", "matmul_percent", "Matmul rate, %", 100.0),
    ("bandwidth_share", "copy_percent", "Copy rate, %", 100.0),
    ("peak_memory_bytes", "peak_megabytes", "Peak, MB", 1e-6),
    ("energy_joules", "millijoules", "Energy, mJ", 1e3),
)
"""What is told of the engine's choice: the records' column, the table's, its label, the factor between them."""

OF_ALL = ("flops", "energy_joules")
"""Of which the records have those of all replicas together."""


def tables(view: View) -> list[Table]:
    """Of each network the times of a step and what it costs, a page a table; what processes reach beside each other."""
    found = shapes(view)
    alone = [shape for shape in found if shape.processes == 1]
    beside = [shape for shape in found if shape.processes > 1]
    result: list[Table] = []
    for number, network in enumerate(dict.fromkeys(shape.network for shape in alone), 1):
        own = _ordered([shape for shape in alone if shape.network == network])
        stem = re.sub(r"[^a-z0-9]+", "_", network.lower()).strip("_")
        if any(table.name.startswith(f"throughput_{stem}") for table in result):
            stem = f"network_{number}"
        result += _pages(own, f"throughput_{stem}", f"Step time, {network}", partial(_times, view))
        chosen = own if any(shape.chosen for shape in own) else []
        result += _pages(chosen, f"cost_{stem}", f"What a step costs, {network}", partial(_costs, view))
    return [*result, *_pages(_ordered(beside), "scaling", "Several processes at once", partial(_scaling, view))]


def _pages(
    found: Sequence[Shape], name: str, title: str, make: Callable[[str, str, Sequence[Shape]], Table]
) -> list[Table]:
    """The shapes in as few tables as pages allow, and as even ones."""
    count = math.ceil(len(found) / MOST_ROWS)
    size = math.ceil(len(found) / max(1, count))
    ends = [(f"_part_{k}", f", {k} of {count}") if count > 1 else ("", "") for k in range(1, count + 1)]
    return [make(name + end, title + words, found[k * size : (k + 1) * size]) for k, (end, words) in enumerate(ends)]


def _ordered(found: Sequence[Shape]) -> list[Shape]:
    """What is compared stands together: by family and objective, each in the grid's order, then by replicas."""
    families, objectives = (
        list(dict.fromkeys(getattr(shape, key) for shape in found)) for key in ("family", "objective")
    )
    return sorted(
        found, key=lambda shape: (families.index(shape.family), objectives.index(shape.objective), shape.replicas)
    )


def _parts(found: Sequence[Shape], rows: Sequence[Row]) -> tuple[Part, ...]:
    grouped = groupby(zip(found, rows, strict=True), key=lambda pair: pair[0].family)
    return tuple(Part(family, tuple(row for _, row in pairs)) for family, pairs in grouped)


def _times(view: View, name: str, title: str, found: Sequence[Shape]) -> Table:
    ways = [way for way in style.WAYS if any(way in shape.timed for shape in found)]
    headings = (
        *NAMES,
        *(Heading(f"{way}_ms", f"{way}, ms", digits=DIGITS) for way in ways),
        *(Heading(f"{way}_ms{end}", "", csv_only=True) for way in ways for end in QUARTILES),
        Heading("choice", "", csv_only=True),
        Heading("speedup", "Speedup", "up", digits=DIGITS),
        Heading("replica_steps_per_second", "Replica-steps /s", "up", digits=DIGITS),
    )
    rows = []
    for shape in found:
        entries: list[Entry] = [shape.objective, shape.replicas, *(_time(shape, way) for way in ways)]
        entries += [_number(shape.milliseconds(way, end)) for way in ways for end in QUARTILES]
        entries += [shape.chosen, _speedup(shape), _number(shape.rate(shape.chosen)) if shape.chosen else None]
        rows.append(Row(tuple(entries), frozenset({f"{shape.chosen}_ms"})))
    caption = captions.sentences(
        WHAT,
        f"Times: milliseconds of one replica's step, median of {rounds(found)} rounds in which the ways take turns; "
        f"the CSV has the quartiles. {_choice(found)}, in bold. Speedup: of it over plain, median and quartiles of the "
        "ratios within a round.",
        kept_up(found),
        untimed(found),
        device(view),
        captions.origin(view),
    )
    return Table(name, caption, headings, _parts(found, rows), title)


def _costs(view: View, name: str, title: str, found: Sequence[Shape]) -> Table:
    columns = [column for column in COSTS if any(math.isfinite(shape.of_choice(column[0])) for shape in found)]
    headings = (
        *NAMES,
        Heading("choice", "Choice"),
        Heading("first_step_seconds", "First step, s", digits=DIGITS),
        Heading(f"{COMPILED}_first_step_seconds", f"First step {COMPILED}, s", digits=DIGITS),
        *(Heading(key, label, digits=DIGITS) for _, key, label, _ in columns),
    )
    rows = []
    for shape in found:
        entries: list[Entry] = [shape.objective, shape.replicas, shape.chosen]
        entries += [_number(shape.of_choice("first_step_seconds")), _number(shape.read(COMPILED, "first_step_seconds"))]
        for column, _, _, factor in columns:
            parts = shape.replicas if column in OF_ALL else 1
            entries.append(_number(factor * shape.of_choice(column) / parts))
        rows.append(Row(tuple(entries)))
    energy = any(column == "energy_joules" for column, *_ in columns)
    caption = captions.sentences(
        WHAT, f"{_choice(found)}.", WHAT_COSTS, ENERGY if energy else "", device(view), captions.origin(view)
    )
    return Table(name, caption, headings, _parts(found, rows), title)


def _choice(found: Sequence[Shape]) -> str:
    steps = captions.either(f"{steps:,}" for steps in sorted({shape.settings["steps"] for shape in found}))
    return f"Choice: the way that the engine, left to itself, takes for a run of {steps} steps"


def _time(shape: Shape, way: str) -> Entry:
    """Milliseconds, or how the run ended that has none."""
    if way not in shape.cells:
        return None
    return shape.milliseconds(way) if way in shape.timed else shape.ending(way)[0]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _speedup(shape: Shape) -> Entry:
    value, low, high = (shape.of_choice(f"speedup{end}") for end in ("", *QUARTILES))
    return Estimate(value, low, high, int(shape.of_choice("rounds"))) if math.isfinite(value) else None


def _scaling(view: View, name: str, title: str, found: Sequence[Shape]) -> Table:
    headings = (
        *NAMES,
        Heading("network", "Network"),
        Heading("processes", "Processes"),
        Heading("way", "Way"),
        Heading("ms", "Time, ms", digits=DIGITS),
        Heading("scaling", "Scaling", "up", digits=DIGITS),
    )
    lines = [(shape, way) for shape in found for way in shape.cells]
    rows = []
    for shape, way in lines:
        scaling = _number(shape.read(way, "scaling")) if way in shape.timed else None
        entries = (shape.objective, shape.replicas, shape.network, shape.processes, way, _time(shape, way), scaling)
        rows.append(Row(entries))
    caption = captions.sentences(
        "Scaling: steps a second of so many processes at once, each with so many replicas and one thread, over those "
        "of one alone; median of rounds that take turns. Time: milliseconds of one replica's step in one process "
        f"alone, median of {rounds(found)} rounds.",
        WHAT,
        untimed(found),
        device(view),
        captions.origin(view),
    )
    return Table(name, caption, headings, _parts([shape for shape, _ in lines], rows), title)


def drawings(view: View, load: figures.Load) -> list[Drawing]:
    """Replica-steps a second over replicas, below the roofs; the speedup of the engine's choice by objective."""
    found = _ordered([shape for shape in shapes(view) if shape.processes == 1])
    end = captions.sentences(kept_up(found), untimed(found), device(view), captions.origin(view))
    drawn = []
    if rows := blocks(found):
        told = RATES.format(rounds=f"median of {rounds(found)} rounds in which the ways take turns, bars: quartiles")
        left_out = sum(len(row.panels) for row in rows[MOST_BLOCKS:])
        rest = f"Panels that this figure has no room for: {left_out}." if left_out else ""
        caption = captions.sentences(told, WHAT, rest, end)
        drawn.append(Drawing("throughput", "Replica-steps a second", caption, rates(rows[:MOST_BLOCKS])))
    if len(block := widest(found)) > 1:
        one = block[0]
        where = f"{one.replicas:,} replica{'s' * (one.replicas != 1)} of {one.network}, {one.batch}"
        caption = captions.sentences(SPEEDUPS.format(where, rounds(block)), WHAT, device(view), captions.origin(view))
        drawn.append(Drawing("speedup", "Speedup by objective", caption, speedups(block)))
    return drawn


WHAT = (
    f"A step is {captions.STEP}, of every replica. plain: one replica after the other in an ordinary loop of "
    "nn.Module and torch.optim; loop, vmap, compiled, cuda_graph: the engine's ways to step all."
)

WHAT_COSTS = (
    "First step: building, compiling with an empty compile cache, and one step of all replicas. GFLOP: floating-point "
    "operations of one replica's step in matrix products and convolutions, counted. Matmul rate, copy rate: the shares "
    "that the step reaches of the rates of a large matrix product and of a large copy, measured in the same rounds. "
    "Peak: memory of tensors during a step of all replicas."
)

ENERGY = "Energy: of one replica's step, as the device's own counter has it."

RATES = (
    "Replica-steps a second over the number of replicas that train at once, for each way to step them: {rounds}. "
    "Horizontal: the device's roof, the rate of a large matrix product, measured in the same rounds, by the operations "
    "of one replica's step; dotted, where it is lower: the rate of a large copy by the bytes that the step moves at "
    "least."
)

SPEEDUPS = (
    "How many times as fast as plain the engine's choice is, by objective, on {}: median of the ratios within a round, "
    "{} rounds; bars: quartiles. One critic step where no number is told."
)
