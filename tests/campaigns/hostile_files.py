"""Files that somebody else put in the place of a checkpoint: each maker writes one at a path where a true one lies."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load as arrays_of
from safetensors.numpy import save

from bench import checkpoints

Maker = Callable[[Path, Path], None]
"""(place, canary) -> writes the file; its code, if anything ran it, would write the canary."""


class _Calls:
    """What unpickles as the result of a call."""

    def __init__(self, function: Callable[..., Any], *words: object) -> None:
        self.function, self.words = function, words

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.words


def _payloads(canary: Path) -> dict[str, object]:
    import subprocess

    code = f"open({str(canary)!r}, 'w').close()"
    return {
        "os.system": _Calls(os.system, f"touch {canary}"),
        "subprocess": _Calls(subprocess.check_call, ["touch", str(canary)]),
        "eval": _Calls(eval, f"__import__('os').system('touch {canary}')"),
        "exec": _Calls(exec, code),
        "builtins": _Calls(open, str(canary), "w"),
        "state": {"weight": torch.ones(3), "more": _Calls(exec, code)},
    }


def _pickled(name: str, protocol: int = 4) -> Maker:
    return lambda path, canary: _write(path, pickle.dumps(_payloads(canary)[name], protocol))


def _torch(name: str, **how: Any) -> Maker:
    return lambda path, canary: torch.save(_payloads(canary)[name], path, **how)


def _write(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def _tar(path: Path, canary: Path) -> None:
    """As torch wrote it before version 0.1.10; it was unpickled in spite of ``weights_only`` up to 2.5.1."""
    members = {"sys_info": {"protocol_version": 1000}, "storages": 0, "tensors": 0, "pickle": _payloads(canary)["exec"]}
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name, thing in members.items():
            data = pickle.dumps(thing, 2)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    _write(path, sink.getvalue())


def _storages(path: Path, canary: Path) -> None:
    """A zip of torch whose tensor claims far more than its storage holds."""
    sink = io.BytesIO()
    torch.save({"weight": torch.ones(4)}, sink)
    with zipfile.ZipFile(sink) as told, zipfile.ZipFile(path.with_suffix(".new"), "w") as changed:
        for name in told.namelist():
            data = told.read(name)
            changed.writestr(name, data[:4] if "/data/" in name else data.replace(b"K\x04", b"K\xff"))
    path.with_suffix(".new").replace(path)


def _objects(path: Path, canary: Path, *, zipped: bool = False) -> None:
    sink = io.BytesIO()
    array = np.array([_payloads(canary)["exec"]], dtype=object)
    if zipped:
        np.savez(sink, fake=array)
    else:
        np.save(sink, array, allow_pickle=True)
    _write(path, sink.getvalue())


def _zip_bomb(path: Path, canary: Path) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as bomb:
        for index in range(4):
            bomb.writestr(f"archive/data/{index}", bytes(1 << 25))
    _write(path, sink.getvalue())


def _headed(header: object, data: bytes = b"", length: int | None = None) -> Maker:
    """Safetensors with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    start = (len(text) if length is None else length).to_bytes(8, "little")
    return lambda path, canary: _write(path, start + text + data)


def _entry(shape: list[int], end: int, start: int = 0, dtype: str = "F32") -> dict[str, Any]:
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}}


def _parts(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a true file, and what its header says beside them."""
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return {name: array.copy() for name, array in arrays_of(data).items()}, header["__metadata__"]


def _with_arrays(change: Callable[[dict[str, np.ndarray]], object]) -> Maker:
    """Other arrays under the label of the true file."""

    def make(path: Path, canary: Path) -> None:
        arrays, label = _parts(path)
        changed = change(arrays)
        _write(path, save(changed if isinstance(changed, dict) else arrays, metadata=label))

    return make


def _halved(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array[: max(1, len(array) // 2)] if array.ndim else array for name, array in arrays.items()}


def _not_numbers(arrays: dict[str, np.ndarray]) -> None:
    for array in arrays.values():
        if array.dtype.kind == "f":
            array.fill(np.nan)


def _without_label(path: Path, canary: Path) -> None:
    _write(path, save(_parts(path)[0]))


def _label(text: str) -> Maker:
    return lambda path, canary: _write(path, save(_parts(path)[0], metadata=dict.fromkeys(_parts(path)[1], text)))


def _elsewhere(path: Path, canary: Path) -> None:
    """A true file of another unit."""
    other = path.parent.with_name("another-unit-0123456789") / path.name
    checkpoints.store(other, _parts(path)[0], {"readings": {}, "wall": 0.0, "cpu": 0.0})
    other.replace(path)
    other.parent.rmdir()


def _bytes(change: Callable[[bytes], bytes]) -> Maker:
    return lambda path, canary: _write(path, change(path.read_bytes()))


def _flipped(data: bytes) -> bytes:
    place = len(data) - 9
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def _link(target: str) -> Maker:
    def make(path: Path, canary: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return make


def _pipe(path: Path, canary: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path, canary: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inner.pkl").write_bytes(pickle.dumps(_payloads(canary)["exec"]))


def _sparse(path: Path, canary: Path) -> None:
    """A terabyte of which nothing lies on the disk, declared as one tensor."""
    size = 1 << 40
    header = json.dumps(_entry([size // 4], size)).encode()
    _write(path, len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + size)


RUNNING: dict[str, Maker] = {
    "pickle of os.system": _pickled("os.system"),
    "pickle of os.system, protocol 0": _pickled("os.system", 0),
    "pickle of subprocess": _pickled("subprocess"),
    "pickle of eval": _pickled("eval"),
    "pickle of exec, protocol 5": _pickled("exec", 5),
    "pickle of builtins.open": _pickled("builtins"),
    "torch": _torch("state"),
    "torch, not a zip": _torch("state", _use_new_zipfile_serialization=False),
    "torch's tar": _tar,
    "numpy object array": _objects,
    "numpy object archive": lambda path, canary: _objects(path, canary, zipped=True),
}
"""Files that run code in what they were made for."""

DAMAGED: dict[str, Maker] = {
    "torch with corrupted storages": _storages,
    "torch's weights": lambda path, canary: torch.save({"weight": torch.ones(3)}, path),
    "zip bomb": _zip_bomb,
    "gzip bomb": lambda path, canary: _write(path, gzip.compress(bytes(1 << 26))),
    "header of 2^63 bytes": _headed({}, length=1 << 63),
    "header longer than the file": _headed({}, length=10**6),
    "header of 90 MB": _headed(b" " * 90_000_000),
    "header that is no JSON": _headed(b"\x80\x04\x95 not JSON"),
    "header 10^5 levels deep": _headed(b'{"a":' * 10**5),
    "header of a list": _headed([]),
    "2^60 numbers": _headed(_entry([1 << 30, 1 << 30], 16), bytes(16)),
    "more bytes than there are": _headed(_entry([1 << 20], 1 << 22), bytes(16)),
    "offsets that run backwards": _headed(_entry([4], 0, 16), bytes(16)),
    "offsets beyond 64 bits": _headed(_entry([4], 1 << 70), bytes(16)),
    "shape below zero": _headed(_entry([-4], 16), bytes(16)),
    "type that is none": _headed(_entry([4], 16, dtype="pickle"), bytes(16)),
    "type without a numpy type": _headed(_entry([8], 16, dtype="BF16"), bytes(16)),
    "tensor with a path for a name": _with_arrays(lambda arrays: {**arrays, "../../x": np.ones(2)}),
    "wrong shapes": _with_arrays(_halved),
    "wrong types": _with_arrays(lambda arrays: {name: array.astype(np.float16) for name, array in arrays.items()}),
    "a tensor too few": _with_arrays(lambda arrays: dict(list(arrays.items())[1:])),
    "other numbers": _with_arrays(lambda arrays: [array.__iadd__(1) for array in arrays.values() if array.size > 1]),
    "nan": _with_arrays(_not_numbers),
    "no label": _without_label,
    "label that is no JSON": _label("("),
    "label 10^5 levels deep": _label("[" * 10**5),
    "label without content": _label('["", null]'),
    "another unit's": _elsewhere,
    "a bit flipped": _bytes(_flipped),
    "cut short": _bytes(lambda data: data[:-100]),
    "cut in the header": _bytes(lambda data: data[:40]),
    "zeros": _bytes(lambda data: bytes(len(data))),
    "longer": _bytes(lambda data: data + b"more"),
    "empty": _bytes(lambda data: b""),
    "link to a file of the system": _link("/etc/passwd"),
    "link to a device": _link("/dev/zero"),
    "link to the memory of the process": _link("/proc/self/mem"),
    "pipe": _pipe,
    "folder": _folder,
    "terabyte that is not there": _sparse,
}
"""Files that are not what was stored."""

HOSTILE = RUNNING | DAMAGED
