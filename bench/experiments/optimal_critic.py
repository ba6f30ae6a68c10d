"""The best critic between two fixed laws: what it looks like once it has been trained to convergence.

WGAN's figure 2 (a discriminator is flat where both laws have their mass, a critic is not) and WGAN-GP's figure 1a
(what surface a clipped critic and a penalised one can make), for any objective and any pair of laws.

Shape letters: R replica, N evaluation samples of a law, *E event, L points of the line, G x G points of the frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from bench import critic_settings, probes, seeding
from bench.cell import Settings
from bench.engine import Training
from bench.experiments.probing import Probing, Reader
from bench.pairs import Pair, build_pair

LINE = 401
MARGIN = 0.15
"""Points of the line; how far the frame reaches beyond the samples, as a share of their extent."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How many samples of each law are looked at, and how fine the surface is: ``surface`` points along each axis."""

    n: Annotated[int, Field(ge=2, le=10**6)] = 2048
    surface: Annotated[int, Field(ge=2, le=400)] = 81


class _Reader(Reader):
    def __init__(self, settings: Settings, training: Training) -> None:
        self._training = training
        pair = build_pair(settings["pair"])
        n = settings["probe"]["n"]
        draws = [
            (seeding.generator(seed, "reference"), seeding.generator(seed, "evaluation")) for seed in training.seeds
        ]
        self._real = torch.stack([pair.real(n, one) for one, _ in draws])
        self._fake = torch.stack([pair.fake(n, other) for _, other in draws])
        ratios = [
            (pair.log_ratio(real), pair.log_ratio(fake)) for real, fake in zip(self._real, self._fake, strict=True)
        ]
        self._ratios = [torch.cat([real, fake]) for real, fake in ratios if real is not None and fake is not None]
        self._wasserstein = pair.wasserstein()
        frame = _frame(pair)
        self._line = _line(frame)
        self._grid = _surface(frame, settings["probe"]["surface"]) if pair.event_shape == (2,) else None
        self._line_ratio = pair.log_ratio(self._line)
        self._grid_ratio = None if self._grid is None else pair.log_ratio(self._grid)

    def read(self) -> Mapping[str, torch.Tensor]:
        """The gap of mean scores; median slopes of the score and of ``sigmoid(score)``; the distance to the optimum."""
        named, scores, training = {}, {}, self._training
        for law, points in (("real", self._real), ("fake", self._fake)):
            scores[law] = training.score(points)
            slopes = probes.slopes_at(training.problem.critic, training.parameters("critic"), points)
            share = torch.sigmoid(scores[law])
            named[f"slope_{law}"] = slopes.median(1).values
            named[f"probability_slope_{law}"] = (share * (1 - share) * slopes).median(1).values
        named["score_gap"] = scores["real"].mean(1) - scores["fake"].mean(1)
        everywhere = torch.cat([scores["real"], scores["fake"]], 1).to(torch.float64).cpu()
        named["js_estimate"] = _jensen_shannon(everywhere)
        if self._ratios:
            ratios = torch.stack(self._ratios)
            named["js_known"] = _jensen_shannon(ratios)
            named["probability_error"] = (torch.sigmoid(everywhere) - torch.sigmoid(ratios)).square().mean(1).sqrt()
        if self._wasserstein is not None:
            named["wasserstein"] = torch.full((len(everywhere),), self._wasserstein)
        return named

    def arrays(self) -> Mapping[str, torch.Tensor]:
        """Scores and slopes along the line, scores over the frame, and what the optimal discriminator's score is."""
        training, replicas = self._training, len(self._training.seeds)

        def everyone(points: torch.Tensor) -> torch.Tensor:
            return points.expand(replicas, *points.shape)

        line = everyone(self._line)
        found = {
            "line": line,
            "line_score": training.score(line),
            "line_slope": probes.slopes_at(training.problem.critic, training.parameters("critic"), line),
            "real": self._real[:, :500],
            "fake": self._fake[:, :500],
        }
        if self._line_ratio is not None:
            found["line_log_ratio"] = everyone(self._line_ratio)
        if self._grid is not None:
            side = round(len(self._grid) ** 0.5)
            found["surface_points"] = everyone(self._grid.reshape(side, side, 2))
            found["surface_score"] = training.score(everyone(self._grid)).reshape(replicas, side, side)
        if self._grid_ratio is not None:
            found["surface_log_ratio"] = everyone(self._grid_ratio.reshape(side, side))
        return {name: tensor.to(torch.float32) for name, tensor in found.items()}


def _jensen_shannon(scores: torch.Tensor) -> torch.Tensor:
    """``log 2 - (E_real softplus(-s) + E_fake softplus(s)) / 2`` in nats, of scores [R, 2 N], the real ones first."""
    real, fake = scores.chunk(2, 1)
    softplus = torch.nn.functional.softplus
    return 0.6931471805599453 - (softplus(-real).mean(1) + softplus(fake).mean(1)) / 2


def _frame(pair: Pair) -> tuple[torch.Tensor, torch.Tensor]:
    """Corners of a box around samples of both laws [*E], the same for every seed."""
    generator = seeding.generator(0, "frame")
    points = torch.cat([pair.real(4096, generator), pair.fake(4096, generator)])
    low, high = points.amin(0), points.amax(0)
    return low - MARGIN * (high - low), high + MARGIN * (high - low)


def _line(frame: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Points along the first axis through the origin of the others: [L, *E]."""
    low, high = frame
    points = torch.zeros(LINE, low.numel())
    points[:, 0] = torch.linspace(float(low.flatten()[0]), float(high.flatten()[0]), LINE)
    return points.reshape(LINE, *low.shape)


def _surface(frame: tuple[torch.Tensor, torch.Tensor], side: int) -> torch.Tensor:
    """Points of the plane, row by row from the lower left: [G G, 2]."""
    low, high = frame
    axes = [torch.linspace(float(low[i]), float(high[i]), side) for i in (0, 1)]
    x, y = torch.meshgrid(*axes, indexing="xy")
    return torch.stack([x, y], -1).reshape(-1, 2)


class OptimalCritic(Probing):
    """The experiment ``optimal_critic``."""

    name = "optimal_critic"
    about: ClassVar[ModuleType] = critic_settings
    probe = Probe
    reader = _Reader


OPTIMAL_CRITIC = OptimalCritic()
