"""The batched optimisers against torch's own, and the optimistic one against its formula and the game it is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from bench.optim import OPTIMIZERS, OptimisticAdam

CASES: list[tuple[str, list[dict[str, float]]]] = [
    ("adam", [{"lr": 1e-2, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
              {"lr": 3e-4, "beta1": 0.0, "beta2": 0.5, "eps": 1e-3}]),
    ("optimistic_adam", [{"lr": 1e-2, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
                         {"lr": 3e-4, "beta1": 0.0, "beta2": 0.5, "eps": 1e-3}]),
    ("rmsprop", [{"lr": 5e-5, "alpha": 0.99, "eps": 1e-8}, {"lr": 1e-2, "alpha": 0.5, "eps": 1e-4}]),
    ("sgd", [{"lr": 0.1, "momentum": 0.0}, {"lr": 0.01, "momentum": 0.9}]),
]  # fmt: skip
TORCH: dict[str, Any] = {
    "adam": lambda p, h: torch.optim.Adam(p, h["lr"], (h["beta1"], h["beta2"]), h["eps"]),
    "optimistic_adam": OptimisticAdam.torch_optimizer,
    "rmsprop": lambda p, h: torch.optim.RMSprop(p, h["lr"], h["alpha"], h["eps"]),
    "sgd": lambda p, h: torch.optim.SGD(p, h["lr"], h["momentum"]),
}


@pytest.mark.parametrize(("name", "settings"), CASES, ids=[name for name, _ in CASES])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize("schedule", [lambda t: 1.0, lambda t: 1 - t / 20], ids=["constant", "falling"])
def test_replicas_with_settings_of_their_own_each_equal_torch(
    name: str, settings: list[dict[str, float]], dtype: torch.dtype, tolerance: float, schedule: Callable[[int], float]
) -> None:
    kind, replicas = OPTIMIZERS[name], len(settings)
    random = torch.Generator().manual_seed(0)
    shapes = {"weight": (3, 4), "bias": (3,)}
    mine = {k: torch.randn(replicas, *s, generator=random, dtype=dtype) for k, s in shapes.items()}
    theirs = [[mine[k][r].clone().requires_grad_() for k in shapes] for r in range(replicas)]
    optimizers = [TORCH[name](theirs[r], settings[r]) for r in range(replicas)]
    scalars = {k: torch.tensor([s[k] for s in settings], dtype=torch.float64) for k in settings[0]}
    state = torch.func.vmap(kind.init)(mine)
    update = torch.func.vmap(kind.update)
    for t in range(20):
        gradients = {k: torch.randn(replicas, *s, generator=random, dtype=dtype) for k, s in shapes.items()}
        c = kind.coefficients({**scalars, "lr": scalars["lr"] * schedule(t)}, torch.tensor(t + 1.0))
        mine, state = update(mine, gradients, state, {k: value.to(dtype) for k, value in c.items()})
        for r in range(replicas):
            optimizers[r].param_groups[0]["lr"] = settings[r]["lr"] * schedule(t)
            for k, p in zip(shapes, theirs[r], strict=True):
                p.grad = gradients[k][r].clone()
            optimizers[r].step()
    for r in range(replicas):
        for k, p in zip(shapes, theirs[r], strict=True):
            torch.testing.assert_close(mine[k][r], p.detach(), rtol=tolerance, atol=tolerance)
    assert state["count"]["updates"].tolist() == [20, 20]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_torch_goes_on_from_a_stored_state_and_gives_it_back(name: str) -> None:
    kind = OPTIMIZERS[name]
    instance = kind(lr=0.01, **({"momentum": 0.5} if name == "sgd" else {}))
    scalars = {k: torch.tensor(v, dtype=torch.float64) for k, v in vars(instance).items()}
    random = torch.Generator().manual_seed(0)
    gradients = torch.randn(6, 4, generator=random, dtype=torch.float64)
    mine = {"weight": torch.randn(4, generator=random, dtype=torch.float64)}
    state = kind.init(mine)
    for t, gradient in enumerate(gradients[:3], 1):
        c = kind.coefficients(scalars, torch.tensor(t, dtype=torch.float64))
        mine, state = kind.update(mine, {"weight": gradient}, state, c)
    p = mine["weight"].clone().requires_grad_()
    optimizer = kind.torch_optimizer([p], vars(instance))
    slots = {theirs: state[ours]["weight"].clone() for ours, theirs in kind.torch_slots.items()}
    optimizer.state[p] = {"step": state["count"]["updates"].to(torch.float32), **slots}
    for t, gradient in enumerate(gradients[3:], 4):
        c = kind.coefficients(scalars, torch.tensor(t, dtype=torch.float64))
        mine, state = kind.update(mine, {"weight": gradient}, state, c)
        p.grad = gradient.clone()
        optimizer.step()
    torch.testing.assert_close(p.detach(), mine["weight"], rtol=1e-13, atol=1e-13)
    for ours, theirs in kind.torch_slots.items():
        torch.testing.assert_close(optimizer.state[p][theirs], state[ours]["weight"], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("fall", [0.0, 0.04])
def test_optimistic_adam_is_its_formula(fall: float) -> None:
    lr, beta1, beta2, eps = 0.05, 0.6, 0.9, 1e-3
    random = np.random.default_rng(0)
    gradients = random.normal(size=(20, 3))
    theta = random.normal(size=3)
    mine = {"theta": torch.tensor(theta)}
    state = OptimisticAdam.init(mine)
    m, v, before = np.zeros(3), np.zeros(3), np.zeros(3)
    for t, g in enumerate(gradients, 1):
        eta = lr * (1 - fall * t)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        now = (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
        theta = theta - 2 * eta * now + eta * before
        before = now
        h = {"lr": eta, "beta1": beta1, "beta2": beta2, "eps": eps}
        scalars = {k: torch.tensor(value, dtype=torch.float64) for k, value in h.items()}
        c = OptimisticAdam.coefficients(scalars, torch.tensor(t, dtype=torch.float64))
        mine, state = OptimisticAdam.update(mine, {"theta": torch.tensor(g)}, state, c)
        np.testing.assert_allclose(mine["theta"].numpy(), theta, rtol=1e-12)


@pytest.mark.parametrize(("name", "least", "most"), [("adam", 2.0, np.inf), ("optimistic_adam", 0.0, 1e-6)])
def test_optimism_ends_the_cycles_of_a_bilinear_game(name: str, least: float, most: float) -> None:
    """x minimises and y maximises x y at the same time, both from 1: the equilibrium is the origin."""
    kind = OPTIMIZERS[name]
    h = {"lr": 0.05, "beta1": 0.0, "beta2": 0.999, "eps": 1e-8}
    scalars = {k: torch.tensor(value, dtype=torch.float64) for k, value in h.items()}
    players = [{"at": torch.ones(1, dtype=torch.float64)} for _ in range(2)]
    states = [kind.init(player) for player in players]
    for t in range(1, 2001):
        gradients = [{"at": players[1]["at"]}, {"at": -players[0]["at"]}]
        c = kind.coefficients(scalars, torch.tensor(t, dtype=torch.float64))
        moved = [kind.update(*each, c) for each in zip(players, gradients, states, strict=True)]
        players, states = [player for player, _ in moved], [state for _, state in moved]
    distance = float(torch.hypot(players[0]["at"], players[1]["at"]))
    assert least < distance < most


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [("adam", {"lr": 0.0}, "lr"), ("adam", {"lr": 1e-3, "beta1": 1.0}, "beta1"), ("rmsprop", {"lr": -1.0}, "lr"),
     ("sgd", {"lr": 1.0, "momentum": -0.1}, "momentum"), ("optimistic_adam", {"lr": 0.0}, "lr"),
     ("optimistic_adam", {"lr": 1e-3, "beta2": 1.0}, "beta2")],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(name: str, settings: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OPTIMIZERS[name](**settings)
