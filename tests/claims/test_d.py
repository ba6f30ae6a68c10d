"""Published tables beside records that agree with them, that have their order alone, and that have neither."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from claims.made import SEEDS, around, cell, verdict, view
from ruamel.yaml import YAML

from bench import ROOT
from bench.cell import flatten
from bench.claims import CLAIMS, d_stacked, d_veegan
from bench.claims.base import Asked
from bench.report.view import View

Numbers = Mapping[str, float]


def published(asked: Asked) -> list[dict[str, Any]]:
    """What the grid file quotes, as a manifest has it: dotted names, and pairs of a number and its spread."""
    quoted = YAML(typ="safe").load(ROOT / "grids" / f"{asked.grid}.yaml")["published"]

    def pair(value: Any) -> tuple[float, float | None]:
        number, error = value if isinstance(value, list) else (value, None)
        return number, error

    return [
        {
            "source": own["source"],
            "where": dict(flatten(own["where"])),
            "values": {column: pair(value) for column, value in own["values"].items()},
        }
        for own in quoted
    ]


def world(claim: str, scale: float = 1.0, power: float = 1.0) -> View:
    """Every quoted number of the claim's grid, as it stands, scaled, or turned upside down by a power of -1."""
    asked = CLAIMS[claim].asked("cpu" if CLAIMS[claim].asked("cpu") else "gpu")[0]
    entries = published(asked)
    cells = []
    for entry in entries:
        columns = {
            name: around(scale * (number + 1) ** power - scale * (power > 0))
            for name, (number, _) in entry["values"].items()
        }
        where = {"critic__constraint": "none"} | {
            key.replace(".", "__"): value for key, value in entry["where"].items() if key != "objective"
        }
        cells.append(cell(entry["where"].get("objective", "non_saturating"), columns, **where))
    return view(asked.name, cells, published=entries)


@pytest.mark.parametrize("claim", ["D-pacgan1", "D-r3gan", "D-w1"])
def test_numbers_agree_have_their_order_or_neither(claim: str) -> None:
    assert verdict(claim, world(claim)) == "within"
    assert verdict(claim, world(claim, scale=10)) == "same ordering"
    assert verdict(claim, world(claim, power=-1)) == "neither"


def test_of_a_benchmark_two_rows_are_compared() -> None:
    parts = CLAIMS["D-w1"].judge({"w1_benchmark": world("D-w1")})
    assert len(parts) == 2 * 5 * 2
    assert {part.name.partition(",")[0] for part in parts} == {"wgan_clip", "wgan_gp"}


def test_a_table_that_quotes_nothing_is_not_judged() -> None:
    with pytest.raises(LookupError, match="nothing is quoted"):
        CLAIMS["D-pacgan1"].judge({"pacgan_table1": view("pacgan_table1", [cell("x", {"modes_covered": [1.0]})])})


def test_the_best_weight_is_compared() -> None:
    """A weight with fewer modes, and one with as many and a larger KL, are not asked."""
    full = world("D-r3gan")
    poor = [
        cell("r3gan", {"modes_covered": [9.0], "reverse_kl": [3.0]}, dataset="stacked_mnist"),
        cell("r3gan", {"modes_covered": around(1000.0), "reverse_kl": [3.0]}, dataset="stacked_mnist"),
    ]
    more = view("r3gan_table1", [*poor, *full.cells], published=full.manifest["published"])
    parts = CLAIMS["D-r3gan"].judge({"r3gan_table1": more})
    assert [part.effect.value for part in parts[:2]] == pytest.approx([1000, 0.0781], rel=0.02)


def stacked(numbers: Mapping[tuple[str, int], tuple[float, float]]) -> View:
    cells = [
        cell("non_saturating", {"modes_covered": around(modes), "reverse_kl": around(kl)}, arm=arm, pack=pack)
        for (arm, pack), (modes, kl) in numbers.items()
    ]
    return view("pacgan_table3", cells)


def test_of_stacked_digits_an_order_is_enough() -> None:
    theirs = {key: (modes[0], kl[0]) for key, (modes, kl) in d_stacked.PUBLISHED.items()}
    assert verdict("D-stacked", stacked(theirs)) == "within"
    two = {("quarter", 1): (10.0, 6.0), ("quarter", 2): (20.0, 5.0), ("half", 1): (30.0, 4.0), ("half", 2): (40.0, 3.0)}
    assert verdict("D-stacked", stacked(two)) == "same ordering"
    assert verdict("D-stacked", stacked({**two, ("half", 2): (25.0, 3.0)})) == "neither"


def test_the_numbers_of_a_claim_are_those_of_the_grid_file() -> None:
    for entry in published(Asked("papers/pacgan_table3")):
        if entry["source"].startswith("Lin"):
            modes, kl = d_stacked.PUBLISHED[entry["where"]["arm"], entry["where"]["pack"]]
            assert dict(entry["values"]) == {"modes_covered": modes, "reverse_kl": kl}
    for entry in published(Asked("papers/veegan_table1")):
        values = [number for number, _ in entry["values"].values()]
        assert values == list(d_veegan.PUBLISHED[entry["where"]["dataset"]])


def test_a_gan_of_two_dimensions_stands_for_a_table_until_the_whole_grid_has_run() -> None:
    def cells(names: tuple[str, ...], **more: Any) -> list[Any]:
        numbers = {name: dict(zip(d_veegan.COLUMNS, d_veegan.PUBLISHED[name], strict=True)) for name in names}
        return [
            cell("x", {c: around(v) for c, v in own.items()}, dataset=name, **more) for name, own in numbers.items()
        ]

    assert verdict("D-veegan", view("pacgan_table1", cells(("ring", "grid"), pack=1))) == "within"
    full = view("veegan_table1", cells(("ring", "grid", "veegan_1200d")))
    assert len(CLAIMS["D-veegan"].judge({"veegan_table1": full})) == 6
    off = [
        cell("x", {"modes_covered": [8.0], "high_quality_share": [0.9]}, dataset=d, pack=1) for d in ("ring", "grid")
    ]
    assert verdict("D-veegan", view("pacgan_table1", off)) == "neither"


@pytest.mark.parametrize(
    ("occupied", "visited", "diverged", "expected"),
    [
        (2.0, 6.0, 0, "reproduced"),
        (3.0, 8.0, 0, "refuted"),  # at too many at once
        (1.0, 5.0, 0, "refuted"),  # at too few over time
        (1.0, 7.0, SEEDS, "not judged"),
        (1.0, 7.0, 4, "inconclusive"),
    ],
)
def test_a_generator_rotates_that_was_at_many_modes_and_is_at_few(
    occupied: float, visited: float, diverged: int, expected: str
) -> None:
    columns = {"modes_occupied": [8.0, occupied], "modes_visited": [8.0, visited]}
    cells = [cell("minimax", columns, diverged=diverged, arm=arm) for arm in ("notebook", "gradient_regularized")]
    if expected == "not judged":
        with pytest.raises(LookupError):
            verdict("D-unrolled", view("unrolled_ring", cells))
    else:
        assert verdict("D-unrolled", view("unrolled_ring", cells)) == expected
