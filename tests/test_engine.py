"""The engine: lifted steps against the plain loop of torch.optim, streams, pairing, divergence, resuming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import safetensors.torch
import torch

from bench import seeding
from bench.engine import Stream, Training, Way
from bench.networks.mlp import Mlp
from bench.optim import OPTIMIZERS
from bench.problem import Latent, Problem
from datasets.ring import Ring
from objectives import OBJECTIVES
from objectives.base import Objective, uniform_mix


def problem(objective: Objective, *, optimizer: str = "adam", critic_steps: int = 2, batch_size: int = 16) -> Problem:
    dataset = Ring()
    return Problem(
        objective=objective,
        dataset=dataset,
        generator=Mlp(depth=2, width=8).build((2,), dataset.event_shape),
        critic=Mlp(depth=2, width=8, activation="leaky_relu").build(dataset.event_shape, ()),
        latent=Latent(),
        generator_optimizer=OPTIMIZERS[optimizer],
        critic_optimizer=OPTIMIZERS[optimizer],
        batch_size=batch_size,
        critic_steps=critic_steps,
    )


SETTINGS: dict[str, dict[str, float]] = {
    "adam": {"lr": 1e-3, "beta1": 0.5, "beta2": 0.9, "eps": 1e-8},
    "rmsprop": {"lr": 1e-3, "alpha": 0.99, "eps": 1e-8},
    "sgd": {"lr": 1e-2, "momentum": 0.5},
}


def scalars(objective: Objective, replicas: int, optimizer: str = "adam", **own: Sequence[float]) -> dict[str, Any]:
    """The same settings for every replica, but for ``own`` of the objective, or ``lr`` of both players."""
    player = {name: [value] * replicas for name, value in SETTINGS[optimizer].items()}
    player |= {name: list(values) for name, values in own.items() if name in player}
    hparams = {name: [value] * replicas for name, value in objective.hparams.items()}
    hparams |= {name: list(values) for name, values in own.items() if name in hparams}
    return {"objective": hparams, "generator_optimizer": player, "critic_optimizer": player}


def train(objective: Objective, seeds: Sequence[int], steps: int = 10, way: Way = "vmap", **own: Any) -> Training:
    optimizer, dtype = own.pop("optimizer", "adam"), own.pop("dtype", torch.float32)
    sizes = {name: own.pop(name) for name in ("critic_steps", "batch_size") if name in own}
    training = Training(
        problem(objective, optimizer=optimizer, **sizes),
        seeds,
        scalars(objective, len(seeds), optimizer, **own),
        way=way,
        dtype=dtype,
    )
    if steps:
        training.advance(steps)
    return training


def assert_same(one: Training, other: Training, tolerance: float) -> None:
    a, b = one.state_dict(), other.state_dict()
    assert a.keys() == b.keys()
    for name in a:
        # A mean that is nearly zero has no relative error to speak of, so the scale of the whole tensor counts.
        scale = float(a[name].double().abs().max()) if a[name].numel() else 0.0
        torch.testing.assert_close(
            b[name], a[name], rtol=tolerance, atol=tolerance * max(scale, 1e-12), msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("optimizer", SETTINGS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_lifted_replicas_equal_the_plain_loop(name: str, optimizer: str, dtype: torch.dtype, tolerance: float) -> None:
    own = {"lr": [1e-3, 2e-3, 5e-4]}
    lifted = train(OBJECTIVES[name], [0, 1, 2], way="vmap", optimizer=optimizer, dtype=dtype, **own)
    plain = train(OBJECTIVES[name], [0, 1, 2], way="loop", optimizer=optimizer, dtype=dtype, **own)
    assert_same(plain, lifted, tolerance)


@pytest.mark.parametrize("name", ["non_saturating", "wgan_clip", "wgan_gp"])
def test_compiled_replicas_equal_the_plain_loop(name: str) -> None:
    compiled = train(OBJECTIVES[name], [0, 1], way="compiled", dtype=torch.float64)
    plain = train(OBJECTIVES[name], [0, 1], way="loop", dtype=torch.float64)
    assert_same(plain, compiled, 1e-10)


def test_seeds_decide_weights_and_batches() -> None:
    objective = OBJECTIVES["non_saturating"]
    same, other = (train(objective, seeds, 0).state_dict() for seeds in ([5, 5], [5, 6]))
    assert torch.equal(same["state.critic.0.weight"][0], same["state.critic.0.weight"][1])
    assert not torch.equal(other["state.critic.0.weight"][0], other["state.critic.0.weight"][1])
    same, other = (train(objective, seeds, 3).state_dict() for seeds in ([5, 5], [5, 6]))
    assert torch.equal(same["state.generator.0.weight"][0], same["state.generator.0.weight"][1])
    assert not torch.equal(other["streams.real.before"][0], other["streams.real.before"][1])


def test_objectives_with_one_seed_start_alike_and_see_the_same_data() -> None:
    seen: dict[str, list[torch.Tensor]] = {}
    for name, critic_steps in (("non_saturating", 1), ("wgan_gp", 3)):
        training = train(OBJECTIVES[name], [0], 0, critic_steps=critic_steps)
        state = training.state_dict()
        seen[name] = [
            *[state[key] for key in sorted(state) if key.startswith(("state.generator.", "state.critic."))],
            training._streams["real"].take(9),
            training._streams["latent_generator"].take(9),
        ]
    for one, other in zip(*seen.values(), strict=True):
        assert torch.equal(one, other)


def test_noises_of_one_objective_are_independent() -> None:
    two = replace(OBJECTIVES["wgan_gp"], noise={"mix": uniform_mix, "other": uniform_mix})
    streams = train(two, [0], 0)._streams
    assert not torch.equal(streams["noise.mix"].take(1), streams["noise.other"].take(1))


def test_a_stream_is_the_same_however_it_is_taken() -> None:
    def stream() -> Stream:
        return Stream(lambda n, g: torch.randn(n, 3, generator=g), [seeding.generator(s, "data") for s in (0, 1)], 1000)

    whole = stream().take(200)
    parts = stream()
    assert torch.equal(whole, torch.cat([parts.take(k) for k in (1, 63, 7, 64, 65)]))
    alone = Stream(lambda n, g: torch.randn(n, 3, generator=g), [seeding.generator(1, "data")], 1000)
    assert torch.equal(whole[:, 1], alone.take(200)[:, 0])


def test_a_replica_computes_the_same_in_any_company() -> None:
    objective = OBJECTIVES["wgan_gp"]
    together, alone = train(objective, [0, 1, 2, 3], 20), train(objective, [2], 20)
    a, b = together.state_dict(), alone.state_dict()
    for name in a:
        if name.startswith("streams") and name.endswith("before"):
            assert torch.equal(a[name][2], b[name][0])
        elif name.startswith(("state.generator.", "state.critic.")):
            torch.testing.assert_close(a[name][2], b[name][0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("way", ["vmap", "loop"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_replica_that_diverges_is_caught_and_leaves_its_neighbours_alone(name: str, way: Way) -> None:
    well = train(OBJECTIVES[name], [0, 1, 2], 6, way, lr=[1e-3, 1e-3, 1e-3])
    ill = train(OBJECTIVES[name], [0, 1, 2], 6, way, lr=[1e-3, float("inf"), 1e-3])
    first, second, third = ill.diverged()
    assert first is None
    assert third is None
    assert second is not None
    assert second[0] == 1
    assert second[1] in ("the critic's parameters", "the generator's parameters")
    a, b = well.state_dict(), ill.state_dict()
    for key in a:
        if key.startswith("state."):
            assert torch.equal(a[key][[0, 2]], b[key][[0, 2]]), key


@pytest.mark.parametrize("way", ["vmap", "loop"])
@pytest.mark.parametrize(
    ("tensor", "site"),
    [("critic.2.bias", "the critic loss"), ("generator.2.bias", "the fake samples"),
     ("critic_optimizer.mean.0.weight", "the critic's parameters"),
     ("generator_optimizer.mean.0.weight", "the generator's parameters")],
)  # fmt: skip
def test_divergence_is_noted_where_and_when_it_starts(tensor: str, site: str, way: Way) -> None:
    training = train(OBJECTIVES["non_saturating"], [0, 1], 4, way)
    state = training.state_dict()
    state[f"state.{tensor}"][1].view(-1)[0] = float("nan")
    training.load_state_dict(state)
    training.advance(3)
    assert training.diverged() == [None, (5, site)]


@pytest.mark.parametrize("way", ["vmap", "loop"])
def test_a_loss_or_gradient_that_is_not_finite_is_named(way: Way) -> None:
    base = OBJECTIVES["non_saturating"]

    def steep(critic: Any, real: Any, fake: Any, noise: Any, hparams: Any) -> torch.Tensor:
        # finite, with an infinite slope: the root at zero
        return (critic(fake) * 0).abs().sqrt().mean()

    def nan(critic: Any, real: Any, fake: Any, noise: Any, hparams: Any) -> torch.Tensor:
        return critic(fake).mean() * float("nan")

    for changed, site in (
        ({"critic_loss": steep}, "the critic's gradient"),
        ({"critic_loss": nan}, "the critic loss"),
        ({"generator_loss": steep}, "the generator's gradient"),
        ({"generator_loss": nan}, "the generator loss"),
    ):
        assert train(replace(base, **changed), [0], 2, way).diverged() == [(1, site)]


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("way", ["vmap", "loop"])
def test_a_resumed_training_is_bit_equal_to_an_undisturbed_one(name: str, way: Way) -> None:
    whole = train(
        OBJECTIVES[name], [0, 1, 2], 0, way, batch_size=4096
    )  # blocks of few batches, so that one ends inside
    whole.advance(7)
    whole.advance(30)
    first = train(OBJECTIVES[name], [0, 1, 2], 0, way, batch_size=4096)
    first.advance(7)
    second = train(OBJECTIVES[name], [0, 1, 2], 0, way, batch_size=4096)
    second.load_state_dict(safetensors.torch.load(safetensors.torch.save(first.state_dict())))
    second.advance(30)
    a, b = whole.state_dict(), second.state_dict()
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_the_state_of_another_training_is_refused() -> None:
    state = train(OBJECTIVES["minimax"], [0, 1], 1).state_dict()
    with pytest.raises(ValueError, match="another training"):
        train(OBJECTIVES["minimax"], [0], 0).load_state_dict(state)


@pytest.mark.parametrize("way", ["vmap", "loop"])
def test_clipped_weights_are_inside_their_own_bound_after_every_step(way: Way) -> None:
    bounds = [0.01, 0.1]
    training = train(OBJECTIVES["wgan_clip"], [0, 1], 0, way, clip=bounds)
    for _ in range(5):
        training.advance(1)
        for name, tensor in training.state_dict().items():
            if name.startswith("state.critic."):
                for replica, bound in zip(tensor, bounds, strict=True):
                    assert float(replica.abs().max()) <= torch.tensor(bound).item()


def test_readings_are_means_since_the_last_call() -> None:
    one, other = (train(OBJECTIVES["wgan_gp"], [0], 0) for _ in range(2))
    single = []
    for _ in range(4):
        one.advance(1)
        single.append({name: float(value[0]) for name, value in one.readings().items()})
    other.advance(4)
    for name, value in other.readings().items():
        assert float(value[0]) == pytest.approx(sum(reading[name] for reading in single) / 4, rel=1e-6)
    assert float(other.readings()["critic_loss"][0]) == 0  # nothing since


def test_readings_equal_a_computation_by_hand() -> None:
    objective = OBJECTIVES["non_saturating"]
    training = train(objective, [3], 0, critic_steps=1)
    before = {k: v[0].clone() for k, v in training.state_dict().items() if k.startswith("state.critic.")}
    critic = {k.removeprefix("state.critic."): v.requires_grad_() for k, v in before.items()}
    generator = {
        k.removeprefix("state.generator."): v[0]
        for k, v in training.state_dict().items()
        if k.startswith("state.generator.")
    }
    real = Ring().sample(64 * 16, seeding.generator(3, "data"))[:16]
    latent = torch.randn(64 * 16, 2, generator=seeding.generator(3, "latent_critic"))[:16]
    p = training.problem
    scores = [p.critic.apply(critic, x) for x in (real, p.generator.apply(generator, latent))]
    labels = [torch.ones(16), torch.zeros(16)]
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    loss = sum((bce(s, y) for s, y in zip(scores, labels, strict=True)), torch.zeros(()))
    gradients = torch.autograd.grad(loss, list(critic.values()))
    training.advance(1)
    readings = training.readings()
    assert float(readings["critic_loss"][0]) == pytest.approx(float(loss.detach()), rel=1e-5)
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    assert float(readings["critic_gradient_norm"][0]) == pytest.approx(float(norm), rel=1e-5)
