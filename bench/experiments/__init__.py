"""The questions that a grid file can ask: a file each, and their table."""

from bench.experiments.base import Context, Experiment, Result, Stopped, make_cell
from bench.experiments.optimal_critic import OPTIMAL_CRITIC
from bench.experiments.train import TRAIN

EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in (TRAIN, OPTIMAL_CRITIC)}

__all__ = ["EXPERIMENTS", "Context", "Experiment", "Result", "Stopped", "make_cell"]
