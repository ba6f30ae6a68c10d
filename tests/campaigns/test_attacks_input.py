"""S2, S3, S4, S8 and half of S14: grid files, names and words of commands that strangers wrote."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from attacks import BAD_GRIDS, DOTTED, GOOD, HUGE_GRIDS, NAMES, TARGETS, with_line
from commands import TINY, Bench, end
from table import told

from bench import ROOT
from bench.errors import UserError
from bench.grid import load_grid

WATCHED = Path(__file__).with_name("watched.py")
EXAMPLE = Path(__file__).parents[1] / "plugin_example" / "rings_for_the_bench.py"
MEGABYTES = 200
SECONDS = 1.0
"""What a refusal may take."""


@dataclass(frozen=True)
class Told:
    """What came of a command."""

    code: object
    out: str
    err: str
    seconds: float
    did: Sequence[Sequence[str]]

    def refused(self, place: str = "") -> str:
        """The one line that was said of a mistake, checked for what each such line must be."""
        assert (self.code, self.out) == (2, ""), self
        assert self.err.startswith(f"bench: {place}"), self.err
        assert self.err.endswith("\n")
        line = self.err.removesuffix("\n")
        assert line.isprintable(), ascii(line)
        assert len(line) < 1000
        assert "Traceback" not in line
        assert not self.did, self.did
        assert self.seconds < SECONDS
        return line


Case = tuple[Path, Sequence[str | Path]]
"""A folder, and the words of a command there."""


def watched(cases: Sequence[Case], home: Path) -> tuple[list[Told], float]:
    """What came of commands, all in one process, and the megabytes that it took."""
    fonts = os.environ.get("MPLCONFIGDIR", str(Path.home() / ".cache" / "matplotlib"))  # they take long to be found
    env = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "MPLCONFIGDIR": fonts}
    words = json.dumps([(str(folder), list(map(str, command))) for folder, command in cases])
    done = subprocess.run(
        [sys.executable, str(WATCHED)], input=words, env=env, capture_output=True, text=True, timeout=550
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return [Told(**one) for one in found["told"]], found["kilobytes"] / 1024


def patiently(bench: Bench, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """A command that trains, on a machine that may have much else to do; its errors stand among what it prints."""
    process = bench.start(*words)
    try:
        said, _ = process.communicate(timeout=3000)
    except subprocess.TimeoutExpired:
        pytest.fail(end(process))
    return subprocess.CompletedProcess(words, process.returncode, said, "")


def some(things: Sequence[Any], count: int) -> list[Any]:
    return random.Random(8).sample(list(things), count)


def listing(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


# --- S2 and S3: grids


@pytest.mark.parametrize("count", [15, pytest.param(len(BAD_GRIDS), marks=pytest.mark.campaign)])
def test_bad_grids_are_one_line(tmp_path: Path, count: int) -> None:
    assert len(BAD_GRIDS) >= 300
    names = some([*BAD_GRIDS], count)
    for index, name in enumerate(names):
        (tmp_path / f"g{index}.yaml").write_bytes(BAD_GRIDS[name])
    before = listing(tmp_path)
    cases: list[Case] = []
    for index in range(count):
        cases += [(tmp_path, ["check", f"g{index}.yaml"]), (tmp_path, ["run", "--grid", f"g{index}.yaml", "--dry-run"])]
    found, megabytes = watched(cases, tmp_path)
    slowest = 0.0
    for index, name in enumerate(names):
        checked, run = found[2 * index : 2 * index + 2]
        line = checked.refused(f"g{index}.yaml")
        whole = "larger than 64 KiB" in line
        assert whole or re.match(rf"bench: g{index}\.yaml:\d+: ", line), (name, line)
        assert line == run.refused()
        slowest = max(slowest, checked.seconds, run.seconds)
    assert megabytes < MEGABYTES
    assert listing(tmp_path) == before
    told("S2", count, count, f"by `check` and `run --dry-run`; slowest {slowest:.2f} s, {megabytes:.0f} MB for all")


@pytest.mark.parametrize("count", [1, pytest.param(25, marks=pytest.mark.campaign)])
def test_bad_grids_are_one_line_of_a_process(tmp_path: Path, count: int) -> None:
    """From the start of Python to its end: what one refusal takes of a machine."""
    most = 0.0
    for index, name in enumerate(some([*BAD_GRIDS], count)):
        path = tmp_path / f"g{index}.yaml"
        path.write_bytes(BAD_GRIDS[name])
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "bench", "check", path.name], preexec_fn=_bounded,
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert (done.returncode, done.stdout) == (2, ""), (name, done.stderr)
        assert done.stderr.startswith(f"bench: {path.name}")
        assert done.stderr.count("\n") == 1
        most = max(most, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert most < 3 * SECONDS
    told("S2", count, count, f"each in a process of {MEGABYTES} MB; at most {most:.2f} s of processor time")


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEGABYTES << 20, MEGABYTES << 20))


@pytest.mark.parametrize("name", list(HUGE_GRIDS))
def test_huge_grids_are_refused_from_the_count(tmp_path: Path, name: str) -> None:
    (tmp_path / "g.yaml").write_text(HUGE_GRIDS[name])
    start = time.process_time()
    with pytest.raises(UserError, match=r"2,000(,000)+ cells x [\d,]+ seeds are more than 1,000,000 runs; "):
        load_grid(tmp_path / "g.yaml")
    assert time.process_time() - start < SECONDS


@pytest.mark.campaign
def test_huge_grids_are_refused_by_the_command(tmp_path: Path) -> None:
    for index, text in enumerate(HUGE_GRIDS.values()):
        (tmp_path / f"g{index}.yaml").write_text(text)
    found, megabytes = watched([(tmp_path, ["check", f"g{index}.yaml"]) for index in range(len(HUGE_GRIDS))], tmp_path)
    for index, one in enumerate(found):
        assert "are more than 1,000,000 runs" in one.refused(f"g{index}.yaml:")
    assert megabytes < MEGABYTES
    slowest = max(one.seconds for one in found)
    told("S3", len(found), len(found), f"of 10^12 runs; slowest {slowest:.2f} s, {megabytes:.0f} MB")


# --- S4: names


FIELDS = ("grid", "arm", "objective", "dataset", "out", "plug-in")
GIVEN = ("grid", "out", "plug-in")
"""Those that a person writes in the command."""


def named(field: str, name: str, folder: Path) -> list[str | Path]:
    """A command with a name in the field; files that it needs are there if a file can have such a name."""
    dry: list[str | Path] = ["run", "--dry-run", "--grid", "good.yaml"]
    match field:
        case "grid":
            put(folder, f"{name}.yaml", GOOD)
            return [*dry[:-1], f"{name}.yaml"]
        case "plug-in":
            put(folder, f"{name}.py", "OBJECTIVES = []\n")
            return [*dry, "--plugin", f"{name}.py"]
        case "out":
            return [*dry, "--out", name]
        case _:
            put(folder, f"{field}.yaml", with_line(field, json.dumps(name)))
            return [*dry[:-1], f"{field}.yaml"]


def put(folder: Path, name: str, text: str) -> None:
    """Write a file, if a file can have such a name, and if it lies where the test may write."""
    with contextlib.suppress(OSError, ValueError):
        if (folder / name).resolve().is_relative_to(folder.parents[3]):
            (folder / name).write_text(text)


@pytest.mark.parametrize("count", [4, pytest.param(len(NAMES), marks=pytest.mark.campaign)])
def test_names_write_nowhere(tmp_path: Path, count: int) -> None:
    """None of a grid's own words is a path; paths that a person names are read, and a dry run writes nothing."""
    assert len(NAMES) >= 60
    words = [(field, name) for field in FIELDS for name in some(NAMES, count)]
    asked = [(field, name) for field, name in words if field not in GIVEN or "\0" not in name]  # no process has such
    cases: list[Case] = []
    for index, (field, name) in enumerate(asked):
        folder = tmp_path / f"{index}" / "a" / "b" / "c"
        folder.mkdir(parents=True)
        put(folder, "good.yaml", GOOD)
        cases.append((folder, named(field, name, folder)))
    before = listing(tmp_path)
    found, _ = watched(cases, tmp_path)
    assert listing(tmp_path) == before
    taken = dict.fromkeys(FIELDS, 0)
    for (field, name), one in zip(asked, found, strict=True):
        assert not one.did, (field, name, one)
        if one.code == 0:
            taken[field] += 1
            assert one.out.replace("\n", "").isprintable(), (field, name)
        else:
            one.refused()
    assert taken["objective"] == taken["dataset"] == 0, "names that nobody has registered"
    told("S4", len(asked), len(asked), f"no write by a dry run; good names: {taken}")


# --- S4: links, and names as a whole command writes them


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A finished run of the tiny grid."""
    bench = Bench(tmp_path_factory.mktemp("finished"))
    done = patiently(bench, "run", "--grid", bench.grid(), "--out", "tiny", "--way", "vmap")
    assert done.returncode == 0, done.stdout + done.stderr
    return bench


LINKED = [
    "report.html", "results.parquet", "manifest.json", "summary.json", ".lock", "tables/quality.md",
    "tables/numbers.tex", "figures/curves.png",
]  # fmt: skip
FOLDERS = ["tables", "figures", "runs", "samples", "logs", "work"]


@pytest.mark.campaign
@pytest.mark.parametrize("command", ["report", "run"])
def test_links_in_a_folder_from_elsewhere_change_nothing_elsewhere(finished: Bench, command: str) -> None:
    """A file that a link, or another name of it, stands for in a results folder keeps its content."""
    asked = [*((name, "symbolic") for name in [*LINKED, *FOLDERS]), *((name, "hard") for name in LINKED)]
    misses = []
    for name, link in asked:
        folder, victim = finished.folder / "given", finished.folder / "victim"
        shutil.copytree(finished.folder / "tiny", folder)
        if name in FOLDERS:
            if (folder / name).exists():
                (folder / name).rename(victim)
            else:
                victim.mkdir()
            (folder / name).symlink_to(victim)
        else:
            (folder / name).unlink(missing_ok=True)
            victim.write_text("mine")
            (folder / name).symlink_to(victim) if link == "symbolic" else os.link(victim, folder / name)
        before = _content(victim)
        words = ("run", "--grid", "tiny.yaml", "--out", "given") if command == "run" else ("report", "given")
        done = patiently(finished, *words)
        assert done.returncode in (0, 2)
        assert "Traceback" not in done.stdout + done.stderr
        if _content(victim) != before:
            misses.append((name, link))
        shutil.rmtree(folder)
        shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
    told("S4", len(asked), len(asked) - len(misses), f"links in a results folder, `{command}` run on it")
    assert not misses


def _content(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path.parent)): file.read_bytes() for file in files}


@pytest.mark.campaign
def test_a_run_writes_in_its_folder_and_in_the_cache(tmp_path: Path) -> None:
    """All processes of a run, by Python's own audit; the folder that is named is a link to another one."""
    bench = Bench(tmp_path)
    log, (real, tmp, site) = tmp_path / "log", (tmp_path / name for name in ("real", "tmp", "site"))
    for folder in (real, tmp, site):
        folder.mkdir()
    (tmp_path / "out").symlink_to(real)
    (site / "sitecustomize.py").write_text(
        f"import sys\nsys.path.append({str(WATCHED.parent)!r})\nimport watched\nwatched.to_file({str(log)!r})\n"
    )
    bench.environment |= {"PYTHONPATH": str(site), "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp)}
    bench.environment |= {"PYTHONDONTWRITEBYTECODE": "1"}
    done = patiently(bench, "run", "--grid", bench.grid(TINY, "tiny"), "--out", "out", "--way", "vmap")
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in log.read_text().splitlines()]
    written = [Path(path) for event, path in events if event == "write"]
    allowed = [tmp_path / name for name in ("out", "real", "cache", "tmp", "home")]
    outside = {path for path in written if not any(path.is_relative_to(own) for own in allowed)}
    assert outside <= {Path("/dev/null")}
    assert len(written) > 50
    assert {path.name for path in tmp_path.iterdir()} <= {
        "out", "real", "cache", "tmp", "home", "site", "log", "tiny.yaml"
    }  # fmt: skip
    assert not {event for event, _ in events} & {"socket.bind", "socket.connect", "os.system", "webbrowser.open"}
    told("S4", 1, 1, f"run into a linked folder: {len(written)} changes to paths, none outside")


# --- S8: code from settings


def forms() -> dict[str, str]:
    """Grids that name code, by every key that takes a name, and by keys that other tools take code from."""
    keys = ("objective", "dataset", "generator", "critic", "critic_optimizer", "experiment", "latent", "pair")
    found = {f"{key}: {word}": with_line(key, json.dumps(word)) for key in keys for word in DOTTED}
    blocks = {"objective": "minimax", "dataset": "ring", "critic": "mlp", "critic_optimizer": "adam", "evaluate": None}
    for target in TARGETS:
        found[f"{target}"] = with_line(target, "os.system")
        for key, name in blocks.items():
            head = f"name: {name}, " if name else ""
            found[f"{key}.{target}"] = with_line(key, f"{{{head}{json.dumps(target)}: os.system}}")
    return found


@pytest.mark.parametrize("count", [10, pytest.param(len(forms()), marks=pytest.mark.campaign)])
def test_only_registered_names_are_taken(tmp_path: Path, count: int) -> None:
    all_forms = forms()
    names = some([*all_forms], count)
    for index, name in enumerate(names):
        (tmp_path / f"g{index}.yaml").write_text(all_forms[name])
    found, _ = watched([(tmp_path, ["check", f"g{index}.yaml"]) for index in range(count)], tmp_path)
    for index, one in enumerate(found):
        one.refused(f"g{index}.yaml:")
    told("S8", count, count, f"of {len(DOTTED) + len(TARGETS)} forms of code in the places of names and keys")


PLUGIN = """\
from dataclasses import replace
from pathlib import Path
from objectives.minimax import OBJECTIVE
Path("canary").touch()
OBJECTIVES = [replace(OBJECTIVE, name="mine")]
"""
OWN = with_line("objective", "mine")


def test_a_plug_in_is_loaded_where_it_is_named_and_nowhere_else(tmp_path: Path) -> None:
    """A file beside the grid, or one with the name of something that is there, is not."""
    bench = Bench(tmp_path)
    bench.grid(OWN, "own")
    for name in ("mine.py", "plugins.py", "conftest.py", "own.py"):
        (tmp_path / name).write_text(PLUGIN)
    (tmp_path / "objectives").mkdir()
    (tmp_path / "objectives" / "mine.py").write_text(PLUGIN)
    for words in (["check", "own.yaml"], ["run", "--dry-run", "--grid", "own.yaml"]):
        done = bench(*words)
        assert done.returncode == 2
        assert "own.yaml:" in done.stderr
        assert "unknown objective 'mine'" in done.stderr
        assert not (tmp_path / "canary").exists()
    done = bench("check", "own.yaml", "--plugin", "mine.py")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "canary").exists()


def test_a_package_in_the_folder_of_a_grid_is_not_loaded(tmp_path: Path) -> None:
    """`python -m` has the current folder on its path, where a downloaded grid may lie beside a look-alike of ours."""
    (tmp_path / "mine.py").write_text(PLUGIN + "mine = OBJECTIVES[0]\n")
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bench.objectives]\nmine = mine:mine\n")
    (tmp_path / "own.yaml").write_text(OWN)
    (tmp_path / "pydantic.py").write_text("open('canary', 'w')")
    done = subprocess.run(
        [sys.executable, "-m", "bench", "check", "own.yaml"], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert not (tmp_path / "canary").exists(), done.stderr
    assert done.returncode == 2
    assert "unknown objective 'mine'" in done.stderr


# --- S14: any text and any words


WORDS = [
    "0", "-1", "1", "1.5", "1e-4", "1e300", "-1e-300", "null", "true", "'x'", "''", "[]", "{}", "[1, 2]", "[[1]]",
    "{a: 1}", "{name: x}", "9" * 18, "9" * 19, "ring", "minimax", "mlp", "adam", "{uniform: [0, 1]}",
    "{choice: [1, 2]}", "~",
    "{log_uniform: [1, 0]}", "os.system", "../../x", "\u00e9", '"\\x1b"', "&a", "*a", "!!int", "<<", "? ", "- ", ": ",
    "|", ">", "#", "%", "@", "\t", "\n", "\n  ", "[", "]", "{", "}", "'", '"', "---\n", "2020-01-01", ".nan", "x" * 50,
]  # fmt: skip
PATHS = [
    "steps", "seeds", "dataset", "dataset.name", "dataset.std", "objective", "objective.name", "objective.clip",
    "critic", "critic.width", "critic_optimizer.lr", "evaluate.n", "evaluate.emd_n", "experiment", "union", "search",
    "arm", "a.b.c", "search.settings", "pack", "ema", "probe", "pair", "sampler", "published", "description",
    "", "..", "a b", "steps.x",
]  # fmt: skip


def spoilt(chance: random.Random, text: str) -> bytes:
    """A grid's text after one to three accidents."""
    for _ in range(chance.randint(1, 3)):
        match chance.randrange(6):
            case 0:  # a word for another
                words = [*re.finditer(r"[^\s:,\[\]{}]+", text)] or [re.match("", text)]
                found = chance.choice(words)
                assert found is not None
                text = text[: found.start()] + chance.choice(WORDS) + text[found.end() :]
            case 1:  # something in between
                at = chance.randint(0, len(text))
                text = text[:at] + chance.choice(WORDS) + text[at:]
            case 2:  # something is missing
                at = chance.randint(0, len(text))
                text = text[:at] + text[at + chance.randint(1, 20) :]
            case 3:  # lines in another order
                lines = text.splitlines(keepends=True)
                chance.shuffle(lines)
                text = "".join(lines)
            case 4:  # a line twice, deeper
                lines = text.splitlines(keepends=True) or [""]
                lines.insert(chance.randrange(len(lines)), " " * chance.randint(0, 6) + chance.choice(lines))
                text = "".join(lines)
            case 5:
                text = text[: chance.randint(0, len(text))]
    data = bytearray(text.encode())
    if data and chance.random() < 0.1:
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("count", [100, pytest.param(10_000, marks=pytest.mark.campaign)])
def test_any_grid_is_taken_or_refused(tmp_path: Path, count: int) -> None:
    chance, path = random.Random(count), tmp_path / "g.yaml"
    small = [file for file in sorted((ROOT / "grids").rglob("*.yaml")) if file.stat().st_size < 2500]
    texts = [GOOD, TINY, *(file.read_text() for file in small)]
    taken, misses = 0, []
    for _ in range(count):
        data = spoilt(chance, chance.choice(texts)) if chance.random() < 0.8 else chance.choice(texts).encode()
        overrides = [f"{chance.choice(PATHS)}={chance.choice(WORDS)}" for _ in range(chance.choice([0, 0, 1, 2]))]
        path.write_bytes(data)
        try:
            taken += bool(load_grid(path, overrides).cells)
        except UserError as error:
            line = str(error)
            if not (line.isprintable() and len(line) < 1000 and line.startswith((str(path), "--set "))):
                misses.append((data, overrides, line))
        except Exception as error:
            misses.append((data, overrides, repr(error)))
    told("S14", count, count - len(misses), f"grid files and overrides; {taken} of them good")
    assert not misses, misses[:3]
    assert taken > count / 50
