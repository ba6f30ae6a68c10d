from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from synthetic import OBJECTIVES, change_manifest, make_search, not_run, quoted, run_rows, settings_of
from test_report_tables import HOSTILE, visible

from bench import records
from bench.report import build, page, train, view
from bench.report.published import matches
from bench.report.tables import Table, csv_text, latex, markdown
from bench.report.view import CellView

FIRST = "Srivastava et al. 2017, arXiv:1705.07761, Table 1: mean of 5 runs"
SECOND = "Lin et al. 2018, arXiv:1712.04086, Table 1: mean and standard error of 10 trials."
WGAN_GP = {"dataset": "ring", "objective": "wgan_gp"}


def quality(folder: Path) -> Table:
    return train.tables(view.read(folder))[0]


@pytest.fixture
def published(small: Callable[..., Path]) -> Path:
    folder = small(objectives=OBJECTIVES[2:])
    entries = [
        quoted(
            FIRST,
            {"dataset": "ring", "objective": "wgan_clip"},
            modes_covered=[1, None],
            high_quality_share=[0.993, None],
        ),
        quoted("Nobody 1900", {"dataset": "ring", "objective": "vae"}, modes_covered=[8, None]),
        quoted(SECOND, WGAN_GP, modes_covered=[6.3, 0.5], emd=[1234.5678, 0.25]),
        quoted(FIRST, WGAN_GP | {"dataset.std": 0.02}, reverse_kl=[0.45, None]),
    ]
    change_manifest(folder, published=entries)
    return folder


def test_published_numbers_stand_under_their_cells(published: Path) -> None:
    [part] = quality(published).parts
    assert [row.entries[0] for row in part.rows] == [
        "wgan_clip", "published (1)", "wgan_gp", "published (2)", "published (1)", "floor",
    ]  # fmt: skip
    assert [row.aside for row in part.rows] == [False, True, False, True, True, True]


def test_markdown_shows_the_digits_that_were_given_and_the_spread_beside(published: Path) -> None:
    lines = markdown(quality(published)).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    head, first, second, third = rows[0], rows[3], rows[5], rows[6]
    assert first[0] == "*published (1)*"
    assert dict(zip(head, first, strict=True))["Modes (one-sample rule) \u2191"] == "1"
    assert dict(zip(head, first, strict=True))["High-quality share \u2191"] == "0.993"
    assert dict(zip(head, second, strict=True))["Modes (one-sample rule) \u2191"] == "6.3 \u00b1 0.5"
    assert dict(zip(head, second, strict=True))["EMD \u2193"] == "1,234.5678 \u00b1 0.25"
    assert dict(zip(head, third, strict=True))["Reverse KL \u2193"] == "0.45"
    assert [len([cell for cell in row[1:] if cell]) for row in (first, second, third)] == [2, 2, 1]


def test_the_caption_names_the_sources_by_their_marks(published: Path) -> None:
    caption = quality(published).caption
    assert f"Published: (1) {FIRST}; (2) {SECOND[:-1]}. Their protocols differ" in caption
    assert "Published numbers that are of no cell here: 1." in caption
    assert "Nobody" not in caption


def test_ours_are_shown_as_without_them(published: Path) -> None:
    with_them = markdown(quality(published)).splitlines()
    change_manifest(published, published=[])
    without = markdown(quality(published)).splitlines()
    ours = [line.split("|")[3:] for line in without if line.startswith(("| wgan", "| *floor"))]
    assert [
        [cell.strip() for cell in line.split("|")[3:]] for line in with_them if line.startswith(("| wgan", "| *floor"))
    ] == [[cell.strip() for cell in line] for line in ours]
    assert "ublished" not in "".join(without)


def test_csv_has_value_and_spread_in_columns(published: Path) -> None:
    table = pd.read_csv(io.StringIO(csv_text(quality(published)))).set_index("objective")
    row = table.loc["published (2)"]
    assert (row["modes_covered"], row["modes_covered_spread"]) == (6.3, 0.5)
    assert (row["emd"], row["emd_spread"]) == (1234.5678, 0.25)
    assert row[["modes_covered_low", "modes_covered_high", "modes_covered_n", "reverse_kl", "n"]].isna().all()
    assert "reverse_kl_spread" not in table
    assert table.loc["wgan_gp", "modes_covered_spread"] != table.loc["wgan_gp", "modes_covered_spread"]


def test_latex_has_the_spread_under_the_value(published: Path) -> None:
    lines = latex(quality(published)).splitlines()
    at = next(index for index, line in enumerate(lines) if "6.3" in line)
    assert lines[at].startswith(r"\textit{published (2)} & ")
    assert r"{\tiny $\pm$ 0.5}" in lines[at + 1]


def test_the_page_has_them_aside(published: Path) -> None:
    found = view.read(published)
    source = page.render(found, train.tables(found), [], [])
    assert '<tr class="aside"><th scope="row">published (2)</th>' in source
    assert "<td>6.3<small>\u00b1 0.5</small></td>" in source


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        ({"objective": "a", "pack": 1.0}, True),
        ({"pack": 1}, True),
        ({"std": 0.01}, True),
        ({"pack": True}, False),
        ({"flag": True}, True),
        ({"flag": 1}, False),
        ({"pack": "1"}, False),
        ({"objective": "a", "pack": 2}, False),
        ({"other": 1}, False),
        ({"betas": [0, 0.9]}, True),
    ],
)
def test_numbers_match_as_numbers_and_all_settings_must(where: dict[str, object], fits: bool) -> None:
    settings = {"objective": "a", "pack": 1, "std": 1e-2, "flag": True, "betas": [0.0, 0.9]}
    assert matches(where, CellView("x", "a", "", (0,), pd.DataFrame(), settings)) is fits


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_from_outside_are_escaped_in_every_format(published: Path, text: str) -> None:
    change_manifest(published, published=[quoted("words", WGAN_GP, emd=[1, 2])])
    expected = quality(published)
    change_manifest(published, published=[quoted(f"a{text}z", WGAN_GP, emd=[1, 2])])
    table = quality(published)

    def read(table: Table) -> tuple[list[str], str]:
        """The elements of the page that Markdown makes, and its text."""
        tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown(table))
        parts = [part for token in tokens for part in token.children or ()]
        kinds = [token.type for token in tokens] + [part.type for part in parts if part.type != "text"]
        return kinds, "".join(part.content for part in parts)

    assert read(table)[0] == read(expected)[0]
    assert visible(f"a{text}z") in read(table)[1]
    assert latex(table).isascii()
    assert latex(table).count(r"\input") == latex(table).count(r"\write") == 0
    assert csv_text(table) == csv_text(expected)
    found = view.read(published)
    assert page.render(found, [table], [], []).count("<") == page.render(found, [expected], [], []).count("<")


def test_a_chosen_cell_alone_has_published_numbers(tmp_path: Path) -> None:
    folder = make_search(tmp_path, settings=2, objectives=["wgan_gp"])
    change_manifest(
        folder, published=[quoted(FIRST, WGAN_GP, emd=[1, None]), quoted(FIRST, {"arm": "tuned"}, emd=[1, None])]
    )
    tables = train.tables(view.read(folder))
    shown = [[row.entries[0] for part in table.parts for row in part.rows] for table in tables]
    assert shown[0] == ["wgan_gp", "published (1)", "floor"]
    assert "published" not in str(shown[1:])
    assert "of no cell here: 1." in tables[0].caption


# --- skipped


@pytest.mark.usefixtures("undrawn")
def test_why_cells_were_skipped_is_told_once(small: Callable[..., Path]) -> None:
    folder = small(rates=(1e-4, 2e-4), datasets=["ring", "grid"])
    reason = "batch norm in the critic makes samples depend on each other, which a penalty forbids."
    for dataset in ("ring", "grid"):
        for rate in (1e-4, 2e-4):
            for seed in (0, 1):
                cell_id = f"wgan_clip-{dataset}-{rate:g}"
                rows = run_rows("wgan_clip", dataset, seed, cell_id, settings_of("wgan_clip", dataset, rate))
                records.publish(pd.DataFrame(not_run(rows, "skipped", reason)), folder)
    report = build(folder)
    table = quality(folder)
    row = next(row for row in table.parts[0].rows if str(row.entries[0]).startswith("wgan_clip"))
    assert row.entries[1:4] == (0, 0, 2)
    told = f"wgan_clip (lr=0.0001), wgan_clip (lr=0.0002), skipped: {reason}"
    assert table.caption.count("skipped: ") == 1
    assert told in table.caption
    assert "8 skipped" in report.tables[0]


def test_a_long_reason_and_many_cells_are_cut(small: Callable[..., Path]) -> None:
    rates = [1e-4 * (index + 1) for index in range(8)]
    folder = small(objectives=["wgan_clip"], rates=rates, seeds=[0])
    for rate in rates:
        cell_id = f"wgan_clip-ring-{rate:g}"
        rows = run_rows("wgan_clip", "ring", 0, cell_id, settings_of("wgan_clip", "ring", rate))
        records.publish(pd.DataFrame(not_run(rows, "skipped", "no " * 300)), folder)
    caption = quality(folder).caption
    assert "(lr=0.0006000000000000001), 2 more, skipped: no no" in caption
    assert len(caption) < 1600


def test_skipped_cells_are_drawn_without_a_line(small: Callable[..., Path]) -> None:
    folder = small()
    for seed in (0, 1):
        rows = run_rows("wgan_clip", "ring", seed, "wgan_clip-ring-0.0001", settings_of("wgan_clip", "ring"))
        records.publish(pd.DataFrame(not_run(rows, "skipped", "no")), folder)
    found = view.read(folder)
    drawings = {drawing.name: drawing for drawing in train.drawings(found, lambda cell, seed: None)}
    [axes] = drawings["emd"].figure.axes
    assert {text.get_text() for text in axes.texts} == {"non_saturating", "wgan_clip (no value)", "real samples"}
    assert axes.get_xscale() == "log"
    assert axes.get_xlim()[0] > 1


# --- LaTeX


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_tables_fit_a_page_16_cm_wide(tmp_path: Path) -> None:
    folder = make_search(tmp_path / "w", settings=6, seeds=(0, 1, 2), datasets=["grid"], objectives=OBJECTIVES)
    entries = [quoted(FIRST, {"objective": "wgan_gp"}, modes_covered=[24.6, 0.36], emd=[0.123, 0.004])]
    change_manifest(folder, published=entries)
    tables = train.tables(view.read(folder))
    assert [table.name for table in tables] == ["quality", "search", "search_best"]
    body = "\n".join(map(latex, tables))
    (tmp_path / "a.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs}\usepackage[textwidth=16cm]{geometry}\begin{document}"
        rf"{body}\end{{document}}"
    )
    command = ["pdflatex", "-no-shell-escape", "-halt-on-error", "-interaction=nonstopmode", "a.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert "Overfull" not in (tmp_path / "a.log").read_text(errors="replace")


def test_a_manifest_without_published_numbers_is_as_one_with_none(small: Callable[..., Path]) -> None:
    folder = small()
    before = markdown(quality(folder))
    manifest = records.load_manifest(folder)
    del manifest["published"]
    records.publish_bytes(json.dumps(manifest).encode(), folder / records.MANIFEST)
    assert markdown(quality(folder)) == before
