"""LaTeX of tables, against the real pdflatex."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from test_report_tables import HOSTILE, table_of

from bench import ROOT, report
from bench.report import macros, view
from bench.report.latex import SHAPES, Preset, text
from bench.report.tables import Heading, Part, Row, Table, latex
from bench.statistics import Estimate

DOCUMENTS: dict[Preset, str] = {
    "double": r"\documentclass[twocolumn]{article}\usepackage[a4paper,textwidth=16cm]{geometry}",
    "single": r"\documentclass[twocolumn,a4paper]{article}",
    "long": r"\documentclass{article}",
}
needs_pdflatex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex on PATH (texlive)")


def compiled(folder: Path, start: str, body: str) -> list[str]:
    """The lines of the log."""
    (folder / "a.tex").write_text(rf"{start}\begin{{document}}{body}\end{{document}}")
    command = ["pdflatex", "-no-shell-escape", "-halt-on-error", "-interaction=nonstopmode", "a.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True)
    log = (folder / "a.log").read_text(errors="replace").splitlines()
    assert done.returncode == 0, [line for line in log if line.startswith(("!", "l."))]
    return log


def set_text(folder: Path) -> str:
    """What a reader of the pages sees, without spaces."""
    words = subprocess.run(["pdftotext", "-raw", "a.pdf", "-"], cwd=folder, check=True, capture_output=True, text=True)
    return "".join(words.stdout.split())


def faults(log: Iterable[str]) -> list[str]:
    """Lines that are more than a point too wide, and floats that are too high for a page."""
    wide = [line for line in log if (found := re.search(r"Overfull \\hbox \(([\d.]+)pt", line)) and float(found[1]) > 1]
    return [*wide, *(line for line in log if "Float too large" in line)]


# --- texts


@pytest.mark.parametrize("words", HOSTILE)
def test_latex_has_no_command_but_its_own(words: str) -> None:
    def skeleton(words: str) -> list[str]:
        """Commands and active characters, in order, with escaped characters taken out."""
        source = latex(table_of(words)).replace("\\\\", "")  # ends of lines; a backslash of the text has a name
        escapes = ("textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar", "char34")
        for name in escapes:
            source = source.replace(f"\\{name}{{}}", "").replace(f"{{\\{name}}}", "")
        for character in "{}$&#%_":
            source = source.replace(f"\\{character}", "")
        source = source.replace("-{}", "").replace(r"\'{e}", "").replace("{}[", "[")
        return [c for c in source if c in "\\{}$&#%~^_"]

    assert skeleton(words) == skeleton("plain")
    assert latex(table_of(words)).isascii()


def test_latex_escapes_are_those_of_the_manual() -> None:
    """Against what Lamport's manual and the kernel's documentation give for each character."""
    names = "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar"
    named = "".join(rf"\{name}{{}}" for name in names)
    assert text(r"\{}$&#%_~^<>|--") == rf"\textbackslash{{}}\{{\}}\$\&\#\%\_{named}-{{}}-{{}}"
    assert text("Fréchet, Škoda, naïve") == r"Fr\'{e}chet, \textbackslash{}u0160koda, na\" {i}ve".replace('" {', '"{')


@needs_pdflatex
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs pdftotext on PATH (poppler-utils)")
def test_latex_compiles_and_shows_the_text(tmp_path: Path) -> None:
    """Also texts that stand at the beginning of a line, where brackets and stars are options of the one above."""
    rows = tuple(Row((words, 1.0, 2.0)) for words in ("[nats] x", "* y", "]"))
    headings = (Heading("a", "estimate [nats]"), Heading("b", "b *"), Heading("c", "long words [up] *"))
    tables = [*map(table_of, HOSTILE), Table("brackets", "[caption].", headings, (Part("[p]", rows), Part("*", rows)))]
    body = "\n".join(rf"{latex(table)}\clearpage" for table in tables).replace("table*", "table")
    compiled(tmp_path, r"\documentclass{article}\usepackage{booktabs}", body)
    shown = set_text(tmp_path).replace("\u02c6", "^").replace("\u02dc", "~")  # as the font draws them
    for word in (
        r"\input{/etc/passwd}",
        r"\write18{ls}",
        "&50%of$x^2$#1{~}",
        "<script>alert(1)</script>",
        "^^5cinput",
    ):
        assert shown.count(word) >= 3
    assert "[nats]x1.02.0" in shown
    assert "*y1.02.0" in shown


def test_latex_wraps_headings_and_puts_intervals_under_values() -> None:
    lines = latex(table_of("x")).splitlines()
    values = next(i for i, line in enumerate(lines) if line.startswith("x & "))
    assert lines[values] == r"x & \textbf{1.00} & 3 \\"
    assert lines[values + 1] == r" & {\tiny [0.50, 1.50]} &  \\[1pt]"
    heading = Heading("a", "Modes by one sample rule", "up")
    source = latex(Table("t", "", (Heading("o", "O"), heading), ()))
    assert r"\shortstack[r]{Modes by\\one sample\\rule $\uparrow$}" in source


def test_numbers_below_zero_have_a_minus_sign() -> None:
    source = latex(table_of("a-b", -1.5))
    assert r"\textbf{$-$1.50}" in source
    assert r"{\tiny [$-$2.00, $-$1.00]}" in source
    assert r"a-{}b & " in source


def test_the_caption_is_its_first_sentence_and_the_rest_are_notes() -> None:
    source = latex(table_of("Mean at 95 % of 0.5 s. Bold: the best. Floor: real."))
    assert r"\caption{Mean at 95 \% of 0.5 s.}" in source
    assert r"\parbox{\textwidth}{\sloppy Bold: the best. Floor: real.}" in source


# --- sizes


def wide(columns: int, rows: int) -> Table:
    """Far too wide for a page, too high for one, and with names and words that take several lines."""
    headings = [Heading("objective", "Objective"), *(Heading(f"c{i}", f"Column {i}", "up") for i in range(columns))]
    name = "objective_with_a_long_name (critic_optimizer.lr=0.0001, penalty_weight=10)"
    entries = (name, *(Estimate(-1234.5678 + i, -2345.678, -0.001, 8) for i in range(columns)), "some words " * 9)
    part = Part("a data set with settings, arm: tuned, " * 4, (Row(entries, frozenset({"c1"})),) * rows)
    return Table("wide", "Words. " * 200, (*headings, Heading("words", "Words", words=True)), (part, part))


def tables_of(grid: str) -> tuple[list[Table], str]:
    """The tables of committed results, and their numbers as commands."""
    found = view.read(ROOT / "results" / grid)
    tables = report.SHOWN[found.experiment].tables(found)
    return tables, macros.numbers(found, tables)


def labelled(tables: Iterable[Table], preset: Preset, grid: str) -> str:
    body = "\n".join(rf"{latex(table, preset)}\clearpage" for table in tables)
    return body.replace("{tab:", f"{{tab:{grid}-")


@needs_pdflatex
def test_tables_fit_a_page_and_a_column(tmp_path: Path) -> None:
    """The widest of the committed ones, and one that is wider and higher; each file needs what its first line says."""
    made = {grid: tables_of(grid)[0] for grid in ("images", "known_samplers")} | {"": [wide(9, 14)]}
    for preset, document in DOCUMENTS.items():
        body = "\n".join(labelled(tables, preset, grid) for grid, tables in made.items())
        assert body.startswith(rf"% needs \usepackage{{{SHAPES[preset].packages}}}")
        log = compiled(tmp_path, rf"{document}\usepackage{{{SHAPES[preset].packages}}}", body)
        assert faults(log) == []


def test_cut_tables_have_every_column_once_and_the_names_in_all_parts() -> None:
    table = wide(14, 1)
    source = latex(replace(table, parts=table.parts[:1]), "single")  # one piece, which no page break divides
    for index in range(14):
        heading = rf"\shortstack[r]{{Column {index} $\uparrow$}}"
        assert source.count(heading) == 1
    heads = [line for line in source.splitlines() if line.startswith(r"\shortstack[l]{Objective}")]
    assert len(heads) == source.count(r"\toprule") > 4
    assert source.count(r"\label") == 1


@pytest.mark.campaign
@needs_pdflatex
@pytest.mark.parametrize("preset", DOCUMENTS)
def test_all_committed_tables_fit(tmp_path: Path, preset: Preset) -> None:
    grids = [path.parent.name for path in sorted((ROOT / "results").glob("*/manifest.json"))]
    assert len(grids) > 10
    start, body = rf"{DOCUMENTS[preset]}\usepackage{{{SHAPES[preset].packages}}}", ""
    for grid in grids:
        tables, numbers = tables_of(grid)
        start += numbers
        body += labelled(tables, preset, grid)
    assert faults(compiled(tmp_path, start, body)) == []
