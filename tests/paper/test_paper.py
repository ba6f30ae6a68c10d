"""A sample paper: its numbers are the committed ones, and it compiles as it stands."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bench import ROOT, report
from bench.report import macros, train, view
from bench.report.choices import Choices
from bench.report.tables import latex

SOURCE = Path(__file__).with_name("paper.tex")
NUMBERS = re.compile(r"\\(modes[A-Za-z]+)")


def test_no_number_is_typed_and_every_command_is_defined() -> None:
    body, rest = SOURCE.read_text().split(r"\begin{document}")[1].split(r"\begin{thebibliography}")
    text = re.sub(r"\\includegraphics\[[^]]*\]", "", body)
    assert re.findall(r"\d", text) == []
    assert r"\modes" not in rest
    found = view.read(ROOT / "results" / "modes")
    defined = re.findall(r"\\newcommand\{\\(\w+)\}", macros.numbers(found, train.tables(found)))
    used = set(NUMBERS.findall(text))
    assert len(used) > 40
    assert used - set(defined) == set()


@pytest.mark.campaign
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex on PATH (texlive)")
def test_the_paper_compiles(tmp_path: Path) -> None:
    folder = tmp_path / "modes"
    shutil.copytree(ROOT / "results" / "modes", folder, ignore=shutil.ignore_patterns("tables", "figures"))
    report.build(folder)
    compact = Choices(metrics=("modes_covered", "modes_covered_by_mass", "emd"), columns="single")
    [table] = train.tables(view.read(folder), compact)
    (folder / "tables" / "quality-single.tex").write_text(latex(table, compact.columns))
    shutil.copy(SOURCE, tmp_path)
    command = ["pdflatex", "-no-shell-escape", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    for _ in range(2):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    log = (tmp_path / "paper.log").read_text(errors="replace").replace("\n", "")
    assert "Output written on paper.pdf (4 pages" in log
    for trouble in ("undefined", "multiply defined", "too large", "Label(s) may have changed"):
        assert trouble not in log
    wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    assert [points for points in wide if points > 2] == []
