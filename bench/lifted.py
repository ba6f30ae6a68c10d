"""The training step written for one replica, lifted over many with ``torch.func.vmap``, compiled where that pays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch

from bench.optim import Parameters
from bench.problem import Problem, Tree, examine

Step: TypeAlias = "Callable[[Tree, torch.Tensor, torch.Tensor, Tree, Tree], Tree]"


class Lifted:
    """Trains all replicas at once: state, draws and scalars have a leading replica axis."""

    def __init__(self, problem: Problem, *, compiled: bool) -> None:
        self._critic_steps = problem.critic_steps
        steps: list[Step] = [torch.func.vmap(_critic_step(problem)), torch.func.vmap(_generator_step(problem))]
        if compiled:
            # All lifted functions share one code object, of which the compiler keeps only a few versions.
            torch.compiler.reset()
            steps = [torch.compile(step, fullgraph=True, dynamic=False) for step in steps]
        self._step_critic, self._step_generator = steps

    def advance(self, iterations: int, state: Tree, draws: Tree, scalars: Tree) -> Tree:
        """The state after some iterations; draws are [k, R, B, ...], used in order."""
        k = -1
        noise: Tree = {}
        for iteration in range(iterations):
            for _ in range(self._critic_steps):
                k += 1
                noise = {name: values[k] for name, values in draws["noise"].items()}
                state = self._step_critic(state, draws["real"][k], draws["latent_critic"][k], noise, scalars)
            # A generator loss that looks at real samples or noise sees those of the last critic step, as in the
            # reference code of the relativistic losses.
            state = self._step_generator(state, draws["real"][k], draws["latent_generator"][iteration], noise, scalars)
        return state


def _critic_step(p: Problem) -> Step:
    def step(state: Tree, real: torch.Tensor, latent: torch.Tensor, noise: Tree, scalars: Tree) -> Tree:
        fake = p.generator.apply(state["generator"], latent)
        hparams = {name: value.to(real.dtype) for name, value in scalars["objective"].items()}

        def loss_of(parameters: Parameters) -> torch.Tensor:
            return p.objective.critic_loss(lambda x: p.critic.apply(parameters, x), real, fake, noise, hparams)

        gradients, loss = torch.func.grad_and_value(loss_of)(state["critic"])
        critic, optimizer = p.critic_optimizer.update(
            state["critic"], gradients, state["critic_optimizer"], scalars["critic_optimizer"]
        )
        if p.objective.project is not None:
            critic = dict(p.objective.project(critic, hparams))
        norm = _gradient_norm(gradients)
        health = examine(state["health"], {1: fake, 2: loss, 3: norm, 4: critic})
        sums = _add(
            state["sums"], {"critic_loss": loss / p.critic_steps, "critic_gradient_norm": norm / p.critic_steps}
        )
        return {**state, "critic": critic, "critic_optimizer": optimizer, "health": health, "sums": sums}

    return step


def _generator_step(p: Problem) -> Step:
    def step(state: Tree, real: torch.Tensor, latent: torch.Tensor, noise: Tree, scalars: Tree) -> Tree:
        hparams = {name: value.to(real.dtype) for name, value in scalars["objective"].items()}

        def critic(x: torch.Tensor) -> torch.Tensor:
            return p.critic.apply(state["critic"], x)

        def loss_of(parameters: Parameters) -> tuple[torch.Tensor, torch.Tensor]:
            fake = p.generator.apply(parameters, latent)
            return p.objective.generator_loss(critic, real, fake, noise, hparams), fake

        gradients, (loss, fake) = torch.func.grad_and_value(loss_of, has_aux=True)(state["generator"])
        generator, optimizer = p.generator_optimizer.update(
            state["generator"], gradients, state["generator_optimizer"], scalars["generator_optimizer"]
        )
        norm = _gradient_norm(gradients)
        health = examine(state["health"], {1: fake, 5: loss, 6: norm, 7: generator})
        return {
            **state,
            "generator": generator,
            "generator_optimizer": optimizer,
            "health": {**health, "now": health["now"] + 1},
            "sums": _add(state["sums"], {"generator_loss": loss, "generator_gradient_norm": norm}),
            "since": {"iterations": state["since"]["iterations"] + 1},
        }

    return step


def _gradient_norm(gradients: Parameters) -> torch.Tensor:
    """Euclidean norm of all gradients of one network together: []."""
    norms = [torch.linalg.vector_norm(gradient) for gradient in gradients.values()]
    result: torch.Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return result


def _add(sums: Tree, values: Mapping[str, torch.Tensor]) -> Tree:
    return {name: total + values[name] if name in values else total for name, total in sums.items()}
