"""The command line as a person meets it: help, mistakes in one line, what exists."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import TINY, Bench

from bench import ROOT
from bench.listing import listing
from datasets import DATASETS
from objectives import OBJECTIVES


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


COMMANDS = ("run", "throughput", "claims", "report", "compare", "export", "status", "list", "check")


@pytest.mark.parametrize("words", [(), *((command,) for command in COMMANDS)])
def test_help_is_there_for_every_command(bench: Bench, words: tuple[str, ...]) -> None:
    done = bench(*words, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: python -m bench")


MISTAKES = [
    (("rnu",), "unknown command 'rnu'; did you mean 'run'?"),
    (("run",), "the following arguments are required: --grid; see `python -m bench run --help`"),
    (("run", "--gird", "x.yaml"), "unknown flag '--gird'; did you mean '--grid'?"),
    (("run", "--grid", "tiny.yaml", "--way", "vmapp"), "unknown way 'vmapp'; did you mean 'vmap'?"),
    (("run", "--grid", "tiny.yaml", "--device", "gpu"), "unknown device 'gpu'; "),
    (("run", "--grid", "tiny.yaml", "--workers", "0"), "--workers is a whole number from 1, not 0"),
    (("run", "--grid", "tiny.yaml", "--seeds", "x"), "argument --seeds: invalid int value: 'x'; "),
    (("run", "--grid", "tiny.yaml", "--out", "tiny.yaml/x"), "cannot make the results folder (Not a directory)"),
    (("list", "objectivs"), "unknown KIND 'objectivs'; did you mean 'objectives'?"),
    (("check", "missing.yaml"), "missing.yaml"),
    (("status", "missing"), "missing"),
    (("report", "missing"), "missing"),
    (("report", "missing", "--gfi"), "unknown flag '--gfi'; did you mean '--gif'?"),
]


@pytest.mark.parametrize(("words", "said"), MISTAKES, ids=[" ".join(words) for words, _ in MISTAKES])
def test_a_mistake_is_one_line_and_exit_code_2(bench: Bench, words: tuple[str, ...], said: str) -> None:
    bench.grid()
    done = bench(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("bench: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_debug_shows_where_it_came_from(bench: Bench) -> None:
    done = bench("check", "missing.yaml", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("words", "remedy"),
    [(("--device", "cuda"), "leave the flag out to use the CPU"),
     (("--device", "cpu", "--way", "cuda_graph"), "--way compiled is the nearest for a CPU"),
     (("--way", "compiled"), "--way compiled: this machine has no C++ compiler; install g++, or point CXX at one")],
)  # fmt: skip
def test_what_is_not_there_is_a_mistake_with_a_remedy(bench: Bench, words: tuple[str, ...], remedy: str) -> None:
    bench.environment |= {"CUDA_VISIBLE_DEVICES": "", "CXX": "no-such-compiler"}
    done = bench("run", "--grid", bench.grid(), *words)
    assert done.returncode == 2
    assert remedy in done.stderr


def test_what_exists_is_listed(bench: Bench) -> None:
    said = bench("list").stdout
    for name in (*OBJECTIVES, *DATASETS, "mlp", "adam", "emd", "train", "grids/modes.yaml"):
        assert name in said
    assert "1701.07875" in listing("objectives")
    assert "modes=8" in listing("datasets")


def test_check_says_what_a_grid_is(bench: Bench) -> None:
    done = bench("check", bench.grid())
    assert done.returncode == 0
    assert done.stdout.endswith("tiny.yaml: good: 2 cells x 2 seeds\n")


def test_files_that_somebody_has_to_bring_are_asked_for(bench: Bench) -> None:
    """By ``check`` beside its verdict, by ``run`` before anything is trained."""
    grid = bench.grid(TINY.replace("dataset: ring", "dataset: mnist"))
    words = "MNIST: $XDG_CACHE_HOME/gan-objectives-bench/data/MNIST/raw lacks train-images-idx3-ubyte.gz and 3 more; "
    checked = bench("check", grid)
    assert checked.returncode == 0
    assert f"before it can run: {words}" in checked.stdout
    done = bench("run", "--grid", grid, "--out", "out")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


LIGHT = [
    ["--help"],
    ["list"],
    ["check", "tiny.yaml"],
    ["run", "--grid", "tiny.yaml", "--dry-run"],
    ["throughput", "--dry-run"],
    ["check", "bad.yaml"],
]


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_what_trains_nothing_loads_no_torch(bench: Bench, words: list[str]) -> None:
    bench.grid()
    bench.grid(TINY.replace("steps", "setps"), "bad")
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from bench.cli import main\n"
        f"try: main({words!r})\nexcept SystemExit: pass\n"
        "print(sorted({'torch._C', 'pandas', 'scipy', 'matplotlib', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=bench.folder,
        env=bench.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_lazy_torch_is_torch_at_its_first_use() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom bench import lazy_torch\nlazy_torch.install()\n"
        "import torch, datasets\nassert 'torch._C' not in sys.modules\n"
        "assert torch.ones(2).sum().item() == 2\nimport torch.nn.functional as F\n"
        "assert isinstance(datasets.DATASETS['ring']().means(), torch.Tensor) and F.relu(torch.ones(1)) == 1\n"
        "assert type(sys.modules['torch']).__name__ == 'module'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_checkouts_packages_win_over_others_of_their_names(tmp_path: Path) -> None:
    for name in ("datasets", "objectives"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the wrong one')")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "bench", "list", "datasets"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "ring" in done.stdout


def test_another_package_that_came_first_is_named(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("")
    (tmp_path / "sitecustomize.py").write_text("import datasets")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "bench", "list", "datasets"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("bench: another package named 'datasets' was imported before this one")
