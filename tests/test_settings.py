"""What parts of settings are remembered while a grid is expanded, and that nothing else is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from bench.cell import Shared
from bench.settings import build, once, reads, remembering


class Asked:
    """A function of the keys ``a`` and ``b`` that keeps what it was asked."""

    def __init__(self) -> None:
        self.settings: list[dict[str, Any]] = []

    def ask(self) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        @reads("a", "b")
        def function(settings: Mapping[str, Any]) -> dict[str, Any]:
            self.settings.append(dict(settings))
            if settings.get("a") == "wrong":
                raise ValueError("wrong")
            return {"block": {"a": settings.get("a", "nothing")}}

        return function


def test_equal_settings_are_asked_about_once_and_only_of_the_keys_that_are_read() -> None:
    asked = Asked()
    function = asked.ask()
    with remembering():
        for other in range(5):
            assert function({"a": [1, {"x": other % 2}], "c": other}) == {"block": {"a": [1, {"x": other % 2}]}}
    assert asked.settings == [{"a": [1, {"x": 0}]}, {"a": [1, {"x": 1}]}]


def test_what_python_calls_equal_is_not_one_setting() -> None:
    different = [{}, {"a": None}, {"b": None}] + [{"a": value} for value in (1, 1.0, True, "1", [1], -0.0, 0.0, 0)]
    asked = Asked()
    function = asked.ask()
    with remembering():
        for _ in range(3):
            for settings in different:
                found = function(settings)["block"]["a"]
                wanted = settings.get("a", "nothing")
                assert (type(found), repr(found)) == (type(wanted), repr(wanted))
    assert len(asked.settings) == len(different)


def test_nothing_is_remembered_outside_and_no_mistake_ever() -> None:
    asked = Asked()
    function = asked.ask()
    for _ in range(2):
        function({"a": 1})
        with remembering():
            function({"a": 1})
            for _ in range(2):
                with pytest.raises(ValueError, match="wrong"):
                    function({"a": "wrong"})
            with remembering():
                function({"a": 1})
            function({"a": 1})
    values = [settings["a"] for settings in asked.settings]
    assert values == [1, 1, "wrong", "wrong", 1] * 2


def test_a_thing_is_built_once_from_a_shared_block() -> None:
    known = {"list": lambda **settings: [settings]}
    with remembering():
        block = once("block", lambda: {"name": "list", "size": 1})
        assert isinstance(block, Shared)
        assert build(block, known) == [{"size": 1}]  # type: ignore[arg-type]
        assert build(block, known) is build(Shared({"size": 1, "name": "list"}), known)  # type: ignore[arg-type]
        assert build(block, known) is not build(Shared({"size": 1.0, "name": "list"}), known)  # type: ignore[arg-type]
        assert build(dict(block), known) is not build(dict(block), known)  # type: ignore[arg-type]
    assert build(block, known) is not build(block, known)  # type: ignore[arg-type]


def test_what_json_cannot_hold_is_not_shared() -> None:
    with remembering(), pytest.raises(ValueError, match="not JSON compliant"):
        once("block", lambda: {"size": math.nan})
