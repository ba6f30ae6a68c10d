"""R10, R11, R12: what a run computes does not depend on when, where, after what or beside whom it is computed.

Equal units (the same runs, stepped the same way) give the same bits. A run that other runs stand beside has the same
draws always, and in the plain loop the same everything.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from at_work import after, context
from commands import TIMES, Bench, end, frame_of, wait_for
from table import told

from bench import seeding, training_settings
from bench.cell import Run, Unit
from bench.engine import Training, Way
from bench.experiments import EXPERIMENTS, Result, Stopped, make_cell, session
from bench.grid import load_grid
from objectives import OBJECTIVES

TRAIN = EXPERIMENTS["train"]

CUTS = [[0, 1, 2, 3, 4]], [[0, 1], [2, 3, 4]], [[0], [1], [2], [3], [4]]
"""Seeds 0 to 4 in one unit, in two, in five."""
WAYS: tuple[Way, ...] = ("vmap", "vmap", "loop")
CAMPAIGN = pytest.mark.campaign


def raw_of(objective: str, batch_size: int = 16, width: int = 8, steps: int = 40, **own: Any) -> dict[str, Any]:
    network = {"name": "mlp", "depth": 1, "width": width}
    return {
        "objective": objective, "dataset": "ring", "steps": steps, "batch_size": batch_size, "generator": network,
        "critic": network, "evaluate": {"observations": 3, "n": 100, "emd_n": 50}, **own,
    }  # fmt: skip


def unit_of(raw: Any, seeds: Sequence[int] = (0, 1)) -> Unit:
    cell = make_cell(TRAIN, TRAIN.resolve(raw))
    return Unit(tuple(Run(cell, seed) for seed in seeds))


def training_of(raw: Any, seeds: Sequence[int], way: Way) -> Training:
    settings = TRAIN.resolve(raw)
    scalars = training_settings.make_scalars([settings] * len(seeds))
    return Training(training_settings.make_problem(settings), seeds, scalars, way=way)


def shown(result: Result, *without: str) -> list[dict[str, Any]]:
    """The rows without what time changes."""
    return [{k: v for k, v in row.items() if not k.endswith(TIMES) and k not in without} for row in result.rows]


def assert_same(found: Sequence[Result], expected: Sequence[Result]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_equal(shown(one), shown(other))
        np.testing.assert_equal(dict(one.samples), dict(other.samples))


# --- R10: the same bits


SHORT = raw_of("wgan_gp", 17, 7, steps=8, critic_steps=1)
LOOPED = [raw_of(name, size, width) for name in OBJECTIVES for size, width in ((16, 8), (17, 7))]
"""With batches and layers that fill a processor's vectors, and with some that do not."""
PICTURES = raw_of(
    "wgan_gp", 7, dataset="digits", steps=6, critic_steps=1,
    generator={"name": "dcgan", "width": 4}, critic={"name": "dcgan", "width": 4},
)  # fmt: skip


@pytest.mark.parametrize(
    "raws", [pytest.param([SHORT], id="sample"), pytest.param([*LOOPED, PICTURES], id="all", marks=CAMPAIGN)]
)
def test_in_the_plain_loop_a_run_has_the_same_bits_in_any_company(raws: Sequence[Any], tmp_path: Path) -> None:
    for i, raw in enumerate(raws):
        alone: dict[int, Result] = {}
        for seeds in (seeds for cut in reversed(CUTS) for seeds in cut):
            work = replace(context(tmp_path / f"{i}-{seeds}"), way="loop")
            for seed, result in zip(seeds, TRAIN.run(unit_of(raw, seeds), work), strict=True):
                first = alone.setdefault(seed, result)
                rows, expected = (shown(each, "replicas") for each in (result, first))
                np.testing.assert_equal(rows, expected, err_msg=f"{raw} {seeds}")
                np.testing.assert_equal(dict(result.samples), dict(first.samples))
    count = 10 * len(raws)
    told("R10", count, count, "runs in units of 1, 2, 3 and 5, looped: every bit equal")


@pytest.mark.campaign
def test_draws_depend_on_neither_company_nor_way() -> None:
    """After 70 steps, past the blocks in which a stream draws."""
    streams = 0
    for name in OBJECTIVES:
        found = {}
        for way, cut in zip(WAYS, CUTS, strict=True):
            for seeds in cut:
                training = training_of(raw_of(name, critic_steps=1), seeds, way)
                training.advance(70)
                for key, values in training.state_dict().items():
                    for r, seed in enumerate(seeds if key.startswith("streams.") else ()):
                        own = values[r] if values.ndim else values
                        assert torch.equal(own, found.setdefault((key, seed), own)), (name, way, seeds, key)
                        streams += 1
        assert len({tuple(own.tolist()) for (key, _), own in found.items() if own.ndim}) == len(found) / 2
    told("R10", streams, streams, "states of streams")


@pytest.mark.campaign
@pytest.mark.parametrize("way", ["vmap", "compiled"])
def test_company_costs_rounding(way: Way) -> None:
    """What lifted weights of seed 2 are apart, beside four others and alone, by the largest number of each tensor."""
    names = ("non_saturating", "wgan_gp") if way == "compiled" else (*OBJECTIVES,)
    told_of: dict[int, dict[str, float]] = {10: {}, 100: {}, 1000: {}}
    for name in names:
        raw = raw_of(name, steps=1000)
        together, again, alone = (training_of(raw, seeds, way) for seeds in (range(5), range(5), [2]))
        for steps, worst in told_of.items():
            for training in (together, again, alone):
                training.advance(steps - training.step)
            states = [training.state_dict() for training in (together, again, alone)]
            assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
            weights = [key for key in states[0] if key.startswith(("state.generator.", "state.critic."))]
            gaps = [(states[0][key][2] - states[2][key][0]).abs().max() / states[2][key].abs().max() for key in weights]
            worst[name] = float(torch.stack(gaps).max())
            assert all(torch.equal(states[0][k][2], states[2][k][0]) for k in states[0] if k.endswith(".before"))
    said = [f"{np.median([*w.values()]):.0e} at most {max(w.values()):.0e} after {s}" for s, w in told_of.items()]
    told(
        "R10",
        3 * len(names),
        3 * len(names),
        f"{way}, equal units alike, draws alike; weights apart: {', '.join(said)}",
    )
    assert np.median([*told_of[10].values()]) < 1e-5


GRID = """\
seeds: 5
steps: 300
batch_size: 16
dataset: ring
objective: [non_saturating, wgan_gp]
generator: {name: mlp, depth: 1, width: 8}
critic: {name: mlp, depth: 1, width: 8}
evaluate: {observations: 4, n: 200, emd_n: 100}
"""


def shuffled(text: str, chance: random.Random) -> str:
    """The same grid with its keys, its objectives and its seeds in another order."""
    lines = text.replace("seeds: 5", f"seeds: {chance.sample(range(5), 5)}").splitlines(keepends=True)
    turned = [line.replace("[non_saturating, wgan_gp]", "[wgan_gp, non_saturating]") for line in lines]
    return "".join(chance.sample(turned, len(turned)))


@pytest.mark.campaign
@pytest.mark.parametrize("way", ["loop", "vmap"])
def test_commands_give_the_same_bits(way: str, tmp_path: Path) -> None:
    """A new process, another order, a kill; and more processes, parts, and seeds one after the other."""
    bench, chance = Bench(tmp_path), random.Random(0)
    grid, count, worst = bench.grid(GRID), 0, 0.0

    def run(out: str, *words: str) -> None:
        done = bench("run", "--grid", grid, "--out", out, "--way", way, *words)
        assert done.returncode == 0, done.stderr

    def again(out: str) -> None:
        run(out, "--workers", "1")

    def another_order(out: str) -> None:
        grid.write_text(shuffled(GRID, chance))
        run(out, "--workers", "1")
        grid.write_text(GRID)

    def killed(out: str) -> None:
        process = bench.start("run", "--grid", grid, "--out", out, "--way", way, "--workers", "1")
        wait_for(lambda: any((tmp_path / out / "work").glob("*/state*.safetensors")), 600)
        os.kill(process.pid, signal.SIGKILL)
        end(process)
        run(out, "--workers", "1")

    def workers(out: str) -> None:
        run(out, "--workers", str(chance.choice([2, 3, 4])))

    def parts(out: str) -> None:
        for part in chance.sample(["1/3", "2/3", "3/3"], 3):
            run(out, "--workers", "1", "--shard", part)

    def more_seeds(out: str) -> None:
        for seeds in ("1", "2", "5"):
            run(out, "--workers", "1", "--seeds", seeds)

    again("first")
    expected = frame_of(tmp_path / "first")
    for act, same_units, repeats in (
        (again, True, 1), (another_order, True, 2), (killed, True, 2),
        (workers, False, 2), (parts, False, 2), (more_seeds, False, 1),
    ):  # fmt: skip
        for _ in range(repeats):
            count += 1
            act(f"{act.__name__}-{count}")
            found = frame_of(tmp_path / f"{act.__name__}-{count}")
            if not same_units and way == "loop":
                found, base = found.drop(columns="replicas"), expected.drop(columns="replicas")
            elif not same_units:
                floors = ["run_id", "step", "seed", *(name for name in expected if name.endswith("_floor"))]
                worst = max(worst, float((found["emd"] / expected["emd"] - 1).abs().max()))
                found, base = found[floors], expected[floors]
            else:
                base = expected
            pd.testing.assert_frame_equal(found, base, check_exact=True, obj=act.__name__)
    told("R10", count, count, f"commands, {way}; EMD in other company {worst:.0e} apart")
    assert count == 10


# --- R11: ids and seeds


@pytest.mark.parametrize("side", [10, pytest.param(100, marks=CAMPAIGN)])
def test_no_two_runs_have_one_id(side: int, tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    lists = {
        "steps": [10, 20, 30, 40, 50], "batch_size": list(range(2, 2 + side)), "objective": ["minimax", "wgan_gp"],
        "optimizer": {"lr": [(1 + i) / 10000 for i in range(side)]},
    }  # fmt: skip
    path.write_text(json.dumps({"seeds": [7], "dataset": "ring", **lists}))
    runs = load_grid(path).runs()
    amount = 10 * side**2
    assert len({run.id for run in runs}) == len(runs) == amount
    assert len({run.cell.id.rsplit("-", 1)[1] for run in runs}) == amount  # by the hash alone
    purposes = ("init_generator", "init_critic", "data", "latent_critic", "latent_generator", "evaluation", "reference",
                "training_set", "objective.mix", "probe_data")  # fmt: skip
    pairs = [(seed, purpose) for seed in range(amount // len(purposes)) for purpose in purposes]
    assert len({seeding.seed_of(*pair) for pair in pairs}) == len(pairs) == amount
    # The generator of a CPU takes the lower half of its seed alone.
    assert (
        len({float(torch.rand((), generator=seeding.generator(*pair), dtype=torch.float64)) for pair in pairs})
        == amount
    )
    told("R11", 2 * amount, 2 * amount, "ids of runs; streams of seeds and purposes")


AXES: dict[str, list[Any]] = {
    "objective": ["minimax", "wgan_gp", "hinge"], "dataset": ["ring", "grid", {"name": "ring", "modes": 5}],
    "steps": [100, 200], "batch_size": [16, 32, 8], "pack": [1, 2, 4], "ema": [0.0, 0.9], "arm": ["", "b"],
    "optimizer": [{"lr": 1e-3}, {"lr": 1e-4}], "latent": [{"dim": 2}, {"dim": 3}], "training_set": [0, 50],
}  # fmt: skip
"""The first of each is what the run has that others are put beside."""


@pytest.mark.parametrize("times", [10, pytest.param(100, marks=CAMPAIGN)])
def test_axes_come_and_go_and_a_run_stays_what_it_is(times: int, tmp_path: Path) -> None:
    path, chance, sizes = tmp_path / "axes.yaml", random.Random(0), set()

    def load(content: dict[str, Any]) -> dict[str, tuple[int, str]]:
        path.write_text(json.dumps(content))
        return {run.id: (run.seed, json.dumps(run.cell.settings, sort_keys=True)) for run in load_grid(path).runs()}

    first = {name: values[0] for name, values in AXES.items()}
    ((own_id, own),) = load({**first, "seeds": [3]}).items()
    known: dict[str, tuple[int, str]] = {}
    for _ in range(times):
        grid: dict[str, Any] = dict(first)
        for name in chance.sample(list(AXES), chance.randrange(4)):
            some = chance.sample(AXES[name][1:], chance.randrange(1, len(AXES[name])))
            grid[name] = chance.sample([AXES[name][0], *some], 1 + len(some))
        grid["seeds"] = chance.sample([3, *range(10, 14)], 5) if chance.random() < 0.5 else [3]
        for name, default in (("pack", 1), ("ema", 0.0), ("arm", ""), ("training_set", 0)):
            if grid[name] == default and chance.random() < 0.5:
                del grid[name]  # what is said by default may as well be left out
        runs = load({key: grid[key] for key in chance.sample(list(grid), len(grid))})
        assert runs[own_id] == own
        assert all(known.setdefault(run_id, run) == run for run_id, run in runs.items())
        sizes.add(len(runs))
    assert len(sizes) > times // 20
    assert len(set(known.values())) == len(known)
    told("R11", times, times, f"changes of axes, {len(known):,} runs met")


def test_objectives_see_the_same_start_data_and_latents() -> None:
    """And what they are judged by: samples of one seed, whatever trains."""
    found: dict[str, torch.Tensor] = {}
    for name in OBJECTIVES:
        state = training_of(raw_of(name), [4], "vmap").state_dict()
        shared = ("state.generator.", "state.critic.", "streams.critic.real", "streams.critic.latent",
                  "streams.generator.latent")  # fmt: skip
        for key in state:
            if key.startswith(shared):
                assert torch.equal(state[key], found.setdefault(key, state[key])), (name, key)
    assert {key.split(".")[1] for key in found} == {"generator", "critic"}
    told("R11", len(OBJECTIVES), len(OBJECTIVES), "objectives with one start and one stream of data and of latents")


# --- R12: killed and resumed


def test_a_stopped_unit_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    raw = raw_of("non_saturating", steps=12, critic_steps=2)
    expected = TRAIN.run(unit_of(raw), context(tmp_path / "whole"))
    for point in (1, 4):
        with pytest.raises(Stopped):
            TRAIN.run(unit_of(raw), context(tmp_path / f"at-{point}", after(point)))
        assert_same(TRAIN.run(unit_of(raw), context(tmp_path / f"at-{point}")), expected)


def train_and_die(raw: Any, way: Way, work: Path, share: float) -> None:
    """In a process of its own: train, save at every pulse, and be killed at a share of the work."""
    torch.set_num_threads(1)
    session.CHECKPOINT_SECONDS = 0.0

    def progress(done: float) -> None:
        if done >= share:
            os.kill(os.getpid(), signal.SIGKILL)

    TRAIN.run(unit_of(raw), replace(context(work), way=way, progress=progress))


def train_to_the_end(raw: Any, way: Way, work: Path, out: Path) -> None:
    """In a process of its own: train, or go on, and leave rows and samples."""
    torch.set_num_threads(1)
    results = TRAIN.run(unit_of(raw), replace(context(work), way=way))
    samples = [{name: array.tolist() for name, array in result.samples.items()} for result in results]
    out.write_text(json.dumps([[shown(result) for result in results], samples]))


@pytest.mark.campaign
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_killed_at_any_point_a_run_ends_with_the_same_bits(share: float, tmp_path: Path) -> None:
    """Every objective, by the signal that nobody can catch, in processes that have nothing in common but the folder."""
    start = multiprocessing.get_context("forkserver")
    start.set_forkserver_preload(["bench.experiments.train", "scipy", "sklearn"])

    def process(target: Callable[..., None], *words: Any) -> int | None:
        started = start.Process(target=target, args=words)
        started.start()
        started.join(300)
        return started.exitcode

    for i, name in enumerate(OBJECTIVES):
        raw, way = raw_of(name, 16 + i % 3), "loop" if i % 2 else "vmap"
        whole, parts, out = tmp_path / f"{name}-whole", tmp_path / f"{name}-parts", tmp_path / name
        assert process(train_to_the_end, raw, way, whole, out) == 0
        assert process(train_and_die, raw, way, parts, share) == -signal.SIGKILL
        assert list(parts.glob("state*"))
        assert process(train_to_the_end, raw, way, parts, tmp_path / f"{name}-again") == 0
        assert (tmp_path / f"{name}-again").read_text() == out.read_text(), name
    told("R12", len(OBJECTIVES), len(OBJECTIVES), f"objectives, killed at {share:.0%}")
