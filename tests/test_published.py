from __future__ import annotations

from typing import Any

import pytest

from bench.cell import Cell
from bench.errors import UserError
from bench.published import Published, read_published
from bench.yaml_file import parse

ALL: dict[str, Any] = {"ema": 0, "latent": {"dim": 2}}
CELLS = [
    Cell("any", ALL | {"objective": "minimax", "dataset": {"name": "ring", "std": 0.1}}, {}, ""),
    Cell("any", ALL | {"objective": "non_saturating", "dataset": {"name": "ring", "std": 0.2}}, {}, ""),
]

ENTRY = """\
- source: Lin
  where:
    objective: minimax
  values:
    emd: 0.5
"""


def read(entries: str, strict: bool = True) -> tuple[Published, ...]:
    top = parse("published:\n" + entries, "F")
    return read_published(top["published"], "F:1", CELLS, strict)


@pytest.mark.parametrize(
    ("written", "where"),
    [
        ("{objective: minimax}", {"objective": "minimax"}),
        ("{dataset: ring}", {"dataset": "ring"}),
        ("{dataset: {name: ring}}", {"dataset": "ring"}),
        ("{dataset: {std: 0.1}}", {"dataset.std": 0.1}),
        ("{dataset: {name: ring, std: 0.2}, ema: 0.0}", {"dataset": "ring", "dataset.std": 0.2, "ema": 0}),
        ("{latent: {dim: 2}, objective: non_saturating}", {"latent.dim": 2, "objective": "non_saturating"}),
    ],
)
def test_settings_are_named_as_in_the_records(written: str, where: dict[str, Any]) -> None:
    (entry,) = read(ENTRY.replace("\n    objective: minimax", " " + written))
    assert entry == Published("Lin", where, {"emd": (0.5, None)})


def test_a_number_may_have_a_spread() -> None:
    (entry,) = read(ENTRY.replace("emd: 0.5", "{emd: [1, 0.25], modes_covered: [8], reverse_kl: -1}"))
    assert entry.values == {"emd": (1, 0.25), "modes_covered": (8, None), "reverse_kl": (-1, None)}


REFUSED: list[tuple[str, str]] = [
    (" {a: 1}", "F:1: published: a list belongs here; write `- {source: …, where: {…}, values: {…}}`"),
    ("- Lin", "F:2: published: an item is a block with source, where, values, not 'Lin'"),
    (ENTRY + "  were: 1", "F:7: published.were: unknown key; did you mean 'where'?"),
    (ENTRY.replace("source: Lin", "values: {emd: 1}").replace("  values:\n    emd: 0.5\n", ""),
     "F:2: published.source: missing; an item has source, where, values"),
    (ENTRY.replace("Lin", "''"), "F:2: published.source: missing; an item has source, where, values"),
    (ENTRY.replace("Lin", "[Lin]"), "F:2: published.source: a text belongs here; put it in quotes"),
    (ENTRY.replace("\n    objective: minimax", " {}"),
     "F:3: published.where: missing; an item has source, where, values"),
    (ENTRY.replace("\n    objective: minimax", " minimax"),
     "F:3: published.where: a block belongs here, not 'minimax'; write {key: value}"),
    (ENTRY.replace("\n    emd: 0.5", " 0.5"),
     "F:5: published.values: a block belongs here, not 0.5; write {key: value}"),
    (ENTRY.replace("objective", "objectiv"),
     "F:4: published.where.objectiv: no cell of the grid has this setting; did you mean 'objective'?"),
    (ENTRY.replace("objective: minimax", "dataset: {sdt: 1}"),
     "F:4: published.where.dataset.sdt: no cell of the grid has this setting; did you mean 'dataset.std'?"),
    (ENTRY.replace("objective: minimax", "latent: normal"),
     "F:4: published.where.latent: no cell of the grid has this setting; "
     "did you mean 'latent.dim'?"),
    (ENTRY.replace("minimax", "mini_max"),
     "F:4: published.where.objective: no cell has 'mini_max' here; did you mean 'minimax'?"),
    (ENTRY.replace("objective: minimax", "ema: false"), "F:4: published.where.ema: no cell has False here; known: 0"),
    (ENTRY.replace("objective: minimax", "dataset: {name: ring, std: 7}"),
     "F:4: published.where.dataset.std: no cell has 7 here; known: 0.1, 0.2"),
    (ENTRY.replace("minimax", "minimax\n    dataset: {std: 0.2}"),
     "F:2: published.where: no cell of the grid has all of these settings at once; remove or correct some"),
    (ENTRY.replace("emd", "modes_coverd"),
     "F:6: published.values.modes_coverd: nothing that is measured has this column; did you mean 'modes_covered'?"),
    *(
        (ENTRY.replace("0.5", value),
         f"F:6: published.values.emd: a number or [number, spread] belongs here, not {said}; write [6.3, 0.5]")
        for value, said in {
            "'0.5'": "'0.5'", "true": "True", "": "None", "[]": "[]", "[1, 2, 3]": "[1, 2, 3]", "[[1, 2]]": "[[1, 2]]",
            "[1, ~]": "[1, None]", "{mean: 1}": "{'mean': 1}",
        }.items()
    ),
    (ENTRY.replace("0.5", "[1, -2]"),
     "F:6: published.values.emd: a spread is not below 0, as -2 is; write [number, spread]"),
]  # fmt: skip


@pytest.mark.parametrize(("entries", "line"), REFUSED)
def test_what_cannot_be_is_refused(entries: str, line: str) -> None:
    with pytest.raises(UserError) as caught:
        read(entries)
    assert str(caught.value) == line


def test_what_fits_no_cell_is_left_out_where_an_override_may_be_why() -> None:
    stranded = ENTRY.replace("minimax", "wgan_gp") + ENTRY.replace("objective: minimax", "pack: 2")
    assert [entry.where for entry in read(stranded + ENTRY, strict=False)] == [{"objective": "minimax"}]
    with pytest.raises(UserError, match="nothing that is measured has this column"):
        read(ENTRY.replace("minimax", "wgan_gp").replace("emd", "emt"), strict=False)
