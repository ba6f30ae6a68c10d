"""Papers on images: their grids say what the papers and the authors' code say, and the cuts in their comments work."""

from __future__ import annotations

import math
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bench import ROOT
from bench.experiments import EXPERIMENTS
from bench.grid import Grid, load_grid
from bench.networks import NETWORKS
from bench.problem import LrSchedule
from bench.settings import build
from datasets import DATASETS

NAMES = ("pacgan_table3", "r3gan_table1", "wgan_figs5to7")
STACKED = (3, 28, 28)


@cache
def grid(name: str) -> Grid:
    return load_grid(ROOT / "grids" / "papers" / f"{name}.yaml")


def commands(name: str) -> list[tuple[list[str], int | None]]:
    """Of each command in a grid's comment the overrides and the number of seeds."""
    text = re.sub(r"\\\n# +", "", grid(name).source)
    found = []
    for line in re.findall(rf"^# +python -m bench run --grid grids/papers/{name}\.yaml (.*)$", text, re.MULTILINE):
        words = shlex.split(line)
        pairs = list(zip(words[::2], words[1::2], strict=True))
        assert {flag for flag, _ in pairs} <= {"--set", "--seeds", "--out"}
        seeds = [int(value) for flag, value in pairs if flag == "--seeds"]
        found.append(([value for flag, value in pairs if flag == "--set"], seeds[0] if seeds else None))
    return found


def work(found: Grid) -> float:
    """Operations of all runs in matrix products."""
    return len(found.seeds) * sum(EXPERIMENTS[cell.experiment].work(cell.settings) for cell in found.cells)


@pytest.mark.parametrize("name", NAMES)
def test_the_last_command_of_a_comment_is_a_cut_for_two_cores(name: str) -> None:
    """Half an hour of two cores that do 10 GFLOP/s each; what the full size takes is said."""
    overrides, seeds = commands(name)[-1]
    cut = load_grid(ROOT / "grids" / "papers" / f"{name}.yaml", overrides, seeds)
    assert work(cut) < 2e10 * 1800
    (said,) = re.findall(r"At full size, (\S+) operations", grid(name).source)
    assert work(grid(name)) == pytest.approx(float(said), rel=0.05)


def test_wgan_runs_on_a_folder_of_photographs_with_the_line_in_its_comment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grid only counts the files; so few of them allow fewer samples than the grid asks for."""
    (overrides, seeds), _ = commands("wgan_figs5to7")
    monkeypatch.setenv("GAN_BENCH_DATA", str(tmp_path))
    (tmp_path / "bedrooms").mkdir()
    for index in range(40):
        (tmp_path / "bedrooms" / f"{index}.jpg").touch()
    path = ROOT / "grids" / "papers" / "wgan_figs5to7.yaml"
    found = load_grid(path, [*overrides, "evaluate.n=6", "evaluate.emd_n=6"], seeds)
    assert len(found.cells) == 9
    (dataset,) = {build(cell.settings["dataset"], DATASETS) for cell in found.cells}
    assert dataset.event_shape == (3, 64, 64)


@pytest.mark.parametrize(("name", "rows"), [("pacgan_table3", 10), ("r3gan_table1", 2)])
def test_every_published_row_is_of_some_cell_and_is_possible(name: str, rows: int) -> None:
    """k modes of 1000 leave a KL of at least log(1000 / k), and a mean KL more by Jensen; log 1000 is the largest."""
    assert len(grid(name).published) == rows
    for entry in grid(name).published:
        modes, kl = entry.values["modes_covered"][0], entry.values["reverse_kl"][0]
        assert math.log(1000 / modes) < kl < math.log(1000)


def test_no_published_row_stands_beside_other_data() -> None:
    path = ROOT / "grids" / "papers" / "pacgan_table3.yaml"
    assert load_grid(path, ["dataset=stacked_mnist"]).published
    assert not load_grid(path, ["dataset=stacked_digits"]).published


# PacGAN: stacked_MNIST_experiments/unrolled_GAN_experiment/D=0.25G and D=0.5G of fjxmlzn/PacGAN, config.py and model.py

CONFIG = {
    "disc_learning_rate": 0.0002, "gen_learning_rate": 0.0001, "beta1": 0.5, "beta2": 0.990, "batch_size": 128,
    "num_test_sample": 25600, "num_training_sample": 500000 * 128, "z_dim": 256,
}  # fmt: skip


def test_pacgan_trains_as_the_authors_configuration_says() -> None:
    found = grid("pacgan_table3")
    assert len(found.seeds) == 50
    assert {(cell.settings["arm"], cell.settings["pack"]) for cell in found.cells} == {
        (arm, pack) for arm in ("quarter", "half") for pack in (1, 2, 3, 4)
    }
    for cell in found.cells:
        own = cell.settings
        assert (own["critic_steps"], own["generator_steps"], own["update"]) == (1, 1, "alternating")
        assert own["latent"] == {"dim": CONFIG["z_dim"], "law": "normal"}
        assert own["steps"] * own["batch_size"] == CONFIG["num_training_sample"]
        assert own["evaluate"]["class_n"] == CONFIG["num_test_sample"]
        for player, rate in (("critic_optimizer", "disc_learning_rate"), ("generator_optimizer", "gen_learning_rate")):
            assert own[player]["lr"] == CONFIG[rate]
            assert (own[player]["beta1"], own[player]["beta2"]) == (CONFIG["beta1"], CONFIG["beta2"])


def shapes(settings: dict[str, Any], inputs: tuple[int, ...], outputs: tuple[int, ...]) -> set[tuple[int, ...]]:
    """Of a network's matrices and kernels."""
    import torch

    parameters = build(settings, NETWORKS).build(inputs, outputs).init(torch.Generator())
    return {tuple(tensor.shape) for tensor in parameters.values() if tensor.ndim > 1}


@pytest.mark.parametrize(("arm", "channels"), [("quarter", (2, 4, 8)), ("half", (4, 8, 16))])
def test_pacgans_networks_have_the_authors_layers(arm: str, channels: tuple[int, int, int]) -> None:
    """Kernels [out, in, 3, 3] of convolutions and [in, out, 3, 3] of transposed ones, as torch has them."""
    (cell,) = [c for c in grid("pacgan_table3").cells if (c.settings["arm"], c.settings["pack"]) == (arm, 2)]
    first, second, third = channels
    kernels = {(first, 6), (second, first), (third, second)}
    assert shapes(cell.settings["critic"], (6, *STACKED[1:]), ()) == {
        *((out, into, 3, 3) for out, into in kernels),
        (1, third * 4 * 4),
    }
    assert shapes(cell.settings["generator"], (256,), STACKED) == {
        (64 * 4 * 4, 256), (64, 32, 3, 3), (32, 16, 3, 3), (16, 8, 3, 3), (3, 8, 3, 3),
    }  # fmt: skip


# R3GAN


def test_r3gan_runs_every_loss_at_the_weights_that_the_paper_tried_and_over_the_images_of_the_code() -> None:
    found = grid("r3gan_table1")
    weights: dict[str, set[float]] = {}
    for cell in found.cells:
        weights.setdefault(cell.settings["objective"], set()).add(cell.settings["hparams"]["penalty_weight"])
        assert {cell.settings[player]["name"] for player in ("critic", "generator")} == {"resnet"}
        assert not build(cell.settings["critic"], NETWORKS).normalises_batch
    assert set(weights) >= {"r3gan", "non_saturating_r1_r2", "non_saturating_r1"}
    assert set(map(frozenset, weights.values())) == {frozenset({0.1, 1, 10, 100})}
    own = found.cells[0].settings
    assert own["steps"] * own["batch_size"] == pytest.approx(2e7, abs=512)
    assert own["batch_size"] * math.log(0.5) / math.log(own["ema"]) == pytest.approx(355_000, rel=1e-2)


def test_r3gans_rate_falls_by_half_a_cosine_to_that_of_the_code() -> None:
    import torch

    own = grid("r3gan_table1").cells[0].settings
    schedule = LrSchedule(**own["lr_schedule"])
    factors = schedule.factor(torch.tensor([0, own["steps"] / 2, own["steps"]]), own["steps"])
    torch.testing.assert_close(
        own["critic_optimizer"]["lr"] * factors, torch.tensor([2e-4, 1.25e-4, 5e-5], dtype=torch.float64)
    )


# WGAN


def test_only_wgans_generators_and_objectives_differ() -> None:
    found = grid("wgan_figs5to7")
    arms = {(cell.settings["arm"], cell.settings["objective"]) for cell in found.cells}
    assert arms == {
        (arm, objective)
        for arm in ("dcgan", "constant_filters", "mlp")
        for objective in ("wgan_clip", "non_saturating", "minimax")
    }
    assert len({str(cell.settings["critic"]) for cell in found.cells}) == 1
    assert build(found.cells[0].settings["critic"], NETWORKS).normalises_batch
    for cell in found.cells:
        own = cell.settings
        clipped = own["objective"] == "wgan_clip"
        warmup = {"steps": 100, "until": 25, "every": 500} if clipped else {"steps": 0, "until": 0, "every": 0}
        assert (own["critic_steps"], own["critic_warmup"]) == (5 if clipped else 1, warmup)
        assert own["critic_optimizer"] == own["generator_optimizer"]


def test_wgans_constant_filters_are_as_many_as_the_paper_implies() -> None:
    """Figure 6: "the number of parameters is therefore reduced by a bit more than an order of magnitude"."""
    import torch

    sizes = {
        cell.settings["arm"]: sum(
            tensor.numel()
            for tensor in build(cell.settings["generator"], NETWORKS)
            .build((100,), (3, 64, 64))
            .init(torch.Generator())
            .values()
        )
        for cell in grid("wgan_figs5to7").cells
    }
    assert 10 < sizes["dcgan"] / sizes["constant_filters"] < 15
    assert sizes["dcgan"] == pytest.approx(100 * 512 * 16 + (512 * 256 + 256 * 128 + 128 * 64 + 64 * 3) * 16, rel=0.01)
