"""What is wrong in a results folder: every file is read in full, and what cannot be used is moved out of the way.

A bad file goes to ``quarantine/`` under its name and the time; of a run, the record and the samples go together, so
that the run counts as missing and the next ``run`` trains it. Nothing is unpickled, nothing overwritten, no link
followed out of the folder, and nothing touched that a driver which may live has at work. What cannot be read for a
reason that is not the file's own, such as a network disk that is away, stays where it is.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from bench import checkpoints, records
from bench.cache import shared_folder
from bench.cell import Cell, canonical, digest
from bench.launch import WORK, leases
from bench.records import RecordError, SchemaError

QUARANTINE = "quarantine"

DRAFT_SECONDS = 86_400.0
"""Age at which a draft is nobody's; where drivers alone write, drafts are nobody's as soon as no driver lives."""

LARGEST_UNIT = 1 << 24
"""Bytes that are read of the list of a unit's runs."""

LONGEST_NAME = 200
"""Bytes of a file's name that are kept in quarantine, of its end."""

PROVENANCE = ("git_commit", "bench_version", "torch_version", "device", "device_name")
"""What a record tells of how it was made."""

_OF_THE_FILE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG})
"""Why a file cannot be opened on any machine: what it is, not where one stands."""


@dataclass(frozen=True)
class Diagnosis:
    """What was found."""

    text: str
    """For a person: how many records are good, and a line for each finding."""
    code: int
    """0 where all is well, 1 where something was found."""


def examine(folder: Path, *, fix: bool) -> Diagnosis:
    """Check every file of a results folder, and move what cannot be used to ``quarantine/``.

    With ``fix``, what dead drivers have left is removed, and runs that failed, are of another release, or do not say
    how they were made go to ``quarantine/`` too, so that the next ``run`` trains them again.

    Raises:
        RecordError: there are no results, or the manifest is of another release.
    """
    if not (folder / records.RUNS).is_dir() and not (folder / records.MANIFEST).is_file():
        raise RecordError(folder, f"no results here: neither {records.RUNS}/ nor {records.MANIFEST}")
    return _Examination(folder, fix).diagnose()


class _Examination:
    def __init__(self, folder: Path, fix: bool) -> None:
        self.folder, self.fix = folder, fix
        self.bad: list[str] = []
        self.absent: list[str] = []
        self.unread: list[str] = []
        self.again: list[str] = []
        self.left: list[str] = []
        self.good: set[str] = set()
        self.dirty: set[str] = set()

    def diagnose(self) -> Diagnosis:
        cells = self._manifest()
        self.cells = {cell["cell_id"]: canonical(cell["settings"]) for cell in cells}
        self.wanted = {f"{cell['cell_id']}-s{seed}" for cell in cells for seed in cell["seeds"]}
        # In this order: what is listed first, and held by nobody after, has a record by then or is left over.
        drafts = self._drafts()
        samples, units = map(self._listing, (records.SAMPLES, WORK))
        dead = leases.leftovers(self.folder)
        self.alive = any(seen.dead is not True for seen in leases.drivers(self.folder))
        links = set(self._listing(leases.LEASES)) - set(dead)
        self.held = {link.name.partition("~")[0] for link in links}
        paths = self._listing(records.RUNS)
        console = Console(stderr=True)
        with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
            for path in bar.track(paths, description="records"):
                self._record(path)
            self.done = records.finished(self.folder)
            for path in bar.track(samples, description="samples"):
                self._samples(path)
        for path in units:
            self._unit(path)
        self._view()
        for path in drafts:
            self._draft(path)
        self._dead(dead)
        return self._told()

    # --- what is looked at

    def _manifest(self) -> Sequence[Mapping[str, Any]]:
        path = self.folder / records.MANIFEST
        try:
            cells: Sequence[Mapping[str, Any]] = records.load_manifest(self.folder)["cells"]
        except SchemaError:
            raise
        except RecordError as error:
            if os.path.lexists(path):
                self._refuse(path, error)
            else:
                self.absent.append(records.MANIFEST)
            return ()
        return cells

    def _record(self, path: Path) -> None:
        try:
            if not records.is_record(path):
                raise RecordError(path, "not a record")
            columns = records.load_columns(path)
            self._check_id(path, columns)
        except SchemaError as error:
            self._again(path, error.reason)
        except RecordError as error:
            if os.path.lexists(path):  # else it was taken away meanwhile
                self._refuse(path, error)
        else:
            self._history(path, columns)

    def _check_id(self, path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
        """Against all that the id of a cell is made of; where that is right, the manifest has to agree."""
        cell_id, settings = columns["cell_id"][0], columns["settings"][0]
        if cell_id.rpartition("-")[2] not in _hashes(columns):
            raise RecordError(path, "its id is not that of its settings and sources")
        if self.cells.get(cell_id, settings) != settings:
            manifest = self.folder / records.MANIFEST
            if manifest.exists():  # once: what is wrong of many cells is one manifest
                self._refuse(manifest, RecordError(manifest, f"cell {cell_id} has other settings than its id"))
            self.cells, self.wanted = {}, set()

    def _history(self, path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
        """How a good record was made, and how its run ended."""
        told = {name: values[-1] for name, values in columns.items()}
        missing = [name for name in PROVENANCE if not told.get(name)]
        if told["status"] in records.FAILED:
            self._again(path, f"{told['status']} at step {told['step']:,}: {told.get('message') or 'no message'}")
        elif missing:
            self._again(path, f"does not tell {', '.join(missing)}")
        else:
            self.good.add(path.stem)
            self.dirty |= {path.stem} if told.get("git_dirty") else set()

    def _samples(self, path: Path) -> None:
        if not os.path.lexists(path):  # it went with its record
            return
        try:
            if path.suffix != ".safetensors" or not records.is_record(path.with_suffix(".parquet")):
                raise RecordError(path, "not samples of a run")
            if path.stem in self.done:
                records.load_samples(self.folder, path.stem)
            elif path.stem not in self.held:
                self._leave(path, "samples of a run that has no record")
        except RecordError as error:
            if os.path.lexists(path):
                self._refuse(path, error)

    def _unit(self, path: Path) -> None:
        if path == shared_folder(path):
            if not self.alive and self.done.issuperset(self.wanted or {""}):
                self._leave(path, "of units whose runs are done")
            return
        try:
            runs = _runs(path)
        except RecordError as error:
            # A driver that lives may be making the folder.
            if os.path.lexists(path) and not (self.alive and not (path / checkpoints.UNIT).exists()):
                self._refuse(path, error)
            return
        if not self.held.isdisjoint(runs):
            return
        if self.done.issuperset(runs):
            self._leave(path, "a unit whose runs are done")
        elif self.wanted and not self.wanted.issuperset(runs):
            self._leave(path, "a unit of another grid")
        else:
            for state in sorted(path.glob("*.safetensors")):
                try:
                    checkpoints.load(state)
                except checkpoints.CheckpointError as error:
                    self._refuse(state, RecordError(state, error.reason))

    def _view(self) -> None:
        import pyarrow.parquet as pq

        path = self.folder / "results.parquet"
        if not os.path.lexists(path):
            return
        try:
            if not path.is_file():
                raise RecordError(path, "not a file")
            names = pq.read_schema(path).names
            file = pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=names)
            for _ in file.iter_batches(4096, use_threads=False):
                pass
        except RecordError as error:
            self._refuse(path, error)
        except Exception as error:  # whatever the reader makes of damaged bytes
            words = f"cannot be read ({str(error)[:120]}); `report` makes it again"
            self._refuse(path, RecordError(path, words), error)

    def _dead(self, paths: Sequence[Path]) -> None:
        inside = [path for path in paths if self._inside(path)]
        for path in inside:
            self.left.append(f"{self._name(path)}: of a driver that has died")
        if self.fix:
            leases.remove(inside, self.folder)

    def _draft(self, path: Path) -> None:
        with contextlib.suppress(OSError):  # it became a file meanwhile
            old = time.time() - path.lstat().st_mtime > DRAFT_SECONDS
            by_driver = path.relative_to(self.folder).parts[0] in (records.RUNS, records.SAMPLES, WORK)
            if old or (by_driver and not self.alive):
                self._leave(path, "a draft that nobody is writing")

    # --- what is done about it

    def _refuse(self, path: Path, error: RecordError, cause: BaseException | None = None) -> None:
        """Of a file that cannot be used."""
        cause = cause or error.__cause__
        reason = f"{self._name(path)}: {error.reason}"
        if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno not in (None, *_OF_THE_FILE)):
            self.unread.append(reason)
        elif path.parent in (self.folder / records.RUNS, self.folder / records.SAMPLES):
            self.bad.append(f"{reason}; {self._set_run_aside(path.stem, path)}")
        else:
            self.bad.append(f"{reason}; {self._set_aside(path)}")

    def _again(self, path: Path, reason: str) -> None:
        """Of a whole record of a run that is to be trained again."""
        if path.stem in self.held:
            return
        words = f"; {self._set_run_aside(path.stem, path)}" if self.fix else ""
        self.again.append(f"{self._name(path)}: {reason}{words}")

    def _leave(self, path: Path, reason: str) -> None:
        """Of something that nobody needs."""
        self.left.append(f"{self._name(path)}: {reason}{self._remove(path) if self.fix else ''}")

    def _set_run_aside(self, run_id: str, path: Path) -> str:
        """Record and samples, of which one is at the path; words on where they are now."""
        self.good.discard(run_id)
        words = self._set_aside(path)
        if records.is_record(path.with_name(f"{run_id}.parquet")):
            record = self.folder / records.RUNS / f"{run_id}.parquet"
            samples = self.folder / records.SAMPLES / f"{run_id}.safetensors"
            for other in (record, samples):
                if other != path and os.path.lexists(other):
                    words += f", and {self._name(other)}: {self._set_aside(other)}"
        return words

    def _set_aside(self, path: Path) -> str:
        place = self.folder / QUARANTINE
        try:
            place.mkdir(exist_ok=True)
            if not (self._inside(path) and self._inside(place / path.name)):
                return "it stays where it is: a link leads out of the folder"
            end = os.fsdecode(os.fsencode(path.name)[-LONGEST_NAME:])
            while os.path.lexists(target := place / f"{time.time_ns()}-{end}"):
                pass
            path.rename(target)
        except OSError as error:
            return f"it stays where it is: {error.strerror or error}"
        return f"now {self._name(target)}"

    def _remove(self, path: Path) -> str:
        try:
            if not self._inside(path):
                return "; it stays: a link leads out of the folder"
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            return f"; it stays: {error.strerror or error}"
        return ""

    # --- names, lists, words

    def _drafts(self) -> list[Path]:
        patterns = (".tmp-*", "*/.tmp-*", f"{WORK}/*/.tmp-*")
        return sorted(path for pattern in patterns for path in self.folder.glob(pattern))

    def _inside(self, path: Path) -> bool:
        """No link stands between the folder and what lies at the path."""
        return path.parent.resolve() == self.folder.resolve() / path.parent.relative_to(self.folder)

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder))

    def _listing(self, name: str) -> list[Path]:
        """What is in a folder of the results folder, in order of names, without drafts."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return sorted(path for path in (self.folder / name).iterdir() if not path.name.startswith(".tmp-"))
        return []

    def _told(self) -> Diagnosis:
        strangers = self.good - self.wanted if self.wanted else set()
        known = f" of {len(self.wanted):,}" if self.wanted else ""
        lines = [f"{self.folder}: {len(self.good - strangers):,}{known} runs have a good record"]
        again, left = "--fix makes the next `run` train again", "which --fix removes"
        if self.fix:
            again, left = "the next `run` trains again", "now removed"
        groups = {
            f"that cannot be used, moved to {QUARANTINE}/; the next `run` trains what is missing": self.bad,
            "that should be there; the next `run` writes it": self.absent,
            "that cannot be read from here, left where it is": self.unread,
            f"that ended badly or does not tell enough, which {again}": self.again,
            f"that nobody needs, {left}": self.left,
        }
        for title, found in groups.items():
            lines += [f"{len(found):,} {title}:", *(f"  {line}" for line in found)] if found else []
        if strangers:
            lines.append(f"no fault: {len(strangers):,} good records are of runs that the manifest does not have")
        if dirty := self.dirty & self.good:
            lines.append(f"no fault: {len(dirty):,} good records were made with files that differ from their commit")
        return Diagnosis("\n".join(map(records.printable, lines)), int(any(groups.values())))


def _runs(path: Path) -> list[str]:
    """Ids of the runs of the unit whose folder this is."""
    if path.is_symlink() or not path.is_dir():
        raise RecordError(path, "not the folder of a unit")
    told = path / checkpoints.UNIT
    try:
        runs = json.loads(records.read_bytes(told, LARGEST_UNIT))
        first = runs[0].rsplit("-s", 1)[0].rsplit("-", 1)[0]
        whole = path.name == f"{first}-{digest(runs)}"
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise RecordError(told, "damaged, or not the list of a unit's runs") from error
    if not whole:
        raise RecordError(told, "is the list of another unit's runs")
    return list(runs)


def _hashes(columns: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """What the id of the cell of a record may end with: a block of sources without entries has no column."""
    sources: dict[str, Any] = {}
    for name, values in columns.items():
        kind, _, rest = name.partition(".")
        if kind == "sources":
            block, _, key = rest.partition(".")
            if key:
                sources.setdefault(block, {})[key] = values[0]
            else:
                sources[block] = values[0]
    settings = json.loads(columns["settings"][0])
    empties: tuple[dict[str, Any], ...] = ({}, {"metrics": {}}, {"losses": {}})
    for empty in empties:
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            yield Cell(columns["experiment"][0], settings, {**empty, **sources}, "").id.rpartition("-")[2]
