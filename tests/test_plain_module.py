"""The plain loop against the same training with ``torch.nn``'s own layers."""

from __future__ import annotations

from typing import Any

import torch

from bench import seeding, training_settings
from bench.plain_module import PlainModule
from objectives.wgan_gp import OBJECTIVE as WGAN_GP


def plain(**raw: Any) -> PlainModule:
    network = {"name": "mlp", "depth": 1, "width": 6}
    settings = training_settings.resolve(
        {"dataset": "ring", "batch_size": 7, "generator": network, "critic": network, "critic_steps": 2, **raw}
    )
    scalars = training_settings.make_scalars([settings])
    own = {group: {name: values[0] for name, values in block.items()} for group, block in scalars.items()}
    return PlainModule(training_settings.make_problem(settings), 3, own)


def twin(module: torch.nn.Module) -> torch.nn.Sequential:
    weights = list(module.parameters())
    layers = [torch.nn.Linear(weight.shape[1], weight.shape[0]) for weight in weights[::2]]
    for layer, weight, bias in zip(layers, weights[::2], weights[1::2], strict=True):
        layer.weight.data, layer.bias.data = weight.detach().clone(), bias.detach().clone()
    return torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1])


def test_it_trains_as_a_loop_of_torchs_own_modules() -> None:
    own = plain(objective={"name": "wgan_gp", "penalty_weight": 3.0}, optimizer={"lr": 0.01})
    generator, critic = twin(own.generator), twin(own.critic)
    adjust_generator = torch.optim.Adam(generator.parameters(), 0.01, (0.0, 0.9))
    adjust_critic = torch.optim.Adam(critic.parameters(), 0.01, (0.0, 0.9))
    own.advance(3)
    source = seeding.generator(3, "data")
    for _ in range(3):
        for _ in range(2):
            real = own.problem.dataset.sample(7, source)
            mix = WGAN_GP.noise["mix"](7, (2,), source)[:, None]
            fake = generator(torch.randn(7, 2, generator=source)).detach()
            points = (mix * real + (1 - mix) * fake).requires_grad_()
            (slope,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
            penalty = ((slope.norm(dim=1) - 1) ** 2).mean()
            adjust_critic.zero_grad()
            (critic(fake).mean() - critic(real).mean() + 3 * penalty).backward()
            adjust_critic.step()
        adjust_generator.zero_grad()
        (-critic(generator(torch.randn(7, 2, generator=source))).mean()).backward()
        adjust_generator.step()
    for mine, theirs in ((own.generator, generator), (own.critic, critic)):
        torch.testing.assert_close(list(mine.parameters()), list(theirs.parameters()))


def test_weights_are_clipped() -> None:
    own = plain(objective={"name": "wgan_clip", "clip": 0.03})
    own.advance(1)
    of_critic, of_generator = (
        torch.cat([p.detach().abs().flatten() for p in player.parameters()]) for player in (own.critic, own.generator)
    )
    torch.testing.assert_close(of_critic.max(), torch.tensor(0.03))
    assert of_generator.max() > 0.03


def test_buffers_of_a_constraint_are_refreshed_before_each_update() -> None:
    critic = {"name": "mlp", "depth": 1, "width": 6, "constraint": "spectral"}
    own = plain(objective="hinge", critic=critic, optimizer={"lr": 1e-9})
    own.advance(25)
    weight, (u, v) = next(own.critic.parameters()), list(own.critic.buffers())[:2]
    torch.testing.assert_close(u @ weight @ v, torch.linalg.matrix_norm(weight, 2), rtol=1e-3, atol=0)
