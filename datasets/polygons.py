"""Pictures of random convex polygons: an endless set of images that form a known surface of few dimensions.

Shape letters: n images, V vertices, S pixels along a side, P numbers that fix an image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

import torch

from datasets.base import Part, require_count

MIN_ANGLE = 20.0
"""Degrees: each vertex keeps half of it from the start of its share of the circle, and so from the vertex before."""
SCALE = 0.75
"""Of the image's side: the circle's diameter."""
MAX_TURN = 2 * math.pi
"""Degrees, not radians."""

PIECE = 16
"""Images at once, whose search fits the processor's cache."""
EXAMPLES = 4096
"""Polygons in which the search for the nearest one begins."""
STARTS = 4
"""How many of these it goes on from."""
ITERATIONS = 12
"""Least-squares steps from each."""
NUDGE = 1e-6
"""Of a number, to see what it does to the image; float64 has digits to spare."""


@dataclass(frozen=True, kw_only=True)
class Polygons:
    """White convex polygons on black, in [-1, 1]: events [1, size, size]; values between are partly covered pixels.

    With ``vertices`` V and u_0 ... u_V independent and uniform on [0, 1], vertex i lies on a circle of diameter .75
    ``size``, at the angle of ``360 i / V + 10 + (360 / V - 10) u_i - 2 pi u_V`` degrees from the axis of rows; then the
    polygon is moved so that the mean of its vertices is the middle of the image. A pixel is ``2 a - 1`` for the part a
    of its area that the polygon covers. All images are thus of a set of V dimensions (u_V mostly repeats what the
    others can do), the images of all u in the unit cube, from which ``distances`` measures.

    Every draw is fresh, so that the set is endless: parts are disjoint since no polygon is drawn twice but by rounding,
    and even generators in one state give each part images of its own; ``distinct`` gives any n; ``sizes`` is empty.

    Lucic et al. 2018 (arXiv:1711.10337); law and constants are those of their code, compare_gan's
    ``Convex_Polygons_Dataset.ipynb`` with 3 vertices, 28 pixels. There the random rotation is given in radians to a
    function that asks for degrees, which is why it is of at most 6.28 degrees; it is kept.

    Departures: white on black for black on white; [-1, 1] for [0, 1]; the exact area for the share of 8 x 8 points; the
    middle of the image for a place .44 pixels below it and to its right; fresh images for 80,000 fixed ones.
    """

    vertices: int = 3
    size: int = 28

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range."""
        require_count("vertices", self.vertices, int(360 / MIN_ANGLE), least=3)
        require_count("size", self.size, 64, least=8)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """One grey channel of a square."""
        return (1, self.size, self.size)

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Independent images [n, 1, S, S], float32, on the generator's device."""
        return self.sample_part("train", n, generator)

    def sample_part(self, part: Part, n: int, generator: torch.Generator) -> torch.Tensor:
        """The same for any part: of every three polygons drawn, one is of each."""
        turns = torch.rand(n, 3, self.vertices + 1, generator=generator, device=generator.device, dtype=torch.float64)
        covered = self.covered(turns[:, get_args(Part).index(part)])
        return (2 * covered - 1).to(torch.float32).unsqueeze(1)

    def distinct(self, part: Part, n: int, generator: torch.Generator) -> torch.Tensor:
        """The same: no polygon is drawn twice."""
        return self.sample_part(part, n, generator)

    def sizes(self) -> dict[Part, int]:
        """Nothing, since no part has an end."""
        return {}

    def covered(self, u: torch.Tensor) -> torch.Tensor:
        """The part of each pixel that a polygon covers: u [n, V + 1] in [0, 1] -> [n, S, S]."""
        share = 360 / self.vertices
        first = torch.arange(self.vertices, device=u.device, dtype=u.dtype) * share + MIN_ANGLE / 2
        angles = torch.deg2rad(first + (share - MIN_ANGLE / 2) * u[:, :-1] - MAX_TURN * u[:, -1:])
        corners = SCALE * self.size / 2 * torch.stack([angles.cos(), angles.sin()], 2)
        return coverage(corners - corners.mean(1, keepdim=True) + self.size / 2, self.size)

    def distances(self, images: torch.Tensor) -> torch.Tensor:
        """How far each image [n, 1, S, S] is from the nearest polygon's, as Euclidean distance in data units [n].

        In float64, by least squares over u: from the nearest 4 of 4096 fixed polygons, 12 steps of Levenberg and
        Marquardt that are held in the unit cube. An upper bound, since each u that is tried is of the set. Of triangles
        that were shrunk, moved, blurred or averaged it was at most 4 % above what 48 starts of 30 steps find, .4 % in
        the mean; of images of the set it is what their rounding to float32 makes, about 1e-7. Images that are not
        finite have NaN. No randomness is used, and other images of the call change no more than rounding.

        Departures from the paper: it takes the squared distance, and its search is another one. A triangle of another
        size or place than those of the law is off the set.
        """
        flat = images.to(torch.float64).flatten(1)
        finite = flat.isfinite().all(1)
        target = (torch.where(finite.unsqueeze(1), flat, 0) + 1) / 2
        nearest = [self._nearest(piece) for piece in torch.split(target, PIECE)]
        return torch.where(finite, 2 * torch.cat(nearest), math.nan)

    def _nearest(self, target: torch.Tensor) -> torch.Tensor:
        """The least distance from covered parts of pixels [n, S S] that is found [n]."""
        u, pixels = _examples(self, target.device)
        _, chosen = torch.cdist(target, pixels).topk(STARTS, largest=False)
        squares = self._descend(u[chosen].flatten(0, 1), target.repeat_interleave(STARTS, 0))
        return squares.view(-1, STARTS).amin(1).sqrt()

    def _descend(self, u: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The least squared distance to target [n, S S] on the way of the steps from u [n, P]: [n]."""
        numbers = u.shape[1]
        unit = torch.eye(numbers, device=u.device, dtype=u.dtype)
        image = self.covered(u).flatten(1)
        squares = (target - image).square().sum(1)
        damping = torch.ones_like(squares)
        for _ in range(ITERATIONS):
            nudged = self.covered((u.unsqueeze(1) + NUDGE * unit).flatten(0, 1)).view(len(u), numbers, -1)
            slopes = (nudged - image.unsqueeze(1)) / NUDGE
            pull = slopes @ (target - image).unsqueeze(2)
            # A number at the end of its range that is pulled beyond it stays there.
            stays = ((u <= 0) & (pull.squeeze(2) < 0) | (u >= 1) & (pull.squeeze(2) > 0)).unsqueeze(2)
            slopes, pull = torch.where(stays, 0, slopes), torch.where(stays, 0, pull)
            curvature = slopes @ slopes.mT + damping[:, None, None] * unit
            tried = (u + torch.linalg.solve(curvature, pull).squeeze(2)).clamp(0, 1)
            there = self.covered(tried).flatten(1)
            after = (target - there).square().sum(1)
            better = after < squares
            u, image = torch.where(better[:, None], tried, u), torch.where(better[:, None], there, image)
            squares = torch.where(better, after, squares)
            damping = torch.where(better, damping / 10, damping * 10)
        return squares


def coverage(corners: torch.Tensor, size: int) -> torch.Tensor:
    """The part of each pixel that polygons cover: corners [n, V, 2] in order of their angles -> [n, S, S].

    Pixel (i, j) is the square ``[i, i + 1] x [j, j + 1]`` of (first, second) coordinate. Exact, by Green's theorem: an
    edge that runs over the abscissas from a to b adds the integral of ``r(y - j - 1) - r(y - j)``, its height y within
    the square, with r(t) = max(t, 0); dy is negative where b < a. Differentiable in the corners but where one is on a
    pixel's border.
    """
    pixel = torch.arange(size + 1, device=corners.device, dtype=corners.dtype)
    (x0, y0), (x1, y1) = (ends.unsqueeze(3).unbind(2) for ends in (corners, corners.roll(-1, 1)))
    rise = (y1 - y0) / _apart(x1 - x0)
    a, b = (torch.clamp(x, pixel[:-1], pixel[1:]) for x in (x0, x1))  # [n, V, S]
    low = y0 + rise * (a - x0)
    step = _apart(rise * (b - a))
    r0, r1 = ((height.unsqueeze(3) - pixel).relu() for height in (low, low + step))  # [n, V, S, S + 1]
    # The mean of r over heights from low to low + step is (r1^2 - r0^2) / (2 step).
    above = (r1 + r0) * (r1 - r0) * ((b - a) / (2 * step)).unsqueeze(3)
    return above.sum(1).diff(dim=2)


def _apart(difference: torch.Tensor) -> torch.Tensor:
    """To divide by: a difference of next to nothing, in pixels, is made a small one."""
    return torch.where(difference.abs() < 1e-6, 1e-6, difference)


@lru_cache(maxsize=4)
def _examples(polygons: Polygons, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The same polygons of the law in every process: u [4096, P] and the covered parts of pixels [4096, S S]."""
    generator = torch.Generator().manual_seed(0)
    u = torch.rand(EXAMPLES, polygons.vertices + 1, generator=generator, dtype=torch.float64).to(device)
    return u, torch.cat([polygons.covered(piece).flatten(1) for piece in torch.split(u, 256)])
