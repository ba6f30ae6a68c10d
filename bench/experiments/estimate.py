"""Does what a critic says follow how far the generator's law is from the data? Training, judged often and evenly.

The experiment ``train`` with other defaults. At each checkpoint its rows hold what the critic says on fresh samples:
``score_gap`` estimates the Wasserstein distance up to the critic's Lipschitz constant, ``js_estimate`` the
Jensen-Shannon divergence. Beside them stand the loss that the critic was trained with and the exact earth mover's
distance ``emd`` with its floor. The report takes their rank correlations over checkpoints: WGAN's figures 3 and 4
(Arjovsky et al. 2017, arXiv:1701.07875) with numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bench.experiments.train import Evaluate, Train


@dataclass(frozen=True, kw_only=True)
class Checkpoints(Evaluate):
    """When samples are judged: often, and evenly, so that no part of training counts for more than another."""

    observations: Annotated[int, Field(ge=1, le=1000)] = 30
    spacing: Literal["log", "linear"] = "linear"


class Estimate(Train):
    """The experiment ``estimate``."""

    name = "estimate"
    evaluate: ClassVar[type[Evaluate]] = Checkpoints


ESTIMATE = Estimate()
