"""Does it matter whether a critic is high on real samples or on fake ones? The same training with either sign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field

from bench import seeding, training_settings
from bench.cell import Settings
from bench.experiments import plain_training
from bench.experiments.base import Row
from bench.networks import Network
from bench.optim import Parameters
from bench.problem import Problem
from objectives.base import Critic, Loss


@dataclass(frozen=True, kw_only=True)
class SignFlip:
    """Two players in plain torch, trained twice: with the critic as it is, and with one of the other sign.

    The other critic starts with its last layer negated, so that its score is -s where the first one's is s, and its
    losses are written for that sign: wherever they read a score they read it negated. All draws are the same. Read at
    the start and at evenly spaced steps up to the settings' ``steps``; of what is largest, over all readings so far:

    - ``largest_generator_difference``: abs difference of the two generators' parameters.
    - ``largest_critic_difference``: abs difference of the two critics' parameters' absolute values.
    - ``largest_generator_change``: abs difference of a generator's parameters from their start, for a scale.
    - ``score_sum``: abs(s + s') of both critics' own scores, on a batch of real samples and one of fake ones.
    - ``score_gap``, ``flipped_score_gap``: mean s of the real samples less that of the fake ones, and of s', at the
      step itself.
    """

    trains: ClassVar[bool] = True

    observations: Annotated[int, Field(ge=1, le=1000)] = 10

    def rows(self, settings: Settings, seed: int, device: str) -> list[Row]:
        """See ``Check.rows``."""
        problem = training_settings.make_problem(settings)
        first, other = (plain_training.start(p, settings, seed, device) for p in (problem, flipped(problem)))
        began = {name: value.detach().clone() for name, value in first.generator.named.items()}
        n = problem.batch_size * problem.pack
        real = problem.dataset.sample(n, seeding.generator(seed, "reference", device))
        latents = problem.latent.sample(n, seeding.generator(seed, "evaluation", device))
        rows: list[Row] = []
        step, largest = 0, np.zeros(len(_LARGEST))
        for mark in self._marks(settings["steps"]):
            for player in (first, other):
                player.advance(mark - step)
            step = mark
            with torch.no_grad():
                inputs = torch.cat([problem.packed(real), problem.packed(first.generator(latents))])
                scores, opposite = first.critic(inputs), other.critic(inputs)
                found = (
                    _apart(first.generator.named, other.generator.named),
                    _apart(_sizes(first.critic.named), _sizes(other.critic.named)),
                    _apart(first.generator.named, began),
                    float((scores + opposite).abs().max()),
                )
            largest = np.maximum(largest, found)  # what is not a number stays so
            told = dict(zip(_LARGEST, largest.tolist(), strict=True))
            rows.append({"step": step, **told, "score_gap": _gap(scores), "flipped_score_gap": _gap(opposite)})
        return rows

    def work(self, settings: Settings) -> float:
        """See ``Check.work``."""
        return 2 * training_settings.work(settings)

    def _marks(self, steps: int) -> list[int]:
        return sorted({round(steps * index / self.observations) for index in range(self.observations + 1)})


_LARGEST = ("largest_generator_difference", "largest_critic_difference", "largest_generator_change", "score_sum")


def flipped(problem: Problem) -> Problem:
    """The problem in the other sign: the critic's last layer starts negated, the losses read its scores negated."""
    own = problem.objective
    objective = replace(own, critic_loss=_negating(own.critic_loss), generator_loss=_negating(own.generator_loss))
    return replace(problem, critic=_ending_negated(problem.critic), objective=objective)


def _negating(loss: Loss) -> Loss:
    def negated(
        critic: Critic,
        real: torch.Tensor,
        fake: torch.Tensor,
        noise: Mapping[str, torch.Tensor],
        hparams: Mapping[str, torch.Tensor],
    ) -> torch.Tensor:
        return loss(lambda x: -critic(x), real, fake, noise, hparams)

    return negated


def _ending_negated(network: Network) -> Network:
    """The network whose last layer, that of the parameter it draws last, starts negated."""

    def init(generator: torch.Generator) -> Parameters:
        parameters = network.init(generator)
        last = _layer(next(reversed(parameters)))
        return {name: -value if _layer(name) == last else value for name, value in parameters.items()}

    return replace(network, init=init)


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _sizes(parameters: Parameters) -> Parameters:
    return {name: value.abs() for name, value in parameters.items()}


def _apart(some: Parameters, others: Parameters) -> float:
    """The largest absolute difference of two players' parameters; NaN where one is not finite."""
    return float(torch.stack([(value - others[name]).abs().max() for name, value in some.items()]).max())


def _gap(scores: torch.Tensor) -> float:
    real, fake = scores.chunk(2)
    return float(real.mean() - fake.mean())
