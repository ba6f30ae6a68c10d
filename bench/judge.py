"""The judge of labelled images: a small classifier that learns the classes of a data set once, and is then kept.

It learns from the part ``judge``, which no generator learns from and no sample is compared with, and its accuracy is
measured on the part ``evaluation``, of which it has seen nothing. Recipes were compared by five-fold cross-validation
within the part ``judge``. The one kept did best of those tried on ``digits``; on ``mnist_5k`` wider networks and
stronger bending made 20 errors in place of 30 in 1,500. Held-out accuracies were seen before the recipe was settled.

Shape letters: N images, B batch, C channels, H and W pixels, K classes, F features, M images of the labelled set that
an image shows, in its channels.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from bench import seeding
from bench.cache import cache_folder
from bench.cell import canonical, digest, source_digest
from bench.records import publish_bytes
from datasets import DATASETS
from datasets.base import LabelledImages

VERSION = 1
"""Rises when judges change: it is part of the id of a cell that has one."""
FEATURES = 64
"""Of an image of the labelled set."""
INNERMOST = 128
"""Channels of the last convolution."""
STEPS, BATCH, RATE = 1000, 64, 4e-3
"""How long the judge learns, whatever the size of the set, and its largest rate."""
TURN, STRETCH, SHEAR, SHIFT, WARP = 0.2, 0.15, 0.15, 0.1, 0.05
"""How far images are bent: radians, shares, shares of half the image's side; the last is a standard deviation."""
CHUNK = 512
"""Images are looked at so many at a time."""
LARGEST_FILE = 1 << 26
"""Bytes of a judge; a larger file is none."""


@dataclass(frozen=True)
class Seen:
    """What a judge makes of images, on their device; NaN where an image is not finite, -1 for its class."""

    features: torch.Tensor
    """[N, M F], float32: what the network has computed before the last activation."""
    classes: torch.Tensor
    """[N], int64, from 0."""
    confidence: torch.Tensor
    """[N], float32, in (0, 1]: the softmax of the class that is named."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Judge:
    """A classifier that has learned."""

    of: str
    """The labelled set, as grids name it."""
    network: torch.nn.Sequential
    """Images of the labelled set [N, C, H, W] -> logits [N, K]; its last two modules make them of the features."""
    event_shape: tuple[int, ...]
    """(C, H, W) of the labelled set: of a stacked set, the shape of what is stacked."""
    features: int
    """How many an image of the data set has, M F."""
    accuracy: float
    """Share of the held-out images whose class it names; of a stacked set, of the images that are stacked."""
    n: int
    """How many held-out images there are."""
    digest: str
    """Of its weights: 16 hexadecimal digits."""

    def look(self, images: torch.Tensor) -> Seen:
        """Features, class and confidence of each image [N, M C, H, W].

        Where M is not 1, the judge looks at each C channels on their own: the class is ``sum_m class_m K^(M - 1 - m)``,
        the first the most significant; features are joined in order; the confidence is the product.

        Features are taken ahead of the activation, which would make half of them zero: the Fréchet distance takes them
        for Gaussian, and a direction along which all are zero makes a covariance singular.

        Raises:
            ValueError: the images are of another size, or have channels left over.
        """
        channels, height, width = self.event_shape
        if images.ndim != 4 or images.shape[2:] != (height, width) or images.shape[1] % channels:
            raise ValueError(f"the judge looks at images {list(self.event_shape)}, not {list(images.shape[1:])}")
        n, groups = len(images), images.shape[1] // channels
        features, logits = _see(self.network, images.reshape(n * groups, *self.event_shape))
        confidence, classes = logits.softmax(1).max(1)
        places = logits.shape[1] ** torch.arange(groups - 1, -1, -1, device=images.device)
        features, logits = (x.reshape(n, groups * x.shape[1]) for x in (features, logits))
        # An activation makes a number of infinity, and of a huge number infinity is made.
        finite = torch.stack([x.isfinite().all(1) for x in (images.flatten(1), features, logits)]).all(0)
        return Seen(
            features.where(finite[:, None], torch.nan),
            (classes.reshape(n, groups) * places).sum(1).where(finite, -1),
            confidence.reshape(n, groups).prod(1).where(finite, torch.nan),
        )


def judge_of(dataset: LabelledImages, say: Callable[[str], None], device: str = "cpu") -> Judge:
    """The judge of a data set: from the cache, or trained now, on one thread of the CPU, and put there.

    It is kept under a hash of all that decides it: the images and classes of both parts, this module's code, the
    version of torch. A file that is damaged, or another judge's, is made anew. Of processes that ask at once one
    trains, and the others wait for it.

    Args:
        dataset: whose ``labelled()`` the judge is to learn.
        say: told once, where training is about to begin.
        device: where the judge is to compute.
    """
    labelled, shape = dataset.labelled(), dataset.labelled().event_shape
    classes = len(labelled.class_weights())
    lesson, exam = labelled.labelled_part("judge"), labelled.labelled_part("evaluation")
    contents = [_digest({"images": images, "classes": named}) for images, named in (lesson, exam)]
    key = digest([contents, classes, source_digest(__name__), torch.__version__], 32)
    path = cache_folder() / "judges" / f"{key}.safetensors"
    network = _network(shape, classes)
    worth = _load(path, key, network)
    if worth is None:
        with _locked(path.with_suffix(".lock")):
            worth = _load(path, key, network)  # another process may have trained it while this one waited
            if worth is None:
                say(f"training the judge of {_name(labelled)}, once; about {_seconds(shape)} s")
                network.load_state_dict(_learn(*lesson, classes))
                worth = _publish(path, key, network, exam)
    features = dataset.event_shape[0] // shape[0] * FEATURES
    return Judge(
        of=_name(labelled), network=network.to(device), event_shape=shape, features=features, **worth._asdict()
    )


# --- the classifier


def _network(event_shape: tuple[int, ...], classes: int) -> torch.nn.Sequential:
    """Convolutions, of which each has half the side and twice the channels of the one before, then a hidden layer.

    It is as it learns nothing more, and begins with the same weights each time.
    """
    from torch import nn

    channels, *size = event_shape
    sizes = [size]
    while max(sizes[-1]) > 4:
        sizes.append([-(-side // 2) for side in sizes[-1]])
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):  # layers draw their weights from global randomness
        torch.default_generator.manual_seed(seeding.seed_of(0, "judge_init"))
        for index in range(len(sizes)):
            width = INNERMOST >> (len(sizes) - 1 - index)
            layers += [nn.MaxPool2d(2, ceil_mode=True)] if index else []
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        flat = channels * math.prod(sizes[-1])
        layers += [nn.Flatten(), nn.Linear(flat, FEATURES, bias=False), nn.BatchNorm1d(FEATURES)]
        return nn.Sequential(*layers, nn.ReLU(), nn.Linear(FEATURES, classes)).eval()


def _see(network: torch.nn.Sequential, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Features [N, F] and logits [N, K] of images [N, C, H, W], on their device."""
    like, found = next(network.parameters()), []
    with torch.no_grad():
        for chunk in torch.split(images, CHUNK):
            features = network[:-2](chunk.to(like))
            found.append((features.to(images.device), network[-2:](features).to(images.device)))
    features, logits = (torch.cat(parts) for parts in zip(*found, strict=True))
    return features, logits


def _learn(images: torch.Tensor, classes: torch.Tensor, named: int) -> dict[str, torch.Tensor]:
    """The weights that the images [N, C, H, W] of classes [N] teach: cross-entropy, AdamW, one cycle of the rate."""
    from torch.nn.functional import cross_entropy

    source = seeding.generator(0, "judge_data")
    network = _network(tuple(images.shape[1:]), named).train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, betas=(0.9, 0.99))
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS, pct_start=0.2)
    turns = [torch.randperm(len(images), generator=source) for _ in range(-(-STEPS * BATCH // len(images)))]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums depend on how they are shared out
    try:
        for batch in torch.split(torch.cat(turns)[: STEPS * BATCH], BATCH):
            bent = _bent(images[batch], source).contiguous(memory_format=torch.channels_last)
            loss = cross_entropy(network(bent), classes[batch])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            rates.step()
    finally:
        torch.set_num_threads(threads)
    return network.state_dict()


def _bent(images: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Images [B, C, H, W], each turned, stretched along either axis, sheared, shifted and warped by chance."""
    from torch.nn.functional import affine_grid, grid_sample, interpolate

    n = len(images)
    angle, wide, high, shear, right, down = 2 * torch.rand(6, n, generator=source) - 1
    cos, sin, zero = (TURN * angle).cos(), (TURN * angle).sin(), torch.zeros(n)
    turn = torch.stack([cos, -sin, sin, cos], 1).reshape(n, 2, 2)
    stretch = torch.stack([1 + STRETCH * wide, SHEAR * shear, zero, 1 + STRETCH * high], 1).reshape(n, 2, 2)
    shift = SHIFT * torch.stack([right, down], 1)[:, :, None]
    places = affine_grid(torch.cat([turn @ stretch, shift], 2), list(images.shape), align_corners=False)
    knots = WARP * torch.randn(n, 2, 4, 4, generator=source)
    warp = interpolate(knots, list(images.shape[2:]), mode="bicubic", align_corners=True)
    # What lies outside an image is 0 to grid_sample, and black is -1.
    return grid_sample(images + 1, places + warp.permute(0, 2, 3, 1), align_corners=False) - 1


# --- the cache


class _Worth(NamedTuple):
    accuracy: float
    n: int
    digest: str


def _publish(path: Path, key: str, network: torch.nn.Sequential, exam: tuple[torch.Tensor, torch.Tensor]) -> _Worth:
    """Examine a judge that has learned, and store it."""
    from safetensors.torch import save

    _, logits = _see(network, exam[0])
    accuracy = (logits.argmax(1) == exam[1]).to(torch.float64).mean().item()
    weights = network.state_dict()
    worth = _Worth(accuracy, len(exam[0]), _digest(weights)[:16])
    label = {"key": key, **worth._asdict()}
    publish_bytes(save(weights, {"judge": canonical([label, _digest(weights, label)])}), path)
    return worth


def _load(path: Path, key: str, network: torch.nn.Sequential) -> _Worth | None:
    """Give the network the weights that are stored; None where they are not there, damaged, or another judge's."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        if path.stat().st_size > LARGEST_FILE:
            return None
        data = path.read_bytes()
        weights = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        label, seal = json.loads(header["__metadata__"]["judge"])
        if seal != _digest(weights, label) or label.pop("key") != key:
            return None
        network.load_state_dict(weights)
        return _Worth(**label)
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError):
        return None


def _digest(tensors: Mapping[str, torch.Tensor], label: object = None) -> str:
    """SHA-256 of tensors and what is said of them."""
    state = hashlib.sha256(canonical(label).encode())
    for name in sorted(tensors):
        array = tensors[name].numpy()
        state.update(f"{name} {array.dtype} {array.shape};".encode())
        state.update(array.tobytes())
    return state.hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _name(labelled: LabelledImages) -> str:
    """In the table of data sets."""
    return next((name for name, kind in DATASETS.items() if kind is type(labelled)), type(labelled).__name__)


def _seconds(event_shape: tuple[int, ...]) -> int:
    """How long training takes on one core: measured 5 s for 8 x 8 pixels, 35 s for 28 x 28."""
    return round(3 + math.prod(event_shape[1:]) / 25)
