"""The networks on images against torch.nn, torch's count of operations and their own loops; penalties in float32."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench import training_settings
from bench.engine import Training, Way
from bench.experiments import EXPERIMENTS
from bench.networks import NETWORKS, Network
from bench.networks.dcgan import Dcgan
from bench.networks.mlp import Mlp
from bench.networks.resnet import Resnet
from bench.networks.unrolled_conv import UnrolledConv
from bench.optim import OPTIMIZERS, Parameters
from bench.problem import Latent, Problem
from objectives import OBJECTIVES
from objectives.base import slopes, squared_slopes

IMAGES = ("dcgan", "resnet", "unrolled_conv")

KINDS: dict[str, Any] = {
    "dcgan": Dcgan(width=2, init="he"),
    "constant": Dcgan(width=2, growth="constant", kernel=5),
    "layer norm": Dcgan(width=2, norm="layer"),
    "batch norm": Dcgan(width=2, norm="batch", kernel=5),
    "resnet": Resnet(width=2),
    "unrolled_conv": UnrolledConv(width=1),
}


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def drawn(network: Network, seed: int = 0, dtype: torch.dtype | None = None) -> Parameters:
    """Initial parameters of one replica, every one moved, so that none is 0."""
    generator = torch.Generator().manual_seed(seed)
    parameters = network.init(generator)
    return {name: (p + 0.1 * torch.randn(p.shape, generator=generator)).to(dtype) for name, p in parameters.items()}


def load(layers: list[torch.nn.Module], parameters: Parameters) -> torch.nn.Sequential:
    """The modules with our parameters, which are drawn in the order in which modules list theirs."""
    remaining = list(parameters.values())
    for layer in layers:
        for own in layer.parameters():
            own.data = remaining.pop(0).clone()
    assert not remaining
    return torch.nn.Sequential(*layers)


def norm_module(norm: str, channels: int) -> list[torch.nn.Module]:
    if norm == "batch":
        return [torch.nn.BatchNorm2d(channels)]
    return [torch.nn.GroupNorm(1, channels)] if norm == "layer" else []


@pytest.mark.parametrize(
    ("side", "smallest", "kernel", "norm", "growth"),
    [(8, 2, 4, "batch", 2), (28, 7, 5, "layer", 2), (32, 4, 4, "none", 1), (64, 4, 5, "batch", 2)],
)
def test_a_dcgan_equals_torchs_layers(side: int, smallest: int, kernel: int, norm: str, growth: int) -> None:
    settings = Dcgan(width=3, kernel=kernel, norm=norm, growth="double" if growth == 2 else "constant")
    widths = [3 * growth**k for k in range(round(math.log2(side / smallest)))]
    free = norm == "none"

    generator = settings.build((6,), (2, side, side))
    down = {"kernel_size": kernel, "stride": 2, "padding": kernel // 2 - (kernel == 4)}
    up = {**down, "output_padding": kernel - 4}
    layers: list[torch.nn.Module] = [
        torch.nn.Linear(6, widths[-1] * smallest**2, bias=free),
        torch.nn.Unflatten(1, (widths[-1], smallest, smallest)),
    ]
    for outer, inner in pairwise(reversed(widths)):
        layers += [*norm_module(norm, outer), torch.nn.ReLU(), torch.nn.ConvTranspose2d(outer, inner, **up, bias=free)]
    layers += [*norm_module(norm, 3), torch.nn.ReLU(), torch.nn.ConvTranspose2d(3, 2, **up), torch.nn.Tanh()]
    parameters, z = drawn(generator), torch.randn(5, 6)
    torch.testing.assert_close(generator.apply(parameters, z), load(layers, parameters)(z), rtol=1e-4, atol=1e-5)

    critic = settings.build((2, side, side), ())
    layers = [torch.nn.Conv2d(2, 3, **down), torch.nn.LeakyReLU(0.2)]
    for outer, inner in pairwise(widths):
        layers += [torch.nn.Conv2d(outer, inner, **down, bias=free), *norm_module(norm, inner), torch.nn.LeakyReLU(0.2)]
    layers += [torch.nn.Flatten(), torch.nn.Linear(widths[-1] * smallest**2, 1), torch.nn.Flatten(0)]
    parameters, x = drawn(critic), torch.randn(5, 2, side, side)
    torch.testing.assert_close(critic.apply(parameters, x), load(layers, parameters)(x), rtol=1e-4, atol=1e-5)


def test_unrolled_conv_has_pacgans_layers() -> None:
    """A generator of 64, 32, 16, 8 channels on 4, 7, 14, 28 pixels, and the critic that is 1/4 of it."""
    batch_norm, deconv, conv = torch.nn.BatchNorm2d, torch.nn.ConvTranspose2d, torch.nn.Conv2d
    layers: list[torch.nn.Module] = [
        torch.nn.Linear(256, 1024, bias=False), torch.nn.Unflatten(1, (64, 4, 4)), batch_norm(64), torch.nn.ReLU(),
        deconv(64, 32, 3, 2, 1, bias=False), batch_norm(32), torch.nn.ReLU(),
        deconv(32, 16, 3, 2, 1, 1, bias=False), batch_norm(16), torch.nn.ReLU(),
        deconv(16, 8, 3, 2, 1, 1, bias=False), batch_norm(8), torch.nn.ReLU(),
        conv(8, 3, 3, 1, 1), torch.nn.Tanh(),
    ]  # fmt: skip
    generator = UnrolledConv().build((256,), (3, 28, 28))
    parameters, z = drawn(generator), torch.randn(4, 256)
    torch.testing.assert_close(generator.apply(parameters, z), load(layers, parameters)(z), rtol=1e-4, atol=1e-5)

    layers = []
    for before, after in ((3, 2), (2, 4), (4, 8)):
        layers += [conv(before, after, 3, 2, 1, bias=False), batch_norm(after), torch.nn.LeakyReLU(0.3)]
    layers += [torch.nn.Flatten(), torch.nn.Linear(8 * 4 * 4, 1), torch.nn.Flatten(0)]
    critic = UnrolledConv(width=2).build((3, 28, 28), ())
    parameters, x = drawn(critic), torch.randn(4, 3, 28, 28)
    torch.testing.assert_close(critic.apply(parameters, x), load(layers, parameters)(x), rtol=1e-4, atol=1e-5)


class Block(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = torch.nn.Conv2d(width, width, 3, 1, 1)
        self.outer = torch.nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        activate = torch.nn.LeakyReLU(0.2)
        result: torch.Tensor = x + self.outer(activate(self.inner(activate(x))))
        return result


@pytest.mark.parametrize(("side", "smallest", "blocks"), [(8, 2, 2), (28, 7, 1)])
def test_a_resnet_equals_torchs_layers(side: int, smallest: int, blocks: int) -> None:
    settings, width, doublings = Resnet(width=3, blocks=blocks, output="linear"), 3, round(math.log2(side / smallest))
    own = [Block(width) for _ in range(blocks)]
    generator, critic = settings.build((6,), (2, side, side)), settings.build((2, side, side), ())
    layers: list[torch.nn.Module] = [
        torch.nn.Linear(6, width * smallest**2), torch.nn.Unflatten(1, (width, smallest, smallest)), *own,
    ]  # fmt: skip
    for _ in range(doublings):
        layers += [torch.nn.Upsample(scale_factor=2), *(Block(width) for _ in range(blocks))]
    layers += [torch.nn.LeakyReLU(0.2), torch.nn.Conv2d(width, 2, 3, 1, 1)]
    parameters, z = drawn(generator), torch.randn(5, 6)
    torch.testing.assert_close(generator.apply(parameters, z), load(layers, parameters)(z), rtol=1e-4, atol=1e-5)

    layers = [torch.nn.Conv2d(2, width, 3, 1, 1), *(Block(width) for _ in range(blocks))]
    for _ in range(doublings):
        layers += [torch.nn.AvgPool2d(2), *(Block(width) for _ in range(blocks))]
    layers += [torch.nn.LeakyReLU(0.2), torch.nn.Flatten(), torch.nn.Linear(width * smallest**2, 1)]
    layers += [torch.nn.Flatten(0)]
    parameters, x = drawn(critic), torch.randn(5, 2, side, side)
    torch.testing.assert_close(critic.apply(parameters, x), load(layers, parameters)(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", [8, 28, 32, 64])
@pytest.mark.parametrize("family", IMAGES)
def test_multiplications_are_those_that_torch_counts(family: str, side: int) -> None:
    settings, image = NETWORKS[family](width=2), (3, side, side)
    for inputs, outputs in (((5,), image), (image, ())):
        network = settings.build(inputs, outputs)
        with FlopCounterMode(display=False) as counter:
            result = network.apply(drawn(network), torch.randn(4, *inputs))
        assert result.shape == (4, *outputs)
        assert settings.multiplications(inputs, outputs) == counter.get_total_flops() / 2 / 4


def test_initial_weights_have_the_spread_of_their_law() -> None:
    seed = torch.Generator().manual_seed(0)
    normal = Dcgan(width=64).build((64,), (3, 8, 8)).init(seed)
    he = Dcgan(width=64, init="he").build((64,), (3, 8, 8)).init(seed)
    for name, fan_in in (("0", 64), ("1", 128 * 4), ("2", 64 * 4)):  # strides of 2: each output sees a fourth of 4x4
        assert normal[f"{name}.weight"].std().item() == pytest.approx(0.02, rel=0.05)
        assert he[f"{name}.weight"].std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.05)
        assert he[f"{name}.bias"].abs().max() == 0


def test_he_weights_keep_the_scale_of_a_signal() -> None:
    network = Dcgan(width=64, init="he", growth="constant", output="linear").build((64,), (64, 32, 32))
    x = network.apply(network.init(torch.Generator().manual_seed(0)), torch.randn(16, 64))
    assert x[:, :, 8:-8, 8:-8].square().mean().item() == pytest.approx(2, rel=0.3)  # no ReLU after the last layer


def test_a_residual_block_starts_as_the_identity() -> None:
    network = Resnet(width=64, blocks=2).build((64, 8, 8), ())
    parameters = network.init(torch.Generator().manual_seed(0))
    assert parameters["1.0.last.weight"].abs().max() == 0
    assert parameters["1.0.first.weight"].std().item() == pytest.approx(math.sqrt(2 / 1.04 / 6 / 576), rel=0.02)
    x = torch.randn(4, 64, 8, 8)
    stem = torch.nn.functional.conv2d(x, parameters["in.weight"], padding=1)
    pooled = torch.nn.functional.leaky_relu(torch.nn.functional.avg_pool2d(stem, 4), 0.2).flatten(1)
    torch.testing.assert_close(network.apply(parameters, x), pooled @ parameters["out.weight"][0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", IMAGES)
@pytest.mark.parametrize(
    ("inputs", "outputs"), [((2,), ()), ((2,), (2,)), ((3, 16, 16), ()), ((5,), (3, 28, 32)), ((3, 8, 8), (3, 8, 8))]
)
def test_other_shapes_are_refused(family: str, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
    for ask in (NETWORKS[family]().build, NETWORKS[family]().multiplications):
        with pytest.raises(ValueError, match=f"{family} makes.* 8x8, 28x28, 32x32, 64x64 pixels, not"):
            ask(inputs, outputs)


@pytest.mark.parametrize("family", IMAGES)
def test_impossible_sizes_are_refused(family: str) -> None:
    with pytest.raises(ValueError, match="width of 1 to 4096"):
        NETWORKS[family](width=0)


def penalised(network: Network, parameters: Parameters, x: torch.Tensor) -> torch.Tensor:
    """A critic's loss with the slopes of its scores in it, so that its gradient is of second order."""
    critic = network.bind(parameters)
    return (slopes(critic, x) - 1).square().mean() + critic(x).square().mean()


def second_order(network: Network) -> Callable[[Parameters, torch.Tensor], Parameters]:
    return lambda parameters, x: torch.func.grad(lambda p: penalised(network, p, x))(parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_lifted_gradients_of_second_order_equal_autograds(kind: str) -> None:
    network = KINDS[kind].build((2, 8, 8), ())
    replicas = [drawn(network, seed, torch.float64) for seed in range(2)]
    x = torch.randn(2, 4, 2, 8, 8, dtype=torch.float64)
    stacked = {name: torch.stack([replica[name] for replica in replicas]) for name in replicas[0]}
    lifted = torch.func.vmap(second_order(network))(stacked, x)
    for r, own in enumerate(replicas):
        leaves = {name: p.clone().requires_grad_() for name, p in own.items()}
        points = x[r].clone().requires_grad_()
        scores = network.apply(leaves, points)
        steepness = torch.autograd.grad(scores.sum(), points, create_graph=True)[0].flatten(1).norm(dim=1)
        loss = (steepness - 1).square().mean() + scores.square().mean()
        expected = torch.autograd.grad(loss, list(leaves.values()))
        for name, gradient in zip(leaves, expected, strict=True):
            torch.testing.assert_close(lifted[name][r], gradient, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", ["dcgan", "layer norm", "resnet"])
def test_gradients_of_second_order_are_those_of_finite_differences(kind: str) -> None:
    network = KINDS[kind].build((1, 8, 8), ())
    parameters = drawn(network, 0, torch.float64)
    x, direction = torch.randn(3, 1, 8, 8, dtype=torch.float64), drawn(network, 1, torch.float64)

    def along(step: torch.Tensor) -> torch.Tensor:
        return penalised(network, {name: p + step * direction[name] for name, p in parameters.items()}, x)

    assert torch.autograd.gradcheck(along, torch.zeros((), dtype=torch.float64, requires_grad=True), atol=1e-6)


def test_a_step_in_bfloat16_with_its_penalty_is_one_graph() -> None:
    network = Dcgan(width=1, norm="layer", precision="bfloat16").build((1, 8, 8), ())
    parameters, x = drawn(network), torch.randn(4, 1, 8, 8)
    step = second_order(network)
    traced: Callable[..., Parameters] = torch.compile(step, backend="eager", fullgraph=True)
    for name, gradient in traced(parameters, x).items():
        torch.testing.assert_close(gradient, step(parameters, x)[name])


@pytest.mark.parametrize("kind", KINDS)
def test_who_looks_at_the_other_samples(kind: str) -> None:
    network = KINDS[kind].build((2, 8, 8), ())
    parameters, x = drawn(network), torch.randn(5, 2, 8, 8)
    other = torch.cat([x[:1], 3 * torch.randn(4, 2, 8, 8)])
    first, second = (network.apply(parameters, points)[0] for points in (x, other))
    assert KINDS[kind].normalises_batch == (kind in ("batch norm", "unrolled_conv"))
    assert torch.isclose(first, second, rtol=1e-5) == (not KINDS[kind].normalises_batch)


def test_batch_norm_in_a_critic_with_a_penalty_is_refused() -> None:
    raw = {"dataset": "digits", "critic": "unrolled_conv", "evaluate": {"n": 100, "emd_n": 100}}
    settings = {name: EXPERIMENTS["train"].resolve({**raw, "objective": name}) for name in ("wgan_gp", "minimax")}
    assert "batch norm" in str(training_settings.impossible(settings["wgan_gp"]))
    assert training_settings.impossible(settings["minimax"]) is None


# --- mixed precision


@pytest.mark.parametrize("family", IMAGES)
def test_bfloat16_products_come_close_and_change_no_types(family: str) -> None:
    for inputs, outputs in (((5,), (2, 8, 8)), ((2, 8, 8), ())):
        full, mixed = (
            NETWORKS[family](width=4, precision=precision).build(inputs, outputs)
            for precision in ("float32", "bfloat16")
        )
        parameters, x = drawn(full), torch.randn(16, *inputs)
        assert all(p.dtype == torch.float32 for p in mixed.init(torch.Generator()).values())
        ours, theirs = mixed.apply(parameters, x), full.apply(parameters, x)
        assert ours.dtype == torch.float32
        assert 0 < float((ours - theirs).norm() / theirs.norm()) < 0.03  # a few roundings of 2^-9 each
        gradient = torch.func.grad(lambda p, m=mixed, x=x: m.apply(p, x).square().mean())(parameters)
        assert all(g.dtype == torch.float32 and bool(g.isfinite().all()) for g in gradient.values())


@pytest.mark.parametrize("of", [slopes, squared_slopes])
@pytest.mark.parametrize("family", IMAGES)
def test_penalties_of_bfloat16_networks_are_those_of_float32(family: str, of: Callable[..., torch.Tensor]) -> None:
    full, mixed = (
        NETWORKS[family](width=3, precision=precision).build((2, 8, 8), ()) for precision in ("float32", "bfloat16")
    )
    parameters = {name: torch.stack([drawn(full, seed)[name] for seed in (0, 1)]) for name in drawn(full)}
    x = torch.randn(2, 4, 2, 8, 8)

    def penalty(network: Network) -> Any:
        def of_one(p: Parameters, x: torch.Tensor) -> torch.Tensor:
            critic = network.bind(p)
            return (
                of(critic, x).square().mean() + of(lambda points: critic(points).abs(), x).mean()
            )  # and inside another

        return torch.func.vmap(torch.func.grad_and_value(of_one))(parameters, x)

    ours, theirs = penalty(mixed), penalty(full)
    assert torch.equal(ours[1], theirs[1])
    assert all(torch.equal(gradient, theirs[0][name]) for name, gradient in ours[0].items())
    scores = [torch.func.vmap(network.apply)(parameters, x) for network in (mixed, full)]
    assert not torch.equal(*scores)  # the setting is put back


@pytest.mark.parametrize("name", [name for name, objective in OBJECTIVES.items() if objective.penalises_slopes])
def test_every_penalty_is_in_float32(name: str) -> None:
    """A heavy enough penalty leaves nothing to see of the scores, which are in bfloat16."""
    objective, losses = OBJECTIVES[name], []
    for precision in ("float32", "bfloat16"):
        network = Dcgan(width=2, init="he", precision=precision).build((1, 8, 8), ())
        generator = torch.Generator().manual_seed(0)
        real, fake = torch.randn(2, 8, 1, 8, 8, generator=generator)
        noise = {key: draw(8, (1, 8, 8), generator) for key, draw in objective.noise.items()}
        hparams = {key: torch.tensor(value) for key, value in objective.hparams.items()}
        hparams["penalty_weight"] = torch.tensor(1e7)
        critic = network.bind(drawn(network))
        losses.append(objective.critic_loss(critic, real, fake, noise, hparams))
    assert float(losses[0]) > 1e5
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-6, atol=0)


# --- in the engine


@dataclass(frozen=True)
class Stripes:
    """Images with one bright row each, and a little noise."""

    event_shape: tuple[int, ...] = (1, 8, 8)

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        rows = torch.randint(8, (n, 1, 1, 1), generator=generator)
        noise = torch.randn(n, *self.event_shape, generator=generator)
        return 2.0 * (torch.arange(8)[:, None] == rows) - 1 + 0.1 * noise


def train(
    objective: str, generator: Any, critic: Any, seeds: list[int], way: Way, pack: int = 1, dtype: Any = None
) -> Training:
    p = Problem(
        objective=OBJECTIVES[objective],
        dataset=Stripes(),
        generator=generator.build((4,), (1, 8, 8)),
        critic=critic.build((pack, 8, 8), ()),
        latent=Latent(dim=4),
        generator_optimizer=OPTIMIZERS["adam"],
        critic_optimizer=OPTIMIZERS["adam"],
        batch_size=6,
        critic_steps=2,
        pack=pack,
    )
    adam = {"lr": 1e-3, "beta1": 0.5, "beta2": 0.9, "eps": 1e-8}
    hparams = OBJECTIVES[objective].hparams
    scalars = {
        group: {name: [value] * len(seeds) for name, value in values.items()}
        for group, values in {"objective": hparams, "generator_optimizer": adam, "critic_optimizer": adam}.items()
    }
    training = Training(p, seeds, {**scalars, "training": {}}, way=way, dtype=dtype)
    training.advance(3)
    return training


def assert_same(one: Training, other: Training, tolerance: float) -> None:
    a, b = one.state_dict(), other.state_dict()
    for name in a:
        scale = float(a[name].double().abs().max()) if a[name].numel() else 0.0
        torch.testing.assert_close(b[name], a[name], rtol=tolerance, atol=tolerance * scale + 1e-11)


@pytest.mark.parametrize(
    ("objective", "generator", "critic"),
    [
        ("wgan_gp", KINDS["batch norm"], KINDS["layer norm"]),
        ("non_saturating", KINDS["unrolled_conv"], KINDS["unrolled_conv"]),
        ("r3gan", KINDS["resnet"], KINDS["resnet"]),
    ],
)
def test_ways_agree_on_packs_of_images(objective: str, generator: Any, critic: Any) -> None:
    lifted, plain = (
        train(objective, generator, critic, [0, 1], way, pack=2, dtype=torch.float64) for way in ("vmap", "loop")
    )
    assert_same(plain, lifted, 1e-7)
    assert lifted.generate(torch.randn(2, 5, 4, dtype=torch.float64)).shape == (2, 5, 1, 8, 8)


def test_ways_agree_in_bfloat16_within_its_rounding() -> None:
    critic = Dcgan(width=4, init="he", precision="bfloat16")
    lifted, plain = (train("wgan_gp", critic, critic, [0, 1], way) for way in ("vmap", "loop"))
    for name, value in lifted.state["critic"].items():
        torch.testing.assert_close(value, plain.state["critic"][name], rtol=0, atol=2e-2)
    assert lifted.diverged() == [None, None]


def test_a_replica_among_others_is_that_replica_alone() -> None:
    critic = KINDS["layer norm"]
    many = train("wgan_gp", critic, critic, [3, 7, 11], "vmap", dtype=torch.float64)
    alone = train("wgan_gp", critic, critic, [7], "vmap", dtype=torch.float64)
    for player in ("generator", "critic"):
        for name, value in many.parameters(player).items():
            torch.testing.assert_close(value[1], alone.parameters(player)[name][0], rtol=1e-9, atol=1e-12)


def test_an_mlp_takes_images_as_they_are() -> None:
    """WGAN's generator of 4 layers of 512 units (Arjovsky et al. 2017, figure 7) beside a convolutional critic."""
    mlp = Mlp(depth=4, width=512)
    assert mlp.multiplications((100,), (3, 64, 64)) == 100 * 512 + 3 * 512**2 + 512 * 12288
    training = train("wgan_clip", mlp, KINDS["dcgan"], [0], "loop")
    assert training.generate(torch.randn(1, 5, 4)).shape == (1, 5, 1, 8, 8)
    assert training.diverged() == [None]


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        *((Mlp(depth=2, width=4, norm=norm), (2,)) for norm in ("none", "layer", "batch")),
        (Mlp(depth=2, width=4, minibatch_std=True), (2,)),
        (Mlp(depth=2, width=4, constraint="spectral"), (2,)),
        *((NETWORKS["dcgan"](width=2, norm=norm), (1, 8, 8)) for norm in ("none", "layer", "batch")),
        (NETWORKS["resnet"](width=2), (1, 8, 8)),
        (NETWORKS["unrolled_conv"](width=2), (1, 28, 28)),
    ],
)
def test_a_network_says_whether_it_mixes_samples(settings: Any, shape: tuple[int, ...]) -> None:
    """Where it does not, the engine joins real and fake samples in one batch."""
    network, source = settings.build(shape, ()), torch.Generator().manual_seed(0)
    parameters = {name: value + 0.1 for name, value in network.init(source).items()}
    held = network.init_buffers(parameters, source)
    x = torch.randn(8, *shape, generator=source)
    together, apart = (network.apply({**parameters, **held}, batch)[:4] for batch in (x, x[:4]))
    assert network.mixes == (not torch.allclose(together, apart, rtol=1e-4, atol=1e-6))
