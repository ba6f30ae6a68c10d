"""Claims about gradients and critics: what is read off records against numpy, and verdicts that are plain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from claims.made import SEEDS, Values, around, cell, verdict, view

from bench.claims import CLAIMS
from bench.claims.reading import FROZEN, benchmark, decades
from bench.report.view import View

ENDS = (0, 4000)
CLIPS = (0.01, 0.1)
DATASETS = ("ring", "grid", "swiss_roll")


def saturation(
    minimax: float = 1e-5, grown: float = 20, critic: float = 5, *, place: str = "", diverged: int = 0
) -> View:
    """Gradients that begin near 1 and come to these sizes; at one place alone, if it is named."""
    cells = []
    for reading, places in FROZEN.items():
        for dataset, steps in places:
            here = place in ("", reading)
            fall, growth = (minimax, grown) if here else (1e-5, 20)
            columns = {"gradient_norm[minimax]": fall, "gradient_norm[non_saturating]": growth}
            columns |= {"gradient_variance[non_saturating]": growth**2, "gradient_norm[wgan_clip]": critic}
            columns |= {"gradient_norm[wgan_gp]": critic}
            own: dict[str, Values] = {name: around(1, end) for name, end in columns.items()}
            cells += [
                cell(name, own, at=ENDS, diverged=diverged, dataset=dataset, frozen__steps=steps)
                for name in ("non_saturating", "wgan_clip", "wgan_gp")
            ]
    return view("saturation", cells)


def depth(clipped: float = -1.1, even: float = 0.01, start: float = 0.2, end: float = 0.8) -> View:
    def own(slope: float) -> dict[str, Values]:
        return {"slope_per_layer": around(0, slope), "share_at_bound": around(start, end)}

    cells = [cell("wgan_clip", own(clipped), at=(0, 400), hparams__clip=clip) for clip in (0.1, 0.01, 0.001)]
    return view("depth", [*cells, cell("wgan_gp", own(even), at=(0, 400))])


def lipschitz(penalised: float = 0.05, clipped: float = 0.9) -> View:
    columns = ("slope_error[between]", "slope_error[real]", "secant_error[any]")
    cells = []
    for dataset in ("ring", "swiss_roll"):
        own: dict[str, Values] = {name: around(penalised) for name in columns}
        cells.append(cell("wgan_gp", own, pair__dataset=dataset))
        own = {name: around(clipped) for name in columns}
        for clip, constraint in [*product(CLIPS, ("none",)), (1e9, "spectral")]:
            settings = {"hparams.clip": clip, "critic.constraint": constraint, "pair.dataset": dataset}
            cells.append(cell("wgan_clip", own, **settings))
    return view("lipschitz", cells)


def optimal(
    flat: float = 1e-6, slope: float = 1.0, penalised: float = 0.5, clipped: float = 0.4,
    order: float = 0.5, ties: float = 0.3,
) -> View:  # fmt: skip
    gaussians = {"pair": "two_gaussians"}
    own: dict[str, Values] = {f"probability_slope_{law}": around(flat) for law in ("real", "fake")}
    own |= {"rank_correlation": around(-order), "ties_probability": around(ties)}
    cells = [cell("minimax", own, **gaussians)]
    own = {f"slope_{law}": around(slope) for law in ("real", "fake")}
    own |= {"rank_correlation": around(-0.99, by=0.001), "ties_score": around(0.1)}
    cells += [cell("wgan_clip", own, hparams__clip=clip, **gaussians) for clip in CLIPS]
    cells.append(cell("wgan_gp", own, **gaussians))
    for dataset in DATASETS:
        pair = {"pair": "noised", "pair.dataset": dataset}
        apart: dict[str, Values] = {"separation": around(clipped), "emd": around(0.8)}
        cells += [cell("wgan_clip", apart, **pair, **{"hparams.clip": clip}) for clip in CLIPS]
        cells.append(cell("wgan_gp", {**apart, "separation": around(penalised)}, **pair))
    return view("optimal_critic", cells)


def deep(deepest: float = 0.1, shallow: float = 0.5, diverged: int = 0) -> View:
    cells = [
        cell(
            "wgan_clip", {"separation": [reached], "emd": around(0.8)}, diverged=lost, hparams__clip=clip,
            critic__depth=depth,
        )
        for clip in CLIPS
        for depth, reached, lost in ((3, shallow, 0), (6, 0.45, 0), (12, deepest, diverged))
    ]  # fmt: skip
    return view("deep_critics", cells)


def w1(clip: float = 0.02, penalty: float = 0.05, clip_cosine: float = 0.3, cosine: float = 0.95) -> View:
    cells = []
    for dim in (2, 4, 8):
        cells += [
            cell(name, {"relative_error": around(error), "gradient_cosine": around(angle)}, **settings, pair__dim=dim)
            for name, error, angle, settings in (
                ("wgan_clip", -clip, clip_cosine, {"critic.constraint": "none"}),
                ("wgan_clip", -0.9, 0.7, {"critic.constraint": "spectral"}),
                ("wgan_gp", penalty, cosine, {"critic.constraint": "none"}),
            )
        ]
    return view("w1_benchmark", cells)


def estimate(late: float = 1.05, good: int = 10) -> View:
    """Estimates that are far off until the last checkpoints."""
    columns: dict[str, Values] = {"emd": [0.5] * 30, "score_gap": around(*[50.0] * (30 - good), *[0.5 * late] * good)}
    cells = [cell(name, columns, arm=arm) for name in ("wgan_clip", "wgan_gp") for arm in ("reference", "tuned")]
    return view("estimate", cells)


@pytest.mark.parametrize(
    ("claim", "good", "bad"),
    [
        ("B1", optimal(), optimal(flat=0.1)),
        ("B1", optimal(slope=1e-3), optimal(slope=1e-5)),
        ("B2-apart", saturation(), saturation(minimax=1e-2, place="apart")),
        ("B2-overlap", saturation(minimax=1, place="apart"), saturation(minimax=1, place="overlap")),
        ("B3-apart", saturation(), saturation(grown=0.5, place="apart")),
        ("B3-overlap", saturation(grown=0.5, place="apart"), saturation(grown=0.5, place="overlap")),
        ("B4", saturation(critic=0.2), saturation(critic=0.05)),
        ("B5", depth(), depth(clipped=0.01, even=-0.3)),  # of the sizes of both slopes, whichever way they go
        ("B6-bound", depth(start=0.9, end=0.7), depth(start=0.1, end=0.4)),
        ("B6-pushed", depth(start=0.1, end=0.4), depth(start=0.9, end=0.7)),
        ("B7", lipschitz(), lipschitz(penalised=0.3)),
        ("B7", lipschitz(clipped=0.2), lipschitz(clipped=0.04)),
        ("B8", optimal(), optimal(penalised=0.3)),
        ("B9", deep(), deep(shallow=0.3)),
        ("B10-clip", w1(), w1(clip=0.3)),
        ("B10-gp", w1(clip=0.3), w1(penalty=0.2)),
        ("B10-training", estimate(), estimate(late=1.5)),
        ("B11-gp", w1(), w1(cosine=0.7)),
        ("B11-clip", w1(), w1(clip_cosine=0.6)),
        ("B12-order", optimal(), optimal(order=1.0)),
        ("B12-ties", optimal(), optimal(ties=0.05)),
    ],
)  # fmt: skip
def test_plain_records_have_plain_verdicts(claim: str, good: View, bad: View) -> None:
    assert (verdict(claim, good), verdict(claim, bad)) == ("reproduced", "refuted")


def parts(claim: str, found: View) -> list[float]:
    return [part.effect.value for part in CLAIMS[claim].judge({found.grid: found})]


def test_decades_are_read_from_step_0_to_the_last_and_over_seeds() -> None:
    found = saturation(minimax=1e-4, critic=1e-3)

    def expected(place: int, column: str) -> float:
        """Of the place-th cell, by pandas and numpy."""
        wide = found.cells[place].rows.pivot(index="seed", columns="step", values=column)
        return float(np.log10(wide[0] / wide[4000]).mean())

    assert parts("B2-apart", found)[0] == pytest.approx(expected(0, "gradient_norm[minimax]"))
    assert parts("B4", found)[0] == pytest.approx(expected(1, "gradient_norm[wgan_clip]"))
    fall = expected(6, "gradient_variance[non_saturating]")
    assert parts("B3-overlap", found)[1] == pytest.approx(-fall * np.log(10))


def test_what_is_0_counts_as_the_smallest_number_and_stays_finite() -> None:
    assert decades(1.0, 0.0) == pytest.approx(-np.log10(np.finfo(np.float64).tiny))
    assert decades(0.0, 0.0) == 0
    assert parts("B2-apart", saturation(minimax=0.0))[0] == pytest.approx(307.65, abs=0.01)


def test_runs_that_diverged_are_left_out_and_told() -> None:
    (part, *_) = CLAIMS["B2-apart"].judge({"saturation": saturation(diverged=3)})
    assert (part.effect.n, part.diverged) == (SEEDS - 3, 3)


def test_a_critic_that_diverged_or_has_no_slope_has_failed() -> None:
    shares = [1.0, 0.0] * 2  # at 12 layers, at 3
    assert parts("B9", deep(deepest=0.5, diverged=SEEDS)) == shares
    assert parts("B9", deep(deepest=math.nan)) == shares
    assert parts("B9", deep(deepest=0.5)) == [0.0] * 4
    assert parts("B9", deep(deepest=0.5, diverged=2))[0] == 2 / SEEDS


def test_an_estimate_counts_from_the_last_third_on() -> None:
    ten, nine = (parts("B10-training", estimate(late=2, good=good))[0] for good in (10, 9))
    assert ten == pytest.approx(1, abs=0.05)
    assert nine == pytest.approx((9 * 1 + 99) / 10, rel=0.05)


def test_a_wrong_sign_is_an_error_too() -> None:
    assert parts("B10-gp", w1(penalty=-0.3)) == pytest.approx([0.3] * 3, rel=0.05)


def test_benchmark_critics_are_one_a_dimension() -> None:
    found = w1()
    assert [own.settings["pair.dim"] for own in benchmark(found, "wgan_clip")] == [2, 4, 8]
    for bad in (view("w1", found.cells * 2), view("w1", found.cells[1:2])):
        with pytest.raises(LookupError):
            benchmark(bad, "wgan_clip")


MADE: dict[str, Callable[[], View]] = {
    "optimal_critic": optimal, "saturation": saturation, "depth": depth, "lipschitz": lipschitz, "deep_critics": deep,
    "w1_benchmark": w1, "estimate": estimate,
}  # fmt: skip


@cache
def made(grid: str) -> View:
    return MADE[grid]()


@pytest.mark.parametrize("claim", [name for name in CLAIMS if name.startswith("B")])
def test_records_without_the_columns_decide_nothing(claim: str) -> None:
    (asked,) = CLAIMS[claim].asked("cpu")
    cells = [replace(own, rows=own.rows[["seed", "step", "status"]]) for own in made(asked.name).cells]
    found = CLAIMS[claim].judge({asked.name: view(asked.name, cells)})
    assert {(part.effect.n, part.verdict) for part in found} == {(0, "inconclusive")}
