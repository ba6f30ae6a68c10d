"""What a process does to the rest of the machine, by Python's audit events: what it writes, starts, asks and unpickles.

As a script it reads commands of the project from its input, as JSON, and does them one after the other in one process
whose memory is bounded; it tells what came of each.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEMORY = 1 << 32
"""Bytes of addresses that all commands may take together."""

CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PATHS = {
    "os.mkdir": (0,), "os.rename": (0, 1), "os.remove": (0,), "os.rmdir": (0,), "os.link": (1,), "os.symlink": (1,),
    "os.truncate": (0,), "os.chmod": (0,), "os.chown": (0,), "os.utime": (0,),
}  # fmt: skip
"""Events that change something, and the places of paths among their words."""

OTHERS = (
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.startfile", "pty.spawn", "socket.bind",
    "socket.connect", "socket.getaddrinfo", "pickle.find_class", "webbrowser.open",
)  # fmt: skip


def watch(tell: Callable[[str, str], None]) -> None:
    """From now on, tell of every change to a path as ``write``, and of other events by name."""

    def hook(event: str, words: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = words
            changes = bool(flags & CHANGING) if isinstance(flags, int) else bool(set(mode or "") & set("wax+"))
            if changes and isinstance(path, str | bytes | os.PathLike):
                tell("write", os.fsdecode(path))
        elif event in PATHS:
            folder = words[1] if event in ("os.remove", "os.rmdir") else -1  # how trees are removed
            base = Path(f"/proc/self/fd/{folder}").readlink() if folder >= 0 else Path()
            for place in PATHS[event]:
                if isinstance(words[place], str | bytes | os.PathLike):
                    tell("write", str(base / os.fsdecode(words[place])))
        elif event in OTHERS:
            tell(event, repr(words)[:300])

    sys.addaudithook(hook)


def to_file(path: str) -> None:
    """Tell a file, with the place that each relative path is seen from; for all processes at once."""
    sink = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def tell(event: str, words: str) -> None:
        where = os.path.normpath(Path.cwd() / words) if event == "write" else words
        os.write(sink, (json.dumps([event, where]) + "\n").encode())

    watch(tell)


def commands(cases: list[tuple[str, list[str]]]) -> list[dict[str, Any]]:
    """Do commands, each in its folder, and tell of each what it printed, its processor time, and what it did."""
    from bench.cli import main

    found = []
    events: list[list[str]] = []
    watch(lambda event, words: events.append([event, words]))
    for folder, words in cases:
        os.chdir(folder)
        out, err = io.StringIO(), io.StringIO()
        events.clear()
        start = time.process_time()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code: object = main(words)
            except BaseException as error:  # what would have been a traceback
                code = f"{type(error).__name__}: {error}"
        seconds, done = time.process_time() - start, list(events)
        found.append({"code": code, "out": out.getvalue(), "err": err.getvalue(), "seconds": seconds, "did": done})
    return found


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    told = commands(json.load(sys.stdin))
    most = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(json.dumps({"told": told, "kilobytes": int(most[1]) if most else -1}))
