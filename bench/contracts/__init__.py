"""What every objective and every data set must satisfy, as plain functions that know none of them by name.

A check takes one objective, or one data set, and raises an AssertionError that says in words what is wrong. Tables name
the checks; ``findings`` runs a table and turns whatever a check or the checked code raises into words. The draws inside
are fixed, so that a check gives the same verdict each time.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.contracts.common import Checked, Checks
from bench.contracts.dataset import DATASET_CHECKS, MIXTURE_CHECKS
from bench.contracts.objective import OBJECTIVE_CHECKS
from datasets.base import Dataset, Mixture
from objectives.base import Objective

__all__ = ["DATASET_CHECKS", "MIXTURE_CHECKS", "OBJECTIVE_CHECKS", "check_dataset", "check_objective", "findings"]


def findings(checks: Checks[Checked], checked: Checked) -> Iterator[tuple[str, str | None]]:
    """Run a table of checks: the name of each, with None where it passed and words where it did not."""
    for name, check in checks.items():
        try:
            check(checked)
        except AssertionError as error:
            yield name, str(error)
        except Exception as error:  # the code under check is a stranger's
            yield name, f"{type(error).__name__}: {error}"
        else:
            yield name, None


def check_objective(objective: Objective) -> dict[str, str | None]:
    """All checks of an objective: name -> None, or what is wrong."""
    return dict(findings(OBJECTIVE_CHECKS, objective))


def check_dataset(dataset: Dataset) -> dict[str, str | None]:
    """All checks of a data set, and those of a mixture where it is one: name -> None, or what is wrong."""
    results = dict(findings(DATASET_CHECKS, dataset))
    return {**results, **dict(findings(MIXTURE_CHECKS, dataset))} if isinstance(dataset, Mixture) else results
