"""Gradients by layer: against torch.nn with its own autograd, a network whose gains are known, numpy's histogram."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from at_work import context

from bench import probes, training_settings
from bench.cell import Run, Unit
from bench.engine import Training
from bench.experiments import EXPERIMENTS, make_cell
from bench.experiments.depth import BINS, DEPTH, layer_gradients
from bench.optim import Parameters
from bench.problem import at
from bench.settings import SettingError
from objectives import OBJECTIVES

WIDTH = 6
SMALL = {"name": "mlp", "depth": 3, "width": WIDTH, "init": "he"}


def cell(objective: Any, **changes: Any) -> dict[str, Any]:
    given = {"objective": objective, "dataset": "ring", "generator": SMALL, "critic": SMALL, "batch_size": 8, **changes}
    return DEPTH.resolve(given)


def training_of(cells: list[dict[str, Any]], seeds: list[int], **further: Any) -> Training:
    problem, scalars = training_settings.make_problem(cells[0]), training_settings.make_scalars(cells)
    return Training(problem, seeds, scalars, way="vmap", **further)


def one(tree: dict[str, Any], r: int) -> dict[str, Any]:
    return {name: one(value, r) if isinstance(value, dict) else value[r].double() for name, value in tree.items()}


class Layers(torch.nn.Module):
    """The critic as a person would write it, keeping what each layer gives."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__()
        self.maps = torch.nn.ModuleList()
        for k in range(4):
            weight = parameters[f"{k}.weight"]
            layer = torch.nn.Linear(*reversed(weight.shape), dtype=torch.float64)
            layer.load_state_dict({"weight": weight, "bias": parameters[f"{k}.bias"]})
            self.maps.append(layer)
        self.kept: list[list[torch.Tensor]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: list[torch.Tensor] = []
        for layer in self.maps:
            x = layer(x)
            outputs.append(x)
            x = torch.tanh(x)
        self.kept.append(outputs)
        return outputs[-1].squeeze(1)


@pytest.mark.parametrize("name", ["minimax", "wgan_gp"])
def test_gradients_are_those_of_torchs_own_modules(name: str) -> None:
    """The loss written out; the penalty's own points count for the weights and not for the activations."""
    smooth = cell(name, critic={**SMALL, "activation": "tanh"})  # the slope of a ReLU network ignores its biases
    training = training_of([smooth] * 2, [0, 1])
    training.advance(2)
    draws = probes.draw(training.problem, training.seeds, batches=1)
    for r in range(2):
        state, batch, scalars = (one(tree, r) for tree in (training.state, at(draws, 0), training.scalars))
        found = layer_gradients(training.problem, state, batch, scalars)
        real, fake = batch["real"], training.problem.generator.apply(state["generator"], batch["latent"])
        critic = Layers(state["critic"])
        of_real, of_fake = critic(real), critic(fake)
        if name == "minimax":
            loss = torch.nn.functional.softplus(-of_real).mean() + torch.nn.functional.softplus(of_fake).mean()
        else:
            mix = batch["noise"]["mix"][:, None]
            points = (mix * real + (1 - mix) * fake).requires_grad_()
            [slope] = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
            loss = of_fake.mean() - of_real.mean() + 10 * (slope.norm(dim=1) - 1).square().mean()
        by_activations = [torch.autograd.grad(loss, critic.kept[side], retain_graph=True) for side in (0, 1)]
        by_weights = torch.autograd.grad(loss, [layer.weight for layer in critic.maps])
        for k in range(4):
            norms = torch.cat([by_activations[side][k].norm(dim=1) for side in (0, 1)])
            assert float(found["activation_gradient"][k]) == pytest.approx(8 * float(norms.mean()), rel=1e-10)
            assert float(found["weight_gradient"][k]) == pytest.approx(float(by_weights[k].norm()), rel=1e-10)


def constant_critic(c: float, layers: int) -> Parameters:
    """All weights c, biases that keep every unit on."""
    shapes = [(WIDTH, 2), *[(WIDTH, WIDTH)] * (layers - 2), (1, WIDTH)]
    weights = {f"{k}.weight": torch.full((1, *shape), c) for k, shape in enumerate(shapes)}
    return weights | {f"{k}.bias": torch.full((1, shape[0]), 100.0) for k, shape in enumerate(shapes)}


def test_gains_of_equal_weights() -> None:
    """A layer of weights c multiplies the gradient by ``width c``, and the last one gives ``c sqrt(width)``."""
    settings = cell({"name": "wgan_clip", "clip": 1000.0})
    for c in (0.02, 1.5):
        begin = {"critic": constant_critic(c, 4)}
        reader = DEPTH.reader(settings, training_of([settings], [0], begin=begin))
        read = {name: float(values[0]) for name, values in reader.read().items()}
        expected = [c * WIDTH**0.5 * (WIDTH * c) ** 2, c * WIDTH**0.5 * WIDTH * c, c * WIDTH**0.5, 1.0]
        found = [read[f"activation_gradient[{layer}]"] for layer in (1, 2, 3, 4)]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert read["slope_per_layer"] == pytest.approx(np.polyfit([3, 2, 1, 0], np.log10(expected), 1)[0], rel=1e-6)
        assert (read["slope_per_layer"] > 0) == (c > 1)
        assert (read["share_at_bound"], read["largest_weight"]) == (1, pytest.approx(c))


def test_gradients_smaller_than_float32_has_squares_of() -> None:
    settings = cell({"name": "wgan_clip", "clip": 1000.0}, critic={**SMALL, "depth": 12})
    reader = DEPTH.reader(settings, training_of([settings], [0], begin={"critic": constant_critic(1e-3, 13)}))
    expected = 1e-3 * WIDTH**0.5 * (1e-3 * WIDTH) ** 11  # 1e-27
    assert float(reader.read()["activation_gradient[1]"][0]) == pytest.approx(expected, rel=1e-5)


def test_before_training_weights_are_inside_the_bound_and_counted() -> None:
    cells = [cell({"name": "wgan_clip", "clip": clip}) for clip in (0.3, 0.01)]
    training = training_of(cells, [3, 4])
    reader = DEPTH.reader(cells[0], training)
    read, histograms = reader.read(), reader.arrays()["weight_histogram"].numpy()
    matrices = [values.numpy() for name, values in training.state["critic"].items() if name.endswith("weight")]
    for r, clip in enumerate((0.3, 0.01)):
        weights = np.concatenate([matrix[r].ravel() for matrix in matrices]).clip(-clip, clip)
        assert float(read["largest_weight"][r]) == pytest.approx(clip)
        assert float(read["share_at_bound"][r]) == pytest.approx(np.mean(np.abs(weights) >= 0.99 * clip))
        counts, _ = np.histogram(weights / clip, BINS, (-1, 1))
        np.testing.assert_allclose(histograms[r], counts / weights.size, atol=1e-6)
        assert histograms[r, [0, -1]].sum() == pytest.approx(float(read["share_at_bound"][r]), abs=1e-6)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_seen_to_score_its_samples(name: str) -> None:
    """A loss that scored other tensors than the real and the fake samples would show no gradient by activations."""
    settings = cell(name, critic={**SMALL, "depth": 1, "activation": "tanh"}, batch_size=4)
    training = training_of([settings], [0])
    read = DEPTH.reader(settings, training).read()
    for layer in (1, 2):
        assert float(read[f"activation_gradient[{layer}]"][0]) > 0
        assert float(read[f"weight_gradient[{layer}]"][0]) > 0


def test_a_run_has_rows_from_step_0_on(tmp_path: Path) -> None:
    settings = cell("wgan_clip", steps=10, critic_steps=1, observe={"observations": 2}, probe={"batches": 1})
    [result] = DEPTH.run(Unit((Run(make_cell(DEPTH, settings), 0),)), context(tmp_path))
    assert [row["step"] for row in result.rows] == [0, 10]  # 1 % of 10 steps is none
    assert result.rows[0]["activation_gradient[4]"] == pytest.approx(1)
    assert result.rows[-1]["share_at_bound"] > 0.5
    assert result.samples["weight_histogram"].shape == (BINS,)


def test_it_is_in_the_table_and_refuses_what_it_does_not_know() -> None:
    assert EXPERIMENTS["depth"] is DEPTH
    with pytest.raises(SettingError, match="did you mean 'batches'"):
        cell("minimax", probe={"batch": 3})
