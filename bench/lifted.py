"""The training step written for one replica, lifted over many with ``torch.func.vmap``, compiled where that pays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch

from bench.optim import Parameters
from bench.problem import READINGS, Problem, Tree, at, averaged, cast, examine, generator_batch, seen

Step: TypeAlias = "Callable[[Tree, Tree, Tree, Tree], Tree]"
"""(state, a critic of before, batch, scalars) -> state."""


class Lifted:
    """Trains all replicas at once: state, draws and scalars have a leading replica axis."""

    def __init__(self, problem: Problem, *, compiled: bool, on_gpu: bool = False) -> None:
        self._problem = problem
        steps: list[Step] = [torch.func.vmap(_critic_step(problem)), torch.func.vmap(_generator_step(problem))]
        if compiled:
            # All lifted functions share one code object, of which the compiler keeps only a few versions.
            torch.compiler.reset()
            # With another layout for convolutions torch 2.14.1 can write past a buffer on a CPU (pytorch issue 181618).
            options: dict[str, Any] = {"layout_optimization": on_gpu}
            steps = [torch.compile(step, fullgraph=True, dynamic=False, options=options) for step in steps]
        self._step_critic, self._step_generator = steps

    def advance(self, critic_steps: Sequence[int], state: Tree, draws: Tree, scalars: Tree) -> Tree:
        """The state after iterations of so many critic steps each; draws are [k, R, B, ...], used in order."""
        k = g = -1
        for count in critic_steps:
            before = player(state, "critic") if self._problem.simultaneous else {}
            for _ in range(count):
                k += 1
                state = self._step_critic(state, {}, at(draws["critic"], k), scalars)
            for _ in range(self._problem.generator_steps):
                g += 1
                # A generator loss that looks at real samples or noise sees those of the last critic step, as in the
                # reference code of the relativistic losses.
                batch = generator_batch(at(draws["critic"], k), at(draws["generator"], g))
                state = self._step_generator(state, before, batch, scalars)
            health = state["health"]
            state = {**state, "health": {**health, "now": health["now"] + 1}}
        return state


def player(state: Tree, name: str) -> Parameters:
    """A player's parameters with its buffers."""
    return {**state[name], **state[f"{name}_buffers"]}


def critic_gradients(
    p: Problem, state: Tree, batch: Tree, scalars: Tree
) -> tuple[Parameters, torch.Tensor, torch.Tensor, Parameters]:
    """What the critic's update goes by: gradients by parameter, loss [], fake samples, and its refreshed buffers."""
    buffers = p.critic.refresh(state["critic"], state["critic_buffers"])
    fake = p.generator.apply(player(state, "generator"), batch["latent"])
    seen_real, seen_fake = seen(p, state, batch, fake, scalars)
    hparams = cast(scalars["objective"], fake.dtype)

    def loss_of(parameters: Parameters) -> torch.Tensor:
        critic = p.critic.bind({**parameters, **buffers})
        return p.objective.critic_loss(critic, seen_real, seen_fake, batch["noise"], hparams)

    gradients, loss = torch.func.grad_and_value(loss_of)(state["critic"])
    return gradients, loss, fake, buffers


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
            state["critic"], gradients, state["critic_optimizer"], rated(p, state, scalars["critic_optimizer"])
        )
        if p.objective.project is not None:
            parameters = dict(p.objective.project(parameters, cast(scalars["objective"], fake.dtype)))
        norm = _gradient_norm(gradients)
        return {
            **state,
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
            state["generator"], gradients, state["generator_optimizer"], rated(p, state, scalars["generator_optimizer"])
        )
        norm = _gradient_norm(gradients)
        result = {
            **state,
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


def rated(p: Problem, state: Tree, settings: Tree) -> Tree:
    """An optimiser's settings with the learning rate of the step."""
    if p.lr_schedule.steady:
        return settings
    return {**settings, "lr": settings["lr"] * p.lr_schedule.factor(state["health"]["now"], p.steps)}


def _read(state: Tree, player: str, loss: torch.Tensor, norm: torch.Tensor) -> Tree:
    """The readings of one update added up, and the update counted."""
    values = {f"{player}_loss": loss, f"{player}_gradient_norm": norm}
    return {
        "sums": {
            name: state["sums"][name] + values[name] if name in values else state["sums"][name] for name in READINGS
        },
        "since": {**state["since"], player: state["since"][player] + 1},
    }


def _gradient_norm(gradients: Parameters) -> torch.Tensor:
    """Euclidean norm of all gradients of one network together: []."""
    norms = [torch.linalg.vector_norm(gradient) for gradient in gradients.values()]
    result: torch.Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return result
