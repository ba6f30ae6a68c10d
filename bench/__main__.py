"""``python -m bench``."""

import os
import sys

# Python puts the current folder on the path, where a stranger's grid may lie beside a file called pydantic.py.
if not sys.flags.safe_path and sys.path[1:2] == [os.getcwd()]:  # noqa: PTH109 - before anything else is imported
    del sys.path[1]

from bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
