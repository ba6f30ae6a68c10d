"""The loop as people write it: one ``torch.nn.Module`` a player, ``torch.optim``, one replica.

It is the baseline of timings, not a way of the engine: it has no readings, no checks for divergence, no streams of
draws that do not depend on how many are taken, no settings per replica. Losses, networks and data are the harness's.

Shape letters: B batch, *E event, Z latent.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import torch

from bench import seeding
from bench.networks import Network
from bench.optim import Parameters
from bench.problem import Problem
from objectives.base import plainly


@cache
def _module() -> Any:
    """The class of players; in a function, because a base class of torch's would load torch with this module."""

    class Player(torch.nn.Module):
        """A network as an ordinary module, its parameters and buffers drawn from the source."""

        def __init__(self, network: Network, source: torch.Generator, device: torch.device | str) -> None:
            super().__init__()
            self._network = network
            parameters = network.init(source)
            buffers = network.init_buffers(parameters, source)
            self.named: Parameters = {name: torch.nn.Parameter(value.to(device)) for name, value in parameters.items()}
            self._held = {name: value.to(device) for name, value in buffers.items()}
            for name, parameter in self.named.items():
                self.register_parameter(name.replace(".", "_"), cast(torch.nn.Parameter, parameter))
            for name, buffer in self._held.items():
                self.register_buffer(name.replace(".", "_"), buffer)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self._network.apply({**self.named, **self._held} if self._held else self.named, x)

        @torch.no_grad()
        def refresh(self) -> None:
            """Buffers for the next update, where there are any."""
            if self._held:
                for name, value in self._network.refresh(self.named, self._held).items():
                    self._held[name].copy_(value)

    return Player


class PlainModule:
    """One replica, trained by alternating updates; ``advance`` trains it.

    Args:
        problem: its losses, networks, data, batch size and numbers of updates; schedules, noise on samples and averages
            are not for timings.
        seed: of what the networks start from, and of the draws.
        settings: ``objective``, ``critic_optimizer`` and ``generator_optimizer`` -> name -> number.
        device: where.
    """

    def __init__(
        self,
        problem: Problem,
        seed: int,
        settings: Mapping[str, Mapping[str, float]],
        device: torch.device | str = "cpu",
    ) -> None:
        p = self.problem = problem
        self.generator = _module()(p.generator, seeding.generator(seed, "init_generator"), device)
        self.critic = _module()(p.critic, seeding.generator(seed, "init_critic"), device)
        self._adjust_generator = p.generator_optimizer.torch_optimizer(
            list(self.generator.parameters()), settings["generator_optimizer"]
        )
        self._adjust_critic = p.critic_optimizer.torch_optimizer(
            list(self.critic.parameters()), settings["critic_optimizer"]
        )
        self._hparams = {name: torch.tensor(value, device=device) for name, value in settings["objective"].items()}
        self._source = seeding.generator(seed, "data", device)

    def advance(self, iterations: int) -> None:
        """Train for so many steps: the critic's updates, then the generator's."""
        with plainly():
            for _ in range(iterations):
                for _ in range(self.problem.critic_steps):
                    real, noise = self._step_critic()
                for _ in range(self.problem.generator_steps):
                    self._step_generator(real, noise)

    def _step_critic(self) -> tuple[torch.Tensor, Parameters]:
        p, n = self.problem, self.problem.batch_size
        self.critic.refresh()
        real = p.packed(p.dataset.sample(n * p.pack, self._source))
        noise = {name: draw(n, p.packed_shape, self._source) for name, draw in p.objective.noise.items()}
        with torch.no_grad():
            fake = self._fake()
        loss = p.objective.critic_loss(self.critic, real, fake, noise, self._hparams)
        self._adjust_critic.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._adjust_critic.step()
        if p.objective.project is not None:
            with torch.no_grad():
                for name, value in p.objective.project(self.critic.named, self._hparams).items():
                    self.critic.named[name].copy_(value)
        return real, noise

    def _step_generator(self, real: torch.Tensor, noise: Parameters) -> None:
        self.generator.refresh()
        loss = self.problem.objective.generator_loss(self.critic, real, self._fake(), noise, self._hparams)
        self._adjust_generator.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._adjust_generator.step()

    def _fake(self) -> torch.Tensor:
        p = self.problem
        return p.packed(self.generator(p.latent.sample(p.batch_size * p.pack, self._source)))
