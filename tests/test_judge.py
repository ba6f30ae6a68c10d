"""The judge: what it knows, what it makes of images, and that it is trained once."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score

from bench import judge as subject
from bench.judge import Judge, judge_of
from datasets import DATASETS
from datasets.base import LabelledImages, Part

Images = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Quarters:
    """Four classes of 8 x 8 images: which quarter is bright, in noise."""

    noise: float = 0.8
    offset: int = 0

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (1, 8, 8)

    def class_weights(self) -> torch.Tensor:
        return torch.full((4,), 0.25, dtype=torch.float64)

    def labelled(self) -> Quarters:
        return self

    def labelled_part(self, part: Part) -> Images:
        source = torch.Generator().manual_seed(self.offset + ("judge", "evaluation").index(part))
        classes = torch.arange(96) % 4
        images = torch.full((96, 1, 8, 8), -1.0)
        for index, name in enumerate(classes):
            row, column = 4 * (int(name) // 2), 4 * (int(name) % 2)
            images[index, :, row : row + 4, column : column + 4] = 1.0
        return images + self.noise * torch.randn(images.shape, generator=source), classes


@dataclass(frozen=True, kw_only=True)
class StackedQuarters(Quarters):
    @property
    def event_shape(self) -> tuple[int, ...]:
        return (3, 8, 8)

    def class_weights(self) -> torch.Tensor:
        return torch.full((64,), 1 / 64, dtype=torch.float64)

    def labelled(self) -> Quarters:
        return Quarters(noise=self.noise, offset=self.offset)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def short(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    monkeypatch.setattr(subject, "STEPS", 30)


def of(dataset: object, said: list[str]) -> Judge:
    assert isinstance(dataset, Quarters | LabelledImages)
    return judge_of(dataset, said.append)


def stored(home: Path) -> list[Path]:
    return sorted(home.glob("gan-objectives-bench/judges/*.safetensors"))


def weights(judge: Judge) -> list[torch.Tensor]:
    return list(judge.network.state_dict().values())


def same(one: Judge, other: Judge) -> bool:
    return one.digest == other.digest and all(map(torch.equal, weights(one), weights(other)))


@pytest.fixture
def judge(home: Path) -> Judge:
    return of(Quarters(), [])


def test_the_accuracy_is_that_on_the_part_held_out(judge: Judge) -> None:
    images, classes = Quarters().labelled_part("evaluation")
    named = judge.look(images).classes
    assert judge.accuracy == pytest.approx(accuracy_score(classes.numpy(), named.numpy()), abs=1e-12)
    assert judge.accuracy > 0.9
    assert judge.n == 96


def test_confidence_and_class_are_a_softmax_of_the_features_activated(judge: Judge) -> None:
    images = Quarters(offset=5).labelled_part("judge")[0]
    seen = judge.look(images)
    last = judge.network[-1].state_dict()
    logits = np.maximum(seen.features.numpy(), 0) @ last["weight"].numpy().T + last["bias"].numpy()
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(seen.confidence.numpy(), shares.max(1), rtol=1e-5)
    np.testing.assert_array_equal(seen.classes.numpy(), shares.argmax(1))
    assert seen.features.shape == (96, judge.features)
    assert (seen.features < 0).any(1).all()  # ahead of the activation
    assert (seen.features.dtype, seen.classes.dtype) == (torch.float32, torch.int64)


def test_a_stack_is_looked_at_channel_by_channel(judge: Judge) -> None:
    said: list[str] = []
    stacked = of(StackedQuarters(), said)
    assert said == []  # it is the judge of what is stacked
    assert same(stacked, judge)
    images = Quarters(noise=1.5, offset=7).labelled_part("judge")[0].reshape(32, 3, 8, 8)
    seen, alone = stacked.look(images), [judge.look(images[:, [channel]]) for channel in range(3)]
    first, second, third = (one.classes.tolist() for one in alone)
    assert seen.classes.tolist() == [int(f"{a}{b}{c}", 4) for a, b, c in zip(first, second, third, strict=True)]
    np.testing.assert_allclose(seen.features, np.concatenate([one.features for one in alone], 1), atol=1e-5)
    np.testing.assert_allclose(seen.confidence, np.prod([one.confidence.numpy() for one in alone], 0), rtol=1e-5)
    assert stacked.features == 3 * judge.features == seen.features.shape[1]


def test_what_is_not_finite_is_not_judged(judge: Judge) -> None:
    images = torch.zeros(4, 3, 8, 8)
    images[0, 1, 2, 3] = torch.nan
    images[1, 2, 7, 7] = -torch.inf  # an activation makes 0 of it
    images[2] = torch.finfo().max  # sums of which are infinite
    seen = judge.look(images)
    assert seen.classes.tolist()[:3] == [-1, -1, -1]
    assert seen.classes[3] >= 0
    for numbers in (seen.confidence[:, None], seen.features):
        assert numbers[:3].isnan().all()
        assert numbers[3].isfinite().all()
    assert judge.look(images[:0]).features.shape == (0, 3 * judge.features)


def test_noise_is_judged_with_less_confidence(judge: Judge) -> None:
    noise = judge.look(torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    assert noise.features.isfinite().all()
    assert noise.confidence.mean() < judge.look(Quarters().labelled_part("evaluation")[0]).confidence.mean() - 0.1


def test_many_images_are_looked_at_in_pieces(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    images = Quarters().labelled_part("evaluation")[0]
    whole = judge.look(images)
    monkeypatch.setattr(subject, "CHUNK", 7)
    sizes: list[int] = []
    hook = judge.network[0].register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    pieces = judge.look(images)
    hook.remove()
    assert sizes == [7] * 13 + [5]
    torch.testing.assert_close(pieces.features, whole.features)
    assert not pieces.features.requires_grad


@pytest.mark.parametrize("shape", [(5, 1, 8, 9), (5, 64), (1, 8, 8)])
def test_images_of_another_size_are_refused(judge: Judge, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"the judge looks at images \[1, 8, 8\]"):
        judge.look(torch.zeros(shape))


def test_it_is_trained_once_and_said_once(judge: Judge, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_learn", None)
    said: list[str] = []
    again = of(Quarters(), said)
    assert said == []
    assert same(again, judge)
    assert (again.accuracy, again.n) == (judge.accuracy, judge.n)


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def no_file(path: Path) -> None:
    path.write_bytes(b"\xff" * 64)


def better(path: Path) -> None:
    """A claim that its weights do not bear out."""
    data = path.read_bytes()
    path.write_bytes(data.replace(rb"\"n\":96", rb"\"n\":99"))


def anothers(path: Path) -> None:
    (other,) = (file for file in stored(path.parents[2]) if file != path)
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("spoil", [damaged, cut, no_file, better, anothers])
def test_a_file_that_cannot_be_believed_is_made_anew(
    spoil: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(subject, "STEPS", 4)
    first = of(Quarters(), [])
    (path,) = stored(tmp_path)
    good = path.read_bytes()
    if spoil is anothers:
        of(Quarters(offset=2), [])
    spoil(path)
    assert path.read_bytes() != good
    torch.rand(3)  # randomness of others must not matter
    said: list[str] = []
    second = of(Quarters(), said)
    assert said == ["training the judge of Quarters, once; about 6 s"]
    assert same(first, second)
    assert path.read_bytes() == good


@pytest.mark.parametrize("changed", ["settings", "images", "code", "torch"])
def test_another_judge_has_another_name(
    changed: str, judge: Judge, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "STEPS", 2)
    before = stored(home)
    dataset = Quarters()
    if changed == "settings":
        dataset = Quarters(noise=0.7)
    elif changed == "images":
        part = Quarters.labelled_part
        monkeypatch.setattr(
            Quarters, "labelled_part", lambda self, name: (part(self, name)[0].flip(0), part(self, name)[1])
        )
    elif changed == "code":
        monkeypatch.setattr(subject, "source_digest", lambda module: f"another {module}")
    else:
        monkeypatch.setattr(torch, "__version__", "0")
    said: list[str] = []
    other = of(dataset, said)
    assert len(said) == 1
    assert len(set(stored(home)) - set(before)) == 1
    assert other.digest != judge.digest


def test_training_leaves_the_process_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(subject, "STEPS", 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        before = torch.get_rng_state()
        of(Quarters(offset=3), [])
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), before)
    finally:
        torch.set_num_threads(threads)


def ask(folder: Path, gate: object) -> None:
    torch.set_num_threads(1)  # the others of the pool have stayed with the parent
    gate.wait()
    found = judge_of(Quarters(), lambda text: (folder / f"said-{os.getpid()}").write_text(text))
    (folder / f"digest-{os.getpid()}").write_text(found.digest)


def test_of_processes_that_ask_at_once_one_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fork = multiprocessing.get_context("fork")
    gate = fork.Barrier(2)
    children = [fork.Process(target=ask, args=(tmp_path, gate), daemon=True) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0]
    assert len(list(tmp_path.glob("said-*"))) == 1
    digests = [path.read_text() for path in tmp_path.glob("digest-*")]
    assert len(digests) == 2
    assert len(set(digests)) == 1


@pytest.mark.campaign
@pytest.mark.parametrize(("name", "least"), [("digits", 0.98), ("mnist_5k", 0.98)])
def test_real_digits_are_told_apart(name: str, least: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dataset = DATASETS[name]()
    said: list[str] = []
    found = of(dataset, said)
    images, classes = dataset.labelled_part("evaluation")
    assert found.accuracy == accuracy_score(classes.numpy(), found.look(images).classes.numpy())
    assert found.accuracy >= least
    assert said[0].startswith(f"training the judge of {name}, once; about ")
