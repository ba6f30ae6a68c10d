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
from bench.problem import Problem, Tree, at, averaged, cast, examine, generator_batch, seen


class PlainLoop:
    """Trains replicas one by one; the interface is that of ``Lifted``."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def advance(self, critic_steps: Sequence[int], state: Tree, draws: Tree, scalars: Tree) -> Tree:
        """The state after iterations of so many critic steps each; draws are [k, R, B, ...], used in order."""
        replicas = draws["critic"]["real"].shape[1]
        return _stack(
            [
                self._advance_one(critic_steps, _at(state, r), _at(draws, (slice(None), r)), _at(scalars, r))
                for r in range(replicas)
            ]
        )

    def _advance_one(self, critic_steps: Sequence[int], state: Tree, draws: Tree, scalars: Tree) -> Tree:
        p = self._problem
        generator, critic = _trainable(state["generator"]), _trainable(state["critic"])
        if p.generator_steps:
            adjust_generator = _torch_optimizer(p.generator_optimizer, generator, state, scalars, "generator_optimizer")
        adjust_critic = _torch_optimizer(p.critic_optimizer, critic, state, scalars, "critic_optimizer")
        generator_buffers, critic_buffers = state["generator_buffers"], state["critic_buffers"]
        hparams = cast(scalars["objective"], draws["critic"]["real"].dtype)
        sums, health, average = dict(state["sums"]), dict(state["health"]), state.get("average", {})

        k = g = -1
        for count in critic_steps:
            if not p.lr_schedule.steady:
                factor = float(p.lr_schedule.factor(health["now"], p.steps))
                if p.generator_steps:
                    _set_rate(adjust_generator, float(scalars["generator_optimizer"]["lr"]) * factor)
                _set_rate(adjust_critic, float(scalars["critic_optimizer"]["lr"]) * factor)
            before = {**_copies(critic), **critic_buffers} if p.simultaneous else {}
            for _ in range(count):
                k += 1
                batch = at(draws["critic"], k)
                critic_buffers = p.critic.refresh(_plain(critic), critic_buffers)
                with torch.no_grad():
                    fake = p.generator.apply({**generator, **generator_buffers}, batch["latent"])
                    seen_real, seen_fake = seen(p, {"health": health}, batch, fake, scalars)
                adjust_critic.zero_grad()
                judge = p.critic.bind({**critic, **critic_buffers})
                loss = p.objective.critic_loss(judge, seen_real, seen_fake, batch["noise"], hparams)
                loss.backward()  # type: ignore[no-untyped-call]
                norm = _gradient_norm(critic)
                adjust_critic.step()
                if p.objective.project is not None:
                    with torch.no_grad():
                        for name, value in p.objective.project(critic, hparams).items():
                            critic[name].copy_(value)
                sums["critic_loss"] = sums["critic_loss"] + loss.detach()
                sums["critic_gradient_norm"] = sums["critic_gradient_norm"] + norm
                if _suspicious(loss, norm, critic):
                    health = examine(health, {1: fake, 2: loss, 3: norm, 4: critic})
            opponent = before if p.simultaneous else {**critic, **critic_buffers}
            for _ in range(p.generator_steps):
                g += 1
                batch = generator_batch(at(draws["critic"], k), at(draws["generator"], g))
                generator_buffers = p.generator.refresh(_plain(generator), generator_buffers)
                adjust_generator.zero_grad()
                fake = p.generator.apply({**generator, **generator_buffers}, batch["latent"])
                seen_real, seen_fake = seen(p, {"health": health}, batch, fake, scalars)
                judge = p.critic.bind(opponent)
                loss = p.objective.generator_loss(judge, seen_real, seen_fake, batch["noise"], hparams)
                loss.backward(inputs=list(generator.values()))  # type: ignore[no-untyped-call]
                norm = _gradient_norm(generator)
                adjust_generator.step()
                if p.averaged:
                    average = averaged(average, _plain(generator), scalars["training"]["ema"])
                sums["generator_loss"] = sums["generator_loss"] + loss.detach()
                sums["generator_gradient_norm"] = sums["generator_gradient_norm"] + norm
                if _suspicious(loss, norm, generator):
                    health = examine(health, {1: fake, 5: loss, 6: norm, 7: generator})
            health["now"] = health["now"] + 1
        updates = {"critic": k + 1, "generator": g + 1}
        return {
            **state,
            "generator": _plain(generator),
            "critic": _plain(critic),
            "generator_buffers": generator_buffers,
            "critic_buffers": critic_buffers,
            "generator_optimizer": _state_of(
                adjust_generator, p.generator_optimizer, generator, state["generator_optimizer"], updates["generator"]
            )
            if p.generator_steps
            else {},
            "critic_optimizer": _state_of(
                adjust_critic, p.critic_optimizer, critic, state["critic_optimizer"], updates["critic"]
            ),
            "sums": sums,
            "since": {player: state["since"][player] + count for player, count in updates.items()},
            "health": health,
            **({"average": average} if p.averaged else {}),
        }


def _trainable(parameters: Parameters) -> Parameters:
    return {name: p.detach().clone().requires_grad_() for name, p in parameters.items()}


def _plain(parameters: Parameters) -> Parameters:
    return {name: p.detach() for name, p in parameters.items()}


def _copies(parameters: Parameters) -> Parameters:
    return {name: p.detach().clone() for name, p in parameters.items()}


def _gradient_norm(parameters: Parameters) -> torch.Tensor:
    return torch.nn.utils.get_total_norm([p.grad for p in parameters.values() if p.grad is not None])


def _suspicious(loss: torch.Tensor, norm: torch.Tensor, parameters: Parameters) -> bool:
    """A cheap look that misses nothing but may cry wolf: huge finite parameters have an infinite norm."""
    total = torch.nn.utils.get_total_norm([p.detach() for p in parameters.values()])
    return not math.isfinite(float(loss.detach() + norm + total))


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


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
        ours: {name: optimizer.state[p].get(theirs, torch.zeros_like(p)).detach() for name, p in parameters.items()}
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
