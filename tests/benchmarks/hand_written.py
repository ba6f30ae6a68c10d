"""The loop as people write it: nn.Sequential, torch.optim, autograd.grad; it shares no line with the harness."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import softplus


def mlp(inputs: int, outputs: int, depth: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


class HandWritten:
    """One replica of ``minimax``, ``non_saturating``, ``wgan_clip`` or ``wgan_gp``, on the ring of 8 Gaussians."""

    def __init__(self, objective: str, depth: int, width: int, batch: int, device: str = "cpu") -> None:
        self.begin(objective, mlp(2, 2, depth, width), mlp(2, 1, depth, width), batch, 2, device)

    def begin(
        self, objective: str, generator: nn.Module, critic: nn.Module, batch: int, latent: int, device: str
    ) -> None:
        self.objective, self.batch, self.latent, self.device = objective, batch, latent, device
        self.generator, self.critic = generator.to(device), critic.to(device)
        self.critic_optimizer = self.optimizer(self.critic)
        self.generator_optimizer = self.optimizer(self.generator)

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        if self.objective == "wgan_clip":
            return torch.optim.RMSprop(network.parameters(), 5e-5)
        rate, betas = (1e-4, (0.0, 0.9)) if self.objective == "wgan_gp" else (2e-4, (0.5, 0.999))
        return torch.optim.Adam(network.parameters(), rate, betas)

    def real(self) -> torch.Tensor:
        angle = torch.randint(8, (self.batch,), device=self.device) * (2 * math.pi / 8)
        return 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.02 * torch.randn(self.batch, 2, device=self.device)

    def fake(self) -> torch.Tensor:
        return self.generator(torch.randn(self.batch, self.latent, device=self.device))

    def penalty(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        mix = torch.rand(self.batch, *(1,) * (real.ndim - 1), device=self.device)
        points = (mix * real + (1 - mix) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(self.critic(points).sum(), points, create_graph=True)
        return 10 * ((slope.flatten(1).norm(2, dim=1) - 1) ** 2).mean()

    def critic_step(self) -> None:
        real = self.real()
        with torch.no_grad():
            fake = self.fake()
        if self.objective in ("minimax", "non_saturating"):
            loss = softplus(-self.critic(real)).mean() + softplus(self.critic(fake)).mean()
        else:
            loss = self.critic(fake).mean() - self.critic(real).mean()
        if self.objective == "wgan_gp":
            loss = loss + self.penalty(real, fake)
        self.critic_optimizer.zero_grad()
        loss.backward()
        self.critic_optimizer.step()
        if self.objective == "wgan_clip":
            with torch.no_grad():
                for parameter in self.critic.parameters():
                    parameter.clamp_(-0.01, 0.01)

    def generator_step(self) -> None:
        score = self.critic(self.fake())
        if self.objective == "minimax":
            loss = -softplus(score).mean()
        elif self.objective == "non_saturating":
            loss = softplus(-score).mean()
        else:
            loss = -score.mean()
        self.generator_optimizer.zero_grad()
        loss.backward()
        self.generator_optimizer.step()

    def advance(self, iterations: int, critic_steps: int) -> None:
        for _ in range(iterations):
            for _ in range(critic_steps):
                self.critic_step()
            self.generator_step()


class HandWrittenImages(HandWritten):
    """The same with convolutions, on images [N, 1, 4 side, 4 side] that are drawn with replacement."""

    def __init__(
        self, objective: str, images: torch.Tensor, width: int, batch: int, latent: int, device: str = "cpu"
    ) -> None:
        self.images, side, inner = images.to(device), images.shape[-1] // 4, 2 * width
        generator = nn.Sequential(
            nn.Linear(latent, inner * side**2), nn.Unflatten(1, (inner, side, side)), nn.ReLU(),
            nn.ConvTranspose2d(inner, width, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(width, 1, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip
        critic = nn.Sequential(
            nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, inner, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Linear(inner * side**2, 1),
        )  # fmt: skip
        self.begin(objective, generator, critic, batch, latent, device)

    def real(self) -> torch.Tensor:
        return self.images[torch.randint(len(self.images), (self.batch,), device=self.device)]
