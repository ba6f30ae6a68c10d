"""The questions that a grid file can ask: a file each, and their table."""

from bench.experiments.base import Context, Experiment, Result, Stopped, make_cell
from bench.experiments.batches import BATCHES
from bench.experiments.depth import DEPTH
from bench.experiments.dirac import DIRAC
from bench.experiments.emd_cost import EMD_COST
from bench.experiments.estimate import ESTIMATE
from bench.experiments.exact import EXACT
from bench.experiments.known_samplers import KNOWN_SAMPLERS
from bench.experiments.lipschitz import LIPSCHITZ
from bench.experiments.optimal_critic import OPTIMAL_CRITIC
from bench.experiments.paths import PATHS
from bench.experiments.saturation import SATURATION
from bench.experiments.score_curve import SCORE_CURVE
from bench.experiments.throughput import THROUGHPUT
from bench.experiments.train import TRAIN
from bench.experiments.w1_benchmark import W1_BENCHMARK

_ALL: tuple[Experiment, ...] = (
    TRAIN, SCORE_CURVE, SATURATION, OPTIMAL_CRITIC, DEPTH, LIPSCHITZ, PATHS, ESTIMATE, W1_BENCHMARK, DIRAC,
    KNOWN_SAMPLERS, EXACT, BATCHES, EMD_COST, THROUGHPUT,
)  # fmt: skip
EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in _ALL}

ALONE = frozenset({THROUGHPUT.name, EMD_COST.name})
"""Experiments whose units are never cut and have the machine to themselves: beside other work they find less."""

__all__ = ["ALONE", "EXPERIMENTS", "Context", "Experiment", "Result", "Stopped", "make_cell"]
