"""Speed held as ratios: ``python tests/benchmarks/ratios.py save`` measures and keeps them, ``compare`` judges by them.

A benchmark runs in rounds that take turns with its baseline's, in one process: a loop written by hand, scipy's solver,
one plain write. Its ratio is the median over rounds of its time over the baseline's for the same work: below 1 it is
faster than its baseline, and more is worse. What slows a machine down slows both, so ratios keep where seconds do not.

``compare`` prints every ratio, saved and now, with its quartiles, and exits with 1 where one is worse: more than 15 %
above the saved one, and its lower quartile above the saved upper one. What was saved and not measured is worse too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
SAVED = FOLDER / "ratios.json"
TOLERANCE = 0.15
"""How much worse a ratio may be: below that, sessions differ by themselves."""

Ratio = Mapping[str, float]
"""``median``, and the quartiles ``low`` and ``high``."""


def ratio_of(work: Sequence[float], baseline: Sequence[float], times: float) -> Ratio:
    """Of the seconds of each round, where a round of the work does so many ``times`` what one of the baseline does."""
    low, median, high = statistics.quantiles([a / (times * b) for a, b in zip(work, baseline, strict=True)], n=4)
    return {"median": median, "low": low, "high": high}


def measured(session: Mapping[str, Any]) -> dict[str, Any]:
    """The ratios of a session of pytest-benchmark, and where they were measured."""
    benchmarks = [one for one in session["benchmarks"] if "ratio" in one["extra_info"]]
    return {
        "measured_on": session["machine_info"]["measured_on"],
        "ratios": {one["name"].removeprefix("test_"): one["extra_info"]["ratio"] for one in benchmarks},
    }


def is_worse(saved: Ratio, now: Ratio) -> bool:
    """Beyond the tolerance, and beyond both spreads."""
    return now["median"] > (1 + TOLERANCE) * saved["median"] and now["low"] > saved["high"]


def compare(saved: Mapping[str, Any], now: Mapping[str, Any], *, narrowed: bool) -> tuple[list[str], list[str]]:
    """The lines of the table, and the names of what is worse; ``narrowed``: only a part was to be measured."""
    lines = [f"{label}: {_words(which['measured_on'])}" for label, which in (("saved", saved), ("now", now))]
    lines += ["", _line("benchmark", "saved", "now", "change")]
    before, after = saved["ratios"], now["ratios"]
    worse = []
    for name in dict.fromkeys([*before, *after]):
        if name not in after:
            if not narrowed:
                lines.append(_line(name, _shown(before[name]), "not measured", "WORSE"))
                worse.append(name)
        elif name not in before:
            lines.append(_line(name, "", _shown(after[name]), "new"))
        else:
            change = f"{after[name]['median'] / before[name]['median'] - 1:+.0%}"
            if is_worse(before[name], after[name]):
                change += " WORSE"
                worse.append(name)
            lines.append(_line(name, _shown(before[name]), _shown(after[name]), change))
    return lines, worse


def _words(measured_on: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in measured_on.items())


def _shown(ratio: Ratio) -> str:
    return f"{ratio['median']:.3g} ({ratio['low']:.3g} to {ratio['high']:.3g})"


def _line(name: str, saved: str, now: str, change: str) -> str:
    return f"{name:<36}  {saved:<24}  {now:<24}  {change}"


def run(words: str | None) -> dict[str, Any]:
    """A session of the benchmarks, or of those that pytest's ``-k`` takes by these words."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "session.json"
        chosen = [] if words is None else ["-k", words]
        # By one process: several would measure each other.
        command = [sys.executable, "-m", "pytest", "-n", "0", FOLDER, "--benchmark-only", f"--benchmark-json={path}"]
        command += chosen
        if code := subprocess.run(command, cwd=FOLDER.parents[1]).returncode:
            sys.exit(f"the benchmarks ended with exit code {code}: nothing was saved or compared")
        session: dict[str, Any] = json.loads(path.read_text())
    return session


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    save = commands.add_parser("save", help=f"measure, and write {SAVED.name}")
    hold = commands.add_parser("compare", help=f"measure, and judge by {SAVED.name}")
    hold.add_argument("-k", dest="words", help="measure and compare only what pytest takes by these words")
    for command in (save, hold):
        command.add_argument("--session", type=Path, help="what --benchmark-json wrote, in place of a run")
    chosen = parser.parse_args(arguments)
    words = chosen.words if chosen.command == "compare" else None
    if chosen.command == "compare" and not SAVED.exists():
        hold.error(f"there is no {SAVED.name} yet; save one first")
    now = measured(json.loads(chosen.session.read_text()) if chosen.session else run(words))
    if chosen.command == "save":
        SAVED.write_text(json.dumps(now, indent=2) + "\n")
        return 0
    lines, worse = compare(json.loads(SAVED.read_text()), now, narrowed=words is not None)
    print("\n".join(lines))
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
