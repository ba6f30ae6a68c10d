"""Funnels against their definition written out in numpy, their transport against solvers that know nothing of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

from bench.pairs.funnels import Funnels

PUBLISHED = {2: 0.8174, 4: 1.3853, 8: 1.8817, 16: 1.9405, 32: 1.8217, 64: 1.4113, 128: 1.1424}
"""True W1 for 4 funnels in the authors' metrics/ files: dimension -> mean over 4096 pairs."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def box(pair: Funnels, n: int) -> torch.Tensor:
    return pair.fake(n, generator()).double()


def drawn(dim: int, funnels: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres and offsets as the authors' class draws them, from the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(987)
        torch.randn(funnels, dim), torch.randn(funnels)
        centres, offsets = 2.5 * torch.rand(funnels, dim).mul(2).add(-1), torch.randn(funnels).mul(0.1)
    return centres.double().numpy(), offsets.double().numpy()


def heights(x: np.ndarray, dim: int, funnels: int) -> np.ndarray:
    centres, offsets = drawn(dim, funnels)
    return np.linalg.norm(x[:, None] - centres, axis=2) + offsets


@pytest.mark.parametrize(("dim", "funnels"), [(2, 4), (16, 64)])
def test_the_potential_and_its_gradient_follow_the_definition(dim: int, funnels: int) -> None:
    pair = Funnels(dim=dim, funnels=funnels)
    x = box(pair, 500)
    u = heights(x.numpy(), dim, funnels).min(1)
    np.testing.assert_allclose(pair.potential(x), u, rtol=1e-14)
    small = 1e-6 * np.eye(dim)
    slopes = [
        (heights(x.numpy() + e, dim, funnels).min(1) - heights(x.numpy() - e, dim, funnels).min(1)) / 2e-6
        for e in small
    ]
    off = np.abs(np.stack(slopes, 1) - pair.potential_gradient(x).numpy()).max(1)
    assert (off < 1e-6).mean() > 0.99  # the rest lie on a kink
    assert not pair.potential_gradient(torch.from_numpy(drawn(dim, funnels)[0][:1])).any()


@pytest.mark.parametrize("dim", [2, 16])
def test_a_pair_is_as_far_apart_as_the_potential_falls(dim: int) -> None:
    pair = Funnels(dim=dim)
    x = box(pair, 5000)
    y = pair.move(x)
    assert y.abs().max() <= 2.5
    fall, length = pair.potential(x) - pair.potential(y), (x - y).norm(dim=1)
    torch.testing.assert_close(fall, length, rtol=0, atol=1e-13)
    assert (fall >= 0).all()
    rise = (pair.potential(x) - pair.potential(x.flip(0))).abs()
    assert (rise <= (x - x.flip(0)).norm(dim=1) + 1e-13).all()


@pytest.mark.parametrize(("dim", "funnels"), [(2, 4), (8, 64), (3, 1), (2, 300)])
def test_rays_end_where_they_leave_the_box_or_their_funnel(dim: int, funnels: int) -> None:
    """With power 2, y lies l^2 / L from the bottom, where l is the distance of x and L the length of its ray."""
    pair = Funnels(dim=dim, funnels=funnels, power=2.0)
    x = box(pair, 3000)
    own = heights(x.numpy(), dim, funnels).argmin(1)
    low = drawn(dim, funnels)[0][own]
    from_low, moved = x.numpy() - low, pair.move(x).numpy() - low
    length = np.linalg.norm(from_low, axis=1, keepdims=True)
    ray, whole = from_low / length, length**2 / np.linalg.norm(moved, axis=1, keepdims=True)
    last = low + (1 - 1e-9) * whole * ray
    assert (heights(last, dim, funnels).argmin(1) == own).all()
    assert np.abs(last).max() < 2.5
    beyond = low + (1 + 1e-9) * whole * ray
    leaves = (np.abs(beyond) > 2.5).any(1)
    assert (leaves | (heights(beyond, dim, funnels).argmin(1) != own)).all()
    assert leaves.any()
    assert funnels == 1 or not leaves.all()


@pytest.mark.parametrize("dim", [2, 8])
def test_no_other_coupling_of_the_pairs_is_shorter(dim: int) -> None:
    x, y = (law.double() for law in Funnels(dim=dim).transport(400, generator()))
    costs = cdist(x, y)
    assert costs[linear_sum_assignment(costs)].mean() == pytest.approx(costs.diagonal().mean(), abs=1e-6)


def test_the_distance_is_that_of_independent_samples_within_their_floors() -> None:
    line = Funnels(dim=1)
    exact = wasserstein_distance(line.real(30_000, generator(1))[:, 0], line.fake(30_000, generator(2))[:, 0])
    assert line.wasserstein() == pytest.approx(exact, abs=0.02)
    pair = Funnels(dim=2)

    def emd(a: torch.Tensor, b: torch.Tensor) -> float:
        costs = cdist(a, b)
        return float(costs[linear_sum_assignment(costs)].mean())

    real, fake = (
        [draw(600, generator(seed)) for seed in seeds] for draw, seeds in ((pair.real, (1, 2)), (pair.fake, (3, 4)))
    )
    floor = emd(*real) + emd(*fake)
    assert abs(emd(real[0], fake[0]) - pair.wasserstein()) < floor < 0.6


@pytest.mark.parametrize("dim", PUBLISHED)
def test_the_true_distance_is_the_published_one(dim: int) -> None:
    """Within three standard errors of the difference of two means, over 4096 pairs there and 8192 here."""
    pair = Funnels(dim=dim)
    x, y = pair.transport(4096, generator())
    error = float((x - y).norm(dim=1).std()) / 4096**0.5 * 1.5**0.5
    assert error < 0.03
    assert pair.w1(1 << 13, generator()) == pytest.approx(PUBLISHED[dim], abs=3 * error)


def test_samples_are_a_pure_function_of_the_generator() -> None:
    pair = Funnels(dim=3)
    x, y = pair.transport(100, generator())
    assert (x.dtype, y.dtype, x.shape, y.shape) == (torch.float32, torch.float32, (100, 3), (100, 3))
    assert pair.event_shape == (3,)
    assert torch.equal(pair.fake(100, generator()), x)
    assert torch.equal(pair.real(100, generator()), y)
    assert not torch.equal(pair.real(100, generator(1)), y)
    assert not torch.equal(Funnels(dim=3, draw=1).real(100, generator()), y)
    assert pair.log_ratio(x) is None


def test_power_1_moves_nothing() -> None:
    x, y = Funnels(dim=4, power=1.0).transport(100, generator())
    torch.testing.assert_close(x, y)


@pytest.mark.parametrize("wrong", [{"dim": 0}, {"funnels": 0}, {"power": 0.5}, {"draw": -1}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Funnels(**wrong)
