"""What campaigns found, a line an item: printed, and kept where ``BENCH_CAMPAIGNS`` names a file.

``python tests/campaigns/table.py FILE`` writes the table of such a file to ``results/campaigns/``.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

COLUMNS = ("item", "injected", "survived", "note", "test")


def told(item: str, injected: int, survived: int, note: str = "") -> None:
    """Of the test at hand: how many faults of an item (``R3``, ``S5``) were injected, and how many came to no harm."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    print(f"\n{item}: {survived} of {injected} survived{f'; {note}' if note else ''}")
    if path := os.environ.get("BENCH_CAMPAIGNS"):
        with Path(path).open("a", newline="") as file:
            csv.writer(file).writerow([item, injected, survived, note, test])


def latest(rows: list[list[str]]) -> list[list[str]]:
    """In the order of items; of a test that ran twice, the last result."""
    kept = {(row[0], row[4]): row for row in rows}
    return sorted(kept.values(), key=lambda row: (row[0][0], int(row[0][1:].split("-")[0]), row[4]))


def table(rows: list[list[str]]) -> str:
    """As Markdown."""
    lines = ["| Item | Injected | Survived | | Command |", "| --- | --: | --: | --- | --- |"]
    for item, injected, survived, note, test in rows:
        command = f"python -m pytest -n 0 -m '' '{test}'"
        lines.append(f"| {item} | {injected} | {survived} | {note} | `{command}` |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    with Path(sys.argv[1]).open(newline="") as read:
        found = latest(list(csv.reader(read)))
    folder = Path(__file__).resolve().parents[2] / "results" / "campaigns"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "campaigns.md").write_text(table(found))
    with (folder / "campaigns.csv").open("w", newline="") as written:
        csv.writer(written, lineterminator="\n").writerows([COLUMNS, *found])
