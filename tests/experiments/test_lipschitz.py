"""Slopes, secants and bounds, against numpy on a linear critic, functions of known slope, and numpy's svd."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bench import critic_settings, seeding
from bench.engine import Training
from bench.experiments.lipschitz import LIPSCHITZ, _Reader, climb, lipschitz_bound
from bench.networks import Network
from bench.networks.mlp import Mlp
from bench.pairs.two_gaussians import TwoGaussians

N = 40


def stacked(network: Network, seeds: range = range(2), scale: float = 1.0) -> dict[str, torch.Tensor]:
    """Parameters and buffers of replicas."""
    rows = []
    for seed in seeds:
        source = torch.Generator().manual_seed(seed)
        parameters = {name: scale * value for name, value in network.init(source).items()}
        rows.append({**parameters, **network.init_buffers(parameters, source)})
    return {name: torch.stack([row[name] for row in rows]).double() for name in rows[0]}


def reader(critic: dict[str, Any]) -> tuple[_Reader, Training]:
    raw = {
        "objective": "wgan_clip", "pair": {"name": "two_gaussians", "distance": 2, "std": 0.5}, "steps": 1,
        "critic": {"name": "mlp", **critic}, "probe": {"n": N, "starts": 3, "ascent_steps": 2},
    }  # fmt: skip
    settings = LIPSCHITZ.resolve(raw)
    training = Training(
        critic_settings.make_problem(settings), [0, 5], critic_settings.make_scalars([settings, settings])
    )
    return _Reader(settings, training), training


def test_a_linear_critic_has_one_slope_and_its_secants_are_by_hand() -> None:
    own, training = reader({"depth": 0})
    found, arrays, pair = own.read(), own.arrays(), TwoGaussians(distance=2, std=0.5)
    weights = training.parameters("critic")["0.weight"].double().numpy()[:, 0]
    for r, seed in enumerate((0, 5)):
        size = np.linalg.norm(weights[r])
        for place in ("real", "fake", "between"):
            for name in ("median", "low", "high"):
                assert float(found[f"slope_{name}[{place}]"][r]) == pytest.approx(size, rel=1e-6)
            assert float(found[f"slope_error[{place}]"][r]) == pytest.approx(abs(size - 1), rel=1e-5)
        for name in ("slope_largest", "slope_bound"):
            assert float(found[name][r]) == pytest.approx(size, rel=1e-6)
        samples = {
            "real": pair.real(N, seeding.generator(seed, "reference")).double().numpy(),
            "fake": pair.fake(N, seeding.generator(seed, "evaluation")).double().numpy(),
        }
        for law, x in samples.items():
            gaps = x - np.roll(x, 1, axis=0)
            secants = np.abs(gaps @ weights[r]) / np.linalg.norm(gaps, axis=1)
            assert float(found[f"secant_median[{law}]"][r]) == pytest.approx(np.median(secants), rel=1e-4)
            assert float(found[f"secant_high[{law}]"][r]) == pytest.approx(np.quantile(secants, 0.99), rel=1e-4)
            assert float(found[f"secant_low[{law}]"][r]) == pytest.approx(np.quantile(secants, 0.01), abs=1e-4)
            assert float(found[f"secant_error[{law}]"][r]) == pytest.approx(np.median(np.abs(secants - 1)), rel=1e-4)
        mixed = arrays["secants"][r].numpy()
        assert mixed.shape == (2 * N,)
        assert mixed.max() <= size * (1 + 1e-4)
        across = np.sum(mixed > 0.8 * abs(weights[r, 0]))
        assert across > N / 2, "half of the pairs are of both laws, and lie almost along the first axis"


def test_shares_and_quantiles_are_of_the_stored_slopes() -> None:
    own, _ = reader({"depth": 2, "width": 16, "init": "he"})
    found, arrays = own.read(), own.arrays()
    for r in range(2):
        secants = arrays["secants"][r].double().numpy()
        assert float(found["secant_above[any]"][r]) == np.mean(secants > 1)
        for place in ("real", "fake", "between"):
            slopes = arrays[f"slopes_{place}"][r].double().numpy()
            for name, q in (("low", 0.01), ("median", 0.5), ("high", 0.99)):
                assert float(found[f"slope_{name}[{place}]"][r]) == pytest.approx(np.quantile(slopes, q), rel=1e-5)
            assert float(found[f"slope_error[{place}]"][r]) == pytest.approx(np.median(np.abs(slopes - 1)), rel=1e-5)
            assert slopes.max() <= float(found["slope_largest"][r]) * (1 + 1e-6) <= float(found["slope_bound"][r])


def function(score: Any) -> Network:
    """A critic without parameters, but for one that says which replica it is."""
    return Network(lambda generator: {}, lambda parameters: lambda x: parameters["scale"] * score(x))


@pytest.mark.parametrize(
    ("score", "start", "largest"),
    [
        (lambda x: torch.sin(x[:, 0]), [0.9, 0.0], 1.0),  # smooth: |cos| is 1 at 0 and pi
        (lambda x: x[:, 0] + 3 * torch.relu(x[:, 0] - 1) + 0 * x[:, 1], [0.5, 0.0], 4.0),  # linear pieces, one kink
        (  # a steep strip, flatter on both sides
            lambda x: torch.relu(x[:, 0] - 1) - torch.relu(x[:, 0] - 1.4) + x @ torch.tensor([0.25, 0.5]).double(),
            [0.8, 0.3],
            1.8125**0.5,
        ),
    ],
)
def test_the_ascent_finds_the_largest_slope_and_none_above(score: Any, start: list[float], largest: float) -> None:
    critic, scales = function(score), torch.tensor([1.0, 2.5], dtype=torch.float64)
    starts = torch.tensor([[start], [start]], dtype=torch.float64)
    reach = torch.full((2,), 0.8, dtype=torch.float64)
    before, found = (climb(critic, {"scale": scales}, starts, reach, steps) for steps in (0, 40))
    assert (before < 0.95 * largest * scales).all()
    np.testing.assert_allclose(found.numpy(), largest * scales.numpy(), rtol=2e-3)
    assert (found <= largest * scales * (1 + 1e-12)).all()


@pytest.mark.parametrize("activation", ["elu", "maxout", "group_sort"])
def test_no_slope_is_above_the_bound(activation: Any) -> None:
    network = Mlp(depth=2, width=8, activation=activation, pieces=3, input_scale=1.5)
    critic = network.build((3,), ())
    parameters = stacked(critic, scale=3.0)
    starts = torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    largest = climb(critic, parameters, starts, torch.full((2,), 0.3, dtype=torch.float64), 10)
    bound = torch.func.vmap(lambda own: lipschitz_bound(network, own))(parameters)
    norms = [np.linalg.norm(parameters[f"{layer}.weight"].numpy(), 2, axis=(1, 2)) for layer in range(3)]
    np.testing.assert_allclose(bound.numpy(), 1.5 * np.prod(norms, axis=0), rtol=1e-10)
    assert (largest <= bound).all()
    assert (largest > 0.05 * bound).all()


def test_the_bound_is_of_the_constrained_weights() -> None:
    sorting = Mlp(depth=2, width=8, activation="group_sort", constraint="orthonormal", init="orthogonal")
    bound = torch.func.vmap(lambda own: lipschitz_bound(sorting, own))(stacked(sorting.build((2,), ()), scale=5.0))
    np.testing.assert_allclose(bound.numpy(), 1.0, rtol=1e-5)
    spectral = Mlp(depth=1, width=6, constraint="spectral")
    parameters = stacked(spectral.build((2,), ()))
    bound = torch.func.vmap(lambda own: lipschitz_bound(spectral, own))(parameters)
    for r in range(2):
        expected = 1.0
        for layer in range(2):
            w, u, v = (parameters[f"{layer}.{name}"][r].numpy() for name in ("weight", "u", "v"))
            expected *= np.linalg.norm(w, 2) / (u @ w @ v)
        assert float(bound[r]) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("own", [{"norm": "layer"}, {"norm": "batch"}, {"minibatch_std": True}])
def test_with_a_norm_there_is_no_bound(own: dict[str, Any]) -> None:
    network = Mlp(depth=1, width=4, **own)
    parameters = {name: value[0] for name, value in stacked(network.build((2,), ())).items()}
    assert torch.isnan(lipschitz_bound(network, parameters))
