"""The best critic between two fixed laws: what it looks like once it has been trained to convergence.

WGAN's figure 2 (a discriminator is flat where both laws have their mass, a critic is not) and WGAN-GP's figure 1a
(what surface a clipped critic and a penalised one can make), for any objective and any pair of laws.

Shape letters: R replica, N evaluation samples of a law, *E event, L points of the line, G x G points of the frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field

from bench import critic_settings, probes, seeding
from bench.cell import Settings
from bench.engine import Training
from bench.experiments.probing import Probing, Reader
from bench.metrics.emd import earth_movers_distance
from bench.pairs import Pair, build_pair
from objectives.base import Objective, interpolate

LINE = 401
"""Points of the line."""
STORED = 500
"""Samples of each law that are kept for figures."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How many samples of each law are looked at, how many are matched exactly, and what the frame is.

    The frame reaches ``margin`` times the middle 98 % of the samples beyond them on either side, and has ``surface``
    points along each axis.
    """

    n: Annotated[int, Field(ge=2, le=10**5)] = 2048
    emd_n: Annotated[int, Field(ge=1, le=10**6)] = 1000
    surface: Annotated[int, Field(ge=2, le=200)] = 61
    margin: Annotated[float, Field(ge=0, le=10)] = 0.1


class _Reader(Reader):
    def __init__(self, settings: Settings, training: Training) -> None:
        probe, pair, seeds = settings["probe"], build_pair(settings["pair"]), training.seeds
        self._training = training
        n = probe["n"]
        real = torch.stack([pair.real(2 * n, seeding.generator(seed, "reference")) for seed in seeds])
        fake = torch.stack([pair.fake(n, seeding.generator(seed, "evaluation")) for seed in seeds])
        fresh, real = real[:, n:], real[:, :n]
        mix = (torch.arange(n) + 0.5) / n
        between = torch.func.vmap(interpolate, in_dims=(0, 0, None))(real, fake, mix)
        self._points = {"real": real, "fake": fake, "between": between}
        hparams = {name: torch.tensor(value, dtype=torch.float64) for name, value in settings["hparams"].items()}
        self._logits = reads_logits(training.problem.objective, hparams, pair.event_shape)
        frame = _frame(pair, probe["margin"])
        self._line = _line(frame)
        self._axes = _axes(frame, probe["surface"]) if pair.event_shape == (2,) else None
        self._line_ratio = pair.log_ratio(self._line)
        self._surface_ratio = None if self._axes is None else pair.log_ratio(_plane(self._axes))
        to_real, to_fake = (
            torch.cdist(self._line.flatten(1).expand(len(seeds), -1, -1), law.flatten(2)).amin(2)
            for law in (real, fake)
        )
        self._distance, self._fake_side = to_real, to_real > to_fake
        self._known = {**self._optimum(pair), **_distances(real, fake, fresh, probe["emd_n"])}
        if (wasserstein := pair.wasserstein()) is not None:
            self._known["wasserstein"] = torch.full((len(seeds),), wasserstein)

    def _optimum(self, pair: Pair) -> dict[str, torch.Tensor]:
        """What would be read of the optimal discriminator at the same samples; empty where it is not known."""
        ratios = {law: pair.log_ratio(self._points[law].flatten(0, 1)) for law in ("real", "fake")}
        replicas = len(self._training.seeds)
        self._ratios = {law: ratio.reshape(replicas, -1) for law, ratio in ratios.items() if ratio is not None}
        if len(self._ratios) < len(ratios):
            return {}

        def score(x: torch.Tensor) -> torch.Tensor:
            ratio = pair.log_ratio(x[None])
            assert ratio is not None
            return ratio[0]

        known = {"js_known": probes.score_readings(self._ratios["real"], self._ratios["fake"])["js_estimate"]}
        for law, ratio in self._ratios.items():
            gradients = torch.func.vmap(torch.func.vmap(torch.func.grad(score)))(self._points[law].to(torch.float64))
            slopes = torch.linalg.vector_norm(gradients.flatten(2), dim=2)
            known[f"probability_slope_known_{law}"] = _median(_probability_slopes(ratio, slopes))
        return known

    def read(self) -> Mapping[str, torch.Tensor]:
        """Numbers at this mark.

        - ``probes.score_readings``.
        - slope_real, slope_fake, slope_between: median slopes of the score at samples and on segments between them, and
          slope_largest, the largest of all these.
        - separation: ``score_gap / slope_largest``, in units of the data. No 1-Lipschitz function separates the laws by
          more than W1, and this is the score over a lower bound of its Lipschitz constant.
        - rank_correlation: Spearman's, of the score and the distance to the nearest real sample, over the points of the
          line that are nearer to a fake sample than to a real one; NaN where all are equal.
        - ties_score: share of neighbours among these points whose scores are equal in float32.
        - emd, emd_floor: exact distance of ``emd_n`` samples of each law, and of as many real ones from fresh ones.
        - wasserstein: W1 of the laws, where it is known.

        And of an objective that ``reads_logits``, for which ``logits`` is 1, of the probability ``sigmoid(score)``:

        - probability_slope_real, probability_slope_fake: median slopes, in float64 from the float32 score.
        - ties_probability, ties_probability_real: share of ties in float32 on the fake side, and on the other.
        - probability_error: root mean square of its difference to the optimal discriminator, over samples of both laws.

        Where that is known: probability_slope_known_real, probability_slope_known_fake, js_known, at the same samples.
        """
        training = self._training
        scores = {law: training.score(points).to("cpu", torch.float64) for law, points in self._points.items()}
        slopes = {law: self._slopes(points) for law, points in self._points.items()}
        named = {**probes.score_readings(scores["real"], scores["fake"]), **self._known}
        named |= {f"slope_{law}": _median(values) for law, values in slopes.items()}
        named["slope_largest"] = torch.stack([values.amax(1) for values in slopes.values()]).amax(0)
        named["separation"] = named["score_gap"] / named["slope_largest"]
        line = training.score(self._everyone(self._line)).cpu()
        named["rank_correlation"] = _rank_correlations(line, self._distance, self._fake_side)
        named["ties_score"] = _ties(line, self._fake_side)
        named["logits"] = torch.full((len(line),), float(self._logits))
        if self._logits:
            for law in ("real", "fake"):
                named[f"probability_slope_{law}"] = _median(_probability_slopes(scores[law], slopes[law]))
            with probes.denormals():
                probability = torch.sigmoid(line.to(torch.float32))
                named["ties_probability"] = _ties(probability, self._fake_side)
                named["ties_probability_real"] = _ties(probability, ~self._fake_side)
            errors = [torch.sigmoid(scores[law]) - torch.sigmoid(ratio) for law, ratio in self._ratios.items()]
            if errors:
                named["probability_error"] = torch.cat(errors, 1).square().mean(1).sqrt()
        return named

    def arrays(self) -> Mapping[str, torch.Tensor]:
        """Scores and slopes along the line, scores over the frame, and what the optimal discriminator's score is."""
        replicas = len(self._training.seeds)
        line = self._everyone(self._line)
        found = {
            "line": line.flatten(2)[..., 0],
            "line_score": self._training.score(line),
            "line_slope": self._slopes(line),
            "real": self._points["real"][:, :STORED],
            "fake": self._points["fake"][:, :STORED],
        }
        if self._line_ratio is not None:
            found["line_log_ratio"] = self._everyone(self._line_ratio)
        if self._axes is not None:
            side = self._axes.shape[1]
            found["surface_axes"] = self._everyone(self._axes)
            scores = self._training.score(self._everyone(_plane(self._axes)))
            found["surface_score"] = scores.reshape(replicas, side, side)
            if self._surface_ratio is not None:
                found["surface_log_ratio"] = self._everyone(self._surface_ratio.reshape(side, side))
        return {name: tensor.to(torch.float32) for name, tensor in found.items()}

    def _slopes(self, points: torch.Tensor) -> torch.Tensor:
        critic, parameters = self._training.problem.critic, self._training.parameters("critic")
        some = next(iter(parameters.values()))
        return probes.slopes_at(critic, parameters, points.to(some.device, some.dtype)).to("cpu", torch.float64)

    def _everyone(self, points: torch.Tensor) -> torch.Tensor:
        return points.expand(len(self._training.seeds), *points.shape)


def reads_logits(objective: Objective, hparams: Mapping[str, torch.Tensor], event_shape: tuple[int, ...]) -> bool:
    """Whether the objective's best score is ``log p_real / p_fake``, so that its sigmoid is the optimal discriminator.

    Of four real samples three are at a point where one of four fake ones is, and the other way round: the critic's
    loss of a critic with the scores log 3 and -log 3 there has no slope in either.
    """
    real = torch.ones(4, *event_shape, dtype=torch.float64)
    real[3] *= -1
    noise = {
        name: sample(4, event_shape, torch.Generator().manual_seed(0)).to(torch.float64)
        for name, sample in objective.noise.items()
    }

    def loss_of(scores: torch.Tensor) -> torch.Tensor:
        def critic(x: torch.Tensor) -> torch.Tensor:
            return torch.where(x.flatten(1)[:, 0] > 0, scores[0], scores[1])

        return objective.critic_loss(critic, real, -real, noise, hparams)

    best = torch.tensor([math.log(3), -math.log(3)], dtype=torch.float64)
    return bool(torch.func.grad(loss_of)(best).abs().max() < 1e-9)


def _probability_slopes(scores: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
    """Slopes of ``sigmoid(s)``, ``sigmoid(s) sigmoid(-s) |grad s|``, not 0 before float64 is at its end."""
    return torch.sigmoid(scores) * torch.sigmoid(-scores) * slopes


def _median(values: torch.Tensor) -> torch.Tensor:
    """Of [R, N]: [R]."""
    return values.quantile(0.5, dim=1)


def _distances(real: torch.Tensor, fake: torch.Tensor, fresh: torch.Tensor, n: int) -> dict[str, torch.Tensor]:
    """Exact distances of samples [R, N, *E], the first n of them: [R]."""
    rows = [[law[r, :n].flatten(1).double().numpy() for law in (real, fake, fresh)] for r in range(len(real))]
    found = {
        "emd": [earth_movers_distance(x, y, norm="euclidean") for x, y, _ in rows],
        "emd_floor": [earth_movers_distance(x, other, norm="euclidean") for x, _, other in rows],
    }
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in found.items()}


def _rank_correlations(line: torch.Tensor, distance: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Spearman's of each replica's chosen points, all [R, L]: [R]."""
    from scipy import stats

    found = []
    for values, far, some in zip(line, distance, chosen, strict=True):
        a, b = values[some].numpy(), far[some].numpy()
        varied = len(a) > 1 and np.ptp(a) > 0 and np.ptp(b) > 0 and np.isfinite(a).all()
        found.append(float(stats.spearmanr(a, b).statistic) if varied else math.nan)
    return torch.tensor(found, dtype=torch.float64)


def _ties(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Share of neighbours with equal values among those that are both chosen, [R, L]: [R]; NaN where there are none."""
    both = chosen[:, 1:] & chosen[:, :-1]
    equal = (values[:, 1:] == values[:, :-1]) & both
    return equal.sum(1).double() / both.sum(1)


def _frame(pair: Pair, margin: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Corners of a box around samples of both laws [D], the same for every seed."""
    generator = seeding.generator(0, "frame")
    points = torch.cat([pair.real(4096, generator), pair.fake(4096, generator)]).flatten(1)
    low, high = points.quantile(0.01, dim=0), points.quantile(0.99, dim=0)
    wide = margin * (high - low)
    return (low - wide).reshape(pair.event_shape), (high + wide).reshape(pair.event_shape)


def _line(frame: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Points along the first axis through the origin of the others: [L, *E]."""
    low, high = frame
    points = torch.zeros(LINE, low.numel())
    points[:, 0] = torch.linspace(float(low.flatten()[0]), float(high.flatten()[0]), LINE)
    return points.reshape(LINE, *low.shape)


def _axes(frame: tuple[torch.Tensor, torch.Tensor], side: int) -> torch.Tensor:
    """Places along either axis of the plane, [2, G]."""
    low, high = frame
    return torch.stack([torch.linspace(float(low[i]), float(high[i]), side) for i in (0, 1)])


def _plane(axes: torch.Tensor) -> torch.Tensor:
    """Points of the plane, row by row from the lower left: [G G, 2]."""
    x, y = torch.meshgrid(axes[0], axes[1], indexing="xy")
    return torch.stack([x, y], -1).reshape(-1, 2)


class OptimalCritic(Probing):
    """The experiment ``optimal_critic``."""

    name = "optimal_critic"
    about: ClassVar[ModuleType] = critic_settings
    probe = Probe
    reader = _Reader


OPTIMAL_CRITIC = OptimalCritic()
