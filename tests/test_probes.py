"""Probes: against finite differences, autograd and torch.optim, numpy over a loop of batches, scikit-learn, scipy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from sklearn.metrics import roc_auc_score

from bench import probes, seeding
from bench.engine import Training
from bench.metrics import Modes
from bench.networks.mlp import Mlp
from bench.optim import OPTIMIZERS, Parameters
from bench.problem import InstanceNoise, Latent, LrSchedule, Problem, at
from bench.rotation import rotation
from datasets.ring import Ring
from objectives import OBJECTIVES

SMOOTH = Mlp(depth=2, width=8, activation="tanh")
SETTINGS = {
    "adam": {"lr": 1e-3, "beta1": 0.5, "beta2": 0.9, "eps": 1e-8},
    "rmsprop": {"lr": 1e-3, "alpha": 0.99, "eps": 1e-8},
    "sgd": {"lr": 1e-2, "momentum": 0.5},
}


def problem(name: str, optimizer: str = "adam", generator: Mlp = SMOOTH, critic: Mlp = SMOOTH, **own: Any) -> Problem:
    own = {"critic_steps": 1, "batch_size": 6, **own}
    return Problem(
        objective=OBJECTIVES[name],
        dataset=Ring(),
        generator=generator.build((2,), (2,)),
        critic=critic.build((2 * own.get("pack", 1),), ()),
        latent=Latent(),
        generator_optimizer=OPTIMIZERS[optimizer],
        critic_optimizer=OPTIMIZERS[optimizer],
        **own,
    )


def trained(p: Problem, optimizer: str = "adam", seeds: Sequence[int] = (0, 1), steps: int = 3) -> Training:
    settings = {name: [value] * len(seeds) for name, value in SETTINGS[optimizer].items()}
    hparams = {name: [value] * len(seeds) for name, value in p.objective.hparams.items()}
    own = {"ema": [0.9] * len(seeds), "instance_noise": [0.5] * len(seeds)}
    scalars = {"objective": hparams, "generator_optimizer": settings, "critic_optimizer": settings, "training": own}
    training = Training(p, seeds, scalars, dtype=torch.float64)
    training.advance(steps)
    return training


def widened(draws: dict[str, Any]) -> dict[str, Any]:
    return {name: widened(value) if isinstance(value, dict) else value.double() for name, value in draws.items()}


def one(tree: dict[str, Any], r: int) -> dict[str, Any]:
    return {name: one(value, r) if isinstance(value, dict) else value[r] for name, value in tree.items()}


# --- denormal numbers


@pytest.fixture
def flushing() -> Iterator[None]:
    before = probes._flushes()
    yield
    torch.set_flush_denormal(before)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.usefixtures("flushing")
def test_denormals_are_kept_inside_and_as_before_after(before: bool) -> None:
    if not torch.set_flush_denormal(before):
        pytest.skip("this processor cannot flush")
    tiny = torch.tensor(2.0**-126)
    assert (float(tiny / 2) == 0) == before
    with probes.denormals():
        assert float(tiny / 2) == 2.0**-127
        with probes.denormals():
            pass
        assert float(tiny / 4) == 2.0**-128
    assert (float(tiny / 2) == 0) == before


@pytest.mark.usefixtures("flushing")
def test_denormals_are_as_before_after_an_error() -> None:
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush")
    with pytest.raises(KeyError), probes.denormals():
        raise KeyError
    assert float(torch.tensor(2.0**-126) / 2) == 0


# --- slopes and scores


def test_slopes_are_those_of_finite_differences() -> None:
    critic = SMOOTH.build((3, 2), ())
    draws = [critic.init(torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    parameters = {name: torch.stack([own[name] for own in draws]).double() for name in draws[0]}
    points = torch.randn(2, 5, 3, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    step = 1e-5
    gradient = torch.empty_like(points)
    for r in range(2):
        score = critic.bind(one(parameters, r))
        for i in range(3):
            for j in range(2):
                shift = torch.zeros(3, 2, dtype=torch.float64)
                shift[i, j] = step
                gradient[r, :, i, j] = (score(points[r] + shift) - score(points[r] - shift)) / (2 * step)
    expected = np.sqrt((gradient.numpy() ** 2).sum((2, 3)))
    np.testing.assert_allclose(probes.slopes_at(critic, parameters, points).numpy(), expected, rtol=1e-8)


def test_scores_rank_as_in_scikit_learn_ties_too() -> None:
    rng = np.random.default_rng(0)
    real, fake = np.round(rng.normal(0.5, 1, (3, 40)), 1), np.round(rng.normal(0, 1, (3, 60)), 1)
    truth = np.repeat([1, 0], [40, 60])
    expected = [roc_auc_score(truth, np.concatenate([a, b])) for a, b in zip(real, fake, strict=True)]
    found = probes.score_readings(torch.tensor(real), torch.tensor(fake))
    np.testing.assert_allclose(found["critic_auc"], expected, rtol=1e-12)
    np.testing.assert_allclose(found["score_gap"], real.mean(1) - fake.mean(1))
    assert len(set(real.ravel()) & set(fake.ravel())) > 10


def test_a_discriminator_is_accurate_and_saturated_where_it_says() -> None:
    real = torch.tensor([[6.906, 1.0, -1.0, 0.0], [90.0, 90.0, 7.0, 6.9]])
    fake = torch.tensor([[-6.905, -2.0, 3.0, -7.0], [-90.0, -90.0, -90.0, 90.0]])
    found = probes.score_readings(real, fake)
    assert found["saturated_real"].tolist() == [0.25, 0.75]
    assert found["saturated_fake"].tolist() == [0.25, 1.0]
    assert found["critic_accuracy"].tolist() == [(2 / 4 + 3 / 4) / 2, (1 + 3 / 4) / 2]


def test_the_js_estimate_is_the_divergence_at_the_optimal_discriminator_and_less_at_others() -> None:
    """Of N(0, 1) and N(2, 1), whose log-ratio is 2 - 2x, against quadrature."""
    p, q = stats.norm(0, 1), stats.norm(2, 1)

    def half(a: Any, b: Any) -> float:
        value: float = integrate.quad(lambda x: a.pdf(x) * np.log(2 * a.pdf(x) / (a.pdf(x) + b.pdf(x))), -8, 10)[0]
        return value

    divergence = (half(p, q) + half(q, p)) / 2
    quantiles = (np.arange(4000) + 0.5) / 4000  # the mean over these is a quadrature, without noise
    real, fake = p.ppf(quantiles), q.ppf(quantiles)
    slopes = np.array([[2.0], [1.0], [4.0], [-2.0]])
    found = probes.score_readings(*(torch.tensor(slopes - slopes * x) for x in (real, fake)))["js_estimate"].numpy()
    assert found[0] == pytest.approx(divergence, rel=1e-3)
    assert (found[1:] < divergence - 0.01).all()


def test_scores_that_are_not_finite_read_nothing_and_leave_neighbours_alone() -> None:
    real, fake = torch.randn(3, 8), torch.randn(3, 8)
    alone = probes.score_readings(real[2:], fake[2:])
    real[0, 3], fake[1, 0] = float("nan"), float("inf")
    for name, values in probes.score_readings(real, fake).items():
        assert torch.isnan(values[:2]).all(), name
        assert torch.equal(values[2:], alone[name]), name


# --- gradients of a generator loss


def by_hand(p: Problem, training: Training, draws: dict[str, Any], r: int) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of a replica's batches by the parameters [M, P] and by the fakes, times the scores [M n, D]."""
    state = training.state
    generator = {name: value[r].clone().requires_grad_() for name, value in state["generator"].items()}
    buffers, critic = one(state["generator_buffers"], r), one(training.parameters("critic"), r)
    hparams = {name: torch.tensor(value, dtype=torch.float64) for name, value in p.objective.hparams.items()}
    rows, fakes = [], []
    for m in range(len(draws["real"])):
        batch = one(widened(at(draws, m)), r)
        fake = p.generator.apply({**generator, **buffers}, batch["latent"])
        fake.retain_grad()
        judge = p.critic.bind(critic)
        noise = batch["noise"]
        loss = p.objective.generator_loss(judge, p.packed(batch["real"]), p.packed(fake), noise, hparams)
        for value in generator.values():
            value.grad = None
        loss.backward()
        rows.append(np.concatenate([value.grad.numpy().ravel() for value in generator.values()]))
        assert fake.grad is not None
        fakes.append(fake.grad.numpy() * p.batch_size)
    return np.stack(rows), np.concatenate(fakes)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("non_saturating", {"generator": replace(SMOOTH, constraint="spectral"), "batch_size": 3}),
        ("relativistic_average", {"pack": 2}),
        ("wgan_gp", {"critic": replace(SMOOTH, constraint="spectral")}),
    ],
)
def test_gradients_are_those_of_a_loop_over_batches(name: str, own: dict[str, Any]) -> None:
    p = problem(name, **own)
    training = trained(p)
    draws = probes.draw(p, training.seeds, batches=4)
    found = probes.gradient_readings(
        p,
        training.state["generator"],
        training.parameters("critic"),
        draws,
        training.scalars["objective"],
        generator_buffers=training.state["generator_buffers"],
        dtype=torch.float64,
    )
    for r in range(2):
        rows, fakes = by_hand(p, training, draws, r)
        expected = {
            "gradient_norm": np.linalg.norm(rows, axis=1).mean(),
            "gradient_variance": np.trace(np.cov(rows.T)),
            "fake_gradient_norm": np.linalg.norm(fakes, axis=1).mean(),
            "fake_gradient_variance": np.trace(np.cov(fakes.T)),
        }
        np.testing.assert_allclose([found[name][r] for name in expected], list(expected.values()), rtol=1e-9)


@pytest.mark.usefixtures("flushing")
@pytest.mark.parametrize("batch_size", [4, 16])
def test_gradients_at_saturated_scores_are_read(batch_size: int) -> None:
    """At scores of -90 the gradient by a fake is sigmoid(-90) = 8e-40, below the normal numbers of float32."""
    torch.set_flush_denormal(True)
    p = problem("minimax", critic=Mlp(depth=0), batch_size=batch_size)
    critic = {"0.weight": torch.tensor([[[0.0, 1.0]]]), "0.bias": torch.tensor([[-90.0]])}
    generator = {name: torch.zeros_like(value)[None] for name, value in p.generator.init(torch.Generator()).items()}
    draws = probes.draw(p, [0], batches=2)
    for dtype, tolerance in ((torch.float32, 1e-3), (torch.float64, 1e-12)):
        found = probes.gradient_readings(p, generator, critic, draws, {}, dtype=dtype)
        assert float(found["fake_gradient_norm"]) == pytest.approx(np.exp(-90.0), rel=tolerance, abs=0)
    alone = probes.gradient_readings(p, generator, critic, one({"": draws}, slice(1))[""], {}, dtype=torch.float64)
    assert torch.isnan(alone["gradient_variance"]).all()


def test_what_is_drawn_is_the_same_for_objectives_and_new_for_each_seed_and_batch() -> None:
    one_noise, none = (probes.draw(problem(name), [3, 4], batches=2) for name in ("wgan_gp", "non_saturating"))
    for kind in ("real", "latent"):
        assert torch.equal(one_noise[kind], none[kind])
        batches = one_noise[kind].flatten(0, 1)
        assert len({tuple(batch.flatten().tolist()) for batch in batches}) == 4
    assert one_noise["noise"]["mix"].shape == (2, 2, 6)
    trained_with = Ring().sample(6, seeding.generator(3, "data"))
    assert not torch.equal(one_noise["real"][0, 0], trained_with)


# --- training


def step_of_torch(p: Problem, training: Training, batch: dict[str, Any], player: str, kind: str) -> tuple[float, float]:
    """Ratio and cosine of a step of torch's own optimiser, for the first replica."""
    state, batch = one(training.state, 0), one(batch, 0)
    players: dict[str, Parameters] = {name: dict(state[name]) for name in ("generator", "critic")}
    own = players[player] = {name: value.clone().requires_grad_() for name, value in state[player].items()}
    settings = SETTINGS[kind]
    adjust = p.critic_optimizer.torch_optimizer(list(own.values()), settings)
    for group in adjust.param_groups:
        group["lr"] *= float(p.lr_schedule.factor(torch.tensor(training.step - 1), p.steps))
    slots = p.critic_optimizer.torch_slots
    for name, value in own.items():
        known = {theirs: state[f"{player}_optimizer"][ours][name].clone() for ours, theirs in slots.items()}
        adjust.state[value] = {"step": torch.tensor(float(training.step)), **known}
    hparams = {name: torch.tensor(value) for name, value in p.objective.hparams.items()}
    fake = p.generator.apply(players["generator"], batch["latent"])
    loss = p.objective.critic_loss if player == "critic" else p.objective.generator_loss
    loss(p.critic.bind(players["critic"]), batch["real"], fake, batch["noise"], hparams).backward()
    old = np.concatenate([value.detach().numpy().ravel() for value in own.values()])
    gradient = np.concatenate([value.grad.numpy().ravel() for value in own.values()])
    adjust.step()
    step = old - np.concatenate([value.detach().numpy().ravel() for value in own.values()])
    ratio = np.linalg.norm(step) / np.linalg.norm(old)
    return float(ratio), float(step @ gradient / np.linalg.norm(step) / np.linalg.norm(gradient))


@pytest.mark.parametrize(
    ("name", "kind", "own"),
    [
        ("wgan_gp", "adam", {"steps": 9, "lr_schedule": LrSchedule(shape="linear", warmup=6)}),
        ("wgan_clip", "rmsprop", {}),
        ("non_saturating", "sgd", {}),
    ],
)
def test_an_update_is_the_step_that_torch_makes(name: str, kind: str, own: dict[str, Any]) -> None:
    p = problem(name, kind, **own)
    training = trained(p, kind)
    batch = at(widened(probes.draw(p, training.seeds, batches=1)), 0)
    found = probes.update_readings(p, training.state, training.scalars, batch)
    for player in ("critic", "generator"):
        ratio, cosine = step_of_torch(p, training, batch, player, kind)
        assert float(found[f"{player}_update_ratio"][0]) == pytest.approx(ratio, rel=1e-8)
        assert float(found[f"{player}_update_cosine"][0]) == pytest.approx(cosine, rel=1e-8)
        assert 0 < cosine < 1 - 1e-4


def test_momentum_against_the_gradient_turns_the_cosine() -> None:
    """b = -20 g before, .5 b + g = -9 g after: a step of lr 9 |g| uphill."""
    p = problem("non_saturating", "sgd")
    training = trained(p, "sgd", steps=1)
    batch = at(widened(probes.draw(p, training.seeds, batches=1)), 0)
    state = training.state
    weights = {name: value[0].clone().requires_grad_() for name, value in state["generator"].items()}
    own = one(batch, 0)
    fake = p.generator.apply(weights, own["latent"])
    p.objective.generator_loss(p.critic.bind(one(state["critic"], 0)), own["real"], fake, {}, {}).backward()
    slots = state["generator_optimizer"]["momentum"]
    for name, value in weights.items():
        assert value.grad is not None
        slots[name][0] = -20 * value.grad
    found = probes.update_readings(p, state, training.scalars, batch)
    size = {name: np.sqrt(sum(float(f(value).square().sum()) for value in weights.values())) for name, f in {
        "gradient": lambda value: value.grad, "weights": lambda value: value.detach(),
    }.items()}  # fmt: skip
    assert float(found["generator_update_cosine"][0]) == pytest.approx(-1, abs=1e-12)
    assert float(found["generator_update_ratio"][0]) == pytest.approx(1e-2 * 9 * size["gradient"] / size["weights"])
    assert float(found["generator_update_cosine"][1]) > 0


SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "packs, noise, average": {"pack": 2, "steps": 5, "instance_noise": InstanceNoise(std=1.0), "averaged": True},
    "constraint, critic alone": {"critic": replace(SMOOTH, constraint="spectral"), "generator_steps": 0},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_reading_a_training_changes_nothing_in_it(shape: str) -> None:
    p = problem("wgan_gp", **SHAPES[shape])
    training, untouched = trained(p), trained(p)
    before = {name: value.clone() for name, value in training.state_dict().items()}
    draws = probes.draw_for_training(p, training.seeds)
    real, fake = torch.randn(2, 9, 2), torch.randn(2, 9, 2)
    found = probes.training_readings(p, training.state, training.scalars, draws, real, fake)
    assert all(torch.equal(value, before[name]) for name, value in training.state_dict().items())
    for one_training in (training, untouched):
        one_training.advance(1)
    after = untouched.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in training.state_dict().items())
    assert all(values.shape == (2,) and torch.isfinite(values).all() for values in found.values())
    assert ("generator_update_cosine" in found) == bool(p.generator_steps)


def test_readings_at_fresh_samples() -> None:
    """Of one replica, by autograd: medians of slopes, the gap, and the critic's loss with its penalty."""
    p = problem("wgan_gp")
    training = trained(p)
    draws = probes.draw_for_training(p, training.seeds)
    real, fake = torch.randn(2, 2, 9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = probes.training_readings(p, training.state, training.scalars, draws, real, fake)
    score = p.critic.bind(one(training.parameters("critic"), 1))

    def slopes(points: torch.Tensor) -> np.ndarray:
        points = points.clone().requires_grad_()
        score(points).sum().backward()
        assert points.grad is not None
        lengths: np.ndarray = np.linalg.norm(points.grad.numpy(), axis=1)
        return lengths

    weight = torch.linspace(0, 1, 19, dtype=torch.float64)[1::2, None]
    mix = draws["noise"]["mix"][1, :9, None].double()
    gap = float((score(real[1]).mean() - score(fake[1]).mean()).detach())
    penalty = np.mean((slopes(mix * real[1] + (1 - mix) * fake[1]) - 1) ** 2)
    expected = {
        "slope_real": np.median(slopes(real[1])),
        "slope_fake": np.median(slopes(fake[1])),
        "slope_between": np.median(slopes(weight * real[1] + (1 - weight) * fake[1])),
        "score_gap": gap,
        "critic_loss_fresh": -gap + 10 * penalty,
    }
    np.testing.assert_allclose([float(found[name][1]) for name in expected], list(expected.values()), rtol=1e-9)


# --- rotation


def test_a_generator_that_goes_round_visits_what_it_does_not_occupy() -> None:
    angles = 2 * np.pi * np.arange(8) / 8
    means = np.stack([np.cos(angles), np.sin(angles)], 1)
    modes = Modes(means, 0.01, np.full(8, 1 / 8))
    rng = np.random.default_rng(0)
    around = [np.repeat(means[[k, (k + 1) % 8]], 50, axis=0) + 0.1 * rng.normal(size=(100, 2)) for k in range(8)]
    assert rotation(around, modes) == [{"modes_occupied": 2.0, "modes_visited": float(min(8, k + 2))} for k in range(8)]
    nowhere = np.full((4, 2), np.nan)
    still = rotation([around[0], nowhere, around[0]], modes)
    assert [row["modes_occupied"] for row in still] == [2, 0, 2]
    assert [row["modes_visited"] for row in still] == [2, 2, 2]


def test_a_mode_is_occupied_from_a_fifth_of_its_mass_on() -> None:
    modes = Modes(np.array([[0.0], [1.0], [2.0]]), 0.1, np.array([0.5, 0.3, 0.2]))
    for counts, number in (([10, 6, 84], 3), ([9, 6, 85], 2), ([10, 5, 85], 2), ([0, 97, 3], 1)):
        points = np.repeat([[0.4], [1.4], [2.9]], counts, axis=0)
        assert rotation([points], modes)[0]["modes_occupied"] == number
