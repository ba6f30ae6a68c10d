from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import records
from bench.cell import SCHEMA_VERSION
from bench.errors import UserError
from bench.grid import Grid, load_grid
from bench.launch.run import LOCK, Options, _one_at_a_time, _write_manifest
from bench.records import RecordError

ROOT = Path(records.__file__).parents[1]
OLD, NEW = b"old" * 1000, b"new" * 2000


def frame_of(seed: int = 0, /, **changes: Any) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    cell, rows = "wgan_gp-ring-0123456789", 12
    columns = {
        "schema_version": SCHEMA_VERSION, "grid": "modes", "cell_id": cell, "run_id": f"{cell}-s{seed}", "seed": seed,
        "step": np.arange(1, rows + 1) * 10, "status": "ok", "message": "", "experiment": "train",
        "objective": "wgan_gp", "dataset": "ring", "dataset.modes": 8, "critic_optimizer.name": "adam",
        "critic_optimizer.lr": 1e-4, "settings": json.dumps({"dataset": {"name": "ring", "modes": 8}}),
        "emd": rng.uniform(size=rows), "modes_covered": rng.integers(9, size=rows).astype(float),
        "git_dirty": False, "torch_version": "2.14.1",
    }  # fmt: skip
    return pd.DataFrame(columns | changes, index=range(rows))


def raw(frame: pd.DataFrame, path: Path) -> Path:
    """The rows as a record with a right digest, without the checks that publication makes."""
    path.parent.mkdir(exist_ok=True)
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    digest = hashlib.sha256(json.dumps(table.to_pydict(), default=str).encode()).hexdigest()
    path.write_bytes(records._parquet(table, {"digest": digest}))
    return path


# --- publication


def calls_of(action: Callable[[], object], monkeypatch: pytest.MonkeyPatch, fail_at: int, error: BaseException) -> int:
    """Run the action with its n-th call to the operating system failing; give the number of calls."""
    count = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == fail_at:
                raise error
            return call(*args, **kwargs)

        return instead

    with monkeypatch.context() as patch:
        for name in ("open", "write", "fsync", "close", "replace"):
            patch.setattr(os, name, counted(getattr(os, name)))
        patch.setattr(Path, "read_bytes", counted(Path.read_bytes))
        action()
    return count


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("before", [OLD, None])
def test_whichever_call_fails_a_reader_sees_the_old_file_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, before: bytes | None
) -> None:
    path = tmp_path / "file"
    total = calls_of(lambda: records.publish_bytes(NEW, path), monkeypatch, 0, OSError())
    assert total == 9  # open, write, fsync, close; read back; rename; open, fsync, close of the folder
    for call in range(1, total + 1):
        path.write_bytes(before) if before is not None else path.unlink(missing_ok=True)
        with pytest.raises(OSError, match=r"while publishing 6,000 bytes.*file'") as failure:
            calls_of(lambda: records.publish_bytes(NEW, path), monkeypatch, call, OSError(code, os.strerror(code)))
        assert failure.value.errno == code
        renamed = call > 6
        assert (path.read_bytes() if path.exists() else None) == (NEW if renamed else before)
        assert sorted(tmp_path.iterdir()) == ([path] if path.exists() else [])


def test_killed_at_any_call_a_reader_sees_the_old_file_or_the_new(tmp_path: Path) -> None:
    """With real processes that end without a chance to tidy up."""
    script = """
import os, sys
from pathlib import Path
from bench.records import publish_bytes
folder, fail_at = Path(sys.argv[1]), 0
for fail_at in range(1, 20):
    path = folder / f"{fail_at}" / "file"
    path.parent.mkdir()
    path.write_bytes(b"old" * 1000)
    child = os.fork()
    if child == 0:
        count = 0
        def counted(call):
            def instead(*args, **kwargs):
                global count
                count += 1
                if count == fail_at:
                    os._exit(9)
                return call(*args, **kwargs)
            return instead
        for name in ("open", "write", "fsync", "close", "replace"):
            setattr(os, name, counted(getattr(os, name)))
        publish_bytes(b"new" * 2000, path)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True, text=True, cwd=ROOT
    )
    codes = [int(line) for line in done.stdout.split()]
    assert codes == [9] * 8 + [0] * 11
    for call, code in enumerate(codes, start=1):
        folder = tmp_path / str(call)
        renamed = code == 0 or call > 5
        assert (folder / "file").read_bytes() == (NEW if renamed else OLD)
        drafts = [path.name for path in folder.iterdir() if path.name != "file"]
        assert len(drafts) == (0 if renamed or call == 1 else 1)
        assert all(name.startswith(".tmp-") for name in drafts)  # which readers pass over


def test_the_order_is_write_sync_close_read_rename_sync_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    names: dict[int, str] = {}
    real = {name: getattr(os, name) for name in ("open", "write", "fsync", "close", "replace")}

    def opened(path: Any, *args: Any, **kwargs: Any) -> int:
        descriptor: int = real["open"](path, *args, **kwargs)
        names[descriptor] = "folder" if Path(path).is_dir() else "draft" if ".tmp-" in str(path) else str(path)
        return descriptor

    def on_descriptor(name: str) -> Callable[..., Any]:
        def instead(descriptor: int, *args: Any) -> Any:
            told.append(f"{name} {names[descriptor]}")
            return real[name](descriptor, *args)

        return instead

    def replaced(source: Any, target: Any) -> None:
        told.append(f"rename to {Path(target).name}")
        real["replace"](source, target)

    read = Path.read_bytes
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", opened)
        patch.setattr(os, "replace", replaced)
        for name in ("write", "fsync", "close"):
            patch.setattr(os, name, on_descriptor(name))
        patch.setattr(Path, "read_bytes", lambda path: (told.append("read draft"), read(path))[1])
        records.publish_bytes(NEW, tmp_path / "file")
    assert told == [
        "write draft", "fsync draft", "close draft", "read draft", "rename to file", "fsync folder", "close folder",
    ]  # fmt: skip


def test_short_writes_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:700]))
    records.publish_bytes(NEW, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == NEW


def test_what_reads_back_differently_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda _: NEW[:-1] + b"x")
        with pytest.raises(OSError, match="not what was written"):
            records.publish_bytes(NEW, path)
    assert path.read_bytes() == OLD


def test_a_full_disk_is_told_with_path_and_need(tmp_path: Path) -> None:
    """A real limit on the size of files, in a process of its own."""
    script = """
import resource, signal, sys
from pathlib import Path
from bench.records import publish_bytes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    publish_bytes(b"new" * 2000, Path(sys.argv[1]))
except OSError as error:
    print(error)
"""
    path = tmp_path / "file"
    path.write_bytes(OLD)
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert "File too large (while publishing 6,000 bytes)" in done.stdout
    assert str(path) in done.stdout
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


# --- records, whole


def test_a_record_reads_back_as_what_was_published_and_as_plain_parquet(tmp_path: Path) -> None:
    frame = frame_of(status=["ok"] * 11 + ["diverged"], emd=[*np.linspace(1, 0.1, 11), np.nan])
    path = records.publish(frame, tmp_path)
    assert path == tmp_path / "runs" / "wgan_gp-ring-0123456789-s0.parquet"
    pd.testing.assert_frame_equal(records.load_run(path), frame, check_dtype=False)
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame, check_dtype=False)


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    first, second = (records.publish(frame_of(), tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert records.encode(frame_of()) == records.encode(frame_of().reset_index(drop=True))


def test_integers_and_floats_of_any_width_are_kept(tmp_path: Path) -> None:
    frame = frame_of(seed=np.int8(0), modes_covered=np.float32(0.1), step=np.arange(12, dtype=np.uint16))
    back = records.load_run(records.publish(frame, tmp_path))
    assert back["modes_covered"].tolist() == [float(np.float32(0.1))] * 12
    assert back["step"].tolist() == list(range(12))


def test_load_gives_all_records_in_order_or_those_asked_for(tmp_path: Path) -> None:
    for seed in (10, 2, 1):
        records.publish(frame_of(seed), tmp_path)
    rows, errors = records.load(tmp_path)
    assert errors == []
    assert rows["run_id"].drop_duplicates().tolist() == [f"wgan_gp-ring-0123456789-s{s}" for s in (1, 10, 2)]
    assert len(rows) == 36
    some, _ = records.load(tmp_path, {"wgan_gp-ring-0123456789-s10"})
    assert some["seed"].unique().tolist() == [10]


def test_records_of_different_settings_meet_in_one_frame(tmp_path: Path) -> None:
    records.publish(frame_of(0, **{"hparams.clip": 0.1, "latent.dim": 2, "only": 1}), tmp_path)
    records.publish(frame_of(1, **{"hparams.clip": 1, "latent.dim": "auto", "hparams.none": None}), tmp_path)
    rows, errors = records.load(tmp_path)
    assert errors == []
    assert rows.groupby("seed")["hparams.clip"].first().tolist() == [0.1, 1.0]
    assert rows.groupby("seed")["latent.dim"].first().tolist() == ["2", "auto"]
    assert rows.groupby("seed")["only"].count().tolist() == [12, 0]


def test_rows_are_those_of_the_files_however_many_are_held_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(7):
        changes = {"hparams.clip": seed / 7} if seed in (3, 6) else {"emd": [math.nan, *np.arange(11.0)]}
        records.publish(frame_of(seed, **changes), tmp_path)
    parts = [pd.read_parquet(path) for path in sorted((tmp_path / "runs").iterdir())]
    whole = pd.concat(parts, ignore_index=True)
    for most in (1, 2, 64):
        monkeypatch.setattr(records, "MOST_AT_ONCE", most)
        pd.testing.assert_frame_equal(records.load(tmp_path)[0], whole)


def test_finished_lists_records_without_opening_them(tmp_path: Path) -> None:
    assert records.finished(tmp_path) == set()
    records.publish(frame_of(3), tmp_path)
    for name in ("a-s1.parquet", ".tmp-abc", ".hidden.parquet", "notes.txt", "b\n.parquet", f"{'x' * 65}.parquet"):
        (tmp_path / "runs" / name).write_bytes(b"")
    assert records.finished(tmp_path) == {"a-s1", "wgan_gp-ring-0123456789-s3"}


def test_nothing_heavy_loads_before_it_is_needed() -> None:
    heavy = {"torch", "pandas", "numpy", "pyarrow", "safetensors"}
    script = f"import sys, bench.records; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


# --- records, damaged


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return records.publish(frame_of(), tmp_path)


def test_no_bit_flip_is_read_as_other_rows(record: Path) -> None:
    data = record.read_bytes()
    whole = records.load_run(record)
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    rng = np.random.default_rng(0)
    bits = [*rng.choice(footer * 8, 200, replace=False), *rng.integers(footer * 8, len(data) * 8, 600)]
    refused = 0
    for bit in bits:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        record.write_bytes(flipped)
        try:
            pd.testing.assert_frame_equal(records.load_run(record), whole)
        except RecordError:
            refused += 1
    assert refused > 350  # the others hit statistics and the like, of which no row is made


def test_a_footer_that_tells_another_end_than_its_rows_is_refused(record: Path) -> None:
    """Even under a right seal: who asks only how runs ended reads no more than the footer."""
    assert pq.read_metadata(record).metadata[b"status"] == b"ok"
    table, digest = pq.read_table(record), pq.read_metadata(record).metadata[b"digest"]
    for end, fine in (("ok", True), ("failed", False)):
        record.write_bytes(records._parquet(table.replace_schema_metadata(None), {"digest": digest, "status": end}))
        if fine:
            assert len(records.load_run(record)) == 12
            continue
        with pytest.raises(RecordError, match="its footer tells another end than its rows"):
            records.load_run(record)


def test_pages_have_checksums_that_any_reader_can_verify(record: Path) -> None:
    data = bytearray(record.read_bytes())
    data[data.index(b"wgan_gp")] ^= 1
    record.write_bytes(data)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(record, page_checksum_verification=True)


def test_no_truncation_or_zeroed_range_is_read(record: Path) -> None:
    data = record.read_bytes()
    whole = records.load_run(record)
    rng = np.random.default_rng(1)
    for length in rng.choice(len(data), 200, replace=False):
        record.write_bytes(data[:length])
        with pytest.raises(RecordError):
            records.load_run(record)
    for start in rng.choice(len(data) - 64, 50, replace=False):
        record.write_bytes(data[:start] + bytes(64) + data[start + 64 :])
        try:
            pd.testing.assert_frame_equal(records.load_run(record), whole)
        except RecordError:
            continue


def test_swapped_names_are_found(tmp_path: Path) -> None:
    first, second = (records.publish(frame_of(seed), tmp_path) for seed in (0, 1))
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    rows, errors = records.load(tmp_path)
    assert rows.empty
    assert [error.path for error in errors] == [first, second]
    assert "holds the run wgan_gp-ring-0123456789-s1: the name was changed" in str(errors[0])


def test_one_bad_file_costs_one_run_and_is_named(tmp_path: Path) -> None:
    bad, *_ = [records.publish(frame_of(seed), tmp_path) for seed in range(4)]
    bad.write_bytes(bad.read_bytes()[:500])
    foreign = tmp_path / "runs" / "plot\x1b[2J.png"
    foreign.write_bytes(b"")
    (tmp_path / "runs" / ".tmp-0123").write_bytes(b"half")
    rows, errors = records.load(tmp_path)
    assert sorted(rows["seed"].unique()) == [1, 2, 3]
    assert [error.path for error in errors] == [foreign, bad]
    lines = [str(error) for error in errors]
    assert "\x1b" not in lines[0]
    assert "\\x1b" in lines[0]
    assert all("\n" not in line for line in lines)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema_version": SCHEMA_VERSION + 1}, f"has schema version {SCHEMA_VERSION + 1}, this is"),
        ({"run_id": "other-s0"}, "holds the run other-s0"),
        ({"run_id": [*["wgan_gp-ring-0123456789-s0"] * 11, "b-s0"]}, "'run_id' changes between rows"),
        ({"seed": 1}, "a run's id is its cell's id and its seed"),
        ({"objective": None}, "'objective' changes between rows, or is empty"),
        ({"objective": [*["a"] * 11, "b"]}, "'objective' changes between rows"),
        ({"emd": "low"}, "column 'emd' holds string, where a number belongs"),
        ({"git_dirty": 1}, "column 'git_dirty' holds int64, where a flag belongs"),
        ({"message": 1.5}, "column 'message' holds double, where a text belongs"),
        ({"emd": [[1.0]] * 12}, "column 'emd' holds list"),
        ({"emd": pd.Timestamp("2020-01-01")}, "column 'emd' holds timestamp"),
        ({"dataset.x": b"bytes"}, "column 'dataset.x' holds binary"),
        ({"status": "fine"}, "only its last row may have a status other than ok"),
        ({"status": "diverged"}, "only its last row may have a status other than ok"),
        ({"step": np.arange(12)[::-1]}, "steps are out of order"),
        ({"step": np.linspace(0, 1, 12)}, "steps are out of order"),
        ({"settings": "{"}, "settings cannot be read"),
        ({"settings": "[]"}, "settings cannot be read"),
        ({"settings": '{"a":' * 5000 + "1" + "}" * 5000}, "settings cannot be read"),
        ({"settings": '{"a":' * 25 + "1" + "}" * 25}, "settings cannot be read"),
    ],
)
def test_rows_that_are_no_run_are_neither_published_nor_read(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    frame = frame_of(**changes)
    path = raw(frame, tmp_path / "runs" / "wgan_gp-ring-0123456789-s0.parquet")
    with pytest.raises(RecordError) as refusal:
        records.load_run(path)
    assert reason in str(refusal.value)
    if not reason.startswith("holds the run"):  # which is published under its own name
        with pytest.raises(RecordError):
            records.publish(frame, tmp_path / "new")
    assert not list((tmp_path / "new").glob("**/*.parquet"))


@pytest.mark.parametrize("name", [*records.IDENTITY, "step", "status"])
def test_a_missing_column_is_named(tmp_path: Path, name: str) -> None:
    path = raw(frame_of().drop(columns=name), tmp_path / "runs" / "wgan_gp-ring-0123456789-s0.parquet")
    with pytest.raises(RecordError, match=f"column '{name}' is missing"):
        records.load_run(path)


def test_a_record_without_rows_is_none(tmp_path: Path) -> None:
    path = raw(frame_of().iloc[:0], tmp_path / "runs" / "wgan_gp-ring-0123456789-s0.parquet")
    with pytest.raises(RecordError):
        records.load_run(path)


# --- records, hostile


@pytest.fixture
def unpickled() -> Iterator[list[str]]:
    """What pickle was asked to find while the test ran."""
    found: list[str] = []
    active = True

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if active and event == "pickle.find_class":
            found.append(str(args))

    sys.addaudithook(watch)
    yield found
    active = False


def hostile_files(folder: Path) -> Iterator[str]:
    """Files under a record's name, each of which would like to be more than rows; what is said of each."""
    path = folder / "runs" / "wgan_gp-ring-0123456789-s0.parquet"
    path.parent.mkdir(parents=True)
    rows = records.MOST_ROWS + 1
    pq.write_table(pa.table({"run_id": pa.array(["a"] * rows), "step": pa.array([0] * rows)}), path)
    yield "100,001 rows, 2 columns"
    pq.write_table(pa.table({f"c{i}": [1] for i in range(records.MOST_COLUMNS + 1)}), path)
    yield "1 rows, 2,001 columns"
    pq.write_table(pa.table({"a.b": ["x" * 10_000] * 1000}), path, use_dictionary=False, compression="zstd")
    with mock.patch.object(records, "LARGEST_CONTENT", path.stat().st_size * 2):
        yield "1,000 rows, 1 columns"
    with path.open("wb") as file:
        file.truncate(records.LARGEST_FILE + 1)
    yield "67,108,865 bytes are too many"
    for kind in (pa.uuid(), pa.opaque(pa.binary(16), "x", "y"), pa.json_()):
        storage = pa.array([b"0" * 16] if kind.storage_type != pa.string() else ["{}"], kind.storage_type)
        pq.write_table(pa.table({"dataset.x": pa.ExtensionArray.from_storage(kind, storage)}), path)
        yield "column 'dataset.x' holds "
    plain = pa.Table.from_pandas(frame_of(), preserve_index=False)
    pickled = {b"pandas": b"\x80\x04cos\nsystem\n(S'true'\ntR.", b"ARROW:schema": b"AAAA"}
    pq.write_table(plain.replace_schema_metadata(pickled), path)
    yield "damaged"
    pq.write_table(plain.append_column("emd", plain["emd"]), path)
    yield "two columns have one name"
    np.save(path.with_suffix(".npy"), np.array([{"a": 1}], dtype=object), allow_pickle=True)
    path.with_suffix(".npy").replace(path)
    yield "damaged"
    path.unlink()
    path.mkdir()
    yield "not a file"
    path.rmdir()
    os.mkfifo(path)
    yield "not a file"
    path.unlink()
    path.symlink_to(path)
    yield "levels of symbolic links"
    path.unlink()
    path.symlink_to("/dev/zero")
    yield "not a file"


def test_hostile_files_are_refused_in_one_line_and_nothing_is_unpickled(tmp_path: Path, unpickled: list[str]) -> None:
    for reason in hostile_files(tmp_path):
        rows, [error] = records.load(tmp_path)
        assert rows.empty
        assert reason in str(error)
        assert "\n" not in str(error)
    assert unpickled == []


def test_a_symbolic_link_to_a_record_is_a_record(tmp_path: Path) -> None:
    record = records.publish(frame_of(), tmp_path / "a")
    (tmp_path / "b" / "runs").mkdir(parents=True)
    (tmp_path / "b" / "runs" / record.name).symlink_to(record)
    assert len(records.load(tmp_path / "b")[0]) == 12


# --- samples


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"fake": rng.normal(size=(50, 2)).astype(np.float32), "real": np.asfortranarray(rng.normal(size=(40, 2)))}


def test_samples_read_back(tmp_path: Path) -> None:
    path = records.publish_samples(arrays(), tmp_path, "a-s0")
    back = records.load_samples(tmp_path, "a-s0")
    assert path == tmp_path / "samples" / "a-s0.safetensors"
    assert back is not None
    assert back.keys() == arrays().keys()
    for name, array in arrays().items():
        np.testing.assert_array_equal(back[name], array, strict=True)
    assert records.load_samples(tmp_path, "a-s1") is None


def test_damaged_and_renamed_samples_are_refused(tmp_path: Path) -> None:
    path = records.publish_samples(arrays(), tmp_path, "a-s0")
    data = path.read_bytes()
    rng = np.random.default_rng(2)
    for bit in [*rng.integers(len(data) * 8, size=200), *range(64)]:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(RecordError, match=r"a-s0\.safetensors: "):
            records.load_samples(tmp_path, "a-s0")
    for length in rng.choice(len(data), 50, replace=False):
        path.write_bytes(data[:length])
        with pytest.raises(RecordError, match="damaged"):
            records.load_samples(tmp_path, "a-s0")
    path.write_bytes(data)
    path.rename(path.with_name("b-s0.safetensors"))
    with pytest.raises(RecordError, match="holds the samples of a-s0"):
        records.load_samples(tmp_path, "b-s0")


# --- manifest

MANIFEST: dict[str, Any] = {
    "schema_version": SCHEMA_VERSION, "grid": "modes",
    "cells": [{"cell_id": "a", "settings": {"x": 1}, "seeds": [0, 1]}],
}  # fmt: skip


def test_the_manifest_reads_back(tmp_path: Path) -> None:
    (tmp_path / records.MANIFEST).write_text(json.dumps(MANIFEST))
    assert records.load_manifest(tmp_path) == MANIFEST


SEARCHED: dict[str, Any] = MANIFEST | {
    "cells": [
        {"cell_id": "a", "settings": {"x": 1}, "seeds": [0], "draw": None},
        {"cell_id": "b", "settings": {"x": 2}, "seeds": [0], "draw": 3},
    ],
    "search": {"settings": 4, "seed": 0},
    "published": [{"source": "Lin", "where": {"x": 1}, "values": {"emd": [0.5, 0.1], "modes_covered": [8, None]}}],
}


def test_a_manifest_tells_of_a_search_and_of_published_numbers(tmp_path: Path) -> None:
    for manifest in (SEARCHED, SEARCHED | {"search": None, "published": []}):
        (tmp_path / records.MANIFEST).write_text(json.dumps(manifest))
        assert records.load_manifest(tmp_path) == manifest


def published(**changes: object) -> str:
    return json.dumps(SEARCHED | {"published": [SEARCHED["published"][0] | changes]})


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "1", "[" * 100_000, "\x00", '{"schema_version": 1}',
        json.dumps(MANIFEST | {"schema_version": 99}),
        json.dumps(MANIFEST | {"grid": 3}),
        json.dumps(MANIFEST | {"cells": [1]}),
        json.dumps(MANIFEST | {"cells": [{"cell_id": "a", "settings": {}, "seeds": ["0"]}]}),
        json.dumps(MANIFEST | {"cells": [{"cell_id": "a", "settings": [], "seeds": [0]}]}),
        json.dumps(MANIFEST | {"cells": [{"cell_id": 1, "settings": {}, "seeds": [0]}]}),
        json.dumps(MANIFEST)[:-3],
        json.dumps(SEARCHED).replace('"draw": 3', '"draw": "3"'),
        json.dumps(SEARCHED).replace('"draw": 3', '"draw": true'),
        json.dumps(SEARCHED | {"search": 4}),
        json.dumps(SEARCHED | {"search": {"settings": 4}}),
        json.dumps(SEARCHED | {"search": {"settings": 4, "seed": "0"}}),
        json.dumps(SEARCHED | {"published": {"a": 1}}),
        json.dumps(SEARCHED | {"published": 3}),
        json.dumps(SEARCHED | {"published": [{"source": "Lin"}]}),
        published(source=3), published(where=[]), published(values=[]), published(values={"emd": 3}),
        published(values={"emd": [None, None]}), published(values={"emd": [1, 2, 3]}),
        published(values={"emd": ["1", 2]}), published(values={"emd": [1, True]}),
        published(values={"emd": [math.nan, None]}), published(values={"emd": [1, 10**400]}),
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / records.MANIFEST).write_text(text)
    with pytest.raises(RecordError, match=r"manifest\.json: (damaged|has schema version)"):
        records.load_manifest(tmp_path)


def test_no_manifest_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"manifest\.json: No such file"):
        records.load_manifest(tmp_path)


GRID = """\
seeds: [100, 7]
search: {settings: 3, seed: 1}
dataset: ring
objective: [minimax, {name: wgan_gp, penalty_weight: {uniform: [1, 2]}}]
published:
- {source: Lin, where: {dataset: {name: ring}, objective: minimax}, values: {emd: 0.5, modes_covered: [8, 1]}}
"""


def write_manifest(folder: Path) -> Grid:
    (folder / "g.yaml").write_text(GRID)
    grid = load_grid(folder / "g.yaml")
    _write_manifest(grid, Options(folder=folder), "cpu")
    return grid


def test_a_manifest_holds_what_a_grid_drew_and_what_is_published(tmp_path: Path) -> None:
    grid = write_manifest(tmp_path)
    manifest = records.load_manifest(tmp_path)
    assert [(cell["cell_id"], cell["settings"]) for cell in manifest["cells"]] == [
        (cell.id, cell.settings) for cell in grid.cells
    ]
    assert [cell["draw"] for cell in manifest["cells"]] == [None, 0, 1, 2]
    assert all(cell["seeds"] == [100, 7] for cell in manifest["cells"])
    assert manifest["search"] == {"settings": 3, "seed": 1}
    assert manifest["published"] == [
        {
            "source": "Lin",
            "where": {"dataset": "ring", "objective": "minimax"},
            "values": {"emd": [0.5, None], "modes_covered": [8, 1]},
        }
    ]


def test_a_manifest_that_nobody_would_read_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LARGEST_MANIFEST", 1000)
    with pytest.raises(UserError, match=r"g\.yaml: 4 cells are too many for one manifest; split the grid"):
        write_manifest(tmp_path)
    assert not (tmp_path / records.MANIFEST).exists()


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_a_lock_that_leads_elsewhere_changes_nothing_there(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    (mine := tmp_path / "mine").write_text("mine")
    link(tmp_path / LOCK, mine)
    with _one_at_a_time(tmp_path):
        pass
    assert mine.read_text() == "mine"
