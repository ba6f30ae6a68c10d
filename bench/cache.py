"""Where results of long work that any run may use again are kept: between runs, and between the units of one run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/gan-objectives-bench``, by default under ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gan-objectives-bench"


def shared_folder(work: Path) -> Path:
    """Beside the folder that a unit works in: for what other units of the grid may use; gone when the grid is done."""
    return work.parent / "shared"


def content_digest(arrays: Mapping[str, np.ndarray], said: Any) -> str:
    """32 hexadecimal digits of the SHA-256 of arrays, by name, and of plain values."""
    state = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        state.update(f"{name} {array.dtype} {array.shape};".encode())
        state.update(array.tobytes())
    return state.hexdigest()[:32]
