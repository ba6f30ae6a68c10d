from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ledgers import claim, example, part, put
from test_report_page import PAYLOADS, skeleton

from bench.launch import run
from bench.records import RecordError
from bench.report import build, ledger

HOSTILE = [
    *PAYLOADS[:8],
    "</style><style>*{background:red}",
    "{{ ledger.__class__ }}",
    "{% raw %}",
    "<!-- ",
    "\u202e<b>",
]


def changed(**changes: Any) -> dict[str, Any]:
    return example() | changes


def with_part(**changes: Any) -> dict[str, Any]:
    content = copy.deepcopy(example())
    content["claims"][0]["parts"][0] |= changes
    return content


def with_claim(**changes: Any) -> dict[str, Any]:
    content = copy.deepcopy(example())
    content["claims"][0] |= changes
    return content


ODD: dict[str, object] = {
    "no JSON": "{", "nothing": "", "a list": [], "deep": "[" * 100_000, "half a character": '{"budget": "\\ud800"}',
    "another version": changed(schema_version=2), "no claims": {"schema_version": 1},
    "counts of other claims": changed(counts={"exact": 4}), "no verdict": changed(counts={"probably": 4}),
    "two of a name": changed(claims=[claim("A1", "exact", [])] * 2, counts={"exact": 2}),
    "a word for a number": with_part(effect="1"),
    "a truth for a number": with_part(n=True), "no text": with_claim(rule=5),
    "infinity": with_part(effect=float("inf")), "NaN": with_part(p=float("nan")),
    "fewer than none": with_part(n=-1), "too many digits": with_part(needed=10**30), "no chance": with_part(p=1.5),
    "half an interval": with_part(low=0.0), "an interval from high to low": with_part(low=1.0, high=0.0),
    "no side": with_part(side="beyond"), "an anchor that is none": with_claim(id='A1"><b>'),
    "a claim of another verdict": with_claim(verdict="<b>"), "no such part": with_claim(decisive=1),
}  # fmt: skip


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    content = example()
    found = ledger.load(put(content, tmp_path))
    assert (found.budget, found.commit) == ("cpu", "98c8c081a7")
    for ours, theirs in zip(found.claims, content["claims"], strict=True):
        assert (ours.id, ours.verdict, list(ours.sources)) == (theirs["id"], theirs["verdict"], theirs["sources"])
        for own, told in zip(ours.parts, theirs["parts"], strict=True):
            assert {name: getattr(own, name) for name in told} == told
    assert [own.id for own in ledger.of_grid(found, "small")] == ["A1", "C1-tuned", "D-w1"]
    assert [own.id for own in ledger.of_grid(found, "images")] == ["C2"]
    assert ledger.of_grid(found, "smal") == ()


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = put(ODD[name], tmp_path)
    with pytest.raises(RecordError, match="damaged, or not a ledger") as caught:
        ledger.load(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < len(str(path)) + 300


def test_what_is_no_file_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecordError, match="No such file"):
        ledger.load(tmp_path / "claims.json")
    with pytest.raises(RecordError, match="not a file"):
        ledger.load(tmp_path)
    path = put(example(), tmp_path)
    monkeypatch.setattr(ledger, "LARGEST", path.stat().st_size)
    ledger.load(path)
    monkeypatch.setattr(ledger, "LARGEST", path.stat().st_size - 1)
    with pytest.raises(RecordError, match="too large"):
        ledger.load(path)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.0, "0"), (1.234, "1.23"), (999.7, "1,000"), (-12345.6, "-12,346"), (3e-17, "3e-17"), (1e7, "1e+07"),
     (0.000123, "0.000123"), (1.7976931348623157e308, "∞"), (-1.7976931348623157e308, "-∞")],
)  # fmt: skip
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert ledger.number(value) == text


def test_a_claim_is_shown_by_the_part_that_it_hangs_on(tmp_path: Path) -> None:
    found = ledger.load(put(example(), tmp_path))
    exact, refuted, within, not_judged = (row.line for row in ledger.rows(found.claims))
    assert (refuted.effect, refuted.interval, refuted.claimed) == ("-12,346", "[-20,000, -5,000]", "> 0")
    assert (refuted.n, refuted.diverged, refuted.floor, refuted.holm_p) == ("8", "1", "8", "< 0.0001")
    assert (exact.effect, exact.interval, exact.claimed, exact.holm_p) == ("3e-17", "", "≤ 1e-09", "")
    assert (within.claimed, within.floor, within.needed) == ("1.1 ± 0.1", "", "")
    assert not_judged == ledger.Line()


def test_the_page_of_the_ledger_tells_all_of_it(tmp_path: Path) -> None:
    content = example()
    source = ledger.render(ledger.load(put(content, tmp_path)))
    text = " ".join(skeleton(source).text.split())
    assert "4 claims at budget cpu." in text
    for count, symbol, word in ((1, "✗", "refuted"), (1, "=", "exact"), (1, "≈", "within"), (1, "–", "not judged")):
        assert f"{count} {symbol} {word}" in text
    assert "reproduced" not in text[: text.index("Verdicts")]
    for own in content["claims"]:
        for name in ("id", "statement", "rule", "rule_hash", "why", "departures", "command"):
            assert own[name] in text
        assert "; ".join(own["sources"]) in text
    assert text.count("it was 0123456789") == text.count("the rule was changed") == 1
    assert text.count("-12,346 [-20,000, -5,000]") == 2, "in the summary and among the parts"
    anchors = {f"#{attributes['id']}" for _, attributes in skeleton(source).starts if "id" in attributes}
    assert {f"#{own['id']}" for own in content["claims"]} <= anchors
    assert set(skeleton(source).addresses) <= anchors


@pytest.mark.parametrize("payload", HOSTILE)
def test_no_text_of_a_ledger_adds_an_element(tmp_path: Path, payload: str) -> None:
    plain = skeleton(ledger.render(ledger.load(put(example(), tmp_path))))
    source = ledger.render(ledger.load(put(example(lambda _: payload), tmp_path)))
    found = skeleton(source)
    assert (found.elements, found.addresses) == (plain.elements, plain.addresses)
    assert found.text.count("".join(c if c.isprintable() else ascii(c)[1:-1] for c in payload)) >= 20
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", source)


@pytest.mark.usefixtures("undrawn")
def test_the_page_of_a_grid_has_the_rows_that_it_feeds(small: Callable[..., Path]) -> None:
    folder = small()
    build(folder)
    assert 'id="claims"' not in (folder / "report.html").read_text()
    before = run._fingerprint(folder)
    path = put(example(), folder.parent)
    seen = run._fingerprint(folder)
    assert build(folder).errors == ()
    text = skeleton((folder / "report.html").read_text()).text
    assert "what C1-tuned says" in text
    assert "what C2 says" not in text
    path.write_text(path.read_text()[:-9])
    assert len({before, seen, run._fingerprint(folder)}) == 3
    (error,) = build(folder).errors
    assert error.path.name == "claims.json"
    source = (folder / "report.html").read_text()
    assert "<code>claims.json</code>: damaged, or not a ledger" in source
    assert 'id="claims"' not in source
    path.unlink()
    assert run._fingerprint(folder) == before


def test_a_part_without_a_name_and_a_claim_without_reasons(tmp_path: Path) -> None:
    content = changed(claims=[claim("A1", "exact", [part(name="")])], counts={"exact": 1})
    row = ledger.rows(ledger.load(put(content, tmp_path)).claims)[0]
    assert row.line.about == "difference in modes covered"
