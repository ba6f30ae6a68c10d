"""Optimisers as pure functions of one replica, with every setting a tensor, so that each replica may have its own.

They equal ``torch.optim`` when the settings agree; own code, because torch's refuse a learning rate per replica.
The state of none depends on ``lr``, so a schedule may give another at each update.

An update is in two parts. ``coefficients`` works out everything that is one number a replica, such as bias corrections,
from the settings and from which update it is, elementwise and in float64, as torch does with Python floats: for all the
updates ahead at once. ``update`` gets those of its own, rounded to the parameters' type, and does what is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, TypeAlias

import torch

Parameters: TypeAlias = "dict[str, torch.Tensor]"
State: TypeAlias = "dict[str, Parameters]"
"""Slot -> parameter name -> tensor; the slot ``count`` holds the number of updates made, under the name ``updates``."""
Scalars: TypeAlias = "Mapping[str, torch.Tensor]"


def _check_rate(lr: float) -> None:
    if not lr > 0:
        raise ValueError(f"lr is a positive number, not {lr}")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} lies in [0, 1), not {value}")


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam (Kingma & Ba 2015, arXiv:1412.6980): ``p -= lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps)``."""

    lr: float
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    torch_slots: ClassVar[Mapping[str, str]] = {"mean": "exp_avg", "square": "exp_avg_sq"}
    """What torch calls the slots of the state."""

    def __post_init__(self) -> None:
        _check_rate(self.lr)
        _check_share("beta1", self.beta1)
        _check_share("beta2", self.beta2)

    @staticmethod
    def init(parameters: Parameters) -> State:
        """Both moments at zero."""
        return {**_count(parameters), "mean": _zeros(parameters), "square": _zeros(parameters)}

    @staticmethod
    def coefficients(h: Scalars, updates: torch.Tensor) -> Parameters:
        """Of an update: ``rate m / (sqrt(v) + eps)`` is its step, with both parts of the fraction times a root."""
        root = torch.sqrt(1 - h["beta2"] ** updates)
        rate = h["lr"] * root / (1 - h["beta1"] ** updates)
        return {**_moments(h), "rate": rate, "eps": h["eps"] * root}

    @staticmethod
    def update(parameters: Parameters, gradients: Parameters, state: State, c: Scalars) -> tuple[Parameters, State]:
        """One step downhill."""
        result, mean, square = {}, {}, {}
        for name, p in parameters.items():
            mean[name], square[name] = _averages(state, name, gradients[name], c)
            result[name] = p - c["rate"] * mean[name] / (torch.sqrt(square[name]) + c["eps"])
        return result, {**_counted(state), "mean": mean, "square": square}

    @staticmethod
    def torch_optimizer(parameters: list[torch.Tensor], h: Mapping[str, float]) -> torch.optim.Optimizer:
        """Torch's own, with the same settings."""
        return torch.optim.Adam(parameters, lr=h["lr"], betas=(h["beta1"], h["beta2"]), eps=h["eps"])


@dataclass(frozen=True, kw_only=True)
class OptimisticAdam:
    """Optimistic Adam (Daskalakis et al. 2018, arXiv:1711.00141, Algorithm 1): ``p -= lr * (2 d_t - d_(t-1))``.

    ``d_t = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)`` is Adam's direction, and ``d_0 = 0``. The paper's rate
    is constant; under a schedule the present rate multiplies the previous direction too.

    Departures from the paper: none.
    """

    lr: float
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    torch_slots: ClassVar[Mapping[str, str]] = {"mean": "exp_avg", "square": "exp_avg_sq", "previous": "previous"}

    def __post_init__(self) -> None:
        _check_rate(self.lr)
        _check_share("beta1", self.beta1)
        _check_share("beta2", self.beta2)

    @staticmethod
    def init(parameters: Parameters) -> State:
        """Both moments and the previous direction at zero."""
        slots = ("mean", "square", "previous")
        return {**_count(parameters), **{slot: _zeros(parameters) for slot in slots}}

    @staticmethod
    def coefficients(h: Scalars, updates: torch.Tensor) -> Parameters:
        """Of an update; ``d_t = scale m / (sqrt(v) + eps)``."""
        root = torch.sqrt(1 - h["beta2"] ** updates)
        return {**_moments(h), "scale": root / (1 - h["beta1"] ** updates), "eps": h["eps"] * root, "lr": h["lr"]}

    @staticmethod
    def update(parameters: Parameters, gradients: Parameters, state: State, c: Scalars) -> tuple[Parameters, State]:
        """One step downhill."""
        result, mean, square, direction = {}, {}, {}, {}
        for name, p in parameters.items():
            mean[name], square[name] = _averages(state, name, gradients[name], c)
            direction[name] = c["scale"] * mean[name] / (torch.sqrt(square[name]) + c["eps"])
            result[name] = p - c["lr"] * (2 * direction[name] - state["previous"][name])
        return result, {**_counted(state), "mean": mean, "square": square, "previous": direction}

    @staticmethod
    def torch_optimizer(parameters: list[torch.Tensor], h: Mapping[str, float]) -> torch.optim.Optimizer:
        """Torch has none: one written as torch writes its own."""
        defaults = {"lr": h["lr"], "betas": (h["beta1"], h["beta2"]), "eps": h["eps"]}
        return _torch_optimistic_adam()(parameters, defaults)


@dataclass(frozen=True, kw_only=True)
class RMSProp:
    """RMSProp (Tieleman & Hinton 2012) as torch has it: ``p -= lr * g / (sqrt(v) + eps)``, v a mean of g^2.

    TensorFlow 1, which some papers used, adds eps under the root.
    """

    lr: float
    alpha: float = 0.99
    eps: float = 1e-8

    torch_slots: ClassVar[Mapping[str, str]] = {"square": "square_avg"}

    def __post_init__(self) -> None:
        _check_rate(self.lr)
        _check_share("alpha", self.alpha)

    @staticmethod
    def init(parameters: Parameters) -> State:
        """The mean square at zero."""
        return {**_count(parameters), "square": _zeros(parameters)}

    @staticmethod
    def coefficients(h: Scalars, updates: torch.Tensor) -> Parameters:
        """Of an update: the settings, and what of g^2 is new in v."""
        return {**h, "new": 1 - h["alpha"]}

    @staticmethod
    def update(parameters: Parameters, gradients: Parameters, state: State, c: Scalars) -> tuple[Parameters, State]:
        """One step downhill."""
        result, square = {}, {}
        for name, p in parameters.items():
            g = gradients[name]
            square[name] = c["alpha"] * state["square"][name] + c["new"] * g * g
            result[name] = p - c["lr"] * g / (torch.sqrt(square[name]) + c["eps"])
        return result, {**_counted(state), "square": square}

    @staticmethod
    def torch_optimizer(parameters: list[torch.Tensor], h: Mapping[str, float]) -> torch.optim.Optimizer:
        """Torch's own, with the same settings."""
        return torch.optim.RMSprop(parameters, lr=h["lr"], alpha=h["alpha"], eps=h["eps"])


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Gradient descent with heavy-ball momentum, as torch has it: ``b = momentum * b + g``, ``p -= lr * b``."""

    lr: float
    momentum: float = 0.0

    torch_slots: ClassVar[Mapping[str, str]] = {"momentum": "momentum_buffer"}

    def __post_init__(self) -> None:
        _check_rate(self.lr)
        _check_share("momentum", self.momentum)

    @staticmethod
    def init(parameters: Parameters) -> State:
        """No momentum yet."""
        return {**_count(parameters), "momentum": _zeros(parameters)}

    @staticmethod
    def coefficients(h: Scalars, updates: torch.Tensor) -> Parameters:
        """Of an update: the settings."""
        return dict(h)

    @staticmethod
    def update(parameters: Parameters, gradients: Parameters, state: State, c: Scalars) -> tuple[Parameters, State]:
        """One step downhill."""
        result, momentum = {}, {}
        for name, p in parameters.items():
            momentum[name] = c["momentum"] * state["momentum"][name] + gradients[name]
            result[name] = p - c["lr"] * momentum[name]
        return result, {**_counted(state), "momentum": momentum}

    @staticmethod
    def torch_optimizer(parameters: list[torch.Tensor], h: Mapping[str, float]) -> torch.optim.Optimizer:
        """Torch's own, with the same settings."""
        return torch.optim.SGD(parameters, lr=h["lr"], momentum=h["momentum"])


@cache
def _torch_optimistic_adam() -> type[torch.optim.Optimizer]:
    """In a function, because a base class of torch's would load torch with this module."""

    class TorchOptimisticAdam(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self) -> None:  # type: ignore[override]
            for group in self.param_groups:
                beta1, beta2 = group["betas"]
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if not state:
                        state["step"] = torch.zeros(())
                        state.update({slot: torch.zeros_like(p) for slot in ("exp_avg", "exp_avg_sq", "previous")})
                    state["step"] += 1
                    t = state["step"].item()
                    state["exp_avg"].lerp_(p.grad, 1 - beta1)
                    state["exp_avg_sq"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                    scale = (state["exp_avg_sq"].sqrt() / (1 - beta2**t) ** 0.5).add_(group["eps"])
                    direction = state["exp_avg"].div(1 - beta1**t).div_(scale)
                    p.add_(direction, alpha=-2 * group["lr"]).add_(state["previous"], alpha=group["lr"])
                    state["previous"] = direction

    return TorchOptimisticAdam


def _zeros(parameters: Parameters) -> Parameters:
    return {name: torch.zeros_like(p) for name, p in parameters.items()}


def _moments(h: Scalars) -> Parameters:
    """How much of the moments stays, and how much is new."""
    return {"new_mean": 1 - h["beta1"], "beta2": h["beta2"], "new_square": 1 - h["beta2"]}


def _averages(state: State, name: str, g: torch.Tensor, c: Scalars) -> tuple[torch.Tensor, torch.Tensor]:
    """Both moments of a parameter after its gradient was g."""
    mean, square = state["mean"][name], state["square"][name]
    return mean + c["new_mean"] * (g - mean), c["beta2"] * square + c["new_square"] * g * g


def _counted(state: State) -> State:
    """One update more."""
    return {"count": {"updates": state["count"]["updates"] + 1}}


def _count(parameters: Parameters) -> State:
    some = next(iter(parameters.values()))
    return {"count": {"updates": torch.zeros((), dtype=torch.float64, device=some.device)}}


Optimizer: TypeAlias = type[Adam] | type[OptimisticAdam] | type[RMSProp] | type[SGD]

OPTIMIZERS: dict[str, Optimizer] = {
    "adam": Adam,
    "optimistic_adam": OptimisticAdam,
    "rmsprop": RMSProp,
    "sgd": SGD,
}
