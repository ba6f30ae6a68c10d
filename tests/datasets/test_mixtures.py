import itertools
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import pdist

import datasets
from bench.contracts import check_dataset
from datasets import DATASETS
from datasets.base import MAX_MODES, GaussianMixture, Mixture
from datasets.grid import Grid
from datasets.imbalanced_ring import ImbalancedRing
from datasets.random_gaussians import RandomGaussians
from datasets.ring import Ring
from datasets.two_gaussians import TwoGaussians
from datasets.unrolled_ring import UnrolledRing
from datasets.veegan_1200d import Veegan1200d


@dataclass(frozen=True, kw_only=True)
class Images(GaussianMixture):
    """Three overlapping modes of images, one of which is never drawn."""

    std: float = 0.4

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (1, 2, 2)

    def means(self) -> torch.Tensor:
        return torch.arange(12, dtype=torch.float64).reshape(3, 1, 2, 2) / 10

    def weights(self) -> torch.Tensor:
        return torch.tensor([0.7, 0.0, 0.3], dtype=torch.float64)


def test_every_file_is_in_the_table_under_its_own_name() -> None:
    files = {path.stem for path in Path(datasets.__file__).parent.glob("*.py")} - {"__init__", "base", "presets"}
    files -= {"images", "official"}  # what sets of images have in common
    assert {name: kind.__module__ for name, kind in DATASETS.items()} == {stem: f"datasets.{stem}" for stem in files}


@pytest.mark.parametrize(
    "mixture",
    [
        Ring(modes=1),
        Ring(modes=3, radius=0.1, std=1.0),
        Ring(modes=101, radius=30.0),
        Grid(side=1),
        Grid(side=2, spacing=0.3, std=0.5),
        Images(),
        ImbalancedRing(modes=1),
        ImbalancedRing(modes=4, ratio=1.0),
        ImbalancedRing(modes=20, ratio=1e6),
        UnrolledRing(angles=2),
        UnrolledRing(angles=3, radius=0.1, std=0.5),
        TwoGaussians(distance=0.3, std=1.0),
        TwoGaussians(distance=50.0),
        RandomGaussians(modes=1, dim=1),
        RandomGaussians(modes=5, dim=300, box=0.5, layout_seed=7),
        RandomGaussians(modes=100, dim=3, std=1.0, layout_seed=1),
    ],
    ids=repr,
)
def test_contract_away_from_the_defaults(mixture: Mixture) -> None:
    results = check_dataset(mixture)
    assert {name: words for name, words in results.items() if words is not None} == {}
    assert "log_prob" in results


def test_defaults_are_those_of_the_docstrings() -> None:
    assert Ring() == Ring(modes=8, radius=2.0, std=0.02)
    assert Grid() == Grid(side=5, spacing=2.0, std=0.05)
    assert UnrolledRing() == UnrolledRing(angles=8, radius=1.0, std=0.01)


def test_ring_means_are_the_roots_of_unity() -> None:
    ring = Ring()
    means = ring.means().numpy()
    points = means[:, 0] + 1j * means[:, 1]
    np.testing.assert_allclose((points / 2) ** 8, 1, atol=1e-14)
    np.testing.assert_allclose(points[1:] / points[:-1], (1 + 1j) / np.sqrt(2), atol=1e-14)
    np.testing.assert_array_equal(means[0], [2, 0])
    distances = [math.dist(*pair) for pair in itertools.combinations(means, 2)]
    assert len(distances) == 28
    assert min(distances) == pytest.approx(2 * 2 * math.sin(math.pi / 8), rel=1e-12)


def test_grid_means_are_the_product_of_the_ticks() -> None:
    expected = np.array(list(itertools.product((-4, -2, 0, 2, 4), repeat=2)))
    np.testing.assert_array_equal(Grid().means().numpy(), expected)
    np.testing.assert_array_equal(
        Grid(side=2, spacing=3.0).means().numpy(), [[-1.5, -1.5], [-1.5, 1.5], [1.5, -1.5], [1.5, 1.5]]
    )


def test_the_seven_modes_of_the_notebook() -> None:
    """The eight points of numpy's linspace with both ends: seven, the first of which comes twice."""
    angles = np.linspace(0, 2 * np.pi, 8)
    points = np.round(np.stack([np.sin(angles), np.cos(angles)], 1), 12) + 0.0
    distinct, counts = np.unique(points, axis=0, return_counts=True)
    ring = UnrolledRing()
    means = np.round(ring.means().numpy(), 12) + 0.0
    order = np.lexsort(means.T[::-1])
    assert len(means) == 7
    np.testing.assert_array_equal(means[order], distinct)
    np.testing.assert_array_equal(ring.weights().numpy()[order], counts / 8)
    np.testing.assert_array_equal(means[0], [0, 1])
    assert ring.weights()[0] == 2 / 8


@pytest.mark.parametrize(("modes", "ratio"), [(8, 10.0), (2, 3.0), (5, 1.0), (30, 1e6)])
def test_imbalanced_weights_are_geometric(modes: int, ratio: float) -> None:
    expected = np.geomspace(ratio, 1, modes)
    weights = ImbalancedRing(modes=modes, ratio=ratio).weights().numpy()
    np.testing.assert_allclose(weights, expected / expected.sum(), rtol=1e-12)
    np.testing.assert_array_equal(ImbalancedRing(modes=modes).means(), Ring(modes=modes).means())


def test_two_gaussians_lie_on_the_first_axis() -> None:
    mixture = TwoGaussians(distance=5.0)
    np.testing.assert_array_equal(mixture.means().numpy(), [[-2.5, 0], [2.5, 0]])
    np.testing.assert_array_equal(mixture.weights().numpy(), [0.5, 0.5])


def test_random_means_are_uniform_in_the_cube() -> None:
    means = RandomGaussians(modes=2000, dim=3, box=0.5).means().numpy()
    assert means.shape == (2000, 3)
    for axis in range(3):
        assert stats.kstest(means[:, axis], "uniform", args=(-0.5, 1.0)).pvalue > 1e-4
        assert stats.pearsonr(means[:, axis], means[:, axis - 1]).pvalue > 1e-4
        assert stats.spearmanr(means[1:, axis], means[:-1, axis]).pvalue > 1e-4


def test_the_layout_seed_fixes_the_means_and_nothing_else_does() -> None:
    """The first numbers of the Mersenne Twister, which are the same for ever; numpy has the same one."""
    twister = np.random.RandomState()
    expected = {}
    for seed in (0, 1):
        twister.seed([seed])  # as Python seeds it: by an array of the integer's 32-bit words
        expected[seed] = (2 * twister.random_sample((10, 2)) - 1) * 4
        torch.manual_seed(99)
        np.testing.assert_allclose(RandomGaussians(layout_seed=seed).means().numpy(), expected[seed], rtol=1e-12)
    assert not np.isclose(expected[0], expected[1]).any()
    np.testing.assert_array_equal(RandomGaussians(modes=3).means(), RandomGaussians().means()[:3])
    wider = RandomGaussians(box=8.0).means()
    np.testing.assert_allclose(wider, 2 * RandomGaussians().means(), rtol=1e-15)


def test_the_default_layout_keeps_modes_apart() -> None:
    mixture = RandomGaussians()
    assert pdist(mixture.means()).min() > 12 * mixture.std


@pytest.mark.parametrize(
    "mixture",
    [ImbalancedRing(), UnrolledRing(std=0.4), TwoGaussians(std=1.0), RandomGaussians(dim=4, std=2.0)],
    ids=repr,
)
def test_log_density_is_scipys(mixture: GaussianMixture) -> None:
    x = mixture.sample(50, torch.Generator().manual_seed(0)).double().numpy()
    normals = [stats.multivariate_normal.pdf(x, mean, mixture.std**2) for mean in mixture.means().numpy()]
    expected = np.log(np.stack(normals, 1) @ mixture.weights().numpy())
    np.testing.assert_allclose(mixture.log_prob(torch.from_numpy(x)).numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize(
    "mixture", [Ring(), Grid(), ImbalancedRing(), UnrolledRing(), TwoGaussians(), RandomGaussians()], ids=repr
)
def test_samples_follow_the_mixture(mixture: GaussianMixture) -> None:
    """Shares as the weights, and standard normal offsets that do not depend on each other."""
    x = mixture.sample(50_000, torch.Generator().manual_seed(0)).double().numpy()
    means = mixture.means().numpy()
    nearest = np.linalg.norm(x[:, None] - means, axis=2).argmin(1)
    counts = np.bincount(nearest, minlength=len(means))
    assert stats.chisquare(counts, 50_000 * mixture.weights().numpy()).pvalue > 1e-4
    z = (x - means[nearest]) / mixture.std
    assert stats.kstest(z[:, 0], "norm").pvalue > 1e-4
    assert stats.kstest(z[:, 1], "norm").pvalue > 1e-4
    assert stats.pearsonr(z[:, 0], z[:, 1]).pvalue > 1e-4
    assert stats.spearmanr(nearest[1:], nearest[:-1]).pvalue > 1e-4


def test_a_mode_of_no_weight_is_never_drawn() -> None:
    class Apart(Images):
        def means(self) -> torch.Tensor:
            return 100 * super().means()

    x = Apart().sample(2000, torch.Generator().manual_seed(0)).double()
    nearest = torch.cdist(x.flatten(1), Apart().means().flatten(1)).argmin(1)
    shares = torch.bincount(nearest, minlength=3) / 2000
    assert shares[1] == 0
    assert shares[0].item() == pytest.approx(0.7, abs=0.05)


def test_the_least_uniform_draw_falls_in_the_first_mode_of_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(Images):
        def weights(self) -> torch.Tensor:
            return torch.tensor([0.0, 0.4, 0.6], dtype=torch.float64)

        def sample_modes(self, modes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            return modes

    monkeypatch.setattr(torch, "rand", lambda n, **_: torch.tensor([0.0, 0.39, 0.41, 1 - 2**-24]))
    assert Late().sample(4, torch.Generator()).tolist() == [1, 1, 2, 2]


def test_log_density_by_hand() -> None:
    """At the mean of a single mode: ``1 / (2 pi std^2)``; between two, the average of both."""
    ring = Ring(modes=1, radius=1.0, std=0.5)
    assert ring.log_prob(torch.tensor([[1.0, 0.0]])).item() == pytest.approx(-math.log(2 * math.pi * 0.25), rel=1e-12)
    two = Ring(modes=2, radius=1.0, std=1.0)
    value = two.log_prob(torch.zeros(1, 2))
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(-0.5 - math.log(2 * math.pi), rel=1e-12)


def test_sampling_is_float32_whatever_the_default() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        assert Ring().sample(3, torch.Generator()).dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (Ring, {"std": -0.1}, "std must be a number between 1e-12 and 1e12, not -0.1"),
        (Ring, {"std": 0.0}, "std must be"),
        (Ring, {"std": math.nan}, "std must be .* not nan"),
        (Ring, {"std": "0.1"}, "std must be .* not '0.1'"),
        (Ring, {"std": True}, "std must be .* not True"),
        (Ring, {"radius": 0.0}, "radius must be"),
        (Ring, {"radius": math.inf}, "radius must be"),
        (Ring, {"modes": 0}, "modes must be a whole number between 1 and 10000, not 0"),
        (Ring, {"modes": 8.0}, "modes must be a whole number"),
        (Ring, {"modes": True}, "modes must be a whole number"),
        (Ring, {"modes": MAX_MODES + 1}, "modes must be a whole number"),
        (Grid, {"std": -1.0}, "std must be"),
        (Grid, {"spacing": -2.0}, "spacing must be"),
        (Grid, {"side": 0}, "side must be a whole number between 1 and 100, not 0"),
        (Grid, {"side": 101}, "side must be"),
        (ImbalancedRing, {"ratio": 0.5}, r"ratio must be a number between 1 and 1e\+06, not 0.5"),
        (ImbalancedRing, {"ratio": math.nan}, "ratio must be"),
        (ImbalancedRing, {"modes": 0}, "modes must be"),
        (ImbalancedRing, {"std": -1.0}, "std must be"),
        (UnrolledRing, {"angles": 1}, "angles must be a whole number between 2 and 10000, not 1"),
        (UnrolledRing, {"radius": -1.0}, "radius must be"),
        (TwoGaussians, {"distance": 0.0}, "distance must be"),
        (RandomGaussians, {"dim": 0}, "dim must be"),
        (RandomGaussians, {"modes": 0}, "modes must be"),
        (RandomGaussians, {"box": 0.0}, "box must be"),
        (RandomGaussians, {"layout_seed": -1}, "layout_seed must be a whole number between 0 and 4294967295, not -1"),
        (RandomGaussians, {"layout_seed": 0.0}, "layout_seed must be a whole number"),
        (RandomGaussians, {"modes": 10_000, "dim": 1000}, "modes times dim must be at most 1000000, not 10000 x 1000"),
        (Veegan1200d, {"std": 0.0}, "std must be"),
    ],
)
def test_impossible_settings_are_refused(kind: type, settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kind(**settings)


def test_settings_are_checked_without_torch() -> None:
    """A wrong grid must be refused before torch, which takes seconds, is loaded."""
    program = """
import sys, types
class Unloaded(types.ModuleType):
    def __getattr__(self, name):
        raise AssertionError(f"torch.{name} was touched")
sys.modules["torch"] = Unloaded("torch")
import objectives, datasets
import math
for kind in datasets.DATASETS.values():
    name = next((name for name, value in vars(kind()).items() if isinstance(value, float)), None)
    if name is None:
        continue
    try:
        kind(**{name: math.nan})
    except ValueError:
        continue
    raise AssertionError("accepted")
"""
    root = Path(datasets.__file__).parent.parent
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root, timeout=60)
