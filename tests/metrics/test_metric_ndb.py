from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency
from sklearn import cluster
from sklearn.cluster import KMeans

from bench.metrics import Truth
from bench.metrics.ndb import COLUMNS, Settings, compute


def measure(points: np.ndarray, training: np.ndarray, **settings: int) -> dict[str, float]:
    return compute(points, np.empty((0, points.shape[1])), Truth(training=training), Settings(**settings))


def groups(counts: np.ndarray | list[int], rng: np.random.Generator) -> np.ndarray:
    """So many samples of each of some groups that are far apart, so that there is no doubt about the bins."""
    places = 100 * np.stack(np.divmod(np.arange(len(counts)), 3), axis=1)
    return np.repeat(places, counts, axis=0) + rng.normal(size=(np.sum(counts), 2))


@pytest.mark.parametrize("seed", range(5))
def test_contingency_tables_of_scipy(seed):
    rng = np.random.default_rng(seed)
    before, after = rng.multinomial(300, np.full(8, 1 / 8)), rng.multinomial(200, rng.dirichlet(np.full(8, 5.0)))
    tables = [[[a, 300 - a], [b, 200 - b]] for a, b in zip(before, after, strict=True)]
    different = [chi2_contingency(table, correction=False).pvalue < 0.05 for table in tables]
    assert 0 < sum(different) < 8
    values = measure(groups(after, rng), groups(before, rng), ndb_bins=8)
    assert values["ndb_share"] == sum(different) / 8
    assert values["ndb_js"] == pytest.approx(jensenshannon(before, after) ** 2, rel=1e-9)


@pytest.mark.parametrize(("first", "share"), [(543, 0), (544, 1), (457, 0), (456, 1)])
def test_significance_at_five_percent(first, share, rng):
    p_value = chi2_contingency([[500, 500], [first, 1000 - first]], correction=False).pvalue
    assert p_value == pytest.approx(0.0516, abs=0.0033)
    values = measure(groups([first, 1000 - first], rng), groups([500, 500], rng), ndb_bins=2)
    assert values["ndb_share"] == share == (p_value < 0.05)


def test_generators_that_are_known(rng):
    training, fresh = rng.normal(size=(2, 1000, 4))
    copied = measure(rng.permutation(training), training)
    assert copied == {"ndb_share": 0, "ndb_js": 0}
    perfect = measure(fresh, training)
    narrow = measure(0.5 * fresh, training)
    collapsed = measure(np.repeat(training[:1], 1000, axis=0), training)
    assert perfect["ndb_share"] < 0.15 < narrow["ndb_share"] < 0.9 < collapsed["ndb_share"]
    assert perfect["ndb_js"] < 0.05 < narrow["ndb_js"] < 0.5 < collapsed["ndb_js"] < np.log(2)
    assert measure(fresh[::-1].copy(), training) == perfect


def test_no_more_bins_than_the_training_images_fill(rng):
    one = groups([60], rng)
    twelve = jensenshannon(np.full(12, 1 / 12), np.eye(12)[0]) ** 2
    assert measure(one, groups([10] * 12, rng))["ndb_js"] == pytest.approx(twelve, rel=1e-9)
    three = jensenshannon([1 / 2, 1 / 3, 1 / 6], [1, 0, 0]) ** 2
    repeated = np.repeat(np.eye(3)[:, :2], [60, 40, 20], axis=0)
    assert measure(repeated[:30], repeated)["ndb_js"] == pytest.approx(three, rel=1e-9)
    assert measure(one, np.zeros((50, 2))) == measure(one, one[:3]) == {"ndb_share": 0, "ndb_js": 0}


def test_bins_are_found_once_for_each_content(rng, monkeypatch):
    first, second, points = rng.normal(size=(3, 200, 3))
    asked = []
    monkeypatch.setattr(cluster, "KMeans", lambda *given, **named: asked.append(given) or KMeans(*given, **named))
    values = measure(points, first)
    assert measure(points, first.copy()) == values
    assert len(asked) == 1
    assert measure(points, second) != values
    assert measure(points, first) == values
    assert len(asked) == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_points_that_are_not_finite_give_nan(bad, rng):
    points = rng.normal(size=(20, 3))
    points[3, 0] = bad
    values = measure(points, rng.normal(size=(40, 3)))
    assert values.keys() == COLUMNS.keys()
    assert np.isnan(list(values.values())).all()


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="ndb_bins is at least 1, not 0"):
        Settings(ndb_bins=0)
