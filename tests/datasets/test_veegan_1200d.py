"""VEEGAN's 1200-dimensional mixture and how its high-quality rule judges it, against scipy and PacGAN's formula."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats

from bench.contracts import check_dataset
from bench.metrics import Modes, Truth, compute_all
from datasets.base import FlatMixture
from datasets.veegan_1200d import Veegan1200d

LEVELS = [-1, -0.5, 0, 0.5, -2, -2.5, 10, 0.25, -13, -5.5]
Points = npt.NDArray[np.float64]


def drawn(n: int, std: float = 1.0) -> Points:
    points: Points = Veegan1200d(std=std).sample(n, torch.Generator().manual_seed(0)).double().numpy()
    return points


def judged(points: Points, **settings: float | str) -> dict[str, float]:
    mixture = Veegan1200d()
    modes = Modes(mixture.means().numpy(), mixture.std, mixture.weights().numpy())
    return compute_all(["modes"], {"data": points}, {"data": points}, Truth(modes=modes), settings).values


def pacgans_share(points: Points) -> float:
    """Of points within 10 of a mean, each axis divided by its std, or by another axis's where it has none."""
    variances = np.r_[np.ones(700), np.zeros(500)]
    variances[variances == 0] = variances[variances != 0][1]
    least = [min(math.sqrt((np.square(point - level) / variances).sum()) for level in LEVELS) for point in points]
    return float(np.mean(np.array(least) < 10))


def test_means_are_constant_vectors() -> None:
    means = Veegan1200d().means().numpy()
    np.testing.assert_array_equal(means, np.repeat(np.array(LEVELS)[:, None], 1200, axis=1))
    assert Veegan1200d() == Veegan1200d(std=1.0)
    assert isinstance(Veegan1200d(), FlatMixture)


def test_samples_are_those_of_the_code() -> None:
    """A level everywhere, one in ten each, plus standard normal noise on the first 700 axes and nothing on the rest."""
    x = drawn(2000)
    level = x[:, 700]
    np.testing.assert_array_equal(x[:, 700:], np.repeat(level[:, None], 500, axis=1))
    values, counts = np.unique(level, return_counts=True)
    np.testing.assert_array_equal(values, sorted(LEVELS))
    assert stats.chisquare(counts).pvalue > 1e-4
    noise = x[:, :700] - level[:, None]
    assert stats.kstest(noise[:200].ravel(), "norm").pvalue > 1e-4
    assert stats.kstest(np.square(noise).sum(1), "chi2", args=(700,)).pvalue > 1e-4
    assert stats.kstest(noise.sum(1) / math.sqrt(700), "norm").pvalue > 1e-4


def test_density_is_that_of_the_planes() -> None:
    x = drawn(50, std=0.5)
    theirs = np.stack([stats.norm.logpdf(x[:, :700], level, 0.5).sum(1) for level in LEVELS], 1)
    mine = np.argmax(x[:, 700:701] == np.array(LEVELS), axis=1)
    expected = theirs[np.arange(50), mine] - math.log(10)
    ours = Veegan1200d(std=0.5).log_prob(torch.from_numpy(x))
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-12)
    x[:, 1000] += 1e-9
    assert (Veegan1200d().log_prob(torch.from_numpy(x)) == -math.inf).all()


def test_the_papers_rule_refuses_a_perfect_sampler() -> None:
    x = drawn(2500)
    assert stats.chi(700).logcdf(10) == pytest.approx(-384.76, abs=0.01)
    values = judged(x, radius=10.0)
    assert values["high_quality_share"] == pacgans_share(x[:100]) == 0
    assert values["modes_covered"] == 0
    assert values["modes_total"] == 10
    assert values["reverse_kl"] < 0.01


def test_by_the_box_a_perfect_sampler_is_all_of_high_quality() -> None:
    values = judged(drawn(2500), radius=10.0, norm="box")
    assert values["high_quality_share"] == 1
    assert values["modes_covered"] == values["modes_covered_by_mass"] == 10


@pytest.mark.parametrize("std", [0.37, 0.38])
def test_the_share_of_a_narrower_sampler(std: float) -> None:
    """10 / sqrt(700) = .378: modes as wide as that are half of high quality."""
    x = drawn(2000, std)
    share = judged(x, radius=10.0)["high_quality_share"]
    assert share == pacgans_share(x)
    assert stats.binomtest(round(share * 2000), 2000, stats.chi(700).cdf(10 / std)).pvalue > 1e-4
    assert 0.2 < share < 0.9


def test_contract_away_from_the_defaults() -> None:
    results = check_dataset(Veegan1200d(std=0.05))
    assert {name: words for name, words in results.items() if words is not None} == {}
    assert "log_prob" in results
