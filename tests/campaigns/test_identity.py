"""R13, R18: what an id is of, and what it is not of; grids taken apart and results put together in any order."""

from __future__ import annotations

import copy
import io
import itertools
import json
import math
import re
import shutil
import sys
import tempfile
import tokenize
import typing
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table import told
from test_plugins import forget

from bench import ROOT, judge, plugins, records
from bench.cell import Cell, Run, canonical, flatten, source_digest
from bench.experiments import EXPERIMENTS, make_cell
from bench.experiments.train import Evaluate
from bench.grid import load_grid
from bench.metrics import METRICS
from bench.networks import NETWORKS
from bench.optim import OPTIMIZERS
from bench.problem import CriticWarmup, InstanceNoise, Latent, LrSchedule
from bench.report.merge import merge, refuse_differing
from bench.report.sides import pairs_of, read_sides
from bench.settings import SettingError
from bench.sources import KINDS
from bench.training_settings import Plain
from datasets import DATASETS
from datasets.image_folder import ImageFolder
from objectives import OBJECTIVES

TRAIN = EXPERIMENTS["train"]
CAMPAIGN = pytest.mark.campaign
EXAMPLES = [50, pytest.param(2000, marks=CAMPAIGN)]

POINTS: dict[str, Any] = {"objective": "wgan_gp", "dataset": "ring", "critic_steps": 1}
CONFIGS: dict[str, dict[str, Any]] = {
    "points": POINTS,
    "images": {
        "objective": {"name": "wgan_clip", "clip": 0.02}, "dataset": "stacked_digits",
        "optimizer": {"name": "sgd", "lr": 0.01},
        "generator": {"name": "dcgan", "width": 4}, "critic": {"name": "resnet", "width": 4},
    },
    **{f"objective-{name}": {**POINTS, "objective": name} for name in OBJECTIVES},
    **{f"optimizer-{name}": {**POINTS, "optimizer": {"name": name, "lr": 1e-3}} for name in OPTIMIZERS},
    **{f"dataset-{name}": {**POINTS, "dataset": name} for name in ("grid", "random_gaussians", "spiral", "polygons")},
}  # fmt: skip


def id_of(raw: Mapping[str, Any]) -> str:
    return make_cell(TRAIN, TRAIN.resolve(raw)).id


# --- R13: what an id is of


def as_written(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """The grid's block that spells all settings out."""
    raw = copy.deepcopy({key: value for key, value in resolved.items() if key != "hparams"})
    return {**raw, "objective": {"name": resolved["objective"], **resolved["hparams"]}}


def leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, node


def words() -> list[str]:
    """Every word that a setting may be."""
    blocks = [Plain, Evaluate, Latent, LrSchedule, CriticWarmup, InstanceNoise, *(m.settings for m in METRICS.values())]
    kinds = [*blocks, *NETWORKS.values(), *OPTIMIZERS.values(), *DATASETS.values()]
    hints = [hint for kind in kinds if is_dataclass(kind) for hint in typing.get_type_hints(kind).values()]
    literal = [word for hint in hints if typing.get_origin(hint) is Literal for word in typing.get_args(hint)]
    return list(dict.fromkeys([*literal, *OBJECTIVES, *DATASETS, *NETWORKS, *OPTIMIZERS, "anything"]))


WORDS = words()


def others(value: Any) -> list[Any]:
    """Values that a setting may have in place of this one."""
    found: list[Any] = [1, 0.5, "anything"]
    if isinstance(value, bool):
        found = [not value]
    elif isinstance(value, int):
        found = [value + 1, 2 * value, value - 1, value + 2, value // 2]
    elif isinstance(value, float):
        found = [math.nextafter(value, math.inf), value / 2, value + 0.25, value + 1.0]
    elif isinstance(value, list | tuple):
        found = [[*value[:-1], other] for other in others(value[-1])] if value else [[1], [1.0]]
    elif isinstance(value, str):
        found = list(WORDS)
    return [other for i, other in enumerate(found) if other != value and other not in found[:i]]


def put(raw: dict[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """With another value at the path; another name has other settings, so that it stands alone."""
    changed = copy.deepcopy(raw)
    *outer, last = path
    if last == "name":
        changed[outer[0]] = value
        return changed
    block = changed
    for key in outer:
        block = block[key]
    block[last] = value
    return changed


def changed_ids(raw: dict[str, Any], path: Sequence[str], value: Any) -> Iterator[str]:
    for other in others(value):
        try:
            yield id_of(put(raw, path, other))
        except SettingError:  # impossible here
            continue


@pytest.mark.parametrize(
    "names", [["points", "images"], pytest.param(list(CONFIGS), marks=CAMPAIGN)], ids=["sample", "all"]
)
def test_every_setting_is_in_the_id(names: Sequence[str]) -> None:
    changes: Counter[tuple[str, ...]] = Counter()
    for name in names:
        resolved = TRAIN.resolve(CONFIGS[name])
        raw, own = as_written(resolved), make_cell(TRAIN, resolved).id
        assert id_of(raw) == own, "spelt out, a default is the same setting"
        for path, value in leaves(raw):
            found = list(itertools.islice(changed_ids(raw, path, value), 3))
            assert own not in found, (name, path)
            assert len(set(found)) == len(found), (name, path)
            changes[path] += len(found)
    assert not [path for path, count in changes.items() if not count], "nothing else is possible there"
    assert len(changes) >= 30
    assert {path[0] for path in changes} >= TRAIN.resolve(POINTS).keys() - {"hparams"}
    told("R13", changes.total(), changes.total(), f"changes of {len(changes)} settings, every one there is")


@pytest.mark.parametrize("seed", [0, 1])
def test_a_seed_is_in_the_id_of_a_run(seed: int) -> None:
    cell = make_cell(TRAIN, TRAIN.resolve(POINTS))
    assert Run(cell, seed).id == f"{cell.id}-s{seed}"


def test_words_about_a_grid_are_in_no_id(tmp_path: Path) -> None:
    """Its file's name, description and comments, the seeds beside, the order and the way in which it is written."""
    plain, other = tmp_path / "a.yaml", tmp_path / "another.yaml"
    plain.write_text("seeds: [0, 1]\nobjective: [minimax, hinge]\ndataset: {name: ring, modes: 5}\nsteps: 10\n")
    other.write_text(
        "# words\ndescription: of another day\nsteps: 10\ndataset:\n  modes: 5\n  name: 'ring'\n"
        "objective:\n- hinge\n- name: minimax\nseeds: [7, 1]\nexperiment: train\n"
    )
    (one, two) = ({run.id for run in load_grid(path).runs()} for path in (plain, other))
    assert {name for name in one if name.endswith("-s1")} == {name for name in two if name.endswith("-s1")}
    assert len(one & two) == 2


def digest(text: str, path: Path) -> str:
    """Of a module with this text, which is not run."""
    path.write_text(text)
    module = sys.modules[path.stem] = ModuleType(path.stem)
    module.__file__ = str(path)
    try:
        source_digest.cache_clear()
        return source_digest(path.stem)
    finally:
        del sys.modules[path.stem]


SWAPPED = {"+": "-", "-": "+", "*": "+", "/": "*", "<": ">", ">": "<", "==": "!="}
NAMES = {"real": "fake", "fake": "real", "mean": "sum", "sum": "mean", "softplus": "relu", "square": "abs"}


def edits(text: str) -> Iterator[tuple[bool, str]]:
    """Every text with one token changed, and whether it is code: a number, a sign or a name; else a word about it."""
    lines = text.splitlines(keepends=True)
    before = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        new = None
        if token.type == tokenize.NUMBER:
            new = f"1{token.string}"
        elif token.type in (tokenize.OP, tokenize.NAME):
            new = (SWAPPED if token.type == tokenize.OP else NAMES).get(token.string)
        elif token.type == tokenize.COMMENT:
            new = "# other words"
        elif token.type == tokenize.STRING and before in (tokenize.NEWLINE, tokenize.INDENT):
            new = '"""Other words."""'
        if token.type not in (tokenize.NL, tokenize.COMMENT):
            before = token.type
        if new is None:
            continue
        (row, start), (end, stop) = token.start, token.end
        edited = [*lines[: row - 1], lines[row - 1][:start] + new + lines[end - 1][stop:], *lines[end:]]
        yield token.type not in (tokenize.COMMENT, tokenize.STRING), "".join(edited)


@pytest.mark.parametrize("names", [["wgan_gp"], pytest.param(list(OBJECTIVES), marks=CAMPAIGN)], ids=["sample", "all"])
def test_every_token_of_an_objective_counts_and_no_word_about_it(names: Sequence[str], tmp_path: Path) -> None:
    code = words = 0
    for name in names:
        text = (ROOT / "objectives" / f"{name}.py").read_text()
        own = digest(text, tmp_path / "same.py")
        assert own == source_digest(f"objectives.{name}")
        for is_code, edited in edits(text):
            found = digest(edited, tmp_path / "edited.py")
            assert (found != own) == is_code, edited
            code, words = code + is_code, words + (not is_code)
    assert code >= 10 * len(names)
    assert words >= 3 * len(names)
    told("R13", code + words, code + words, f"edits of {len(names)} objectives: {code} of code, {words} of words")


@pytest.fixture
def _tables() -> Iterator[None]:
    """Plug-ins are forgotten after."""
    kept = [dict(kind.table) for kind in KINDS]
    yield
    forget(kept)


@pytest.mark.usefixtures("_tables")
def test_one_token_of_a_plug_in_makes_another_cell(tmp_path: Path) -> None:
    """As a command would load it: an objective, a data set and a metric in one file."""
    text, path = (ROOT / "tests" / "plugin_example" / "rings_for_the_bench.py").read_text(), tmp_path / "mine.py"
    raw = {"objective": "smoothed_labels", "dataset": "concentric_rings", "evaluate": {"n": 100, "emd_n": 50}}
    kept, found = [dict(kind.table) for kind in KINDS], {}
    for what, edited in {
        "as it is": text,
        "a comment": text.replace("# What", "# This is what"),
        "a docstring": text.replace("One-sided", "Some one-sided").replace('"""The non-', '"""A non-'),
        "a constant of a loss": text.replace("softplus(-critic(fake))", "softplus(-2 * critic(fake))"),
        "a constant of the data": text.replace("2 * math.pi", "3 * math.pi"),
        "a constant of the metric": text.replace("2 * cdist", "3 * cdist"),
    }.items():
        path.write_text(edited)
        plugins.load(plugins.read([path]))
        found[what] = id_of(raw)
        forget(kept)
    own = found.pop("as it is")
    assert [what for what, name in found.items() if name == own] == ["a comment", "a docstring"]
    assert len(set(found.values())) == 4


def test_versions_of_the_metrics_that_apply_are_in_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    for config in ("points", "images"):
        raw = CONFIGS[config]
        own, applied = id_of(raw), 0
        for name, metric in METRICS.items():
            with monkeypatch.context() as patch:
                patch.setitem(METRICS, name, replace(metric, version=metric.version + 1))
                applies = name in make_cell(TRAIN, TRAIN.resolve(raw)).sources["metrics"]
                assert (id_of(raw) != own) == applies, name
                applied += applies
        assert applied >= 2
    with monkeypatch.context() as patch:
        patch.setattr(judge, "VERSION", judge.VERSION + 1)
        assert id_of(CONFIGS["images"]) != own
        assert id_of(CONFIGS["points"]) == id_of(POINTS)


def test_the_bytes_of_images_are_in_the_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of images is told by a digest of its files, and refused where it is another's."""
    from PIL import Image

    monkeypatch.setenv("GAN_BENCH_DATA", str(tmp_path))
    (tmp_path / "mine").mkdir()
    network = {"name": "dcgan", "width": 2}
    ids, digests = [], []
    for shade in (0, 1):
        for i in range(100):
            Image.new("L", (8, 8), 2 * i + shade * (i == 7)).save(tmp_path / "mine" / f"{i}.png")
        folder: dict[str, Any] = {"folder": "mine", "size": 8, "channels": 1}
        digests += re.findall(r"digest: '([0-9a-f]{16})'", str(ImageFolder(**folder).missing()))
        dataset = {"name": "image_folder", **folder, "digest": digests[-1]}
        ids.append(
            id_of(
                {"objective": "minimax", "dataset": dataset, "generator": network, "critic": network,
                 "evaluate": {"n": 5, "emd_n": 5}}
            )
        )  # fmt: skip
    assert len(set(ids)) == len(set(digests)) == 2
    assert ImageFolder(**folder, digest=digests[1]).missing() is None
    assert "has other images" in str(ImageFolder(**folder, digest=digests[0]).missing())


# --- R18: grids and results, apart and together

QUIET = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}

AXES: dict[str, list[Any]] = {
    "objective": ["minimax", "wgan_gp", {"name": "wgan_clip", "clip": 0.1}], "dataset": ["ring", "grid"],
    "steps": [10, 20, 30], "batch_size": [8, 16], "ema": [0.0, 0.5], "arm": ["", "a", "b"], "critic_steps": [1, 2, 3],
}  # fmt: skip


@pytest.mark.parametrize("examples", EXAMPLES)
def test_a_grid_is_the_disjoint_union_of_its_parts(examples: int, tmp_path: Path) -> None:
    """Cut along any axis or the seeds, with keys and values in any order; its size is the product of its lists."""
    path = tmp_path / "g.yaml"

    def ids(grid: dict[str, Any]) -> list[str]:
        path.write_text(json.dumps(grid))
        return [run.id for run in load_grid(path).runs()]

    @settings(max_examples=examples, **QUIET)
    @given(data=st.data())
    def holds(data: st.DataObject) -> None:
        names = data.draw(
            st.permutations(["objective", "dataset", *data.draw(st.sets(st.sampled_from(list(AXES)[2:]), max_size=3))])
        )
        grid = {name: data.draw(st.permutations(AXES[name]))[: data.draw(st.integers(1, 3))] for name in names}
        grid["seeds"] = data.draw(st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True))
        whole = ids(grid)
        assert len(set(whole)) == len(whole) == math.prod(map(len, grid.values()))
        axis = data.draw(st.sampled_from([name for name in grid if len(grid[name]) > 1] or ["seeds"]))
        at = data.draw(st.integers(0, len(grid[axis])))
        parts = [ids({**grid, axis: part}) for part in (grid[axis][:at], grid[axis][at:]) if part]
        assert sorted(itertools.chain(*parts)) == sorted(whole)

    holds()
    told("R18", examples, examples, "grids and their parts")


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
BLOCKS = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)
SETTINGS = st.dictionaries(st.text(), BLOCKS, min_size=1, max_size=4)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_an_id_is_of_the_content_and_of_all_of_it(examples: int) -> None:
    """Equal for what JSON cannot tell apart, however it was read and ordered; other for one other leaf."""

    def cell_id(content: Any) -> str:
        return Cell("train", content, {}, "x").id

    @settings(max_examples=examples, **QUIET)
    @given(one=SETTINGS, two=SETTINGS, leaf=PLAIN, data=st.data())
    def holds(one: Any, two: Any, leaf: Any, data: st.DataObject) -> None:
        turned = dict(data.draw(st.permutations(list(one.items()))))
        assert cell_id(turned) == cell_id(json.loads(canonical(one))) == cell_id(one)
        assert (cell_id(one) == cell_id(two)) == (json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True))
        key = data.draw(st.sampled_from(list(one)))
        other = {**one, key: leaf}
        assert (cell_id(other) == cell_id(one)) == (json.dumps(leaf) == json.dumps(one[key], sort_keys=True))
        assert cell_id({**one, f"{key}'": leaf}) != cell_id(one) or f"{key}'" in one
        assert len(dict(flatten(one))) >= 0

    holds()
    told("R18", examples, examples, "ids")


DIRAC = sorted((ROOT / "results" / "dirac" / "runs").glob("*.parquet"))[:5]
"""Small records, of real runs."""


def folder_of(place: Path, kept: Sequence[Path], planned: Sequence[Path] | None) -> Path:
    """A results folder with some records; with a manifest of those that are planned, or without one."""
    (place / records.RUNS).mkdir(parents=True)
    for path in kept:
        shutil.copy(path, place / records.RUNS)
    if planned is not None:
        frames = [records.load_run(path).iloc[0] for path in planned]
        cells = [
            {
                "cell_id": row["cell_id"],
                "settings": json.loads(row["settings"]),
                "seeds": [int(row["seed"])],
                "draw": None,
            }
            for row in frames
        ]
        told_of = {"schema_version": 1, "grid": "dirac", "cells": cells, "search": None, "published": []}
        (place / records.MANIFEST).write_text(json.dumps(told_of))
    return place


def joined(out: Path, *folders: Path) -> Path:
    sides = read_sides(folders)
    refuse_differing(pairs_of(sides))
    assert not merge(sides, (), out)
    return out


def content(folder: Path) -> tuple[dict[str, bytes], dict[str, set[int]]]:
    """The records' bytes, and the seeds of every cell."""
    manifest = json.loads((folder / records.MANIFEST).read_text())
    files = {path.name: path.read_bytes() for path in (folder / records.RUNS).glob("*.parquet")}
    return files, {cell["cell_id"]: set(cell["seeds"]) for cell in manifest["cells"]}


@pytest.mark.parametrize("examples", [3, pytest.param(2000, marks=CAMPAIGN)])
def test_results_are_put_together_in_any_order(examples: int) -> None:
    """Two by two or at once, forwards or backwards, once or twice: the same records, byte for byte, and cells."""
    some = st.lists(st.sampled_from(DIRAC), max_size=3, unique=True)
    sides = st.lists(st.tuples(some, st.booleans()), min_size=3, max_size=3)

    @settings(max_examples=examples, **QUIET)
    @given(sides=sides, data=st.data())
    def holds(sides: Any, data: st.DataObject) -> None:
        with tempfile.TemporaryDirectory() as place:
            top = Path(place)
            a, b, c = (
                folder_of(top / name, kept, kept if has_manifest or not kept else None)
                for name, (kept, has_manifest) in zip("abc", sides, strict=True)
            )
            at_once = content(joined(top / "abc", a, b, c))
            assert at_once[0] == {path.name: path.read_bytes() for kept, _ in sides for path in kept}
            assert content(joined(top / "ab-c", joined(top / "ab", a, b), c)) == at_once
            assert content(joined(top / "a-bc", a, joined(top / "bc", b, c))) == at_once
            assert content(joined(top / "turned", *data.draw(st.permutations([a, b, c])))) == at_once
            assert (
                content(joined(top / "twice", top / "abc", shutil.copytree(top / "abc", top / "again"), a)) == at_once
            )

    holds()
    told("R18", examples, examples, "merges of three folders in five ways")
