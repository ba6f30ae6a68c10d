"""The ledger as a person makes it: from records that are there, with claims whose verdicts are known."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench import ROOT
from bench.claims.base import Asked, Claim, Found, Part, closed_form, mean_of, pick
from bench.claims.ledger import Options, choose, settle
from bench.errors import UserError

CURVES = (Asked("score_curve", ("objective=wgan_gp",)),)


def flat(found: Found) -> list[Part]:
    """A Wasserstein loss pulls with -1, whatever the score."""
    cell = pick(found["score_curve"], objective="wgan_gp", probe__dtype="float64")
    return [closed_form("float64", "error", float((cell.rows["score_gradient"] + 1).abs().max()), 0.0)]


def wrong(found: Found) -> list[Part]:
    return [mean_of("", "a number", [1.0, 2.0, 1.5, 1.2], 0.0, "below")]


def blind(found: Found) -> list[Part]:
    raise LookupError("nothing of the kind was recorded")


def claim(name: str, judge: Callable[[Found], Sequence[Part]], grids: tuple[Asked, ...] = CURVES) -> Claim:
    return Claim(
        id=name, statement=f"statement of {name}", sources=("a paper & its <em>",), grids={"cpu": grids},
        rule="a rule", judge=judge, departures="none", needs="patience",
    )  # fmt: skip


CLAIMS = {
    one.id: one
    for one in (
        claim("T1-flat", flat),
        claim("T1-wrong", wrong),
        claim("T2", blind),
        claim("T3", flat, ()),
    )
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "score_curve" / "runs").mkdir(parents=True)
    for path in (ROOT / "results" / "score_curve" / "runs").glob("wgan_gp-*"):
        shutil.copy(path, tmp_path / "score_curve" / "runs")
    return tmp_path


def ledger(root: Path, claims: dict[str, Claim] = CLAIMS, *only: str) -> dict[str, dict[str, object]]:
    assert settle(claims, Options(root=root, only=only)) == 0
    found = json.loads((root / "claims" / "claims.json").read_text())
    return {entry["id"]: entry for entry in found["claims"]}


def test_every_claim_has_its_verdict_and_what_it_stands_on(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = ledger(root)
    assert {name: entry["verdict"] for name, entry in found.items()} == {
        "T1-flat": "exact", "T1-wrong": "refuted", "T2": "not judged", "T3": "not judged",
    }  # fmt: skip
    assert found["T2"]["why"] == "nothing of the kind was recorded"
    assert found["T3"]["why"] == "not at the budget cpu: needs patience"
    assert found["T1-wrong"]["parts"][0]["n"] == 4  # type: ignore[index]
    assert "1 refuted, 1 exact, 2 not judged" in capsys.readouterr().out


def test_all_forms_are_written_and_equal_records_give_equal_bytes(root: Path) -> None:
    ledger(root)
    first = {path.name: path.read_bytes() for path in (root / "claims").iterdir()}
    assert first.keys() == {
        "claims.json", "claims.md", "summary.md", "claims.tex", "claims.csv", "claims.html", "parts.csv",
        "rules.json",
    }  # fmt: skip
    ledger(root)
    assert {path.name: path.read_bytes() for path in (root / "claims").iterdir()} == first
    text = first["claims.md"].decode()
    assert "python -m bench claims --only T1-flat --budget cpu" in text
    assert "<em>" not in text
    assert b"<em>" not in first["claims.html"]


def test_one_claim_alone_leaves_the_verdicts_on_the_others_where_they_are(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = ledger(root)
    capsys.readouterr()
    assert ledger(root, CLAIMS, "T1-wrong") == whole
    told = capsys.readouterr().out
    assert "T1-wrong" in told
    assert "T1-flat" not in told


def test_a_family_is_chosen_by_its_number_and_a_wrong_word_gets_the_nearest() -> None:
    assert [one.id for one in choose(CLAIMS, ("T1",))] == ["T1-flat", "T1-wrong"]
    assert choose(CLAIMS, ()) == list(CLAIMS.values())
    with pytest.raises(UserError, match=r"--only T1-flat2: no such claim; did you mean 'T1-flat'\?"):
        choose(CLAIMS, ("T1-flat2",))


def test_a_changed_rule_is_told_with_the_one_before_it(root: Path) -> None:
    before = ledger(root)["T1-flat"]
    changed = {**CLAIMS, "T1-flat": replace(CLAIMS["T1-flat"], rule="another rule")}
    after = ledger(root, changed)["T1-flat"]
    assert before["earlier_rules"] == []
    assert after["rule_hash"] != before["rule_hash"]
    assert after["earlier_rules"] == [before["rule_hash"]]
    assert "Rule changed" in (root / "claims" / "claims.md").read_text()
    assert ledger(root, changed)["T1-flat"]["earlier_rules"] == [before["rule_hash"]]  # it stays told


def test_a_damaged_history_of_rules_is_refused_not_forgotten(root: Path) -> None:
    ledger(root)
    (root / "claims" / "rules.json").write_text('{"T1-flat": ["ab')
    with pytest.raises(UserError, match=r"rules\.json: damaged"):
        settle(CLAIMS, Options(root=root))


def test_what_is_missing_is_told_and_not_judged(root: Path) -> None:
    gone = sorted((root / "score_curve" / "runs").iterdir())[0]
    gone.unlink()
    claims = {"T1-flat": CLAIMS["T1-flat"], "T4": claim("T4", flat, (Asked("score_curve", (), None, "elsewhere"),))}
    assert settle(claims, Options(root=root, only=("T1-flat",))) == 0  # a second or two of one run
    found = {entry["id"]: entry for entry in json.loads((root / "claims" / "claims.json").read_text())["claims"]}
    assert found["T1-flat"]["verdict"] == "exact"
    assert found["T4"]["why"] == "42 of 42 runs of score_curve are missing"
    assert gone.exists()


def test_a_dry_run_says_what_there_is_to_do_and_does_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claims = {"T4": claim("T4", flat, (Asked("lines", ("steps=300",), 3, "lines_ci"),))}
    assert settle(claims, Options(root=root, dry=True)) == 0
    assert "to do: 12 runs" in capsys.readouterr().out
    assert {path.name for path in root.iterdir()} == {"score_curve"}
