"""What the experiment ``known_samplers`` shows: a table of what every metric says, a part for each data set."""

from __future__ import annotations

from bench.metrics import FLOOR
from bench.report import captions, figures
from bench.report.captions import BOOTSTRAP
from bench.report.figures import Drawing
from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, Task, View
from bench.statistics import interval


def tables(view: View) -> list[Table]:
    """A row for each sampler, with the floor under those of a data set."""
    measured = view.measured
    if not measured:
        return []
    headings = (
        Heading("sampler", "Sampler"),
        Heading("n", "n"),
        *(Heading(name, column.label, column.direction) for name, column in measured.items()),
    )
    parts = tuple(_part(task, tuple(measured)) for task in view.tasks)
    return [Table("known_samplers", _caption(view), headings, parts, "Known samplers")]


def _part(task: Task, names: tuple[str, ...]) -> Part:
    rows = []
    for cell in task.cells:
        entries: list[Entry] = [name_of(cell), cell.outcomes.ok]
        rows.append(Row((*entries, *(interval(list(cell.final(name).values())) for name in names))))
    floors = [interval(list(task.floor(f"{name}{FLOOR}").values())) for name in names]
    seeds = max((floor.n for floor in floors), default=0)
    rows.append(Row(("floor", seeds, *(floor if floor.n else None for floor in floors)), aside=True))
    return Part(task.title, tuple(rows))


def name_of(cell: CellView) -> str:
    """The sampler, with its settings."""
    prefix = "sampler."
    own = [f"{key.removeprefix(prefix)} {value}" for key, value in cell.settings.items() if key.startswith(prefix)]
    return " ".join([str(cell.settings["sampler"]), *([f"({', '.join(own)})"] if own else [])])


def _caption(view: View) -> str:
    return captions.sentences(
        f"Mean over n seeds, with its {BOOTSTRAP}, expanded for small n. Data: draws of what generators learn from; "
        "copies: so many of these, over and over; noise: uniform. Floor: fresh real samples, which no generator learns "
        "from. =: best at the floor, neither above it nor below.",
        captions.judges(view.cells),
        captions.measured_on(view.cells),
        captions.origin(view),
    )


def drawings(view: View, load: figures.Load) -> list[Drawing]:
    """None."""
    return []
