"""Stored files that are damaged, swapped, foreign or hostile: no row of theirs is shown, and each is found.

Item R3 of the faults, S9 and the readers' half of S14 of the attacks.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import random
import re
import shutil
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import Bench, frame_of
from golden.copies import HERE, RELEASES, grown
from table import told
from test_records import hostile_files, unpickled  # noqa: F401 - a fixture

from bench import records
from bench.launch.doctor import examine
from bench.launch.status import status
from bench.records import RecordError

WATCHED = Path(__file__).with_name("watched.py")


class Amounts(NamedTuple):
    """How many files of each kind of damage."""

    truncated: int
    flipped: int
    zeroed: int
    swapped: int
    """Pairs."""
    foreign: int


QUICK, STATED = Amounts(4, 4, 2, 1, 2), Amounts(200, 200, 50, 25, 25)


def harm(paths: Sequence[Path], amounts: Amounts, chance: random.Random) -> tuple[set[str], set[str]]:
    """Damage some of the records, each once; the runs that are hit, and the names of foreign files."""
    runs = paths[0].parent
    hit = iter(chance.sample(paths, len(paths)))
    victims: set[str] = set()

    def take() -> tuple[Path, bytes]:
        path = next(hit)
        victims.add(path.stem)
        return path, path.read_bytes()

    for _ in range(amounts.truncated):
        path, data = take()
        path.write_bytes(data[: chance.randrange(len(data))])
    for _ in range(amounts.flipped):
        path, data = take()
        bit, flipped = chance.randrange(8 * len(data)), bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
    for _ in range(amounts.zeroed):
        path, data = take()
        # Somewhere where not all is zero already: else nothing has changed.
        while True:
            start, length = chance.randrange(len(data)), chance.randint(1, 512)
            zeroed = data[:start] + bytes(len(data[start : start + length])) + data[start + length :]
            if zeroed != data:
                break
        path.write_bytes(zeroed)
    for _ in range(amounts.swapped):
        (path, data), (other, others) = take(), take()
        path.write_bytes(others)
        other.write_bytes(data)
    foreign = {
        "copy": lambda path: shutil.copy(paths[-1], path.with_name(f"{path.name} (1).parquet")),
        "table": lambda path: pd.DataFrame({"emd": [0.0]}).to_parquet(path.with_suffix(".parquet")),
        "text": lambda path: path.with_name(f"{path.name}.parquet").write_text("emd,0\n"),
        "sheet": lambda path: path.with_suffix(".csv").write_text("emd,0\n"),
        "folder": lambda path: path.with_suffix(".parquet").mkdir(),
    }
    before = {path.name for path in runs.iterdir()}
    for index in range(amounts.foreign):
        kind = list(foreign)[index % len(foreign)]
        foreign[kind](runs / f"{kind}-{index}")
    return victims, {path.name for path in runs.iterdir()} - before


@pytest.mark.parametrize("amounts", [QUICK, pytest.param(STATED, marks=pytest.mark.campaign)], ids=["quick", "stated"])
def test_no_row_of_a_harmed_file_is_shown_and_all_are_found(
    tmp_path: Path, amounts: Amounts, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sum(amounts) + amounts.swapped - amounts.foreign
    folder = grown(tmp_path / "here", range(-(-files // 3) + 5))
    whole, _ = records.load(folder)
    ends = whole.drop_duplicates("run_id", keep="last").set_index("run_id")["status"]
    victims, foreign = harm(sorted((folder / "runs").iterdir()), amounts, random.Random(0))
    assert len(victims) == files
    kept = whole[~whole["run_id"].isin(victims)].reset_index(drop=True)

    rows, errors = records.load(folder)
    pd.testing.assert_frame_equal(rows, kept, check_exact=True)
    names = {f"{run_id}.parquet" for run_id in victims} | foreign
    assert {error.path.name for error in errors} == names
    counts = {word: int(count) for word, count in re.findall(r"^  (ok|diverged): (\d+)", status(folder), re.M)}
    assert all(count <= Counter(ends)[word] for word, count in counts.items())

    found = examine(folder, fix=False)
    assert found.code == 1
    named = {line.strip().partition(":")[0] for line in found.text.splitlines()[2:]}
    assert named == {f"runs/{name}" for name in names}
    aside = [path.name.partition("-")[2] for path in (folder / "quarantine").iterdir()]
    assert sorted(name for name in aside if not name.endswith(".safetensors")) == sorted(names)
    assert records.finished(folder) == set(ends.index) - victims  # what the next run does not train
    pd.testing.assert_frame_equal(records.load(folder)[0], kept, check_exact=True)
    assert f"{len(ends) - len(victims)} of {len(ends)} runs done" in status(folder)
    assert examine(folder, fix=False).code == 0
    with capsys.disabled():
        told("R3", sum(amounts), sum(amounts), "files; each kept from rows, named by `doctor` and moved by it")


MANY = """\
seeds: {seeds}
steps: 4
batch_size: 4
dataset: ring
objective: [least_squares, minimax, non_saturating, wgan_clip, {{name: wgan_gp, critic_steps: 1}}]
generator: {{name: mlp, depth: 1, width: 4}}
critic: {{name: mlp, depth: 1, width: 4}}
evaluate: {{observations: 1, n: 16, emd_n: 8}}
"""


@pytest.mark.campaign
def test_the_next_run_trains_what_was_harmed_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All runs of four cells are harmed: they train beside the same others again, to the last bit; a fifth does not."""
    bench, amounts = Bench(tmp_path), STATED
    seeds = (sum(amounts) + amounts.swapped - amounts.foreign) // 4
    run = ("run", "--grid", bench.grid(MANY.format(seeds=seeds)), "--out", "out", "--way", "vmap", "--workers", "2")
    folder = tmp_path / "out"

    def do(*words: str | Path) -> tuple[int, str]:
        process = bench.start(*words)
        output = process.communicate()[0]
        return process.returncode, output

    assert do(*run)[0] == 0
    expected = frame_of(folder)
    before = {path.name: path.read_bytes() for path in (folder / "runs").iterdir()}
    assert len(before) == 5 * seeds
    victims, _ = harm(sorted((folder / "runs").glob("ring-[!l]*")), amounts, random.Random(1))
    assert len(victims) == 4 * seeds
    code, text = do("report", folder)
    assert code == 0
    assert all(f"{run_id}.parquet: " in text for run_id in victims)
    view = pd.read_parquet(folder / "results.parquet")
    assert set(view["run_id"]) == set(expected["run_id"]) - victims
    assert do("doctor", folder)[0] == 1
    assert do("doctor", folder)[0] == 0
    assert do(*run)[0] == 0
    after = {path.name: path.read_bytes() for path in (folder / "runs").iterdir()}
    assert after.keys() == before.keys()
    again = {name for name, data in after.items() if data != before[name]}
    assert again == {f"{run_id}.parquet" for run_id in victims}  # the times in them differ, and nothing else
    pd.testing.assert_frame_equal(frame_of(folder), expected, check_exact=True)
    assert do("doctor", folder)[0] == 0
    with capsys.disabled():
        told("R3", sum(amounts), sum(amounts), f"files of {len(before)} real runs; trained again, all bits equal")


# --- S9


class _Calls:
    """What unpickles as the result of a call."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.canary), "w")


def hostile_records(scratch: Path, canary: Path) -> Iterator[tuple[str, Path]]:
    """Files that would like to be more than rows, by what they are."""
    path = scratch / "file.parquet"
    payload = pickle.dumps(_Calls(canary))
    double = pa.table({"x.y": [1.0]})
    for name in (b"arrow.py_extension_type", b"pandas.period", b"pandas.interval"):  # the first ran what it was told to
        told = {b"ARROW:extension:name": name, b"ARROW:extension:metadata": payload}
        pq.write_table(double.cast(pa.schema([pa.field("x.y", pa.float64(), metadata=told)])), path)
        yield name.decode(), path
    pq.write_table(double.replace_schema_metadata({b"pandas": payload, b"pickle": payload}), path)
    yield "pickles in the footer", path
    path.write_bytes(payload)
    yield "a pickle", path
    np.savez(path.with_suffix(".npz"), x=np.array([_Calls(canary)], dtype=object))
    path.with_suffix(".npz").replace(path)
    yield "a zip of a pickle", path
    path.write_bytes(b"PAR1" + bytes(1 << 16) + (1 << 31).to_bytes(4, "little") + b"PAR1")
    yield "a footer of 2 GiB", path
    path.write_bytes(b"PARE" + bytes(64) + (32).to_bytes(4, "little") + b"PARE")
    yield "an encrypted footer", path
    for name, value, rows in (("dictionary", "x" * 30_000, 100_000), ("long dictionary", "x" * (1 << 20), 2_000)):
        indices = pa.array(np.zeros(rows, np.int32))
        text = pa.DictionaryArray.from_arrays(indices, pa.array([value]))
        pq.write_table(pa.table({"x.y": text}), path, store_schema=False)
        yield f"bomb: {name}", path
    prefixed = pa.array(["x" * 30_000]).take(pa.array(np.zeros(9_000, np.int32)))
    pq.write_table(
        pa.table({"x.y": prefixed}), path, store_schema=False, use_dictionary=False,
        column_encoding={"x.y": "DELTA_BYTE_ARRAY"},
    )  # fmt: skip
    yield "bomb: prefixes", path
    for codec in ("zstd", "gzip", "brotli"):
        zeros = pa.array(["\0" * (1 << 28)])
        pq.write_table(pa.table({"x.y": zeros}), path, store_schema=False, use_dictionary=False, compression=codec)
        yield f"bomb: {codec}", path
    pq.write_table(pa.table({f"x.{i}": pa.array(np.ones(50_000)) for i in range(300)}), path, store_schema=False)
    yield "bomb: columns", path
    for index, _ in enumerate(hostile_files(scratch / "others")):
        path = scratch / "others" / "runs" / "wgan_gp-ring-0123456789-s0.parquet"
        if path.is_file() and path.stat().st_size < 1 << 24:
            yield f"as in the tests of records, {index}", path


def hostile_manifests(canary: Path) -> dict[str, bytes]:
    good = json.loads((HERE / RELEASES[-1] / records.MANIFEST).read_text())

    deep = b'{"a":' * 900 + b"1" + b"}" * 900

    def cell(**changes: Any) -> bytes:
        return json.dumps(good | {"cells": [good["cells"][0] | changes]}).encode()

    return {
        "depth": b'{"schema_version": 1, "cells": ' + b"[" * 200_000,
        "depth of settings": cell(settings=0).replace(b'"settings": 0', b'"settings": ' + deep),
        "digits": cell(seeds=[0]).replace(b'"seeds": [0]', b'"seeds": [' + b"9" * 100_000 + b"]"),
        "a pickle": pickle.dumps(_Calls(canary)),
        "py/object": b'{"py/object": "os.system", "py/reduce": [{"py/function": "os.system"}, ["true"]]}',
        "UTF-16": json.dumps(good).encode("utf-16")[:-1],
        "zeros": bytes(1 << 20),
        "a lone surrogate": cell(cell_id="x").replace(b'"x"', b'"\\ud800"')[:-40],
        "no cells": json.dumps(good | {"cells": {"a": 1}}).encode(),
    }  # fmt: skip


def test_hostile_records_are_refused_and_nothing_is_unpickled(
    tmp_path: Path,
    unpickled: list[str],  # noqa: F811
) -> None:
    """A sample, in this process, with the memory that Python takes; the campaign has them all, and the commands."""
    (tmp_path / "scratch").mkdir()
    quick = {"arrow.py_extension_type", "pickles in the footer", "bomb: dictionary", "a footer of 2 GiB"}
    for name, path in hostile_records(tmp_path / "scratch", tmp_path / "canary"):
        if name in quick:
            quick.remove(name)
            allocated = pa.default_memory_pool().max_memory()
            tracemalloc.start()
            with pytest.raises(RecordError):
                records.load_columns(path)
            assert tracemalloc.get_traced_memory()[1] < 1 << 26
            tracemalloc.stop()
            assert pa.default_memory_pool().max_memory() - allocated < 1 << 26
        if not quick:
            break
    assert not unpickled
    assert not (tmp_path / "canary").exists()


def watched(cases: list[tuple[Path, list[str]]]) -> tuple[list[dict[str, Any]], int]:
    """Commands in another process whose memory is bounded: what each did, and the most memory in bytes."""
    words = json.dumps([(str(folder), words) for folder, words in cases])
    done = subprocess.run([sys.executable, WATCHED], input=words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    return found["told"], 1024 * found["kilobytes"]


@pytest.mark.campaign
def test_hostile_results_do_no_harm_in_report_and_merge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    canary, here, other = tmp_path / "canary", grown(tmp_path / "here", [0, 1]), grown(tmp_path / "other", [2])
    (tmp_path / "scratch" / "others").mkdir(parents=True)
    good = records.finished(here)
    cell = sorted(good)[0].rsplit("-s", 1)[0]
    kinds = {}
    for name, path in hostile_records(tmp_path / "scratch", canary):
        kinds[name] = shutil.copy(path, here / "runs" / f"{cell}-s{100 + len(kinds)}.parquet")
    manifest = records.load_manifest(here)
    seeds = [0, 1, *range(100, 100 + len(kinds))]
    text = json.dumps(manifest | {"cells": [each | {"seeds": seeds} for each in manifest["cells"]]})
    (here / records.MANIFEST).write_text(text)
    (here / "samples" / f"{sorted(good)[0]}.safetensors").write_bytes(pickle.dumps(_Calls(canary)))
    cases = [["report", "here"], ["compare", "here", "other", "--mix", "--out", "merged"], ["status", "here"]]
    for name, data in hostile_manifests(canary).items():
        place = grown(tmp_path / name.replace("/", "-"), [0])
        (place / records.MANIFEST).write_bytes(data)
        cases += [["report", place.name], ["compare", place.name, "other", "--mix", "--out", f"{place.name} merged"]]
    cases += [["doctor", "here"]]
    found, memory = watched([(tmp_path, words) for words in cases])
    for words, did in zip(cases, found, strict=True):
        assert did["code"] in (0, 1, 2), (words, did)
        assert not [event for event in did["did"] if event[0] == "pickle.find_class"], words
        assert "Traceback" not in did["err"], words
    reported, compared, _, *manifests, examined = found
    for name, path in kinds.items():
        assert Path(path).name in reported["out"], name
        assert Path(path).name in compared["err"], name
        assert Path(path).name in examined["out"], name
    assert records.finished(tmp_path / "merged") == good | records.finished(other)
    assert {did["code"] for did in manifests} == {2}
    assert all(did["err"].startswith("bench: ") for did in manifests)
    assert not canary.exists()
    count = len(kinds) + len(hostile_manifests(canary)) + 1
    assert count >= 20
    with capsys.disabled():
        told("S9", count, count, f"files; nothing unpickled, at most {memory / 1e6:.0f} MB of memory")


# --- S14


def mutants(data: bytes, chance: random.Random) -> Iterator[bytes]:
    """The bytes, changed in a place or several."""
    while True:
        changed = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 8))):
            at, length = chance.randrange(len(changed)), chance.randint(1, 64)
            match chance.randrange(6):
                case 0:
                    changed[at] ^= 1 << chance.randrange(8)
                case 1:
                    changed[at] = chance.randrange(256)
                case 2:
                    del changed[at : at + length]
                case 3:
                    changed[at:at] = chance.randbytes(length)
                case 4:
                    start = chance.randrange(len(data))
                    changed[at : at + length] = data[start : start + length]
                case 5:
                    changed[at : at + length] = bytes([chance.choice((0, 255))]) * length
            changed = changed or bytearray(1)
        yield bytes(changed)


def sealed_again(data: bytes) -> bytes:
    """With a right seal where there is one, as whoever wrote the bytes on purpose would leave them."""
    found = re.search(rb"seal.{1,4}?([0-9a-f]{64})", data, re.S)
    if found is None:
        return data
    blank = data[: found.start(1)] + records._SEAL + data[found.end(1) :]
    return data[: found.start(1)] + hashlib.sha256(blank).hexdigest().encode() + data[found.end(1) :]


def same(found: Any, whole: Any) -> bool:
    """Equal, where NaN is equal to itself."""
    if isinstance(whole, dict):
        return found.keys() == whole.keys() and all(same(found[key], whole[key]) for key in whole)
    if isinstance(whole, list):
        return len(found) == len(whole) and all(map(same, found, whole))
    if isinstance(whole, np.ndarray):
        return bool(np.array_equal(found, whole, equal_nan=True))
    return bool(found == whole) or (isinstance(whole, float) and math.isnan(whole) and math.isnan(found))


@pytest.mark.parametrize("amount", [150, pytest.param(10_000, marks=pytest.mark.campaign)])
def test_readers_raise_nothing_but_their_own_error(
    tmp_path: Path, amount: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Records and samples give what was stored, or an error; a manifest has no digest."""
    folder = grown(tmp_path / "here", [0])
    record, old = sorted((folder / "runs").iterdir())[0], tmp_path / "old" / "runs" / "x.parquet"
    old.parent.mkdir(parents=True)
    old = Path(shutil.copy(HERE / RELEASES[0] / "runs" / record.name, old.parent))
    samples, manifest = folder / "samples" / f"{record.stem}.safetensors", folder / records.MANIFEST
    readers: list[tuple[str, Path, Callable[[], Any], Callable[[bytes], bytes]]] = [
        ("record", record, lambda: records.load_columns(record), bytes),
        ("record, sealed again", record, lambda: records.load_columns(record), sealed_again),
        ("record without a seal", old, lambda: records.load_columns(old), bytes),
        ("samples", samples, lambda: records.load_samples(folder, record.stem), bytes),
        ("manifest", manifest, lambda: records.load_manifest(folder), bytes),
    ]
    outcomes: Counter[str] = Counter()
    for name, path, read, finish in readers:
        data, whole = path.read_bytes(), read()
        changed = mutants(data, random.Random(name))
        for _ in range(amount // len(readers)):
            mutant = finish(next(changed))
            path.write_bytes(mutant)
            try:
                found = read()
            except RecordError:
                outcomes["refused"] += 1
                continue
            outcomes[name] += 1
            assert name == "manifest" or same(found, whole), name
            assert name != "record" or mutant == data
        path.write_bytes(data)
    assert outcomes["refused"] > amount // 2
    with capsys.disabled():
        read_all = ", ".join(f"{count} {name}" for name, count in outcomes.items())
        told("S14", outcomes.total(), outcomes.total(), f"mutants of what is stored, read by readers: {read_all}")
