"""The evaluator: a process beside each worker that computes metrics, without torch unless a plug-in asks for it."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import lazy_torch

_PR_SET_PDEATHSIG = 1


def become(files: Sequence[tuple[Path, bytes]]) -> None:
    """Make this process an evaluator that knows these plug-in files, by path and content, and installed plug-ins."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(10)  # training goes first; what it leaves of the cores is for the solves
    lazy_torch.install()  # before anything else of the project is imported, even for the sake of an argument's type
    from bench import plugins

    plugins.load([plugins.File(path, source) for path, source in files])
    lazy_torch.withdraw()


def die_with_parent() -> None:
    """On Linux, ask to be killed when the parent dies, so that no orphan goes on computing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        parent = multiprocessing.parent_process()
        if parent is not None and os.getppid() != parent.pid:  # it died before it could be asked
            os._exit(1)
