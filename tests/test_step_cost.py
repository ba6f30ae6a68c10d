"""What a step asks for, against sums written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench import step_cost, training_settings

BATCH = 8


def cell(dataset: str, network: dict[str, Any], **more: Any) -> dict[str, Any]:
    return training_settings.resolve({
        "objective": "non_saturating", "dataset": dataset, "batch_size": BATCH, "critic_steps": 3, "latent": {"dim": 5},
        "generator": network, "critic": network, **more,
    })  # fmt: skip


MLP = {"name": "mlp", "depth": 2, "width": 6}, [5 * 6, 6 * 6, 6 * 2], [2 * 6, 6 * 6, 6 * 1]
# Digits of 8x8: kernels of 4x4, a stride of 2, 3 and 6 channels; sides 8, 4 and 2.
DCGAN = (
    {"name": "dcgan", "width": 3},
    [5 * 6 * 2 * 2, 6 * 3 * 16 * 2 * 2, 3 * 1 * 16 * 4 * 4],
    [1 * 3 * 16 * 4 * 4, 3 * 6 * 16 * 2 * 2, 6 * 2 * 2],
)


@pytest.mark.parametrize(("dataset", "shape"), [("ring", MLP), ("digits", DCGAN)], ids=["mlp", "dcgan"])
def test_operations_of_a_step(dataset: str, shape: tuple[dict[str, Any], list[int], list[int]]) -> None:
    """Two operations a multiplication; backward, weights and inputs each as much as forward, no inputs of a first."""
    network, generator, critic = shape
    g, c = sum(generator), sum(critic)
    of_critic = 2 * BATCH * (g + 2 * (3 * c - critic[0]))
    of_generator = 2 * BATCH * (3 * g - generator[0] + 2 * c)
    settings = cell(dataset, network)
    found = step_cost.step_flops(training_settings.make_problem(settings), training_settings.make_scalars([settings]))
    assert found == 3 * of_critic + of_generator


def test_bytes_of_a_step() -> None:
    """Adam keeps two slots: with parameter and gradient four numbers, each read and written."""
    settings = cell("digits", {"name": "dcgan", "width": 3}, pack=2)
    generator = 24 * 5 + 24 + 6 * 3 * 16 + 3 + 3 * 16 + 1
    critic = 2 * 3 * 16 + 3 + 3 * 6 * 16 + 6 + 24 + 1
    drawn = 2 * BATCH * (64 + 5)
    expected = 4 * (3 * (8 * critic + drawn) + 8 * generator + 2 * BATCH * 5)
    assert step_cost.step_bytes(training_settings.make_problem(settings)) == expected


def test_the_most_that_a_call_holds_beyond_what_it_began_with() -> None:
    kept, sizes = [torch.zeros(1000)], iter([9000, 5000])

    def work(count: int) -> None:
        kept[0] = torch.zeros(1000)  # the old one goes after the new one has come
        large = torch.zeros(next(sizes))  # the first call is not like the others
        del large
        several = [torch.zeros(1000) for _ in range(3)]
        del several

    assert step_cost.transient_bytes(work) == 4 * 5000
    assert step_cost.transient_bytes(lambda count: None) == 0


def test_what_goes_before_the_rest_comes_is_not_held_twice() -> None:
    gradients = [torch.zeros(1000)]

    def work(count: int) -> None:
        gradients.clear()
        gradients.append(torch.zeros(1000))
        gradients.append(torch.zeros(10))

    assert step_cost.transient_bytes(work) == 0


def test_what_is_held_is_counted_once_with_gradients_and_slots() -> None:
    model = torch.nn.Linear(10, 5)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 10)).sum().backward()
    optimizer.step()

    class Owner:
        def __init__(self) -> None:
            self.model, self.optimizer = model, optimizer
            self.views = [model.weight.detach(), model.weight.detach()[1:]]

        def work(self, count: int) -> None: ...

    # Parameters, gradients and both moments of Adam, and its two counts of updates.
    assert step_cost.held_bytes(Owner().work) == 4 * (4 * 55 + 2)
