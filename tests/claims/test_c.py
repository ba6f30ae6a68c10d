"""Claims on training: what is read off runs against numpy and scipy, and verdicts on runs whose verdict is plain."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from claims.made import SEEDS, Values, around, cell, verdict, view
from scipy import stats

from bench import records
from bench.claims import CLAIMS, c6, c7, c11, training
from bench.report.view import View

STANDARD, WASSERSTEIN = ("minimax", "non_saturating"), ("wgan_clip", "wgan_gp")
ALL = (*STANDARD, *WASSERSTEIN)
ARMS = ("reference", "tuned")
FALLING = list(np.linspace(3, 1, 12))


def waves(size: float) -> Values:
    return lambda rng: list(1 + size * rng.normal(size=12))


def estimate(good: bool) -> View:
    """The Wasserstein estimate is the distance, the JS estimate goes against it and the standard GANs do not settle."""
    own, other = FALLING, FALLING[::-1]
    cells = []
    for arm, objective in product(ARMS, ALL):
        right = (objective in WASSERSTEIN) == good
        emd = [*FALLING[:8], *(1 + (0.001 if right else 0.1) * np.array([1, -1, 1.2, -1]))]
        signals = {
            "score_gap": own if right else other,
            "js_estimate": other if right == (objective in WASSERSTEIN) else own,
        }
        late = {"emd": lambda rng, emd=emd: [value + 1e-5 * rng.normal() for value in emd]}
        cells.append(cell(objective, {**signals, **late}, seeds=12, arm=arm))  # so many that agree are no chance
    return view("estimate", cells)


def balance(good: bool) -> View:
    cells = [
        cell(name, {"emd": around(1, end), "emd_floor": [0.1] * 2, "cpu_seconds": [1, 8]}, critic_steps=count)
        for name in WASSERSTEIN
        for count, end in ((5, 0.2), (20, 0.2 if good else 0.4), (100, 0.19 if good else 0.3))
    ]
    return view("balance", cells)


def architectures(good: bool) -> View:
    """Six shapes, under which what an objective comes to differs by little or by much."""
    steady = WASSERSTEIN if good else STANDARD
    shapes = [{"generator__depth": k} for k in range(6)]
    cells = [
        cell(name, {"emd": around(2.0 ** ((0.1 if name in steady else 1) * k))}, **shape)
        for name in ALL
        for k, shape in enumerate(shapes)
    ]
    return view("architectures", cells)


def paths(good: bool) -> View:
    offsets = [-1, -0.25, -0.0625, 0, 0.0625, 0.25, 1]
    power = {"wasserstein_paired": 1.0 if good else 0.1, "jensen_shannon[64]": 0.02 if good else 0.9}
    power["jensen_shannon[4]"] = 1.0  # coarse bins are not asked

    def distance(column: str) -> Values:
        return lambda rng: [abs(d) ** (power[column] + 0.01 * rng.normal()) if d else 0.0 for d in offsets]

    columns = {"offset": offsets, **{column: distance(column) for column in power}}
    return view("paths", [cell("", columns, probe__path="generator", latent__dim=dim) for dim in (1, 2)])


def cost(good: bool) -> View:
    solve = around(0.001, 0.03 if good else 0.01)
    columns = {
        "emd_seconds": solve, "critic_step_seconds": around(0.02, 0.02, by=0.001),
        "emd_exponent": around(2.3 if good else 0.9, 2.3 if good else 0.9),
    }  # fmt: skip
    return view("emd_cost", [cell("wgan_gp", columns, at=[64, 128], batch_size=128)])


def tuning(good: bool) -> View:
    """Sixteen settings. Good: nothing beats the standard on both data sets, and good samples have bad estimates."""
    cells = []
    for objective, dataset in product(ALL, ("ring", "grid")):
        for draw in range(16):
            factor = 1.0 if objective == "non_saturating" else 4.0 if good and dataset == "ring" else 0.25
            emd = factor * (1 + draw / 16)
            error = (15 - draw if good else draw) / 16
            columns = {"emd": [emd], "score_gap": [emd * (1 + error)], "modes_covered": [16.0 - draw]}
            cells.append(cell(objective, columns, seeds=1, draw=draw, dataset=dataset))
    return view("tuning", cells)


def lines(good: bool) -> View:
    return view("lines", [cell(name, {"emd": around(1, 0.5, 0.3 if good else 0.8)}) for name in ALL])


def packs(good: bool) -> View:
    cells = [
        cell(
            "non_saturating",
            {
                "modes_covered": around(1, 4 + better, 5 + better), "reverse_kl": around(9, 3 - better, 2 - better),
                "modes_covered_floor": [8.0] * 3, "reverse_kl_floor": [0.0] * 3,
            },
            at=[20, 110, 1000], steps=1000, dataset=dataset, pack=pack,
        )
        for dataset in ("ring", "grid")
        for pack, better in ((1, 0.0), (2, 1.0 if good else -1.0), (4, 1.5 if good else -1.5))
    ]  # fmt: skip
    return view("pacgan_table1", cells)


def momentum(good: bool) -> View:
    cells = [
        cell(
            "wgan_clip", {"emd": around(1, 0.2 * (1 + beta1 if good else 1 - beta1 / 2))},
            critic_optimizer="adam", critic_optimizer__lr=rate, critic_optimizer__beta1=beta1,
        )
        for rate in (5e-5, 1e-3)
        for beta1 in (0.0, 0.5, 0.9)
    ]  # fmt: skip
    return view("momentum", cells)


def clock(good: bool) -> View:
    """One gets to twice the floor at its second observation, the other at its third; in one seed it never does."""
    quick, slow = [3.0, 0.2, 0.1], [3.0, 2.0, 0.1]
    cells = [
        cell(
            name,
            {
                "emd": quick if (name == "wgan_gp") != good else slow, "emd_floor": [0.1] * 3,
                "cpu_seconds": [1.0, 2.0, 3.0],
            },
            dataset=dataset, arm="tuned",
        )
        for dataset in ("ring", "grid")
        for name in ("wgan_gp", "non_saturating")
    ]  # fmt: skip
    return view("modes", cells)


def batches(good: bool) -> View:
    columns = {"w1_batches": around(8, 7), "w1_mean_image": around(7, 6) if good else around(9, 8)}
    return view("batches", [cell("", columns, at=[64, 128], dataset=name) for name in ("digits", "mnist")])


def penalties(good: bool) -> View:
    spreads = {"non_saturating": 0.1, "non_saturating_r1": 0.01 if good else 1.0}
    return view("penalties", [cell(name, {"emd": waves(size)}) for name, size in spreads.items()])


WORLDS: dict[str, tuple[Callable[[bool], View], Sequence[str]]] = {
    "estimate": (estimate, ["C4-reference", "C4-tuned", "C5-weak", "C8-reference", "C8-tuned"]),
    "balance": (balance, ["C6-steps", "C6-time"]),
    "architectures": (architectures, ["C7"]),
    "paths": (paths, ["C9"]),
    "emd_cost": (cost, ["C10-batch", "C10-growth"]),
    "tuning": (tuning, ["C11", "C17"]),
    "lines": (lines, ["C12-non_saturating", "C12-others"]),
    "pacgan_table1": (packs, ["C13-early", "C13-late"]),
    "momentum": (momentum, ["C14"]),
    "modes": (clock, ["C15"]),
    "batches": (batches, ["C16"]),
    "penalties": (penalties, ["C18-ring"]),
}


@pytest.mark.parametrize("name", WORLDS)
def test_a_claim_is_reproduced_where_it_is_so_and_refuted_where_it_is_the_other_way(name: str) -> None:
    make, claims = WORLDS[name]
    assert {claim: verdict(claim, make(True)) for claim in claims} == dict.fromkeys(claims, "reproduced")
    assert {claim: verdict(claim, make(False)) for claim in claims} == dict.fromkeys(claims, "refuted")


@pytest.mark.parametrize("claim", [name for _, names in WORLDS.values() for name in names])
def test_a_judge_says_what_is_missing(claim: str) -> None:
    grid = CLAIMS[claim].asked("cpu")[0].name
    other = cell("hinge", {"loss": [1.0]}, draw=0, dataset="ring", batch_size=2)
    with pytest.raises(LookupError):
        CLAIMS[claim].judge({grid: view(grid, [other])})


def test_monotone_is_every_seed_of_very_many(tmp_path: Path) -> None:
    def world(seeds: int, gap: Values) -> View:
        columns = {"score_gap": gap}
        return view("estimate", [cell(o, columns, seeds=seeds, arm=arm) for arm in ARMS for o in WASSERSTEIN])

    assert verdict("C5-strong", world(100, FALLING)) == "reproduced"
    assert verdict("C5-strong", world(SEEDS, FALLING)) == "inconclusive"
    assert (
        verdict("C5-strong", world(SEEDS, [*FALLING[:4], 99.0, *FALLING[5:]])) == "inconclusive"
    )  # the median hides it
    assert verdict("C5-strong", world(SEEDS, [*FALLING[:6], *[2.5] * 6])) == "refuted"


@pytest.mark.parametrize(("spread", "expected"), [(0.0, "reproduced"), (0.2, "reproduced"), (2.0, "refuted")])
def test_outputs_are_the_same_where_they_lie_closer_than_a_mode(tmp_path: Path, spread: float, expected: str) -> None:
    """Eight runs that lost modes, and eight that did not and are not asked."""
    lost = cell("minimax", {"modes_covered": [1.0], "modes_total": [8.0]}, dataset__std=0.1)
    kept = cell("minimax", {"modes_covered": [8.0], "modes_total": [8.0]}, dataset__std=0.1)
    for own, size in ((lost, spread * 0.1), (kept, 2.0)):
        for seed in range(SEEDS):
            points = np.random.default_rng(seed).normal(size=(500, 2)) * size / math.sqrt(2)
            records.publish_samples({"fake": (5 + points).astype(np.float32)}, tmp_path, f"{own.id}-s{seed}")
    world = view("modes", [lost, kept], tmp_path)
    assert verdict("C3", world) == expected
    (part,) = CLAIMS["C3"].judge({"modes": world})
    assert part.effect.n == SEEDS
    with pytest.raises(LookupError, match="not stored"):
        CLAIMS["C3"].judge({"modes": view("modes", [lost], tmp_path / "none")})


def test_penalties_converge_and_the_others_circle() -> None:
    def world(**late: float) -> View:
        centred = dict.fromkeys(("non_saturating_r1", "non_saturating_r1_r2", "relativistic_r1", "r3gan"), 0.01)
        ends = {**centred, **dict.fromkeys(ALL, 0.5), **late}
        own = {name: cell(name, {"late_distance": [end]}, probe__update="simultaneous") for name, end in ends.items()}
        in_turn = cell("r3gan", {"late_distance": [9.0]}, probe__update="alternating")
        return view("dirac", [*own.values(), in_turn])

    assert verdict("C18-dirac", world()) == "exact"
    assert verdict("C18-dirac", world(minimax=math.inf)) == "exact"
    assert verdict("C18-dirac", world(r3gan=0.11)) == "not exact"
    assert verdict("C18-dirac", world(wgan_gp=0.09)) == "not exact"
    assert verdict("C18-dirac", world(r3gan=math.inf)) == "not exact"


# What is read off runs


def test_correlations_are_those_of_scipy() -> None:
    own = cell("x", {name: lambda rng: list(rng.normal(size=12)) for name in ("score_gap", "emd")}, seeds=3)
    for seed, rho in training.follows(own, "score_gap").items():
        x, y = np.random.default_rng(seed).normal(size=(2, 12))
        assert rho == pytest.approx(stats.spearmanr(x, y).statistic)
        middle = [np.median(x[k : k + 5]) for k in range(8)]
        assert training.trend(own, "score_gap")[seed] == pytest.approx(stats.kendalltau(middle, range(8)).statistic)
    draws = np.random.default_rng(1).integers(9, size=(20, 12))  # with ties
    x, y = np.random.default_rng(2).normal(size=(2, 9))
    expected = [stats.spearmanr(x[own], y[own]).statistic for own in draws]
    assert training.spearman(x[draws], y[draws]) == pytest.approx(expected)
    assert np.isnan(training.spearman(np.ones((1, 4)), draws[:1, :4])).all()


def test_a_budget_s_observation_is_the_nearest_one() -> None:
    own = cell("x", {"emd": [4.0, 3.0, 1.0]}, at=[20, 110, 1000], steps=1000, diverged=1)
    early, late = (training.nearest(own, "emd", share) for share in (0.1, 1.0))
    assert (early, late) == (dict.fromkeys(range(SEEDS - 1), 3.0), dict.fromkeys(range(SEEDS - 1), 1.0))


def test_late_is_the_last_third() -> None:
    changed = cell("x", {"emd": [9.0, -9, 9, -9, 9, -9, 9, -9, 1.0, 2.0, 4.0, 1.0]})
    assert training.late_spread(changed)[0] == pytest.approx(np.std([1.0, 2, 4, 1], ddof=1))


def test_a_time_between_checkpoints_is_read_off_a_logarithmic_axis() -> None:
    own = cell("x", {"emd": [4.0, 3.0, 1.0], "cpu_seconds": [1.0, 10.0, 1000.0]}, diverged=1)
    ends = c6.at_time(own, 100.0, lost=7.0)
    assert ends == {**dict.fromkeys(range(SEEDS - 1), pytest.approx(2.0)), SEEDS - 1: 7.0}
    assert c6.at_time(own, 0.5, 7.0)[0] == 4.0  # before the first checkpoint


def test_time_is_compared_where_the_shorter_of_two_runs_ends() -> None:
    """At 100 seconds, where the run of 5 steps ends, that of 20 is half-way from 1 to its end."""
    slow = {"emd": around(4, 1, 0.1, by=0), "cpu_seconds": [1, 10, 1000]}
    cells = [cell(o, slow, critic_steps=k) for o in WASSERSTEIN for k in (20, 100)]
    cells += [cell(o, {"emd": around(4, 2, 1, by=0), "cpu_seconds": [1, 10, 100]}, critic_steps=5) for o in WASSERSTEIN]
    parts = CLAIMS["C6-time"].judge({"balance": view("balance", cells)})
    assert [part.effect.value for part in parts] == pytest.approx([math.log(0.55)] * 4)


def test_the_spread_over_architectures_counts_a_diverged_one_as_twice_the_worst() -> None:
    ends = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    cells = [cell("minimax", {"emd": [end]}, diverged=int(end == 3), generator__depth=end) for end in ends]
    spread = c7.spread(view("architectures", cells), "minimax")
    assert spread[0] == pytest.approx(np.std(np.log(ends), ddof=1))
    assert spread[SEEDS - 1] == pytest.approx(np.std(np.log([1, 2, 12, 4, 5, 6]), ddof=1))


def test_a_diverged_run_counts_as_the_worst_of_its_rate_twice() -> None:
    def world(diverged: int) -> View:
        cells = [
            cell(
                "wgan_clip", {"emd": [0.5]}, diverged=diverged * (beta1 > 0),
                critic_optimizer="adam", critic_optimizer__lr=rate, critic_optimizer__beta1=beta1,
            )
            for rate in (5e-5, 1e-3)
            for beta1 in (0.0, 0.5, 0.9)
        ]  # fmt: skip
        return view("momentum", cells)

    parts = CLAIMS["C14"].judge({"momentum": world(3)})
    assert [part.effect.value for part in parts] == pytest.approx([3 / SEEDS * math.log(2)] * 4)
    assert [part.diverged for part in parts] == [3] * 4
    assert verdict("C14", world(0)) == "refuted"  # nothing is harmed


def test_an_exponent_is_that_of_the_mean_of_both_sides() -> None:
    offsets = [-1.0, -0.5, 0.0, 0.5, 1.0]
    own = cell("", {"offset": offsets, "w": [1.0, 0.2, 0.0, 0.3, 1.0], "jump": [1.0, 1, 0, 1, 1], "zero": [0.0] * 5})
    assert training.exponent(own, "w")[0] == pytest.approx(2.0)  # from 1/4 to 1 over a factor of 2
    assert training.exponent(own, "jump")[0] == pytest.approx(0.0)
    assert math.isnan(training.exponent(own, "zero")[0])


def test_the_best_of_four_is_the_mean_over_all_ways_to_take_them() -> None:
    values = np.random.default_rng(3).normal(size=(2, 7))
    expected = [np.mean([min(four) for four in combinations(row, 4)]) for row in values]
    assert c11.expected_best(values) == pytest.approx(expected)


def test_settings_share_their_draws_and_one_that_diverged_is_the_worst_of_its_data_set() -> None:
    """Twice the standard's values in every setting: the ratio is 2 in every resample, however it is drawn."""
    cells = [
        cell(name, {"emd": [(1 + draw) * (1 if name == "non_saturating" else 2)]}, seeds=1, draw=draw, dataset=data)
        for name, data, draw in product(ALL, ("ring", "grid"), range(6))
    ]
    for part in CLAIMS["C11"].judge({"tuning": view("tuning", cells)}):
        assert (part.effect.value, part.effect.low, part.effect.high) == pytest.approx([math.log(2)] * 3)
        assert part.effect.n == 6
    other = [own for own in cells if own.draw != 5]
    other += [cell(n, {"emd": [1.0]}, seeds=1, diverged=1, draw=5, dataset=d) for n in ALL for d in ("ring", "grid")]
    parts = CLAIMS["C11"].judge({"tuning": view("tuning", other)})
    best = [np.mean([min(four) for four in combinations([*row, 10], 4)]) for row in ([2, 4, 6, 8, 10], [1, 2, 3, 4, 5])]
    assert parts[0].effect.value == pytest.approx(math.log(best[0] / best[1]))
    assert parts[0].diverged == 4


def test_an_interval_over_settings_is_a_percentile_bootstrap_s() -> None:
    values = np.random.default_rng(4).normal(size=20)
    found = training.over_settings("", "", lambda places: values[places].mean(axis=1), 20, 0.0, "above")
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=10_000, rng=0).confidence_interval
    assert (found.effect.low, found.effect.high) == pytest.approx(tuple(theirs), abs=0.02)
    far = training.over_settings("", "", lambda places: values[places].mean(axis=1), 20, 9.0, "above")
    assert far.p == pytest.approx(2 / 10_001)
    assert training.over_settings("", "", lambda p: values[p].mean(axis=1), 20, float(values.mean()), "above").p > 0.9
