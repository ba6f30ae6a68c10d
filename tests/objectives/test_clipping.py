import numpy as np
import torch

from objectives import OBJECTIVES

project = OBJECTIVES["wgan_clip"].project
assert project is not None


def parameters(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"weight": (3, 4), "bias": (4,), "kernel": (2, 3, 3, 3), "gain": ()}
    return {name: 0.02 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def test_every_parameter_is_cut_to_the_bound() -> None:
    before = parameters()
    after = project(before, {"clip": torch.tensor(0.01)})
    bound = np.float32(0.01)
    assert after.keys() == before.keys()
    assert any(values.abs().max() > bound for values in before.values())
    for name, values in before.items():
        np.testing.assert_array_equal(after[name].numpy(), np.clip(values.numpy(), -bound, bound))


def test_clipping_twice_is_clipping_once() -> None:
    clip = {"clip": torch.tensor(0.01)}
    once = project(parameters(), clip)
    for name, values in project(once, clip).items():
        assert torch.equal(values, once[name])


def test_each_replica_has_its_own_bound() -> None:
    bounds = torch.tensor([0.001, 0.01, 0.1])
    stacked = {name: torch.stack([parameters(r)[name] for r in range(3)]) for name in parameters()}
    lifted = torch.func.vmap(project)(stacked, {"clip": bounds})
    for r, bound in enumerate(bounds.numpy()):
        for name, values in parameters(r).items():
            np.testing.assert_array_equal(lifted[name][r].numpy(), np.clip(values.numpy(), -bound, bound))


def test_a_parameter_that_is_not_a_number_stays_so() -> None:
    """A clipped NaN would hide a divergence."""
    after = project({"weight": torch.tensor([torch.nan, torch.inf])}, {"clip": torch.tensor(0.01)})
    torch.testing.assert_close(after["weight"], torch.tensor([torch.nan, 0.01]), equal_nan=True)
