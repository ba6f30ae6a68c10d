"""The networks against torch.nn, numpy and the singular values that a constraint promises."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from bench.networks import Network
from bench.networks.constraints import orthonormal, spectral
from bench.networks.layers import append_deviation, group_sort, maxout
from bench.networks.mlp import Mlp
from bench.optim import Parameters

ACTIVATIONS = {
    "relu": torch.nn.ReLU(), "leaky_relu": torch.nn.LeakyReLU(0.2), "tanh": torch.nn.Tanh(), "elu": torch.nn.ELU(),
    "softplus": torch.nn.Softplus(),
}  # fmt: skip

KINDS: dict[str, dict[str, Any]] = {
    "plain": {"activation": "tanh"},
    "layer norm": {"norm": "layer", "activation": "elu"},
    "batch norm": {"norm": "batch"},
    "spectral": {"constraint": "spectral", "activation": "leaky_relu"},
    "orthonormal": {"constraint": "orthonormal", "activation": "group_sort", "init": "orthogonal"},
    "maxout": {"activation": "maxout", "pieces": 3},
    "spectral maxout": {"activation": "maxout", "pieces": 3, "constraint": "spectral"},
    "minibatch std": {"minibatch_std": True, "input_scale": 0.25},
}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def drawn(network: Network, seed: int, dtype: torch.dtype | None = None) -> tuple[Parameters, Parameters]:
    """Parameters and buffers of one replica."""
    generator = torch.Generator().manual_seed(seed)
    parameters = network.init(generator)
    buffers = network.init_buffers(parameters, generator)
    widened = [{name: p.to(dtype) for name, p in tree.items()} for tree in (parameters, buffers)]
    return widened[0], widened[1]


def penalty(network: Network, parameters: Parameters, buffers: Parameters, x: torch.Tensor) -> torch.Tensor:
    """A critic's loss with the slopes of its scores in it, so that its gradient is of second order."""

    def critic(x: torch.Tensor) -> torch.Tensor:
        return network.apply({**parameters, **buffers}, x)

    slopes = torch.linalg.vector_norm(torch.func.grad(lambda x: critic(x).sum())(x), dim=1)
    return (slopes - 1).square().mean() + critic(x).square().mean()


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_mlp_equals_torchs_layers(norm: str, activation: str) -> None:
    network = Mlp(depth=2, width=7, activation=activation, norm=norm).build((3, 2), (2, 2))  # type: ignore[arg-type]
    parameters = network.init(torch.Generator().manual_seed(1))
    layers: list[torch.nn.Module] = [torch.nn.Flatten()]
    for layer, (fan_in, fan_out) in enumerate([(6, 7), (7, 7), (7, 4)]):
        linear = torch.nn.Linear(fan_in, fan_out)
        linear.load_state_dict({"weight": parameters[f"{layer}.weight"], "bias": parameters[f"{layer}.bias"]})
        layers.append(linear)
        if layer < 2:
            if norm != "none":
                module = torch.nn.LayerNorm(fan_out) if norm == "layer" else torch.nn.BatchNorm1d(fan_out)
                scale, shift = torch.randn(fan_out), torch.randn(fan_out)
                parameters[f"{layer}.scale"], parameters[f"{layer}.shift"] = scale, shift
                module.load_state_dict({"weight": scale, "bias": shift}, strict=False)
                layers.append(module)
            layers.append(ACTIVATIONS[activation])
    x = torch.randn(5, 3, 2)
    expected = torch.nn.Sequential(*layers)(x).reshape(5, 2, 2)
    torch.testing.assert_close(network.apply(parameters, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("init", "std"), [("uniform", 1 / math.sqrt(3 * 200)), ("he", math.sqrt(2 / 200)), ("normal", 0.02)]
)
def test_initial_weights_have_the_spread_of_their_law(init: str, std: float) -> None:
    weights = Mlp(depth=1, width=300, init=init).build((200,), (1,)).init(torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    assert weights["0.weight"].std().item() == pytest.approx(std, rel=0.02)
    assert weights["0.weight"].mean().item() == pytest.approx(0, abs=3 * std / math.sqrt(200 * 300))
    assert (weights["0.bias"].abs().max() > 0) == (init == "uniform")


@pytest.mark.parametrize(("init", "factor"), [("uniform", 1 / 3), ("he", 2)])
def test_fan_in_counts_inputs_and_not_pieces(init: str, factor: float) -> None:
    settings = Mlp(depth=2, width=100, activation="maxout", pieces=5, init=init)  # type: ignore[arg-type]
    weights = settings.build((40,), ()).init(torch.Generator().manual_seed(0))
    assert [tuple(weights[f"{layer}.weight"].shape) for layer in range(3)] == [(500, 40), (500, 100), (1, 100)]
    assert weights["1.weight"].var().item() == pytest.approx(factor / 100, rel=0.03)


def test_orthogonal_weights_are_orthogonal_with_their_gain() -> None:
    weights = (
        Mlp(depth=1, width=50, init="orthogonal", gain=1.4).build((80,), ()).init(torch.Generator().manual_seed(0))
    )
    gram = weights["0.weight"] @ weights["0.weight"].T
    torch.testing.assert_close(gram, 1.4**2 * torch.eye(50), rtol=0, atol=1e-5)


def test_parameters_depend_on_the_generator_alone() -> None:
    network = Mlp(depth=1, width=4, init="he").build((2,), ())
    first = network.init(torch.Generator().manual_seed(3))
    torch.manual_seed(99)
    again = network.init(torch.Generator().manual_seed(3))
    other = network.init(torch.Generator().manual_seed(4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 3 * 16 + 16 * 16 + 16 * 2),
        ({"activation": "maxout", "pieces": 4}, 3 * 64 + 16 * 64 + 16 * 2),
        ({"minibatch_std": True}, 3 * 16 + 16 * 16 + 17 * 2),
        ({"constraint": "spectral"}, 3 * 16 + 16 * 16 + 16 * 2),
    ],
)
def test_multiplications_are_those_of_the_matrices(settings: dict[str, Any], expected: int) -> None:
    mlp = Mlp(depth=2, width=16, **settings)
    weights = mlp.build((3,), (2,)).init(torch.Generator().manual_seed(0))
    assert mlp.multiplications((3,), (2,)) == expected
    assert sum(p.numel() for p in weights.values() if p.ndim == 2) == expected


def test_a_maxout_network_is_what_numpy_computes() -> None:
    network = Mlp(depth=2, width=3, activation="maxout", pieces=5, init="normal").build((2,), ())
    parameters, _ = drawn(network, 0, torch.float64)
    x = torch.randn(7, 2, dtype=torch.float64)
    hidden = x.numpy()
    for layer in range(2):
        weight, bias = parameters[f"{layer}.weight"].numpy(), parameters[f"{layer}.bias"].numpy()
        units = np.array([[weight[unit] @ h + bias[unit] for unit in range(15)] for h in hidden])
        hidden = np.array([[max(row[5 * unit : 5 * unit + 5]) for unit in range(3)] for row in units])
    expected = hidden @ parameters["2.weight"].numpy()[0] + parameters["2.bias"].numpy()[0]
    np.testing.assert_allclose(network.apply(parameters, x).numpy(), expected, rtol=1e-12, atol=1e-15)


def test_maxout_is_torchs_pooling_over_neighbours() -> None:
    x = torch.randn(4, 12)
    assert torch.equal(maxout(x, 3), torch.nn.functional.max_pool1d(x[:, None], 3)[:, 0])


def test_group_sort_sorts_each_pair() -> None:
    x = torch.randn(6, 10)
    assert torch.equal(group_sort(x), torch.sort(x.reshape(6, 5, 2), dim=2).values.reshape(6, 10))


def test_group_sort_keeps_the_norm_of_gradients() -> None:
    x, direction = torch.randn(2, 6, 10, dtype=torch.float64)
    _, pull = torch.func.vjp(group_sort, x)
    torch.testing.assert_close(pull(direction)[0].norm(dim=1), direction.norm(dim=1), rtol=1e-14, atol=0)


def test_the_minibatch_deviation_is_numpys() -> None:
    x = torch.randn(9, 4, dtype=torch.float64)
    expected = np.column_stack([x.numpy(), np.full(9, np.sqrt(x.numpy().var(axis=0) + 1e-8).mean())])
    np.testing.assert_allclose(append_deviation(x).numpy(), expected, rtol=1e-14)


def test_the_last_layer_sees_the_minibatch_deviation() -> None:
    network = Mlp(depth=1, width=6, activation="tanh", minibatch_std=True).build((2,), ())
    parameters, _ = drawn(network, 0, torch.float64)
    x = torch.randn(5, 2, dtype=torch.float64)
    first, bias, last, end = (parameters[name].numpy() for name in ("0.weight", "0.bias", "1.weight", "1.bias"))
    hidden = np.tanh(x.numpy() @ first.T + bias)
    feature = np.sqrt(((hidden - hidden.mean(0)) ** 2).mean(0) + 1e-8).mean()
    expected = hidden @ last[0, :6] + last[0, 6] * feature + end[0]
    np.testing.assert_allclose(network.apply(parameters, x).numpy(), expected, rtol=1e-12)


def test_the_input_is_scaled_first() -> None:
    network = Mlp(depth=1, width=6, activation="softplus", input_scale=0.25).build((3,), ())
    parameters, _ = drawn(network, 0, torch.float64)
    x = torch.randn(5, 3, dtype=torch.float64)
    first, bias, last, end = (parameters[name].numpy() for name in ("0.weight", "0.bias", "1.weight", "1.bias"))
    expected = np.logaddexp(0, x.numpy() / 4 @ first.T + bias) @ last[0] + end[0]
    np.testing.assert_allclose(network.apply(parameters, x).numpy(), expected, rtol=1e-12)


def test_a_spectral_network_and_its_gradients_equal_torchs() -> None:
    network = Mlp(depth=1, width=7, activation="tanh", constraint="spectral").build((3,), ())
    parameters, buffers = drawn(network, 0, torch.float64)
    assert {name: tuple(b.shape) for name, b in buffers.items()} == {"0.u": (7,), "0.v": (3,), "1.u": (1,), "1.v": (7,)}
    linears = [torch.nn.Linear(3, 7, dtype=torch.float64), torch.nn.Linear(7, 1, dtype=torch.float64)]
    for layer, linear in enumerate(linears):
        linear.load_state_dict({"weight": parameters[f"{layer}.weight"], "bias": parameters[f"{layer}.bias"]})
        power = torch.nn.utils.parametrizations.spectral_norm(linear).parametrizations.weight[0]
        power.load_state_dict({"_u": buffers[f"{layer}.u"], "_v": buffers[f"{layer}.v"]})
    theirs = torch.nn.Sequential(linears[0], torch.nn.Tanh(), linears[1]).eval()  # with no power iteration of its own
    x = torch.randn(5, 3, dtype=torch.float64)
    theirs(x).square().sum().backward()
    torch.testing.assert_close(network.apply({**parameters, **buffers}, x)[:, None], theirs(x))
    gradients = torch.func.grad(lambda p: network.apply({**p, **buffers}, x).square().sum())(parameters)
    for layer, linear in enumerate(linears):
        torch.testing.assert_close(gradients[f"{layer}.weight"], linear.parametrizations.weight.original.grad)
        torch.testing.assert_close(gradients[f"{layer}.bias"], linear.bias.grad)


def test_a_refresh_is_one_power_iteration_of_torchs() -> None:
    network = Mlp(depth=0, constraint="spectral").build((5,), (6,))
    parameters, buffers = drawn(network, 3)
    parameters = {**parameters, "0.weight": torch.randn(6, 5)}  # as if an optimiser had moved it far
    linear = torch.nn.Linear(5, 6)
    linear.weight.data.copy_(parameters["0.weight"])
    power = torch.nn.utils.parametrizations.spectral_norm(linear).parametrizations.weight[0]
    for _ in range(3):  # torch keeps the right vector of u, ours the left one of v: theirs is half an iteration ahead
        power.load_state_dict({"_u": buffers["0.u"], "_v": torch.nn.functional.normalize(
            parameters["0.weight"].T @ buffers["0.u"], dim=0)})  # fmt: skip
        linear(torch.zeros(1, 5))
        buffers = network.refresh(parameters, buffers)
        torch.testing.assert_close(buffers["0.u"], power._u)


def test_spectral_weights_have_norm_1_after_many_refreshes() -> None:
    network = Mlp(depth=2, width=30, constraint="spectral").build((2,), ())
    parameters, buffers = drawn(network, 1)
    at_first = _largest(parameters, buffers)
    assert np.all((at_first > 0.999) & (at_first < 1.05))
    for _ in range(500):
        buffers = network.refresh(parameters, buffers)
    np.testing.assert_allclose(_largest(parameters, buffers), 1, atol=1e-4)


def _largest(parameters: Parameters, buffers: Parameters) -> np.ndarray[Any, Any]:
    """The largest singular value of every weight that the network uses."""
    used = [spectral(parameters[f"{k}.weight"], buffers[f"{k}.u"], buffers[f"{k}.v"]) for k in range(3)]
    return np.array([np.linalg.svd(weight.numpy(), compute_uv=False)[0] for weight in used])


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (1, 9), (9, 1), (3, 3)])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_orthonormal_weights_are_the_polar_factor(shape: tuple[int, int], size: float) -> None:
    weight = size * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    left, _, right = np.linalg.svd(weight.numpy(), full_matrices=False)
    np.testing.assert_allclose(orthonormal(weight).numpy(), left @ right, atol=1e-10)


def test_singular_values_never_leave_1_upwards() -> None:
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    weight[0] = weight[1] * (1 + 1e-4)  # nearly singular: the iteration stops before the smallest value has arrived
    values = np.linalg.svd(orthonormal(weight).numpy().astype(np.float64), compute_uv=False)
    assert values.max() < 1 + 1e-5
    assert values.min() < 0.9
    assert np.median(values) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, "maxout", "group_sort"])
def test_orthonormal_weights_make_a_network_1_lipschitz(activation: str) -> None:
    settings = Mlp(depth=3, width=16, activation=activation, constraint="orthonormal")  # type: ignore[arg-type]
    network = settings.build((2,), ())
    parameters = {name: 10 * p for name, p in drawn(network, 2, torch.float64)[0].items()}
    a, b, step = torch.randn(3, 4000, 2, dtype=torch.float64)
    for other in (a + 5 * b, a + 0.01 * step):
        slopes = (network.apply(parameters, a) - network.apply(parameters, other)).abs() / (a - other).norm(dim=1)
        assert 0 < slopes.max() < 1 + 1e-9


def test_group_sort_and_orthonormal_weights_keep_every_slope_at_1() -> None:
    network = Mlp(depth=3, width=16, activation="group_sort", constraint="orthonormal", init="orthogonal")
    built = network.build((16,), ())
    parameters, _ = drawn(built, 0, torch.float64)
    x = torch.randn(50, 16, dtype=torch.float64)
    slopes = torch.func.grad(lambda x: built.apply(parameters, x).sum())(x).norm(dim=1)
    torch.testing.assert_close(slopes, torch.ones(50, dtype=torch.float64), rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_lifted_gradients_of_second_order_equal_a_loops(kind: str) -> None:
    network = Mlp(depth=2, width=6, **KINDS[kind]).build((3,), ())
    replicas = [drawn(network, seed, torch.float64) for seed in range(3)]
    x = torch.randn(3, 8, 3, dtype=torch.float64)
    parameters, buffers = (
        {name: torch.stack([replica[i][name] for replica in replicas]) for name in replicas[0][i]} for i in (0, 1)
    )

    def step(parameters: Parameters, buffers: Parameters, x: torch.Tensor) -> tuple[Parameters, Parameters]:
        buffers = network.refresh(parameters, buffers)
        return torch.func.grad(lambda p: penalty(network, p, buffers, x))(parameters), buffers

    lifted = torch.func.vmap(step)(parameters, buffers, x)
    for r, (own, own_buffers) in enumerate(replicas):
        leaves = {name: p.clone().requires_grad_() for name, p in own.items()}
        fresh = network.refresh(own, own_buffers)
        points = x[r].clone().requires_grad_()
        scores = network.apply({**leaves, **fresh}, points)
        slopes = torch.autograd.grad(scores.sum(), points, create_graph=True)[0].norm(dim=1)
        loss = (slopes - 1).square().mean() + scores.square().mean()
        expected = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
        for name, gradient in zip(leaves, expected, strict=True):
            torch.testing.assert_close(lifted[0][name][r], gradient, rtol=1e-8, atol=1e-10)
        assert lifted[1].keys() == fresh.keys()
        for name, buffer in fresh.items():
            torch.testing.assert_close(lifted[1][name][r], buffer)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_second_order_are_those_of_finite_differences(kind: str) -> None:
    network = Mlp(depth=1, width=4, **KINDS[kind]).build((2,), ())
    parameters, buffers = drawn(network, 0, torch.float64)
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    leaves = [p.clone().requires_grad_() for p in parameters.values()]

    def loss(*values: torch.Tensor) -> torch.Tensor:
        return penalty(network, dict(zip(parameters, values, strict=True)), buffers, x)

    assert torch.autograd.gradcheck(loss, leaves, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_one_graph(kind: str) -> None:
    network = Mlp(depth=1, width=4, **KINDS[kind]).build((2,), ())
    parameters, buffers = drawn(network, 0)
    x = torch.randn(6, 2)

    def step(parameters: Parameters, buffers: Parameters, x: torch.Tensor) -> Parameters:
        buffers = network.refresh(parameters, buffers)
        return torch.func.grad(lambda p: penalty(network, p, buffers, x))(parameters)

    traced: Callable[..., Parameters] = torch.compile(step, backend="eager", fullgraph=True)
    for name, gradient in traced(parameters, buffers, x).items():
        torch.testing.assert_close(gradient, step(parameters, buffers, x)[name])


@pytest.mark.parametrize("kind", KINDS)
def test_who_looks_at_the_other_samples(kind: str) -> None:
    settings = Mlp(depth=2, width=6, **KINDS[kind])
    network = settings.build((2,), ())
    parameters, buffers = drawn(network, 0)
    x = torch.randn(5, 2)
    other = torch.cat([x[:1], 3 * torch.randn(4, 2)])
    first, second = (network.apply({**parameters, **buffers}, points)[0] for points in (x, other))
    assert settings.normalises_batch == (kind == "batch norm")
    assert torch.isclose(first, second, rtol=1e-5) == (kind not in ("batch norm", "minibatch std"))


@pytest.mark.parametrize("settings", [{"depth": -1}, {"width": 0}, {"depth": 65}])
def test_impossible_sizes_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="mlp"):
        Mlp(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"activation": "group_sort", "width": 7}, "width is even, not 7"),
        ({"activation": "maxout", "pieces": 1}, "2 to 64 pieces, not 1"),
        ({"input_scale": 0.0}, "positive number, not 0.0"),
        ({"constraint": "spectral", "norm": "batch"}, "batch norm undoes"),
        ({"constraint": "orthonormal", "norm": "layer"}, "layer norm undoes"),
        ({"constraint": "orthonormal", "minibatch_std": True}, "not 1-Lipschitz"),
    ],
)
def test_what_contradicts_itself_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Mlp(**settings)
