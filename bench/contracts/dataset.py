"""What a data set must satisfy, and a mixture or a set of images besides.

Shape letters: n samples asked for, *E event, C, H, W channels, height and width of an image, K modes or classes.
"""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from itertools import combinations
from typing import Any, get_args

import numpy as np
import torch

from bench.contracts.common import Checks, GlobalRandomness, check_randomness, close, require
from datasets.base import Dataset, FlatMixture, Images, LabelledImages, Mixture, Part, PointMass

_SAMPLES = 20_000
_NUMBERS = 4_000_000
"""Of samples of high dimension fewer are drawn, so that a check takes a second, not a minute."""
_SIGMAS = 6
"""Bounds on sample statistics, in standard errors: one right sampler in 10^8 would fail, and the seed is fixed."""


def check_settings(dataset: Dataset) -> None:
    """A frozen dataclass with keyword-only settings, each with a default, that refuses numbers that are none."""
    kind = type(dataset)
    require(bool(dataclasses.is_dataclass(kind)), f"{kind.__name__} must be a dataclass of its settings")
    fields = [field for field in dataclasses.fields(kind) if field.init]  # type: ignore[arg-type]
    try:
        hash(dataset)
    except TypeError:
        raise AssertionError(f"{kind.__name__} must be frozen, with settings that can be hashed") from None
    for field in fields:
        require(
            bool(field.kw_only),
            f"the setting {field.name!r} must be keyword-only: @dataclass(frozen=True, kw_only=True)",
        )
        value = getattr(dataset, field.name)
        try:
            setattr(dataset, field.name, value)
        except dataclasses.FrozenInstanceError:
            pass
        else:
            raise AssertionError(f"{kind.__name__} must be frozen: its setting {field.name!r} can be changed")
        for wrong in _wrong_values(value):
            try:
                dataclasses.replace(dataset, **{field.name: wrong})  # type: ignore[type-var]
            except ValueError as error:
                lines = str(error).splitlines()
                plain = len(lines) == 1 and field.name in lines[0]
                require(
                    plain, f"the refusal of {field.name}={wrong!r} must be one line that names it, not {str(error)!r}"
                )
            else:
                raise AssertionError(f"{field.name}={wrong!r} is accepted: __post_init__ must raise a ValueError")


def _wrong_values(value: object) -> tuple[float, ...]:
    """For a float what is not a number; for a count what is no count."""
    if isinstance(value, float):
        return (math.nan, math.inf)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return (-value,)
    return ()


def check_samples(dataset: Dataset) -> None:
    """Samples are [n, *E], float32, finite, for any n, each a draw of its own, or each the point of a point mass."""
    event = dataset.event_shape
    fine = isinstance(event, tuple) and all(isinstance(size, int) and size >= 1 for size in event)
    require(fine, f"event_shape must be a tuple of positive whole numbers, not {event!r}")
    for n in (1, 7, 64):
        x = dataset.sample(n, torch.Generator().manual_seed(n))
        words = f"{n} samples must be float32 of shape {[n, *event]}; they are {x.dtype} of shape {list(x.shape)}"
        require(tuple(x.shape) == (n, *event) and x.dtype == torch.float32, words)
        require(bool(x.isfinite().all()), "some samples are not finite")
        require(x.device == torch.device("cpu"), f"a CPU generator must give CPU samples, not {x.device}")
    if isinstance(dataset, PointMass):
        point = dataset.point().to(torch.float32)
        require(point.shape == event and bool((x == point).all()), f"a sample is not the point {point.tolist()}")
    else:
        words = "64 samples are all the same; a data set that is one point says so with point()"
        require(bool((x != x[0]).any()), words)


def check_sample_randomness(dataset: Dataset) -> None:
    """Samples come from the generator given and from nothing else; those of a point mass from nothing at all."""
    if isinstance(dataset, PointMass):
        generator = torch.Generator().manual_seed(1)
        before = generator.get_state()
        with GlobalRandomness() as randomness:
            dataset.sample(64, generator)
        drawn = randomness.used or not torch.equal(generator.get_state(), before)
        require(not drawn, "the sample of a point mass draws random numbers")
    else:
        check_randomness(lambda generator: dataset.sample(64, generator), "the sample")


DATASET_CHECKS: Checks[Dataset] = {
    "settings": check_settings,
    "samples": check_samples,
    "sample_randomness": check_sample_randomness,
}
"""What a data set must pass."""


def check_modes(mixture: Mixture) -> None:
    """Means [K, *E] and weights [K] in float64 on the CPU; the means distinct, the weights a distribution."""
    means, weights = mixture.means(), mixture.weights()
    for what, values in (("means", means), ("weights", weights)):
        fine = values.dtype == torch.float64 and values.device == torch.device("cpu") and bool(values.isfinite().all())
        require(fine, f"the {what} must be finite, float64, on the CPU; they are {values.dtype} on {values.device}")
    require(tuple(means.shape[1:]) == mixture.event_shape, f"means of shape {list(means.shape)} are not [K, *E]")
    require(tuple(weights.shape) == (len(means),), f"{len(means)} means have weights of shape {list(weights.shape)}")
    require(bool((weights >= 0).all()), "a weight is negative")
    require(abs(weights.sum().item() - 1) < 1e-12, f"the weights sum to {weights.sum().item()!r}, not to 1")
    require(mixture.std > 0, f"std must be positive, not {mixture.std!r}")
    apart = _separation(means)
    require(apart > 1e-3 * mixture.std, f"two means coincide (they lie {apart:g} apart): {len(means)} modes are fewer")
    axes, numbers = _axes(mixture), means[0].numel()
    require(1 <= axes <= numbers, f"modes spread over {axes} axes, of {numbers}")
    if isinstance(mixture, FlatMixture):
        words = f"the planes of two modes coincide: their means agree beyond the first {axes} axes"
        require(_separation(means.flatten(1)[:, axes:]) > 0, words)


def check_std_refused(mixture: Mixture) -> None:
    """A std that is not positive is refused."""
    for wrong in (-mixture.std, 0.0):
        try:
            dataclasses.replace(mixture, std=wrong)  # type: ignore[type-var]
        except ValueError:
            continue
        raise AssertionError(f"std={wrong} is accepted: __post_init__ must raise a ValueError")


def check_law(mixture: Mixture) -> None:
    """Samples follow the mixture that means, std and weights say.

    Looked at: along some axes and directions mean, variance and the whole law; where modes lie apart, or in planes of
    their own, the share of each and the law around it.
    """
    from scipy import stats

    means, weights = mixture.means().flatten(1), mixture.weights()
    axes, numbers = _axes(mixture), means.shape[1]
    generator = torch.Generator().manual_seed(7)
    x = mixture.sample(_samples(mixture), generator).double().flatten(1)
    oblique = torch.randn(4, numbers, generator=generator, dtype=torch.float64)
    straight = torch.eye(axes, numbers, dtype=torch.float64)[:4]
    for direction in torch.cat([straight, oblique / oblique.norm(dim=1, keepdim=True)]):
        points, centres = x @ direction, means @ direction
        mean = weights @ centres
        std = mixture.std * direction[:axes].norm().item()
        variance = weights @ (centres - mean).square() + std**2
        where = f"along the direction {[round(part, 3) for part in direction[:4].tolist()]}"
        _check_mean(points, mean.item(), f"the samples' mean {where}")
        _check_mean((points - mean).square(), variance.item(), f"the samples' variance {where}")

        def cdf(at: Any, centres: torch.Tensor = centres, std: float = std) -> Any:
            return stats.norm.cdf(at[:, None], centres.numpy(), std) @ weights.numpy()

        _check_law(points, cdf, f"the samples {where} do not follow the mixture")
    flat = isinstance(mixture, FlatMixture)
    if flat or _separation(means) > 12 * mixture.std:
        telling = slice(axes if flat else 0, None)
        nearest = _distances(x[:, telling], means[:, telling]).argmin(1)
        for k, weight in enumerate(weights.tolist()):
            count = int((nearest == k).sum())
            p = float(stats.binomtest(count, len(x), weight).pvalue)
            require(p > 1e-8, f"the share of samples in mode {k} is {count / len(x):.4g}, not {weight:.4g}")
        _check_around(mixture, x, nearest, "samples around their modes")


def check_sample_modes(mixture: Mixture) -> None:
    """A sample from a named mode is normal around that mode's mean, in the order asked for."""
    means = mixture.means()
    modes = torch.arange(len(means)).repeat(-(-_samples(mixture) // len(means))).flip(0)
    x = mixture.sample_modes(modes, torch.Generator().manual_seed(3))
    words = f"samples of {len(modes)} modes must be float32 of shape {[len(modes), *mixture.event_shape]}"
    require(
        tuple(x.shape) == (len(modes), *mixture.event_shape) and x.dtype == torch.float32,
        f"{words}; they are {x.dtype} of shape {list(x.shape)}",
    )
    z = ((x.double() - means[modes]) / mixture.std).flatten(1)
    far = z[:, : _axes(mixture)].abs().max().item()
    require(far < 9, f"a sample lies {far:.3g} std from the mean of its mode along one axis")
    _check_around(mixture, x.double().flatten(1), modes, "samples of named modes")
    check_randomness(lambda generator: mixture.sample_modes(modes, generator), "the sample of named modes")


def _check_mean(values: torch.Tensor, expected: float, what: str) -> None:
    """The mean of independent values [n] is what it should be, within a bound from their own spread."""
    mean = values.mean().item()
    bound = _SIGMAS * values.std().item() / math.sqrt(len(values)) + 1e-6 * abs(expected)
    require(abs(mean - expected) <= bound, f"{what} is {mean:.4g}, not {expected:.4g}")


def _check_law(values: torch.Tensor, cdf: Any, words: str) -> None:
    from scipy import stats

    p = float(stats.kstest(values.numpy(), cdf).pvalue)
    require(p > 1e-8, f"{words} (Kolmogorov-Smirnov p = {p:.1g})")


def _check_around(mixture: Mixture, x: torch.Tensor, modes: torch.Tensor, what: str) -> None:
    """x [n, D] of these modes [n] is normal around their means along the axes that they spread over, else at them."""
    axes, offsets = _axes(mixture), x - mixture.means().flatten(1)[modes]
    leaves = offsets[:, axes:].abs().amax().item() if axes < x.shape[1] else 0.0
    require(leaves == 0, f"of {what}, one is {leaves:.3g} off along an axis that no mode spreads over")
    z = offsets[:, :axes] / mixture.std
    _check_mean(z.flatten(), 0.0, f"the mean of {what}, in std,")
    _check_mean(z.square().flatten(), 1.0, f"the variance of {what}, in std^2,")
    _check_law(z.flatten()[: 2 * _SAMPLES], "norm", f"{what} are not normal")


def check_log_prob(mixture: Mixture) -> None:
    """The log density equals scipy's, near the modes and far from them, and the density integrates to 1."""
    from scipy import special, stats

    means, weights = mixture.means().flatten(1), mixture.weights()
    axes, n = _axes(mixture), _samples(mixture)
    variances = np.zeros(means.shape[1])
    variances[:axes] = mixture.std**2
    generator = torch.Generator().manual_seed(11)
    near = mixture.sample(200, generator).double()
    noise = torch.randn(near.shape, generator=generator, dtype=torch.float64)
    noise.flatten(1)[:, axes:] = 0
    x = torch.cat([near, near + 50 * mixture.std * noise, near + 1e3])
    ours = mixture.log_prob(x)
    require(tuple(ours.shape) == (len(x),), f"log_prob of {len(x)} points has shape {list(ours.shape)}, not [n]")
    shape = stats.Covariance.from_diagonal(variances)
    normals = [stats.multivariate_normal.logpdf(x.flatten(1).numpy(), mean.numpy(), shape) for mean in means]
    theirs = special.logsumexp(np.stack(normals, 1), axis=1, b=weights.numpy())
    close(
        ours.double(), torch.as_tensor(theirs), "log_prob differs from the mixture's log density", rtol=1e-6, atol=1e-6
    )

    # Importance sampling from the same modes, wider by as much as keeps the ratio's variance small in any dimension.
    wide = mixture.std * math.sqrt(1 + 1 / math.sqrt(axes))
    modes = torch.multinomial(weights, n, replacement=True, generator=generator)
    y = means[modes]
    y[:, :axes] += wide * torch.randn(n, axes, generator=generator, dtype=torch.float64)
    squares = _distances(y[:, :axes], means[:, :axes]).square() / wide**2
    squares[_distances(y[:, axes:], means[:, axes:]) > 0] = math.inf
    proposal = torch.logsumexp(weights.log() - squares / 2, 1) - axes * math.log(wide * math.sqrt(2 * math.pi))
    ratio = (mixture.log_prob(y.reshape(n, *mixture.event_shape)).double() - proposal).exp()
    _check_mean(ratio, 1.0, "the integral of the density")


def _axes(mixture: Mixture) -> int:
    """How many numbers of an event a mode spreads over: the first ones."""
    return mixture.axes if isinstance(mixture, FlatMixture) else math.prod(mixture.event_shape)


def _samples(mixture: Mixture) -> int:
    """How many samples a check draws."""
    return max(1000, min(_SAMPLES, _NUMBERS // math.prod(mixture.event_shape)))


def _distances(x: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    """Between x [n, D] and means [K, D] -> [n, K], exactly 0 where they are equal, and where D is 0."""
    return torch.cdist(x, means, compute_mode="donot_use_mm_for_euclid_dist")


def _separation(means: torch.Tensor) -> float:
    """The least distance between two means; infinite for a single one."""
    flat = means.flatten(1)
    return torch.nn.functional.pdist(flat).min().item() if len(flat) > 1 else math.inf


MIXTURE_CHECKS: Checks[Mixture] = {
    "modes": check_modes,
    "std_refused": check_std_refused,
    "law": check_law,
    "sample_modes": check_sample_modes,
    "log_prob": check_log_prob,
}
"""What a mixture must pass as well."""


_PARTS: tuple[Part, ...] = get_args(Part)
_DRAWS = 200
"""Images that are looked at of each part."""
_ENDLESS = 10**5
"""A part with more images than this is not asked for all of them."""


def check_parts(images: Images) -> None:
    """Samples of each part are [n, C, H, W], float32, in [-1, 1]; those of the set are those of the part ``train``."""
    event = images.event_shape
    require(len(event) == 3, f"event_shape must be (C, H, W), not {event!r}")
    sizes = images.sizes()
    fine = all(isinstance(size, int) and size > 0 for size in sizes.values()) and set(sizes) in ({*_PARTS}, set())
    require(fine, f"sizes must say how many images each of {', '.join(_PARTS)} has, or nothing, not {sizes!r}")
    for part in _PARTS:
        x = images.sample_part(part, 64, torch.Generator().manual_seed(0))
        words = f"64 images of the part {part} must be float32 of shape {[64, *event]}"
        require(tuple(x.shape) == (64, *event) and x.dtype == torch.float32, f"{words}; are {x.dtype}, {list(x.shape)}")
        require(bool((x.abs() <= 1).all()), f"images of the part {part} leave [-1, 1]: to {x.abs().max().item():g}")
    first, other = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    same = torch.equal(images.sample(64, first), images.sample_part("train", 64, other))
    require(same, "sample does not draw from the part train as sample_part does")


def check_part_randomness(images: Images) -> None:
    """The draws of every part come from the generator given and from nothing else."""
    for part in _PARTS:
        for name, draw in (("sample_part", images.sample_part), ("distinct", images.distinct)):
            n = min(8, images.sizes().get(part, 8))
            check_randomness(partial(draw, part, n), f"{name} of the part {part}")


def check_distinct(images: Images) -> None:
    """No image comes twice; of a finite part all come, in an order that the generator says, and no more."""
    for part in _PARTS:
        size = images.sizes().get(part, _ENDLESS)
        x = images.distinct(part, min(size, _DRAWS), torch.Generator().manual_seed(5))
        rows = _rows(x)
        words = f"distinct images of the part {part} must be {min(size, _DRAWS)} of shape {list(images.event_shape)}"
        require(tuple(x.shape) == (min(size, _DRAWS), *images.event_shape) and x.dtype == torch.float32, words)
        require(len(set(rows)) == len(rows), f"of {len(rows)} distinct images of the part {part}, two are the same")
        if size >= _ENDLESS:
            continue
        orders = [_rows(images.distinct(part, size, torch.Generator().manual_seed(seed))) for seed in (1, 2)]
        require(
            sorted(orders[0]) == sorted(orders[1]), f"all {size} of the part {part} are other ones for another seed"
        )
        try:
            images.distinct(part, size + 1, torch.Generator())
        except ValueError:
            continue
        raise AssertionError(f"the part {part} of {size} images gives {size + 1} distinct ones: raise a ValueError")


def check_disjoint(images: Images) -> None:
    """No image is in two parts."""
    found = {}
    for part in _PARTS:
        n = images.sizes().get(part, _ENDLESS)
        found[part] = set(_rows(images.distinct(part, n if n < _ENDLESS else _DRAWS, torch.Generator().manual_seed(9))))
    for one, other in combinations(_PARTS, 2):
        common = len(found[one] & found[other])
        require(not common, f"{common} images are in the part {one} and in the part {other}")


IMAGES_CHECKS: Checks[Images] = {
    "parts": check_parts,
    "part_randomness": check_part_randomness,
    "distinct": check_distinct,
    "disjoint": check_disjoint,
}
"""What a set of images must pass as well."""


def check_classes(images: LabelledImages) -> None:
    """Weights [K], float64, on the CPU: a distribution; of stacked images, the product of what each channel shows."""
    single = images.labelled()
    again = single.labelled()
    require(again == single, f"labelled() of {single!r} is not itself but {again!r}")
    event, own = images.event_shape, single.event_shape
    fits = own[1:] == event[1:] and event[0] % own[0] == 0
    require(fits, f"images of shape {list(event)} are not made of channels of shape {list(own)}")
    due = torch.ones(1, dtype=torch.float64)
    for _ in range(event[0] // own[0]):
        due = torch.outer(due, single.class_weights()).flatten()
    weights = images.class_weights()
    require(
        tuple(weights.shape) == tuple(due.shape), f"class_weights has shape {list(weights.shape)}, not [{len(due)}]"
    )
    fine = weights.dtype == torch.float64 and weights.device == torch.device("cpu") and bool((weights >= 0).all())
    require(fine and abs(weights.sum().item() - 1) < 1e-12, "class_weights must be shares, float64, on the CPU")
    close(weights, due, "class_weights are not the products of the channels' weights")


def check_labelled_parts(images: LabelledImages) -> None:
    """All of a part of ``labelled()`` with its classes; samples of the part show images of it."""
    single = images.labelled()
    weights, event = single.class_weights(), single.event_shape
    for part in _PARTS:
        x, classes = images.labelled_part(part)
        words = f"labelled_part of {part} must be float32 images [n, C, H, W] and int64 classes [n] on the CPU"
        fine = x.dtype == torch.float32 and classes.dtype == torch.int64 and x.device == classes.device
        require(fine and tuple(x.shape) == (len(x), *event) and tuple(classes.shape) == (len(x),), words)
        size = single.sizes().get(part, len(x))
        require(len(x) == size, f"labelled_part of {part} has {len(x)} images, not {size}")
        there = torch.unique(classes).tolist()
        words = f"the classes of the part {part} must be all of 0 to {len(weights) - 1}; there are {there}"
        require(there == list(range(len(weights))), words)
        drawn = images.sample_part(part, 64, torch.Generator().manual_seed(3)).reshape(-1, *event)
        strange = len(set(_rows(drawn)) - set(_rows(x)))
        require(not strange, f"{strange} of 64 samples of the part {part} are not of its labelled images")
        if part == "train":
            shares = torch.bincount(classes, minlength=len(weights)).to(torch.float64) / len(classes)
            close(weights, shares, "class_weights are not the shares of the classes in the part train")


def _rows(x: torch.Tensor) -> list[bytes]:
    """Each image as bytes, to compare it with others."""
    return [image.tobytes() for image in x.numpy()]


LABELLED_CHECKS: Checks[LabelledImages] = {"classes": check_classes, "labelled_parts": check_labelled_parts}
"""What a set of images with classes must pass as well."""
