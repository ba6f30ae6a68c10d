"""How runs ended, and why: read from their records in passing, without a check of the whole of each.

Records may be another's: what is read of one is bounded, and its text is escaped.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench import records
from bench.errors import first_line

DAMAGED = "damaged"
"""The status of what cannot be read."""

MOST_MESSAGE = 300
"""Characters of a message: as many as a record of this project has."""

FOOTER_TAIL = 8192
"""Bytes at the end of a record that surely have its footer's last entries."""

_OK = b"\x18\x06status\x18\x02ok\x00"
"""The entry ``status`` of a footer, as Thrift's compact protocol writes it."""

_RESULTS = frozenset(records.STATUSES) - set(records.FAILED)
_VARYING = re.compile(
    r"[\w.-]*-[0-9a-f]{10}(?:-s\d+)?\b"  # ids of units, cells and runs
    r"|\b0x[0-9a-f]+|\b(?=[a-f]*\d)[0-9a-f]{8,}\b|\d+(?:[.,:_]\d+)*(?:e[+-]?\d+)?",
    re.IGNORECASE,
)


class End(NamedTuple):
    """How a run ended, by its last row."""

    status: str
    message: str = ""
    traceback: str = ""
    """Names the place in the code; a worker's log has it beside the traceback itself."""
    cause: str = ""
    """The message without what differs from run to run."""


@dataclass(frozen=True)
class Cause:
    """Why some runs did not end well."""

    status: str
    runs: int
    message: str
    """The shortest that any of them has."""
    example: str
    """The id of the run that has it."""
    traceback: str


def read_end(path: Path) -> End:
    """How the run of a record ended; ``damaged`` where that cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if _ended_ok(path):
            return End("ok")
        buffer = pa.py_buffer(records.read_bytes(path, records.LARGEST_FILE))
        # As a dictionary, since a small one can stand for a text that no memory holds. Decoded on one thread, which
        # for files so small takes a quarter of the time of several.
        parquet = pq.ParquetFile(pa.BufferReader(buffer), read_dictionary=["status"])
        if parquet.metadata.num_rows > records.MOST_ROWS or parquet.metadata.num_columns > records.MOST_COLUMNS:
            raise ValueError("too many rows or columns for a run")
        status = _last(parquet, ["status"])["status"]
        if status not in records.STATUSES:
            raise ValueError("a status that is none")
        if status == "ok":
            return End(status)
        names = [name for name in ("message", "traceback") if name in parquet.schema_arrow.names]
        told = _last(pq.ParquetFile(pa.BufferReader(buffer), read_dictionary=names), names)
    except records.RecordError as error:
        return _end(DAMAGED, error.reason)
    except Exception as error:  # whatever the reader makes of damaged bytes
        return _end(DAMAGED, first_line(error))
    return _end(status, *(told.get(name) or "" for name in ("message", "traceback")))


def _ended_ok(path: Path) -> bool:
    """Whether the end of a record says so, which takes a fortieth of the time that Parquet's 111 columns do."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - FOOTER_TAIL))
        tail = file.read(FOOTER_TAIL)
    return tail.endswith(b"PAR1") and _OK in tail


def _last(parquet: Any, names: Sequence[str]) -> dict[str, Any]:
    table = parquet.read(columns=names, use_threads=False)
    return {name: table[name][-1].as_py() for name in names}


def _end(status: str, message: object, traceback: object = "") -> End:
    text = records.printable(str(message)[:MOST_MESSAGE])
    return End(status, text, records.printable(str(traceback)[:MOST_MESSAGE]), _VARYING.sub("#", text))


def causes(ends: Mapping[str, End]) -> list[Cause]:
    """Why runs did not end ok: failures before results, and the commonest of each first."""
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for run_id, end in ends.items():
        if end.status != "ok":
            alike[end.status, end.cause].append(run_id)
    found = []
    for (status, _), run_ids in alike.items():
        example = min(run_ids, key=lambda run_id: (len(ends[run_id].message), run_id))
        end = ends[example]
        found.append(Cause(status, len(run_ids), end.message, records.printable(example), end.traceback))
    return sorted(found, key=lambda cause: (cause.status in _RESULTS, -cause.runs, cause.example))
