"""The plain loop: one replica after the other, autograd and ``torch.optim``, as people write it by hand.

It is one of the engine's ways, the fastest where lifting gains nothing; the baseline of every timing; and the foreign
oracle that the lifted step is tested against.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from bench.optim import Optimizer, Parameters, State
from bench.problem import Problem, Tree, examine


class PlainLoop:
    """Trains replicas one by one; the interface is that of ``Lifted``."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def advance(self, iterations: int, state: Tree, draws: Tree, scalars: Tree) -> Tree:
        """The state after some iterations; draws are [k, R, B, ...], used in order."""
        return _stack(
            [
                self._advance_one(iterations, _at(state, r), _at(draws, (slice(None), r)), _at(scalars, r))
                for r in range(draws["real"].shape[1])
            ]
        )

    def _advance_one(self, iterations: int, state: Tree, draws: Tree, scalars: Tree) -> Tree:
        p = self._problem
        generator, critic = _trainable(state["generator"]), _trainable(state["critic"])
        adjust_generator = _torch_optimizer(p.generator_optimizer, generator, state, scalars, "generator_optimizer")
        adjust_critic = _torch_optimizer(p.critic_optimizer, critic, state, scalars, "critic_optimizer")
        hparams = {name: value.to(draws["real"].dtype) for name, value in scalars["objective"].items()}
        sums, health = dict(state["sums"]), dict(state["health"])

        def score(x: torch.Tensor) -> torch.Tensor:
            return p.critic.apply(critic, x)

        k = -1
        noise: Tree = {}
        for iteration in range(iterations):
            for _ in range(p.critic_steps):
                k += 1
                noise = {name: values[k] for name, values in draws["noise"].items()}
                with torch.no_grad():
                    fake = p.generator.apply(generator, draws["latent_critic"][k])
                adjust_critic.zero_grad()
                loss = p.objective.critic_loss(score, draws["real"][k], fake, noise, hparams)
                loss.backward()  # type: ignore[no-untyped-call]
                norm = _gradient_norm(critic)
                adjust_critic.step()
                if p.objective.project is not None:
                    with torch.no_grad():
                        for name, value in p.objective.project(critic, hparams).items():
                            critic[name].copy_(value)
                sums["critic_loss"] = sums["critic_loss"] + loss.detach() / p.critic_steps
                sums["critic_gradient_norm"] = sums["critic_gradient_norm"] + norm / p.critic_steps
                if _suspicious(loss, norm, critic):
                    health = examine(health, {1: fake, 2: loss, 3: norm, 4: critic})
            adjust_generator.zero_grad()
            fake = p.generator.apply(generator, draws["latent_generator"][iteration])
            loss = p.objective.generator_loss(score, draws["real"][k], fake, noise, hparams)
            loss.backward(inputs=list(generator.values()))  # type: ignore[no-untyped-call]
            norm = _gradient_norm(generator)
            adjust_generator.step()
            sums["generator_loss"] = sums["generator_loss"] + loss.detach()
            sums["generator_gradient_norm"] = sums["generator_gradient_norm"] + norm
            if _suspicious(loss, norm, generator):
                health = examine(health, {1: fake, 5: loss, 6: norm, 7: generator})
            health["now"] = health["now"] + 1
        return {
            "generator": _plain(generator),
            "critic": _plain(critic),
            "generator_optimizer": _state_of(
                adjust_generator, p.generator_optimizer, generator, state["generator_optimizer"], iterations
            ),
            "critic_optimizer": _state_of(
                adjust_critic, p.critic_optimizer, critic, state["critic_optimizer"], iterations * p.critic_steps
            ),
            "sums": sums,
            "since": {"iterations": state["since"]["iterations"] + iterations},
            "health": health,
        }


def _trainable(parameters: Parameters) -> Parameters:
    return {name: p.detach().clone().requires_grad_() for name, p in parameters.items()}


def _plain(parameters: Parameters) -> Parameters:
    return {name: p.detach() for name, p in parameters.items()}


def _gradient_norm(parameters: Parameters) -> torch.Tensor:
    return torch.nn.utils.get_total_norm([p.grad for p in parameters.values() if p.grad is not None])


def _suspicious(loss: torch.Tensor, norm: torch.Tensor, parameters: Parameters) -> bool:
    """A cheap look that misses nothing but may cry wolf: huge finite parameters have an infinite norm."""
    total = torch.nn.utils.get_total_norm([p.detach() for p in parameters.values()])
    return not math.isfinite(float(loss.detach() + norm + total))


def _torch_optimizer(
    kind: Optimizer, parameters: Parameters, state: Tree, scalars: Tree, group: str
) -> torch.optim.Optimizer:
    settings = {name: float(value) for name, value in scalars[group].items()}
    optimizer: torch.optim.Optimizer = kind.torch_optimizer(list(parameters.values()), settings)
    updates = state[group]["count"]["updates"]
    if updates > 0:  # torch makes its own state at the first update
        for name, p in parameters.items():
            slots = {theirs: state[group][ours][name].clone() for ours, theirs in kind.torch_slots.items()}
            optimizer.state[p] = {"step": updates.to(torch.float32), **slots}
    return optimizer


def _state_of(
    optimizer: torch.optim.Optimizer, kind: Optimizer, parameters: Parameters, before: State, updates: int
) -> State:
    slots = {
        ours: {name: optimizer.state[p][theirs] for name, p in parameters.items()}
        for ours, theirs in kind.torch_slots.items()
    }
    return {"count": {"updates": before["count"]["updates"] + updates}, **slots}


def _at(tree: Tree, index: Any) -> Tree:
    return {key: _at(value, index) if isinstance(value, dict) else value[index] for key, value in tree.items()}


def _stack(trees: Sequence[Tree]) -> Tree:
    return {
        key: _stack([tree[key] for tree in trees]) if isinstance(value, dict) else torch.stack([t[key] for t in trees])
        for key, value in trees[0].items()
    }
