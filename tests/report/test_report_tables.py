from __future__ import annotations

import csv
import io
import math
import shutil
import string
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from scipy import stats

from bench.metrics import Column
from bench.report import train
from bench.report.tables import Heading, Part, Row, Table, csv_text, latex, markdown
from bench.report.view import CellView, Task
from bench.statistics import Estimate

HOSTILE = [
    r"\input{/etc/passwd}", r"\write18{ls}", r"\end{tabular}\end{document}", "a_b & 50 % of $x^2$ #1 {~}",
    "<script>alert(1)</script>", "[click](javascript:alert(1))", "![x](http://x/y.png)", "a|b`c`**d**_e_", "--x <<>>",
    "=cmd|' /C calc'!A0", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", "line\nbreak\x1b[2J\u202e",
    "^^5cinput", "~/.ssh", '"quoted"', "'", "\\", "%", "$", "&", "\u4e2d\u6587 \U0001f600 \u00e9", string.punctuation,
]  # fmt: skip


def table_of(text: str, number: float = 1.0) -> Table:
    return Table(
        "quality",
        text,
        (Heading("objective", text), Heading("emd", "EMD", "down"), Heading("steps", "Steps")),
        (Part(text, (Row((text, Estimate(number, number - 0.5, number + 0.5, 8), 3), frozenset({"emd"})),)),),
    )


# --- Markdown, against a foreign parser


def parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_text_and_nothing_else(text: str) -> None:
    tokens = parsed(markdown(table_of(text)))
    kinds = [token.type for token in tokens]
    assert (kinds.count("th_open"), kinds.count("td_open"), kinds.count("paragraph_open")) == (3, 3, 2)
    parts = [part for token in tokens for part in token.children or ()]
    assert {part.type for part in parts} <= {"text", "strong_open", "strong_close"}
    shown = "".join(part.content for part in parts)
    assert shown.count(visible(text).strip()) >= 4  # title, heading, cell, caption


def visible(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def test_markdown_columns_are_aligned_and_bold_is_bold() -> None:
    lines = markdown(table_of("wgan_gp")).splitlines()
    assert lines[:5] == [
        "**wgan_gp**",
        "",
        "| wgan_gp |                 EMD \u2193 | Steps |",
        "| ------- | --------------------: | ----: |",
        "| wgan_gp | **1.00** [0.50, 1.50] |     3 |",
    ]


# --- LaTeX


@pytest.mark.parametrize("text", HOSTILE)
def test_latex_has_no_command_but_its_own(text: str) -> None:
    def skeleton(words: str) -> list[str]:
        """Commands and active characters, in order, with escaped characters taken out."""
        source = latex(table_of(words)).replace("\\\\", "")  # ends of lines; a backslash of the text has a name
        escapes = ("textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar", "char34")
        for name in escapes:
            source = source.replace(f"\\{name}{{}}", "").replace(f"{{\\{name}}}", "")
        for character in "{}$&#%_":
            source = source.replace(f"\\{character}", "")
        source = source.replace("-{}", "")
        return [c for c in source if c in "\\{}$&#%~^_"]

    assert skeleton(text) == skeleton("plain")
    assert latex(table_of(text)).isascii()


def test_latex_escapes_are_those_of_the_manual() -> None:
    """Against what Lamport's manual and the kernel's documentation give for each character."""
    source = latex(table_of(r"\{}$&#%_~^<>|--"))
    names = "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar"
    named = "".join(rf"\{name}{{}}" for name in names)
    assert source.count(rf"\textbackslash{{}}\{{\}}\$\&\#\%\_{named}-{{}}-{{}}") == 4


@pytest.mark.skipif(shutil.which("pdflatex") is None or shutil.which("pdftotext") is None, reason="needs pdflatex")
def test_latex_compiles_and_shows_the_text(tmp_path: Path) -> None:
    body = "\n".join(latex(table_of(text)).replace("table*", "table") + r"\clearpage" for text in HOSTILE)
    (tmp_path / "a.tex").write_text(
        rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    )
    command = ["pdflatex", "-no-shell-escape", "-halt-on-error", "-interaction=nonstopmode", "a.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    text = subprocess.run(["pdftotext", "-raw", "a.pdf", "-"], cwd=tmp_path, check=True, capture_output=True, text=True)
    joined = "".join(text.stdout.split()).replace("\u02c6", "^").replace("\u02dc", "~")  # as the font draws them
    for word in (
        r"\input{/etc/passwd}",
        r"\write18{ls}",
        "&50%of$x^2$#1{~}",
        "<script>alert(1)</script>",
        "^^5cinput",
    ):
        assert joined.count(word) >= 3


def test_latex_wraps_headings_and_puts_intervals_under_values() -> None:
    lines = latex(table_of("x")).splitlines()
    values = next(i for i, line in enumerate(lines) if line.startswith("x & "))
    assert lines[values] == r"x & \textbf{1.00} & 3 \\"
    assert lines[values + 1] == r" & {\tiny [0.50, 1.50]} &  \\[2pt]"
    heading = Heading("a", "Modes by one sample rule", "up")
    source = latex(Table("t", "", (Heading("o", "O"), heading), ()))
    assert r"\shortstack[r]{Modes by\\one sample\\rule $\uparrow$}" in source


# --- CSV


@pytest.mark.parametrize("text", HOSTILE)
def test_csv_has_no_formulas_and_loses_nothing(text: str) -> None:
    head, row = csv.reader(io.StringIO(csv_text(table_of(text))))
    assert head == ["part", "objective", "emd", "emd_low", "emd_high", "emd_n", "steps"]
    assert row[2:] == ["1.0", "0.5", "1.5", "8", "3"]
    for cell in row[:2]:
        assert cell.strip()[0] not in "=+-@\uff1d\uff0b\uff0d\uff20"
        assert cell.removeprefix("'") == visible(text) or cell == visible(text)
        assert not set(cell) & set("\t\r\n\x1b")


def test_csv_keeps_every_digit_and_negative_numbers_stay_numbers() -> None:
    value = -math.pi / 1e7
    [row] = csv.DictReader(io.StringIO(csv_text(table_of("a", value))))
    assert float(row["emd"]) == value


# --- numbers


@pytest.mark.parametrize(
    ("entries", "shown"),
    [
        ([Estimate(7.625, 7.25, 8.0, 8), Estimate(3.0, 2.5, 3.5, 8)], ["7.62 [7.25, 8.00]", "3.00 [2.50, 3.50]"]),
        ([Estimate(0.03124, 0.02991, 0.03254, 8)], ["0.0312 [0.0299, 0.0325]"]),
        ([Estimate(1234.5, 1200.0, 1300.0, 8)], ["1,234 [1,200, 1,300]"]),
        ([Estimate(8.0, 8.0, 8.0, 8)], ["8.00 [8.00, 8.00]"]),
        ([Estimate(2.0, 1.0, 3.0, 8), Estimate(3e-7, 2e-7, 4e-7, 8)], ["2.00 [1.00, 3.00]", "3e-07 [2e-07, 4e-07]"]),
        ([Estimate(2.5, math.nan, math.nan, 1)], ["2.50"]),
        ([Estimate(math.nan, math.nan, math.nan, 0), 12345, 1.5, None], ["\u2013", "12,345", "1.5", ""]),
        ([0.0, 0.0], ["0", "0"]),
    ],
)  # fmt: skip
def test_numbers_are_shown_to_two_digits_of_their_interval(entries: list[object], shown: list[str]) -> None:
    rows = tuple(Row((entry,)) for entry in entries)  # type: ignore[arg-type]
    [(_, lines)] = Table("t", "", (Heading("a", "a"),), (Part("p", rows),)).shown()
    assert [f"{e.value} {e.interval}".strip() for _, [e] in lines] == shown


# --- what is bold


def task_of(*values: list[float]) -> Task:
    """A cell for each list of one column's final values; the seeds are the places in the list."""
    cells = []
    for index, column in enumerate(values):
        frame = pd.DataFrame(
            {
                "seed": range(len(column)),
                "step": 1,
                "status": ["ok" if v == v else "diverged" for v in column],
                "x": column,
            }
        )
        cells.append(CellView(str(index), str(index), "", tuple(range(len(column))), frame))
    return Task("ring", "", tuple(cells))


UP, DOWN = (Column(label="x", unit="", direction=way) for way in ("up", "down"))  # type: ignore[arg-type]
NOISE = np.random.default_rng(0).normal(size=8)


def test_the_best_is_bold_in_its_direction() -> None:
    task = task_of(list(NOISE), list(NOISE + 1 + 0.1 * NOISE[::-1]), list(NOISE - 3))
    assert train._best(task, "x", UP) is task.cells[1]
    assert train._best(task, "x", DOWN) is task.cells[2]


def test_a_tie_is_not_bold() -> None:
    task = task_of(list(NOISE), list(NOISE[::-1] + 0.01))
    assert train._best(task, "x", UP) is None
    assert train._best(task_of([1.0] * 8, [1.0] * 8), "x", UP) is None


def test_seeds_decide_in_pairs() -> None:
    """A difference far smaller than the spread, but in every pair: so says scipy's paired test, not its unpaired."""
    first, second = 10 * NOISE, 10 * NOISE + 0.5 + 0.1 * NOISE[::-1]
    task = task_of(list(first), list(second))
    assert train._best(task, "x", UP) is task.cells[1]
    assert stats.ttest_rel(first, second).pvalue < 0.01
    assert stats.ttest_ind(first, second).pvalue > 0.5


def test_few_pairs_are_not_enough() -> None:
    better = [*list(NOISE[:4] + 5), *[math.nan] * 4]
    assert train._best(task_of(list(NOISE), better), "x", UP) is None
    assert train._best(task_of(list(NOISE), [*list(NOISE[:5] + 5), *[math.nan] * 3]), "x", UP) is not None


def test_one_cell_alone_is_not_best() -> None:
    assert train._best(task_of(list(NOISE)), "x", UP) is None
    assert train._best(task_of(list(NOISE), [math.nan] * 8), "x", UP) is None
