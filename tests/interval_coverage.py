"""What nominal 95 % intervals cover, by simulation: ``python tests/interval_coverage.py --write`` keeps the record.

Samples of a known law are drawn again and again; counted is how often the interval that a table would print holds the
law's own mean, median or interquartile mean (that of its middle half), how often it lies below and above, and how often
it has no width because all values are equal. Of shares the same is summed over all counts, without simulation.

The record, ``results/statistics/coverage.{csv,md}``, takes about six minutes of one core. Without ``--write`` the table
is printed and nothing is kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bench.statistics import Estimate, Estimator, Scores, improvement, interval, iqm, mean, median, share, stratified

RECORD = Path(__file__).parents[1] / "results" / "statistics"
SIZES = (5, 8, 16)
SIMULATIONS = 2_000
TASKED_SIMULATIONS = 1_000
ESTIMATORS: dict[str, Estimator] = {"mean": mean, "IQM": iqm, "median": median}

LAWS: dict[str, Any] = {
    "normal": stats.norm(),
    "bounded: uniform": stats.uniform(),
    "bounded: beta(5, 1)": stats.beta(5, 1),
    "tied: modes of 8, each with .9": stats.binom(8, 0.9),
    "tied: modes of 8, each with .99": stats.binom(8, 0.99),
    "heavy tails: t of 3 degrees": stats.t(3),
    "heavy tails: lognormal": stats.lognorm(1),
}
SHARES = (0.5, 0.8, 0.95)

TASKS: dict[str, Any] = {"a": stats.norm(0, 1), "b": stats.norm(1, 0.5), "c": stats.norm(2, 1), "d": stats.norm(3, 2)}
"""Of the stratified intervals: four normal laws of different places and spreads."""
SHIFT = 0.75
"""How much better the better of the two is that the probability of improvement compares, on every task."""


def middle(*laws: Any) -> float:
    """The mean of the middle half of laws, mixed in equal parts."""
    levels = (np.arange(100_000) + 0.5) / 100_000
    return float(stats.trim_mean(np.concatenate([law.ppf(levels) for law in laws]), 0.25))


def truths(law: Any) -> dict[str, float]:
    """What the estimators estimate."""
    return {"mean": float(law.mean()), "IQM": middle(law), "median": float(law.median())}


def generator(n: int, name: str) -> np.random.Generator:
    """One for each size and law, whatever else is simulated."""
    return np.random.default_rng([n, *name.encode()])


def tally(estimates: list[Estimate], truth: float) -> dict[str, float]:
    """The shares of intervals that hold the truth, to rounding, that miss it, and that have no width."""
    low, high = (np.array([getattr(one, end) for one in estimates]) for end in ("low", "high"))
    slack = 1e-9 * max(1.0, abs(truth))
    return {
        "simulations": len(estimates),
        "covered": float(np.mean((low <= truth + slack) & (high >= truth - slack))),
        "below": float(np.mean(high < truth - slack)),
        "above": float(np.mean(low > truth + slack)),
        "no_width": float(np.mean(low == high)),
    }


def sampled(name: str, n: int, simulations: int) -> Iterator[dict[str, Any]]:
    """A row for each estimator, of intervals around the same samples."""
    law = LAWS[name]
    samples = law.rvs(size=(simulations, n), random_state=generator(n, name)).astype(float)
    for estimator, truth in truths(law).items():
        found = [interval(sample, ESTIMATORS[estimator]) for sample in samples]
        yield {"law": name, "estimator": estimator, "n": n, **tally(found, truth)}


def shared(p: float, n: int) -> dict[str, Any]:
    """The row of a share, without simulation: each count with its probability."""
    chances = stats.binom(n, p).pmf(np.arange(n + 1))
    columns = [tally([share(count, n)], p) for count in range(n + 1)]
    sums = {key: float(chances @ [one[key] for one in columns]) for key in ("covered", "below", "above", "no_width")}
    return {"law": f"successes, each with {p:g}", "estimator": "share", "n": n, "simulations": 0, **sums}


def tasked(n: int, simulations: int) -> Iterator[dict[str, Any]]:
    """Rows of what is stratified over tasks, n runs on each."""
    rng = generator(n, "tasks")
    drawn = {name: law.rvs(size=(2, simulations, n), random_state=rng) for name, law in TASKS.items()}
    ours, theirs = (
        [Scores.of({name: drawn[name][side][i] + shift for name in TASKS}, None) for i in range(simulations)]
        for side, shift in ((0, 0.0), (1, -SHIFT))
    )
    better = np.mean([stats.norm.cdf(SHIFT / (np.sqrt(2) * law.std())) for law in TASKS.values()])
    found: Mapping[str, tuple[Callable[[int], Estimate], float]] = {
        "mean": (lambda i: stratified(ours[i], mean), float(np.mean([law.mean() for law in TASKS.values()]))),
        "IQM": (lambda i: stratified(ours[i], iqm), middle(*TASKS.values())),
        "P of improvement": (lambda i: improvement(ours[i], theirs[i], "up"), float(better)),
    }
    for estimator, (estimate, truth) in found.items():
        row = tally([estimate(i) for i in range(simulations)], truth)
        yield {"law": f"{len(TASKS)} tasks, normal", "estimator": estimator, "n": n, **row}


def simulate(simulations: int, tasked_simulations: int) -> pd.DataFrame:
    """All rows."""
    rows = [row for name in LAWS for n in SIZES for row in sampled(name, n, simulations)]
    rows += [row for n in SIZES for row in tasked(n, tasked_simulations)]
    rows += [shared(p, n) for p in SHARES for n in SIZES]
    return pd.DataFrame(rows).astype({"simulations": int})


def page(rows: pd.DataFrame) -> str:
    """The table to read, percentages by law and size, and where it falls short."""
    order = ["law", "estimator"]
    table = (100 * rows.pivot(index=order, columns="n", values="covered")).reindex(
        pd.MultiIndex.from_frame(rows[order].drop_duplicates())
    )
    lines = [
        "# What nominal 95 % intervals cover",
        "",
        "Percentage of intervals that hold the law's own value, by the number of seeds n. Made by",
        "`python tests/interval_coverage.py --write`; `coverage.csv` has on which side the others miss.",
        "",
        "| law | estimator |" + "".join(f" n = {n} |" for n in table.columns),
        "|---|---|" + "---:|" * len(table.columns),
    ]
    for (law, estimator), covered in table.iterrows():
        lines.append(f"| {law} | {estimator} |" + "".join(f" {value:.1f} |" for value in covered))
    most = int(rows["simulations"].max())
    fewest = int(rows.loc[rows["simulations"] > 0, "simulations"].min())
    lines += [
        "",
        f"Standard errors at 95 %: {_error(most):.1f} with {most:,} simulations, {_error(fewest):.1f} with {fewest:,} "
        "(tasks). Shares are sums over all counts, without error.",
        "",
        "## Where they fall short",
        "",
        "Below 90 %, and which way: an interval that lies below says too little. With *no width* all values of the",
        "sample were equal, and the interval is that value.",
        "",
    ]
    for row in rows[rows["covered"] < 0.9].sort_values("covered", kind="stable").itertuples():
        lines.append(
            f"- {row.law}, {row.estimator}, n = {row.n}: covers {100 * row.covered:.0f} %; lies below in "
            f"{100 * row.below:.0f} %, above in {100 * row.above:.0f} %, no width in {100 * row.no_width:.0f} %"
        )
    return "\n".join(lines) + "\n"


def _error(simulations: int) -> float:
    """Of a share of 95 %, in percentage points."""
    return float(100 * np.sqrt(0.95 * 0.05 / simulations))


def main(arguments: list[str]) -> None:
    """Print the page, and keep it with ``--write``."""
    parser = argparse.ArgumentParser(description=str(__doc__))
    parser.add_argument("--write", action="store_true", help="keep the record in results/statistics")
    write = parser.parse_args(arguments).write
    rows = simulate(SIMULATIONS, TASKED_SIMULATIONS)
    print(page(rows))
    if write:
        RECORD.mkdir(parents=True, exist_ok=True)
        rows.to_csv(RECORD / "coverage.csv", index=False, float_format="%.6g", lineterminator="\n")
        (RECORD / "coverage.md").write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
