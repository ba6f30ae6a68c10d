"""The networks against torch.nn."""

from __future__ import annotations

import math

import pytest
import torch

from bench.networks.mlp import Mlp

ACTIVATIONS = {
    "relu": torch.nn.ReLU(), "leaky_relu": torch.nn.LeakyReLU(0.2), "tanh": torch.nn.Tanh(), "elu": torch.nn.ELU(),
    "softplus": torch.nn.Softplus(),
}  # fmt: skip


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
    drawn = Mlp(depth=1, width=300, init=init).build((200,), (1,)).init(torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    assert drawn["0.weight"].std().item() == pytest.approx(std, rel=0.02)
    assert (drawn["0.bias"].abs().max() > 0) == (init == "uniform")


def test_orthogonal_weights_are_orthogonal_with_their_gain() -> None:
    drawn = Mlp(depth=1, width=50, init="orthogonal", gain=1.4).build((80,), ()).init(torch.Generator().manual_seed(0))
    gram = drawn["0.weight"] @ drawn["0.weight"].T
    torch.testing.assert_close(gram, 1.4**2 * torch.eye(50), rtol=0, atol=1e-5)


def test_parameters_depend_on_the_generator_alone() -> None:
    network = Mlp(depth=1, width=4, init="he").build((2,), ())
    first = network.init(torch.Generator().manual_seed(3))
    torch.manual_seed(99)
    again = network.init(torch.Generator().manual_seed(3))
    other = network.init(torch.Generator().manual_seed(4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_multiplications_are_those_of_the_matrices() -> None:
    settings = Mlp(depth=2, width=16)
    drawn = settings.build((3,), (2,)).init(torch.Generator().manual_seed(0))
    assert settings.multiplications((3,), (2,)) == sum(p.numel() for p in drawn.values() if p.ndim == 2)


@pytest.mark.parametrize("settings", [{"depth": -1}, {"width": 0}, {"depth": 65}])
def test_impossible_sizes_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="mlp"):
        Mlp(**settings)  # type: ignore[arg-type]
