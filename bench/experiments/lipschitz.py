"""How Lipschitz a critic is: its slopes where a penalty looks and where it does not, the largest found, and a bound.

A critic is trained between two fixed laws. WGAN-GP's claim is that a penalty on segments keeps the slope near 1
everywhere, which clipping does not; constrained weights keep it below 1 by construction.

Shape letters: R replica, N points, S starts, *E event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, ClassVar, TypeAlias

import torch
from pydantic import Field

from bench import critic_settings, probes, seeding
from bench.cell import Settings
from bench.engine import Training
from bench.experiments.probing import Probing, Reader
from bench.networks import NETWORKS, Network
from bench.networks.mlp import Mlp
from bench.optim import Parameters
from bench.pairs import build_pair
from bench.settings import build
from objectives.base import interpolate

STORED = 512
"""Slopes of a kind that are kept for figures."""

REACH = 0.05
"""The first step of an ascent, as a share of the distance from corner to corner of a box around the samples."""

Gradient: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How many samples of each law are looked at, from how many of them slopes are climbed, and in how many steps."""

    n: Annotated[int, Field(ge=2, le=10**5)] = 1024
    starts: Annotated[int, Field(ge=1, le=10**4)] = 64
    ascent_steps: Annotated[int, Field(ge=0, le=10**4)] = 50


class _Reader(Reader):
    def __init__(self, settings: Settings, training: Training) -> None:
        probe, pair, seeds = settings["probe"], build_pair(settings["pair"]), training.seeds
        self._training, self._probe = training, probe
        self._network: Mlp = build(settings["critic"], NETWORKS)
        some = next(iter(training.parameters("critic").values()))

        def draws(law: Callable[[int, torch.Generator], torch.Tensor], purpose: str) -> torch.Tensor:
            drawn = [law(probe["n"], seeding.generator(seed, purpose)) for seed in seeds]
            return torch.stack(drawn).to(some.device, some.dtype)

        real, fake = draws(pair.real, "reference"), draws(pair.fake, "evaluation")
        mix = (torch.arange(probe["n"], device=some.device, dtype=some.dtype) + 0.5) / probe["n"]
        between = torch.func.vmap(interpolate, in_dims=(0, 0, None))(real, fake, mix)
        self._points = {"real": real, "fake": fake, "between": between}
        both = torch.cat([real, fake], 1)
        shuffled = [torch.randperm(both.shape[1], generator=seeding.generator(seed, "pairs")) for seed in seeds]
        mixed = torch.stack([own[order.to(own.device)] for own, order in zip(both, shuffled, strict=True)])
        self._pairs = {"real": real, "fake": fake, "any": mixed}
        corners = both.flatten(2)
        self._reach = REACH * torch.linalg.vector_norm(corners.amax(1) - corners.amin(1), dim=1)

    def read(self) -> Mapping[str, torch.Tensor]:
        """Numbers at this mark, of the ``n`` points of each kind: slopes in scores by unit of the data.

        Of each place, ``real`` and ``fake`` samples and points ``between`` them, on segments with weights spread evenly
        over (0, 1), the median and the quantiles of 1 % and 99 % of the slopes, and the median of ``|slope - 1|``:
        slope_median[place], slope_low[place], slope_high[place], slope_error[place].

        The same of the secants ``|f(x) - f(y)| / |x - y|`` of random pairs of samples, both ``real``, both ``fake`` or
        of ``any`` law: secant_median[kind] ...; and secant_above[kind], the share of pairs above 1.

        - slope_largest: the largest slope found by ``climb``, from the ``starts`` steepest of all these points: the
          critic's Lipschitz constant is at least that.
        - slope_bound: what it is at most, see ``lipschitz_bound``.
        """
        slopes, secants = self._slopes(), self._secants()
        named = {f"{name}[{place}]": v for place, own in slopes.items() for name, v in _summary("slope", own).items()}
        for kind, own in secants.items():
            named |= {f"{name}[{kind}]": v for name, v in _summary("secant", own).items()}
            named[f"secant_above[{kind}]"] = (own > 1).double().mean(1)
        points = torch.cat(list(self._points.values()), 1)
        steepest = torch.cat(list(slopes.values()), 1).topk(min(self._probe["starts"], points.shape[1]), dim=1).indices
        starts = torch.stack([own[chosen] for own, chosen in zip(points, steepest, strict=True)])
        critic, parameters = self._training.problem.critic, self._training.parameters("critic")
        named["slope_largest"] = climb(critic, parameters, starts, self._reach, self._probe["ascent_steps"])
        named["slope_bound"] = torch.func.vmap(lambda own: lipschitz_bound(self._network, own))(parameters)
        return named

    def arrays(self) -> Mapping[str, torch.Tensor]:
        """Some of the slopes at each place, and of the secants of any two samples."""
        found = {**{f"slopes_{place}": own for place, own in self._slopes().items()}, "secants": self._secants()["any"]}
        return {name: values[:, :STORED].to(torch.float32) for name, values in found.items()}

    def _slopes(self) -> dict[str, torch.Tensor]:
        critic, parameters = self._training.problem.critic, self._training.parameters("critic")
        return {
            place: probes.slopes_at(critic, parameters, points).to(torch.float64)
            for place, points in self._points.items()
        }

    def _secants(self) -> dict[str, torch.Tensor]:
        """Of each sample and the one after it, the last and the first: [R, N]."""
        found = {}
        for kind, points in self._pairs.items():
            scores, flat = self._training.score(points).to(torch.float64), points.flatten(2).to(torch.float64)
            distances = torch.linalg.vector_norm(flat - flat.roll(1, 1), dim=2)
            found[kind] = (scores - scores.roll(1, 1)).abs() / distances
        return found


def _summary(name: str, values: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of [R, N]: [R] a column."""
    low, median, high = values.quantile(torch.tensor([0.01, 0.5, 0.99], dtype=values.dtype, device=values.device), 1)
    error = (values - 1).abs().quantile(0.5, dim=1)
    return {f"{name}_median": median, f"{name}_low": low, f"{name}_high": high, f"{name}_error": error}


def climb(
    critic: Network, parameters: Parameters, starts: torch.Tensor, reach: torch.Tensor, steps: int
) -> torch.Tensor:
    """The largest slope met by gradient ascent on the slope over x, from starts [R, S, *E]: [R], float64.

    The gradient of the slope ``|g(x)|``, ``g = grad f``, is ``H u`` with ``u = g / |g|`` and H the Hessian. Networks of
    linear pieces have no Hessian but at their kinks, so that it is taken over a distance h,

        H u = (g(x + h u) - g(x - h u)) / (2 h),

    and x moves by h along it. h falls evenly from ``reach`` [R] towards 0. Every slope that is computed counts.
    """

    def run(own: Parameters, x: torch.Tensor, reach: torch.Tensor) -> torch.Tensor:
        bound = critic.bind(own)
        gradient: Gradient = torch.func.grad(lambda points: bound(points).sum())
        g = gradient(x)
        best = _norms(g).amax()
        for step in range(steps):
            h = reach * (1 - step / steps)
            u = _directions(g)
            ahead, behind = gradient(x + h * u), gradient(x - h * u)
            x = x + h * _directions(ahead - behind)
            g = gradient(x)
            best = torch.stack([best, *(_norms(one).amax() for one in (ahead, behind, g))]).amax()
        return best

    result: torch.Tensor = torch.func.vmap(run)(parameters, starts, reach.to(starts.dtype))
    return result.to(torch.float64)


def _norms(gradients: torch.Tensor) -> torch.Tensor:
    """Of [S, *E]: [S]."""
    norms: torch.Tensor = torch.linalg.vector_norm(gradients.flatten(1), dim=1)
    return norms


def _directions(gradients: torch.Tensor) -> torch.Tensor:
    """Of length 1, or 0 where there is none."""
    unit: torch.Tensor = torch.nn.functional.normalize(gradients.flatten(1), dim=1)
    return unit.reshape(gradients.shape)


def lipschitz_bound(network: Mlp, parameters: Parameters) -> torch.Tensor:
    """``input_scale`` times the product of the largest singular values of the weights, under their constraint: [].

    Every activation is 1-Lipschitz, so that the critic is this Lipschitz, as a rule by far not the least (Szegedy et
    al. 2014, arXiv:1312.6199, section 4.3). NaN for a network with a norm, or one that looks across its batch.
    """
    bound = torch.tensor(network.input_scale, dtype=torch.float64)
    if network.norm != "none" or network.minibatch_std:
        return bound * torch.nan
    for layer in range(network.depth + 1):
        weight = network.weight(parameters, layer).to(torch.float64)
        bound = bound.to(weight.device) * torch.linalg.matrix_norm(weight, ord=2)
    return bound


class Lipschitz(Probing):
    """The experiment ``lipschitz``."""

    name = "lipschitz"
    about: ClassVar[ModuleType] = critic_settings
    critics = ("mlp",)
    probe = Probe
    reader = _Reader


LIPSCHITZ = Lipschitz()
