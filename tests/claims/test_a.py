"""Claims about what is exact: right on numbers from theory, wrong as soon as one is off."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from claims.made import cell, verdict, view

from bench.claims import CLAIMS
from bench.report.view import View

Columns = dict[str, list[float]]
THETA = [-1.0, -0.5, 0.0, 0.5, 1.0]
SCORES = [-100.0, -60.0, -1.0, 0.0, 60.0, 100.0]


def only(check: str, columns: Columns, **settings: Any) -> View:
    return view("exact", [cell("", columns, seeds=2, check=check, **settings)])


def earth(**changes: list[float]) -> View:
    costs = {f"cost_{route}": [5.0] * 4 for route in ("recursion", "emd", "closed_form")}
    return only("carried_earth", {"carried": [2.0, 2.0, -1.0, 0.0], **costs, **changes})


def lines(**changes: list[float]) -> View:
    """Samples whose heights are .02 off on the way over."""
    apart = [theta != 0 for theta in THETA]
    found = {
        "position": THETA,
        "wasserstein": [math.hypot(theta, 0.02) for theta in THETA],
        "jensen_shannon[64]": [math.log(2) if away else 0.01 for away in apart],
        "total_variation[64]": [1.0 if away else 0.1 for away in apart],
        "kullback_leibler[64]": [math.inf if away else 0.05 for away in apart],
        "kullback_leibler_reverse[64]": [math.inf if away else 0.05 for away in apart],
    }
    floors = {f"{name}_floor": [values[2]] * 5 for name, values in found.items() if name != "position"}
    columns = {**found, **floors, **changes}
    return view("paths", [cell("", columns, seeds=2, probe__path="lines", probe__bins=64), cell("", found)])


def dual(**changes: list[float]) -> View:
    columns = {"primal": [1.5], "dual_supremum": [1.5], "dual_infimum": [-1.5], **changes}
    return only("dual", columns, check__points=5, check__dim=2)


def signs(**changes: list[float]) -> View:
    columns = {"largest_generator_difference": [0.0, 0.0], "largest_generator_change": [0.0, 0.3], **changes}
    return only("sign_flip", columns, steps=300)


def axioms(**changes: list[float]) -> View:
    held = product(("wasserstein", "wasserstein_line"), ("negativity", "self_distance", "asymmetry", "triangle_excess"))
    columns = {f"{name}_{axiom}": [1e-16] for name, axiom in held}
    columns |= {f"{name}_identity_violations": [0.0] for name in ("wasserstein", "wasserstein_line")}
    broken = ("cross_entropy_identity", "cross_entropy_symmetry", "kullback_leibler_symmetry")
    return only("axioms", {**columns, **{f"{name}_violations": [1.0] for name in broken}, **changes})


def curves(of: str = "", **changes: list[float]) -> View:
    """Gradients by numpy; beyond a score of 60 float32 may be wrong."""
    s = np.array(SCORES)
    gradients = {
        "minimax": -1 / (1 + np.exp(-s)),
        "non_saturating": -1 / (1 + np.exp(s)),
        "wgan_clip": -np.ones(6),
        "wgan_gp": -np.ones(6),
    }
    cells = []
    for (name, gradient), dtype in product(gradients.items(), ("float32", "float64")):
        columns = {
            "score": SCORES,
            "score_gradient": gradient.tolist(),
            "relative_error": [math.inf, *[1e-14] * 4, 1.0],
        }
        own = changes if of in (name, f"{name}, {dtype}") else {}
        cells.append(cell(name, {**columns, **own}, seeds=1, probe__dtype=dtype))
    return view("score_curve", cells)


def dirac(of: str = "", **changes: list[float]) -> View:
    """Roots of the characteristic polynomials: x^2 + gamma x + f'(0)^2, f'(0) a half, of WGAN 1."""
    games = [("minimax", 0.0, 0.25), ("non_saturating", 0.0, 0.25), ("wgan_clip", 0.0, 1.0)]
    games += [("non_saturating_r1", gamma, 0.25) for gamma in (0.3, 1.0, 2.0)]
    cells = []
    for name, gamma, product_of in games:
        roots = sorted(np.roots([1, gamma, product_of]).tolist(), key=lambda root: (round(root.real, 9), root.imag))
        columns = {"late_distance": [1e-3 if gamma else 0.8]}
        for k, root in enumerate(map(complex, roots), 1):
            columns |= {f"eigenvalue_real[{k}]": [root.real], f"eigenvalue_imag[{k}]": [root.imag]}
        columns |= changes if of == name else {}
        cells.append(
            cell(
                name,
                columns,
                seeds=1,
                probe__update="simultaneous",
                **{"hparams.penalty_weight": gamma} if gamma else {},
            )
        )
    jump = {"jump": [1.0], "late_distance": [1.1], **(changes if of == "wgan_gp" else {})}
    cells.append(cell("wgan_gp", jump, seeds=1, probe__update="simultaneous", hparams__penalty_weight=0.5))
    cells.append(cell("minimax", {"late_distance": [0.0]}, seeds=1, probe__update="alternating"))
    return view("dirac", cells)


GOOD = {
    "A1": earth, "A2": lines, "A3-mended": dual, "A4": signs, "A5": axioms, "A6": curves, "A7": dirac,
}  # fmt: skip


@pytest.mark.parametrize(("claim", "made"), GOOD.items(), ids=GOOD)
def test_numbers_from_theory_are_exact(claim: str, made: Callable[[], View]) -> None:
    assert verdict(claim, made()) == "exact"


@pytest.mark.parametrize(
    ("claim", "found"),
    [
        ("A1", earth(cost_emd=[5.0 + 1e-8] * 4)),
        ("A1", earth(carried=[2.0, 2.0, 1.0, 0.0])),
        ("A2", lines(wasserstein=[1.03, 0.51, 0.02, 0.51, 1.01])),  # off by more than the floor at one end
        ("A2", lines(wasserstein=[math.nan, 0.5, 0.02, 0.5, 1.0])),
        ("A2", lines(**{"jensen_shannon[64]": [math.log(2)] * 4 + [0.69]})),
        ("A2", lines(**{"kullback_leibler_reverse[64]": [9.0, math.inf, 0.05, math.inf, math.inf]})),
        ("A2", lines(**{"total_variation[64]": [1.0, 1.0, 0.11, 1.0, 1.0]})),
        ("A3-mended", dual(dual_infimum=[-1.4999])),
        ("A4", signs(largest_generator_difference=[0.0, 1e-9])),
        ("A4", signs(largest_generator_change=[0.0, 0.0])),  # what did not train is not compared
        ("A5", axioms(wasserstein_triangle_excess=[1e-8])),
        ("A5", axioms(cross_entropy_symmetry_violations=[0.999])),
        ("A6", curves("minimax", score_gradient=[-1.0] * 6)),
        ("A6", curves("wgan_gp", score_gradient=[-1.0] * 3 + [-1 + 1e-9] + [-1.0] * 2)),
        ("A6", curves("non_saturating, float64", relative_error=[0.0, 0.0, 1e-7, 0.0, 0.0, 0.0])),
        ("A7", dirac("wgan_clip", **{"eigenvalue_real[2]": [1e-5]})),
        ("A7", dirac("wgan_gp", jump=[0.0])),
        ("A7", dirac("minimax", late_distance=[0.05])),
        ("A7", dirac("non_saturating_r1", late_distance=[0.2])),
    ],
)  # fmt: skip
def test_one_number_that_is_off_is_enough(claim: str, found: View) -> None:
    assert verdict(claim, found) == "not exact"


def test_float32_may_be_as_far_off_as_its_rounding() -> None:
    assert verdict("A6", curves("minimax, float32", relative_error=[0.0, 0.0, 9e-6, 0.0, 0.0, 0.0])) == "exact"
    assert verdict("A6", curves("minimax, float32", relative_error=[0.0, 0.0, 2e-5, 0.0, 0.0, 0.0])) == "not exact"


def test_the_printed_dual_stands_only_if_the_infimum_is_the_distance() -> None:
    assert verdict("A3-printed", dual()) == "not exact"
    assert verdict("A3-printed", dual(dual_infimum=[1.5])) == "exact"


@pytest.mark.parametrize("claim", GOOD)
def test_without_its_records_nothing_is_judged(claim: str) -> None:
    (grid,) = CLAIMS[claim].asked("ci")
    with pytest.raises(LookupError):
        CLAIMS[claim].judge({grid.name: view(grid.name, [cell("other", {"emd": [1.0]})])})
