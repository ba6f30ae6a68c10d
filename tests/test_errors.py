"""What is stored does not tell where it was made."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import errors
from bench.launch import local


@pytest.fixture
def _at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    (work := tmp_path / "ann" / "work").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(work.parent))
    monkeypatch.chdir(work)
    errors._places.cache_clear()
    yield
    errors._places.cache_clear()


@pytest.mark.usefixtures("_at_home")
def test_folders_of_a_person_are_cut(tmp_path: Path) -> None:
    home = tmp_path / "ann"
    text = f"no {home}/work/a/b nor '{home}/work', {home}: {home}s {home}-2/x /elsewhere"
    assert errors.without_places(text) == f"no ./a/b nor '.', ~: {home}s {home}-2/x /elsewhere"


@pytest.mark.usefixtures("_at_home")
def test_a_log_has_none_of_them_however_it_comes_and_is_otherwise_as_it_was(tmp_path: Path) -> None:
    read, write = multiprocessing.Pipe(duplex=False)
    log = tmp_path / "logs" / "worker.log"
    lines = [f"{tmp_path}/ann/{number}\n".encode() for number in range(50_000)]
    tail = b"\xff no line's end, and no text"
    thread = threading.Thread(target=local._write_log, args=(read, log))
    thread.start()
    data = b"".join(lines) + tail
    for start in range(0, len(data), 7777):
        os.write(write.fileno(), data[start : start + 7777])
    write.close()
    thread.join()
    assert log.read_bytes() == b"".join(b"~/%d\n" % number for number in range(50_000)) + tail
