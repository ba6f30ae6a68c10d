"""The one training loop: many replicas of one problem at once, along a leading axis; it knows no objective by name.

Shape letters: R replica, B batch, k batches in a row, N evaluation samples, *E event, Z latent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

import torch

from bench import seeding
from bench.lifted import Lifted
from bench.networks import Network
from bench.optim import Parameters
from bench.plain_loop import PlainLoop
from bench.problem import READINGS, SITES, Problem, Tree

Way: TypeAlias = Literal["loop", "vmap", "compiled"]
"""How the replicas of a unit are stepped: one after the other, lifted, or lifted and compiled."""

BLOCK_BYTES = 1 << 20
"""How much one stream draws ahead for one replica; part of what defines the draws, so it never depends on the unit."""


class Stream:
    """Draws for every replica, in blocks of a fixed number of batches: ``take(k)`` gives the next k, [k, R, B, ...].

    What the k-th batch of a replica is depends on its generator alone, not on the other replicas and not on how many
    batches are taken at a time.
    """

    def __init__(
        self, draw: Callable[[int, torch.Generator], torch.Tensor], generators: Sequence[torch.Generator], batch: int
    ) -> None:
        self._draw = draw
        self._generators = generators
        self._batch = batch
        probe = draw(1, torch.Generator(device=generators[0].device).manual_seed(0))
        bytes_a_batch = batch * probe.element_size() * probe.numel()
        self._ahead = max(1, min(64, BLOCK_BYTES // bytes_a_batch))
        self._next_block()

    def _next_block(self) -> None:
        self._before = torch.stack([generator.get_state() for generator in self._generators])
        draws = [self._draw(self._ahead * self._batch, generator) for generator in self._generators]
        replicas, event = len(draws), draws[0].shape[1:]
        block = torch.stack(draws).reshape(replicas, self._ahead, self._batch, *event)
        self._block = block.transpose(0, 1).contiguous()
        self._taken = 0

    def take(self, k: int) -> torch.Tensor:
        """The next k batches, [k, R, B, ...]."""
        parts = []
        while k > 0:
            if self._taken == self._ahead:
                self._next_block()
            part = self._block[self._taken : self._taken + k]
            self._taken += len(part)
            k -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def state(self) -> dict[str, torch.Tensor]:
        """Enough to go on from here, bit for bit."""
        return {"before": self._before, "taken": torch.tensor(self._taken)}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from a stored state."""
        for generator, before in zip(self._generators, state["before"], strict=True):
            generator.set_state(before.clone())  # torch reads a view's storage from its start, not from its offset
        self._next_block()
        self._taken = int(state["taken"])


class Training:
    """Replicas of one problem, from their seeds; ``advance`` trains them all.

    Args:
        problem: what they have in common.
        seeds: one a replica.
        scalars: per-replica settings, ``objective``, ``critic_optimizer`` and ``generator_optimizer`` -> name -> [R].
        way: how they are stepped; every way computes the same up to floating-point rounding.
        device: where.
        dtype: of parameters and data; draws are made in float32 and then widened.
    """

    def __init__(
        self,
        problem: Problem,
        seeds: Sequence[int],
        scalars: Mapping[str, Mapping[str, Sequence[float]]],
        *,
        way: Way = "vmap",
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
    ) -> None:
        self.problem = problem
        self.seeds = tuple(seeds)
        self.step = 0
        self._dtype = torch.float32 if dtype is None else dtype
        self._device = torch.device(device)
        self._scalars: Tree = {
            group: {
                name: torch.tensor(values, dtype=torch.float64, device=self._device)
                for name, values in settings.items()
            }
            for group, settings in scalars.items()
        }
        self._streams = self._make_streams()
        self._state = self._make_state()
        self._stepper = PlainLoop(problem) if way == "loop" else Lifted(problem, compiled=way == "compiled")

    def _make_streams(self) -> dict[str, Stream]:
        p = self.problem

        def stream(purpose: str, draw: Callable[[int, torch.Generator], torch.Tensor]) -> Stream:
            generators = [seeding.generator(seed, purpose, self._device) for seed in self.seeds]
            return Stream(draw, generators, p.batch_size)

        def noise(name: str) -> Callable[[int, torch.Generator], torch.Tensor]:
            return lambda n, generator: p.objective.noise[name](n, p.dataset.event_shape, generator)

        return {
            "real": stream("data", p.dataset.sample),
            "latent_critic": stream("latent_critic", p.latent.sample),
            "latent_generator": stream("latent_generator", p.latent.sample),
            **{f"noise.{name}": stream(f"objective.{name}", noise(name)) for name in p.objective.noise},
        }

    def _make_state(self) -> Tree:
        p = self.problem

        def parameters(network: Network, purpose: str) -> Parameters:
            drawn = [network.init(seeding.generator(seed, purpose)) for seed in self.seeds]
            return {name: torch.stack([one[name] for one in drawn]).to(self._device, self._dtype) for name in drawn[0]}

        generator = parameters(p.generator, "init_generator")
        critic = parameters(p.critic, "init_critic")
        zeros = torch.zeros(len(self.seeds), device=self._device)
        state: Tree = {
            "generator": generator,
            "critic": critic,
            "generator_optimizer": torch.func.vmap(p.generator_optimizer.init)(generator),
            "critic_optimizer": torch.func.vmap(p.critic_optimizer.init)(critic),
            "sums": {name: zeros.to(torch.float64) for name in READINGS},
            "since": {"iterations": zeros.to(torch.int64)},
            "health": {"site": zeros.to(torch.int64), "step": zeros.to(torch.int64), "now": zeros.to(torch.int64)},
        }
        return _map(
            state, lambda tensor: tensor.contiguous()
        )  # lifted zeros are expanded; a later stride would compile again

    def advance(self, iterations: int) -> None:
        """Train every replica: an iteration is ``critic_steps`` critic steps and one generator step."""
        p = self.problem
        real = self._streams["real"].take(iterations * p.critic_steps).to(self._dtype)
        latent_critic = self._streams["latent_critic"].take(iterations * p.critic_steps).to(self._dtype)
        latent_generator = self._streams["latent_generator"].take(iterations).to(self._dtype)
        noise = {
            name: self._streams[f"noise.{name}"].take(iterations * p.critic_steps).to(self._dtype)
            for name in p.objective.noise
        }
        draws = {"real": real, "latent_critic": latent_critic, "latent_generator": latent_generator, "noise": noise}
        self._state = self._stepper.advance(iterations, self._state, draws, self._scalars)
        self.step += iterations

    def generate(self, latents: torch.Tensor) -> torch.Tensor:
        """Samples of every replica: latents [R, N, Z] -> [R, N, *E]."""
        return self._apply(self.problem.generator, self._state["generator"], latents)

    def score(self, points: torch.Tensor) -> torch.Tensor:
        """Every replica's critic at its own points: [R, N, *E] -> [R, N]."""
        return self._apply(self.problem.critic, self._state["critic"], points)

    def _apply(self, network: Network, parameters: Parameters, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            result: torch.Tensor = torch.func.vmap(network.apply)(parameters, x.to(self._device, self._dtype))
        return result

    def readings(self) -> dict[str, torch.Tensor]:
        """Means of the readings over the iterations since the last call: name -> [R]."""
        since = self._state["since"]["iterations"].clamp(min=1)
        means = {name: (total / since).cpu() for name, total in self._state["sums"].items()}
        for counter in (self._state["sums"], self._state["since"]):
            for name in counter:
                counter[name] = torch.zeros_like(counter[name])
        return means

    def diverged(self) -> list[tuple[int, str] | None]:
        """For each replica the step at which a value stopped being finite, and where, or None."""
        sites, steps = self._state["health"]["site"].tolist(), self._state["health"]["step"].tolist()
        return [(step, SITES[site]) if site else None for site, step in zip(sites, steps, strict=True)]

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Everything that training goes on from, as a flat dictionary of contiguous tensors on the CPU."""
        tree = {"state": self._state, "streams": {name: stream.state() for name, stream in self._streams.items()}}
        flat = {name: tensor.cpu().contiguous() for name, tensor in _leaves(tree)}
        return {**flat, "step": torch.tensor(self.step)}

    def load_state_dict(self, flat: Mapping[str, torch.Tensor]) -> None:
        """Go on from ``state_dict``; names, shapes and types must be this training's own.

        Raises:
            ValueError: what is stored does not fit.
        """
        mine = self.state_dict()
        if {k: (v.shape, v.dtype) for k, v in mine.items()} != {k: (v.shape, v.dtype) for k, v in flat.items()}:
            raise ValueError("the stored state is of another training")
        self._state = _replace(self._state, "state.", flat, self._device)
        for name, stream in self._streams.items():
            prefix = f"streams.{name}."
            stream.load({key.removeprefix(prefix): value for key, value in flat.items() if key.startswith(prefix)})
        self.step = int(flat["step"])


def _map(tree: Tree, function: Callable[[torch.Tensor], torch.Tensor]) -> Tree:
    return {k: _map(v, function) if isinstance(v, dict) else function(v) for k, v in tree.items()}


def _leaves(tree: Tree, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _replace(tree: Tree, prefix: str, flat: Mapping[str, torch.Tensor], device: torch.device) -> Tree:
    return {
        key: _replace(value, f"{prefix}{key}.", flat, device)
        if isinstance(value, dict)
        else flat[f"{prefix}{key}"].to(device)
        for key, value in tree.items()
    }
