"""Gradients beside a fresh critic, against numpy written out, quadrature and a generator trained apart; resuming."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from at_work import after, context, told
from scipy import integrate, stats
from scipy.special import expit

from bench import seeding, training_settings
from bench.cell import Run, Unit
from bench.engine import Training
from bench.experiments import Result, Stopped, make_cell
from bench.experiments.saturation import SATURATION, marks
from bench.networks import NETWORKS
from bench.settings import SettingError, build
from objectives import OBJECTIVES

MLP = {"name": "mlp", "depth": 1, "width": 8, "activation": "tanh"}
LOSSES = ["minimax", "non_saturating", "wgan_gp"]
FROZEN = {
    "objective": "wgan_gp", "dataset": "ring", "critic": MLP, "steps": 7, "batch_size": 16,
    "frozen": {"objective": "non_saturating", "steps": 4, "batch_size": 16, "generator": MLP, "critic": MLP},
    "observe": {"observations": 3}, "probe": {"batches": 2, "losses": LOSSES[1:]},
}  # fmt: skip
PAIR = {
    "objective": "non_saturating", "pair": {"name": "two_gaussians", "distance": 2.0, "std": 1.0}, "critic": MLP,
    "steps": 2, "batch_size": 32, "observe": {"observations": 1}, "probe": {"batches": 4, "losses": LOSSES},
}  # fmt: skip


def unit(raw: Any, seeds: int = 2) -> Unit:
    cell = make_cell(SATURATION, SATURATION.resolve(raw))
    return Unit(tuple(Run(cell, seed) for seed in range(seeds)))


def run(raw: Any, work: Path, seeds: int = 2, stopping: Callable[[], bool] = lambda: False) -> list[Result]:
    return SATURATION.run(unit(raw, seeds), context(work, stopping))


def test_a_stopped_unit_goes_on_bit_for_bit_in_both_of_its_parts(tmp_path: Path) -> None:
    undisturbed, resumed, tries = run(FROZEN, tmp_path / "whole"), None, 0
    while resumed is None:
        try:
            resumed = run(FROZEN, tmp_path / "parts", stopping=after(2))
        except Stopped:
            tries += 1
    assert tries > 2
    np.testing.assert_equal(told(resumed), told(undisturbed))
    for one, other in zip(resumed, undisturbed, strict=True):
        np.testing.assert_equal(dict(one.samples), dict(other.samples))


def test_the_generator_is_frozen_as_its_own_training_left_it(tmp_path: Path) -> None:
    alone = training_settings.resolve({**FROZEN["frozen"], "dataset": "ring"})
    scalars = training_settings.make_scalars([alone, alone])
    training = Training(training_settings.make_problem(alone), [0, 1], scalars, way="loop")
    training.advance(4)
    fresh = [seeding.seed_of(seed, "fresh critic") for seed in (0, 1)]
    latents = torch.stack([torch.randn(32, 2, generator=seeding.generator(seed, "probe_latent")) for seed in fresh])
    expected = training.generate(latents).numpy()
    for result, samples in zip(run(FROZEN, tmp_path / "work"), expected, strict=True):
        np.testing.assert_allclose(result.samples["fake"], samples, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("objective", ["non_saturating", "wgan_clip"])
def test_step_0_is_of_fresh_weights_inside_the_critics_own_bounds(objective: str, tmp_path: Path) -> None:
    (result,) = run({**PAIR, "objective": objective}, tmp_path / "work", seeds=1)
    seed = seeding.seed_of(0, "fresh critic")
    network = build(SATURATION.resolve(PAIR)["critic"], NETWORKS).build((2,), ())
    drawn = network.init(seeding.generator(seed, "init_critic"))
    bound = OBJECTIVES["wgan_clip"].hparams["clip"] if objective == "wgan_clip" else math.inf
    w, b, v, c = (np.clip(values.double().numpy(), -bound, bound) for values in drawn.values())
    places = {"fake": ("probe_latent", -1.0), "real": ("probe_data", 1.0)}
    points = {
        law: torch.randn(128, 2, generator=seeding.generator(seed, purpose)).double().numpy() + np.array([x, 0.0])
        for law, (purpose, x) in places.items()
    }
    scores = {law: np.tanh(x @ w.T + b) @ v[0] + c for law, x in points.items()}
    slopes = ((1 - np.tanh(points["fake"] @ w.T + b) ** 2) * v) @ w
    expected = {"minimax": -expit(scores["fake"]), "non_saturating": -expit(-scores["fake"]), "wgan_gp": -np.ones(128)}
    row = result.rows[0]
    assert row["step"] == 0
    for name, weight in expected.items():
        means = (weight[:, None] * slopes).reshape(4, 32, 2).mean(1)
        norms = np.linalg.norm(means, axis=1)
        assert row[f"gradient_norm[{name}]"] == pytest.approx(norms.mean(), rel=1e-5)
        assert row[f"gradient_variance[{name}]"] == pytest.approx(np.trace(np.cov(means.T)), rel=1e-4)
    right = ((scores["real"] > 0).mean() + (scores["fake"] < 0).mean()) / 2
    assert row["critic_accuracy"] == pytest.approx(right, abs=0.008)
    assert row["score_gap"] == pytest.approx(scores["real"].mean() - scores["fake"].mean(), rel=1e-4, abs=1e-9)


def test_gradients_at_the_optimal_discriminator_are_the_integrals(tmp_path: Path) -> None:
    """Its score ``d x_1 / std^2`` is normal with mean ``-d^2 / 2 std^2`` and variance ``d^2 / std^2`` on fakes."""
    raw = {**PAIR, "batch_size": 4000, "steps": 1, "critic": {**MLP, "width": 2}}
    (result,) = run({**raw, "pair": {"name": "two_gaussians", "distance": 1.0, "std": 0.5}}, tmp_path / "work", seeds=1)
    law, slope = stats.norm(-2, 2), 1.0 / 0.25
    shares = {"minimax": lambda s: expit(s), "non_saturating": lambda s: expit(-s), "wgan_gp": lambda s: 1.0}
    for name, share in shares.items():
        mean = integrate.quad(lambda s, share=share: share(s) * law.pdf(s), -30, 30)[0]
        assert result.rows[-1][f"gradient_norm_at_optimum[{name}]"] == pytest.approx(slope * mean, rel=0.05)


def test_one_gradient_dies_and_the_other_grows_as_a_discriminator_learns(tmp_path: Path) -> None:
    raw = {**PAIR, "pair": {"name": "two_gaussians", "distance": 4.0, "std": 0.2}, "steps": 150}
    (result,) = run({**raw, "optimizer": {"name": "adam", "lr": 0.05}}, tmp_path / "work", seeds=1)
    first, last = result.rows[0], result.rows[-1]
    fall, rise = (math.log10(last[f"gradient_norm[{n}]"] / first[f"gradient_norm[{n}]"]) for n in LOSSES[:2])
    assert fall < -2 < 0 < rise
    assert last["critic_accuracy"] == 1
    assert last["saturated_fake"] > 0.9


def test_a_generator_that_diverges_ends_its_run_before_there_is_a_critic(tmp_path: Path) -> None:
    lost = {**FROZEN["frozen"], "objective": "least_squares", "optimizer": {"name": "sgd", "lr": 1e30}}
    (row,) = run({**FROZEN, "frozen": lost}, tmp_path / "work", seeds=1)[0].rows
    assert (row["status"], row["step"]) == ("diverged", 0)
    assert "of the frozen generator's training" in row["message"]


def test_marks_are_spaced_by_ratio_from_the_first_step_to_the_last() -> None:
    observe = {"observations": 17, "spacing": "log"}
    assert marks(observe, 4000) == np.unique(np.round(np.geomspace(1, 4000, 17))).astype(int).tolist()
    assert marks({"observations": 4, "spacing": "linear"}, 100) == [25, 50, 75, 100]


def test_every_loss_is_read_by_default_with_its_own_hyperparameters() -> None:
    probe = SATURATION.resolve({**PAIR, "probe": {}})["probe"]
    assert set(probe["losses"]) == set(OBJECTIVES)
    given = {"name": "wgan_gp", "penalty_weight": 3.0}
    assert SATURATION.resolve({**PAIR, "probe": {"losses": given}})["probe"]["losses"] == {
        "wgan_gp": {"penalty_weight": 3.0}
    }


def test_cells_train_together_where_replicas_can_carry_what_differs() -> None:
    def group(**changes: Any) -> str:
        return SATURATION.group(SATURATION.resolve({**FROZEN, "frozen": {**FROZEN["frozen"], **changes}}))

    assert group() == group(optimizer={"lr": 0.5})
    assert group() != group(steps=9)


@pytest.mark.parametrize(
    ("raw", "wrong", "path"),
    [
        (FROZEN, {"frozen": {"objective": "non_saturatin"}}, ("frozen", "objective", "name")),
        (FROZEN, {"frozen": {"objective": "minimax", "widht": 1}}, ("frozen", "widht")),
        (FROZEN, {"frozen": {"objective": "minimax", "steps": 0}}, ("frozen", "steps")),
        (FROZEN, {"frozen": {"objective": "minimax", "ema": 0.9}}, ("frozen", "ema")),
        (FROZEN, {"frozen": 3}, ("frozen",)),
        (FROZEN, {"dataset": "rong"}, ("dataset", "name")),
        (FROZEN, {"pair": "two_gaussians"}, ("frozen",)),
        (FROZEN, {"probe": {"losses": ["minmax"]}}, ("probe", "losses", "name")),
        (FROZEN, {"generator": MLP}, ("generator",)),
        (PAIR, {"dataset": "ring"}, ("dataset",)),
        (PAIR, {"probe": {"batches": 1}}, ("probe", "batches")),
    ],
)
def test_a_wrong_setting_is_named(raw: dict[str, Any], wrong: dict[str, Any], path: tuple[str, ...]) -> None:
    with pytest.raises(SettingError) as caught:
        SATURATION.resolve({**raw, **wrong})
    assert caught.value.path == path
