"""Records: what a run leaves behind, written so that a reader sees all of it, or nothing, or is told.

A results folder holds ``runs/<run id>.parquet`` (one run, all its observed steps), ``samples/<run id>.safetensors``
(its last samples) and ``manifest.json``. Every file is published whole. A record carries its own id and a digest of its
content, since the page checksums of Parquet leave its footer unguarded: of the single-bit flips there that can still
be read, one in twenty-five reads back as other data. A seal over all of its bytes shows the rest of them: damage that
changes no row today. Nothing that is read here is ever unpickled, and nothing is read before its size is known.

Only the names and the listing are at hand at once; pandas and pyarrow load with the first record.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import uuid
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeAlias

from bench.cell import SCHEMA_VERSION
from bench.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

RUNS = "runs"
SAMPLES = "samples"
MANIFEST = "manifest.json"
LEDGER = "claims/claims.json"
"""Beside the results folders that its verdicts rest on."""

FAILED = ("failed", "oom", "timeout", "killed")
STATUSES = ("ok", "diverged", *FAILED, "skipped")
"""How a run can end: the status of its last row; every row before it says ok."""

IDENTITY = (
    "schema_version", "grid", "cell_id", "run_id", "seed", "experiment", "objective", "dataset", "settings",
)  # fmt: skip
"""Columns that every record has, with one value in all of its rows."""

TEXT = frozenset(
    {"grid", "cell_id", "run_id", "status", "message", "traceback", "experiment", "objective", "dataset", "settings"}
    | {"generator", "critic", "generator_optimizer", "critic_optimizer", "update", "arm", "pair", "sampler", "check"}
    | {"device", "device_name", "way", "torch_version", "bench_version", "git_commit", "judge", "judge_of"}
)
FLAGS = frozenset({"git_dirty", "deterministic"})
"""Columns of text and of truth values; a column with a dot is a setting of any plain type; every other is a number."""

LARGEST_FILE = 1 << 26
LARGEST_MANIFEST = 1 << 28
LARGEST_SAMPLES = 1 << 28
LARGEST_CONTENT = 1 << 28
MOST_ROWS = 100_000
MOST_COLUMNS = 2_000
MOST_VALUES = 1 << 22
DEEPEST = 20
"""What is refused: bytes of a record, a manifest, samples, a record's content; its extent; levels of settings."""

_MOST_UNPACKED = 22
"""How many bytes one of a record's can stand for, by the format of its compression."""

_SEAL = b"0" * 64
"""Stands in the place of the seal, the SHA-256 of all bytes, where that is computed."""

MOST_AT_ONCE = 64
"""Runs whose values are held as Python's at a time."""

_Run: TypeAlias = "tuple[pa.Schema, Mapping[str, Sequence[Any]]]"
"""The schema and the columns of a record."""

_KINDS = {"string": "text", "int64": "number", "double": "number", "bool": "flag", "null": "nothing"}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_DRAFT = ".tmp-"


class RecordError(UserError):
    """A file in a results folder that cannot be used: one line that names it."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{printable(str(path))}: {printable(reason)}")
        self.path = path
        self.reason = reason


class SchemaError(RecordError):
    """A file that is whole, and of a schema that this release does not read."""

    def __init__(self, path: Path, version: object) -> None:
        words = (
            f"has schema version {version}, this is version {SCHEMA_VERSION}; read it with the release that wrote it"
        )
        super().__init__(path, words)


def printable(text: str) -> str:
    """The text on one line, with characters that a terminal would act on written as escapes."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def finished(folder: Path) -> set[str]:
    """Ids of the runs that have a record, by the listing alone: no file is opened."""
    return {path.stem for path in _listing(folder) if is_record(path)}


def has(folder: Path, run_id: str) -> bool:
    """Whether the run has a record, which is not opened."""
    return (folder / RUNS / f"{run_id}.parquet").exists()


def publish_bytes(data: bytes, path: Path) -> None:
    """Put the bytes at the path so that any reader, after any crash, sees the old file or the new one.

    A draft in the same folder is written, synced and read back before it takes the path's name, and the folder is
    synced after.

    Raises:
        OSError: nothing has changed, unless it was the last sync that failed; the message tells the path and the need.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{_DRAFT}{uuid.uuid4().hex}")
    try:
        _write(draft, data)
        if draft.read_bytes() != data:
            raise OSError(errno.EIO, "what was read back is not what was written")
        draft.replace(path)
        _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        reason = f"{error.strerror or error} (while publishing {len(data):,} bytes)"
        raise OSError(error.errno or errno.EIO, reason, str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(frame: pd.DataFrame, folder: Path) -> Path:
    """Publish the rows of one run as its record in a results folder, and give the record's path.

    Raises:
        RecordError: the rows would not be readable as a record.
        OSError: they could not be written.
    """
    import pyarrow as pa

    path = folder / RUNS / f"{frame['run_id'].iloc[0]}.parquet"
    table = _plain(frame, path)
    told = {"digest": _digest(table.to_pydict()), "seal": _SEAL.decode(), "status": str(frame["status"].iloc[-1])}
    data = _parquet(table, told, ["settings"])
    start = data.rindex(_SEAL)
    data = data[:start] + hashlib.sha256(data).hexdigest().encode() + data[start + len(_SEAL) :]
    _decode(pa.py_buffer(data), path)
    publish_bytes(data, path)
    return path


def encode(frame: pd.DataFrame) -> bytes:
    """Any rows as Parquet with page checksums: equal rows, equal bytes."""
    return _parquet(_plain(frame, Path("results.parquet")), {})


def load_run(path: Path) -> pd.DataFrame:
    """The rows of one record.

    Raises:
        RecordError: the file is damaged, is no record, or is not the record that its name says.
    """
    import pyarrow as pa

    schema, columns = _read_run(path)
    frame: pd.DataFrame = pa.table(dict(columns), schema).to_pandas()
    return frame


def load_columns(path: Path) -> Mapping[str, Sequence[Any]]:
    """The columns of one record, by name: what ``load_run`` gives, without pandas."""
    return _read_run(path)[1]


def load(folder: Path, run_ids: Container[str] | None = None) -> tuple[pd.DataFrame, list[RecordError]]:
    """The rows of all records in a results folder, or of those asked for, and what else lies there.

    Rows are in the order of run ids, then of steps. A setting that is a number in one record and a word in another is
    given as text. Drafts of an interrupted publication are passed over.
    """
    import pandas as pd
    import pyarrow as pa

    errors: list[RecordError] = []
    tables = list(_tables(_runs(folder, run_ids, errors)))
    if not tables:
        return pd.DataFrame(), errors
    mixed = _mixed(tables)
    tables = [table.cast(_with_text(table.schema, mixed)) for table in tables] if mixed else tables
    return pa.concat_tables(tables, promote_options="permissive").to_pandas(), errors


def _runs(folder: Path, run_ids: Container[str] | None, errors: list[RecordError]) -> Iterator[_Run]:
    """The records in the order of run ids; what cannot be read is added to the errors."""
    for path in _listing(folder):
        try:
            if not is_record(path):
                raise RecordError(path, "not a record; move it out of this folder")
            if run_ids is None or path.stem in run_ids:
                yield _read_run(path)
        except RecordError as error:
            errors.append(error)


def _tables(runs: Iterable[_Run]) -> Iterator[pa.Table]:
    """The rows of successive runs in few tables: one of a single run takes several times the memory of its values."""
    import pyarrow as pa

    for schema, alike in groupby(runs, key=itemgetter(0)):
        while some := [columns for _, columns in islice(alike, MOST_AT_ONCE)]:
            yield pa.table({name: [*chain.from_iterable(own[name] for own in some)] for name in schema.names}, schema)


def publish_samples(arrays: Mapping[str, np.ndarray], folder: Path, run_id: str) -> Path:
    """Publish the last samples of a run beside its record, by name, and give the path."""
    import numpy as np
    from safetensors.numpy import save

    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    path = folder / SAMPLES / f"{run_id}.safetensors"
    label = json.dumps({"digest": _digest_arrays(whole), "run_id": run_id}, sort_keys=True)
    publish_bytes(save(whole, metadata={"record": label}), path)
    return path


def load_samples(folder: Path, run_id: str) -> dict[str, np.ndarray] | None:
    """The arrays that ``publish_samples`` stored for a run; None where it did not.

    Raises:
        RecordError: they are damaged, or another run's.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as arrays_of

    path = folder / SAMPLES / f"{run_id}.safetensors"
    if not path.exists():
        return None
    data = read_bytes(path, LARGEST_SAMPLES)
    try:
        arrays = arrays_of(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        label = json.loads(header["__metadata__"]["record"])
        told = (label["run_id"], label["digest"])
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RecordError(path, f"damaged, or not samples of this project ({_first_line(error)})") from error
    if told[1] != _digest_arrays(arrays):
        raise RecordError(path, "damaged: the content does not match its digest")
    if told[0] != run_id:
        raise RecordError(path, f"holds the samples of {told[0]}: the name was changed")
    return arrays


def load_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a results folder; its cells have ``cell_id``, ``settings`` and ``seeds``.

    Where settings were drawn, ``search`` has the number of ``settings`` and the ``seed``, and a cell has the index of
    its ``draw``; ``published`` lists what sources report, each with ``source``, ``where`` and ``values``. These may be
    missing or None.

    Raises:
        RecordError: there is none, or it is damaged.
    """
    path = folder / MANIFEST
    data = read_bytes(path, LARGEST_MANIFEST)
    try:
        manifest = json.loads(data)
        if manifest["schema_version"] != SCHEMA_VERSION:
            raise SchemaError(path, manifest["schema_version"])
        whole = isinstance(manifest["grid"], str) and all(
            isinstance(cell["cell_id"], str)
            and _is_settings(cell["settings"])
            and all(type(seed) is int for seed in cell["seeds"])
            and type(cell.get("draw", 0)) in (int, NoneType)
            for cell in manifest["cells"]
        )
        search = manifest.get("search") or {"settings": 0, "seed": 0}
        whole &= all(type(search[key]) is int for key in ("settings", "seed"))
        whole &= all(map(_is_published, manifest.get("published") or ()))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise RecordError(path, f"damaged, or not a manifest ({_first_line(error)})") from error
    if not whole:
        raise RecordError(path, "damaged, or not a manifest")
    return dict(manifest)


def _listing(folder: Path) -> Sequence[Path]:
    runs = folder / RUNS
    paths = (path for path in runs.iterdir() if not path.name.startswith(_DRAFT)) if runs.is_dir() else ()
    return sorted(paths, key=lambda path: path.name)


def is_record(path: Path) -> bool:
    """Whether a file is called as a record is."""
    return path.suffix == ".parquet" and _NAME.fullmatch(path.stem) is not None


def read_bytes(path: Path, largest: int) -> bytes:
    """The bytes of a file.

    Raises:
        RecordError: it is no file, cannot be read, or has more bytes than are read.
    """
    try:
        if path.exists() and not path.is_file():
            raise RecordError(path, "not a file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > largest:
                raise RecordError(path, f"{size:,} bytes are too many; at most {largest:,} are read")
            return file.read(size)
    except OSError as error:
        raise RecordError(path, error.strerror or str(error)) from error


def _read_run(path: Path) -> _Run:
    import pyarrow as pa

    return _decode(pa.py_buffer(read_bytes(path, LARGEST_FILE)), path)


def _decode(data: pa.Buffer, path: Path) -> _Run:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        told = file.metadata.metadata or {}
        _check_extent(file.metadata, path)
        _check_seal(told, data, path)
        schema = file.schema_arrow.remove_metadata()
        if fault := _fault(schema):
            _check_version(file, path)
            raise RecordError(path, f"not a record: {fault}")
        if strange := told.keys() - {b"digest", b"seal", b"status"}:
            raise RecordError(path, f"damaged, or not a record: {len(strange)} strange entries in its footer")
        columns = _table(file, schema, data, path).to_pydict()
        digest = _digest(columns).encode()
    except RecordError:
        raise
    except Exception as error:  # whatever the reader makes of damaged bytes
        raise RecordError(path, f"damaged, or not a record ({_first_line(error)})") from error
    if told.get(b"digest") != digest:
        raise RecordError(path, "damaged: the content does not match its digest")
    _check_rows(columns, path)
    if told.get(b"status", end := str(columns["status"][-1]).encode()) != end:
        raise RecordError(path, "not a record: its footer tells another end than its rows")
    return schema, columns


def _check_extent(meta: pq.FileMetaData, path: Path) -> None:
    """Refuse what is large, or could become large when it is read."""
    groups = [meta.row_group(index) for index in range(meta.num_row_groups)]
    rows = max(meta.num_rows, sum(group.num_rows for group in groups))
    content = sum(group.total_byte_size for group in groups)
    many = rows > MOST_ROWS or meta.num_columns > MOST_COLUMNS or rows * meta.num_columns > MOST_VALUES
    if many or content > LARGEST_CONTENT:
        extent = f"{rows:,} rows, {meta.num_columns:,} columns, {content:,} bytes"
        raise RecordError(path, f"{extent} are too many for a run")


def _check_seal(told: Mapping[bytes, bytes], data: pa.Buffer, path: Path) -> None:
    """Refuse bytes that are not as they were sealed; records of the first releases have no seal."""
    if (seal := told.get(b"seal")) is None:
        return
    whole = bytes(data)
    start = whole.rindex(seal)
    blank = whole[:start] + _SEAL + whole[start + len(seal) :]
    if seal.decode() != hashlib.sha256(blank).hexdigest():
        raise RecordError(path, "damaged: the bytes do not match their seal")


def _check_version(file: pq.ParquetFile, path: Path) -> None:
    """Refuse what is strange because it is of another schema."""
    import pyarrow as pa

    if pa.field("schema_version", pa.int64()) in file.schema_arrow:
        versions = {*file.read(["schema_version"], use_threads=False)["schema_version"].to_pylist()}
        if versions and SCHEMA_VERSION not in versions:
            raise SchemaError(path, versions.pop())


def _table(file: pq.ParquetFile, schema: pa.Schema, data: pa.Buffer, path: Path) -> pa.Table:
    """All values; a text that repeats is written once, and has to fit into memory as often as there are rows."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    meta = file.metadata
    told = sum(meta.row_group(index).total_byte_size for index in range(meta.num_row_groups))
    if meta.num_rows * max(told, _MOST_UNPACKED * len(data)) <= LARGEST_CONTENT:
        return file.read(use_threads=False)
    text = [field.name for field in schema if field.type == pa.string()]
    folded = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True, read_dictionary=text)
    table = folded.read(use_threads=False)
    chunks = [chunk for name in text for chunk in table[name].chunks]
    unfolded = sum(len(chunk) * (pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0) for chunk in chunks)
    if unfolded > LARGEST_CONTENT:
        raise RecordError(path, f"texts of up to {unfolded:,} bytes are too many for a run")
    return table.cast(schema)


@lru_cache(maxsize=8)
def _fault(schema: pa.Schema) -> str:
    """Why no record has such columns; empty where one may. Most records of a folder have those of the last one."""
    if len(set(schema.names)) != len(schema.names):
        return "two columns have one name"
    for field in schema:
        kind = _kind(field.type)
        due = "text" if field.name in TEXT else "flag" if field.name in FLAGS else "number"
        if kind is None or not ("." in field.name or kind in (due, "nothing")):
            return f"column {field.name!r} holds {field.type}, where a {due} belongs"
    return ""


def _kind(of: pa.DataType) -> str | None:
    return _KINDS.get(str(of))


def _check_rows(columns: Mapping[str, Sequence[Any]], path: Path) -> None:
    if missing := [name for name in (*IDENTITY, "step", "status") if name not in columns]:
        raise RecordError(path, f"not a record: column {missing[0]!r} is missing")
    if not columns["step"]:
        raise RecordError(path, "not a record: it has no rows")
    first = {name: columns[name][0] for name in IDENTITY}
    if first["schema_version"] != SCHEMA_VERSION:
        raise SchemaError(path, first["schema_version"])
    for name, value in first.items():
        if value is None or any(other != value for other in columns[name]):
            raise RecordError(path, f"not the record of one run: column {name!r} changes between rows, or is empty")
    if first["run_id"] != path.stem:
        raise RecordError(path, f"holds the run {first['run_id']}: the name was changed")
    if _NAME.fullmatch(path.stem) is None or path.stem != f"{first['cell_id']}-s{first['seed']}":
        raise RecordError(path, "not a record: a run's id is its cell's id and its seed")
    steps, statuses = columns["step"], columns["status"]
    if any(type(step) is not int for step in steps) or list(steps) != sorted(steps):
        raise RecordError(path, "not a record: its steps are out of order")
    if set(statuses[:-1]) - {"ok"} or statuses[-1] not in STATUSES:
        raise RecordError(path, "not a record: only its last row may have a status other than ok")
    try:
        settings = json.loads(first["settings"])
    except (ValueError, TypeError, RecursionError):
        settings = None
    if not _is_settings(settings):
        raise RecordError(path, "not a record: its settings cannot be read")


def _is_settings(value: object) -> bool:
    return isinstance(value, dict) and _depth_within(value, DEEPEST)


def _is_published(entry: Mapping[str, Any]) -> bool:
    return (
        isinstance(entry["source"], str)
        and _is_settings(entry["where"])
        and all(_is_number(value) for value, _ in entry["values"].values())
        and all(spread is None or _is_number(spread) for _, spread in entry["values"].values())
    )


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _depth_within(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_depth_within(part, levels - 1) for part in inner)


def _plain(frame: pd.DataFrame, path: Path) -> pa.Table:
    import pyarrow as pa
    from pyarrow import types

    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    for index, field in enumerate(table.schema):
        if types.is_integer(field.type):
            table = table.set_column(index, field.name, table[index].cast(pa.int64()))
        elif types.is_floating(field.type):
            table = table.set_column(index, field.name, table[index].cast(pa.float64()))
        elif types.is_large_string(field.type) or types.is_dictionary(field.type):
            table = table.set_column(index, field.name, table[index].cast(pa.string()))
    if fault := _fault(table.schema):
        raise RecordError(path, f"not a record: {fault}")
    return table


def _parquet(table: pa.Table, metadata: Mapping[str, str], dictionaries: bool | Sequence[str] = True) -> bytes:
    """The table with these entries in its footer; of which columns each value is written once, or of all of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    # Statistics of columns so short serve no reader, and are a third of a record's bytes.
    with pq.ParquetWriter(
        sink,
        table.schema,
        write_page_checksum=True,
        store_schema=False,
        write_statistics=False,
        use_dictionary=dictionaries,
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(dict(metadata))
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _digest(columns: Mapping[str, Sequence[Any]]) -> str:
    return hashlib.sha256(json.dumps(columns).encode()).hexdigest()


def _digest_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    state = hashlib.sha256()
    for name in sorted(arrays):
        state.update(f"{name} {arrays[name].dtype} {arrays[name].shape};".encode())
        state.update(arrays[name].tobytes())
    return state.hexdigest()


def _mixed(tables: Sequence[pa.Table]) -> frozenset[str]:
    kinds: dict[str, set[str | None]] = {}
    for table in tables:
        for field in table.schema:
            if "." in field.name:
                kinds.setdefault(field.name, set()).add(_kind(field.type))
    return frozenset(name for name, found in kinds.items() if len(found - {"nothing"}) > 1)


def _with_text(schema: pa.Schema, names: frozenset[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([pa.field(f.name, pa.string()) if f.name in names else f for f in schema])


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
