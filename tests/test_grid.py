from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import time
from collections import Counter
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
from bench.networks.mlp import Mlp
from bench.optim import Adam
from bench.published import Published
from bench.search import Search, uniform
from bench.settings import SettingError
from datasets.ring import Ring


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


# Draws


def test_a_point_with_draws_is_one_cell_a_draw_and_a_point_without_is_one(load: Load) -> None:
    grid = load(
        """
        experiment: anything
        search: {settings: 3, seed: 5}
        seeds: 2
        a: [1, {b: {log_uniform: [0.1, 10]}}]
        c: [x, {choice: [y, z]}]
        """
    )
    b, c = ([uniform(5, index, path) for index in range(3)] for path in ("a.b", "c"))
    drawn_b = [float(f"{0.1 * 100**u:.6g}") for u in b]
    drawn_c = ["y" if u < 0.5 else "z" for u in c]
    assert drawn_c == ["y", "z", "z"], "else this test shows nothing of merging"
    assert found(grid) == [
        {"a": 1, "c": "x"},
        {"a": 1, "c": "y"},
        {"a": 1, "c": "z"},
        *({"a": {"b": b}, "c": "x"} for b in drawn_b),
        *({"a": {"b": b}, "c": c} for b, c in zip(drawn_b, drawn_c, strict=True)),
    ]
    assert grid.search == Search(settings=3, seed=5)
    indices = [None, 0, 1, 0, 1, 2, 0, 1, 2]
    assert [grid.draws.get(cell.id) for cell in grid.cells] == indices
    assert len(grid.runs()) == 2 * len(grid.cells)


def test_settings_of_one_path_share_their_draws(load: Load) -> None:
    grid = load(
        {
            "search": {"settings": 5},
            "objective": [
                {"name": "a", "lr": {"log_uniform": [1, 100]}, "clip": {"uniform": [0, 1]}},
                {"name": "b", "lr": {"log_uniform": [1, 100]}},
                {"name": "c", "lr": {"log_uniform": [1, 10]}},
            ],
        }
    )
    a, b, c = (
        [cell.settings["objective"]["lr"] for cell in grid.cells if cell.settings["objective"]["name"] == name]
        for name in "abc"
    )
    assert a == b
    assert [math.sqrt(lr) for lr in a] == pytest.approx(c, rel=1e-5)
    assert len(set(a)) == 5
    assert [grid.draws[cell.id] for cell in grid.cells] == [0, 1, 2, 3, 4] * 3


DRAWS = (
    st.tuples(st.sampled_from(["uniform", "log_uniform"]), st.floats(0.001, 1), st.floats(2, 1000)).map(
        lambda drawn: {drawn[0]: [drawn[1], drawn[2]]}
    )
    | unique(SCALARS).map(lambda items: {"choice": items})
)  # fmt: skip
SEARCHED = st.dictionaries(WORDS, st.dictionaries(WORDS, SCALARS | DRAWS, max_size=3) | DRAWS, max_size=4)


@given(block=SEARCHED, most=st.integers(1, 12), fewer=st.integers(1, 12), seed=st.integers(0, 9))
@FAST
def test_a_search_with_more_settings_contains_the_smaller(
    load: Load, block: dict[str, Any], most: int, fewer: int, seed: int
) -> None:
    block = {"z": {"uniform": [0, 1]}, **block, "search": {"settings": most, "seed": seed}}
    fewer = min(fewer, most)
    large, small = load(block), load(block, f"search.settings={fewer}")
    assert [large.draws[cell.id] for cell in large.cells] == list(range(most))
    assert [cell.id for cell in small.cells] == [cell.id for cell in large.cells][:fewer]
    assert small.draws == {name: index for name, index in large.draws.items() if index < fewer}
    assert small.search == Search(settings=fewer, seed=seed)


@given(block=SEARCHED)
@FAST
def test_draws_do_not_depend_on_the_order_of_keys(load: Load, block: dict[str, Any]) -> None:
    search = {"search": {"seed": 1, "settings": 4}}
    block = {"z": {"uniform": [0, 1]}, **block}
    turned = {
        key: dict(reversed(value.items())) if isinstance(value, dict) else value
        for key, value in reversed(block.items())
    }
    one, other = load({**search, **block}), load({**turned, **search})
    assert one.draws == other.draws
    assert [cell.id for cell in one.cells] == [cell.id for cell in other.cells]


@given(block=SEARCHED)
@FAST
def test_drawn_values_are_what_the_file_allows(load: Load, block: dict[str, Any]) -> None:
    def allowed(node: Any, value: Any) -> bool:
        if isinstance(node, dict) and node.keys() & {"uniform", "log_uniform"}:
            ((low, high),) = node.values()
            return type(value) is float and low <= value <= high
        if isinstance(node, dict) and "choice" in node:
            return any(canonical(item) == canonical(value) for item in node["choice"])
        if isinstance(node, dict):
            return node.keys() == value.keys() and all(allowed(node[key], value[key]) for key in node)
        return canonical(node) == canonical(value)

    block = {"z": {"uniform": [0, 1]}, **block}
    assert all(allowed(block, cell.settings) for cell in load({**block, "search": {"settings": 9}}).cells)


def test_overrides_of_a_search(load: Load) -> None:
    lr = {"log_uniform": [1, 100]}
    content = {"search": {"settings": 4}, "steps": 100, "lr": lr}
    whole = found(load(content))
    assert found(load(content, "search.settings=2")) == whole[:2]
    assert found(load(content, "search={settings: 4}")) == whole
    assert not {cell["lr"] for cell in found(load(content, "search.seed=1"))} & {cell["lr"] for cell in whole}
    assert found(load(content, "steps=5")) == [{**cell, "steps": 5} for cell in whole]
    assert [cell["lr"] for cell in found(load(content, "lr={uniform: [1, 100]}"))] == pytest.approx(
        [1 + 99 * math.log(cell["lr"], 100) for cell in whole], rel=1e-4
    )
    undrawn = load(content, "lr=3")
    assert found(undrawn) == [{"steps": 100, "lr": 3}]
    assert (undrawn.search, undrawn.draws) == (None, {})
    assert found(load({"lr": 1, "search": {"settings": 4}, "steps": 100}, "lr.log_uniform=[1, 100]")) == whole
    assert found(load({"lr": {"x": 1}, "steps": 100}, "lr.log_uniform=[1, 2]", "lr=5")) == [{"steps": 100, "lr": 5}]


def test_overrides_are_laid_over_the_components_of_a_choice(load: Load) -> None:
    content = {
        "search": {"settings": 20},
        "objective": {"choice": ["a", {"name": "b", "critic_steps": 5}]},
        "lr": {"choice": [1, 2]},
    }
    forms: dict[str, list[Any]] = {
        "objective.clip=3": [{"name": "a", "clip": 3}, {"name": "b", "critic_steps": 5, "clip": 3}],
        "critic_steps=3": ["a", {"name": "b", "critic_steps": 3}],
        "objective={name: b, clip: 3}": [{"name": "b", "clip": 3}],
        "lr.a=3": ["a", {"name": "b", "critic_steps": 5}],
    }
    for override, components in forms.items():
        objectives = {canonical(cell["objective"]) for cell in found(load(content, override))}
        assert objectives == set(map(canonical, components)), override
    chosen = [canonical(cell["objective"]) for cell in found(load({**content, "lr": {"uniform": [0, 1]}}))]
    laid = [cell["objective"] for cell in found(load({**content, "lr": {"uniform": [0, 1]}}, "objective.clip=3"))]
    assert [objective["name"] == "a" for objective in laid] == [text == '"a"' for text in chosen]


def test_a_union_may_draw_in_some_of_its_blocks(load: Load) -> None:
    grid = load(
        {
            "search": {"settings": 2},
            "lr": 1,
            "union": [{"arm": "reference"}, {"arm": "tuned", "lr": {"uniform": [2, 3]}}],
        }
    )
    lrs = [float(f"{2 + uniform(0, index, 'lr'):.6g}") for index in range(2)]
    assert found(grid) == [{"arm": "reference", "lr": 1}, *({"arm": "tuned", "lr": lr} for lr in lrs)]


def test_equal_draws_are_one_cell(load: Load) -> None:
    grid = load({"search": {"settings": 50}, "a": {"choice": [1, 2, 3]}})
    first = [int(3 * uniform(0, index, "a")) + 1 for index in range(50)]
    assert found(grid) == [{"a": value} for value in dict.fromkeys(first)]
    assert list(grid.draws.values()) == [first.index(value) for value in dict.fromkeys(first)]
    for other in ([1, 3], [2, 3]):  # equal at one index, and at two
        overlapping = {"search": {"settings": 50}, "a": [{"choice": [1, 2]}, {"choice": other}, 3]}
        assert sorted(cell["a"] for cell in found(load(overlapping))) == [1, 2, 3]


def test_points_with_draws_that_are_named_twice_are_refused(load: Load) -> None:
    head = "seeds: 1\nexperiment: anything\nsearch: {settings: 2}\na: {uniform: [0, 1]}\nunion:\n"
    assert load.refusal(f"{head}- {{b: 1}}\n- {{b: [2, 1]}}") == (
        "g.yaml:7: b: 1 gives the same cell as 1 at g.yaml:6; keep one"
    )


SEARCH = {"search": {"settings": 4, "seed": 0}, "a": {"b": {"uniform": [0, 1]}}}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            {"search": None},
            "a.b: drawn at random; say how often: add `search: {settings: 128, seed: 0}`",
        ),
        (
            {"a": 1},
            "search: nothing is drawn; write a draw, as `lr: {log_uniform: [1.0e-5, 1.0e-2]}`, or remove it",
        ),
        ({"search": 4}, "search: a block of settings belongs here, not 4; write {key: value}"),
        ({"search": [4]}, "search: a block of settings belongs here, not [4]; write {key: value}"),
        ({"search": {"seed": 0}}, "search.settings: missing; it has no default"),
        ({"search": {"settings": 4, "sed": 0}}, "search.sed: unknown setting 'sed'; did you mean 'seed'?"),
        ({"search": {"settings": 0}}, "search.settings: input should be greater than or equal to 1, not 0"),
        ({"search": {"settings": 10**6}}, "search.settings: input should be less than or equal to 100000, not 1000000"),
        ({"search": {"settings": 2.0}}, "search.settings: input should be a valid integer, not 2.0"),
        ({"search": {"settings": [2, 4]}}, "search.settings: input should be a valid integer, not [2, 4]"),
        ({"search": {"settings": 2, "seed": -1}}, "search.seed: input should be greater than or equal to 0, not -1"),
        ({"union": [{"search": {"settings": 2}}]}, "union.search: belongs to the whole grid; move it out of the union"),
        ({"a": {"uniform": [1, 0]}}, "a: uniform: the first number is the lower one, not [1, 0]; write [low, high]"),
        ({"a": {"choice": [1, 2, 1]}}, "a: 1 is written twice; keep one"),
        ({"a": {"choice": [{"b": []}]}}, "a.b: an empty list; give it a value or remove it"),
        (
            {"search": {"settings": 10**5}, "seeds": 11},
            "search: 100,000 cells x 11 seeds are more than 1,000,000 runs; draw fewer settings than 100,000",
        ),
        (
            {"c": list(range(1000)), "d": list(range(1000))},
            "c: 4,000,000 cells x 1 seeds are more than 1,000,000 runs; "
            "shorten the lists, of which this is the longest (1,000)",
        ),
        ({"seeds": {"uniform": [1, 2]}}, None),
        ({"experiment": {"choice": ["train"]}}, None),
        ({"description": {"choice": ["a", "b"]}}, None),
    ],
)
def test_a_search_that_cannot_be_is_refused(load: Load, content: dict[str, Any], line: str | None) -> None:
    content = {key: value for key, value in {**SEARCH, **content}.items() if value is not None}
    said = load.refusal(content)
    assert said == f"g.yaml:1: {line}" if line else said.startswith("g.yaml:1: ")


def test_only_points_with_draws_count_as_many(load: Load) -> None:
    """1,000 fixed points and 10 that are drawn 100 times each, with 500 seeds: 1,000,000 runs; one more is too many."""
    content = {
        "search": {"settings": 100},
        "seeds": 500,
        "union": [{"a": list(range(1000))}, {"b": list(range(10)), "c": {"uniform": [0, 1]}}],
    }
    assert len(load(content).cells) == 2000
    assert load.refusal(content, "search.settings=101").startswith("g.yaml:1: a: 2,010 cells x 500 seeds are more than")


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        ("{uniform: [-0.1, 0.5]}", "beta1 lies in [0, 1), not"),
        ("{uniform: [0.5, 1]}", "beta1 lies in [0, 1), not"),
        ("{choice: [0.5, 0.6, 2, 0.7]}", "beta1 lies in [0, 1), not"),
        ("{choice: [0.5, half]}", "input should be a valid number, not 'half'"),
    ],
)
def test_what_a_setting_refuses_is_refused_at_every_end_of_a_draw(load: Load, draw: str, words: str) -> None:
    """One setting is drawn, so that what is refused was not met by chance; as many as there may be take no longer."""
    for count in (1, 100_000):
        said = load.refusal(
            f"search: {{settings: {count}}}\nseeds: 1\ndataset: ring\nobjective:\n- minimax\n"
            f"- name: wgan_gp\n  optimizer:\n    lr: {{log_uniform: [0.001, 0.01]}}\n    beta1: {draw}"
        )
        assert said.startswith("g.yaml:9: objective.optimizer.beta1: ")
        assert words in said


def test_whole_numbers_are_chosen_and_not_drawn_from_an_interval(load: Load) -> None:
    text = "search: {settings: 9}\nseeds: 1\ndataset: ring\nobjective: minimax\ncritic_steps: "
    assert {cell["critic_steps"] for cell in found(load(text + "{choice: [1, 5]}"))} == {1, 5}
    assert load.refusal(text + "{uniform: [1, 5]}") == (
        "g.yaml:5: critic_steps: input should be a valid integer, not 1.0"
    )


def test_what_looks_like_a_draw_in_the_place_of_the_settings_is_none(load: Load) -> None:
    assert found(load({"choice": [1, 2]})) == [{"choice": 1}, {"choice": 2}]
    assert found(load({"union": [{"choice": [1, 2]}]})) == [{"choice": 1}, {"choice": 2}]
    assert found(load({"a": {"choice": 1, "name": "b"}})) == [{"a": {"choice": 1, "name": "b"}}]


# Published numbers

TABLE = """\
seeds: 1
dataset: [ring, {name: grid, side: [3, 5]}]
objective: [minimax, non_saturating]
published:
- source: "Lin et al. 2018"
  where: {dataset: ring, objective: minimax}
  values: {modes_covered: [6.3, 0.5], reverse_kl: 0.45}
- source: "Metz et al. 2017"
  where: {dataset: {name: grid, side: 5}}
  values: {modes_covered: 17}
"""


def test_a_grid_carries_published_numbers(load: Load) -> None:
    lin = Published(
        "Lin et al. 2018",
        {"dataset": "ring", "objective": "minimax"},
        {"modes_covered": (6.3, 0.5), "reverse_kl": (0.45, None)},
    )
    metz = Published("Metz et al. 2017", {"dataset": "grid", "dataset.side": 5}, {"modes_covered": (17, None)})
    grid = load(TABLE)
    assert grid.published == (lin, metz)
    bare = TABLE.partition("published")[0]
    assert [cell.id for cell in grid.cells] == [cell.id for cell in load(bare).cells]
    assert load(bare).published == ()
    assert load(TABLE, "dataset=ring").published == (lin,)
    assert load(TABLE, "objective=minimax").published == (lin, metz)
    assert load(TABLE, "dataset={name: grid, side: 3}").published == ()
    assert load.refusal(TABLE, "published=[]") == (
        "--set published=[]: published: cannot be set from outside; change it in the file"
    )
    assert load.refusal(TABLE.replace("side: 5}}", "side: 4}}")).startswith("g.yaml:9: published.where.dataset.side: ")
    inner = TABLE.partition("published")[0] + "union:\n- {published: []}"
    assert load.refusal(inner).startswith("g.yaml:5: union.published: belongs to the whole grid")


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
        (
            {"seeds": [3, 10**9]},
            "g.yaml:1: seeds: 1000000000 is too large for the name of a run; write at most 999,999,999",
        ),
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


def test_parts_that_cells_share_are_checked_once(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks, data sets and optimisers that are made for a grid: as many as it names, not as many as its cells."""
    made: Counter[str] = Counter()

    def count(kind: type[Any]) -> None:
        init = kind.__init__

        def counted(self: Any, *words: Any, **settings: Any) -> None:
            made[kind.__name__] += 1
            init(self, *words, **settings)

        monkeypatch.setattr(kind, "__init__", counted)

    for kind in (Mlp, Ring, Adam):
        count(kind)

    def expand(rates: int, weights: int) -> Counter[str]:
        made.clear()
        lists = {"generator_optimizer": {"lr": [0.001 * n for n in range(1, rates + 1)]}, "ema": [0.0, 0.9]}
        objective = {"name": "wgan_gp", "penalty_weight": list(range(1, weights + 1))}
        content = {"experiment": "train", "dataset": "ring", "objective": objective, "batch_size": [8, 16], **lists}
        assert len(load(content).cells) == 4 * rates * weights
        return Counter(made)

    few, many = expand(rates=2, weights=2), expand(rates=12, weights=9)
    assert (many["Mlp"], many["Ring"]) == (few["Mlp"], few["Ring"])
    assert many["Adam"] - few["Adam"] == 12 - 2
    assert max(few.values()) < 10


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, bench.grid; print(*{'torch', 'numpy', 'pandas', 'scipy', 'ot', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
