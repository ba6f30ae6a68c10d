"""Pairs of laws: their samples' law, their log-ratios against scipy's densities, W1 against exact matching."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import optimize, spatial, stats

from bench.pairs import Pair, build_pair, check_pair
from bench.pairs.lines import Lines
from bench.pairs.noised import Noised
from bench.pairs.two_gaussians import TwoGaussians
from bench.settings import SettingError

RING = {"name": "ring", "modes": 8, "radius": 2.0, "std": 0.3}


def drawn(pair: Pair, n: int, law: str, seed: int = 0) -> np.ndarray:
    found: torch.Tensor = getattr(pair, law)(n, torch.Generator().manual_seed(seed))
    assert found.shape == (n, *pair.event_shape)
    assert found.dtype == torch.float32
    return found.double().numpy()


def ring_density(x: np.ndarray, std: float) -> np.ndarray:
    angles = 2 * np.pi * np.arange(8) / 8
    means = 2 * np.stack([np.cos(angles), np.sin(angles)], 1)
    return np.mean([stats.multivariate_normal(mean, std**2).pdf(x) for mean in means], axis=0)


@pytest.mark.parametrize(("law", "mean"), [("real", 1.5), ("fake", -1.5)])
def test_two_gaussians_lie_where_they_say(law: str, mean: float) -> None:
    points = drawn(TwoGaussians(distance=3, std=0.5), 20_000, law)
    for axis, centre in ((0, mean), (1, 0.0)):
        assert stats.kstest(points[:, axis], stats.norm(centre, 0.5).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(points.T)[0, 1]) < 0.03


def test_the_log_ratio_of_two_gaussians_is_that_of_their_densities() -> None:
    pair = TwoGaussians(distance=3, std=0.5)
    x = np.random.default_rng(0).normal(size=(50, 2)) * 2
    real, fake = (stats.multivariate_normal([centre, 0], 0.25) for centre in (1.5, -1.5))
    expected = real.logpdf(x) - fake.logpdf(x)
    np.testing.assert_allclose(pair.log_ratio(torch.tensor(x)).numpy(), expected, rtol=1e-10, atol=1e-10)


def test_noise_makes_each_mode_wider_and_is_independent_of_the_data() -> None:
    pair = Noised(dataset=RING, std=0.4)
    real, fake = drawn(pair, 20_000, "real"), drawn(pair, 20_000, "fake")
    for points, std in ((real, 0.3), (fake, 0.5)):  # a 3-4-5 triangle
        radii = np.linalg.norm(points, axis=1)
        angles = 2 * np.pi * np.random.default_rng(1).integers(8, size=20_000) / 8
        foreign = 2 * np.stack([np.cos(angles), np.sin(angles)], 1) + std * np.random.default_rng(2).normal(
            size=(20_000, 2)
        )
        assert stats.ks_2samp(radii, np.linalg.norm(foreign, axis=1)).pvalue > 1e-3
        assert stats.ks_2samp(points[:, 0], foreign[:, 0]).pvalue > 1e-3


def test_the_log_ratio_of_noised_data_is_that_of_the_densities() -> None:
    pair = Noised(dataset=RING, std=0.4)
    x = np.random.default_rng(0).normal(size=(40, 2)) * 1.5
    found = pair.log_ratio(torch.tensor(x))
    assert found is not None
    expected = np.log(ring_density(x, 0.3)) - np.log(ring_density(x, 0.5))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dataset", [{"name": "swiss_roll"}, {"name": "veegan_1200d"}])
def test_without_a_density_there_is_no_log_ratio(dataset: dict[str, Any]) -> None:
    pair = Noised(dataset=build_settings(dataset), std=0.5)
    points = torch.zeros(3, *pair.event_shape)
    assert pair.log_ratio(points) is None


def build_settings(dataset: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = check_pair({"name": "noised", "dataset": dataset})["dataset"]
    return settings


def test_lines_are_uniform_and_theta_apart() -> None:
    pair = Lines(theta=0.75)
    for law, place in (("real", 0.0), ("fake", 0.75)):
        points = drawn(pair, 5000, law)
        assert (points[:, 0] == place).all()
        assert stats.kstest(points[:, 1], stats.uniform().cdf).pvalue > 1e-3
    assert pair.log_ratio(torch.zeros(2, 2)) is None


@pytest.mark.parametrize("pair", [Lines(theta=-0.6), TwoGaussians(distance=3, std=0.2)])
def test_w1_is_the_earth_movers_distance_of_samples(pair: Any) -> None:
    """Of 400 samples a side, matched by scipy."""
    real, fake = drawn(pair, 400, "real"), drawn(pair, 400, "fake", seed=1)
    cost = spatial.distance.cdist(real, fake)
    found = cost[optimize.linear_sum_assignment(cost)].mean()
    assert pair.wasserstein() == pytest.approx(found, rel=0.02)


def test_noised_data_have_no_known_w1() -> None:
    assert Noised(dataset=RING).wasserstein() is None


def test_equal_generators_give_equal_samples_and_others_do_not() -> None:
    pair = build_pair(check_pair({"name": "noised", "dataset": "ring_wgan_gp_code"}))
    for law in ("real", "fake"):
        np.testing.assert_array_equal(drawn(pair, 9, law), drawn(pair, 9, law))
        assert (drawn(pair, 9, law) != drawn(pair, 9, law, seed=1)).any()


def test_a_preset_is_written_out_and_defaults_are_filled_in() -> None:
    settings = check_pair({"name": "noised", "dataset": "swiss_roll_wgan_gp"})
    dataset = {"name": "swiss_roll", "noise": 0.25, "divisor": 7.5}
    assert settings == {"name": "noised", "dataset": dataset, "std": 1.0}


@pytest.mark.parametrize(
    ("raw", "path", "words"),
    [
        ("two_gausians", ("pair", "name"), "two_gaussians"),
        ({"name": "two_gaussians", "distanc": 2}, ("pair", "distanc"), "distance"),
        ({"name": "two_gaussians", "std": 0}, ("pair",), "std"),
        ({"name": "noised", "dataset": "rng"}, ("pair", "dataset", "name"), "ring"),
        ({"name": "noised", "dataset": {"name": "ring", "mode": 8}}, ("pair", "dataset", "mode"), "modes"),
        ({"name": "noised", "dataset": "ring", "std": -1.0}, ("pair",), "std"),
        ({"name": "noised"}, ("pair", "dataset"), "missing"),
        ({"name": "lines", "theta": "1"}, ("pair", "theta"), "quotes"),
    ],
)
def test_wrong_settings_are_refused_where_they_stand(raw: Any, path: tuple[str, ...], words: str) -> None:
    with pytest.raises(SettingError, match=words) as caught:
        check_pair(raw)
    assert caught.value.path == path
