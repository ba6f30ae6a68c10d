"""R2 with the kernel's own answers: strace fails or kills each call of a publication, and shows their order.

``tests/test_records.py`` fails every call in Python, in the default run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from table import told

from bench import ROOT

OLD, NEW = b"old" * 1000, b"new" * 2000

SCRIPT = """
import sys
from pathlib import Path
from bench.records import publish_bytes
publish_bytes(b"new" * 2000, Path(sys.argv[1]))
"""

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]


def traced(path: Path, *flags: str) -> tuple[int, str]:
    """The exit code of a process that publishes under strace, and the trace."""
    log = path.parent.parent / "trace"
    words = ["strace", "-f", "-y", "-o", str(log), "-e", "trace=write,fsync,rename", *flags]
    done = subprocess.run([*words, sys.executable, "-B", "-c", SCRIPT, str(path)], cwd=ROOT, capture_output=True)
    return done.returncode, log.read_text()


def test_the_calls_come_in_order(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    code, trace = traced(path)
    assert code == 0
    calls = re.findall(r"\d+ +(\w+)\((?:\d+<)?\"?([^>\",]*)", trace)
    ours = [(call, Path(place).name.partition("-")[0]) for call, place in calls if str(tmp_path) in place]
    assert ours == [("write", ".tmp"), ("fsync", ".tmp"), ("rename", ".tmp"), ("fsync", "folder")]
    told("R2-order", 1, 1, "strace: write, fsync, rename, fsync of the folder")


def test_whatever_the_kernel_answers_readers_see_the_old_or_the_new(tmp_path: Path) -> None:
    injected = 0
    for call, renamed in (("write:{}:when=1", False), ("fsync:{}:when=1", False), ("rename:{}:when=1", False),
                          ("fsync:{}:when=2", True)):  # fmt: skip
        for fault in ("error=EIO", "error=ENOSPC", "error=EDQUOT", "signal=KILL"):
            path = tmp_path / f"{injected}" / "file"
            path.parent.mkdir()
            path.write_bytes(OLD)
            code, _ = traced(path, "-e", "inject=" + call.format(fault))
            assert code != 0
            assert path.read_bytes() == (NEW if renamed else OLD)
            drafts = [other for other in path.parent.iterdir() if other != path]
            assert fault == "signal=KILL" or not drafts
            injected += 1
    told("R2", injected, injected, "EIO, ENOSPC, EDQUOT and SIGKILL at write, fsync, rename, fsync of the folder")
