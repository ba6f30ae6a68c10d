"""The experiment ``exact``: each check against scipy, against numbers by hand, or against a training by hand."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from at_work import context
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, wasserstein_distance, wasserstein_distance_nd

from bench import seeding
from bench.cell import Run, Unit
from bench.experiments import EXPERIMENTS, make_cell
from bench.experiments.exact import sign_flip
from bench.experiments.exact.axioms import FUNCTIONS, between, violations
from bench.experiments.exact.dual import extremes
from bench.networks.mlp import Mlp
from bench.settings import SettingError
from datasets.ring import Ring

EXACT = EXPERIMENTS["exact"]
NETWORK = {"name": "mlp", "depth": 1, "width": 8}
TRAINING = {"dataset": "ring", "generator": NETWORK, "critic": NETWORK, "steps": 20, "batch_size": 16}


def rows(folder: Path, check: Any, seed: int = 0, **rest: Any) -> list[dict[str, Any]]:
    cell = make_cell(EXACT, EXACT.resolve({"check": check, **rest}))
    (result,) = EXACT.run(Unit((Run(cell, seed),)), context(folder))
    assert all((row["status"], row["check"]) == ("ok", cell.settings["check"]["name"]) for row in result.rows)
    return result.rows


def test_earth_of_the_lecture(tmp_path: Path) -> None:
    found = rows(tmp_path, "carried_earth")
    assert [row["carried"] for row in found] == [2, 2, -1, 0]
    assert [row["step"] for row in found] == [1, 2, 3, 4]
    for name in ("cost_recursion", "cost_emd", "cost_closed_form"):
        assert [row[name] for row in found] == pytest.approx([5] * 4, rel=1e-12)


def test_other_earth_costs_what_scipy_says(tmp_path: Path) -> None:
    p, q = (0.5, 0, 7, 1.25, 0.25), (2, 4, 0, 0, 3)
    found = rows(tmp_path, {"name": "carried_earth", "first": " ".join(map(str, p)), "second": " ".join(map(str, q))})[
        0
    ]
    due = sum(p) * wasserstein_distance(range(5), range(5), p, q)
    for name in ("cost_recursion", "cost_emd", "cost_closed_form"):
        assert found[name] == pytest.approx(due, rel=1e-12)


@pytest.mark.parametrize("dim", [1, 3])
def test_the_dual_is_a_supremum_and_the_infimum_its_negative(dim: int, tmp_path: Path) -> None:
    (found,) = rows(tmp_path, {"name": "dual", "points": 8, "dim": dim}, seed=3)
    assert found["primal"] > 0.1
    assert found["dual_supremum"] == pytest.approx(found["primal"], rel=1e-9)
    assert found["dual_infimum"] == pytest.approx(-found["primal"], rel=1e-9)
    other = rows(tmp_path, {"name": "dual", "points": 8, "dim": dim}, seed=4)[0]
    assert abs(other["primal"] - found["primal"]) > 1e-3


def test_extremes_are_the_distance_of_scipy() -> None:
    rng = np.random.default_rng(1)
    x, (p, q) = rng.normal(size=(9, 2)), rng.dirichlet(np.ones(9), size=2)
    due = wasserstein_distance_nd(x, x, p, q)
    assert extremes(x, p - q) == pytest.approx((-due, due), rel=1e-9)
    # Two points 5 apart, of which one has .3 more: f may differ by 5, either way.
    assert extremes(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([0.3, -0.3])) == pytest.approx((-1.5, 1.5))


def test_what_is_compared_is_what_scipy_compares() -> None:
    rng = np.random.default_rng(2)
    x, (p, q) = rng.normal(size=(6, 2)), rng.dirichlet(np.ones(6), size=2)
    due = (
        wasserstein_distance_nd(x, x, p, q), wasserstein_distance(x[:, 0], x[:, 0], p, q), entropy(p) + entropy(p, q),
        entropy(p, q), jensenshannon(p, q) ** 2, jensenshannon(p, q),
    )  # fmt: skip
    assert between(x, p, q) == pytest.approx(dict(zip(FUNCTIONS, due, strict=True)), rel=1e-9)


def test_violations_by_hand() -> None:
    metric = np.array([[0, 1, 1.5], [1, 0, 2], [1.5, 2, 0]])
    lopsided, detour, below, blind = (metric.copy() for _ in range(4))
    lopsided[0, 1] += 0.25
    detour[1, 2] = detour[2, 1] = 3.0  # by way of the first it is 2.5
    below[1, 1] = -0.5
    blind[0, 2] = blind[2, 0] = 0.0  # two laws that it cannot tell apart; the way to the second is now 1 or 2
    nothing = {"negativity": 0, "self_distance": 0, "asymmetry": 0, "triangle_excess": 0}
    shares = {"sign_violations": 0, "identity_violations": 0, "symmetry_violations": 0, "triangle_violations": 0}
    assert violations(metric[None]) == nothing | shares
    found = violations(np.stack([metric, metric, metric, lopsided, detour, below, blind, metric]))
    due = {"negativity": 0.5, "self_distance": 0.5, "asymmetry": 0.25, "triangle_excess": 1}
    due |= {"sign_violations": 1 / 8, "identity_violations": 2 / 8, "symmetry_violations": 1 / 8}
    assert found == pytest.approx(due | {"triangle_violations": 2 / 8})
    assert violations(metric[None] * np.nan)["sign_violations"] == 1


def test_the_earth_movers_distance_keeps_the_axioms_that_cross_entropy_breaks(tmp_path: Path) -> None:
    (found,) = rows(tmp_path, {"name": "axioms", "triples": 100})
    axioms = ("sign", "identity", "symmetry", "triangle")
    for name in ("wasserstein", "wasserstein_line", "jensen_shannon_root"):
        assert [found[f"{name}_{axiom}_violations"] for axiom in axioms] == [0, 0, 0, 0], name
    assert [found[f"cross_entropy_{axiom}_violations"] for axiom in axioms[:3]] == [0, 1, 1]
    assert [found[f"kullback_leibler_{axiom}_violations"] for axiom in axioms[:3]] == [0, 0, 1]
    assert found["kullback_leibler_triangle_violations"] > 0.3
    assert found["jensen_shannon_triangle_violations"] > 0.1
    assert 1 < found["cross_entropy_self_distance"] <= np.log(5)


@pytest.mark.parametrize("objective", ["wgan_clip", "wgan_gp", "non_saturating"])
def test_the_sign_of_the_critic_changes_nothing(objective: str, tmp_path: Path) -> None:
    found = rows(tmp_path, {"name": "sign_flip", "observations": 4}, objective=objective, **TRAINING)
    assert [row["step"] for row in found] == [0, 5, 10, 15, 20]
    assert {row[name] for row in found for name in sign_flip._LARGEST if "change" not in name} == {0.0}
    assert all(
        before["largest_generator_change"] < after["largest_generator_change"] for before, after in pairwise(found)
    )
    assert all(row["flipped_score_gap"] == -row["score_gap"] != 0 for row in found)


def test_a_sign_that_the_losses_do_not_know_of_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_flip, "_negating", lambda loss: loss)
    found = rows(tmp_path, "sign_flip", objective="wgan_clip", **TRAINING)
    assert found[0]["score_sum"] == found[0]["largest_generator_difference"] == 0
    assert found[-1]["largest_generator_difference"] > 1e-4
    assert found[-1]["score_sum"] > 1e-4


def test_the_flipped_training_is_one_written_by_hand(tmp_path: Path) -> None:
    """The critic low on real samples: it minimises real - fake, the generator minimises its own score."""
    found = rows(tmp_path, "sign_flip", seed=7, objective="wgan_clip", **TRAINING)
    shapes = {"generator": ((2,), (2,)), "critic": ((2,), ())}
    generator, critic = (
        {name: value.clone() for name, value in Mlp(depth=1, width=8).build(*shape).init(source).items()}
        for player, shape in shapes.items()
        for source in [seeding.generator(7, f"init_{player}")]
    )
    for name in ("1.weight", "1.bias"):
        critic[name].neg_()
    for player in (generator, critic):
        for value in player.values():
            value.requires_grad_()
    g_step, c_step = (torch.optim.RMSprop([*player.values()], lr=5e-5) for player in (generator, critic))

    def forward(player: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(x @ player["0.weight"].T + player["0.bias"])
        return hidden @ player["1.weight"].T + player["1.bias"]

    source = seeding.generator(7, "data")
    for _ in range(20):
        for _ in range(5):
            real = Ring().sample(16, source)
            fake = forward(generator, torch.randn(16, 2, generator=source)).detach()
            c_step.zero_grad()
            (forward(critic, real).mean() - forward(critic, fake).mean()).backward()
            c_step.step()
            with torch.no_grad():
                for value in critic.values():
                    value.clamp_(-0.01, 0.01)
        g_step.zero_grad()
        forward(critic, forward(generator, torch.randn(16, 2, generator=source))).mean().backward()
        g_step.step()
    real = Ring().sample(16, seeding.generator(7, "reference"))
    fake = forward(generator, torch.randn(16, 2, generator=seeding.generator(7, "evaluation")))
    gap = (forward(critic, real).mean() - forward(critic, fake).mean()).item()
    assert gap < 0
    assert found[-1]["flipped_score_gap"] == pytest.approx(gap, rel=1e-3)


@pytest.mark.parametrize(
    ("raw", "path", "words"),
    [
        ({}, ("check",), "missing"),
        ({"check": "duall"}, ("check", "name"), "dual"),
        ({"check": {"name": "dual", "points": 1}}, ("check", "points"), "greater than or equal to 2"),
        ({"check": {"name": "carried_earth", "first": "1 2"}}, ("check",), "as many amounts"),
        ({"check": {"name": "carried_earth", "first": "3 2 1 5"}}, ("check",), "of one sum"),
        ({"check": {"name": "carried_earth", "first": "3 2 1 x"}}, ("check",), "could not convert"),
        ({"check": "dual", "steps": 5}, ("steps",), "unknown setting"),
        ({"check": "sign_flip", "dataset": "ring"}, ("objective",), "missing"),
        ({"check": "sign_flip", "objective": "wgan_gp", "dataset": "ring", "ema": 0.9}, ("ema",), "without it"),
    ],
)
def test_settings_that_cannot_be_are_refused(raw: dict[str, Any], path: tuple[str, ...], words: str) -> None:
    with pytest.raises(SettingError, match=words) as caught:
        EXACT.resolve(raw)
    assert caught.value.path == path
