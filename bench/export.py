"""A results folder for other programs: all rows as one CSV file, or the runs as event files that TensorBoard shows."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import records
from bench.cell import flatten
from bench.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("csv", "tensorboard")

EVENTS = "events.out.tfevents.0000000000.bench"
"""The name of a run's event file: one that TensorBoard knows by, without the time and host that its writer adds."""

DESCRIBING = frozenset({"schema_version", "seed", "step"})
"""Numbers that say which row it is, not what was measured."""

PROVENANCE = (
    "device", "device_name", "way", "replicas", "deterministic",
    "torch_version", "bench_version", "git_commit", "git_dirty",
)  # fmt: skip


@dataclass(frozen=True)
class Exported:
    """What was written, and what was left out."""

    path: Path
    runs: int
    rows: int
    unmeasured: int
    """Runs without a number, such as those that were skipped: of these, TensorBoard has the text alone."""
    errors: tuple[records.RecordError, ...]
    """Records that could not be read."""


def export(folder: Path, to: str, out: Path | None = None) -> Exported:
    """Write all rows of a results folder in one of the ``FORMATS``; equal records give equal bytes.

    - ``csv`` to the file ``out``, or to ``results.csv`` in the folder: a row an observed step, a column each of theirs;
      UTF-8, every line ends in a newline, text is quoted and never a spreadsheet's formula, an empty field is a missing
      value, and a number reads back as the same number.
    - ``tensorboard`` to ``<run id>/`` in the folder ``out``, or in ``tensorboard/`` in the folder: every measured
      number over steps, in TensorBoard's float32; settings as its hyperparameters, where the seeds of a cell are one
      session group, and as text; how a run ended, where it did not end well. Wall time counts from a run's start.

    Raises:
        UserError: there is no record that can be read, or TensorBoard is not installed.
    """
    if to == "tensorboard":
        _require_tensorboard()
    frame, errors = records.load(folder)
    if not len(frame):
        raise errors[0] if errors else records.RecordError(folder, f"no results here: {records.RUNS}/ has no record")
    measured = _measured(frame)
    if to == "csv":
        path = out or folder / "results.csv"
        records.publish_bytes(_csv(frame), path)
    else:
        path = out or folder / "tensorboard"
        _tensorboard(frame, measured, path)
    has_number = frame[measured].notna().any(axis=1).groupby(frame["run_id"]).any()
    return Exported(path, len(has_number), len(frame), int((~has_number).sum()), tuple(errors))


def _measured(frame: pd.DataFrame) -> list[str]:
    """The columns of numbers that are neither settings nor provenance."""
    settings = {name for text in frame["settings"].unique() for name in _settings(text)}
    return [
        name
        for name in frame.select_dtypes("number").columns
        if "." not in name and name not in settings and name not in DESCRIBING and name not in PROVENANCE
    ]


@lru_cache(maxsize=1 << 14)
def _settings(text: str) -> Mapping[str, Any]:
    """Settings by their dotted names."""
    return dict(flatten(json.loads(text)))


def _csv(frame: pd.DataFrame) -> bytes:
    import pyarrow as pa
    from pyarrow import csv

    from bench.report.tables import safe_cell

    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            coded = table[index].combine_chunks().dictionary_encode()
            words = pa.array(map(safe_cell, coded.dictionary.to_pylist()), pa.string())
            table = table.set_column(index, field.name, words.take(coded.indices))
    sink = io.BytesIO()
    csv.write_csv(table.rename_columns([safe_cell(name) for name in table.column_names]), sink)
    return sink.getvalue()


def _require_tensorboard() -> None:
    if find_spec("tensorboard") is None:
        raise UserError("--to tensorboard needs TensorBoard's package: pip install -e '.[tensorboard]'")


def _tensorboard(frame: pd.DataFrame, measured: Sequence[str], folder: Path) -> None:
    from tensorboard.summary.writer.record_writer import RecordWriter

    numbers = frame[measured].to_numpy("float64", na_value=math.nan)
    steps = frame["step"].tolist()
    seconds = frame["wall_seconds"].fillna(0.0).tolist() if "wall_seconds" in frame else [0.0] * len(frame)
    starts = (~frame["run_id"].duplicated()).to_numpy().nonzero()[0].tolist()
    for start, end in pairwise([*starts, len(frame)]):
        sink = io.BytesIO()
        writer = RecordWriter(sink)
        for event in _head(frame.iloc[start], frame.iloc[end - 1]):
            writer.write(event)
        for step, second, values in zip(steps[start:end], seconds[start:end], numbers[start:end].tolist(), strict=True):
            told = {name: value for name, value in zip(measured, values, strict=True) if not math.isnan(value)}
            writer.write(_event(step, second, told))
        records.publish_bytes(sink.getvalue(), folder / str(frame["run_id"].iat[start]) / EVENTS)


def _event(step: int, seconds: float, numbers: Mapping[str, float]) -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    values = [Summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]
    data: bytes = Event(step=step, wall_time=seconds, summary=Summary(value=values)).SerializeToString()
    return data


def _head(first: pd.Series[Any], last: pd.Series[Any]) -> Iterator[bytes]:
    """What an event file says before its numbers: its version, the settings, and how the run ended if not well."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from tensorboard.plugins.text.summary_v2 import text_pb

    settings = {name: _plain(value) for name, value in _settings(first["settings"]).items()} | {"seed": first["seed"]}
    origin = {name: last[name] for name in PROVENANCE if name in last and last[name] == last[name]}
    yield Event(file_version="brain.Event:2").SerializeToString()
    session = hparams_pb(settings, trial_id=first["cell_id"], start_time_secs=0.0)
    yield Event(summary=session).SerializeToString()
    yield Event(summary=text_pb("settings", _verbatim(settings | origin))).SerializeToString()
    if last["status"] != "ok":
        end = {"status": last["status"], "step": last["step"], "message": last["message"]}
        yield Event(step=last["step"], summary=text_pb("end", _verbatim(end))).SerializeToString()


def _plain(value: Any) -> str | bool | int | float:
    return value if isinstance(value, str | bool | int | float) else json.dumps(value)


def _verbatim(facts: Mapping[str, Any]) -> str:
    """A line each, indented: as Markdown, in which TensorBoard takes text, code that nothing is read into."""
    return "\n".join(f"    {records.printable(f'{name}: {value}')}" for name, value in facts.items())
