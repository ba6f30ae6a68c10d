from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.path import Path
from scipy import optimize, stats

from datasets.base import LabelledImages, OnManifold
from datasets.polygons import Polygons, coverage


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def corners_of(u: np.ndarray, size: int) -> np.ndarray:
    """The law written out, with the matrix of the rotation: u [V + 1] -> corners [V, 2]."""
    vertices = len(u) - 1
    degrees = [i * 360 / vertices + 10 + (360 / vertices - 10) * u[i] for i in range(vertices)]
    unit = np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], 1)
    turn = np.radians(u[-1] * 2 * np.pi)
    placed = unit @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * size * 0.75 / 2
    return placed - placed.mean(0) + size / 2


def by_points(corners: np.ndarray, size: int, points: int) -> np.ndarray:
    """The share of points x points in each pixel that are inside."""
    at = (np.arange(size * points) + 0.5) / points
    inside = Path(corners).contains_points(np.stack(np.meshgrid(at, at, indexing="ij"), -1).reshape(-1, 2))
    return inside.reshape(size, points, size, points).mean((1, 3))


def area(corners: np.ndarray) -> np.ndarray:
    """The shoelace formula: corners [..., V, 2]."""
    x, y = corners[..., 0], corners[..., 1]
    return np.abs((x * np.roll(y, -1, -1) - y * np.roll(x, -1, -1)).sum(-1)) / 2


@pytest.mark.parametrize(("vertices", "size"), [(3, 28), (7, 9)])
def test_pixels_are_covered_areas_of_the_law(vertices, size):
    u = torch.rand(4, vertices + 1, generator=drawn(1), dtype=torch.float64)
    u[0, :2] = torch.tensor([1.0, 0.0])
    ours = Polygons(vertices=vertices, size=size).covered(u).numpy()
    for image, numbers in zip(ours, u.numpy(), strict=True):
        corners = corners_of(numbers, size)
        np.testing.assert_allclose(image, by_points(corners, size, 32), atol=0.03)
        np.testing.assert_allclose(image.sum(), area(corners), rtol=1e-6)


def test_straight_edges():
    """Along the axes, where a slope is 0 or has no number."""
    corners = torch.tensor([[1.5, 2.0], [4.25, 2.0], [4.25, 3.5], [1.5, 3.5]], dtype=torch.float64)
    expected = torch.outer(torch.tensor([0, 0.5, 1, 1, 0.25]), torch.tensor([0, 0, 1, 0.5, 0])).double()
    torch.testing.assert_close(coverage(corners[None], 5)[0], expected, rtol=0, atol=1e-5)


def test_differentiable():
    corners = torch.tensor(corners_of(np.array([0.2, 0.9, 0.4, 0.5]), 8)).unsqueeze(0).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: coverage(x, 8), corners)


def test_samples_follow_the_law():
    """White areas, and where the polygons lean to, are those of polygons drawn with numpy."""
    n, size = 1500, 28
    images = (Polygons(size=size).sample(n, drawn(2)).double().numpy()[:, 0] + 1) / 2
    corners = np.stack([corners_of(u, size) for u in np.random.default_rng(3).random((n, 4))])
    assert stats.ks_2samp(images.sum((1, 2)), area(corners)).pvalue > 1e-3
    middle = np.arange(size) + 0.5 - size / 2
    tilt = np.einsum("nij,i,j->n", images, middle, middle)
    offsets = corners - size / 2
    # The second moment of a triangle about its centre is its area / 12 times the sum over its corners.
    expected = area(corners) / 12 * (offsets[..., 0] * offsets[..., 1]).sum(1)
    assert stats.ks_2samp(tilt, expected).pvalue > 1e-3


def test_parts_share_no_image():
    """Not even from generators in the same state."""
    polygons = Polygons(size=8)
    parts = [polygons.distinct(part, 40, drawn(4)) for part in ("train", "evaluation", "judge")]
    together = torch.cat(parts)
    assert together.shape == (120, 1, 8, 8)
    assert len(together.unique(dim=0)) == 120
    assert together.min() == -1
    assert together.max() == 1
    assert torch.equal(polygons.sample(40, drawn(4)), parts[0])
    assert polygons.sizes() == {}
    assert isinstance(polygons, OnManifold)
    assert not isinstance(polygons, LabelledImages)


@pytest.mark.parametrize(("vertices", "size"), [(3, 28), (4, 16)])
def test_distances_of_the_set_and_off_it(vertices, size):
    """In hundreds of dimensions a random offset is nearly normal to the few that the set has."""
    polygons = Polygons(vertices=vertices, size=size)
    images = polygons.sample(4, drawn(5))
    assert polygons.distances(images).max() < 1e-5
    offset = torch.randn(images.shape, generator=drawn(6))
    offset /= offset.flatten(1).norm(dim=1)[:, None, None, None]
    for length in (0.5, 3.0):
        distances = polygons.distances(images + length * offset) / length
        assert distances.max() <= 1 + 1e-6
        assert distances.min() > 0.98


def by_rows(u: np.ndarray, size: int) -> np.ndarray:
    """Covered parts of pixels by 40 rows a pixel, each cut off at the edges: u [4, n] of triangles -> [n, S, S]."""
    corners = np.stack([corners_of(numbers, size) for numbers in u.T])[:, :, None]
    x = ((np.arange(size * 40) + 0.5) / 40)[None, None]
    start, end = corners, np.roll(corners, -1, 1)
    y = start[..., 1] + (x - start[..., 0]) / (end - start)[..., 0] * (end - start)[..., 1]
    met = (x - start[..., 0]) * (x - end[..., 0]) <= 0
    low, high = np.where(met, y, np.inf).min(1), np.where(met, y, -np.inf).max(1)
    pixel = np.arange(size)
    parts = np.minimum(high[..., None], pixel + 1) - np.maximum(low[..., None], pixel)
    return np.clip(parts, 0, 1).reshape(len(corners), size, 40, size).mean(2)


def test_distances_agree_with_a_search_of_the_whole_set():
    """By differential evolution over the unit cube and another renderer; images beside it are near its border."""
    size = 8
    polygons = Polygons(size=size)
    pair = polygons.sample(2, drawn(7))
    beside = 2 * polygons.covered(torch.tensor([[-0.15, 0.6, 0.5, 0.0], [0.3, 1.2, 0.7, 0.5]])).unsqueeze(1) - 1
    images = torch.cat([pair.mean(0, keepdim=True), pair[:1].roll(1, 2), beside])
    for image, ours in zip(images[:, 0].double().numpy(), polygons.distances(images).tolist(), strict=True):

        def distance(u, image=image):
            return np.sqrt(np.square(2 * by_rows(u, size) - 1 - image).sum((1, 2)))

        found = optimize.differential_evolution(
            distance, [(0, 1)] * 4, vectorized=True, updating="deferred", rng=8, maxiter=100, polish=False
        )
        assert found.fun > 0.2
        assert ours == pytest.approx(found.fun, rel=5e-3)


def test_images_that_are_not_finite_or_huge():
    polygons = Polygons(size=8)
    images = polygons.sample(4, drawn(9))
    alone = polygons.distances(images[3:])
    images[0, 0, 0, 0], images[1, 0, 2, 2], images[2] = torch.nan, -torch.inf, 1e38
    state = torch.get_rng_state()
    distances = polygons.distances(images)
    assert distances[:2].isnan().all()
    assert distances[2].item() == pytest.approx(8e38, rel=1e-6)
    torch.testing.assert_close(distances[3:], alone, rtol=0, atol=1e-6)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("settings", [{"vertices": 2}, {"vertices": 19}, {"size": 7}, {"size": 65}])
def test_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Polygons(**settings)
