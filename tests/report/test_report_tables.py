from __future__ import annotations

import csv
import io
import math
import string
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console
from scipy import stats

from bench import ROOT
from bench.cli import main
from bench.errors import UserError
from bench.launch.run import rebuild
from bench.launch.run import report as remake
from bench.metrics import Column
from bench.report import train, view
from bench.report.choices import Choices
from bench.report.tables import Heading, Part, Row, Table, csv_text, markdown
from bench.report.view import CellView, Task, View
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


def bold(task: Task, column: Column) -> list[int]:
    """The places of the cells whose entry is bold."""
    return [task.cells.index(cell) for cell in train._best(task, "x", column)]


def test_the_best_is_bold_in_its_direction() -> None:
    task = task_of(list(NOISE), list(NOISE + 1 + 0.1 * NOISE[::-1]), list(NOISE - 3))
    assert bold(task, UP) == [1]
    assert bold(task, DOWN) == [2]


def test_those_that_tie_with_the_best_are_bold_too() -> None:
    """Told apart as scipy's paired test does, at its five percent; no value is near the threshold."""
    shifts = [0.0, 2.0, 2.0 + 0.05, 1.0]
    values = [shift + NOISE + 0.3 * np.roll(NOISE, index + 1) for index, shift in enumerate(shifts)]
    best = max(range(4), key=lambda index: values[index].mean())
    p = [stats.ttest_rel(values[best], other).pvalue if index != best else 1.0 for index, other in enumerate(values)]
    assert [index for index, value in enumerate(p) if value > 0.05] == [1, 2]
    assert max(value for value in p if value < 0.05) < 0.01
    assert sorted(bold(task_of(*map(list, values)), UP)) == [1, 2]


def test_where_all_tie_nothing_is_bold() -> None:
    assert bold(task_of(list(NOISE), list(NOISE[::-1] + 0.01)), UP) == []
    assert bold(task_of([1.0] * 8, [1.0] * 8), UP) == []


def test_seeds_decide_in_pairs() -> None:
    """A difference far smaller than the spread, but in every pair: so says scipy's paired test, not its unpaired."""
    first, second = 10 * NOISE, 10 * NOISE + 0.5 + 0.1 * NOISE[::-1]
    assert bold(task_of(list(first), list(second)), UP) == [1]
    assert stats.ttest_rel(first, second).pvalue < 0.01
    assert stats.ttest_ind(first, second).pvalue > 0.5


def test_few_pairs_are_neither_worse_nor_tied() -> None:
    better = [*list(NOISE[:4] + 5), *[math.nan] * 4]
    assert bold(task_of(list(NOISE), better), UP) == []
    assert bold(task_of(list(NOISE), [*list(NOISE[:5] + 5), *[math.nan] * 3]), UP) == [1]
    few = [*list(NOISE[:4] + 5.01), *[math.nan] * 4]
    assert bold(task_of(list(NOISE), list(NOISE + 6), few), UP) == [1]


def test_one_cell_alone_is_not_best() -> None:
    assert bold(task_of(list(NOISE)), UP) == []
    assert bold(task_of(list(NOISE), [math.nan] * 8), UP) == []


# --- what a person chooses


@pytest.fixture(scope="module")
def found(world: Path) -> View:
    return view.read(world)


def quality(found: View, **choices: object) -> Table:
    return train.tables(found, Choices(**choices))[0]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole(found: View) -> Table:
    """What nobody chose anything of."""
    return quality(found)


def test_metrics_are_those_that_were_chosen_in_their_order(found: View, whole: Table) -> None:
    table = quality(found, metrics=("emd", "cpu_seconds", "modes_covered"))
    keys = [heading.key for heading in table.headings]
    assert keys == ["objective", "n", "diverged", "lost", "emd", "modes_covered", "cpu_seconds"]
    assert "Budget: equal in generator steps" in table.caption
    assert "reverse KL" not in table.caption
    assert {"reverse_kl", "total_variation"} < {heading.key for heading in whole.headings}
    emd = [heading.key for heading in whole.headings].index("emd")
    assert [row.entries[4] for part in table.parts for row in part.rows] == [
        row.entries[emd] for part in whole.parts for row in part.rows
    ]


@pytest.mark.parametrize(
    ("name", "says"), [("iqm", "Interquartile mean over the n runs"), ("median", "Median over the n runs")]
)
def test_the_estimator_is_the_one_that_was_chosen_and_the_caption_names_it(found: View, name: str, says: str) -> None:
    found = replace(found, tasks=found.tasks[:1])
    table = quality(found, metrics=("emd",), estimator=name)
    [task] = found.tasks
    values = [*(list(cell.final("emd").values()) for cell in task.cells), list(task.floor("emd_floor").values())]
    expected = [float(stats.trim_mean(own, 0.25) if name == "iqm" else np.median(own)) for own in values]
    shown = [row.entries[4] for part in table.parts for row in part.rows]
    assert [entry.value for entry in shown if isinstance(entry, Estimate)] == pytest.approx(expected, rel=1e-12)
    assert table.caption.startswith(says)
    assert f"95 % interval of their {says.split(' over')[0].lower()} difference" in table.caption


def test_captions_say_what_a_reader_needs(whole: Table) -> None:
    for words in (
        "Mean over the n runs", "of 8 seeds a cell", "95 % percentile bootstrap interval", "Budget: equal in",
        "commit 0123456789.",
    ):  # fmt: skip
        assert words in whole.caption


def test_a_table_of_images_has_the_budget_in_its_caption() -> None:
    """Though none of its columns is of the budget."""
    found = view.read(ROOT / "results" / "images")
    [table] = train.tables(replace(found, tasks=found.tasks[:1]), Choices(metrics=("precision",)))
    assert [heading.key for heading in table.headings] == ["objective", "n", "diverged", "lost", "precision"]
    assert "Budget: equal in generator steps (3,000), not in critic steps" in table.caption


@pytest.mark.parametrize(
    ("digits", "shown"), [(1, "7.6 [7.2, 8.0]"), (None, "7.62 [7.25, 8.00]"), (3, "7.625 [7.250, 8.000]")]
)
def test_digits_are_those_of_the_half_width(digits: int | None, shown: str) -> None:
    table = Table("t", "", (Heading("a", "a"),), (Part("p", (Row((Estimate(7.625, 7.25, 8.0, 8),)),)),), digits=digits)
    [(_, [(_, [entry])])] = table.shown()
    assert f"{entry.value} {entry.interval}" == shown
    own = replace(table, headings=(Heading("a", "a", digits=4),))
    [(_, [(_, [entry])])] = own.shown()
    assert len(entry.value.replace(".", "")) == (digits or 4)


def test_a_wrong_word_gets_the_nearest(found: View, world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"^--metrics: nothing here measured 'emdd'; did you mean 'emd'\?$"):
        quality(found, metrics=("emdd",))
    for words in (["--digits", "0"], ["--estimator", "medain"], ["--metric", "emd"]):
        assert main(["report", str(world), *words]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "bench: argument --digits: a whole number from 1 to 9, not '0'; see `python -m bench report --help`",
        "bench: unknown estimator 'medain'; did you mean 'median'?",
        "bench: unknown flag '--metric'; did you mean '--metrics'?",
    ]


def test_choices_that_other_tables_do_not_offer_are_refused() -> None:
    for choices in (Choices(metrics=("emd",)), Choices(estimator="median")):
        with pytest.raises(UserError, match="the tables of 'saturation' do not offer this"):
            choices.refuse("saturation")
    Choices(digits=3, columns="single").refuse("saturation")


@pytest.mark.usefixtures("undrawn")
def test_what_is_chosen_is_what_is_written_until_the_next_run(small: Callable[..., Path]) -> None:
    folder = small()
    assert rebuild(folder, choices=Choices(metrics=("emd",), estimator="median", digits=3, columns="single")) == 0
    texts = {path.suffix: path.read_text() for path in (folder / "tables").glob("quality.*")}
    assert all("modes_covered" not in text and "Modes (" not in text for text in texts.values())
    assert r"\begin{table}" in texts[".tex"]
    assert "Median over the n runs" in texts[".md"]
    assert remake(folder, Console(quiet=True)) == 0  # what ``run`` does in the end
    assert r"\begin{table*}" in (folder / "tables" / "quality.tex").read_text()
