"""Every registered objective and data set passes its contract; for each check something is broken that it must find."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from bench.contracts import (
    DATASET_CHECKS,
    IMAGES_CHECKS,
    LABELLED_CHECKS,
    MIXTURE_CHECKS,
    OBJECTIVE_CHECKS,
    check_dataset,
    check_objective,
    findings,
)
from datasets import DATASETS
from datasets.base import Dataset, GaussianMixture, Images, LabelledImages, Mixture, Part
from datasets.dirac import Dirac
from datasets.images import SHARES, LabelledFiniteImages, Pictures, Stacked, part_sizes, parted
from datasets.ring import Ring
from datasets.veegan_1200d import Veegan1200d
from objectives import OBJECTIVES
from objectives.base import Critic, Loss, Objective, Recipe

Tensors = Mapping[str, torch.Tensor]


@pytest.mark.parametrize("check", OBJECTIVE_CHECKS)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_objective(name: str, check: str) -> None:
    OBJECTIVE_CHECKS[check](OBJECTIVES[name])


NEED_FILES = {"cifar10", "fashion_mnist", "image_folder", "labelled_image_folder", "mnist"}
"""Checked by tests/datasets/test_images_files.py, on files of its own."""
READY = [name for name in DATASETS if name not in NEED_FILES]
MIXTURES = [name for name in READY if isinstance(DATASETS[name](), Mixture)]
IMAGES = [name for name in READY if isinstance(DATASETS[name](), Images)]
LABELLED = [name for name in READY if isinstance(DATASETS[name](), LabelledImages)]


@pytest.mark.parametrize("check", DATASET_CHECKS)
@pytest.mark.parametrize("name", READY)
def test_dataset(name: str, check: str) -> None:
    DATASET_CHECKS[check](DATASETS[name]())


@pytest.mark.parametrize("check", MIXTURE_CHECKS)
@pytest.mark.parametrize("name", MIXTURES)
def test_mixture(name: str, check: str) -> None:
    MIXTURE_CHECKS[check](DATASETS[name]())


@pytest.mark.parametrize("check", IMAGES_CHECKS)
@pytest.mark.parametrize("name", IMAGES)
def test_images(name: str, check: str) -> None:
    IMAGES_CHECKS[check](DATASETS[name]())


@pytest.mark.parametrize("check", LABELLED_CHECKS)
@pytest.mark.parametrize("name", LABELLED)
def test_labelled_images(name: str, check: str) -> None:
    LABELLED_CHECKS[check](DATASETS[name]())


# Objectives with one defect each. ``game`` is sound; a specimen replaces one part.


def game(critic: Critic, real: torch.Tensor, fake: torch.Tensor, noise: Tensors, hparams: Tensors) -> torch.Tensor:
    """``E_fake[s] - E_real[s]``. Departures from the paper: none."""
    return critic(fake).mean() - critic(real).mean()


def chase(critic: Critic, real: torch.Tensor, fake: torch.Tensor, noise: Tensors, hparams: Tensors) -> torch.Tensor:
    """``-E_fake[s]``."""
    return -critic(fake).mean()


SOUND = Objective(name="sound", reference="nobody", critic_loss=game, generator_loss=chase)


def loss(function: Callable[..., torch.Tensor]) -> Loss:
    """A loss of (critic, real, fake) and no more, documented."""

    def call(critic: Critic, real: torch.Tensor, fake: torch.Tensor, noise: Any, hparams: Any) -> torch.Tensor:
        return function(critic, real, fake)

    call.__doc__ = "``formula``. Departures: none."
    return call


def undocumented(critic: Critic, real: torch.Tensor, fake: torch.Tensor, noise: Any, hparams: Any) -> torch.Tensor:
    return -critic(fake).mean()


class Leak(torch.autograd.Function):
    """The identity, which adds zero times the sum over all replicas."""

    @staticmethod
    def forward(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None: ...

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: torch.Tensor) -> tuple[torch.Tensor, int]:
        return x + 0 * x.sum(), in_dims[0]


class Pool(Leak):
    """The identity of one replica, which takes the mean over many."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: torch.Tensor) -> tuple[torch.Tensor, int]:
        return x.mean(in_dims[0], keepdim=True).expand_as(x), in_dims[0]


calls: list[int] = []


def forgetful(critic: Critic, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    calls.append(1)
    return critic(fake).mean() * len(calls)


def greedy(critic: Critic, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    fake *= 2
    return critic(fake).mean() - critic(real).mean()


def branching(critic: Critic, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    value = critic(fake).mean()
    return -value if value > 0 else -2 * value


def vectors_only(critic: Critic, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    return critic(fake).mean() - critic(real).mean() + 0 * torch.einsum("bd->", fake)


def rough_penalty(critic: Critic, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    gradient = torch.func.grad(lambda x: critic(x).sum())(real)
    norm = gradient.flatten(1).square().sum(1).sqrt()
    return critic(fake).mean() - critic(real).mean() + (norm - 1).square().mean()


def first_counts_double(critic: Critic, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    return -critic(fake).mean() - critic(fake)[0]


def first_falls(critic: Critic, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    scores = critic(fake)
    return 2 * scores[0] - scores.sum()


def distance(critic: Critic, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    return (critic(real)[:, None] - critic(fake)[None, :]).abs().mean()


def noisy(sampler: Callable[..., torch.Tensor]) -> dict[str, Any]:
    return {"noise": {"n": sampler}}


def clipping(project: Callable[..., Any]) -> dict[str, Any]:
    return {"hparams": {"clip": 0.01}, "project": project}


def global_numpy(n: int, event: Any, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(n, generator=generator) + np.random.rand()  # noqa: NPY002


def global_python(n: int, event: Any, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(n, generator=generator) + random.random()


def optimizer(**settings: Any) -> dict[str, Any]:
    good = {"name": "adam", "lr": 1e-4}
    return {"recipe": Recipe(critic_optimizer={**good, **settings}, generator_optimizer=good)}


BROKEN_OBJECTIVES: list[tuple[str, dict[str, Any], str]] = [
    ("record", {"name": "WGAN GP"}, "the name must be"),
    ("record", {"reference": " "}, "reference is empty"),
    ("record", {"hparams": {"weight": math.nan}}, "'weight' must be a finite number"),
    ("record", {"hparams": {"penalty weight": 1.0}}, "use one word"),
    ("record", {"noise": {"mix": "uniform"}}, "must be a function"),
    ("recipe", optimizer(name="adamm"), "did you mean 'adam'"),
    ("recipe", optimizer(betta1=0.5), "unknown setting 'betta1'; did you mean 'beta1'"),
    ("recipe", optimizer(lr=-1.0), "lr"),
    ("recipe", optimizer(lr="1e-4"), "lr must be a number"),
    (
        "recipe",
        {"recipe": Recipe(critic_optimizer={"name": "adam", "lr": 1.0}, generator_optimizer={"name": "sgd"})},
        "generator_optimizer cannot be built",
    ),
    ("recipe", {"recipe": replace(SOUND.recipe, critic_steps=0)}, "critic_steps"),
    ("documented", {"generator_loss": undocumented}, "generator loss's docstring must give its formula"),
    ("scalar_losses", {"critic_loss": loss(lambda c, r, f: c(f) - c(r))}, "must be a scalar"),
    ("scalar_losses", {"generator_loss": loss(lambda c, r, f: -c(f).mean().float())}, "of that type"),
    ("scalar_losses", {"generator_loss": loss(lambda c, r, f: -c(f).mean() / 0)}, "inf"),
    ("pure", {"generator_loss": loss(lambda c, r, f: -c(f * torch.rand(())).mean())}, "differs between two calls"),
    ("pure", {"generator_loss": loss(lambda c, r, f: -c(f + 0 * torch.rand(())).mean())}, "global randomness"),
    ("pure", {"generator_loss": loss(forgetful)}, "differs between two calls"),
    ("pure", {"critic_loss": loss(greedy)}, "in place|differs"),
    ("lifted", {"generator_loss": loss(branching)}, "cannot lift the generator loss"),
    ("lifted", {"critic_loss": loss(lambda c, r, f: c(f).mean() - c(r).mean().item())}, "cannot lift the critic loss"),
    ("lifted", {"generator_loss": loss(lambda c, r, f: -Pool.apply(c(f)).mean())}, "differs between vmap and a loop"),
    ("gradients", {"generator_loss": loss(lambda c, r, f: -c(f.detach()).mean())}, "gradient of the generator loss"),
    ("gradients", {"critic_loss": loss(lambda c, r, f: c(f).mean() - c(r).detach().mean())}, "gradient of the critic"),
    ("nan_replica", {"generator_loss": loss(lambda c, r, f: -Leak.apply(c(f)).mean())}, "neighbours"),
    ("order", {"generator_loss": loss(first_counts_double)}, "order of the samples"),
    ("generator_direction", {"generator_loss": loss(lambda c, r, f: c(f).mean())}, "is a sign flipped"),
    ("generator_direction", {"generator_loss": loss(lambda c, r, f: -c(f.detach()).mean())}, "no gradient"),
    ("critic_direction", {"critic_loss": loss(lambda c, r, f: c(r).mean() - c(f).mean())}, "real samples fall"),
    ("critic_direction", {"critic_loss": loss(lambda c, r, f: -c(r).mean() - c(f).mean())}, "fake samples rise"),
    ("critic_direction", {"critic_loss": loss(lambda c, r, f: 0 * c(f).mean())}, "do not part"),
    ("generator_direction", {"generator_loss": loss(lambda c, r, f: (c(f) + 1).square().mean())}, "is a sign flipped"),
    ("generator_direction", {"generator_loss": loss(lambda c, r, f: -(c(r) - c(f)).square().mean())}, "a sign flipped"),
    ("generator_direction", {"generator_loss": loss(lambda c, r, f: -distance(c, r, f))}, "is a sign flipped"),
    ("generator_direction", {"generator_loss": loss(first_falls)}, "some fake samples move to lower scores"),
    ("critic_direction", {"critic_loss": loss(lambda c, r, f: (c(r) ** 2 + (c(f) - 1) ** 2).mean())}, "samples fall"),
    ("critic_direction", {"critic_loss": loss(lambda c, r, f: distance(c, r, f))}, "real samples fall"),
    (
        "critic_direction",
        {"critic_loss": loss(lambda c, r, f: -(c(r) - c(f)).sigmoid().log().mean() - c(f).mean())},
        "fake samples rise",
    ),
    ("slopes_declared", {"critic_loss": loss(rough_penalty)}, "the critic loss looks at .* penalises_slopes=True"),
    ("slopes_declared", {"generator_loss": loss(rough_penalty)}, "the generator loss looks at"),
    ("slopes_declared", {"penalises_slopes": True}, "no loss looks at"),
    ("large_scores", {"generator_loss": loss(lambda c, r, f: (1 - c(f).sigmoid()).log().mean())}, "of a fake one"),
    ("large_scores", {"critic_loss": loss(lambda c, r, f: -(c(r) - c(f)).sigmoid().log().mean())}, "real sample is"),
    ("flat_critic", {"critic_loss": loss(rough_penalty)}, "constant critic, events"),
    ("noise", noisy(lambda n, e, g: torch.rand(n)), "the noise 'n' draws from global randomness"),
    ("noise", noisy(global_numpy), "draws from global randomness"),
    ("noise", noisy(global_python), "draws from global randomness"),
    ("noise", noisy(lambda n, e, g: torch.rand(n, generator=torch.Generator())), "same for two seeds"),
    (
        "noise",
        noisy(lambda n, e, g: torch.rand(n, generator=torch.Generator().manual_seed(g.initial_seed()))),
        "repeats itself",
    ),
    ("noise", noisy(lambda n, e, g: torch.rand(1, generator=g)), r"not \[6, ...\]"),
    ("arguments_matter", {"hparams": {"lamba": 1.0}}, "'lamba' changes nothing"),
    ("arguments_matter", noisy(lambda n, e, g: torch.rand(n, generator=g)), "noise 'n' changes nothing"),
    ("projection", clipping(lambda p, h: {"weight": p["weight"]}), "keep names"),
    ("projection", clipping(lambda p, h: {k: v.float() for k, v in p.items()}), "keep names"),
    (
        "projection",
        clipping(lambda p, h: {k: v.clamp(-h["clip"].item(), 1) for k, v in p.items()}),
        "cannot lift the projection",
    ),
    ("projection", clipping(lambda p, h: {k: Leak.apply(v) for k, v in p.items()}), "projection of"),
]


@pytest.mark.parametrize(("check", "parts", "words"), BROKEN_OBJECTIVES)
def test_a_broken_objective_is_found(check: str, parts: dict[str, Any], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        OBJECTIVE_CHECKS[check](replace(SOUND, **parts))


def test_the_sound_objective_passes() -> None:
    assert {name: words for name, words in check_objective(SOUND).items() if words is not None} == {}


def test_a_loss_for_vectors_only_fails_on_images() -> None:
    results = check_objective(replace(SOUND, critic_loss=loss(vectors_only)))
    assert "einsum" in str(results["scalar_losses"])
    assert "einsum" in str(results["lifted"])


def test_a_file_without_departures_is_found() -> None:
    """A plug-in's own docstring is read from the globals of its losses."""
    for text, words in {
        None: "needs a docstring",
        "A method.": "Departures from the paper",
        "A method. Departures: none.": None,
    }.items():
        source = 'def f(critic, real, fake, noise, hparams):\n    """``-s``"""\n    return -critic(fake).mean()\n'
        scope: dict[str, Any] = {"__doc__": text}
        exec(source, scope)
        subject = replace(SOUND, critic_loss=scope["f"], generator_loss=scope["f"])
        found = dict(findings({"documented": OBJECTIVE_CHECKS["documented"]}, subject))["documented"]
        assert (words is None and found is None) or (words is not None and words in str(found))


# Data sets with one defect each.


def like(**members: Any) -> Dataset:
    """A ring with some members replaced or added."""
    kind = dataclass(frozen=True, kw_only=True)(type("Broken", (Ring,), members))
    made: Dataset = kind()
    return made


@dataclass
class Loose:
    event_shape = (2,)
    scale: float = 1.0

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        return self.scale * torch.randn(n, 2, generator=generator)


@dataclass(frozen=True)
class Positional:
    event_shape = (2,)
    scale: float = 1.0


def both_ends(self: Ring) -> torch.Tensor:
    angles = torch.linspace(0, 2 * math.pi, self.modes, dtype=torch.float64)
    return self.radius * torch.stack([angles.cos(), angles.sin()], 1)


def changed_sample(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda self, n, generator: change(Ring.sample(self, n, generator))


def changed_modes(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda self, modes, generator: change(Ring.sample_modes(self, modes, generator))


def wider(self: Ring, n: int, generator: torch.Generator) -> torch.Tensor:
    return Ring.sample(replace(self, std=1.05 * self.std), n, generator)


def uneven(self: Ring, n: int, generator: torch.Generator) -> torch.Tensor:
    """Mode 0 twice as likely as it should be."""
    modes = torch.randint(self.modes + 1, (n,), generator=generator) % self.modes
    return self.sample_modes(modes, generator)


def squares(self: Ring, n: int, generator: torch.Generator) -> torch.Tensor:
    """The right mean and covariance, not normal."""
    return squares_of(self, torch.randint(self.modes, (n,), generator=generator), generator)


def squares_of(self: Ring, modes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    offsets = math.sqrt(12) * self.std * (torch.rand(len(modes), 2, generator=generator) - 0.5)
    return self.means().float()[modes] + offsets


def global_sample(self: Ring, n: int, generator: torch.Generator) -> torch.Tensor:
    return Ring.sample(self, n, torch.Generator().manual_seed(int(torch.randint(9999, ()))))


def dirac(sample: Callable[..., torch.Tensor]) -> Dataset:
    """One point, sampled otherwise."""
    made: Dataset = dataclass(frozen=True, kw_only=True)(type("Broken", (Dirac,), {"sample": sample}))()
    return made


def planes(**members: Any) -> Dataset:
    """The ten planes of VEEGAN's mixture with some members replaced."""
    made: Dataset = dataclass(frozen=True, kw_only=True)(type("Broken", (Veegan1200d,), members))()
    return made


def leaning(x: torch.Tensor) -> torch.Tensor:
    """Off the planes by the least that tells."""
    return torch.cat([x[:, :-1], x[:, -1:] + 1e-3], 1)


def of_700_axes(self: Veegan1200d, modes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return Veegan1200d().sample_modes(modes, generator)


def one_by_one(self: Veegan1200d, modes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Noise that is one number a sample, the same along all axes."""
    noise = torch.randn(len(modes), 1, generator=generator).repeat(1, self.axes)
    return self.means()[modes].float() + torch.nn.functional.pad(noise, (0, 1200 - self.axes))


BROKEN_DATASETS: list[tuple[str, Callable[[], Any], str]] = [
    ("settings", Loose, "must be frozen"),
    ("settings", lambda: like(__post_init__=lambda self: None), "is accepted"),
    ("settings", Positional, "keyword"),
    ("samples", lambda: like(sample=changed_sample(torch.Tensor.double)), "must be float32"),
    ("samples", lambda: like(sample=changed_sample(lambda x: x[..., None])), "must be float32 of shape"),
    ("samples", lambda: like(sample=changed_sample(lambda x: x / 0)), "not finite"),
    ("samples", lambda: like(sample=changed_sample(lambda x: 0 * x)), "all the same"),
    ("samples", lambda: like(event_shape=[2]), "tuple of positive"),
    ("samples", lambda: dirac(lambda self, n, generator: torch.randn(n, 1, generator=generator)), "is not the point"),
    ("samples", lambda: dirac(lambda self, n, generator: torch.full((n, 1), 1e-3)), "is not the point"),
    (
        "sample_randomness",
        lambda: dirac(lambda self, n, generator: 0 * torch.randn(n, 1, generator=generator)),
        "point mass draws random numbers",
    ),
    ("sample_randomness", lambda: dirac(lambda self, n, generator: 0 * torch.randn(n, 1)), "draws random numbers"),
    ("sample_randomness", lambda: like(sample=global_sample), "global randomness"),
    (
        "sample_randomness",
        lambda: like(sample=lambda self, n, generator: Ring.sample(self, n, torch.Generator())),
        "same for two seeds",
    ),
    ("modes", lambda: like(means=both_ends), "two means coincide"),
    ("modes", lambda: like(means=lambda self: Ring.means(self).float()), "float64"),
    ("modes", lambda: like(means=lambda self: Ring.means(self)[:, :1]), r"not \[K, \*E\]"),
    ("modes", lambda: like(weights=lambda self: torch.full((8,), 0.2, dtype=torch.float64)), "weights sum to 1.6"),
    ("modes", lambda: like(weights=lambda self: torch.ones(1, dtype=torch.float64)), "8 means have weights"),
    (
        "modes",
        lambda: like(weights=lambda self: torch.tensor([-1.0, 2, *[0] * 6], dtype=torch.float64)),
        "weight is negative",
    ),
    ("modes", lambda: planes(axes=0), "modes spread over 0 axes, of 1200"),
    ("modes", lambda: planes(axes=1200), "planes of two modes coincide"),
    ("std_refused", lambda: like(__post_init__=lambda self: None), "std=-0.02 is accepted"),
    ("law", lambda: like(sample=changed_sample(lambda x: x / 1.414)), "samples' variance along"),
    ("law", lambda: like(sample=changed_sample(lambda x: x + 0.1)), "samples' mean along"),
    ("law", lambda: like(sample=uneven), "share of samples in mode 0 is 0.2|mean along"),
    ("law", lambda: like(sample=wider), "variance of samples around their modes"),
    ("law", lambda: like(sample=squares), "samples around their modes are not normal"),
    ("law", lambda: replace(like(sample=wider), std=2.0), "samples' variance along"),
    ("law", lambda: replace(like(sample=squares), std=2.0, radius=0.1), "do not follow"),
    ("law", lambda: planes(sample=lambda self, n, g: leaning(Veegan1200d.sample(self, n, g))), "off along an axis"),
    ("law", lambda: planes(sample_modes=one_by_one), "samples' variance along|do not follow"),
    ("law", lambda: planes(axes=699, sample_modes=of_700_axes), "off along an axis"),
    ("sample_modes", lambda: planes(axes=699, sample_modes=of_700_axes), "off along an axis"),
    ("sample_modes", lambda: like(sample_modes=changed_modes(lambda x: x.flip(0))), "from the mean of its mode"),
    ("sample_modes", lambda: like(sample_modes=changed_modes(lambda x: x[:, :1])), "must be float32 of shape"),
    (
        "sample_modes",
        lambda: like(sample_modes=lambda self, m, g: Ring.sample_modes(replace(self, std=0.97 * self.std), m, g)),
        "variance of samples of named modes",
    ),
    ("sample_modes", lambda: like(sample_modes=squares_of), "samples of named modes are not normal"),
    (
        "sample_modes",
        lambda: like(sample_modes=lambda self, m, g: Ring.sample_modes(self, m, torch.Generator())),
        "same for two seeds",
    ),
    ("log_prob", lambda: like(log_prob=lambda self, x: Ring.log_prob(self, x) + 0.01), "differs from the mixture"),
    ("log_prob", lambda: like(log_prob=lambda self, x: Ring.log_prob(self, x).exp().log()), "differs from the mixture"),
    ("log_prob", lambda: like(log_prob=lambda self, x: Ring.log_prob(self, x)[:, None]), r"not \[n\]"),
    ("log_prob", lambda: planes(log_prob=GaussianMixture.log_prob), "differs from the mixture"),
    ("log_prob", lambda: planes(axes=701, log_prob=lambda self, x: Veegan1200d().log_prob(x)), "differs from the"),
]


@pytest.mark.parametrize(("check", "make", "words"), BROKEN_DATASETS)
def test_a_broken_dataset_is_found(check: str, make: Callable[[], Any], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        {**DATASET_CHECKS, **MIXTURE_CHECKS}[check](make())


# Sets of images with one defect each.


class Tiny(LabelledFiniteImages):
    """Forty images of 2 x 2 pixels, one in four of class 0."""

    event_shape = (1, 2, 2)

    def sizes(self) -> dict[Part, int]:
        return part_sizes(40)

    def read(self) -> Mapping[Part, Pictures]:
        pixels = np.arange(160, dtype=np.uint8).reshape(40, 1, 2, 2)
        return parted(Pictures(pixels, (np.arange(40) % 4 > 0).astype(np.int64)), SHARES)


class TinyStacks(Stacked):
    made_of = (Tiny,)

    def labelled(self) -> LabelledImages:
        return Tiny()


class Other(Tiny):
    event_shape = (1, 3, 3)


def tiny(parent: type = Tiny, **members: Any) -> Any:
    """A small set of images with some members replaced."""
    return dataclass(frozen=True, kw_only=True)(type("Broken", (parent,), members))()


SOUND_IMAGES = tiny()


def sampled(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda self, part, n, generator: change(Tiny.sample_part(self, part, n, generator))


def first_of(k: int) -> Callable[..., torch.Tensor]:
    """No more than k images, of which that many are asked for: without a refusal."""
    return lambda self, part, n, generator: Tiny.distinct(self, part, min(n, k), generator)


def classes_changed(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., Any]:
    def labelled_part(self: Tiny, part: Part) -> tuple[torch.Tensor, torch.Tensor]:
        images, classes = Tiny.labelled_part(self, part)
        return images, change(classes)

    return labelled_part


BROKEN_IMAGES: list[tuple[str, Callable[[], Any], str]] = [
    ("parts", lambda: tiny(event_shape=(2, 2)), "must be .C, H, W."),
    ("parts", lambda: tiny(sizes=lambda self: {"train": 40}), "how many images each of train, evaluation, judge has"),
    ("parts", lambda: tiny(sample_part=sampled(torch.Tensor.double)), "float32"),
    ("parts", lambda: tiny(sample_part=sampled(lambda x: 2 * x)), r"leave \[-1, 1\]: to 1\.\d"),
    ("parts", lambda: tiny(sample=lambda self, n, g: self.sample_part("judge", n, g)), "not draw from the part train"),
    (
        "part_randomness",
        lambda: tiny(sample_part=lambda self, part, n, g: Tiny.sample_part(self, part, n, torch.Generator())),
        "sample_part of the part train is the same for two seeds",
    ),
    (
        "part_randomness",
        lambda: tiny(distinct=lambda self, part, n, g: Tiny.distinct(self, part, 12, g)[torch.randperm(12)[:n]]),
        "distinct of the part train draws from global",
    ),
    ("distinct", lambda: tiny(distinct=Tiny.sample_part), "of 16 distinct images of the part train, two are the same"),
    ("distinct", lambda: tiny(distinct=first_of(12)), "of the part train must be 16"),
    ("distinct", lambda: tiny(distinct=first_of(16)), "train of 16 images gives 17 distinct ones"),
    (
        "distinct",
        lambda: tiny(sizes=lambda self: {"train": 9}, distinct=lambda self, *rest: SOUND_IMAGES.distinct(*rest)),
        "all 9 of the part train are other ones for another seed",
    ),
    (
        "disjoint",
        lambda: tiny(distinct=lambda self, part, n, g: Tiny.distinct(self, "train", n, g)),
        "images are in the part train and in the part evaluation",
    ),
    ("classes", lambda: tiny(labelled=lambda self: TinyStacks()), "is not itself"),
    ("classes", lambda: tiny(labelled=lambda self: tiny(Other)), "not made of channels"),
    ("classes", lambda: tiny(class_weights=lambda self: Tiny.class_weights(self).float()), "must be shares, float64"),
    ("classes", lambda: tiny(TinyStacks, class_weights=lambda self: tiny().class_weights()), r"shape \[2\], not \[8\]"),
    (
        "classes",
        lambda: tiny(TinyStacks, class_weights=lambda self: torch.full((8,), 1 / 8, dtype=torch.float64)),
        "not the products of the channels' weights",
    ),
    ("labelled_parts", lambda: tiny(labelled_part=classes_changed(torch.Tensor.float)), "int64 classes"),
    ("labelled_parts", lambda: tiny(labelled_part=classes_changed(lambda x: 0 * x)), "must be all of 0 to 1; there"),
    ("labelled_parts", lambda: tiny(labelled_part=classes_changed(lambda x: 1 - x)), "not the shares of the classes"),
    (
        "labelled_parts",
        lambda: tiny(labelled_part=lambda self, part: Tiny.labelled_part(self, "train")),
        "of evaluation has 16 images, not 12",
    ),
    (
        "labelled_parts",
        lambda: tiny(TinyStacks, sample_part=lambda self, part, n, g: Stacked.sample_part(self, "judge", n, g)),
        "samples of the part train are not of its labelled images",
    ),
]


@pytest.mark.parametrize(("check", "make", "words"), BROKEN_IMAGES)
def test_broken_images_are_found(check: str, make: Callable[[], Any], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        {**IMAGES_CHECKS, **LABELLED_CHECKS}[check](make())


def test_sound_images_pass() -> None:
    checks = {**DATASET_CHECKS, **IMAGES_CHECKS, **LABELLED_CHECKS}
    assert check_dataset(SOUND_IMAGES) == dict.fromkeys(checks)


def test_every_check_has_a_specimen_that_it_finds() -> None:
    assert {check for check, _, _ in BROKEN_OBJECTIVES} == set(OBJECTIVE_CHECKS)
    assert {check for check, _, _ in BROKEN_DATASETS} == {*DATASET_CHECKS, *MIXTURE_CHECKS}
    assert {check for check, _, _ in BROKEN_IMAGES} == {*IMAGES_CHECKS, *LABELLED_CHECKS}


def test_a_data_set_that_is_no_mixture_is_spared_the_checks_of_mixtures() -> None:
    assert set(check_dataset(Loose())) == set(DATASET_CHECKS)
    assert set(check_dataset(Ring())) == {*DATASET_CHECKS, *MIXTURE_CHECKS}


def test_findings_put_a_strangers_exception_into_words() -> None:
    def explode(_: object) -> None:
        raise ZeroDivisionError("by zero")

    def pass_(_: object) -> None: ...

    assert list(findings({"a": explode, "b": pass_}, None)) == [("a", "ZeroDivisionError: by zero"), ("b", None)]


def test_checks_leave_global_randomness_as_it_was() -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1]  # noqa: NPY002
    check_objective(OBJECTIVES["wgan_gp"])
    check_dataset(Ring())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    np.testing.assert_array_equal(np.random.get_state()[1], before[2])  # noqa: NPY002
