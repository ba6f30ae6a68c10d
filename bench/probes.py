"""Cheap readings from inside training: pure functions of parameters and draws, lifted over replicas.

Shape letters: R replica, M batches, B scores in a batch, N samples, *E event, Z latent, P parameters.
A reading is a float64 tensor [R], one number a replica.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch

from bench import seeding
from bench.lifted import coefficients, critic_gradients, generator_gradients, player
from bench.networks import Network
from bench.optim import Optimizer, Parameters
from bench.problem import Problem, Tree, at, cast
from objectives.base import interpolate, slopes, softplus

SATURATED = 1e-3
"""A score is saturated where the slope of the sigmoid is less, |score| > 6.9: 1/250 of the largest slope, 1/4.

There a discriminator is surer than 998 to 1, and a loss that sees a fake through ``sigmoid(score)`` alone passes on
less than a thousandth of the gradient that it has for a fake taken for real.
"""

POINTS = 512
"""At how many inputs of the critic its slopes and its loss are read."""


@contextmanager
def denormals() -> Iterator[None]:
    """Numbers below 2^-126 (float32) or 2^-1022 (float64) are kept inside, not flushed to 0, on the calling thread.

    Leaving it restores what was. On a processor that cannot flush, nothing changes; CUDA always keeps them.
    """
    flushed = _flushes()
    torch.set_flush_denormal(False)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)


def _flushes() -> bool:
    """Whether half of the smallest normal number is 0 here; torch offers no other way to ask."""
    smallest = torch.tensor(torch.finfo(torch.float32).tiny)
    return float(smallest / 2) == 0.0


def draw(
    p: Problem, seeds: Sequence[int], *, batches: int, purpose: str = "probe", device: torch.device | str = "cpu"
) -> Tree:
    """Batches as a training step takes them: ``real``, ``latent``, ``noise`` -> name, ..., [M, R, B, ...], float32.

    Each kind has a stream of its own, ``<purpose>_<kind>``, so that training goes on as if nothing had been read, and
    objectives with one seed see the same samples and latents. Real samples are fresh ones of the data set, also where
    training draws from a finite set of them.
    """
    samples = p.batch_size * p.pack

    def drawn(kind: str, sample: Callable[[int, torch.Generator], torch.Tensor], size: int = samples) -> torch.Tensor:
        rows = [sample(batches * size, seeding.generator(seed, f"{purpose}_{kind}", device)) for seed in seeds]
        return torch.stack([row.reshape(batches, size, *row.shape[1:]) for row in rows], 1)

    def normal(n: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn((n, *p.dataset.event_shape), generator=generator, device=generator.device)

    found: Tree = {
        "real": drawn("data", p.dataset.sample),
        "latent": drawn("latent", p.latent.sample),
        "noise": {name: drawn(f"objective.{name}", _noise(p, name), p.batch_size) for name in p.objective.noise},
    }
    if p.instance_noise is not None:
        found["instance_noise"] = {side: drawn(f"instance_noise_{side}", normal) for side in ("real", "fake")}
    return found


def _noise(p: Problem, name: str) -> Callable[[int, torch.Generator], torch.Tensor]:
    return lambda n, generator: p.objective.noise[name](n, p.packed_shape, generator)


# --- slopes and scores


def slopes_at(critic: Network, parameters: Parameters, points: torch.Tensor) -> torch.Tensor:
    """The critic's slopes ``|grad_x critic(x)|`` at points [R, N, *E] -> [R, N], in scores by unit of the data.

    ``parameters`` are [R, ...] a name, buffers too. Where the critic looks across its batch, the gradient is that of
    the sum of all N scores.
    """

    def read(own: Parameters, x: torch.Tensor) -> torch.Tensor:
        return slopes(critic.bind(own), x)

    result: torch.Tensor = torch.func.vmap(read)(parameters, points)
    return result


def score_readings(real: torch.Tensor, fake: torch.Tensor) -> dict[str, torch.Tensor]:
    """What scores s of real samples [R, N] and of fake ones [R, N'] tell; all are NaN where a score is not finite.

    - score_gap: ``E_real s - E_fake s``, in scores.
    - saturated_real, saturated_fake: share of samples with ``sigmoid(s) sigmoid(-s) < SATURATED``.
    - critic_accuracy: ``(P_real(s > 0) + P_fake(s < 0)) / 2``; .5 by chance, but a score of 0 is always wrong. The
      scores of a Wasserstein critic have no zero, so for them only the next one means something.
    - critic_auc: ``P(s > t) + P(s = t) / 2`` of a real sample's score s and a fake one's t; .5 by chance, 1 where every
      real sample scores higher than every fake one.
    - js_estimate: ``log 2 - (E_real softplus(-s) + E_fake softplus(s)) / 2``, in nats, scores read as logits. On fresh
      samples it expects at most the Jensen-Shannon divergence of the two laws, whatever the critic, and just that at
      the optimal discriminator (Goodfellow et al. 2014, arXiv:1406.2661, theorem 1). It never exceeds log 2; where
      scores are no logits it can be far below 0.
    """
    real, fake = real.to(torch.float64), fake.to(torch.float64)
    surprise = softplus(-real).mean(1) + softplus(fake).mean(1)
    found = {
        "score_gap": real.mean(1) - fake.mean(1),
        "saturated_real": _saturated(real),
        "saturated_fake": _saturated(fake),
        "critic_accuracy": ((real > 0).double().mean(1) + (fake < 0).double().mean(1)) / 2,
        "critic_auc": _auc(real, fake),
        "js_estimate": math.log(2) - surprise / 2,
    }
    finite = torch.isfinite(real).all(1) & torch.isfinite(fake).all(1)
    return {name: torch.where(finite, values, torch.nan) for name, values in found.items()}


def _saturated(scores: torch.Tensor) -> torch.Tensor:
    return (torch.sigmoid(scores) * torch.sigmoid(-scores) < SATURATED).double().mean(1)


def _auc(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """By ranks: how many of the fake scores a real one exceeds, half of those that it equals counted."""
    ordered, real = fake.sort(1).values, real.contiguous()
    below, upto = (torch.searchsorted(ordered, real, right=right).double() for right in (False, True))
    return (below + upto).mean(1) / (2 * fake.shape[1])


# --- gradients of a generator loss


def gradient_readings(
    p: Problem,
    generator: Parameters,
    critic: Parameters,
    draws: Tree,
    hparams: Mapping[str, torch.Tensor],
    *,
    generator_buffers: Parameters | None = None,
    dtype: torch.dtype,
) -> dict[str, torch.Tensor]:
    """The gradient of the generator loss L of ``p.objective``, of a generator and a critic that stay as they are.

    With g_m [P] the gradient of the m-th of M batches by all the generator's parameters, and h_i = B dL/dx_i that by
    the i-th fake sample, times the number B of scores that L is the mean of, so that it does not depend on B:

    - gradient_norm: ``mean_m |g_m|``, in units of the loss by unit of a parameter.
    - gradient_variance: ``sum_m |g_m - mean g|^2 / (M - 1)``, the trace of the unbiased covariance over batches.
    - fake_gradient_norm: ``mean_i |h_i|`` over the samples of all batches, in units of the loss by unit of the data.
    - fake_gradient_variance: ``sum_i |h_i - mean h|^2 / (n - 1)`` over those n samples.

    The variance of one batch is NaN. Norms and sums are made in float64, where squares are lost below gradients of
    1e-162, and denormal numbers are kept. One batch at a time is in memory. Instance noise is left out.

    Args:
        p: whose networks, packs and objective count; the critic may have been trained under another objective.
        generator: [R, ...] a name.
        critic: [R, ...] a name, buffers too.
        draws: of ``draw`` with this objective.
        hparams: of this objective, [R] a name.
        generator_buffers: [R, ...] a name; they are apart because no gradient is taken by them.
        dtype: what the loss and its gradient are computed in.
    """

    def read(own: Parameters, buffers: Parameters, judge: Parameters, batch: Tree, h: Parameters) -> _Pair:
        bound, real = p.critic.bind(judge), p.packed(batch["real"])

        def loss_of(parameters: Parameters, shift: torch.Tensor) -> torch.Tensor:
            fake = p.generator.apply({**parameters, **buffers}, batch["latent"]) + shift
            return p.objective.generator_loss(bound, real, p.packed(fake), batch["noise"], h)

        by_parameters, by_fakes = torch.func.grad(loss_of, argnums=(0, 1))(own, torch.zeros_like(batch["real"]))
        return _vector(by_parameters)[None], by_fakes.flatten(1).to(torch.float64) * len(real)

    fixed, buffers, judge = (_to(tree, dtype) for tree in (generator, generator_buffers or {}, critic))
    settings = _to(hparams, dtype)
    batches, samples = _Moments(), _Moments()
    with denormals():
        for m in range(len(draws["real"])):
            by_parameters, by_fakes = torch.func.vmap(read)(fixed, buffers, judge, _to(at(draws, m), dtype), settings)
            batches.add(by_parameters)
            samples.add(by_fakes)
        return {
            "gradient_norm": batches.norm,
            "gradient_variance": batches.variance,
            "fake_gradient_norm": samples.norm,
            "fake_gradient_variance": samples.variance,
        }


class _Moments:
    """Mean norm of vectors that arrive some at a time, and the trace of their covariance (Chan et al. 1979).

    The squares that are added are of differences, so that nothing cancels.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean: torch.Tensor | float = 0.0
        self._squares: torch.Tensor | float = 0.0
        self._norms: torch.Tensor | float = 0.0

    def add(self, vectors: torch.Tensor) -> None:
        """So many more: [R, n, D]."""
        n, mean = vectors.shape[1], vectors.mean(1)
        gap, total = mean - self._mean, self._count + n
        between = gap.square().sum(1) * (self._count * n / total)
        self._squares = self._squares + (vectors - mean[:, None]).square().sum((1, 2)) + between
        self._norms = self._norms + torch.linalg.vector_norm(vectors, dim=2).sum(1)
        self._mean, self._count = self._mean + gap * (n / total), total

    @property
    def norm(self) -> torch.Tensor:
        """[R]."""
        return torch.as_tensor(self._norms) / self._count

    @property
    def variance(self) -> torch.Tensor:
        """[R]; NaN of a single vector."""
        return torch.as_tensor(self._squares) / (self._count - 1)


# --- training


def update_readings(p: Problem, state: Tree, scalars: Tree, batch: Tree) -> dict[str, torch.Tensor]:
    """What one more update of each player would do, which is then not made; w are all its parameters [P].

    - critic_update_ratio, generator_update_ratio: ``|w' - w| / |w|``.
    - critic_update_cosine, generator_update_cosine: of the angle between ``w - w'`` and the gradient of this batch, 1
      where the step goes straight down. With momentum it is less, and Arjovsky et al. 2017 (arXiv:1701.07875) saw it
      turn negative with Adam where training was unstable. NaN where either vanishes.

    w' is what the optimiser makes of w, before any projection. Gradients are computed in the type of training, the step
    itself in float64, so that none is lost in the rounding of w. Both players start from the present state, at the rate
    and the instance noise of the last step that was made.

    Args:
        p: the problem of the training.
        state, scalars: of ``Training``.
        batch: one of ``draw``, [R, B, ...], in the type of training.
    """
    health = {**state["health"], "now": (state["health"]["now"] - 1).clamp(min=0)}

    def read(state: Tree, batch: Tree, scalars: Tree) -> dict[str, torch.Tensor]:
        gradients = {"critic": critic_gradients(p, state, batch, scalars)[0]}
        optimizers: dict[str, Optimizer] = {"critic": p.critic_optimizer}
        if p.generator_steps:
            gradients["generator"] = generator_gradients(p, state, player(state, "critic"), batch, scalars)[0]
            optimizers["generator"] = p.generator_optimizer
        found = {}
        for name, gradient in gradients.items():
            own = _to({"old": state[name], "slots": state[f"{name}_optimizer"], "gradient": gradient}, torch.float64)
            updates, settings = own["slots"]["count"]["updates"] + 1, scalars[f"{name}_optimizer"]
            c = coefficients(p, optimizers[name], settings, updates, state["health"]["now"])
            new, _ = optimizers[name].update(own["old"], own["gradient"], own["slots"], c)
            old, downhill = _vector(own["old"]), _vector(own["gradient"])
            step = old - _vector(new)
            size, steepness = torch.linalg.vector_norm(step), torch.linalg.vector_norm(downhill)
            found[f"{name}_update_ratio"] = size / torch.linalg.vector_norm(old)
            found[f"{name}_update_cosine"] = torch.dot(step / size, downhill / steepness)
        return found

    result: dict[str, torch.Tensor] = torch.func.vmap(read)({**state, "health": health}, batch, scalars)
    return result


def draw_for_training(p: Problem, seeds: Sequence[int], device: torch.device | str = "cpu") -> Tree:
    """What ``training_readings`` needs at each observation: ``batch`` [R, B, ...], and ``noise`` [R, POINTS, ...]."""
    batch = at(draw(p, seeds, batches=1, device=device), 0)
    noise = {
        name: torch.stack([_noise(p, name)(POINTS, seeding.generator(seed, f"probe_{name}", device)) for seed in seeds])
        for name in p.objective.noise
    }
    return {"batch": batch, "noise": noise}


def training_readings(
    p: Problem, state: Tree, scalars: Tree, draws: Tree, real: torch.Tensor, fake: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Everything that is read of a training at an observation; nothing in it changes.

    ``score_readings`` and ``update_readings``, and at the first ``POINTS`` inputs of the critic

    - slope_real, slope_fake, slope_between: medians of ``slopes_at`` real samples, at fake ones, and at points on the
      segments between pairs of them, with weights spread evenly over (0, 1), in scores by unit of the data.
    - critic_loss_fresh: the critic's loss on samples that it was not trained with, as it is minimised.

    Without instance noise, but for the updates.

    Args:
        p: the problem of the training.
        state, scalars: of ``Training``.
        draws: of ``draw_for_training``.
        real, fake: fresh samples [R, N, *E], in random order.
    """
    some = next(iter(state["critic"].values()))

    def packs(samples: torch.Tensor) -> torch.Tensor:
        samples = samples.to(some.device, some.dtype)
        joined: torch.Tensor = torch.func.vmap(p.packed)(samples[:, : samples.shape[1] // p.pack * p.pack])
        return joined

    critic, inputs = player(state, "critic"), {"real": packs(real), "fake": packs(fake)}
    scores = {name: torch.func.vmap(p.critic.apply)(critic, x) for name, x in inputs.items()}
    n = min(POINTS, *(x.shape[1] for x in inputs.values()))
    few = {name: x[:, :n] for name, x in inputs.items()}
    mix = (torch.arange(n, device=some.device, dtype=some.dtype) + 0.5) / n
    points = {**few, "between": torch.func.vmap(interpolate, in_dims=(0, 0, None))(few["real"], few["fake"], mix)}
    medians = {
        f"slope_{name}": slopes_at(p.critic, critic, x).to(torch.float64).quantile(0.5, dim=1)
        for name, x in points.items()
    }

    def loss_of(own: Parameters, x: torch.Tensor, y: torch.Tensor, noise: Parameters, h: Parameters) -> torch.Tensor:
        return p.objective.critic_loss(p.critic.bind(own), x, y, noise, cast(h, some.dtype))

    noise = {name: values[:, :n] for name, values in _to(draws["noise"], some.dtype).items()}
    loss = torch.func.vmap(loss_of)(critic, few["real"], few["fake"], noise, scalars["objective"])
    return {
        **score_readings(scores["real"], scores["fake"]),
        **medians,
        "critic_loss_fresh": loss.to(torch.float64),
        **update_readings(p, state, scalars, _to(draws["batch"], some.dtype)),
    }


_Pair: TypeAlias = "tuple[torch.Tensor, torch.Tensor]"


def _vector(parameters: Parameters) -> torch.Tensor:
    """All of them in a row, [P], float64."""
    return torch.cat([values.flatten() for values in parameters.values()]).to(torch.float64)


def _to(tree: Mapping[str, Any], dtype: torch.dtype) -> Tree:
    """The same values in another type."""
    return {key: _to(value, dtype) if isinstance(value, dict) else value.to(dtype) for key, value in tree.items()}
