"""Estimates of memory and disk, against what torch counts and what every grid of the project names."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from bench import ROOT, footprint, training_settings
from bench.engine import Training
from bench.experiments import EXPERIMENTS
from bench.grid import load_grid
from bench.networks import NETWORKS
from bench.settings import build, remembering
from bench.step_cost import held_bytes, transient_bytes

MLP = {"name": "mlp", "depth": 2, "width": 32}


def train(**raw: Any) -> dict[str, Any]:
    told = {"objective": "non_saturating", "dataset": "ring", "generator": MLP, "critic": MLP, **raw}
    return dict(EXPERIMENTS["train"].resolve(told))


class Products(TorchDispatchMode):
    """Counts the numbers that products of matrices and convolutions give."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten.addmm, torch.ops.aten.mm, torch.ops.aten.convolution):
            self.numbers.append(found.numel())
        return found


@pytest.mark.parametrize(
    ("network", "event"),
    [
        ({"name": "mlp", "depth": 3, "width": 10}, (2,)),
        ({"name": "mlp", "depth": 1, "width": 6, "norm": "layer"}, (3, 4)),
        ({"name": "mlp", "depth": 2, "width": 6, "activation": "maxout", "pieces": 3}, (2,)),
        ({"name": "dcgan", "width": 3}, (1, 28, 28)),
        ({"name": "dcgan", "width": 2, "norm": "layer", "kernel": 5, "growth": "constant"}, (3, 32, 32)),
        ({"name": "resnet", "width": 2, "blocks": 2}, (3, 8, 8)),
        ({"name": "unrolled_conv", "width": 2}, (1, 28, 28)),
    ],
)
@pytest.mark.parametrize("makes", [True, False])
def test_sizes_are_those_of_the_network(network: dict[str, Any], event: tuple[int, ...], makes: bool) -> None:
    shapes = ((5,), event) if makes else (event, ())
    sizes = build(network, NETWORKS).sizes(*shapes)
    made = build(network, NETWORKS).build(*shapes)
    parameters = made.init(torch.Generator())
    with Products() as products:
        made.apply(parameters, torch.zeros(1, *shapes[0]))
    assert sizes.parameters == sum(value.numel() for value in parameters.values())
    assert sizes.outputs == sum(products.numbers)
    assert sizes.widest == max(products.numbers)


@pytest.mark.parametrize("objective", ["non_saturating", "wgan_gp"])
def test_the_share_of_a_replica_holds_what_torch_allocates_in_a_step(objective: str) -> None:
    cell = train(objective=objective, batch_size=2048, critic={**MLP, "width": 64}, critic_steps=1)
    problem, scalars = training_settings.make_problem(cell), training_settings.make_scalars([cell] * 4)
    training = Training(problem, range(4), scalars)
    training.advance(1)
    allocated = held_bytes(training) + transient_bytes(training.advance)
    told = footprint.memory(cell, 4, "cpu") - footprint.memory(cell, 0, "cpu")
    assert 0.8 <= told / allocated <= 3


def test_a_state_takes_on_disk_what_it_holds() -> None:
    cell = train(ema=0.9, evaluate={"n": 2, "emd_n": 2, "observations": 1})
    state = Training(training_settings.make_problem(cell), [0], training_settings.make_scalars([cell])).state_dict()
    stored = sum(tensor.nbytes for name, tensor in state.items() if not name.startswith("streams"))
    assert footprint.disk(cell).at_work == pytest.approx(2 * stored, rel=0.05)  # the new one beside the old one


GROWING = st.fixed_dictionaries(
    {
        "width": st.integers(1, 512), "batch_size": st.integers(2, 4096), "n": st.integers(100, 20_000),
        "depth": st.integers(0, 5), "observations": st.integers(1, 50), "pack": st.integers(1, 4),
        "critic_steps": st.integers(1, 10), "dim": st.integers(1, 100), "training_set": st.integers(0, 10**5),
        "emd_n": st.integers(1, 100),
    }
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(
    size=GROWING,
    more=st.sampled_from(["width", "batch_size", "n", "observations", "pack", "critic_steps", "dim"]),
    objective=st.sampled_from(["minimax", "wgan_gp"]),
    device=st.sampled_from(["cpu", "cuda"]),
    replicas=st.integers(1, 300),
)
def test_more_never_needs_less(size: dict[str, int], more: str, objective: str, device: str, replicas: int) -> None:
    def need(own: dict[str, int]) -> tuple[int, ...]:
        network = {"name": "mlp", "depth": own["depth"], "width": own["width"]}
        cell = train(
            objective=objective, generator=network, critic=network, latent={"dim": own["dim"]},
            evaluate={key: own[key] for key in ("n", "emd_n", "observations")},
            **{key: own[key] for key in ("batch_size", "pack", "critic_steps", "training_set")},
        )  # fmt: skip
        return footprint.memory(cell, replicas, device), *footprint.disk(cell)

    few, many = need(size), need({**size, more: 2 * size[more] + 1 if more != "pack" else size[more] + 1})
    assert all(a <= b for a, b in zip(few, many, strict=True))


@settings(max_examples=50, deadline=None)
@given(width=st.integers(1, 2048), gigabytes=st.floats(0, 100), device=st.sampled_from(["cpu", "cuda"]))
def test_what_fits_is_the_most_that_is_within_the_limit(width: int, gigabytes: float, device: str) -> None:
    cell, limit = train(critic={**MLP, "width": width}), 1e9 * gigabytes
    most = footprint.replicas_that_fit(cell, limit, device)
    assert footprint.memory(cell, most + 1, device) > limit
    assert most == 0 or footprint.memory(cell, most, device) <= limit


def test_nothing_fits_where_the_processes_alone_do_not() -> None:
    assert footprint.replicas_that_fit(train(), 1e9, "cpu") == 0
    assert footprint.replicas_that_fit(train(), 1e9, "cuda") > 0


def test_processes_have_the_code_of_libraries_in_common() -> None:
    need = footprint.memory(train(), 1, "cpu")
    assert footprint.processes_that_fit(need, need - 1) == 0
    assert footprint.processes_that_fit(need, need) == 1
    assert footprint.processes_that_fit(need, 2 * need) == 2
    assert footprint.processes_that_fit(need, 20 * need) > 25
    for processes in (1, 2, 7):
        own = footprint.share(20 * need, processes)
        assert footprint.processes_that_fit(own, 20 * need) == processes
    assert footprint.share(20 * need, 1) == 20 * need


@pytest.mark.parametrize("path", sorted((ROOT / "grids").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_grid_of_the_project_has_its_estimates(path: Path) -> None:
    grid = load_grid(path)
    with remembering():
        for cell in grid.cells:
            for device in ("cpu", "cuda"):
                some, more = (footprint.memory(cell.settings, replicas, device) for replicas in (1, 16))
                assert 0 <= some <= more
                assert some < 32e9
                assert footprint.replicas_that_fit(cell.settings, 64e9, device) >= 2
            assert 16_000 < footprint.disk(cell.settings).left < 64e6


def test_a_solve_counts_as_a_whole() -> None:
    small, large = (footprint.memory(train(evaluate={"n": n, "emd_n": n}), 1, "cpu") for n in (1000, 20_000))
    assert large - small > 41 * (20_000**2 - 1000**2)  # bytes a pair, as POT's arrays add up


def test_room_is_what_the_file_system_has_for_this_user(tmp_path: Path) -> None:
    import shutil

    there, about = shutil.disk_usage(tmp_path).free, 2**30
    assert math.isclose(footprint.room(tmp_path / "not" / "yet"), there, abs_tol=about)
    assert footprint.room(Path(os.curdir)) > 0
