"""Features of Inception v3, which published scores of images are made of: an extra, with weights from a local file.

Shape letters: N images, C channels, H and W pixels.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from bench.errors import UserError

VARIABLE = "GAN_BENCH_INCEPTION_WEIGHTS"
"""Environment variable with the path of the weights."""
FILE = "weights-inception-2015-12-05-6726825d.pth"
"""TensorFlow's weights of 2015 as torch-fidelity's releases offer them; the name ends as their SHA-256 begins."""
BATCH = 32
"""Images a pass: they are enlarged to 299 x 299, and each takes about 20 MB on the way."""


def features(images: torch.Tensor) -> torch.Tensor:
    """What Inception v3 makes of images [N, C, H, W] in [-1, 1] before it names a class: [N, 2048], float32.

    As torch-fidelity computes it: 8-bit colours, enlarged to 299 x 299 as TensorFlow 1 did, the network of Szegedy et
    al. 2015 (arXiv:1512.00567) with TensorFlow's weights of 2015, on the images' device. Values beyond the range are
    cut, grey images repeated in three channels; an image that is not finite has features NaN.

    Raises:
        UserError: as ``weights`` does.
        ValueError: images are neither grey nor in colour.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"Inception looks at images [N, 1 or 3, H, W], not {list(images.shape)}")
    extract = _extractor(images.device)
    finite = images.flatten(1).isfinite().all(1, keepdim=True)
    pixels = ((images.clamp(-1, 1) + 1) / 2 * 255).round().nan_to_num().to(torch.uint8).expand(-1, 3, -1, -1)
    found = torch.cat([extract(part)[0] for part in torch.split(pixels, BATCH)])
    return found.where(finite, torch.nan)


def weights() -> bytes:
    """The content of the file of weights: read before anything is trained it tells what is missing.

    Raises:
        UserError: the extra is not installed, the variable not set, the file not there, or another than it should be.
    """
    if importlib.util.find_spec("torch_fidelity") is None:
        raise UserError("Inception's features need torch-fidelity: pip install -e '.[inception]'")
    path = os.environ.get(VARIABLE)
    if not path:
        raise UserError(f"Inception's weights are not downloaded: set {VARIABLE} to the path of {FILE}")
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{VARIABLE}: {path}: {error.strerror}; it should be the path of {FILE}") from error
    digest, expected = hashlib.sha256(content).hexdigest(), Path(FILE).stem.rsplit("-", 1)[1]
    if not digest.startswith(expected):
        raise UserError(
            f"{VARIABLE}: {path}: its SHA-256 begins with {digest[:8]}, that of {FILE} with {expected}: "
            "damaged or another file"
        )
    return content


@lru_cache(maxsize=1)
def _extractor(device: torch.device) -> Any:
    """torch-fidelity's network, which gives a tuple of the features asked for."""
    content = weights()
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # It would unpickle whatever the file holds; what is written here has been read as tensors and nothing else.
    safe = io.BytesIO()
    torch.save(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True), safe)
    safe.seek(0)
    with torch.random.fork_rng(devices=[]):  # its layers draw weights from global randomness before they are replaced
        network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=safe)
    return network.to(device)
