"""The extra for Inception features: with weights drawn at random, since the real ones are not in the checkout."""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench import inception
from bench.errors import UserError


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    inception._extractor.cache_clear()
    yield
    inception._extractor.cache_clear()


def offer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the file be the weights that are looked for, by name and digest."""
    monkeypatch.setenv(inception.VARIABLE, str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(inception, "FILE", f"weights-{digest[:8]}.pth")


def test_features(tmp_path, monkeypatch):
    theirs = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    monkeypatch.setattr(theirs.FeatureExtractorInceptionV3, "INPUT_IMAGE_SIZE", 75)  # the least, for speed
    torch.manual_seed(0)
    with monkeypatch.context() as patch:  # a network with the weights it draws before it would replace them
        patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(theirs.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = theirs.FeatureExtractorInceptionV3("random", ["2048"])
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    offer(tmp_path / "weights.pth", monkeypatch)

    before = torch.get_rng_state()
    steps = torch.arange(256).reshape(1, 1, 16, 16)
    grey = torch.where(steps == 255, 1.5, steps / 255 * 2 - 1)
    monkeypatch.setattr(inception, "BATCH", 1)
    found = inception.features(torch.cat([grey, torch.where(steps == 3, torch.nan, grey)]))
    in_colour = inception.features(grey.repeat(1, 3, 1, 1))
    (expected,) = network(steps.to(torch.uint8).repeat(1, 3, 1, 1))
    assert found.shape == (2, 2048)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(found[:1], expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(in_colour, expected, rtol=1e-5, atol=0)
    assert found[1].isnan().all()


def test_a_file_that_would_run_something_is_not_run(tmp_path, monkeypatch):
    pytest.importorskip("torch_fidelity")

    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"fc.weight": Trap()}, tmp_path / "weights.pth")
    offer(tmp_path / "weights.pth", monkeypatch)
    with pytest.raises(pickle.UnpicklingError):
        inception.features(torch.zeros(1, 1, 8, 8))
    assert not (tmp_path / "sprung").exists()


def test_what_is_missing_is_said_in_one_line(tmp_path, monkeypatch):
    pytest.importorskip("torch_fidelity")
    monkeypatch.delenv(inception.VARIABLE, raising=False)
    with pytest.raises(UserError, match=r"^.*set GAN_BENCH_INCEPTION_WEIGHTS to the path of weights-inception-2015.*$"):
        inception.weights()
    path = tmp_path / "other.pth"
    monkeypatch.setenv(inception.VARIABLE, str(path))
    with pytest.raises(UserError, match=r"^GAN_BENCH_INCEPTION_WEIGHTS: .*other\.pth: No such file.*$"):
        inception.weights()
    path.write_bytes(b"abc")  # whose SHA-256 is the standard's example, ba7816bf...
    with pytest.raises(
        UserError, match=r"^.*other\.pth: its SHA-256 begins with ba7816bf, that of .* with 6726825d.*$"
    ):
        inception.weights()
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(UserError, match=r"^.*need torch-fidelity: pip install -e '\.\[inception\]'$"):
        inception.weights()


def test_images_of_two_channels_are_refused():
    with pytest.raises(ValueError, match=r"images \[N, 1 or 3, H, W\], not \[4, 2, 8, 8\]"):
        inception.features(torch.zeros(4, 2, 8, 8))


def test_the_name_of_the_file_is_that_of_torch_fidelity():
    theirs = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    assert theirs.URL_INCEPTION_V3.endswith(f"/{inception.FILE}")
