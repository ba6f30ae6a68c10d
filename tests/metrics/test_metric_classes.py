from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.metrics import METRICS, Truth, compute_all
from bench.metrics.classes import COLUMNS, Settings, compute

THOUSAND = np.full(1000, 1 / 1000)


def measure(classes: np.ndarray, weights: np.ndarray, sure: float = 1.0, class_n: int = 100_000) -> dict[str, float]:
    judged = np.stack([classes, np.full(len(classes), sure)], axis=1).astype(np.float64)
    return compute(judged, np.empty((0, 2)), Truth(classes=weights), Settings(class_n=class_n))


@pytest.mark.parametrize(("n", "published"), [(25_600, 0.0197), (26_000, 0.0192), (50_000, 0.0101)])
def test_perfect_sampler_of_a_thousand_modes(n, published, rng):
    values = measure(rng.integers(1000, size=n), THOUSAND)
    assert values["modes_covered"] == values["modes_covered_by_mass"] == values["modes_total"] == 1000
    counts = np.arange(1, n + 1)
    chance = stats.binom.pmf(counts, n, 1 / 1000)
    kl = 1000 * (chance * counts / n * np.log(1000 * counts / n)).sum()
    # Twice n KL is about chi-square with K - 1 degrees of freedom, which gives the spread of a single draw.
    spread = np.sqrt(2 * 999) / (2 * n)
    assert values["reverse_kl"] == pytest.approx(kl, abs=4 * spread)
    assert published == pytest.approx(kl, abs=4 * spread)
    assert 999 / (2 * n) == pytest.approx(kl, rel=0.01)
    variation = 1000 / 2 * (chance * abs(counts / n - 1 / 1000)).sum()
    assert values["total_variation"] == pytest.approx(variation, rel=0.1)


def test_perfect_sampler_at_the_default_size(rng):
    n = Settings().class_n
    values = measure(rng.integers(1000, size=3 * n), THOUSAND, class_n=n)
    missed = (1 - 1 / 1000) ** n
    # The counts of two classes are negatively correlated, so that the true spread is smaller.
    assert abs(values["modes_covered"] - 1000 * (1 - missed)) < 4 * np.sqrt(1000 * missed * (1 - missed))
    assert round(1000 * (1 - missed)) == 918


@pytest.mark.parametrize("k", [1, 100])
def test_generator_of_few_images(k):
    """One that is constant, and one that copies a hundred images, each of a class of its own."""
    values = measure(np.arange(2500) % k, THOUSAND)
    assert values["modes_covered"] == values["modes_covered_by_mass"] == k
    assert values["reverse_kl"] == pytest.approx(np.log(1000 / k), rel=1e-12)
    assert values["total_variation"] == pytest.approx(1 - k / 1000, rel=1e-12)


def test_copies_of_the_training_set_cannot_be_told_from_it():
    weights = np.array([0.5, 0.3, 0.2])
    values = measure(np.repeat([0, 1, 2], [50, 30, 20]), weights)
    assert values["modes_covered"] == values["modes_covered_by_mass"] == 3
    assert values["reverse_kl"] == pytest.approx(0, abs=1e-15)
    assert values["total_variation"] == pytest.approx(0, abs=1e-15)


def test_unequal_weights_are_the_measure_of_balance():
    weights = np.array([0.5, 0.3, 0.2])
    values = measure(np.repeat([0, 1, 2], [30, 67, 3]), weights)
    assert values["reverse_kl"] == pytest.approx(stats.entropy([0.3, 0.67, 0.03], weights), rel=1e-12)
    assert values["total_variation"] == pytest.approx(0.37, rel=1e-12)
    assert (values["modes_covered"], values["modes_covered_by_mass"]) == (3, 2)  # 3 of 100 is under a fifth of 20


@pytest.mark.parametrize(("received", "covered"), [(8, 25), (7, 24)])
def test_mass_rule_is_exact_at_a_fifth_of_the_due(received, covered):
    classes = np.concatenate([np.zeros(received), np.repeat(np.arange(1, 25), 40), np.full(40 - received, 24)])
    assert len(classes) == 1000  # a class is due 40, a fifth is 8
    assert measure(classes, np.full(25, 1 / 25))["modes_covered_by_mass"] == covered


def test_confidence_counts_from_nine_tenths():
    judged = np.array([[0, 0.89], [1, 0.9], [1, 0.91], [0, 1.0], [1, 0.2]])
    values = compute(judged, judged, Truth(classes=np.full(2, 1 / 2)), Settings())
    assert values["confident_share"] == 3 / 5
    assert values["modes_covered"] == 2


def test_classes_are_measured_as_modes_are(ring):
    """A judge who names the nearest mode of a mixture leaves nothing to choose between the two metrics."""
    labels = np.array([0, 0, 0, 1, 2, 2, 5, 7, 7, 7])
    samples = {"data": ring.means[labels], "classes": np.stack([labels, np.ones(10)], axis=1)}
    truth = Truth(modes=ring, classes=ring.weights)
    modes, classes = (compute_all([name], samples, samples, truth, {}).values for name in ("modes", "classes"))
    shared = modes.keys() & classes.keys()
    assert shared == modes.keys() - {"high_quality_share"} == classes.keys() - {"confident_share"}
    assert all(classes[name] == pytest.approx(modes[name], rel=1e-12) for name in shared)
    assert all(COLUMNS[name] is METRICS["modes"].columns[name] for name in shared)


def test_rounding_of_a_weight_does_not_decide():
    assert 1 / 5 * 6 * (5 / 6) > 1  # class 0 is due 5 of 6, and has a fifth of that
    assert measure(np.array([0, 1, 1, 1, 1, 1]), np.array([5 / 6, 1 / 6]))["modes_covered_by_mass"] == 2


@pytest.mark.parametrize("bad", [[np.nan, 1.0], [1.0, np.nan], [np.nan, np.nan], [np.inf, 1.0]])
def test_points_that_cannot_be_judged_give_nan(bad):
    judged = np.array([[0.0, 1.0], bad, [1.0, 1.0]])
    values = compute(judged, judged, Truth(classes=np.full(2, 1 / 2)), Settings())
    assert values.pop("modes_total") == 2
    assert values.keys() == COLUMNS.keys() - {"modes_total"}
    assert np.isnan(list(values.values())).all()


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="class_n is at least 1, not 0"):
        Settings(class_n=0)
