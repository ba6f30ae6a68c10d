"""What every objective, data set and metric must satisfy, as plain functions that know none of them by name.

A check takes one objective, data set or metric and raises an AssertionError that says in words what is wrong. Tables
name the checks; ``findings`` runs a table and turns whatever a check or the checked code raises into words. The draws
inside are fixed, so that a check gives the same verdict each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.contracts.common import Checked, Checks
from bench.contracts.dataset import DATASET_CHECKS, IMAGES_CHECKS, LABELLED_CHECKS, MIXTURE_CHECKS
from bench.contracts.metric import METRIC_CHECKS
from bench.contracts.objective import OBJECTIVE_CHECKS
from bench.errors import first_line
from bench.metrics import Metric
from datasets.base import Dataset, Images, LabelledImages, Mixture
from objectives.base import Objective

__all__ = [
    "DATASET_CHECKS",
    "IMAGES_CHECKS",
    "LABELLED_CHECKS",
    "METRIC_CHECKS",
    "MIXTURE_CHECKS",
    "OBJECTIVE_CHECKS",
    "check",
    "check_dataset",
    "check_metric",
    "check_objective",
    "findings",
]


def findings(checks: Checks[Checked], checked: Checked) -> Iterator[tuple[str, str | None]]:
    """Run a table of checks: the name of each, with None where it passed and words where it did not."""
    for name, check in checks.items():
        try:
            check(checked)
        except AssertionError as error:
            yield name, str(error)
        except (Exception, SystemExit) as error:  # the code under check is a stranger's
            yield name, f"{type(error).__name__}: {error}"
        else:
            yield name, None


def check_objective(objective: Objective) -> dict[str, str | None]:
    """All checks of an objective: name -> None, or what is wrong."""
    return dict(findings(OBJECTIVE_CHECKS, objective))


def check_dataset(dataset: Dataset) -> dict[str, str | None]:
    """All checks of a data set, and those of what it is besides: name -> None, or what is wrong."""
    results = dict(findings(DATASET_CHECKS, dataset))
    if isinstance(dataset, Mixture):
        results |= findings(MIXTURE_CHECKS, dataset)
    if isinstance(dataset, Images):
        results |= findings(IMAGES_CHECKS, dataset)
    if isinstance(dataset, LabelledImages):
        results |= findings(LABELLED_CHECKS, dataset)
    return results


def check_metric(metric: Metric) -> dict[str, str | None]:
    """All checks of a metric: name -> None, or what is wrong."""
    return dict(findings(METRIC_CHECKS, metric))


def check(thing: Any) -> dict[str, str | None]:
    """All checks of an objective, of a metric, or of a data set's class with its default settings."""
    try:
        if isinstance(thing, Objective):
            return check_objective(thing)
        return check_metric(thing) if isinstance(thing, Metric) else check_dataset(thing())
    except (Exception, SystemExit) as error:  # from its construction, or from a look at what it is
        return {"defaults": f"its default settings make no data set: {first_line(error)}"}
