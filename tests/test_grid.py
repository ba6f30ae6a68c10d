from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import ROOT
from bench.cell import Settings, canonical
from bench.errors import UserError
from bench.experiments import EXPERIMENTS
from bench.grid import Grid, load_grid
from bench.settings import SettingError


class Anything:
    """An experiment that takes any settings, save that ``forbidden`` is refused, so that only the grid is tested."""

    name = "anything"

    def resolve(self, raw: Mapping[str, Any]) -> Settings:
        content: Settings = json.loads(json.dumps(raw))
        if "forbidden" in canonical(content):
            raise SettingError(("a", "b", "c"), "that is\nforbidden; do not")
        return content

    def sources(self, settings: Settings) -> Settings:
        return {}

    def label(self, settings: Settings) -> str:
        return "anything"


@pytest.fixture(autouse=True, scope="module")
def _anything() -> Iterator[None]:
    EXPERIMENTS["anything"] = Anything()  # type: ignore[assignment]
    yield
    del EXPERIMENTS["anything"]


class Load:
    """Loads a text as the file ``g.yaml``; a mapping as JSON, which is YAML."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "g.yaml"

    def __call__(self, content: str | Mapping[str, Any], *overrides: str, seeds: int | None = None) -> Grid:
        if not isinstance(content, str):
            content = json.dumps({"experiment": "anything", "seeds": 1, **content})
        self.path.write_text(content)
        return load_grid(self.path, overrides, seeds)

    def refusal(self, content: str | Mapping[str, Any], *overrides: str, seeds: int | None = None) -> str:
        """The one line that is said, without the folder's name."""
        start = time.perf_counter()
        with pytest.raises(UserError) as caught:
            self(content, *overrides, seeds=seeds)
        assert time.perf_counter() - start < 1
        line = str(caught.value)
        assert line.isprintable()
        assert len(line) < 600
        return line.replace(f"{self.path.parent}/", "")


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    return Load(tmp_path_factory.mktemp("grids"))


def found(grid: Grid) -> list[Any]:
    return [cell.settings for cell in grid.cells]


# Expansion


def test_lists_multiply_and_blocks_in_lists_multiply_alone(load: Load) -> None:
    grid = load(
        """
        experiment: anything
        description: two lines
          of text
        seeds: 2
        steps: 100
        critic: {name: mlp, depth: [2, 3], width: 64}
        objective:
          - minimax
          - {name: wgan_clip, clip: [0.01, 0.1]}
        widths: [[64, 32], [128]]
        """
    )
    objectives = ["minimax", {"name": "wgan_clip", "clip": 0.01}, {"name": "wgan_clip", "clip": 0.1}]
    assert found(grid) == [
        {"steps": 100, "critic": {"name": "mlp", "depth": d, "width": 64}, "objective": o, "widths": w}
        for d in (2, 3)
        for o in objectives
        for w in ([64, 32], [128])
    ]
    assert grid.name == "g"
    assert grid.description == "two lines of text"
    assert grid.seeds == (0, 1)
    assert [run.id for run in grid.runs()] == [f"{cell.id}-s{seed}" for cell in grid.cells for seed in (0, 1)]
    assert grid.source == grid.path.read_text()


def test_a_union_unites_products(load: Load) -> None:
    grid = load(
        {
            "steps": 100,
            "dataset": {"name": "ring", "modes": 8, "std": 0.1},
            "objective": ["minimax", {"name": "wgan_clip", "clip": [1, 2]}],
            "union": [
                {"steps": 5, "dataset": {"modes": [16, 32]}, "objective": "minimax"},
                {"dataset": {"name": "grid", "std": 0.2}, "objective": {"critic_steps": 3}},
                {"dataset": "ring", "objective": ["a", "b"]},
                {"experiment": "anything", "dataset": "digits", "objective": {"name": "c"}},
            ],
        }
    )
    ring = {"name": "ring", "modes": 8, "std": 0.1}
    grid_set = {"name": "grid", "std": 0.2}
    assert found(grid) == [
        {"steps": 5, "dataset": {**ring, "modes": 16}, "objective": "minimax"},
        {"steps": 5, "dataset": {**ring, "modes": 32}, "objective": "minimax"},
        {"steps": 100, "dataset": grid_set, "objective": {"name": "minimax", "critic_steps": 3}},
        {"steps": 100, "dataset": grid_set, "objective": {"name": "wgan_clip", "clip": 1, "critic_steps": 3}},
        {"steps": 100, "dataset": grid_set, "objective": {"name": "wgan_clip", "clip": 2, "critic_steps": 3}},
        {"steps": 100, "dataset": ring, "objective": "a"},
        {"steps": 100, "dataset": ring, "objective": "b"},
        {"steps": 100, "dataset": "digits", "objective": {"name": "c"}},
    ]


WORDS = st.sampled_from(["a", "b", "c", "d", "e"])
SCALARS = st.integers(0, 9) | WORDS | st.booleans()
LITERALS = st.lists(SCALARS, max_size=3)


def unique(items: Any) -> Any:
    return st.lists(items, min_size=1, max_size=3, unique_by=canonical)


NODES = st.recursive(
    SCALARS,
    lambda inner: (
        st.dictionaries(WORDS, inner, max_size=3) | unique((inner.filter(lambda n: not isinstance(n, list))) | LITERALS)
    ),
    max_leaves=8,
)
BLOCKS = st.dictionaries(WORDS, NODES, max_size=4)


def size(node: Any) -> int:
    if isinstance(node, list):
        return sum(1 if isinstance(item, list) else size(item) for item in node)
    return math.prod(map(size, node.values())) if isinstance(node, dict) else 1


def stands_for(node: Any, value: Any) -> bool:
    """Is the value one of those that the node stands for?"""
    if isinstance(node, list):
        return any(
            canonical(item) == canonical(value) if isinstance(item, list) else stands_for(item, value) for item in node
        )
    if isinstance(node, dict):
        return (
            isinstance(value, dict) and node.keys() == value.keys() and all(stands_for(node[k], value[k]) for k in node)
        )
    return canonical(node) == canonical(value)


def ids(load: Load, content: Mapping[str, Any], *overrides: str) -> set[str]:
    return {cell.id for cell in load(content, *overrides).cells}


def ambiguous(block: Any) -> bool:
    """Do two items of one list stand for a common value? Such a grid is refused."""
    if isinstance(block, dict):
        return any(map(ambiguous, block.values()))
    if not isinstance(block, list):
        return False
    blocks = [item for item in block if isinstance(item, dict)]
    return len(blocks) > 1 or any(map(ambiguous, blocks))


FAST = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)


@given(block=BLOCKS.filter(lambda b: not ambiguous(b)))
@FAST
def test_cells_are_all_that_a_file_stands_for(load: Load, block: dict[str, Any]) -> None:
    grid = load(block)
    assert len(grid.cells) == size(block)
    assert len({cell.id for cell in grid.cells}) == len(grid.cells)
    assert all(stands_for(block, cell.settings) for cell in grid.cells)


@given(block=BLOCKS.filter(lambda b: not ambiguous(b)), seed=st.integers(0, 99))
@FAST
def test_ids_do_not_depend_on_order(load: Load, block: dict[str, Any], seed: int) -> None:
    shuffle = random.Random(seed)

    def shuffled(node: Any, literal: bool = False) -> Any:
        if isinstance(node, dict):
            return {key: shuffled(node[key]) for key in shuffle.sample(list(node), len(node))}
        if isinstance(node, list) and not literal:
            return [shuffled(item, True) for item in shuffle.sample(node, len(node))]
        return node

    assert ids(load, block) == ids(load, shuffled(block))


@given(block=BLOCKS.filter(lambda b: not ambiguous(b)), key=WORDS, values=unique(SCALARS))
@FAST
def test_a_list_is_a_union_of_its_items(load: Load, block: dict[str, Any], key: str, values: list[Any]) -> None:
    block = {k: v for k, v in block.items() if k != key}
    whole = ids(load, {**block, key: values})
    assert whole == ids(load, {**block, "union": [{key: value} for value in values]})
    assert whole == set().union(*(ids(load, {**block, key: value}) for value in values))


@given(block=BLOCKS.filter(lambda b: not ambiguous(b)), path=st.lists(WORDS, min_size=1, max_size=3), value=SCALARS)
@FAST
def test_an_override_is_an_edit(load: Load, block: dict[str, Any], path: list[str], value: Any) -> None:
    edited = json.loads(json.dumps(block))
    node = edited
    for key in path[:-1]:
        beneath = node.setdefault(key, {})
        if isinstance(beneath, str):
            node[key] = {"name": beneath}
        elif not isinstance(beneath, dict):
            node[key] = {} if not isinstance(beneath, list) else None
        node = node[key]
        if node is None:
            return  # over a list: shown elsewhere by example
    if isinstance(value, str) and isinstance(node.get(path[-1]), dict):
        return  # a word over a block: likewise
    node[path[-1]] = value
    override = f"{'.'.join(path)}={json.dumps(value)}"
    assert ids(load, block, override) == ids(load, edited) == ids(load, block, override, override)


def test_overrides_in_all_forms(load: Load) -> None:
    base: dict[str, Any] = {
        "steps": 100,
        "dataset": {"name": "ring", "modes": 8},
        "objective": ["minimax", {"name": "wgan_clip", "critic_steps": 5, "optimizer": {"name": "adam", "lr": 1}}],
    }
    forms: dict[str, dict[str, Any]] = {
        "steps=5": {"steps": 5},
        "steps = 5": {"steps": 5},
        "steps=1e-4": {"steps": 1e-4},
        "steps='5'": {"steps": "5"},
        "steps=null": {"steps": None},
        "steps=a=b": {"steps": "a=b"},
        "evaluate.emd_n=500": {"evaluate": {"emd_n": 500}},
        "dataset=grid": {"dataset": "grid"},
        "dataset=ring": {},
        "dataset.name=grid": {"dataset": {"name": "grid"}},
        "dataset.modes=9": {"dataset": {"name": "ring", "modes": 9}},
        "dataset={modes: 9}": {"dataset": {"name": "ring", "modes": 9}},
        "dataset={name: grid, side: 3}": {"dataset": {"name": "grid", "side": 3}},
    }
    for override, expected in forms.items():
        cells = found(load({**base, "objective": "minimax"}, override))
        assert cells == [{**base, "objective": "minimax", **expected}], override
    assert [cell["steps"] for cell in found(load({**base, "objective": "a"}, "steps=[10, 20]"))] == [10, 20]
    assert [cell["steps"] for cell in found(load({**base, "objective": "a"}, "steps=1", "steps=2"))] == [2]
    clip = {"name": "wgan_clip", "critic_steps": 5, "optimizer": {"name": "adam", "lr": 1}}
    for override, objectives in {
        "objective=[a, b]": ["a", "b"],
        "objective.critic_steps=1": [{"name": "minimax", "critic_steps": 1}, {**clip, "critic_steps": 1}],
        # of the grid's setting and of an objective's own the latter wins, so both are overridden
        "critic_steps=1": ["minimax", {**clip, "critic_steps": 1}],
        "optimizer.lr=2": ["minimax", {**clip, "optimizer": {"name": "adam", "lr": 2}}],
        "optimizer=rmsprop": ["minimax", {**clip, "optimizer": "rmsprop"}],
    }.items():
        assert [cell["objective"] for cell in found(load(base, override))] == objectives, override
    bare = {"name": "wgan_clip", "clip": 1}
    assert [cell["objective"] for cell in found(load({**base, "objective": bare}, "critic_steps=1"))] == [bare]
    one = {**base, "objective": clip}
    assert [cell["objective"] for cell in found(load(one, "critic_steps=1"))] == [{**clip, "critic_steps": 1}]


def test_an_override_meets_every_block_of_a_union(load: Load) -> None:
    content = {"a": 1, "union": [{"a": 2, "b": 1}, {"b": {"c": 3}}]}
    assert found(load(content, "a=7")) == [{"a": 7, "b": 1}, {"a": 7, "b": {"c": 3}}]
    assert found(load(content, "b=0")) == [{"a": 2, "b": 0}, {"a": 1, "b": 0}]


def test_cells_that_an_override_made_equal_are_one(load: Load) -> None:
    content = {"union": [{"a": 1}, {"a": 2}]}
    assert found(load(content, "a=7")) == [{"a": 7}]


def test_seeds(load: Load) -> None:
    assert load({"seeds": 3}).seeds == (0, 1, 2)
    assert load({"seeds": [7, 3]}).seeds == (7, 3)
    assert load({"seeds": [7, 3]}, seeds=2).seeds == (0, 1)
    assert load({"seeds": 3}, "seeds=[5, 6]").seeds == (5, 6)
    assert load({"seeds": 3, "union": [{"a": 1}, {"a": 2}]}, "seeds=4").seeds == (0, 1, 2, 3)
    assert load("experiment: anything\na: 1", seeds=1).seeds == (0,)


# Refusals by the grid


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"a": []}, "g.yaml:1: a: an empty list; give it a value or remove it"),
        ({"a": {"b": [{"c": []}]}}, "g.yaml:1: a.b.c: an empty list; give it a value or remove it"),
        ({"a": [2, 3, 2]}, "g.yaml:1: a: 2 is written twice; keep one"),
        (
            "seeds: 1\nexperiment: anything\na:\n- {b: 1}\n- {b: 1}",
            "g.yaml:5: a: {'b': 1} is written twice, first at g.yaml:4; keep one",
        ),
        ({"a": {"b": [[1], [1]]}}, "g.yaml:1: a.b: [1] is written twice; keep one"),
        (
            "seeds: 1\nexperiment: anything\na:\n- {b: 1}\n- {b: [2, 1]}",
            "g.yaml:5: a.b: 1 gives the same cell as 1 at g.yaml:4; keep one",
        ),
        (
            {"union": [{"a": 1}, {"a": [2, 1]}]},
            "g.yaml:1: settings: this gives the same cell as this at g.yaml:1; keep one",
        ),
        (
            "seeds: 1\nexperiment: anything\nunion:\n- {a: 1}\n- {a: [2, 1]}",
            "g.yaml:5: a: 1 gives the same cell as 1 at g.yaml:4; keep one",
        ),
        ({"union": []}, "g.yaml:1: union: a list of blocks belongs here; write one block of settings an item"),
        ({"union": {"a": 1}}, "g.yaml:1: union: a list of blocks belongs here; write one block of settings an item"),
        ({"union": None}, "g.yaml:1: union: a list of blocks belongs here; write one block of settings an item"),
        ({"union": ["a"]}, "g.yaml:1: union: an item is a block of settings, not a; write `- {key: value}`"),
        ({"union": [{"seeds": 1}]}, "g.yaml:1: union.seeds: belongs to the whole grid; move it out of the union"),
        ({"union": [{"union": 1}]}, "g.yaml:1: union.union: belongs to the whole grid; move it out of the union"),
        ({"description": ["a"]}, "g.yaml:1: description: a text belongs here; put it in quotes"),
        ({"experiment": "anythin"}, "g.yaml:1: experiment: unknown experiment 'anythin'; did you mean 'anything'?"),
        ({"experiment": ["train"]}, "g.yaml:1: experiment: unknown experiment ['train']; did you mean 'train'?"),
        ({"seeds": 0}, "g.yaml:1: seeds: 0 is not a number of seeds; write one from 1 to 1,000,000"),
        ({"seeds": -1}, "g.yaml:1: seeds: -1 is not a number of seeds; write one from 1 to 1,000,000"),
        ({"seeds": True}, "g.yaml:1: seeds: True is not a number of seeds; write one from 1 to 1,000,000"),
        ({"seeds": 2.0}, "g.yaml:1: seeds: 2.0 is not a number of seeds; write one from 1 to 1,000,000"),
        ({"seeds": "8"}, "g.yaml:1: seeds: '8' is not a number of seeds; write one from 1 to 1,000,000"),
        ({"seeds": None}, "g.yaml:1: seeds: None is not a number of seeds; write one from 1 to 1,000,000"),
        ({"seeds": 10**9}, "g.yaml:1: seeds: 1000000000 is not a number of seeds; write one from 1 to 1,000,000"),
        ({"seeds": []}, "g.yaml:1: seeds: an empty list; write how many, `seeds: 8`, or which, `seeds: [0, 1]`"),
        ({"seeds": [1, -1]}, "g.yaml:1: seeds: -1 is not a seed; write whole numbers from 0"),
        ({"seeds": [1, True]}, "g.yaml:1: seeds: True is not a seed; write whole numbers from 0"),
        ({"seeds": [[1]]}, "g.yaml:1: seeds: [1] is not a seed; write whole numbers from 0"),
        ({"seeds": [1, 2, 1]}, "g.yaml:1: seeds: 1 is written twice; keep one"),
        ("seeds: [1,\n 2,\n 1]", "g.yaml:3: seeds: 1 is written twice, first at g.yaml:1; keep one"),
        ("a: 1", "g.yaml:1: seeds: missing; write how many, `seeds: 8`, or which, `seeds: [0, 1]`"),
        ("", "g.yaml:1: nothing in it; write settings, one `key: value` a line"),
    ],
)
def test_the_grid_refuses(load: Load, content: str | Mapping[str, Any], line: str) -> None:
    assert load.refusal(content) == line


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("steps", "not a setting; write key=value, as in --set evaluate.n=1000"),
        ("steps=", "not a setting; write key=value, as in --set evaluate.n=1000"),
        ("=3", "not a setting; write key=value, as in --set evaluate.n=1000"),
        ("a..b=3", "not a setting; write key=value, as in --set evaluate.n=1000"),
        ("a.0=3", "not a setting; write key=value, as in --set evaluate.n=1000"),
        ("../a=3", "not a setting; write key=value, as in --set evaluate.n=1000"),
        ("a.b.c.d.e.f.g.h.i.j.k=3", "not a setting; write key=value, as in --set evaluate.n=1000"),
        ("union=[]", "union: cannot be set from outside; set the settings in it"),
        ("a=[]", "a: an empty list; give it a value or remove it"),
        ("a=[1, 1]", "a: 1 is written twice; keep one"),
        ("seeds=0", "seeds: 0 is not a number of seeds; write one from 1 to 1,000,000"),
        ("experiment=anythin", "experiment: unknown experiment 'anythin'; did you mean 'anything'?"),
        ("description=3", "description: a text belongs here; put it in quotes"),
        ("a=2020-01-01", "2020-01-01 is a date, and no setting is; quote it if a text is meant"),
        ("a=!!python/name:os.system", "tags (!) are not read; write a plain value"),
        ("a=&x [*x]", "anchors (&) and aliases (*) are not read; write the value out"),
    ],
)
def test_overrides_are_refused(load: Load, override: str, line: str) -> None:
    assert load.refusal({"a": 1}, override) == f"--set {override}: {line}"


def test_seeds_from_the_command_line_are_refused(load: Load) -> None:
    for seeds in (0, -3, 10**7):
        words = f"{seeds} is not a number of seeds; write one from 1 to 1,000,000"
        assert load.refusal({}, seeds=seeds) == f"--seeds {seeds}: {words}"


def test_the_line_of_a_refused_setting_is_found(load: Load) -> None:
    """The refusal names a.b.c; the deepest of them that is written, wherever it was written, gives the line."""
    head = "seeds: 1\nexperiment: anything\nd: forbidden\n"
    words = "a.b.c: 'that is\\nforbidden; do not'"
    for text, overrides, place in [
        ("e: 1", [], "g.yaml:1"),
        ("e: 1", ["f=2"], "g.yaml:1"),
        ("a: 1", [], "g.yaml:4"),
        ("a:\n  x: 1\n  b: 2", [], "g.yaml:6"),
        ("a:\n  b: {c:\n    2}", [], "g.yaml:5"),
        ("a:\n  b:\n    c:\n    - 1\n    - 2", [], "g.yaml:7"),
        ("a:\n- x\n- b: 1", [], "g.yaml:5"),
        ("a: {b: 1}\nunion:\n- a:\n    x: 1\n- a: {b: 3}", [], "g.yaml:4"),
        ("a: {x: 1}\nunion:\n- a:\n    b: 1\n- a: {b: 3}", [], "g.yaml:7"),
        ("a: {b: {c: 1}}", ["a.b.c=3"], "--set a.b.c=3"),
        ("a: {b: {c: 1}}", ["a={x: 3}"], "g.yaml:4"),
        ("a: {b: {c: 1}}", ["e=3"], "g.yaml:4"),
    ]:
        assert load.refusal(head + text, *overrides) == f"{place}: {words}", text


def test_a_value_that_is_refused_is_met_before_the_product_is_walked(load: Load) -> None:
    numbers = list(range(90))
    assert load.refusal({"z": [*range(10), "forbidden"], "x": numbers, "y": numbers}).startswith("g.yaml:1: a.b.c: ")
    union = [{"a": n, "x": numbers, "y": numbers} for n in range(9)]
    assert load.refusal({"union": [*union, {"a": "forbidden"}]}).startswith("g.yaml:1: a.b.c: ")


@pytest.mark.parametrize(("keys", "size"), [(3, 1000), (4, 1000), (40, 100), (600, 3)])
def test_the_product_is_counted_before_it_is_walked(load: Load, keys: int, size: int) -> None:
    """10^9, 10^12, 10^80 and 10^286 cells."""
    content = {f"k{key}": list(range(size)) for key in range(keys)}
    count = f"{size**keys:,}" if keys < 5 else f"over 10^{int(keys * math.log10(size))}"
    cells = f"{count} cells x 1 seeds are more than 1,000,000 runs"
    assert load.refusal(content) == (
        f"g.yaml:1: k0: {cells}; shorten the lists, of which this is the longest ({size:,})"
    )
    for hidden in ({"a": {"b": [content]}}, {"union": [{"a": 1}, content]}):
        assert cells.split(" ", 1)[1] in load.refusal(hidden)


def test_seeds_count(load: Load) -> None:
    content = {"a": list(range(1000)), "seeds": 1001}
    assert "a: 1,000 cells x 1,001 seeds are more than 1,000,000 runs; " in load.refusal(content)


@pytest.mark.parametrize(
    "stem", ["..a", ".hidden", "a b", "a\nb", "a\x1b[31m", "é", "x" * 65, "\u202eb", "a;b", "~", "a:b"]
)
def test_names_that_would_not_do_as_folders_are_refused(tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.yaml"
    path.write_text("experiment: anything\nseeds: 1")
    with pytest.raises(UserError) as caught:
        load_grid(path)
    assert str(caught.value).isprintable()
    assert str(caught.value).endswith(
        ": the file's name becomes the grid's; use letters, digits, . _ and - (64 at most)"
    )


# The twelve mistakes that are most likely, as commands

GOOD = """\
seeds: 8
steps: 100
dataset: ring
objective: [minimax, non_saturating]
critic: {name: mlp, depth: 2, width: 64}
"""

THOUSAND = ", ".join(map(str, range(1, 1001)))

MISTAKES = {
    "misspelt key": (
        GOOD + "dics_iters: 5",
        "bad.yaml:6: dics_iters: unknown setting 'dics_iters'; did you mean 'critic_steps'?",
    ),
    "unknown objective": (
        GOOD.replace("minimax", "wgan-gp"),
        "bad.yaml:4: objective.name: unknown objective 'wgan-gp'; did you mean 'wgan_gp'?",
    ),
    "unknown data set": (
        GOOD.replace("ring", "rings"),
        "bad.yaml:3: dataset.name: unknown data set 'rings'; did you mean 'ring'?",
    ),
    "number in quotes": (
        GOOD + 'critic_optimizer:\n  lr: "1e-4"',
        "bad.yaml:7: critic_optimizer.lr: input should be a valid number, not '1e-4'; "
        "numbers are written without quotes",
    ),
    "duplicate key": (GOOD + "steps: 200", "bad.yaml:6: steps: written before, at bad.yaml:2; keep one"),
    "empty list": (
        GOOD.replace("[minimax, non_saturating]", "[]"),
        "bad.yaml:4: objective: an empty list; give it a value or remove it",
    ),
    "negative std": (
        GOOD.replace("ring", "\n  - name: ring\n    std: -0.02"),
        "bad.yaml:5: dataset.std: std must be a number between 1e-12 and 1e12, not -0.02",
    ),
    "10^9 cells": (
        GOOD.replace("steps: 100", f"steps: [{THOUSAND}]").replace("width: 64", f"width: [{THOUSAND}]")
        + f"batch_size: [{THOUSAND}]",
        "bad.yaml:2: steps: 2,000,000,000 cells x 8 seeds are more than 1,000,000 runs; "
        "shorten the lists, of which this is the longest (1,000)",
    ),
    "tab": (GOOD + "generator:\n\tdepth: 3", "bad.yaml:7: a tab in the indentation; indent with spaces"),
    "setting that the objective lacks": (
        GOOD.replace("minimax", "{name: wgan_gp, lamba: 10}"),
        "bad.yaml:4: objective.lamba: wgan_gp has no setting 'lamba'; did you mean 'penalty_weight'?",
    ),
    "list where a block belongs": (
        GOOD + "evaluate:\n  - 12\n  - 2500",
        "bad.yaml:7: evaluate: a block of settings belongs here, not 12; write {key: value}",
    ),
    "missing file": (None, "bad.yaml: no such file; did you mean 'bed.yaml'?"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path, mistake: str) -> None:
    text, line = MISTAKES[mistake]
    (tmp_path / ("bed.yaml" if text is None else "bad.yaml")).write_text(text or GOOD)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "bench", "run", "--grid", "bad.yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    print(f"{time.perf_counter() - start:.2f} s")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"bench: {line}\n")
    assert len(list(tmp_path.iterdir())) == 1, "a mistake leaves nothing behind"


def test_the_good_grid_of_the_mistakes_is_good(load: Load) -> None:
    assert len(load(GOOD).cells) == 2


# Real settings


def test_an_objective_carries_its_own_settings(load: Load) -> None:
    text = """
    seeds: 1
    dataset: ring
    critic_steps: 2
    objective:
      - minimax
      - {name: wgan_clip, clip: [0.01, 0.1], critic_steps: 5, optimizer: {name: rmsprop, lr: 5.0e-5}}
    """
    cells = found(load(text))
    assert [(c["objective"], c["hparams"], c["critic_steps"]) for c in cells] == [
        ("minimax", {}, 2),
        ("wgan_clip", {"clip": 0.01}, 5),
        ("wgan_clip", {"clip": 0.1}, 5),
    ]
    assert cells[1]["critic_optimizer"]["name"] == cells[1]["generator_optimizer"]["name"] == "rmsprop"
    assert [c["critic_steps"] for c in found(load(text, "critic_steps=3"))] == [3, 3, 3]
    cells = found(load(text, "critic_optimizer.lr=1"))
    assert [c["critic_optimizer"]["lr"] for c in cells] == [1, 1, 1]
    assert cells[1]["generator_optimizer"]["lr"] == 5e-5


def test_a_default_that_is_spelt_out_makes_no_other_cell(load: Load) -> None:
    head = "seeds: 1\ndataset: ring\nobjective: minimax\nunion:\n"
    blocks = ["- {batch_size: 64}\n", "- {batch_size: 64, critic_steps: 1}\n"]
    assert load.refusal(head + blocks[0] + blocks[1]) == (
        "g.yaml:6: critic_steps: 1 gives the same cell as its default at g.yaml:5; keep one"
    )
    assert load.refusal(head + blocks[1] + blocks[0]) == (
        "g.yaml:6: critic_steps: its default gives the same cell as 1 at g.yaml:5; keep one"
    )


@pytest.mark.parametrize(
    "word",
    [
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "torch.load",
        "../../x",
        "/etc/passwd",
        "..",
        "~",
        "minimax/",
        "a" * 300,
    ],
)
def test_only_registered_names_are_taken(load: Load, word: str) -> None:
    for content in (
        {"objective": word, "dataset": "ring"},
        {"objective": "minimax", "dataset": word},
        {"objective": "minimax", "dataset": "ring", "critic": word},
        {"objective": "minimax", "dataset": "ring", "optimizer": word},
        {"objective": "minimax", "dataset": "ring", "experiment": word},
        {"objective": "minimax", "dataset": "ring", "objective_": {"_target_": word}},
        {"objective": {"name": "minimax", "_target_": word}, "dataset": "ring"},
    ):
        assert load.refusal({"experiment": "train", **content}).startswith("g.yaml:1: ")


@pytest.mark.parametrize("path", sorted((ROOT / "grids").rglob("*.yaml")), ids=lambda path: path.stem)
def test_grids_of_the_project_are_good(path: Path) -> None:
    grid = load_grid(path)
    assert grid.cells
    assert grid.description


def test_12_500_cells_are_expanded_in_seconds(load: Load) -> None:
    tens = [number / 100 for number in range(1, 11)]
    content = {
        "experiment": "train",
        "seeds": 8,
        "steps": [100, 200, 300, 400, 500],
        "dataset": "ring",
        "objective": {"name": "wgan_clip", "clip": tens},
        "generator": {"name": "mlp", "depth": [1, 2, 3, 4, 5], "width": [8, 16, 32, 64, 128]},
        "critic": {"name": "mlp", "width": list(range(1, 11))},
    }
    start = time.perf_counter()
    grid = load(content)
    print(f"{len(grid.cells)} cells in {time.perf_counter() - start:.2f} s")
    assert len({run.id for run in grid.runs()}) == 100_000


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, bench.grid; print(*{'torch', 'numpy', 'pandas', 'scipy', 'ot', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
