"""The plain loop: one replica after the other, autograd and ``torch.optim``, as people write it by hand.

It is one of the engine's ways, the fastest where lifting gains nothing; the baseline of every timing; and the foreign
oracle that the lifted step is tested against.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from bench.optim import Optimizer, Parameters, State
from bench.problem import Problem, Tree, at, averaged, cast, examine, generator_batch, seen, sharing
from objectives.base import plainly


class PlainLoop:
    """Trains replicas one by one; the interface is that of ``Lifted``."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def advance(self, critic_steps: Sequence[int], state: Tree, draws: Tree, scalars: Tree) -> Tree:
        """The state after iterations of so many critic steps each; draws are [k, R, B, ...], used in order."""

        def one(r: int) -> Tree:
            return self._advance_one(critic_steps, at(state, r), at(draws, (slice(None), r)), at(scalars, r))

        with plainly():
            return _stack([one(r) for r in range(draws["critic"]["real"].shape[1])])

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
                if not p.critic.mixes:
                    judge = sharing(judge, seen_real, seen_fake)
                loss = p.objective.critic_loss(judge, seen_real, seen_fake, batch["noise"], hparams)
                loss.backward()  # type: ignore[no-untyped-call]
                adjust_critic.step()
                if p.objective.project is not None:
                    with torch.no_grad():
                        for name, value in p.objective.project(critic, hparams).items():
                            critic[name].copy_(value)
                norm, suspicious = _look(loss, critic)
                sums["critic_loss"] = sums["critic_loss"] + loss.detach()
                sums["critic_gradient_norm"] = sums["critic_gradient_norm"] + norm
                if suspicious:
                    health |= examine(health, {1: fake, 2: loss, 3: norm, 4: critic})
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
                adjust_generator.step()
                norm, suspicious = _look(loss, generator)
                if p.averaged:
                    average = averaged(average, _plain(generator), scalars["training"]["ema"])
                sums["generator_loss"] = sums["generator_loss"] + loss.detach()
                sums["generator_gradient_norm"] = sums["generator_gradient_norm"] + norm
                if suspicious:
                    health |= examine(health, {1: fake, 5: loss, 6: norm, 7: generator})
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


def _look(loss: torch.Tensor, parameters: Parameters) -> tuple[torch.Tensor, bool]:
    """The norm of all gradients; and whether something may not be finite.

    The second misses nothing but may cry wolf: huge finite parameters have an infinite norm. On a GPU it says so of
    every update, since to look would be to wait.
    """
    with torch.no_grad():
        gradients = [p.grad for p in parameters.values() if p.grad is not None]
        norms = torch.stack(torch._foreach_norm([*gradients, *parameters.values()]))
        norm = torch.linalg.vector_norm(norms[: len(gradients)])
        return norm, loss.is_cuda or not math.isfinite(float(loss + norms.sum()))


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


def _stack(trees: Sequence[Tree]) -> Tree:
    return {
        key: _stack([tree[key] for tree in trees]) if isinstance(value, dict) else torch.stack([t[key] for t in trees])
        for key, value in trees[0].items()
    }
