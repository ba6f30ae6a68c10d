"""How a deep critic's gradients grow or die on their way back through its layers, and where its weights come to lie.

WGAN-GP's figures 1b and 1c (Gulrajani et al. 2017, arXiv:1704.00028), for any objective: both players are trained, and
at each mark the critic's loss is differentiated by every layer's activations and by its weights.

A layer is a linear map of the critic. Layers are counted from the input, 1 to L; 12 hidden layers make L = 13, the
numbers on the axis of the paper's figure. The activations a_l of layer l are what its map gives, before the
non-linearity, so that a_L is the score; by what comes after a ReLU the norm is larger, by about sqrt(2) in each layer.

Everything is computed in float64 from the float32 parameters of training: behind 12 clipped layers gradients may be as
small as 1e-25, whose square float32 does not have. At mark 0, before any update, the critic is the one that was drawn,
put inside the bound where its objective has one.

Shape letters: R replica, M batches, B scores in a batch, U units of a layer, L layers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field

from bench import probes, training_settings
from bench.cell import Settings
from bench.engine import Training
from bench.experiments.probing import Probing, Reader
from bench.lifted import player
from bench.optim import Parameters
from bench.problem import Problem, Tree, at, cast, seen

AT_BOUND = 0.99
"""A weight is at the bound from this share of the largest absolute weight on; in a clipped critic that is the clip."""

BINS = 200
"""Of the histogram of weights, from minus to plus the largest absolute one: the outermost hold those at the bound."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Over how many fresh batches, of the size that training has, gradients are averaged."""

    batches: Annotated[int, Field(ge=1, le=1000)] = 4


class _Reader(Reader):
    def __init__(self, settings: Settings, training: Training) -> None:
        self._training = training
        device = training.state["health"]["now"].device
        batches = settings["probe"]["batches"]
        self._draws = probes.draw(training.problem, training.seeds, batches=batches, device=device)

    def read(self) -> Mapping[str, torch.Tensor]:
        """Gradient norms by layer, how fast they change from layer to layer, and how many weights are at the bound.

        - activation_gradient[l], weight_gradient[l]: see ``layer_gradients``, means over batches.
        - slope_per_layer, weight_slope_per_layer: least-squares slope of the log10 of either against the layers passed
          on the way back, L - l: decades a layer; above 0 gradients explode, below 0 they vanish. NaN where one is 0.
        - share_at_bound: share of weights with ``|w| >= .99 largest_weight``, biases left out.
        - largest_weight: the largest absolute weight.
        """
        state, problem = self._inside(), self._training.problem
        scalars, count = self._training.scalars, len(self._draws["real"])
        found: dict[str, torch.Tensor] = {}

        def read(state: Tree, batch: Tree, scalars: Tree) -> dict[str, torch.Tensor]:
            return layer_gradients(problem, state, batch, scalars)

        for m in range(count):
            for name, norms in torch.func.vmap(read)(state, _widened(at(self._draws, m)), scalars).items():
                found[name] = found.get(name, 0) + norms / count
        weights = _weights(state["critic"])
        largest = weights.abs().amax(1)
        return {
            "slope_per_layer": _slope(found["activation_gradient"]),
            "weight_slope_per_layer": _slope(found["weight_gradient"]),
            "share_at_bound": (weights.abs() >= AT_BOUND * largest[:, None]).double().mean(1),
            "largest_weight": largest,
            **{f"{name}[{i + 1}]": norms[:, i] for name, norms in found.items() for i in range(norms.shape[1])},
        }

    def arrays(self) -> Mapping[str, torch.Tensor]:
        """``weight_histogram`` [R, BINS]: the share of weights in equal bins from -largest to largest."""
        weights = _weights(self._inside()["critic"])
        places = (weights / weights.abs().amax(1, keepdim=True) + 1) * (BINS / 2)
        counts = [torch.bincount(row.long().clamp(max=BINS - 1), minlength=BINS) for row in places]
        return {"weight_histogram": (torch.stack(counts) / weights.shape[1]).to(torch.float32)}

    def _inside(self) -> Tree:
        """What gradients depend on, in float64; the critic as its objective's projection leaves it."""
        training = self._training
        names = ("critic", "critic_buffers", "generator", "generator_buffers")
        state = {**_widened({name: training.state[name] for name in names}), "health": training.state["health"]}
        project = training.problem.objective.project
        if project is not None:
            state["critic"] = torch.func.vmap(project)(state["critic"], training.scalars["objective"])
        return state


def layer_gradients(p: Problem, state: Tree, batch: Tree, scalars: Tree) -> dict[str, torch.Tensor]:
    """Norms of the gradient of the critic's loss by layer, of one replica and one batch: two tensors [L].

    - activation_gradient: ``mean_i |B dL/da_l(x_i)|`` over the B real samples and the B fake ones, the norm over the U
      units of the layer; times B, so that it does not depend on the number of samples that the loss is a mean over. A
      Wasserstein loss has 1 in the last layer. It is the gradient through the scores of these samples: that of a
      penalty through its own points, or through a slope at a sample, has no part in it.
    - weight_gradient: ``|dL/dW_l|`` over all entries of the matrix, of the whole loss.

    Args:
        p: the problem of the training.
        state: ``critic``, ``generator``, their buffers and ``health``, as in ``Training.state``.
        batch: one of ``probes.draw``, [B, ...].
        scalars: of ``Training``.
    """
    generated = p.generator.apply(player(state, "generator"), batch["latent"])
    real, fake = seen(p, state, batch, generated, scalars)
    hparams = cast(scalars["objective"], real.dtype)
    names = _layers(state["critic"])
    taps = {
        side: {name: real.new_zeros(len(x), state["critic"][f"{name}.bias"].shape[0]) for name in names}
        for side, x in (("real", real), ("fake", fake))
    }

    def loss_of(parameters: Parameters, taps: Tree) -> torch.Tensor:
        def critic(x: torch.Tensor) -> torch.Tensor:
            own = {**parameters, **state["critic_buffers"]}
            side = taps["real"] if x is real else taps["fake"] if x is fake else {}
            # A bias of its own for each sample: the gradient by it is that by the sample's activations.
            own |= {f"{name}.bias": parameters[f"{name}.bias"] + tap for name, tap in side.items()}
            return p.critic.apply(own, x)

        return p.objective.critic_loss(critic, real, fake, batch["noise"], hparams)

    by_parameters, by_taps = torch.func.grad(loss_of, argnums=(0, 1))(state["critic"], taps)

    def activation(name: str) -> torch.Tensor:
        norms = [torch.linalg.vector_norm(by_taps[side][name], dim=1) for side in ("real", "fake")]
        return torch.cat(norms).mean() * len(real)

    return {
        "activation_gradient": torch.stack([activation(name) for name in names]),
        "weight_gradient": torch.stack([torch.linalg.vector_norm(by_parameters[f"{name}.weight"]) for name in names]),
    }


def _layers(parameters: Parameters) -> list[str]:
    """Names of the linear maps, in the order in which they are applied."""
    found = (re.fullmatch(r"(\d+)\.weight", name) for name in parameters)
    return sorted((match[1] for match in found if match), key=int)


def _weights(parameters: Parameters) -> torch.Tensor:
    """All entries of all matrices, [R, ...] a name, in a row: [R, W]."""
    return torch.cat([parameters[f"{name}.weight"].flatten(1) for name in _layers(parameters)], 1)


def _slope(norms: torch.Tensor) -> torch.Tensor:
    """Of log10 norms [R, L] against L - l, by least squares: [R]."""
    layers = norms.shape[1]
    passed = torch.arange(layers - 1, -1, -1, dtype=norms.dtype, device=norms.device)
    centred = passed - passed.mean()
    slope = (norms.log10() * centred).sum(1) / centred.square().sum()
    return torch.where((norms > 0).all(1), slope, torch.nan)


def _widened(tree: Mapping[str, Any]) -> Tree:
    """The same values in float64."""
    return {name: _widened(value) if isinstance(value, dict) else value.double() for name, value in tree.items()}


class Depth(Probing):
    """The experiment ``depth``."""

    name = "depth"
    about: ClassVar[ModuleType] = training_settings
    critics = ("mlp",)
    probe = Probe
    reader = _Reader


DEPTH = Depth()
