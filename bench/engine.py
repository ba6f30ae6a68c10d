"""The one training loop: many replicas of one problem at once, along a leading axis; it knows no objective by name.

Shape letters: R replica, B batch, k batches in a row, N evaluation samples, *E event, Z latent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import torch

from bench import seeding
from bench.captured import Captured
from bench.lifted import Lifted
from bench.networks import Network
from bench.optim import Parameters
from bench.plain_loop import PlainLoop
from bench.problem import READINGS, SITES, Problem, Tree, at, leaves, tree_map

Way: TypeAlias = Literal["loop", "vmap", "compiled", "cuda_graph"]
"""How the replicas of a unit are stepped: one after the other, lifted, lifted and compiled, or that in CUDA graphs."""

Draw: TypeAlias = "Callable[[int, torch.Generator], torch.Tensor]"
"""(n, generator) -> n independent draws, [n, ...]."""

BLOCK_BYTES = 1 << 20
"""How much one stream draws ahead for one replica; part of what defines the draws, so it never depends on the unit."""

PIECE = 64
"""For how many iterations at most draws are laid out at a time."""

AHEAD = {"cpu": 64, "cuda": 512}
"""The most batches in a stream's block, by device; each replica draws its own, and a GPU pays for every call."""

AVERAGE_REFRESHES = 15
"""How often the buffers of an averaged generator are refreshed before it is sampled from."""


class Stream:
    """Draws for every replica, in blocks of a fixed number of batches: ``take(k)`` gives the next k, [k, R, B, ...].

    What the k-th batch of a replica is depends on its generator alone, not on the other replicas and not on how many
    batches are taken at a time.
    """

    def __init__(self, draws: Sequence[Draw], generators: Sequence[torch.Generator], batch: int) -> None:
        self._draws = draws
        self._generators = generators
        self._batch = batch
        probe = draws[0](1, torch.Generator(device=generators[0].device).manual_seed(0))
        bytes_a_batch = batch * probe.element_size() * probe.numel()
        self._ahead = max(1, min(AHEAD[probe.device.type], BLOCK_BYTES // bytes_a_batch))
        self._next_block()

    def _next_block(self) -> None:
        self._before = torch.stack([generator.get_state() for generator in self._generators])
        pairs = zip(self._draws, self._generators, strict=True)
        draws = [draw(self._ahead * self._batch, generator) for draw, generator in pairs]
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
        scalars: per-replica settings, ``objective``, ``critic_optimizer``, ``generator_optimizer`` and, where instance
            noise or averaging are on, ``training`` -> name -> [R].
        way: how they are stepped; every way computes the same up to floating-point rounding.
        device: where.
        dtype: of parameters and data; draws are made in float32 and then widened.
        begin: what replicas begin with in place of what their seeds give: ``generator``, ``generator_buffers``,
            ``critic`` or ``critic_buffers`` -> name -> [R, ...].
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
        begin: Mapping[str, Parameters] | None = None,
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
        self._state = self._make_state(begin or {})
        self._stepper = _stepper(problem, way, self._device.type)
        self.together = [slice(r, r + 1) for r in range(len(seeds))] if way == "loop" else [slice(None)]
        """Which replicas are read at once: in the plain loop each alone, whose bits are then those of any company."""

    def _make_streams(self) -> Tree:
        """The draws of a critic step and of a generator step, by name."""
        p = self.problem
        samples = p.batch_size * p.pack

        def stream(purpose: str, draw: Draw | Sequence[Draw], batch: int = samples) -> Stream:
            generators = [seeding.generator(seed, purpose, self._device) for seed in self.seeds]
            return Stream(draw if isinstance(draw, Sequence) else [draw] * len(generators), generators, batch)

        def noise(name: str) -> Draw:
            return lambda n, generator: p.objective.noise[name](n, p.packed_shape, generator)

        def normal(n: int, generator: torch.Generator) -> torch.Tensor:
            return torch.randn((n, *p.dataset.event_shape), generator=generator, device=generator.device)

        samplers = {seed: self._sampler(seed) for seed in set(self.seeds)}  # settings with one seed share its set
        critic: Tree = {
            "real": stream("data", [samplers[seed] for seed in self.seeds]),
            "latent": stream("latent_critic", p.latent.sample),
            "noise": {name: stream(f"objective.{name}", noise(name), p.batch_size) for name in p.objective.noise},
        }
        generator: Tree = {"latent": stream("latent_generator", p.latent.sample)} if p.generator_steps else {}
        if p.instance_noise is not None:
            critic["instance_noise"] = {
                "real": stream("instance_noise_real", normal),
                "fake": stream("instance_noise_critic", normal),
            }
            if p.generator_steps:
                generator["instance_noise"] = {"fake": stream("instance_noise_generator", normal)}
        return {"critic": critic, "generator": generator}

    def _sampler(self, seed: int) -> Draw:
        """Fresh samples of the data set, or of the seed's own training set with replacement."""
        p = self.problem
        if not p.training_set:
            return p.dataset.sample
        known = p.dataset.sample(p.training_set, seeding.generator(seed, "training_set", self._device))

        def draw(n: int, generator: torch.Generator) -> torch.Tensor:
            return known[torch.randint(len(known), (n,), generator=generator, device=generator.device)]

        return draw

    def _make_state(self, begin: Mapping[str, Parameters]) -> Tree:
        p = self.problem

        def drawn(network: Network, purpose: str) -> tuple[Parameters, Parameters]:
            """Parameters and buffers of every replica."""
            pairs = []
            for seed in self.seeds:
                source = seeding.generator(seed, purpose)
                parameters = network.init(source)
                pairs.append((parameters, network.init_buffers(parameters, source)))
            return stacked([pair[0] for pair in pairs]), stacked([pair[1] for pair in pairs])

        def stacked(drawn: Sequence[Parameters]) -> Parameters:
            return {name: torch.stack([one[name] for one in drawn]).to(self._device, self._dtype) for name in drawn[0]}

        generator, generator_buffers = drawn(p.generator, "init_generator")
        critic, critic_buffers = drawn(p.critic, "init_critic")
        zeros = torch.zeros(len(self.seeds), device=self._device)
        players = {
            "generator": generator,
            "critic": critic,
            "generator_buffers": generator_buffers,
            "critic_buffers": critic_buffers,
            **begin,
        }
        init = torch.func.vmap(p.generator_optimizer.init)
        state: Tree = {
            **players,
            "generator_optimizer": init(players["generator"]) if p.generator_steps else {},
            "critic_optimizer": torch.func.vmap(p.critic_optimizer.init)(players["critic"]),
            "sums": {name: zeros.to(torch.float64) for name in READINGS},
            "since": {"critic": zeros.to(torch.int64), "generator": zeros.to(torch.int64)},
            "health": {"site": zeros.to(torch.int64), "step": zeros.to(torch.int64), "now": zeros.to(torch.int64)},
        }
        if p.averaged:
            state["average"] = {name: value.clone() for name, value in players["generator"].items()}
        # Tensors of its own, since steps may write over them; and lifted zeros are expanded.
        return tree_map(state, lambda tensor: tensor.clone(memory_format=torch.contiguous_format))

    def advance(self, iterations: int) -> None:
        """Train every replica: an iteration, or step, is the critic's updates and then the generator's."""
        p = self.problem
        end = self.step + iterations
        while self.step < end:
            piece = min(PIECE, end - self.step)
            critic_steps = [p.critic_steps_at(step) for step in range(self.step, self.step + piece)]
            draws = {
                "critic": self._take(self._streams["critic"], sum(critic_steps)),
                "generator": self._take(self._streams["generator"], piece * p.generator_steps),
            }
            self._state = self._stepper.advance(critic_steps, self._state, draws, self._scalars)
            self.step += piece

    def _take(self, streams: Tree, count: int) -> Tree:
        return {
            name: self._take(stream, count) if isinstance(stream, dict) else stream.take(count).to(self._dtype)
            for name, stream in streams.items()
        }

    @property
    def state(self) -> Tree:
        """Everything that training changes, to be looked at; [R, ...] each."""
        return self._state

    @property
    def scalars(self) -> Tree:
        """Per-replica settings, group -> name -> [R], float64."""
        return self._scalars

    def parameters(self, player: str) -> Parameters:
        """Of every replica's ``generator`` or ``critic``, as they are now, buffers too: name -> [R, ...]."""
        return {**self._state[player], **self._state[f"{player}_buffers"]}

    def generate(self, latents: torch.Tensor) -> torch.Tensor:
        """Samples of every replica, of its averaged generator where there is one: latents [R, N, Z] -> [R, N, *E]."""
        network, buffers = self.problem.generator, self._state["generator_buffers"]
        parameters = self._state["average" if self.problem.averaged else "generator"]
        if self.problem.averaged and buffers:  # they belong to the weights of now, not to their average
            for _ in range(AVERAGE_REFRESHES):
                buffers = torch.func.vmap(network.refresh)(parameters, buffers)
        return self._apply(network, {**parameters, **buffers}, latents)

    def score(self, points: torch.Tensor) -> torch.Tensor:
        """Every replica's critic at its own points, in packs: [R, N, *E] -> [R, N / pack]; what is left over is not."""
        pack, shape = self.problem.pack, self.problem.packed_shape
        packs = points[:, : points.shape[1] // pack * pack].reshape(len(points), -1, *shape)
        return self._apply(self.problem.critic, {**self._state["critic"], **self._state["critic_buffers"]}, packs)

    def _apply(self, network: Network, parameters: Parameters, x: torch.Tensor) -> torch.Tensor:
        apply, x = torch.func.vmap(network.apply), x.to(self._device, self._dtype)
        with torch.no_grad():
            parts = [apply(at(parameters, own), x[own]) for own in self.together]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def readings(self) -> dict[str, torch.Tensor]:
        """Means of the readings over the player's updates since the last call: name -> [R]."""
        since, sums = self._state["since"], self._state["sums"]
        means = {name: (sums[name] / since[player].clamp(min=1)).cpu() for name, player in READINGS.items()}
        for _, counter in leaves({"sums": sums, "since": since}):
            counter.zero_()
        return means

    def diverged(self) -> list[tuple[int, str] | None]:
        """For each replica the step at which a value stopped being finite, and where, or None."""
        sites, steps = self._state["health"]["site"].tolist(), self._state["health"]["step"].tolist()
        return [(step, SITES[site]) if site else None for site, step in zip(sites, steps, strict=True)]

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Everything that training goes on from, as a flat dictionary of contiguous tensors on the CPU."""
        streams = {name: stream.state() for name, stream in leaves(self._streams)}
        tree = {"state": self._state, "streams": streams}
        flat = {name: tensor.cpu().contiguous() for name, tensor in leaves(tree)}
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
        for name, stream in leaves(self._streams):
            prefix = f"streams.{name}."
            stream.load({key.removeprefix(prefix): value for key, value in flat.items() if key.startswith(prefix)})
        self.step = int(flat["step"])


def _stepper(problem: Problem, way: Way, device: str) -> PlainLoop | Lifted | Captured:
    match way:
        case "loop":
            return PlainLoop(problem)
        case "cuda_graph":
            return Captured(problem)
        case _:
            return Lifted(problem, compiled=way == "compiled", on_gpu=device != "cpu")


def _replace(tree: Tree, prefix: str, flat: Mapping[str, torch.Tensor], device: torch.device) -> Tree:
    return {
        key: _replace(value, f"{prefix}{key}.", flat, device)
        if isinstance(value, dict)
        else flat[f"{prefix}{key}"].to(device, copy=True)
        for key, value in tree.items()
    }
