"""The batched optimisers against torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench.optim import OPTIMIZERS

CASES: list[tuple[str, list[dict[str, float]]]] = [
    ("adam", [{"lr": 1e-2, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
              {"lr": 3e-4, "beta1": 0.0, "beta2": 0.5, "eps": 1e-3}]),
    ("rmsprop", [{"lr": 5e-5, "alpha": 0.99, "eps": 1e-8}, {"lr": 1e-2, "alpha": 0.5, "eps": 1e-4}]),
    ("sgd", [{"lr": 0.1, "momentum": 0.0}, {"lr": 0.01, "momentum": 0.9}]),
]  # fmt: skip
TORCH: dict[str, Any] = {
    "adam": lambda p, h: torch.optim.Adam(p, h["lr"], (h["beta1"], h["beta2"]), h["eps"]),
    "rmsprop": lambda p, h: torch.optim.RMSprop(p, h["lr"], h["alpha"], h["eps"]),
    "sgd": lambda p, h: torch.optim.SGD(p, h["lr"], h["momentum"]),
}


@pytest.mark.parametrize(("name", "settings"), CASES, ids=[name for name, _ in CASES])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
def test_replicas_with_settings_of_their_own_each_equal_torch(
    name: str, settings: list[dict[str, float]], dtype: torch.dtype, tolerance: float
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
    for _ in range(20):
        gradients = {k: torch.randn(replicas, *s, generator=random, dtype=dtype) for k, s in shapes.items()}
        mine, state = update(mine, gradients, state, scalars)
        for r in range(replicas):
            for k, p in zip(shapes, theirs[r], strict=True):
                p.grad = gradients[k][r].clone()
            optimizers[r].step()
    for r in range(replicas):
        for k, p in zip(shapes, theirs[r], strict=True):
            torch.testing.assert_close(mine[k][r], p.detach(), rtol=tolerance, atol=tolerance)
    assert state["count"]["updates"].tolist() == [20, 20]


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [("adam", {"lr": 0.0}, "lr"), ("adam", {"lr": 1e-3, "beta1": 1.0}, "beta1"), ("rmsprop", {"lr": -1.0}, "lr"),
     ("sgd", {"lr": 1.0, "momentum": -0.1}, "momentum")],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(name: str, settings: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OPTIMIZERS[name](**settings)
