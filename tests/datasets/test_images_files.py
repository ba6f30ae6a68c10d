"""Image sets that need files: real ones, made here, through the real loading code of torchvision and Pillow."""

from __future__ import annotations

import gc
import gzip
import hashlib
import io
import os
import pickle
import shutil
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets
from PIL import Image

from bench.contracts import LABELLED_CHECKS, check_dataset, findings
from bench.errors import first_line
from datasets import images
from datasets.base import Images
from datasets.cifar10 import Cifar10
from datasets.fashion_mnist import FashionMnist
from datasets.image_folder import ImageFolder, _decode
from datasets.images import PARTS
from datasets.labelled_image_folder import LabelledImageFolder
from datasets.mnist import Mnist
from datasets.official import Official
from datasets.stacked_mnist import StackedMnist

TRAINING, TEST, JUDGE = 60, 20, 10


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data folder, and no memory of any other."""
    monkeypatch.setenv("GAN_BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("GAN_BENCH_DOWNLOAD", raising=False)
    images._held.cache_clear()
    yield tmp_path / "data"
    images._held.cache_clear()


def passes(dataset: Images) -> bool:
    return set(check_dataset(dataset).values()) == {None}


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


# Of torchvision's sets

Made = tuple[np.ndarray, np.ndarray]


def random_images(n: int, *shape: int, seed: int) -> Made:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, *shape), np.uint8), np.arange(n) % 10


def idx(array: np.ndarray) -> bytes:
    """The format of MNIST's files: 0, 0, the type's number (8: unsigned bytes), the rank, the sizes, the bytes."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


def write_mnist(place: Path, kind: type[Official]) -> dict[str, Made]:
    made = {"train": random_images(TRAINING, 28, 28, seed=1), "t10k": random_images(TEST, 28, 28, seed=2)}
    place.mkdir(parents=True)
    for word, (pixels, classes) in made.items():
        (place / f"{word}-images-idx3-ubyte.gz").write_bytes(idx(pixels))
        (place / f"{word}-labels-idx1-ubyte.gz").write_bytes(idx(classes))
    return {word: (pixels[:, None], classes) for word, (pixels, classes) in made.items()}


def write_cifar(place: Path, kind: type[Official]) -> dict[str, Made]:
    made = {"train": random_images(TRAINING, 3, 32, 32, seed=1), "t10k": random_images(TEST, 3, 32, 32, seed=2)}
    place.mkdir(parents=True)
    batches = [("test_batch", made["t10k"])]
    for k in range(5):
        cut = slice(12 * k, 12 * k + 12)
        batches.append((f"data_batch_{k + 1}", (made["train"][0][cut], made["train"][1][cut])))
    for name, (pixels, classes) in batches:
        content = {"data": pixels.reshape(len(pixels), -1), "labels": classes.tolist()}
        (place / name).write_bytes(pickle.dumps(content))
    (place / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    return made


def trust(kind: type[Official], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torchvision know the checksums of the files there, and the set how many images they have."""
    theirs = getattr(torchvision.datasets, kind.kind)
    if kind is Cifar10:
        for word in ("train_list", "test_list"):
            files = [[name, md5(place / name)] for name, _ in getattr(theirs, word)]
            monkeypatch.setattr(theirs, word, files)
        monkeypatch.setattr(theirs, "meta", {**theirs.meta, "md5": md5(place / "batches.meta")})
    else:
        monkeypatch.setattr(theirs, "resources", [(name, md5(place / name)) for name, _ in theirs.resources])
    for name, size in (("training", TRAINING), ("test", TEST), ("judge", JUDGE)):
        monkeypatch.setattr(kind, name, size)


Write = Callable[[Path, type[Official]], dict[str, Made]]
OFFICIAL: list[tuple[type[Official], Write]] = [
    (Mnist, write_mnist),
    (FashionMnist, write_mnist),
    (Cifar10, write_cifar),
]


@pytest.fixture(params=OFFICIAL, ids=lambda param: param[0].kind)
def official(
    request: pytest.FixtureRequest, data: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, Path, dict[str, Made]]:
    kind, write = request.param
    place = data.joinpath(*kind.folder)
    made = write(place, kind)
    trust(kind, place, monkeypatch)
    return kind(), place, made


def test_official_sets(official: tuple[Any, Path, dict[str, Made]]) -> None:
    dataset, _, made = official
    assert dataset.missing() is None
    assert passes(dataset)
    assert dataset.sizes() == {"train": TRAINING - JUDGE, "evaluation": TEST, "judge": JUDGE}

    def bytes_of(part: Any) -> list[tuple[bytes, int]]:
        x, classes = dataset.labelled_part(part)
        pixels = ((x.double() + 1) * 127.5).round().to(torch.uint8).numpy()
        return sorted((image.tobytes(), int(c)) for image, c in zip(pixels, classes, strict=True))

    def due(word: str) -> list[tuple[bytes, int]]:
        return sorted((image.tobytes(), int(c)) for image, c in zip(*made[word], strict=True))

    assert bytes_of("evaluation") == due("t10k")
    assert sorted(bytes_of("train") + bytes_of("judge")) == due("train")
    assert torch.bincount(dataset.labelled_part("judge")[1]).tolist() == [1] * 10
    assert dataset.class_weights().tolist() == pytest.approx([0.1] * 10)


def test_official_sizes_and_files_are_torchvisions() -> None:
    sizes = {Mnist: (50_000, 10_000, 10_000), FashionMnist: (50_000, 10_000, 10_000), Cifar10: (40_000, 10_000, 10_000)}
    for kind, due in sizes.items():
        dataset = kind()
        theirs = getattr(torchvision.datasets, dataset.kind)
        assert tuple(dataset.sizes()[part] for part in PARTS) == due
        assert set(dataset._checksums(theirs)) == set(dataset.files)
        assert dataset.home.startswith((theirs.url,) if kind is Cifar10 else tuple(theirs.mirrors))


def test_missing_files_are_named(official: tuple[Any, Path, dict[str, Made]]) -> None:
    dataset, place, _ = official
    for name in dataset.files[1:]:
        (place / name).unlink()
    words = dataset.missing()
    folder = "/".join(dataset.folder)
    rest = len(dataset.files) - 2
    assert words.startswith(
        f"{dataset.kind}: $GAN_BENCH_DATA/{folder} lacks {dataset.files[1]} and {rest} more; set GAN_"
    )
    assert words.endswith(f"put there what {dataset.home} has")
    with pytest.raises(FileNotFoundError) as caught:
        dataset.sample(1, torch.Generator())
    assert first_line(caught.value) == f"FileNotFoundError: {words}"


def test_the_folder_is_in_the_users_cache_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GAN_BENCH_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert images.data_folder() == tmp_path / "gan-objectives-bench" / "data"
    assert "$XDG_CACHE_HOME/gan-objectives-bench/data/MNIST/raw lacks" in str(Mnist().missing())
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert images.data_folder() == Path.home() / ".cache" / "gan-objectives-bench" / "data"
    assert "~/.cache/gan-objectives-bench/data/MNIST/raw lacks" in str(Mnist().missing())


def test_a_damaged_file_is_not_opened(official: tuple[Any, Path, dict[str, Made]], tmp_path: Path) -> None:
    dataset, place, _ = official
    name = dataset.files[-1]
    harm = f"cos\nsystem\n(S'touch {tmp_path}/opened'\ntR."
    (place / name).write_bytes(harm.encode())
    with pytest.raises(
        ValueError, match=f"{name} is damaged, or not the official file: its MD5 is not [0-9a-f]{{32}}$"
    ):
        dataset.sample(1, torch.Generator())
    assert not (tmp_path / "opened").exists()
    pickle.loads(harm.encode())  # noqa: S301 (what an unchecked file can do)
    assert (tmp_path / "opened").exists()


def test_unpacked_files_beside_are_not_trusted(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = data / "MNIST" / "raw"
    write_mnist(place, Mnist)
    trust(Mnist, place, monkeypatch)
    (place / "train-images-idx3-ubyte").write_bytes(b"something else")
    assert Mnist().sample(1, torch.Generator()).shape == (1, 1, 28, 28)


def test_torchvision_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert Cifar10().missing() == "CIFAR10 needs torchvision: pip install -e '.[images]'"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder that this machine serves to itself."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{served.server_port}/"
        served.shutdown()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_files_are_downloaded_if_asked_for(
    server: tuple[Path, str], data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, address = server
    made = tmp_path / "made"
    write_mnist(made, Mnist)
    trust(Mnist, made, monkeypatch)
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [address])
    assert "lacks" in str(Mnist().missing())
    monkeypatch.setenv("GAN_BENCH_DOWNLOAD", "1")
    assert Mnist().missing() is None
    with pytest.raises(
        FileNotFoundError, match=r"MNIST could not be downloaded; put what .* into .*/MNIST/raw"
    ) as caught:
        Mnist().sample(1, torch.Generator())
    assert "\n" not in str(caught.value)
    del caught
    gc.collect()  # torchvision leaves answers with an error open, of which Python warns when they are collected
    assert list(data.iterdir()) == []
    shutil.copytree(made, folder, dirs_exist_ok=True)
    assert Mnist().sample(1, torch.Generator()).shape == (1, 1, 28, 28)
    assert {path.name for path in (data / "MNIST" / "raw").iterdir()} == set(Mnist.files)


def test_stacked_mnist_of_the_whole(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = StackedMnist(source="mnist")
    assert "MNIST/raw lacks" in str(stack.missing())
    assert StackedMnist().missing() is None
    write_mnist(data / "MNIST" / "raw", Mnist)
    trust(Mnist, data / "MNIST" / "raw", monkeypatch)
    assert stack.missing() is None
    assert stack.sizes() == {"train": 50**3, "evaluation": 20**3, "judge": 10**3}
    assert dict(findings(LABELLED_CHECKS, stack)) == dict.fromkeys(LABELLED_CHECKS)


# Of folders


def write_folder(place: Path, each: int = 10, words: tuple[str, ...] = ("cat", "dog")) -> None:
    """PNG files of 8 x 8 grey pixels: of class k and number i, all of value 40 k + i."""
    for k, word in enumerate(words):
        (place / word).mkdir(parents=True)
        for i in range(each):
            Image.new("L", (8, 8), 40 * k + i).save(place / word / f"{i}.png")


def folder(kind: type[ImageFolder] = ImageFolder, **settings: Any) -> ImageFolder:
    """The set of what is there now."""
    settings = {"folder": "pets", "size": 8, "channels": 1, **settings}
    words = str(kind(**settings).missing())
    assert words.startswith("$GAN_BENCH_DATA/pets: beside folder, write digest: '"), words
    return kind(**settings, digest=words.split("'")[1])


def refusal(**settings: Any) -> str:
    """What is said of what is there now."""
    dataset = ImageFolder(**{"folder": "pets", "size": 8, "channels": 1, **settings})
    with pytest.raises(ValueError, match="pets") as caught:
        dataset.sample(1, torch.Generator())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def levels(x: torch.Tensor) -> list[int]:
    """Of images of one value each."""
    assert torch.equal(x.amin((1, 2, 3)), x.amax((1, 2, 3)))
    return sorted(((x[:, 0, 0, 0] + 1) * 127.5).round().int().tolist())


@pytest.mark.parametrize("kind", [ImageFolder, LabelledImageFolder])
def test_folders(data: Path, kind: type[ImageFolder]) -> None:
    write_folder(data / "pets", each=30)
    (data / "pets" / ".hidden").write_text("no image")
    dataset = folder(kind)
    assert passes(dataset)
    assert dataset.missing() is None
    assert dataset.sizes() == {"train": 24, "evaluation": 18, "judge": 18}
    seen = [levels(dataset.distinct(part, size, torch.Generator())) for part, size in dataset.sizes().items()]
    assert sorted(level for part in seen for level in part) == [*range(30), *range(40, 70)]
    if isinstance(dataset, LabelledImageFolder):
        for part in PARTS:
            x, classes = dataset.labelled_part(part)
            assert levels(x[classes == 0])[-1] < 40 <= levels(x[classes == 1])[0]
            assert torch.bincount(classes).tolist() == [len(x) // 2] * 2


def test_images_lying_in_the_folder_have_no_class(data: Path) -> None:
    write_folder(data / "pets", each=20, words=("cat",))
    shutil.move(data / "pets" / "cat", data / "pets2")
    (data / "pets").rmdir()
    shutil.move(data / "pets2", data / "pets")
    assert sum(folder().sizes().values()) == 20
    words = LabelledImageFolder(folder="pets").missing()
    assert (
        words
        == "$GAN_BENCH_DATA/pets: images belong into two or more sub-folders, one for each class, and nowhere else"
    )


def test_the_digest_tells_the_content(data: Path) -> None:
    write_folder(data / "pets")
    before, labelled = folder(), folder(LabelledImageFolder)
    cat = data / "pets" / "cat"
    (cat / "0.png").rename(cat / "another name.png")
    assert before.missing() is None
    cat.rename(cat.with_name("lynx"))
    assert before.missing() is None
    assert labelled.missing() is not None
    Image.new("L", (8, 8), 99).save(cat.with_name("lynx") / "1.png")
    found = folder().digest
    due = f"$GAN_BENCH_DATA/pets has other images, with digest: '{found}', not '{before.digest}'"
    assert before.missing() == due
    with pytest.raises(ValueError, match="has other images"):
        before.sample(1, torch.Generator())


def one(data: Path, image: Image.Image, size: int, channels: int) -> np.ndarray:
    """As the set has it: [C, H, W] in whole numbers."""
    data.mkdir()
    image.save(data / "image.png")
    return _decode(data / "image.png", size, channels)


def test_resized_and_cut_to_the_middle(data: Path) -> None:
    """Two grey squares side by side with a white one in the middle: the middle one is left, whatever the size."""
    image = Image.new("L", (96, 32), 50)
    image.paste(255, (32, 0, 64, 32))
    seen = one(data, image, size=16, channels=1)
    assert seen.shape == (1, 16, 16)
    assert (seen == 255).all()


def test_colours_and_transparency(data: Path) -> None:
    image = Image.new("RGBA", (8, 8), (200, 100, 50, 255))
    image.paste((9, 9, 9, 0), (0, 0, 8, 4))
    seen = one(data, image, size=8, channels=3)
    np.testing.assert_array_equal(seen[:, :4], 0)
    np.testing.assert_array_equal(seen[:, 4:], np.broadcast_to(np.array([200, 100, 50])[:, None, None], (3, 4, 8)))


def test_equal_images_are_in_one_part_of_a_folder(data: Path) -> None:
    write_folder(data / "pets", each=12)
    write_folder(data / "again" / "pets", each=12)
    shutil.move(data / "again" / "pets" / "dog", data / "pets" / "dog again")
    dataset = folder()
    sizes = dataset.sizes()
    seen = [set(levels(dataset.distinct(part, size, torch.Generator()))) for part, size in sizes.items()]
    assert sum(map(len, seen)) == 24 == len(set().union(*seen))


def bomb(side: int) -> bytes:
    """A PNG of so many black pixels each way in next to no bytes."""

    def chunk(word: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + word + content + struct.pack(">I", zlib.crc32(word + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


def png(image: Image.Image, format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()


NO_IMAGES: list[tuple[bytes, str]] = [
    (b"", "'pets/cat/x' is no image that can be used: cannot identify"),
    (b"a text, not an image", "cannot identify"),
    (png(Image.new("L", (64, 64), 7))[:-30], "'pets/cat/x' is no image that can be used: "),
    (png(Image.effect_noise((64, 64), 9), "JPEG")[:-400], "image file is truncated"),
    (png(Image.new("L", (64, 64), 7), "BMP"), "cannot identify"),
    (png(Image.new("I;16", (8, 8), 700)), "pixels of the kind I;16, not of 8 bits a channel"),
    (bomb(8200), "8200 x 8200 pixels are too many"),
    (bomb(40_000), "decompression bomb"),
    (b"\0" * (2**25 + 1), "'pets/cat/x' has 33,554,433 bytes, more than 33,554,432"),
]


@pytest.mark.parametrize(("content", "words"), NO_IMAGES, ids=range(len(NO_IMAGES)))
def test_what_is_no_image_is_refused(data: Path, content: bytes, words: str) -> None:
    write_folder(data / "pets")
    (data / "pets" / "cat" / "x").write_bytes(content)
    known = ImageFolder(folder="pets", size=8, channels=1).missing()
    digest = str(known).split("'")[1] if "digest" in str(known) else ""
    assert words in refusal(digest=digest)


def test_folders_that_do_not_fit_are_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal() == "there is no $GAN_BENCH_DATA/pets; put a folder of images, or a link to one, there"
    (data / "pets").mkdir(parents=True)
    assert refusal() == "$GAN_BENCH_DATA/pets has 0 images; between 10 and 200,000 of this size can be used"
    write_folder(data / "pets")
    (data / "pets" / "cat" / "gone").symlink_to("nowhere")
    assert refusal() == "'pets/cat/gone' cannot be read: No such file or directory"
    (data / "pets" / "cat" / "gone").unlink()
    os.mkfifo(data / "pets" / "cat" / "pipe")
    assert refusal() == "'pets/cat/pipe' is no file"
    (data / "pets" / "cat" / "pipe").unlink()
    (data / "pets" / "cat" / "0.png").unlink()
    words = LabelledImageFolder(folder="pets").missing()
    assert words == "$GAN_BENCH_DATA/pets: the class 'cat' has 9 images, fewer than 10"
    monkeypatch.setattr("datasets.image_folder.MOST_NUMBERS", 12 * 64)
    assert "has 19 images; between 10 and 12 of this size" in refusal()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"folder": "../secret"}, "folder must be the name of one in the data folder"),
        ({"folder": "/etc"}, "folder must be"),
        ({"folder": ""}, "folder must be"),
        ({"size": 7}, "size must be a whole number between 8 and 64"),
        ({"size": 65}, "size must be"),
        ({"channels": 2}, "channels must be 1 or 3, not 2"),
        ({"digest": "abc"}, "digest must be 16 hexadecimal digits in quotes, not 'abc'"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ImageFolder(**settings)
