"""Ids hash content and nothing else; cutting runs into units loses and doubles none."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cell import Cell, Run, Shared, Unit, canonical, cut, flatten, source_digest


def cell(label: str = "ring-x", **settings: Any) -> Cell:
    return Cell("train", settings, {"objective": "abc"}, label)


def test_an_id_depends_on_content_and_not_on_order() -> None:
    assert cell(a=1, b={"c": 2.0, "d": 3}).id == cell(b={"d": 3, "c": 2.0}, a=1).id
    ids = {
        cell(a=1).id, cell(a=2).id, cell(a=1.5).id, cell(b=1).id, cell(a=1, b=None).id,
        Cell("other", {"a": 1}, {"objective": "abc"}, "ring-x").id,
        Cell("train", {"a": 1}, {"objective": "abd"}, "ring-x").id,
    }  # fmt: skip
    assert len(ids) == 7


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


@given(st.dictionaries(st.text(), VALUES, max_size=6), st.data())
def test_shared_blocks_change_no_text(plain: dict[str, Any], data: st.DataObject) -> None:
    blocks = [key for key, value in plain.items() if isinstance(value, dict)]
    shared = data.draw(st.sets(st.sampled_from(blocks)) if blocks else st.just(set()))
    settings = {key: Shared(value) if key in shared else value for key, value in plain.items()}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    assert canonical(plain) == canonical(settings) == canonical(Shared(settings)) == text
    assert Cell("train", settings, Shared({}), "x").id == Cell("train", plain, {}, "x").id
    again = copy.deepcopy(settings)  # by the protocol by which cells reach workers
    assert (again, canonical(again)) == (plain, text)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_text_holds_what_json_does_not(number: float) -> None:
    for settings in ({"a": number}, {"a": number, "b": Shared({})}, {"a": {"b": number}, "c": Shared({})}):
        with pytest.raises(ValueError, match="not JSON compliant"):
            canonical(settings)


@given(st.text(max_size=80))
def test_an_id_is_a_safe_file_name(label: str) -> None:
    name = Run(cell(label), 10**9).id
    assert len(name) <= 64
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")


def test_flattening_names_a_block_by_its_name() -> None:
    flat = dict(flatten({"dataset": {"name": "ring", "modes": 8}, "steps": 3, "evaluate": {"n": 5}}))
    assert flat == {"dataset": "ring", "dataset.modes": 8, "steps": 3, "evaluate.n": 5}


def test_a_source_digest_sees_code_and_not_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    variants = {
        "one": '"""Words."""\n# more\ndef f(x):\n    """Words."""\n    return x + 1\n',
        "two": '"""Other words."""\ndef f(x):\n    return x + 1  # why\n',
        "three": '"""Words."""\ndef f(x):\n    return x + 2\n',
    }
    digests = {}
    for name, text in variants.items():
        (tmp_path / f"variant_{name}.py").write_text(text)
        __import__(f"variant_{name}")
        digests[name] = source_digest(f"variant_{name}")
        sys.modules.pop(f"variant_{name}")
    assert digests["one"] == digests["two"] != digests["three"]


@given(
    sizes=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 40), min_size=1),
    largest=st.integers(1, 20),
    at_least=st.integers(0, 12),
)
def test_cutting_keeps_every_run_once_and_groups_apart(sizes: dict[str, int], largest: int, at_least: int) -> None:
    runs = [Run(cell(group=group, part=seed % 2), seed) for group, size in sizes.items() for seed in range(size)]
    units = cut(runs, lambda c: c.settings["group"], lambda _: largest, at_least)
    assert sorted(run.id for unit in units for run in unit.runs) == sorted(run.id for run in runs)
    for unit in units:
        assert 1 <= len(unit.runs) <= largest
        assert len({run.cell.settings["group"] for run in unit.runs}) == 1
    assert len(units) >= min(at_least, len(runs))
    again = cut(list(reversed(runs)), lambda c: c.settings["group"], lambda _: largest, at_least)
    assert [unit.id for unit in again] == [unit.id for unit in units]


def test_a_unit_is_known_by_its_runs_in_order() -> None:
    one, two = Run(cell(a=1), 0), Run(cell(a=1), 1)
    assert Unit((one, two)).id != Unit((two, one)).id
