"""The engine: lifted steps against the plain loop of torch.optim, streams, pairing, divergence, resuming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from bench import engine, lifted, seeding, ways
from bench.captured import Captured, Work
from bench.engine import Stream, Training, Way
from bench.lifted import Lifted
from bench.networks.mlp import Mlp
from bench.optim import OPTIMIZERS
from bench.problem import CriticWarmup, InstanceNoise, Latent, LrSchedule, Problem, at
from datasets.ring import Ring
from objectives import OBJECTIVES
from objectives.base import Objective, uniform_mix

MLP, LEAKY = Mlp(depth=2, width=8), Mlp(depth=2, width=8, activation="leaky_relu")


def problem(
    objective: Objective, *, optimizer: str = "adam", generator: Mlp = MLP, critic: Mlp = LEAKY, **own: Any
) -> Problem:
    dataset = Ring()
    own = {"critic_steps": 2, "batch_size": 16, **own}
    return Problem(
        objective=objective,
        dataset=dataset,
        generator=generator.build((2,), dataset.event_shape),
        critic=critic.build((2 * own.get("pack", 1),), ()),
        latent=Latent(),
        generator_optimizer=OPTIMIZERS[optimizer],
        critic_optimizer=OPTIMIZERS[optimizer],
        **own,
    )


SETTINGS: dict[str, dict[str, float]] = {
    "adam": {"lr": 1e-3, "beta1": 0.5, "beta2": 0.9, "eps": 1e-8},
    "rmsprop": {"lr": 1e-3, "alpha": 0.99, "eps": 1e-8},
    "sgd": {"lr": 1e-2, "momentum": 0.5},
    "optimistic_adam": {"lr": 1e-3, "beta1": 0.5, "beta2": 0.9, "eps": 1e-8},
}


def scalars(objective: Objective, replicas: int, optimizer: str = "adam", **own: Sequence[float]) -> dict[str, Any]:
    """The same settings for every replica, but for ``own`` of the objective, or ``lr`` of both players."""
    player = {name: [value] * replicas for name, value in SETTINGS[optimizer].items()}
    player |= {name: list(values) for name, values in own.items() if name in player}
    hparams = {name: [value] * replicas for name, value in objective.hparams.items()}
    hparams |= {name: list(values) for name, values in own.items() if name in hparams}
    training = {"ema": [0.9] * replicas, "instance_noise": [0.5] * replicas}
    return {"objective": hparams, "generator_optimizer": player, "critic_optimizer": player, "training": training}


def train(objective: Objective, seeds: Sequence[int], iterations: int = 10, way: Way = "vmap", **own: Any) -> Training:
    optimizer, dtype = own.pop("optimizer", "adam"), own.pop("dtype", torch.float32)
    shaping = {name: own.pop(name) for name in list(own) if name not in {*SETTINGS[optimizer], *objective.hparams}}
    training = Training(
        problem(objective, optimizer=optimizer, **shaping),
        seeds,
        scalars(objective, len(seeds), optimizer, **own),
        way=way,
        dtype=dtype,
    )
    if iterations:
        training.advance(iterations)
    return training


CANCELLING = ("cramer", "relativistic", "relativistic_average", "relativistic_r1", "r3gan")
"""Their critic losses see differences of scores alone, and the gradients of a constant added to all scores cancel only
up to rounding, which Adam and RMSProp blow up to steps of the size of the rate."""


def assert_same(one: Training, other: Training, tolerance: float, smallest: float = 1e-12) -> None:
    a, b = one.state_dict(), other.state_dict()
    assert a.keys() == b.keys()
    cancelling = one.problem.objective.name in CANCELLING
    tolerance *= 100 if cancelling else 1
    for name in a:
        if cancelling and "critic" in name and name.endswith(".2.bias"):
            continue
        # A mean that is nearly zero has no relative error to speak of, so the scale of the whole tensor counts.
        scale = float(a[name].double().abs().max()) if a[name].numel() else 0.0
        # Adam's direction is of the order of 1, unless all that it has seen of a gradient is rounding: 1e-16 / eps.
        scale = 100.0 if ".previous." in name else scale
        torch.testing.assert_close(
            b[name], a[name], rtol=tolerance, atol=tolerance * max(scale, smallest), msg=lambda m, n=name: f"{n}: {m}"
        )


SOME = ("minimax", "wgan_clip", "wgan_gp", "cramer")
"""A plain one, one with a projection, one with noise and a penalty, one with noise and pairs."""

EVERY_WAY: list[tuple[str, Way]] = [*((name, "vmap") for name in OBJECTIVES), *((name, "loop") for name in SOME)]


@pytest.mark.parametrize(
    ("name", "optimizer", "dtype", "tolerance"),
    [
        *((name, "sgd", torch.float32, 1e-5) for name in OBJECTIVES),
        *((name, "adam", torch.float64, 1e-10) for name in OBJECTIVES),
        *((name, optimizer, torch.float64, 1e-10) for name in SOME for optimizer in SETTINGS if optimizer != "adam"),
    ],
)
def test_lifted_replicas_equal_the_plain_loop(name: str, optimizer: str, dtype: torch.dtype, tolerance: float) -> None:
    own = {"lr": [1e-3, 2e-3, 5e-4]}
    lifted = train(OBJECTIVES[name], [0, 1, 2], way="vmap", optimizer=optimizer, dtype=dtype, **own)
    plain = train(OBJECTIVES[name], [0, 1, 2], way="loop", optimizer=optimizer, dtype=dtype, **own)
    assert_same(plain, lifted, tolerance)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        *((name, "adam") for name in OBJECTIVES if name not in CANCELLING),
        *((name, "rmsprop") for name in SOME if name not in CANCELLING),
    ],
)
def test_lifted_replicas_equal_the_plain_loop_in_single_precision(name: str, optimizer: str) -> None:
    # At smooth units: where a unit of the critic is as steep at all samples, a difference of mean scores does not
    # depend on its bias, and the gradient is rounding, which the optimisers blow up.
    smooth = {"critic": replace(MLP, activation="tanh")}
    lifted, plain = (
        train(OBJECTIVES[name], [0, 1], way=way, optimizer=optimizer, **smooth) for way in ("vmap", "loop")
    )
    assert_same(plain, lifted, 1e-5, smallest=1e-5)


SHAPINGS: dict[str, dict[str, Any]] = {
    "several generator steps": {"critic_steps": 1, "generator_steps": 3},
    "a generator that stands still": {"critic_steps": 1, "generator_steps": 0, "lr_schedule": LrSchedule(warmup=4)},
    "simultaneous": {"critic_steps": 1, "simultaneous": True},
    "packs": {"pack": 3},
    "rates that fall": {"steps": 12, "lr_schedule": LrSchedule(shape="cosine", warmup=4, final=0.1)},
    "critic warm-up": {"critic_warmup": CriticWarmup(steps=4, until=2, every=5)},
    "instance noise in packs": {"steps": 12, "instance_noise": InstanceNoise(std=1.0, until=0.6), "pack": 2},
    "averaging": {"averaged": True},
    "a training set": {"training_set": 50},
    "spectral norm": {"critic": replace(LEAKY, constraint="spectral")},
    "spectral norm, simultaneous": {
        "critic_steps": 1, "simultaneous": True, "critic": replace(LEAKY, constraint="spectral"),
    },
    "sorting and orthonormal weights": {"critic": replace(LEAKY, constraint="orthonormal", activation="group_sort")},
    "maxout and batch norm": {
        "generator": replace(MLP, norm="batch"), "critic": replace(LEAKY, activation="maxout", minibatch_std=True),
    },
}  # fmt: skip


@pytest.mark.parametrize("shaping", SHAPINGS)
@pytest.mark.parametrize("name", ["non_saturating", "wgan_gp"])
def test_every_shape_of_training_equals_the_plain_loop(shaping: str, name: str) -> None:
    own = {**SHAPINGS[shaping], "dtype": torch.float64}
    lifted, plain = (train(OBJECTIVES[name], [0, 1], 11, way, **own) for way in ("vmap", "loop"))
    # A bias before batch norm has a gradient that is nothing but rounding.
    assert_same(plain, lifted, 1e-9, smallest=1e-7 if "batch norm" in shaping else 1e-12)
    ordinary = train(OBJECTIVES[name], [0, 1], 11, "loop", dtype=torch.float64).state_dict()
    assert any(not torch.equal(value, ordinary.get(key, value[:0])) for key, value in plain.state_dict().items())


@pytest.mark.parametrize("way", ["vmap", "loop"])
def test_a_generator_can_be_given_and_stands_still(way: Way) -> None:
    objective, game = OBJECTIVES["wgan_gp"], problem(OBJECTIVES["wgan_gp"], generator_steps=0)
    given = {k: v.clone() for k, v in train(objective, [0, 1]).parameters("generator").items()}
    training = Training(game, [2, 3], scalars(objective, 2), way=way, begin={"generator": given})
    before = {name: value.clone() for name, value in training.parameters("critic").items()}
    training.advance(5)
    assert all(torch.equal(value, given[name]) for name, value in training.parameters("generator").items())
    after = training.parameters("critic")
    assert not any(torch.equal(after[name], before[name]) for name in before if name.endswith("weight"))
    assert training.readings()["generator_loss"].tolist() == [0, 0]


def test_descent_without_momentum_has_a_loop_too() -> None:
    settings = scalars(OBJECTIVES["minimax"], 2, "sgd", momentum=[0.0, 0.0])
    lifted, plain = (
        Training(problem(OBJECTIVES["minimax"], optimizer="sgd"), [0, 1], settings, way=way, dtype=torch.float64)
        for way in ("vmap", "loop")
    )
    for training in (lifted, plain):
        training.advance(3)
        training.advance(3)
    latents = torch.randn(2, 50, 2, dtype=torch.float64)
    torch.testing.assert_close(lifted.generate(latents), plain.generate(latents))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("wgan_clip", "wgan_gp") else [pytest.mark.campaign])
        for name in OBJECTIVES
    ],
)
@pytest.mark.skipif(ways.cannot_compile("cpu") is not None, reason=f"{ways.cannot_compile('cpu')}")
def test_compiled_replicas_equal_the_plain_loop(name: str) -> None:
    compiled = train(OBJECTIVES[name], [0, 1], way="compiled", dtype=torch.float64)
    plain = train(OBJECTIVES[name], [0, 1], way="loop", dtype=torch.float64)
    assert_same(plain, compiled, 1e-10)


@pytest.fixture
def as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that would be compiled run as they are."""
    monkeypatch.setattr(torch, "compile", lambda step, **_: step)


@pytest.mark.usefixtures("as_written")
@pytest.mark.parametrize(("fit", "size"), [(0.1, 1), (2.3, 2), (3.4, 3), (4.0, 3), (100.0, 6)])
def test_replicas_that_go_through_in_chunks_equal_the_plain_loop(
    fit: float, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"dtype": torch.float64, "lr": [1e-3, 2e-3, 5e-4, 1e-3, 1e-4, 1e-3]}
    plain = train(OBJECTIVES["wgan_gp"], range(6), 5, way="loop", **own)
    sizes: list[int] = []
    monkeypatch.setattr(lifted, "touched", lambda *_: 1000)
    monkeypatch.setattr(lifted, "CHUNK_BYTES", fit * 1000)
    iterate = Lifted.iterate

    def spy(self: Any, critic_steps: Any, state: Any, draws: Any, scalars: Any) -> Any:
        sizes.append(draws["critic"]["real"].shape[1])
        return iterate(self, critic_steps, state, draws, scalars)

    monkeypatch.setattr(Lifted, "iterate", spy)
    chunked = train(OBJECTIVES["wgan_gp"], range(6), 5, way="compiled", **own)
    assert_same(plain, chunked, 1e-10)
    assert sizes == [size] * (6 // size)


def test_what_a_step_touches_is_its_state_and_its_activations() -> None:
    """Of a critic 2 -> 8 -> 8 -> 1, on 16 real and 16 fake samples of a plane: inputs and two layers, in float32."""
    training = train(OBJECTIVES["non_saturating"], [0], 0, critic=Mlp(depth=2, width=8, activation="tanh"))
    state = at(training.state, 0)
    batch = at(at(training._take(training._streams["critic"], 1), 0), 0)
    own = sum(value.nbytes for name, value in training.state_dict().items() if name.startswith("state."))
    found = lifted.touched(training.problem, state, batch, at(training.scalars, 0))
    activations = 4 * 2 * 16 * (2 + 8 + 8)
    assert own + activations <= found <= own + activations + 4 * 2 * 16 * 4  # the losses keep their scores


@pytest.mark.usefixtures("as_written")
@pytest.mark.parametrize("shaping", ["critic warm-up", "rates that fall", "a generator that stands still",
                                     "simultaneous", "spectral norm", "averaging"])  # fmt: skip
def test_captured_iterations_equal_the_plain_loop(shaping: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU the work itself stands for the graph; recording runs it first, as CUDA's does."""
    recorded = 0

    def record(work: Work) -> Work:
        nonlocal recorded
        recorded += 1
        for _ in range(3):
            work()
        return work

    monkeypatch.setattr(engine, "Captured", lambda problem: Captured(problem, record))
    own = {**SHAPINGS[shaping], "dtype": torch.float64}
    captured, plain = (train(OBJECTIVES["wgan_gp"], [0, 1], 0, way, **own) for way in ("cuda_graph", "loop"))
    for training in (captured, plain):
        training.advance(3)
        training.readings()
        training.advance(7)
        training.load_state_dict({name: value.clone() for name, value in training.state_dict().items()})
        training.advance(6)
    assert_same(plain, captured, 1e-9)
    kinds = len({plain.problem.critic_steps_at(step) for step in range(3)})
    assert recorded >= 3 * kinds  # at first, for more draws, for a state in another place


def test_seeds_decide_weights_and_batches() -> None:
    objective = OBJECTIVES["non_saturating"]
    same, other = (train(objective, seeds, 0).state_dict() for seeds in ([5, 5], [5, 6]))
    assert torch.equal(same["state.critic.0.weight"][0], same["state.critic.0.weight"][1])
    assert not torch.equal(other["state.critic.0.weight"][0], other["state.critic.0.weight"][1])
    same, other = (train(objective, seeds, 3).state_dict() for seeds in ([5, 5], [5, 6]))
    assert torch.equal(same["state.generator.0.weight"][0], same["state.generator.0.weight"][1])
    assert not torch.equal(other["streams.critic.real.before"][0], other["streams.critic.real.before"][1])


def test_objectives_with_one_seed_start_alike_and_see_the_same_data() -> None:
    seen: dict[str, list[torch.Tensor]] = {}
    for name, critic_steps in (("non_saturating", 1), ("wgan_gp", 3)):
        training = train(OBJECTIVES[name], [0], 0, critic_steps=critic_steps)
        state = training.state_dict()
        seen[name] = [
            *[state[key] for key in sorted(state) if key.startswith(("state.generator.", "state.critic."))],
            training._streams["critic"]["real"].take(9),
            training._streams["generator"]["latent"].take(9),
        ]
    for one, other in zip(*seen.values(), strict=True):
        assert torch.equal(one, other)


def test_noises_of_one_objective_are_independent() -> None:
    two = replace(OBJECTIVES["wgan_gp"], noise={"mix": uniform_mix, "other": uniform_mix})
    streams = train(two, [0], 0)._streams["critic"]["noise"]
    assert not torch.equal(streams["mix"].take(1), streams["other"].take(1))


def test_a_stream_is_the_same_however_it_is_taken() -> None:
    def draw(n: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(n, 3, generator=generator)

    def stream() -> Stream:
        return Stream([draw, draw], [seeding.generator(s, "data") for s in (0, 1)], 1000)

    whole = stream().take(200)
    parts = stream()
    assert torch.equal(whole, torch.cat([parts.take(k) for k in (1, 63, 7, 64, 65)]))
    alone = Stream([draw], [seeding.generator(1, "data")], 1000)
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


@pytest.mark.parametrize(("name", "way"), EVERY_WAY)
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
        ({"critic_loss": steep}, "the critic's gradient or its square"),
        ({"critic_loss": nan}, "the critic loss"),
        ({"generator_loss": steep}, "the generator's gradient or its square"),
        ({"generator_loss": nan}, "the generator loss"),
    ):
        assert train(replace(base, **changed), [0], 2, way).diverged() == [(1, site)]


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("way", ["vmap", "loop"])
def test_a_resumed_training_is_bit_equal_to_an_undisturbed_one(name: str, way: Way) -> None:
    whole = train(OBJECTIVES[name], [0, 1, 2], 0, way)  # 74 critic steps, so that a block of 64 batches ends inside
    whole.advance(7)
    whole.advance(30)
    first = train(OBJECTIVES[name], [0, 1, 2], 0, way)
    first.advance(7)
    second = train(OBJECTIVES[name], [0, 1, 2], 0, way)
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


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [
        (LrSchedule(shape="linear", final=0.2), lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.2, 20)),
        (LrSchedule(shape="cosine", final=0.1), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20, 0.1)),
        (LrSchedule(warmup=8), lambda o: torch.optim.lr_scheduler.LinearLR(o, 1 / 8, 1.0, 7)),
    ],
)
def test_learning_rates_equal_those_of_torch(schedule: LrSchedule, theirs: Any) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = theirs(optimizer)
    for step in range(20):
        factor = schedule.factor(torch.tensor(step), 20)
        assert float(factor) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        scheduler.step()


def test_wgans_code_warms_its_critic_up() -> None:
    """``Diters = 100 if gen_iterations < 25 or gen_iterations % 500 == 0 else 5`` (martinarjovsky/WassersteinGAN)."""
    warm = CriticWarmup(steps=100, until=25, every=500)
    p = problem(OBJECTIVES["wgan_clip"], critic_steps=5, critic_warmup=warm)
    counts = [100 if step < 25 or step % 500 == 0 else 5 for step in range(1200)]
    assert [p.critic_steps_at(step) for step in range(1200)] == counts
    assert warm.updates(1200, 5) == sum(counts)


def test_a_pack_is_several_samples_side_by_side() -> None:
    training = train(OBJECTIVES["non_saturating"], [0], 0, pack=2, critic=Mlp(depth=0))
    state = training.state_dict()
    weight, bias = state["state.critic.0.weight"][0, 0], state["state.critic.0.bias"][0, 0]
    x = torch.randn(1, 7, 2)
    expected = [torch.cat([x[0, i], x[0, i + 1]]) @ weight + bias for i in (0, 2, 4)]
    torch.testing.assert_close(training.score(x)[0], torch.stack(expected))
    seen: list[tuple[int, ...]] = []

    def spy(critic: Any, real: torch.Tensor, fake: torch.Tensor, noise: Any, hparams: Any) -> torch.Tensor:
        seen.extend([tuple(real.shape), tuple(fake.shape), tuple(noise["mix"].shape)])
        return critic(real).mean() - critic(fake).mean()

    train(replace(OBJECTIVES["wgan_gp"], critic_loss=spy), [0], 1, "loop", pack=4, batch_size=8, critic_steps=1)
    assert seen == [(8, 8), (8, 8), (8,)]


def test_instance_noise_fades() -> None:
    """Real samples that are all zero show the noise itself."""
    spread: list[float] = []

    def spy(critic: Any, real: torch.Tensor, fake: torch.Tensor, noise: Any, hparams: Any) -> torch.Tensor:
        spread.append(float(real.std()))
        return critic(real).mean()

    point = replace(Ring(), radius=1e-12, std=1e-12)
    training = Training(
        replace(
            problem(replace(OBJECTIVES["minimax"], critic_loss=spy), critic_steps=1, batch_size=4000),
            dataset=point, steps=8, instance_noise=InstanceNoise(std=0.5, until=0.5),
        ),
        [0], scalars(OBJECTIVES["minimax"], 1), way="loop",
    )  # fmt: skip
    training.advance(8)
    assert spread == pytest.approx([0.5, 0.375, 0.25, 0.125, 0, 0, 0, 0], rel=0.03, abs=1e-9)


def test_a_moving_average_follows_the_generator() -> None:
    training = train(OBJECTIVES["non_saturating"], [0], 0, averaged=True)
    expected = training.state_dict()["state.generator.1.weight"].double()
    for _ in range(6):
        training.advance(1)
        expected = 0.9 * expected + 0.1 * training.state_dict()["state.generator.1.weight"].double()
    torch.testing.assert_close(training.state_dict()["state.average.1.weight"].double(), expected)
    last = {k.removeprefix("state.average."): v[0] for k, v in training.state_dict().items() if "average" in k}
    latents = torch.randn(1, 5, 2)
    torch.testing.assert_close(training.generate(latents)[0], training.problem.generator.apply(last, latents[0]))


def test_a_training_set_is_drawn_once_a_seed() -> None:
    streams = [train(OBJECTIVES["minimax"], [0, 1], 0, training_set=10)._streams["critic"]["real"] for _ in range(2)]
    batches = [stream.take(40) for stream in streams]
    assert torch.equal(*batches)
    points = [{tuple(point.tolist()) for point in batches[0][:, r].reshape(-1, 2)} for r in range(2)]
    assert [len(own) for own in points] == [10, 10]
    assert not points[0] & points[1]


def test_simultaneous_descent_takes_both_gradients_at_one_point() -> None:
    """Two plain-descent steps by hand, from the state before."""
    training = train(OBJECTIVES["minimax"], [0], 0, "vmap", optimizer="sgd", critic_steps=1, simultaneous=True)
    training._scalars["generator_optimizer"]["momentum"].zero_()
    p, before = training.problem, training.state_dict()

    def of(player: str) -> dict[str, torch.Tensor]:
        prefix = f"state.{player}."
        return {
            k.removeprefix(prefix): v[0].clone().requires_grad_() for k, v in before.items() if k.startswith(prefix)
        }

    generator, critic = of("generator"), of("critic")
    latent = torch.randn(64 * 16, 2, generator=seeding.generator(0, "latent_generator"))[:16]
    scores = p.critic.apply(critic, p.generator.apply(generator, latent))
    loss = torch.nn.functional.logsigmoid(-scores).mean()
    gradients = torch.autograd.grad(loss, list(generator.values()))
    training.advance(1)
    for (name, value), gradient in zip(generator.items(), gradients, strict=True):
        after = training.state_dict()[f"state.generator.{name}"][0]
        torch.testing.assert_close(after, value.detach() - 1e-2 * gradient, rtol=1e-5, atol=1e-7)


def test_an_averaged_generator_keeps_its_own_spectral_norm() -> None:
    """Samples come from matrices of spectral norm 1, by numpy, though the buffers follow the weights of now."""
    spectral = Mlp(depth=0, constraint="spectral")
    training = train(OBJECTIVES["non_saturating"], [0], 200, averaged=True, generator=spectral, lr=[0.05])
    ends = training.generate(torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]))[0]
    matrix = (ends[1:] - ends[0]).T
    assert np.linalg.svd(matrix.numpy(), compute_uv=False)[0] == pytest.approx(1, abs=1e-4)
