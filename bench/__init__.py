"""The harness: everything that runs, measures, writes and reports.

The checkout's own folder is put first on the path, because the packages ``objectives`` and ``datasets`` beside this one
have names that other installed packages share, and the checkout's own must win wherever the command is called from.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout: the folder that holds ``bench/``, ``objectives/``, ``datasets/`` and ``grids/``."""

if sys.path[:1] != [str(ROOT)]:
    sys.path.insert(0, str(ROOT))
