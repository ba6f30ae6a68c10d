"""Numbers as LaTeX commands, against the tables and the real pdflatex."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from test_latex import compiled, needs_pdflatex, set_text

from bench.report import train, view
from bench.report.macros import command, numbers
from bench.report.tables import Entry, Heading, Part, Quoted, Row, Table
from bench.report.view import CellView, Task, View
from bench.statistics import Estimate

DEFINED = re.compile(r"\\newcommand\{\\([A-Za-z]+)\}\{(.*)\}")


def defined(text: str) -> dict[str, str]:
    """The commands of a file; each line that is no comment defines one, and none twice."""
    lines = [line for line in text.splitlines() if line and not line.startswith("%")]
    found = [DEFINED.fullmatch(line) for line in lines]
    assert all(found)
    names = [match[1] for match in found if match]
    assert len(set(names)) == len(names)
    return {match[1]: match[2] for match in found if match}


def made(*rows: tuple[Entry, ...], parts: int = 1, **changes: str) -> dict[str, str]:
    """The commands for a table of these rows: a name, a count, a value."""
    cells = (CellView("id", "a", "", (0,), pd.DataFrame(), {"steps": 100, "lr": 5e-05, "flag": True}),)
    found = View(Path(), "toy_1", "train", {"git_commit": "abc"}, pd.DataFrame(), (Task("ring", "", cells),), (), 0)
    headings = (Heading("objective", "O"), Heading("layers", "L"), Heading("emd", "E"))
    title = Part("ring, 8 modes", tuple(map(Row, rows)), **changes)
    return defined(numbers(found, [Table("quality", "c", headings, (title,) * parts)]))


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["modes", "quality", "ring tuned", "wgan_gp", "emd"], "modesQualityRingTunedWganGpEmd"),
        (["modes", "WGAN-GP (lr=1e-4)", "Div."], "modesWganGpLrOneEFourDiv"),
        (["25 modes"], "twoFiveModes"),
        (["end to end"], "gridEndToEnd"),
        (["CPUSeconds", "\u00e9\u4e2d", "{}\\"], "cpuSecondsE"),
        ([""], "number"),
    ],
)
def test_names_have_only_letters(words: list[str], name: str) -> None:
    assert command(words) == name


def test_an_estimate_is_four_commands_rounded_as_in_the_table() -> None:
    found = made(("wgan_gp", 3, Estimate(-0.5004, -1.25, 1234.567, 8)))
    ours = {name.removeprefix("toyOneQualityRingEightModesWganGp"): value for name, value in found.items()}
    assert ours["Layers"] == "3"
    told = {end: ours[f"Emd{end}"] for end in ("", "Low", "High", "N")}
    assert told == {"": r"\ensuremath{-}1", "Low": r"\ensuremath{-}1", "High": "1,235", "N": "8"}
    assert not [name for name in ours if name.endswith("Objective")]  # words are no numbers


def test_rows_are_told_apart_by_counts_and_the_rest_by_letters() -> None:
    found = made(("a", 1, 0.5), ("a", 2, 0.25), key="ring")
    assert found["toyOneQualityRingAOneEmd"] == "0.50"
    assert found["toyOneQualityRingATwoEmd"] == "0.25"
    same = made(("a", 1, 0.5), ("a", 1, 0.25), key="ring")
    assert {"toyOneQualityRingAOneZeroFiveEmd", "toyOneQualityRingAEmd"}.isdisjoint(same)
    assert [name for name in same if name.endswith(("Emd", "EmdB"))] == [
        "toyOneQualityRingAOneEmd",
        "toyOneQualityRingAOneEmdB",
    ]
    thrice = made(("a", 1, Estimate(1.0, 0.5, 1.5, 8)), parts=3, key="ring")
    assert {f"toyOneQualityRingAEmd{end}" for end in ("", "Low", "B", "BLow", "C", "CHigh", "CN")} < set(thrice)


def test_a_published_number_has_the_name_of_its_row() -> None:
    found = made(
        ("a", 1, 0.5),
        ("published (1)", None, Quoted(6.3, 0.5)),
        ("b", 1, 0.5),
        ("published (1)", None, Quoted(7)),
        key="",
    )
    start = "toyOneQualityRingEightModes"
    assert found[f"{start}APublishedOneEmd"] == "6.3"
    assert found[f"{start}APublishedOneEmdSpread"] == "0.5"
    assert found[f"{start}BPublishedOneEmd"] == "7"


def test_what_holds_for_the_grid_is_told() -> None:
    found = made(("a", 1, 0.5))
    assert found["toyOneSettingSteps"] == "100"
    assert found["toyOneSettingLr"] == r"\ensuremath{5\times10^{-5}}"
    assert "toyOneSettingFlag" not in found
    assert (found["toyOneRunsPlanned"], found["toyOneCells"]) == ("1", "1")


def test_every_number_of_the_tables_is_there(world: Path) -> None:
    found = view.read(world)
    tables = train.tables(found)
    values = defined(numbers(found, tables))
    assert numbers(view.read(world), tables) == numbers(found, tables)
    entries = [entry for table in tables for part in table.parts for row in part.rows for entry in row.entries]
    estimates = sum(isinstance(entry, Estimate) for entry in entries)
    plain = sum(isinstance(entry, int | float) for entry in entries)
    ours = [name for name in values if name.startswith("modesQuality")]
    assert estimates > 50
    assert len(ours) == 4 * estimates + plain


@needs_pdflatex
def test_a_paper_can_quote_them(world: Path, tmp_path: Path) -> None:
    found = view.read(world)
    [table] = train.tables(found)
    (tmp_path / "numbers.tex").write_text(numbers(found, [table]))
    body = (
        r"EMD \modesQualityRingWganGpEmd{} [\modesQualityRingWganGpEmdLow, \modesQualityRingWganGpEmdHigh], "
        r"$n=\modesQualityRingWganGpEmdN$; \modesRunsOk{} of \modesRunsPlanned; floor \modesQualityRingFloorEmd."
    )
    compiled(tmp_path, r"\documentclass{article}\input{numbers}", body)
    shown = {
        row.entries[0]: told for part, rows in table.shown() if part.key.split()[0] == "ring" for row, told in rows
    }
    at = [heading.key for heading in table.headings].index("emd")
    entry, floor = shown["wgan_gp"][at], shown["floor"][at]
    ours = f"EMD{entry.value}{entry.interval},n=8;60of64;floor{floor.value}."
    assert ours.replace(" ", "") in set_text(tmp_path)
