"""The README keeps its promises: its numbers are the committed ones, its commands and links exist."""

from __future__ import annotations

import re
import shlex

import pytest

from bench import ROOT
from bench.cli import _parser

README = (ROOT / "README.md").read_text()


def test_the_table_is_the_committed_one() -> None:
    assert (ROOT / "results" / "modes" / "tables" / "quality.md").read_text().strip() in README


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) >= 4
    for link in links:
        assert (ROOT / link).exists(), link


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^python -m bench (.+)$", README, re.MULTILINE))))
def test_commands_are_understood(command: str) -> None:
    words = shlex.split(command.partition(" > ")[0], comments=True)
    arguments = _parser().parse_args(words)
    assert callable(arguments.command)
    if "--grid" in words:
        assert (ROOT / arguments.grid).exists()
