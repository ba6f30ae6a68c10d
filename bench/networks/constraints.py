"""Weights under a bound on their singular values: pure functions of the matrix that an optimiser adjusts."""

from __future__ import annotations

import torch

FIRST_ITERATIONS = 15
"""Power iterations before training, as many as in torch, so that the first critic step sees weights of a sane scale."""

BJORCK_ITERATIONS = 20
"""As in the authors' code."""


def draw_vectors(weight: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """First estimates of the leading singular vectors of weight [m, n]: ``u`` [m] and ``v`` [n].

    u starts on the unit sphere, N(0, I) normalised, and goes through ``FIRST_ITERATIONS`` power iterations.
    """
    u = torch.randn(len(weight), generator=generator)
    u, v = power_iteration(weight, torch.nn.functional.normalize(u, dim=0))
    for _ in range(FIRST_ITERATIONS - 1):
        u, v = power_iteration(weight, u)
    return u, v


def power_iteration(weight: torch.Tensor, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One power iteration on weight [m, n]: ``v = W^T u / |W^T u|``, then ``u = W v / |W v|``; gives (u, v)."""
    v = torch.nn.functional.normalize(torch.mv(weight.T, u), dim=0)
    return torch.nn.functional.normalize(torch.mv(weight, v), dim=0), v


def spectral(weight: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Spectral normalisation (Miyato et al. 2018, arXiv:1802.05957, Algorithm 1): ``W / sigma``, ``sigma = u^T W v``.

    u and v are constants; the gradient flows through both W. sigma never exceeds the largest singular value, so the
    result's is 1 when u and v have converged and larger before.

    Departure from the paper: u and v are as old as the caller lets them be, not refreshed in every forward pass.
    """
    return weight / torch.dot(u, torch.mv(weight, v))


def orthonormal(weight: torch.Tensor) -> torch.Tensor:
    """The nearest matrix with orthonormal rows or columns, whichever are fewer, by Björck's iteration of order 1.

    ``W <- 3/2 W - 1/2 W W^T W``, ``BJORCK_ITERATIONS`` times (Björck & Bowie 1971; Anil, Lucas & Grosse 2019,
    arXiv:1811.05381). It pulls every singular value in (0, 1] to 1 from below, so a linear map with the result is
    1-Lipschitz up to rounding wherever the iteration stops. The smallest singular values of a square matrix of random
    entries, which grow by 3/2 an iteration, may not have arrived; those of an orthogonal one have. The gradient flows
    through all of it.

    Departure from the authors' code: W [m, n] is first divided by ``sqrt(|W W^T|)`` in the Frobenius norm, which bounds
    the largest singular value of any matrix; theirs divides by ``sqrt(m n)``, a bound where no entry is larger than 1.
    """
    if min(weight.shape) == 1:
        result: torch.Tensor = weight / torch.linalg.vector_norm(weight)  # what the iteration would leave as it is
        return result
    wide = weight.shape[0] <= weight.shape[1]
    gram = weight @ weight.T if wide else weight.T @ weight
    scale = torch.linalg.vector_norm(gram).sqrt()
    weight, gram = weight / scale, gram / scale.square()
    for iteration in range(BJORCK_ITERATIONS):
        if iteration > 0:
            gram = weight @ weight.T if wide else weight.T @ weight
        weight = 1.5 * weight - 0.5 * (gram @ weight if wide else weight @ gram)
    return weight
