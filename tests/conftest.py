"""One thread a process: several processes test at once, and two threads in one can be ten times slower then."""

import os

for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
