"""An objective, a data set and a metric from outside the tree: installed, in a file, and broken."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import multiprocessing
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from commands import TIMES, Bench

from bench import ROOT, cli, plugins, records, sources
from bench.cell import Run, Unit, source_digest
from bench.experiments import EXPERIMENTS, make_cell
from bench.launch import evaluator
from bench.launch.worker import _check_code
from bench.metrics import FLOOR, Truth, all_columns
from bench.sources import DATASET, KINDS, METRIC, OBJECTIVE, code_digest, metric_version
from bench.training_settings import KEYS
from objectives import OBJECTIVES

EXAMPLE = Path(__file__).parent / "plugin_example"
FILE = EXAMPLE / "rings_for_the_bench.py"

GRID = """\
seeds: 1
steps: 20
batch_size: 16
dataset: {name: concentric_rings, rings: 3}
objective: {name: smoothed_labels, real_label: 0.8}
generator: {name: mlp, depth: 1, width: 8}
critic: {name: mlp, depth: 1, width: 8}
evaluate: {observations: 1, n: 100, emd_n: 50, energy_n: 60}
"""


@pytest.fixture
def tables() -> Iterator[None]:
    """Loads plug-ins in this process, as a command would, and forgets them after."""
    kept = [dict(kind.table) for kind in KINDS]
    yield
    forget(kept)


def forget(tables: Sequence[Mapping[str, Any]]) -> None:
    """Plug-ins, for the tables as they were before."""
    for kind, table in zip(KINDS, tables, strict=True):
        kind.table.clear()
        kind.table.update(table)
    for name in [name for name in sys.modules if name.startswith("_bench_plugin_")]:
        del sys.modules[name]
    for memory in (plugins._loaded, plugins._entries, sources.HOMES):
        memory.clear()
    source_digest.cache_clear()


def the_tree() -> dict[str, str]:
    folders = ("objectives", "datasets", "bench/metrics", "grids")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".yaml")]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One grid, run with the package installed, and with its file alone."""
    before = the_tree()
    bench = Bench(tmp_path_factory.mktemp("plugins"))
    grid = bench.grid(GRID, "outside")
    shutil.copytree(EXAMPLE, bench.folder / "package")
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*pip, "--target", "site", "./package"], cwd=bench.folder, check=True, timeout=120)
    runs = {}
    for way, words in (("file", ["--plugin", FILE]), ("installed", [])):
        if way == "installed":
            bench.environment["PYTHONPATH"] = str(bench.folder / "site")
        done = bench("run", "--grid", grid, "--out", way, "--way", "vmap", "--workers", "1", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        frame, errors = records.load(bench.folder / way)
        assert not errors
        runs[way] = frame
    del bench.environment["PYTHONPATH"]
    return SimpleNamespace(bench=bench, printed=done.stdout, changed=the_tree() != before, **runs)


def test_what_comes_from_outside_runs_in_a_grid_without_a_change_to_the_project(results: SimpleNamespace) -> None:
    assert not results.changed
    for frame in (results.installed, results.file):
        assert set(frame["objective"]) == {"smoothed_labels"}
        assert set(frame["dataset"]) == {"concentric_rings"}
        assert set(frame["status"]) == {"ok"}
        assert set(frame["dataset.rings"]) == {3}
        assert set(frame["hparams.real_label"]) == {0.8}
        assert set(frame["modes_total"]) == {24}
        assert set(frame["evaluate.energy_n"]) == {60}
        assert (frame["energy_distance"] > frame["energy_distance_floor"]).all()
    assert "Energy distance" in results.printed


def test_installed_or_a_file_it_is_the_same_code_and_so_the_same_cells(results: SimpleNamespace) -> None:
    assert set(results.installed["run_id"]) == set(results.file["run_id"])
    one, other = (
        frame.loc[:, ~frame.columns.str.endswith(TIMES)].sort_values(["run_id", "step"], ignore_index=True)
        for frame in (results.installed, results.file)
    )
    pd.testing.assert_frame_equal(one, other)


def test_rows_carry_hashes_of_the_code(results: SimpleNamespace) -> None:
    row = results.file.iloc[0]
    own = row["sources.objective"]
    assert len(own) == 10
    assert row["sources.dataset"] == own  # one file
    assert row["sources.metrics.energy"] == f"1-{own}"
    assert row["sources.metrics.emd"] == 1
    manifest = json.loads((results.bench.folder / "file" / "manifest.json").read_text())
    expected = [("objective", "smoothed_labels"), ("data set", "concentric_rings"), ("metric", "energy")]
    assert manifest["plugins"] == [
        {"kind": kind, "name": name, "from": "rings_for_the_bench.py", "digest": own} for kind, name in expected
    ]
    manifest = json.loads((results.bench.folder / "installed" / "manifest.json").read_text())
    assert manifest["plugins"][0]["from"] == "rings-for-the-bench (entry point 'smoothed_labels' in bench.objectives)"


def test_the_recorded_distance_is_that_of_the_samples(results: SimpleNamespace) -> None:
    row = results.file.iloc[0]
    samples = records.load_samples(results.bench.folder / "file", row["run_id"])
    x, y = (samples[name].astype(np.float64)[:60] for name in ("fake", "real"))

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.sqrt(((a[:, None] - b[None]) ** 2).sum(2)).mean())

    assert row["energy_distance"] == pytest.approx(2 * mean(x, y) - mean(x, x) - mean(y, y), rel=1e-6)


def test_no_metric_can_take_the_place_of_a_column(results: SimpleNamespace) -> None:
    """The columns that the registry guards are those that rows have."""
    metrics = {*all_columns(), "energy_distance"}
    taken = {f"{name}_seconds" for name in ("modes", "emd", "energy")}
    plain = {name for name in results.file.columns if "." not in name} - taken
    assert plain - metrics - {f"{name}{FLOOR}" for name in metrics} - {*KEYS} <= plugins.ROW


def test_a_report_needs_the_plug_in_only_for_its_columns(
    results: SimpleNamespace, tables: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, shown in (((), False), (("--plugin", str(FILE)), True)):
        assert cli.main(["report", str(results.bench.folder / "file"), *words]) == 0
        said = capsys.readouterr().out
        assert "smoothed_labels" in said
        assert ("Energy distance" in said) is shown


def test_without_the_plug_in_a_grid_cannot_name_it(results: SimpleNamespace) -> None:
    done = results.bench("check", "outside.yaml")
    assert done.returncode == 2
    assert "unknown data set 'concentric_rings'" in done.stderr or "unknown objective 'smoothed_lab" in done.stderr


def test_help_does_not_look_for_plug_ins() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom bench.cli import main\n"
        "try: main(['run', '--help'])\nexcept SystemExit: pass\n"
        "print({'importlib.metadata', 'bench.plugins', 'objectives'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


# In this process.


def test_check_says_what_passes(tables: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(FILE)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition(": ")[0] for line in lines] == [
        "rings_for_the_bench.py: objective smoothed_labels",
        "rings_for_the_bench.py: data set concentric_rings",
        "rings_for_the_bench.py: metric energy",
    ]
    assert all(line.endswith(" checks passed") for line in lines)


def test_check_refuses_the_broken_with_the_reason(tables: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(EXAMPLE / "broken.py")]) == 2
    out, err = capsys.readouterr()
    objective, rest = out.split("broken.py: data set careless: ")
    dataset, metric = rest.split("broken.py: metric gap: ")
    assert "lifted: torch.func.vmap cannot lift the generator loss over replicas" in objective
    assert "no .item()" in objective
    assert "critic_direction: down the critic loss the scores of real samples fall" in objective
    assert "sample_randomness: the sample draws from global randomness; pass the generator on to every draw" in dataset
    assert "not_finite: gap is 0.0 where a sample is nan; it must be NaN" in metric
    assert "higher is declared to be better: is the direction wrong?" in metric
    assert err.endswith("broken.py: 3 of 3 refused\n")
    assert "Traceback" not in out + err


HEAD = """\
import math, sys
from dataclasses import dataclass, replace
import torch
from bench.metrics import METRICS as KNOWN, Column
from objectives.minimax import OBJECTIVE, critic_loss
from datasets.ring import Ring
EMD = KNOWN["emd"]
@dataclass(frozen=True, kw_only=True)
class Nothing: pass
@dataclass(frozen=True, kw_only=True)
class Some: emd_n: int = 5
def metric(column="gap", settings=Nothing, name="gap", **values):
    columns = {column: Column(label="Gap", unit="", direction="down")}
    return replace(EMD, name=name, columns=columns, settings=settings, compute=lambda *_: values)
"""

REFUSED = [
    ("x = (", ":15: SyntaxError: '(' was never closed"),
    ("x = 1\n\nx = 1 / 0", ":17: ZeroDivisionError: division by zero"),
    ("def f(): raise ValueError('a \\x1b[31m word\\nmore')\nf()", ":15: ValueError: a \\x1b[31m word"),
    ("sys.exit(3)", ":15: SystemExit: 3"),
    ("import no_such_package", ":15: ModuleNotFoundError: No module named 'no_such_package'"),
    ("x = '\0'", "SyntaxError: source code string cannot contain null bytes"),
    ("OBJECTIVE", "no plug-in: it has none of the lists OBJECTIVES, DATASETS, METRICS"),
    ("METRICS = KNOWN", "METRICS must be a list, not {'modes':"),
    ("OBJECTIVES = []", "brings nothing"),
    ("OBJECTIVES = [critic_loss]", "is no objective: an instance of objectives.base.Objective belongs there"),
    ("DATASETS = [Ring()]", "is no data set: a class with event_shape and sample belongs there"),
    ("METRICS = [EMD.compute]", "is no metric: an instance of bench.metrics.Metric belongs there"),
    ("OBJECTIVES = [OBJECTIVE]", "the objective 'minimax': the project has one of this name; choose another"),
    ("OBJECTIVES = 2 * [replace(OBJECTIVE, name='x')]", "the objective 'x': mine.py brings one of this name"),
    ("DATASETS = [Ring]", "the data set 'ring': the project has one of this name; choose another"),
    ("class RingVeegan(Ring): pass\nDATASETS = [RingVeegan]", "'ring_veegan': the project has one of this name"),
    ("OBJECTIVES = [replace(OBJECTIVE, name='WGAN 2')]", "'WGAN 2' cannot be a name: one word of a-z, 0-9 and _"),
    ("OBJECTIVES = [replace(OBJECTIVE, name='x', hparams={'ema': 1.0})]", "'ema' is a setting of all objectives"),
    ("OBJECTIVES = [replace(OBJECTIVE, name='x', noise=[1])]", "the objective 'x': AttributeError"),
    ("class X:\n  event_shape = (2,)\n  def sample(self): ...\nDATASETS = [X]", "must be a dataclass"),
    ("@dataclass(frozen=True, kw_only=True)\nclass X(Ring):\n  turns: int\nDATASETS = [X]", "turns: missing"),
    ("@dataclass(frozen=True, kw_only=True)\nclass X(Ring):\n  std: float = -1.0\nDATASETS = [X]", "std must be"),
    ("METRICS = [EMD]", "the metric 'emd': the project has one of this name; choose another"),
    ("METRICS = [metric('emd')]", "there is, or will be, a column 'emd' of something else"),
    ("METRICS = [metric('emd_floor')]", "a column 'emd_floor' of something else"),
    ("METRICS = [metric('seed')]", "a column 'seed' of something else"),
    ("METRICS = [metric('critic_steps')]", "a column 'critic_steps' of something else"),
    ("METRICS = [metric('a b')]", "'a b' cannot be a column"),
    ("METRICS = [metric(settings=Some)]", "a setting 'emd_n' of evaluate already"),
    ("METRICS = [metric('a'), metric('a', name='other')]", "a column 'a' of something else"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=[text for text, _ in REFUSED])
def test_what_cannot_be_registered_is_one_line(
    tables: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(HEAD + text)
    assert cli.main(["check", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bench: ")
    assert "mine.py" in err
    assert words in err
    assert err.count("\n") == 1


BREAKING = [
    ("OBJECTIVES = [replace(OBJECTIVE, name='x', critic_loss=lambda *_: sys.exit(0))]", "SystemExit: 0"),
    ("OBJECTIVES = [replace(OBJECTIVE, name='x', hparams={'w': math.inf})]", "'w' must be a finite number, not inf"),
    ("OBJECTIVES = [replace(OBJECTIVE, name='x', critic_loss=None)]", "TypeError: 'NoneType' object is not callable"),
    ("class X(Ring):\n  event_shape = property(lambda self: sys.exit(1))\nDATASETS = [X]", "SystemExit: 1"),
    ("class X(Ring):\n  sample = lambda self, n, g: torch.full((n, 2), math.inf)\nDATASETS = [X]", "not finite"),
    ("METRICS = [metric(gap=math.inf)]", "gap of ordinary samples is inf"),
    ("METRICS = [metric(other=1.0)]", "compute does not give the declared column 'gap'"),
    ("METRICS = [replace(metric(), compute=lambda *_: 1 / 0)]", "ZeroDivisionError"),
]


@pytest.mark.parametrize(("text", "words"), BREAKING, ids=[text for text, _ in BREAKING])
def test_what_breaks_a_check_is_a_finding(
    tables: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(HEAD + text)
    assert cli.main(["check", str(path)]) == 2
    out, err = capsys.readouterr()
    assert words in out
    assert "Traceback" not in out + err
    assert err.endswith("mine.py: 1 of 1 refused\n")


def test_debug_shows_where_an_import_failed(tables: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def deep():\n    return 1 / 0\n\ndeep()\n")
    assert cli.main(["list", "grids", "--plugin", str(path), "--debug"]) == 2
    err = capsys.readouterr().err
    assert "return 1 / 0" in err
    assert err.endswith("mine.py:2: ZeroDivisionError: division by zero\n")
    assert cli.main(["list", "--plugin", str(tmp_path / "none.py")]) == 2
    assert capsys.readouterr().err == f"bench: {tmp_path / 'none.py'}: No such file or directory\n"


def test_a_list_has_what_plug_ins_bring(tables: None, capsys: pytest.CaptureFixture[str]) -> None:
    twice = ["--plugin", str(FILE), "--plugin", str(FILE.parent / ".." / FILE.parent.name / FILE.name)]
    assert cli.main(["list", *twice]) == 0
    said = capsys.readouterr().out
    for words in ("real_label=0.9", "rings=2, modes=8", "energy_distance"):
        assert words in said


def test_a_broken_package_is_named(
    tables: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    info = tmp_path / "bad-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bench.metrics]\ngone = no_such_package:THING\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert cli.main(["list", "grids"]) == 2
    assert capsys.readouterr().err == (
        "bench: bad (entry point 'gone' in bench.metrics): cannot be loaded: ModuleNotFoundError: No module named "
        "'no_such_package'; mend the package, or uninstall it\n"
    )


# Code and its digests.


def test_the_digest_of_a_thing_in_one_file_is_that_of_the_file() -> None:
    """Ids that were given before other files counted have not changed."""
    for name in ("minimax", "non_saturating", "wgan_clip", "wgan_gp"):
        assert code_digest(OBJECTIVE, name) == source_digest(f"objectives.{name}")
    for name in ("ring", "grid"):
        assert code_digest(DATASET, name) == source_digest(f"datasets.{name}")
    assert [metric_version(name) for name in ("modes", "emd")] == [1, 1]


@pytest.mark.parametrize("part", ["critic_loss", "generator_loss", "project", "noise", "wrapped"])
def test_every_file_that_an_objective_is_made_of_counts(
    tables: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / f"helper_{part}.py"

    def digest_with(text: str) -> str:
        path.write_text(text)
        sys.modules.pop(path.stem, None)
        importlib.invalidate_caches()
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        function = importlib.import_module(path.stem).function
        changed = {
            "noise": {"noise": {"n": function}},
            "wrapped": {"critic_loss": partial(function, 1)},
        }.get(part, {part: function})
        monkeypatch.setitem(OBJECTIVES, "minimax", replace(OBJECTIVES["minimax"], **changed))
        source_digest.cache_clear()
        return code_digest(OBJECTIVE, "minimax")

    one = digest_with("def function(*x):\n    return 1\n")
    assert one == digest_with("# a word\ndef function(*x):\n    'Better.'\n    return 1\n")
    assert one != digest_with("def function(*x):\n    return 2\n")
    assert one != source_digest("objectives.minimax")


def test_the_files_of_a_data_sets_bases_count(tables: None) -> None:
    assert code_digest(DATASET, "imbalanced_ring") != source_digest("datasets.imbalanced_ring")


def test_a_file_is_what_it_was_when_it_was_read(tables: None, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(HEAD + "OBJECTIVES = [replace(OBJECTIVE, name='x')]  # then\n")
    (file,) = plugins.read([path])
    path.write_text("raise RuntimeError('edited since')")
    plugins.load([file])
    source = inspect.getsource(sys.modules[sources.HOMES["OBJECTIVES", "x"]])
    assert source == file.source.decode()
    elsewhere = plugins.File(tmp_path / "other" / "mine.py", file.source)
    assert elsewhere.module == file.module


def test_a_unit_is_not_trained_with_other_code_than_was_planned(tables: None) -> None:
    train = EXPERIMENTS["train"]
    cell = make_cell(train, train.resolve({"objective": "minimax", "dataset": "ring"}))
    _check_code(Unit((Run(cell, 0),)))
    other = replace(cell, sources={**cell.sources, "objective": "0123456789"})
    with pytest.raises(RuntimeError, match="has changed since the command began"):
        _check_code(Unit((Run(cell, 0), Run(other, 0))))


def test_an_evaluator_knows_the_plug_ins_and_loads_no_torch() -> None:
    spawn = multiprocessing.get_context("spawn")
    (file,) = plugins.read([FILE])
    files = [(file.path, file.source)]
    with ProcessPoolExecutor(1, spawn, initializer=evaluator.become, initargs=(files,)) as pool:
        torch_is_there, metrics, settings = pool.submit(eval, LOOK).result()
    assert not torch_is_there
    assert metrics[-1] == "energy"
    assert settings == ["std", "rings", "modes"]


LOOK = (
    "(lambda sys: ('torch._C' in sys.modules, list(sys.modules['bench.metrics'].METRICS),"
    " list(sys.modules['datasets'].DATASETS['concentric_rings'].__dataclass_fields__)))(__import__('sys'))"
)
"""Looked up in the evaluator, where this file, which imports torch, must not be imported."""


# What the example computes.


def test_the_examples_loss_is_torchs_cross_entropy(tables: None) -> None:
    plugins.load(plugins.read([FILE]))
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 50, generator=generator, dtype=torch.float64)
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    expected = loss(real, torch.full_like(real, 0.7)) + loss(fake, torch.zeros_like(fake))
    ours = OBJECTIVES["smoothed_labels"].critic_loss(lambda x: x, real, fake, {}, {"real_label": torch.tensor(0.7)})
    torch.testing.assert_close(ours, expected)


def test_the_examples_distance_is_scipys(tables: None) -> None:
    from scipy.stats import energy_distance

    plugins.load(plugins.read([FILE]))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=80), 1 + 2 * rng.normal(size=90)
    metric = METRIC.table["energy"]
    ours = metric.compute(x[:, None], y[:, None], Truth(), metric.settings())["energy_distance"]
    assert ours == pytest.approx(energy_distance(x, y) ** 2, rel=1e-9)
