"""Does a critic estimate the Wasserstein distance, and is its gradient that of the optimal one?

The benchmark of Korotin, Kolesov & Burnaev 2022 (arXiv:2206.07767): critics between two laws whose distance and whose
optimal critic are known, in any dimension, for any objective and any critic.

Shape letters: R replica, N evaluation samples of a law, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field

from bench import critic_settings, seeding
from bench.cell import Settings
from bench.engine import Training
from bench.experiments.probing import Probing, Reader
from bench.networks import Network
from bench.optim import Parameters
from bench.pairs import build_pair
from bench.pairs.funnels import Funnels
from bench.settings import SettingError


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How many pairs of the optimal plan a critic is read at: fresh ones, not seen in training."""

    n: Annotated[int, Field(ge=2, le=10**6)] = 4096


COLUMNS = (
    "w1_estimate",
    "w1_true",
    "relative_error",
    "gradient_cosine",
    "gradient_field_cosine",
    "gradient_l2_error",
    "largest_slope",
)
"""What is read, beside the loss and its gradient in training."""


def readings(
    critic: Network, parameters: Parameters, real: torch.Tensor, fake: torch.Tensor, optimal: torch.Tensor
) -> dict[str, torch.Tensor]:
    """What critics f say of the distance, and how their gradients compare with the optimal one: column -> [R], float64.

    - w1_estimate: ``E_real f - E_fake f``, the dual value, which is W1 for the optimal critic. Above it, the critic is
      not 1-Lipschitz; below it, it is not optimal.
    - gradient_cosine: ``E_real <grad f, g> / (|grad f| |g|)``, the mean over samples of the cosine there, as in the
      authors' code; 0 where either vanishes.
    - gradient_field_cosine: ``E_real <grad f, g> / sqrt(E_real |grad f|^2 E_real |g|^2)``, one cosine of the two fields
      as elements of L2(real): steep places count for more.
    - gradient_l2_error: ``E_real |grad f - g|^2``, the square of the fields' distance there, as in the authors' code: 1
      for a constant critic.
    - largest_slope: the largest ``|grad f|`` at any of the samples, real or fake.

    Where the samples come in pairs (x, y) of the optimal plan, the estimate of an optimal critic is the mean of
    ``|x - y|``, which varies less than that of independent ones.

    Args:
        critic: the network.
        parameters: [R, ...] a name, buffers too.
        real, fake: [R, N, D].
        optimal: g, the gradient of an optimal critic at the real samples, [R, N, D].
    """

    def look(own: Parameters, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        f = critic.bind(own)
        return f(x), torch.func.grad(lambda points: f(points).sum())(x)

    both = torch.func.vmap(look)
    (on_real, found), (on_fake, elsewhere) = (
        tuple(part.to(torch.float64) for part in both(parameters, x)) for x in (real, fake)
    )
    optimal = optimal.to(torch.float64)
    products, squares = (found * optimal).sum(2), found.square().sum(2)
    norms = (squares * optimal.square().sum(2)).sqrt()
    # A critic that is not finite anywhere has no largest slope either: amax passes NaN on.
    largest = torch.cat([squares, elsewhere.square().sum(2)], 1).amax(1).sqrt()
    return {
        "w1_estimate": on_real.mean(1) - on_fake.mean(1),
        "gradient_cosine": torch.where(norms == 0, 0.0, products / torch.where(norms == 0, 1.0, norms)).mean(1),
        "gradient_field_cosine": products.mean(1) / (squares.mean(1) * optimal.square().sum(2).mean(1)).sqrt(),
        "gradient_l2_error": (found - optimal).square().sum(2).mean(1),
        "largest_slope": largest,
    }


class _Reader(Reader):
    def __init__(self, settings: Settings, training: Training) -> None:
        self._training = training
        pair: Any = build_pair(settings["pair"])
        draws = [
            pair.transport(settings["probe"]["n"], seeding.generator(seed, "evaluation")) for seed in training.seeds
        ]
        some = next(iter(training.parameters("critic").values()))
        self._fake, self._real = (torch.stack(law).to(some.device, some.dtype) for law in zip(*draws, strict=True))
        self._optimal = torch.stack([-pair.potential_gradient(real) for _, real in draws]).to(some.device)
        self._true = pair.wasserstein()

    def read(self) -> Mapping[str, torch.Tensor]:
        """See ``readings``; with the true distance and ``relative_error = (w1_estimate - w1_true) / w1_true``."""
        training = self._training
        named = readings(training.problem.critic, training.parameters("critic"), self._real, self._fake, self._optimal)
        true = torch.full_like(named["w1_estimate"], self._true)
        return {**named, "w1_true": true, "relative_error": named["w1_estimate"] / true - 1}


class W1Benchmark(Probing):
    """The experiment ``w1_benchmark``.

    Departures from the authors' protocol: the evaluation samples of the two laws come in pairs; the true distance is
    the mean over 2^18 pairs, theirs over 4096.
    """

    name = "w1_benchmark"
    about: ClassVar[ModuleType] = critic_settings
    probe = Probe
    reader = _Reader
    columns = COLUMNS
    """Of which a grid file may quote published values."""

    def resolve(self, raw: Mapping[str, Any]) -> Settings:
        """See ``Experiment.resolve``; the pair has to be one whose optimal transport is known."""
        settings = super().resolve(raw)
        if not isinstance(build_pair(settings["pair"]), Funnels):
            words = f"the optimal transport is known between funnels alone, not of {settings['pair']['name']!r}"
            raise SettingError(("pair", "name"), words)
        return settings


W1_BENCHMARK = W1Benchmark()
