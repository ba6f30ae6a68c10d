"""The loop as people write it: nn.Sequential, torch.optim, autograd.grad; it shares no line with the harness."""

from __future__ import annotations

import math

import torch


def mlp(inputs: int, outputs: int, depth: int, width: int) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for _ in range(depth):
        layers += [torch.nn.Linear(inputs, width), torch.nn.ReLU()]
        inputs = width
    return torch.nn.Sequential(*layers, torch.nn.Linear(inputs, outputs))


class HandWritten:
    """One replica on the ring of 8 Gaussians: ``non_saturating`` or ``wgan_gp``."""

    def __init__(self, objective: str, depth: int, width: int, batch: int) -> None:
        self.gradient_penalty, self.batch = objective == "wgan_gp", batch
        self.generator, self.critic = mlp(2, 2, depth, width), mlp(2, 1, depth, width)
        rate, betas = (1e-4, (0.0, 0.9)) if self.gradient_penalty else (2e-4, (0.5, 0.999))
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), rate, betas)
        self.generator_optimizer = torch.optim.Adam(self.generator.parameters(), rate, betas)

    def real(self) -> torch.Tensor:
        angle = torch.randint(8, (self.batch,)) * (2 * math.pi / 8)
        return 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.02 * torch.randn(self.batch, 2)

    def critic_step(self) -> None:
        real = self.real()
        with torch.no_grad():
            fake = self.generator(torch.randn(self.batch, 2))
        if self.gradient_penalty:
            mix = torch.rand(self.batch, 1)
            points = (mix * real + (1 - mix) * fake).requires_grad_()
            (slope,) = torch.autograd.grad(self.critic(points).sum(), points, create_graph=True)
            penalty = ((slope.norm(2, dim=1) - 1) ** 2).mean()
            loss = self.critic(fake).mean() - self.critic(real).mean() + 10 * penalty
        else:
            softplus = torch.nn.functional.softplus
            loss = softplus(-self.critic(real)).mean() + softplus(self.critic(fake)).mean()
        self.critic_optimizer.zero_grad()
        loss.backward()
        self.critic_optimizer.step()

    def generator_step(self) -> None:
        score = self.critic(self.generator(torch.randn(self.batch, 2)))
        loss = -score.mean() if self.gradient_penalty else torch.nn.functional.softplus(-score).mean()
        self.generator_optimizer.zero_grad()
        loss.backward()
        self.generator_optimizer.step()

    def advance(self, iterations: int, critic_steps: int) -> None:
        for _ in range(iterations):
            for _ in range(critic_steps):
                self.critic_step()
            self.generator_step()
