"""Where a number comes from: the code's commit, the versions, the device; no paths, host names or addresses."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from bench import ROOT

PACKAGES = ("torch", "numpy", "scipy", "pandas", "pyarrow", "pot", "scikit-learn")


@cache
def code() -> Mapping[str, Any]:
    """The commit that runs, and whether tracked files outside ``results/`` differ from it."""
    commit = _git("rev-parse", "HEAD")
    dirty = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
    return {
        "bench_version": version("gan-objectives-bench"),
        "git_commit": commit or "unknown",
        "git_dirty": bool(dirty) or not commit,
    }


def versions() -> dict[str, str]:
    """Of Python and the packages whose arithmetic the numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def version(package: str) -> str:
    """Of an installed package, or ``unknown``."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


@cache
def device_name(device: str) -> str:
    """The model name of what this process trains on: of its GPU, or of the CPU."""
    if device != "cuda":
        return processor()
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "unknown"


def processor() -> str:
    """The CPU's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
