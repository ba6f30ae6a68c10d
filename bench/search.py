"""Search over settings: values that a grid draws at random, the same on every machine and in every order.

A block with exactly one of the keys below in the place of a value is a draw. ``choice`` takes any values but draws, and
its lists do not multiply; the others take two numbers, low < high, and give a float in [low, high]. With u in [0, 1):

    {uniform: [low, high]}          (1 - u) low + u high
    {log_uniform: [low, high]}      exp((1 - u) log low + u log high), 0 < low
    {choice: [v_0, …, v_(n-1)]}     v_floor(u n)

u is made of the first 53 bits of the SHA-256 of ``seed/index/path``: the search's seed, the index of the draw from 0,
and the dotted path of the setting in its cell. So nothing depends on the order of keys or of cells, a search with more
settings contains the smaller one, and objectives whose settings have one path get the same draws: pairs. Numbers are
rounded to 6 significant digits, so that they read well and no machine's last bit of ``exp`` shows in an id.

Choices, and seldom the rounding, can give the same settings at two indices. They are then one cell, with the first
index: the result would be the same, and trying it again tells nothing. What best of k counts as settings tried is the
number of cells, which may be less than ``search.settings``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from bench.errors import UserError
from bench.yaml_file import Block, Items, shown

LAWS = ("uniform", "log_uniform", "choice")

DIGITS = 6
"""Significant digits of a number that is drawn."""

_Path = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Search:
    """How often the settings with draws are drawn, and the seed of all draws."""

    settings: Annotated[int, Field(ge=1, le=100_000)]
    seed: Annotated[int, Field(ge=0)] = 0

    def fill(self, node: Any, index: int, path: _Path = ()) -> Any:
        """The settings with every draw replaced by its value at the index."""
        if isinstance(node, Draw):
            return node.value(uniform(self.seed, index, ".".join(path)))
        if isinstance(node, Block):
            filled = {key: self.fill(value, index, (*path, key)) for key, value in node.items()}
            return Block(node.mark, filled, node.marks)
        return node


class Draw(dict[str, Any]):
    """A law and its argument, ``{"uniform": [0, 1]}``, and where it stands: no `Block`, but one value."""

    __slots__ = ("mark",)

    def __init__(self, law: str, argument: Items, mark: str) -> None:
        super().__init__({law: argument})
        self.mark = mark

    def value(self, u: float) -> Any:
        """The value at u in [0, 1)."""
        ((law, argument),) = self.items()
        if law == "choice":
            return argument[int(u * len(argument))]
        low, high = map(float, argument)
        if law == "uniform":
            value = (1 - u) * low + u * high
        else:
            value = math.exp(min((1 - u) * math.log(low) + u * math.log(high), math.log(high)))
        return min(max(float(f"{value:.{DIGITS}g}"), low), high)

    def ends(self) -> list[Any]:
        """Every value of a choice, or both bounds."""
        ((law, argument),) = self.items()
        return list(argument if law == "choice" else map(float, argument))


def uniform(seed: int, index: int, path: str) -> float:
    """The number u in [0, 1), a multiple of 2^-53, that belongs to a draw."""
    digest = hashlib.sha256(f"{seed}/{index}/{path}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) * 2.0**-53


def read_draws(node: Any, path: _Path, free: bool = True) -> Any:
    """What stands at the path, with its draws read; where ``free`` is not set, it is one value and may hold none.

    Raises:
        UserError: a draw has an impossible argument, or stands within a choice or a list that is one value.
    """
    if isinstance(node, Items):
        return node.each(lambda item: read_draws(item, path, free and not isinstance(item, Items)))
    if not isinstance(node, Block):
        return node
    if len(node) != 1 or (law := next(iter(node))) not in LAWS:
        read = {key: read_draws(value, (*path, key), free) for key, value in node.items()}
        return Block(node.mark, read, node.marks)
    argument, mark = node[law], node.marks[law]
    place = f"{mark}: {'.'.join(path)}: {law}:"
    if not free:
        raise UserError(f"{place} a draw within a value; draw the whole setting, or settings by themselves")
    if law == "choice":
        if not isinstance(argument, Items) or not argument:
            raise UserError(f"{place} a list of values belongs here, not {shown(repr(argument))}; write [1, 5]")
        return Draw(law, read_draws(argument, path, free=False), mark)
    if not (isinstance(argument, Items) and len(argument) == 2 and all(type(n) in (int, float) for n in argument)):
        raise UserError(f"{place} two numbers belong here, not {shown(repr(argument))}; write [low, high]")
    low, high = map(float, argument)
    if not low < high:
        raise UserError(f"{place} the first number is the lower one, not {shown(repr(argument))}; write [low, high]")
    if law == "log_uniform" and low <= 0:
        raise UserError(f"{place} {argument[0]} has no logarithm; write two numbers above 0, or take uniform")
    return Draw(law, argument, mark)


def draws(node: Any, path: _Path = ()) -> Iterator[tuple[_Path, Draw]]:
    """Every draw in settings, with the path of its setting."""
    if isinstance(node, Draw):
        yield path, node
    elif isinstance(node, Block):
        for key, value in node.items():
            yield from draws(value, (*path, key))
    elif isinstance(node, Items):
        for item in node:
            yield from draws(item, path)


def ends(node: Any) -> list[Any]:
    """Versions of a value that together show both bounds of every draw in it, and every value of a choice."""
    if isinstance(node, Draw):
        return node.ends()
    if not isinstance(node, Block):
        return [node]
    shows = {key: ends(value) for key, value in node.items()}
    return [
        Block(node.mark, {key: values[index % len(values)] for key, values in shows.items()}, node.marks)
        for index in range(max(map(len, shows.values()), default=1))
    ]
