"""The training step written for one replica, lifted over many with ``torch.func.vmap``, compiled where that pays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch

from bench.optim import Optimizer, Parameters
from bench.problem import (
    Problem,
    Tree,
    at,
    averaged,
    cast,
    examine,
    generator_batch,
    leaves,
    seen,
    sharing,
    tree_map,
)
from objectives.base import plainly

Step: TypeAlias = "Callable[[Tree, Tree, Tree, Tree], Tree]"
"""(state, a critic of before, batch, scalars) -> what of the state changes."""

CHUNK_BYTES = 4 << 20
"""How much memory a CPU goes through at a time, in steps of some replicas: about twice a core's second-level cache.

With less a step's calls, which cost the same for any number of replicas, come to weigh; with more, memory does, the
more so where other processes use the cache behind it.
"""


class Lifted:
    """Trains all replicas at once: state, draws and scalars have a leading replica axis.

    Compiled steps write the new state over the old one, so that nothing is allocated and less memory is touched; on a
    CPU they take as many replicas at a time as its cache holds.
    """

    def __init__(self, problem: Problem, *, compiled: bool, on_gpu: bool = False) -> None:
        self.problem = problem
        self._chunked = compiled and not on_gpu
        self._chunk = 0
        steps = [torch.func.vmap(_critic_step(problem)), torch.func.vmap(_generator_step(problem))]
        self._step_critic, self._step_generator = (
            _compiled(step, on_gpu) if compiled else _functional(step) for step in steps
        )

    def advance(self, critic_steps: Sequence[int], state: Tree, draws: Tree, scalars: Tree) -> Tree:
        """The state after iterations of so many critic steps each; draws are [k, R, B, ...], used in order."""
        draws = with_coefficients(self.problem, critic_steps, state, draws, scalars)
        if not self._chunked:
            return self.iterate(critic_steps, state, draws, scalars)
        replicas = draws["critic"]["real"].shape[1]
        if not self._chunk:
            one = (at(tree, 0) for tree in (state, at(draws["critic"], 0), scalars))
            self._chunk = chunk(touched(self.problem, *one), replicas)
        size = self._chunk
        for first in range(0, replicas, size):
            own = slice(first, first + size)
            self.iterate(critic_steps, at(state, own), at(draws, (slice(None), own)), at(scalars, own))
        return state

    def iterate(self, critic_steps: Sequence[int], state: Tree, draws: Tree, scalars: Tree) -> Tree:
        """The same, of draws that have the optimisers' coefficients with them, and all replicas at a time."""
        k = g = -1
        for count in critic_steps:
            before = tree_map(player(state, "critic"), torch.clone) if self.problem.simultaneous else {}
            for _ in range(count):
                k += 1
                state = self._step_critic(state, {}, at(draws["critic"], k), scalars)
            for _ in range(self.problem.generator_steps):
                g += 1
                # A generator loss that looks at real samples or noise sees those of the last critic step, as in the
                # reference code of the relativistic losses.
                batch = generator_batch(at(draws["critic"], k), at(draws["generator"], g))
                state = self._step_generator(state, before, batch, scalars)
            state["health"]["now"] += 1
        return state


def _functional(step: Step) -> Step:
    def run(state: Tree, before: Tree, batch: Tree, scalars: Tree) -> Tree:
        return _merged(state, step(state, before, batch, scalars))

    return run


def _compiled(step: Step, on_gpu: bool) -> Step:
    def write(state: Tree, before: Tree, batch: Tree, scalars: Tree) -> None:
        _write(state, step(state, before, batch, scalars))

    # The compiler keeps what it made with the code object, only a few versions of it, and checks at every call which
    # of them fits. Each step has a code object and one version of its own: shapes, types and strides never change.
    write.__code__ = write.__code__.replace()
    options: dict[str, Any] = {
        "guard_filter_fn": torch.compiler.skip_all_guards_unsafe,
        # With another layout for convolutions torch 2.14.1 can write past a buffer on a CPU (pytorch issue 181618).
        "layout_optimization": on_gpu,
    }
    compiled = torch.compile(write, fullgraph=True, dynamic=False, options=options)

    def run(state: Tree, before: Tree, batch: Tree, scalars: Tree) -> Tree:
        compiled(state, before, batch, scalars)
        return state

    return run


def _write(state: Tree, changes: Tree) -> None:
    for name, value in changes.items():
        if isinstance(value, dict):
            _write(state[name], value)
        else:
            state[name].copy_(value)


def _merged(state: Tree, changes: Tree) -> Tree:
    return {
        **state,
        **{name: _merged(state[name], value) if isinstance(value, dict) else value for name, value in changes.items()},
    }


def chunk(bytes_each: int, replicas: int) -> int:
    """How many replicas a CPU steps at a time: the divisor of their number that comes nearest to ``CHUNK_BYTES``."""
    fits = CHUNK_BYTES / bytes_each
    divisors = [size for size in range(1, replicas + 1) if replicas % size == 0]
    return min(divisors, key=lambda size: max(size / fits, fits / size))


def touched(p: Problem, state: Tree, batch: Tree, scalars: Tree) -> int:
    """Bytes that a step of one replica goes through: its state, and what the critic's loss keeps for the way back."""
    kept: dict[int, torch.Tensor] = {}  # by place, which nothing else may take meanwhile: the answer decides last bits

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor
        return tensor

    parameters = {name: value.detach().requires_grad_() for name, value in state["critic"].items()}
    fake = p.generator.apply(player(state, "generator"), batch["latent"]).detach()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), plainly():
        _critic_loss(p, {**parameters, **state["critic_buffers"]}, state, batch, fake, scalars)
    known = {tensor.data_ptr(): tensor for _, tensor in leaves(state)}
    return sum(tensor.nbytes for tensor in {**kept, **known}.values())


def with_coefficients(p: Problem, critic_steps: Sequence[int], state: Tree, draws: Tree, scalars: Tree) -> Tree:
    """The draws, and beside those of every update the coefficients that its optimiser goes by, [k, R]."""
    real, now = draws["critic"]["real"], state["health"]["now"]
    players = {"critic": (p.critic_optimizer, critic_steps)}
    if p.generator_steps:
        players["generator"] = (p.generator_optimizer, [p.generator_steps] * len(critic_steps))
    result = {}
    for name, (optimizer, counts) in players.items():
        # The numbers are put together on the CPU: a GPU would wait to know how many there are.
        iteration = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))[:, None]
        number = torch.arange(1, len(iteration) + 1)[:, None]
        updates = state[f"{name}_optimizer"]["count"]["updates"] + number.to(real.device)
        steps = now + iteration.to(real.device)
        found = coefficients(p, optimizer, scalars[f"{name}_optimizer"], updates, steps)
        own = {key: value.expand_as(updates).to(real.dtype) for key, value in found.items()}
        result[name] = {**draws[name], "coefficients": own}
    return {**draws, **result}


def coefficients(
    p: Problem, optimizer: Optimizer, settings: Tree, updates: torch.Tensor, steps: torch.Tensor
) -> Parameters:
    """What an optimiser goes by at its updates, counted from 1, in the steps, counted from 0: float64."""
    if not p.lr_schedule.steady:
        settings = {**settings, "lr": settings["lr"] * p.lr_schedule.factor(steps, p.steps)}
    return optimizer.coefficients(settings, updates)


def player(state: Tree, name: str) -> Parameters:
    """A player's parameters with its buffers."""
    return {**state[name], **state[f"{name}_buffers"]}


def critic_gradients(
    p: Problem, state: Tree, batch: Tree, scalars: Tree
) -> tuple[Parameters, torch.Tensor, torch.Tensor, Parameters]:
    """What the critic's update goes by: gradients by parameter, loss [], fake samples, and its refreshed buffers."""
    buffers = p.critic.refresh(state["critic"], state["critic_buffers"])
    fake = p.generator.apply(player(state, "generator"), batch["latent"])

    def loss_of(parameters: Parameters) -> torch.Tensor:
        return _critic_loss(p, {**parameters, **buffers}, state, batch, fake, scalars)

    gradients, loss = torch.func.grad_and_value(loss_of)(state["critic"])
    return gradients, loss, fake, buffers


def _critic_loss(
    p: Problem, parameters: Parameters, state: Tree, batch: Tree, fake: torch.Tensor, scalars: Tree
) -> torch.Tensor:
    critic, (seen_real, seen_fake) = p.critic.bind(parameters), seen(p, state, batch, fake, scalars)
    if not p.critic.mixes:
        critic = sharing(critic, seen_real, seen_fake)
    hparams = cast(scalars["objective"], fake.dtype)
    return p.objective.critic_loss(critic, seen_real, seen_fake, batch["noise"], hparams)


def generator_gradients(
    p: Problem, state: Tree, opponent: Parameters, batch: Tree, scalars: Tree
) -> tuple[Parameters, torch.Tensor, torch.Tensor, Parameters]:
    """The same for the generator, against a critic with its buffers."""
    buffers = p.generator.refresh(state["generator"], state["generator_buffers"])
    hparams = cast(scalars["objective"], batch["real"].dtype)
    critic = p.critic.bind(opponent)

    def loss_of(parameters: Parameters) -> tuple[torch.Tensor, torch.Tensor]:
        fake = p.generator.apply({**parameters, **buffers}, batch["latent"])
        seen_real, seen_fake = seen(p, state, batch, fake, scalars)
        return p.objective.generator_loss(critic, seen_real, seen_fake, batch["noise"], hparams), fake

    gradients, (loss, fake) = torch.func.grad_and_value(loss_of, has_aux=True)(state["generator"])
    return gradients, loss, fake, buffers


def _critic_step(p: Problem) -> Step:
    def step(state: Tree, _: Tree, batch: Tree, scalars: Tree) -> Tree:
        gradients, loss, fake, buffers = critic_gradients(p, state, batch, scalars)
        parameters, optimizer = p.critic_optimizer.update(
            state["critic"], gradients, state["critic_optimizer"], batch["coefficients"]
        )
        if p.objective.project is not None:
            parameters = dict(p.objective.project(parameters, cast(scalars["objective"], fake.dtype)))
        norm = _gradient_norm(gradients)
        return {
            "critic": parameters,
            "critic_buffers": buffers,
            "critic_optimizer": optimizer,
            "health": examine(state["health"], {1: fake, 2: loss, 3: norm, 4: parameters}),
            **_read(state, "critic", loss, norm),
        }

    return step


def _generator_step(p: Problem) -> Step:
    def step(state: Tree, before: Tree, batch: Tree, scalars: Tree) -> Tree:
        opponent = before if p.simultaneous else player(state, "critic")
        gradients, loss, fake, buffers = generator_gradients(p, state, opponent, batch, scalars)
        parameters, optimizer = p.generator_optimizer.update(
            state["generator"], gradients, state["generator_optimizer"], batch["coefficients"]
        )
        norm = _gradient_norm(gradients)
        result = {
            "generator": parameters,
            "generator_buffers": buffers,
            "generator_optimizer": optimizer,
            "health": examine(state["health"], {1: fake, 5: loss, 6: norm, 7: parameters}),
            **_read(state, "generator", loss, norm),
        }
        if p.averaged:
            result["average"] = averaged(state["average"], parameters, scalars["training"]["ema"])
        return result

    return step


def _read(state: Tree, player: str, loss: torch.Tensor, norm: torch.Tensor) -> Tree:
    """The readings of one update added up, and the update counted."""
    values = {f"{player}_loss": loss, f"{player}_gradient_norm": norm}
    return {
        "sums": {name: state["sums"][name] + value for name, value in values.items()},
        "since": {player: state["since"][player] + 1},
    }


def _gradient_norm(gradients: Parameters) -> torch.Tensor:
    """Euclidean norm of all gradients of one network together: []."""
    norms = [torch.linalg.vector_norm(gradient) for gradient in gradients.values()]
    result: torch.Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return result
