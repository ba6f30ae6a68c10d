"""The gradient penalty on image events, against torch.autograd outside functorch, closed forms, finite differences."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from objectives import OBJECTIVES
from objectives.base import interpolate, slopes, uniform_mix

OBJECTIVE = OBJECTIVES["wgan_gp"]
EVENT = (3, 6, 6)
BATCH = 5


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, stride=2),
        torch.nn.Softplus(),
        torch.nn.Flatten(),
        torch.nn.Linear(16, 1),
        torch.nn.Flatten(0),
    )
    return network.double()


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    real, fake = (torch.randn(BATCH, *EVENT, generator=generator, dtype=torch.float64) for _ in range(2))
    return real, fake, uniform_mix(BATCH, EVENT, generator).double()


def critic_loss(
    network: torch.nn.Module,
    parameters: Mapping[str, torch.Tensor],
    draws: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    penalty_weight: float = 10.0,
) -> torch.Tensor:
    real, fake, mix = draws

    def critic(x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = torch.func.functional_call(network, dict(parameters), (x,))
        return scores

    hparams = {"penalty_weight": torch.tensor(penalty_weight, dtype=torch.float64)}
    return OBJECTIVE.critic_loss(critic, real, fake, {"mix": mix}, hparams)


def reference(network: torch.nn.Module, draws: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Sample by sample, as algorithm 1 is written, by a double backward of torch.autograd."""
    total = torch.zeros((), dtype=torch.float64)
    for real, fake, mix in zip(*draws, strict=True):
        point = (mix * real + (1 - mix) * fake)[None].requires_grad_()
        (gradient,) = torch.autograd.grad(network(point).sum(), point, create_graph=True)
        norm = (gradient[0, 0].square().sum() + gradient[0, 1].square().sum() + gradient[0, 2].square().sum()) ** 0.5
        total = total + network(fake[None]).sum() - network(real[None]).sum() + 10 * (norm - 1) ** 2
    return total / BATCH


def test_value_and_gradient_equal_a_double_backward(network: torch.nn.Module) -> None:
    draws = batch()
    parameters = {name: value.detach() for name, value in network.named_parameters()}
    expected = reference(network, draws)
    gradients = torch.autograd.grad(expected, list(network.parameters()))
    ours, value = torch.func.grad_and_value(lambda p: critic_loss(network, p, draws))(parameters)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(list(ours.values()), list(gradients), rtol=1e-10, atol=1e-12)


def test_lifted_gradient_equals_a_double_backward(network: torch.nn.Module) -> None:
    """Replicas by vmap, as the engine runs it."""
    parameters = {name: value.detach() for name, value in network.named_parameters()}
    draws = [batch(seed) for seed in range(3)]
    stacked = tuple(torch.stack(tensors) for tensors in zip(*draws, strict=True))
    lifted = torch.func.vmap(torch.func.grad(lambda p, d: critic_loss(network, p, d)), in_dims=(None, 0))
    ours = lifted(parameters, stacked)
    for r, replica in enumerate(draws):
        expected = torch.autograd.grad(reference(network, replica), list(network.parameters()))
        torch.testing.assert_close([g[r] for g in ours.values()], list(expected), rtol=1e-10, atol=1e-12)


def test_second_order_gradient_equals_finite_differences(network: torch.nn.Module) -> None:
    """The penalty's derivative in a parameter is of second order: here by differences of values alone."""
    draws, step = batch(), 1e-5
    parameters = {name: value.detach() for name, value in network.named_parameters()}
    ours = torch.func.grad(lambda p: critic_loss(network, p, draws, 1e3))(parameters)
    for name, value in parameters.items():
        for index in range(0, value.numel(), 7):
            nudge = torch.zeros(value.numel(), dtype=torch.float64)
            nudge[index] = step
            up, down = (
                critic_loss(network, {**parameters, name: value + sign * nudge.reshape(value.shape)}, draws, 1e3).item()
                for sign in (1, -1)
            )
            assert ours[name].flatten()[index].item() == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(("norm", "penalty"), [(0.5, 2.5), (1.0, 0.0), (3.0, 40.0)])
def test_a_linear_critic_is_penalised_by_its_norm_on_both_sides(norm: float, penalty: float) -> None:
    """``10 (|w| - 1)^2``, whatever the samples and their number."""
    real, fake, mix = batch()
    weight = torch.ones(EVENT, dtype=torch.float64)
    weight = norm * weight / weight.square().sum().sqrt()

    def critic(x: torch.Tensor) -> torch.Tensor:
        return (x * weight).sum((1, 2, 3))

    hparams = {"penalty_weight": torch.tensor(10.0, dtype=torch.float64)}
    value = OBJECTIVE.critic_loss(critic, real, fake, {"mix": mix}, hparams)
    game = np.sum(weight.numpy() * (fake.numpy().mean(0) - real.numpy().mean(0)))
    assert value.item() - game == pytest.approx(penalty, rel=1e-12, abs=1e-12)


def test_slopes_are_per_sample_over_all_axes() -> None:
    """The gradient of ``|x|^2 / 2`` is x."""
    for shape in ((4,), (4, 7), (4, 2, 3), (4, 2, 3, 5)):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        expected = np.linalg.norm(x.numpy().reshape(4, -1), axis=1)
        ours = slopes(lambda points: points.square().reshape(4, -1).sum(1) / 2, x.reshape(4, -1, *shape[2:]))
        np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-14)


def test_slopes_have_a_derivative_where_they_are_zero() -> None:
    x = torch.ones(3, 2, 2)
    value = torch.func.grad(lambda scale: (slopes(lambda p: scale * p.sum((1, 2)), x) - 1).square().sum())
    assert value(torch.zeros(())).isfinite()


def test_interpolation_has_one_weight_a_pair() -> None:
    """From zeros (fake) to ones (real) every element of a sample is its weight."""
    real, fake, mix = torch.ones(BATCH, *EVENT), torch.zeros(BATCH, *EVENT), torch.rand(BATCH)
    points = interpolate(real, fake, mix)
    np.testing.assert_array_equal(points.numpy(), np.broadcast_to(mix.numpy()[:, None, None, None], points.shape))
    torch.testing.assert_close(interpolate(real, fake + 3, torch.tensor([0.25] * BATCH)), 2.5 * real)


def test_mix_is_uniform() -> None:
    from scipy import stats

    mix = uniform_mix(20_000, EVENT, torch.Generator().manual_seed(0))
    assert mix.shape == (20_000,)
    assert mix.dtype == torch.float32
    assert stats.kstest(mix.double().numpy(), "uniform").pvalue > 1e-4
