"""The report of a results folder: tables, figures and one page, from its records alone; torch is never loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from bench import records
from bench.report import (
    batches,
    depth,
    dirac,
    emd_cost,
    estimate,
    exact,
    known_samplers,
    ledger,
    lipschitz,
    macros,
    optimal_critic,
    page,
    paths,
    saturation,
    score_curve,
    style,
    summary,
    tables,
    throughput,
    train,
    view,
    w1_benchmark,
)
from bench.report.choices import DEFAULTS, Choices
from bench.report.figures import Points
from bench.report.view import CellView, Outcomes

TABLES = "tables"
FIGURES = "figures"
"""Folders of the results folder."""

SHOWN: Mapping[str, ModuleType] = {
    "train": train,
    "score_curve": score_curve,
    "saturation": saturation,
    "optimal_critic": optimal_critic,
    "depth": depth,
    "lipschitz": lipschitz,
    "paths": paths,
    "estimate": estimate,
    "w1_benchmark": w1_benchmark,
    "dirac": dirac,
    "known_samplers": known_samplers,
    "exact": exact,
    "batches": batches,
    "emd_cost": emd_cost,
    "throughput": throughput,
}
"""What an experiment shows: a module with ``tables(view)`` and ``drawings(view, load)``."""


@dataclass(frozen=True)
class Report:
    """What was built."""

    outcomes: Outcomes
    tables: tuple[str, ...]
    """In Markdown, for a terminal too."""
    errors: tuple[records.RecordError, ...]
    """Files that were left out, and why."""


def build(folder: Path, choices: Choices = DEFAULTS) -> Report:
    """Write ``results.parquet``, ``tables/``, ``figures/`` and ``report.html`` into a results folder.

    Equal records, samples and manifest, and an equal ledger beside the folder, give equal bytes. A folder without a
    record that can be read gets a page that says so.

    Raises:
        RecordError: the folder holds neither records nor a manifest, or a link in the place of a folder to write to.
        UserError: a choice that the tables of this folder do not offer.
        OSError: a file could not be written; those before it are in place.
    """
    if not (folder / records.RUNS).is_dir() and not (folder / records.MANIFEST).is_file():
        raise records.RecordError(folder, f"no results here: neither {records.RUNS}/ nor {records.MANIFEST}")
    for name in (TABLES, FIGURES):
        if (folder / name).is_symlink():
            raise records.RecordError(folder / name, "a link, which may lead to other people's files; remove it")
    found = view.read(folder)
    errors = list(found.errors)

    def load(cell: CellView, seed: int) -> Mapping[str, Points] | None:
        try:
            return records.load_samples(folder, f"{cell.id}-s{seed}")
        except records.RecordError as error:
            errors.append(error)
            return None

    def judged() -> ledger.Ledger | None:
        try:
            return ledger.beside(folder)
        except records.RecordError as error:
            errors.append(error)
            return None

    made: list[tables.Table] = []
    pictures: list[page.Picture] = []
    if len(found.rows):
        records.publish_bytes(records.encode(found.rows), folder / "results.parquet")
    shown = SHOWN.get(found.experiment)
    if shown is not None:
        if shown is train:
            made = train.tables(found, choices)
        else:
            choices.refuse(found.experiment)
            made = shown.tables(found)
        made = [replace(table, digits=choices.digits) for table in made]
        for table in made:
            written = {"md": tables.markdown(table), "csv": tables.csv_text(table)}
            written["tex"] = tables.latex(table, choices.columns)
            for ending, text in written.items():
                records.publish_bytes(text.encode(), folder / TABLES / f"{table.name}.{ending}")
        records.publish_bytes(macros.numbers(found, made).encode(), folder / TABLES / "numbers.tex")
        with style.applied():
            for drawing in summary.first(found, shown.drawings(found, load)):
                texts = (records.printable(f"{found.grid}: {drawing.title}"), records.printable(drawing.caption))
                pixels = style.png(drawing.figure, *texts)
                records.publish_bytes(pixels, folder / FIGURES / f"{drawing.name}.png")
                records.publish_bytes(style.pdf(drawing.figure, *texts), folder / FIGURES / f"{drawing.name}.pdf")
                pictures.append(page.Picture(drawing.name, drawing.title, drawing.caption, pixels))
    text = page.render(found, made, pictures, errors, judged())
    records.publish_bytes(text.encode(), folder / "report.html")
    return Report(found.outcomes, tuple(map(tables.markdown, made)), tuple(errors))
