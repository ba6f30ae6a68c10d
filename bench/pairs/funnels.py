"""Laws of which the transport is known in any dimension: the Wasserstein-1 benchmark of Korotin et al. 2022.

Shape letters: n samples, D dimensions, N funnels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

HALF = 2.5
"""Half the side of the box that everything lies in."""

OFFSET_STD = 0.1
"""Of the heights of the funnels' bottoms."""

TRUTH_SAMPLES = 1 << 18
CHUNK = 1 << 14
"""How many pairs the true distance is the mean over, and how many of them are held at a time."""


@dataclass(frozen=True, kw_only=True)
class Funnels:
    """Fake: uniform on the box ``[-2.5, 2.5]^dim``. Real: the same, moved along rays to the bottoms of funnels.

    Korotin, Kolesov & Burnaev 2022 (arXiv:2206.07767), whose P is real here and whose Q is fake: their critics, too,
    are high on P and low on Q. With centres ``a_i``, uniform on the box, and offsets ``b_i``, N(0, .1^2),

        u(x) = min_i |x - a_i| + b_i

    has slope 1 wherever it has one. Let i be the funnel with the least value at x, and the ray of x the segment from
    ``a_i`` through x up to where it leaves the box or another funnel becomes the least. With x at the share t of its
    ray, y is at ``t^power``: nearer to the bottom, and ``u(x) - u(y) = |x - y|``. Since u is 1-Lipschitz, x -> y is an
    optimal transport, ``-u`` an optimal critic, and

        W1(real, fake) = E|x - y|.

    ``draw`` is the seed of centres and offsets, which all runs share. They are drawn in the order of the authors'
    class, which first draws normal ones that it then overwrites. With 4 funnels and draw 987, W1 agrees with the
    authors' in each of 2, 4 ... 128 dimensions to two standard errors of theirs, so that these funnels are very likely
    their own; the files in which theirs are stored were not compared.

    Samples are float32: in two dimensions about 1 % of the real ones are rounded to the very bottom of a funnel, where
    u has no gradient.

    Departure from the authors' code: float64 inside, so that no cell exit is lost to rounding.
    """

    dim: int = 2
    funnels: int = 4
    power: float = 8.0
    draw: int = 987

    def __post_init__(self) -> None:
        """Raise a ValueError for a setting out of range."""
        if not (1 <= self.dim <= 4096 and 1 <= self.funnels <= 4096):
            raise ValueError(f"dim and funnels are from 1 to 4096, not {self.dim} and {self.funnels}")
        if not 1 <= self.power <= 1000:
            raise ValueError(f"power is from 1, where nothing moves, to 1000, not {self.power}")
        if not 0 <= self.draw < 1 << 63:
            raise ValueError(f"draw is a seed, from 0 to 2^63 - 1, not {self.draw}")

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Points of the box."""
        return (self.dim,)

    def real(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Points near the bottoms of funnels, [n, D], float32."""
        return self.transport(n, generator)[1]

    def fake(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Points uniform on the box, [n, D], float32."""
        return HALF * (2 * torch.rand(n, self.dim, generator=generator, device=generator.device) - 1)

    def transport(self, n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Pairs of the optimal plan: fake x and the real y that it goes to, both [n, D], float32."""
        x = self.fake(n, generator)
        return x, self.move(x.to(torch.float64)).to(torch.float32)

    def potential(self, x: torch.Tensor) -> torch.Tensor:
        """``u``, low on real and high on fake, so that an optimal critic is ``-u``: x [n, D] -> [n], float64."""
        least: torch.Tensor = self._heights(x)[1].amin(1)
        return least

    def potential_gradient(self, x: torch.Tensor) -> torch.Tensor:
        """``(x - a_i) / |x - a_i|`` for the least funnel i, 0 at its very centre: x [n, D] -> [n, D], float64."""
        from_bottom = x.to(torch.float64) - self._centres(x)[self._heights(x)[1].argmin(1)]
        return torch.nn.functional.normalize(from_bottom, dim=1, eps=torch.finfo(torch.float64).tiny)

    def w1(self, n: int, generator: torch.Generator) -> float:
        """Mean of ``|x - y|`` over n pairs of the optimal plan: W1 without bias."""
        left, total = n, 0.0
        while left:
            x = self.fake(min(left, CHUNK), generator).to(torch.float64)
            total += float((x - self.move(x)).norm(dim=1).sum())
            left -= len(x)
        return total / n

    def wasserstein(self) -> float:
        """W1 from 2^18 pairs of a fixed seed: the standard error is below 0.2 % of it."""
        return _truth(self)

    def log_ratio(self, x: torch.Tensor) -> None:
        """Not known."""

    def move(self, x: torch.Tensor) -> torch.Tensor:
        """The y that each x goes to: [n, D], float64, of x [n, D], float64, in the box."""
        centres, offsets = self._centres(x), self._offsets(x)
        distances, heights = self._heights(x)
        least, own = heights.min(1, keepdim=True)
        bottom, length = centres[own[:, 0]], distances.gather(1, own)
        ray = (x - bottom) / length
        box = ((HALF - x * ray.sign()) / ray.abs()).amin(1, keepdim=True)
        # At x + r ray the own funnel has the height least + r; another one has it too where
        # |x - a + r ray| = drop + r, which, squared, is linear in r and true only where the right side is positive.
        drop = least - offsets
        along = (x * ray).sum(1, keepdim=True) - ray @ centres.T
        exits = (distances.square() - drop.square()) / (2 * (drop - along))
        meets = (exits > 0) & (exits > -drop)  # a quotient that is not a number is none
        exits = torch.where(meets, exits, torch.inf).scatter(1, own, torch.inf)
        whole = length + torch.minimum(box, exits.amin(1, keepdim=True))
        return torch.where(length > 0, bottom + (length / whole) ** self.power * whole * ray, bottom)

    def _heights(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Distance from each centre, and height of each funnel, at x [n, D]: [n, N], float64."""
        distances = torch.cdist(
            x.to(torch.float64), self._centres(x), compute_mode="donot_use_mm_for_euclid_dist"
        )  # a product of matrices loses the short distances to rounding
        return distances, distances + self._offsets(x)

    def _centres(self, x: torch.Tensor) -> torch.Tensor:
        return _drawn(self.dim, self.funnels, self.draw)[0].to(x.device)

    def _offsets(self, x: torch.Tensor) -> torch.Tensor:
        return _drawn(self.dim, self.funnels, self.draw)[1].to(x.device)


@cache
def _drawn(dim: int, funnels: int, draw: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Centres [N, D] and offsets [N], float64 from float32 draws."""
    generator = torch.Generator().manual_seed(draw)
    torch.randn(funnels, dim, generator=generator), torch.randn(funnels, generator=generator)
    centres = HALF * (2 * torch.rand(funnels, dim, generator=generator) - 1)
    offsets = OFFSET_STD * torch.randn(funnels, generator=generator)
    return centres.to(torch.float64), offsets.to(torch.float64)


@cache
def _truth(pair: Funnels) -> float:
    return pair.w1(TRUTH_SAMPLES, torch.Generator().manual_seed(0))
