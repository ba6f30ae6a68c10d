from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import ratios


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Writes what pytest-benchmark would: one benchmark a ratio, and one without."""
    monkeypatch.setattr(ratios, "SAVED", tmp_path / "ratios.json")

    def write(**own: tuple[float, float, float]) -> str:
        path = tmp_path / "session.json"
        named = {name: dict(zip(("low", "median", "high"), values, strict=True)) for name, values in own.items()}
        benchmarks = [{"name": f"test_{name}", "extra_info": {"ratio": ratio}} for name, ratio in named.items()]
        benchmarks.append({"name": "test_other", "extra_info": {}})
        path.write_text(
            json.dumps({"machine_info": {"node": "host", "measured_on": {"torch": "2.11"}}, "benchmarks": benchmarks})
        )
        return str(path)

    return write


def test_a_ratio_is_the_median_over_rounds_of_time_for_the_same_work() -> None:
    rng = np.random.default_rng(0)
    work, baseline = rng.uniform(1, 2, 40), rng.uniform(0.1, 0.2, 40)
    found = ratios.ratio_of([*work], [*baseline], 4)
    # Of n values numpy's "weibull" puts quantile q at (n + 1) q, as the standard library does.
    low, median, high = np.quantile(work / (4 * baseline), [0.25, 0.5, 0.75], method="weibull")
    assert found == pytest.approx({"low": low, "median": median, "high": high})


@pytest.mark.parametrize(
    ("now", "code", "shown"),
    [
        ((0.45, 0.50, 0.55), 0, "+0%"),
        ((0.20, 0.25, 0.30), 0, "-50%"),
        ((0.56, 0.57, 0.58), 0, "+14%"),
        ((0.54, 0.60, 0.70), 0, "+20%"),
        ((0.56, 0.60, 0.70), 1, "+20% WORSE"),
    ],
    ids=["the same", "faster", "within the tolerance", "within the spread", "beyond both"],
)
def test_compare_judges_by_tolerance_and_spread(
    session: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    now: tuple[float, float, float],
    code: int,
    shown: str,
) -> None:
    ratios.main(["save", "--session", session(step=(0.45, 0.50, 0.55))])
    assert ratios.main(["compare", "--session", session(step=now)]) == code
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("step "))
    assert line.endswith(f"  {shown}")


def test_what_is_gone_is_worse_unless_a_part_was_asked_for(
    session: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    ratios.main(["save", "--session", session(step=(1, 1, 1), emd=(1, 1, 1))])
    part = session(emd=(1, 1, 1), grid=(9, 9, 9))
    assert ratios.main(["compare", "--session", part]) == 1
    assert "not measured" in capsys.readouterr().out
    assert ratios.main(["compare", "--session", part, "-k", "emd or grid"]) == 0
    out = capsys.readouterr().out
    assert "step" not in out
    assert out.splitlines()[-1].endswith("new")


def test_what_is_saved_says_where_but_not_on_which_host(session: Callable[..., str]) -> None:
    ratios.main(["save", "--session", session(step=(1, 2, 3))])
    assert json.loads(ratios.SAVED.read_text()) == {
        "measured_on": {"torch": "2.11"},
        "ratios": {"step": {"low": 1, "median": 2, "high": 3}},
    }


def test_nothing_is_compared_with_nothing(session: Callable[..., str]) -> None:
    with pytest.raises(SystemExit) as ended:
        ratios.main(["compare", "--session", session()])
    assert ended.value.code == 2
