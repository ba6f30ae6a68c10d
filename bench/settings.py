"""Settings from outside, checked strictly: unknown words, wrong types and impossible values are refused."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from itertools import repeat
from operator import is_
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from bench.cell import Shared
from bench.errors import nearest

Path = tuple[str | int, ...]


class SettingError(ValueError):
    """A setting that cannot be: where it stands in its cell, and what is wrong with it."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


class Strict(BaseModel):
    """A block of settings: no unknown keys, no coercion of types, no infinite numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def check(model: type[Strict], raw: object, path: Path = ()) -> dict[str, Any]:
    """The block with its defaults filled in, as plain values."""
    if not isinstance(raw, Mapping):
        raise SettingError(path, f"a block of settings belongs here, not {raw!r}; write {{key: value}}")
    try:
        return model.model_validate(dict(raw)).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        where: Path = tuple(first["loc"])
        raise SettingError((*path, *where), _words(model, first["type"], where, first["msg"], first["input"])) from None


def _words(model: type[BaseModel], kind: str, where: Path, message: str, value: object) -> str:
    for part in where[:-1]:
        inner = model.model_fields[str(part)].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    if kind == "extra_forbidden":
        return f"unknown setting {str(where[-1])!r}; {nearest(str(where[-1]), model.model_fields)}"
    if kind == "missing":
        return "missing; it has no default"
    hint = "; numbers are written without quotes" if isinstance(value, str) and _is_number(value) else ""
    return f"{message[0].lower()}{message[1:]}, not {value!r}{hint}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_block(kinds: Sequence[type[Any]], raw: object, path: Path = ()) -> dict[str, Any]:
    """A block that sets the fields of frozen dataclasses, each of which also checks its values: with every default."""
    settings = check(_model_of(tuple(kinds)), raw, path)
    for kind in kinds:
        try:
            kind(**{field.name: settings[field.name] for field in dataclasses.fields(kind)})
        except ValueError as error:
            raise SettingError(path, str(error)) from None
    return settings


@cache
def _model_of(kinds: tuple[Any, ...]) -> type[Strict]:
    fields: dict[str, Any] = {}
    for kind in kinds:
        hints = typing.get_type_hints(kind, include_extras=True)
        for field in dataclasses.fields(kind):
            fields[field.name] = (hints[field.name], ... if field.default is dataclasses.MISSING else field.default)
    return create_model(kinds[0].__name__, __base__=Strict, **fields)


def split_name(raw: object, what: str, known: Mapping[str, Any], path: Path) -> tuple[str, dict[str, Any]]:
    """A word, or a block with a name: ``ring`` or ``{name: ring, modes: 8}`` -> the name and the other settings."""
    if isinstance(raw, str):
        raw = {"name": raw}
    if not isinstance(raw, Mapping) or not isinstance(raw.get("name"), str):
        words = f"a word or a block with a name belongs here, not {raw!r}; known: {', '.join(sorted(known))}"
        raise SettingError(path, words)
    if raw["name"] not in known:
        raise SettingError((*path, "name"), f"unknown {what} {raw['name']!r}; {nearest(raw['name'], known)}")
    return raw["name"], {key: value for key, value in raw.items() if key != "name"}


def check_named(raw: object, what: str, known: Mapping[str, type[Any]], path: Path) -> dict[str, Any]:
    """Settings of a registered frozen dataclass, with its name and every default: the reverse of ``build``."""
    name, rest = split_name(raw, what, known, path)
    return {"name": name, **check_block([known[name]], rest, path)}


def build(settings: Mapping[str, Any], known: Mapping[str, type[Any]]) -> Any:
    """The registered dataclass that the checked settings describe."""
    kind = known[settings["name"]]

    def make() -> Any:
        return kind(**{key: value for key, value in settings.items() if key != "name"})

    return once((kind, settings.text), make) if isinstance(settings, Shared) else make()


# The cells of a large grid have nearly all of their parts in common, and a part takes longer to check than to look up.

_Found = TypeVar("_Found")

_found: dict[object, Any] | None = None


@contextmanager
def remembering() -> Iterator[None]:
    """A time in which ``once`` and ``reads`` remember; what a grid can name must not change in it."""
    global _found
    outer, _found = _found, {}
    try:
        yield
    finally:
        _found = outer


def once(question: object, make: Callable[[], _Found]) -> _Found:
    """What ``make`` gives; while there is ``remembering``, it is made once for equal questions, its blocks `Shared`."""
    if _found is None:
        return make()
    if question not in _found:
        _found[question] = _share(make())
    answer: _Found = _found[question]
    return answer


def reads(*keys: str) -> Callable[[Callable[[Mapping[str, Any]], _Found]], Callable[[Mapping[str, Any]], _Found]]:
    """A function of settings that sees these keys of them alone, and is asked ``once`` for equal values."""

    def decorate(function: Callable[[Mapping[str, Any]], _Found]) -> Callable[[Mapping[str, Any]], _Found]:
        @wraps(function)
        def ask(settings: Mapping[str, Any]) -> _Found:
            if _found is None:
                return function({key: settings[key] for key in keys if key in settings})
            values = tuple(map(settings.get, keys, repeat(...)))  # ... is what is not there
            latest: tuple[tuple[Any, ...], _Found] | None = _found.get(function)
            if latest and all(map(is_, values, latest[0])):  # mostly, for a cell differs little from the one before
                return latest[1]
            # Spelt out, since 1, 1.0 and true are equal keys but different settings.
            question = function, repr(values)
            if question not in _found:
                _found[question] = _share(function({key: settings[key] for key in keys if key in settings}))
            answer: _Found = _found[question]
            _found[function] = values, answer
            return answer

        return ask

    return decorate


def _share(found: Any) -> Any:
    return Shared({key: _share(value) for key, value in found.items()}) if type(found) is dict else found
