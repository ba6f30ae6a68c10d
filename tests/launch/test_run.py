"""The main job as real processes: results, resuming, kills, signals, failures."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import TINY, Bench, children, end, frame_of, gone, wait_for

from bench import records

SLOW = TINY.replace("steps: 60", "steps: 800")
"""Long enough to be caught at work."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A finished run of the tiny grid, and of the slow one, for comparison."""
    bench = Bench(tmp_path_factory.mktemp("undisturbed"))
    for name, text in (("tiny", TINY), ("slow", SLOW)):
        done = bench("run", "--grid", bench.grid(text, name), "--out", name, "--way", "vmap")
        assert done.returncode == 0, done.stdout + done.stderr
    return bench


def test_a_run_leaves_what_it_promises(undisturbed: Bench) -> None:
    folder = undisturbed.folder / "tiny"
    frame, errors = records.load(folder)
    assert not errors
    assert frame["run_id"].nunique() == 4
    assert set(frame["status"]) == {"ok"}
    promised = {
        "grid", "cell_id", "run_id", "seed", "step", "status", "objective", "dataset", "wall_seconds",
        "replica_steps_per_second", "modes_covered", "modes_total", "high_quality_share", "reverse_kl", "emd",
        "emd_floor", "emd_n", "modes_covered_floor", "modes_covered_by_mass", "hparams.penalty_weight",
        "critic_optimizer.lr", "dataset.std", "critic_loss", "generator_loss", "score_gap", "way", "device",
        "torch_version", "git_commit", "settings",
    }  # fmt: skip
    assert promised <= set(frame.columns)
    for _, rows in frame.groupby("run_id"):
        assert rows["step"].is_monotonic_increasing
        assert rows["step"].iloc[-1] == 60
        assert len(rows) == 4
    assert (frame["emd"] > 0).all()
    assert (frame["emd_n"] == 100).all()
    assert (frame["wall_seconds"] > 0).all()
    for path in ("results.parquet", "manifest.json", "report.html"):
        assert (folder / path).stat().st_size > 0
    assert {path.suffix for path in (folder / "tables").iterdir()} == {".md", ".tex", ".csv"}
    assert {path.suffix for path in (folder / "figures").iterdir()} == {".pdf", ".png"}
    assert not (folder / "work").exists()
    samples = records.load_samples(folder, frame["run_id"].iloc[0])
    assert samples["fake"].shape == (200, 2)


def test_objectives_with_one_seed_are_judged_against_the_same_samples(undisturbed: Bench) -> None:
    frame = frame_of(undisturbed.folder / "tiny")
    floors = frame.groupby("seed")["emd_floor"].nunique()
    assert (floors == 1).all()
    assert frame["emd_floor"].nunique() == 2


def test_the_stored_samples_give_the_stored_metrics_again(undisturbed: Bench) -> None:
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    folder = undisturbed.folder / "tiny"
    frame, _ = records.load(folder)
    for run_id, rows in frame.groupby("run_id"):
        samples = records.load_samples(folder, str(run_id))
        cost = cdist(samples["fake"][:100].astype(np.float64), samples["real"][:100].astype(np.float64))
        assert cost[linear_sum_assignment(cost)].mean() == pytest.approx(rows["emd"].iloc[-1], rel=1e-9)


def test_the_same_command_again_does_nothing_and_says_so(undisturbed: Bench) -> None:
    folder = undisturbed.folder / "tiny"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    again = undisturbed("run", "--grid", "tiny.yaml", "--out", "tiny", "--way", "vmap")
    assert again.returncode == 0
    assert "4 of them done" in again.stdout
    assert before == {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def test_more_seeds_train_only_what_is_missing_and_force_trains_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    grid = bench.grid()
    assert bench("run", "--grid", grid, "--out", "out", "--seeds", "1", "--way", "vmap").returncode == 0
    first = {path.name: path.read_bytes() for path in (tmp_path / "out" / "runs").iterdir()}
    assert bench("run", "--grid", grid, "--out", "out", "--way", "vmap").returncode == 0
    second = {path.name: path.read_bytes() for path in (tmp_path / "out" / "runs").iterdir()}
    assert len(first) == 2
    assert len(second) == 4
    assert first.items() <= second.items()
    before = frame_of(tmp_path / "out")
    assert bench("run", "--grid", grid, "--out", "out", "--way", "vmap", "--force").returncode == 0
    third = {path.name: path.read_bytes() for path in (tmp_path / "out" / "runs").iterdir()}
    assert third.keys() == second.keys()
    assert not third.items() & second.items()  # times differ
    # The units are composed anew, of two runs each, so the last bits may differ from those of units of one run.
    after = frame_of(tmp_path / "out")
    assert (after["emd_floor"] == before["emd_floor"]).all()
    assert np.allclose(after["emd"], before["emd"], rtol=1e-3)


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    done = bench("run", "--grid", bench.grid(), "--dry-run")
    assert done.returncode == 0
    assert "tiny: 2 cells x 2 seeds = 4 runs" in done.stdout
    assert "ring-wgan_gp x 2" in done.stdout
    assert "roughly" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.yaml"}


def kill_one(bench: Bench, out: str, victim: str) -> None:
    """Start the slow grid, kill the driver, a worker or an evaluator once it is at work."""
    process = bench.start("run", "--grid", "slow.yaml", "--out", out, "--way", "vmap")
    try:
        wait_for(lambda: list((bench.folder / out).glob("work/*/state.safetensors")) or process.poll() is not None)
        assert process.poll() is None
        workers = children(process)
        family = [process.pid, *[p.pid for w in workers for p in (w, *w.children(recursive=True))]]
        if victim == "driver":
            os.kill(process.pid, signal.SIGKILL)
            process.wait(30)
            wait_for(lambda: gone(family[1:]), 20)
        else:
            target = workers[0] if victim == "worker" else workers[0].children()[-1]
            target.kill()
            assert process.wait(120) == 0
    finally:
        output = end(process)
    if victim != "driver":
        assert "begins again from its last checkpoint" in output


@pytest.mark.parametrize("victim", ["driver", "worker", pytest.param("evaluator", marks=pytest.mark.campaign)])
def test_a_kill_costs_no_row_and_changes_no_bit(undisturbed: Bench, victim: str) -> None:
    kill_one(undisturbed, victim, victim)
    again = undisturbed("run", "--grid", "slow.yaml", "--out", victim, "--way", "vmap")
    assert again.returncode == 0, again.stdout + again.stderr
    found = frame_of(undisturbed.folder / victim).drop(columns="grid")
    expected = frame_of(undisturbed.folder / "slow").drop(columns="grid")
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.campaign),
    ],
)
def test_a_signal_saves_and_the_same_command_goes_on(undisturbed: Bench, number: signal.Signals, code: int) -> None:
    out = f"signal-{code}"
    process = undisturbed.start("run", "--grid", "slow.yaml", "--out", out, "--way", "vmap")
    try:
        wait_for(lambda: list((undisturbed.folder / out).glob("work/*/state.safetensors")))
        workers = [worker.pid for worker in children(process)]
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # Ctrl-C reaches every process of the terminal
        else:
            os.kill(process.pid, number)
        assert process.wait(20) == code
        assert gone(workers)
    finally:
        assert "the same command goes on from here" in end(process)
    if number == signal.SIGINT:
        assert undisturbed("run", "--grid", "slow.yaml", "--out", out, "--way", "vmap").returncode == 0
        found = frame_of(undisturbed.folder / out)
        pd.testing.assert_frame_equal(found, frame_of(undisturbed.folder / "slow"), check_exact=True)


def test_status_tells_how_far_it_is(undisturbed: Bench) -> None:
    process = undisturbed.start("run", "--grid", "slow.yaml", "--out", "watched", "--way", "vmap")
    try:
        wait_for(lambda: list((undisturbed.folder / "watched").glob("work/*/state.safetensors")))
        said = undisturbed("status", "watched")
        assert said.returncode == 0
        assert "of 4 runs done" in said.stdout
        assert "at work or interrupted" in said.stdout
    finally:
        end(process)
    assert "4 of 4 runs done\n  ok: 4" in undisturbed("status", "tiny").stdout


def test_a_second_driver_helps_and_goes_on_when_the_first_is_killed(undisturbed: Bench) -> None:
    first = undisturbed.start("run", "--grid", "slow.yaml", "--out", "shared", "--way", "vmap")
    try:
        wait_for(lambda: len(list((undisturbed.folder / "shared").glob("work/*/state.safetensors"))) == 2)
        again = undisturbed("run", "--grid", "slow.yaml", "--out", "shared", "--force")
        assert again.returncode == 2
        assert again.stderr == "bench: shared: another run is at work here; wait for it, or choose --out\n"
        second = undisturbed.start("run", "--grid", "slow.yaml", "--out", "shared", "--way", "vmap", "--workers", "1")
        wait_for(lambda: len(list((undisturbed.folder / "shared").glob("drivers/*.json"))) == 2)
        first.kill()
        assert second.wait(120) == 0
    finally:
        end(first)
        said = end(second)
    assert "4 of 4 runs done" in said
    assert not {"drivers", "leases", "work"} & {path.name for path in (undisturbed.folder / "shared").iterdir()}
    found, expected = (frame_of(undisturbed.folder / name).drop(columns="grid") for name in ("shared", "slow"))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


FAILS = """\
from dataclasses import replace
from pathlib import Path

from objectives.minimax import OBJECTIVE


def fails(critic, real, fake, noise, hparams):
    if Path("fail").exists():
        raise ArithmeticError("no sum of these")
    return OBJECTIVE.critic_loss(critic, real, fake, noise, hparams)


OBJECTIVES = [replace(OBJECTIVE, name="fails", critic_loss=fails)]
"""


def test_a_run_that_fails_is_one_row_and_can_be_tried_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (tmp_path / "fails.py").write_text(FAILS)
    (tmp_path / "fail").touch()
    words = ("run", "--grid", bench.grid(TINY.replace("[non_saturating", "[fails")), "--plugin", "fails.py")
    words = (*words, "--out", "out", "--way", "vmap")
    failed = bench(*words)
    assert failed.returncode == 1
    assert "it goes on in halves" in failed.stdout
    assert "--retry failed tries them again" in failed.stdout
    frame, _ = records.load(tmp_path / "out")
    last = frame.drop_duplicates("run_id", keep="last")
    assert dict(zip(last["objective"], last["status"], strict=True)) == {"fails": "failed", "wgan_gp": "ok"}
    bad = last[last["status"] == "failed"]
    assert set(bad["message"]) == {"ArithmeticError: no sum of these"}
    (name,) = set(bad["traceback"])
    (log,) = (path for path in (tmp_path / "out" / "logs").iterdir() if f"traceback {name}" in path.read_text())
    assert "fails.py" in log.read_text()
    assert bench(*words).returncode == 1  # not tried by itself
    (tmp_path / "fail").unlink()
    retried = bench(*words, "--retry", "failed")
    assert retried.returncode == 0, retried.stdout + retried.stderr
    assert set(frame_of(tmp_path / "out")["status"]) == {"ok"}


def test_what_another_shard_has_saved_stays_until_all_is_done(tmp_path: Path) -> None:
    bench, saved = Bench(tmp_path), tmp_path / "out" / "work" / "theirs" / "state.safetensors"
    saved.parent.mkdir(parents=True)
    saved.touch()
    words = ("run", "--grid", bench.grid(), "--out", "out", "--way", "vmap")
    assert bench(*words, "--shard", "1/2").returncode == 0
    assert 0 < len(records.finished(tmp_path / "out")) < 4
    assert saved.exists()
    assert bench(*words).returncode == 0
    assert not (tmp_path / "out" / "work").exists()


def test_a_diverged_run_is_a_result(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    entry = "{name: minimax, optimizer: {lr: [1.0e-4, 1.0e+38]}}"
    text = TINY.replace("objective: [non_saturating,", f"objective: [{entry},")
    done = bench("run", "--grid", bench.grid(text), "--out", "out", "--way", "vmap")
    assert done.returncode == 0, done.stdout + done.stderr
    frame, _ = records.load(tmp_path / "out")
    last = frame.drop_duplicates("run_id", keep="last")
    bad = last[last["status"] == "diverged"]
    assert len(bad) == 2
    assert bad["critic_optimizer.lr"].eq(1e38).all()
    assert bad["message"].str.contains("stopped being finite").all()
    assert (bad["step"] >= 1).all()
    assert bad["emd"].isna().all()
    assert (last["status"] == "ok").sum() == 4


def test_the_manifest_holds_what_is_needed_to_run_again(undisturbed: Bench) -> None:
    manifest = json.loads((undisturbed.folder / "tiny" / "manifest.json").read_text())
    assert manifest["grid_source"] == TINY
    assert [cell["seeds"] for cell in manifest["cells"]] == [[0, 1], [0, 1]]
    assert str(undisturbed.folder) not in json.dumps(manifest)
    assert [cell["settings"]["objective"] for cell in manifest["cells"]] == ["non_saturating", "wgan_gp"]


def test_what_a_paper_forbids_is_skipped_with_the_reason(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    text = TINY.replace("critic: {name: mlp,", "critic: {name: mlp, norm: batch,")
    done = bench("run", "--grid", bench.grid(text), "--out", "out", "--way", "vmap")
    assert done.returncode == 0, done.stdout + done.stderr
    frame, _ = records.load(tmp_path / "out")
    last = frame.drop_duplicates("run_id", keep="last")
    assert dict(zip(last["objective"], last["status"], strict=True)) == {"non_saturating": "ok", "wgan_gp": "skipped"}
    assert last.loc[last["status"] == "skipped", "message"].str.contains("use norm: layer").all()
    assert "2 skipped" in done.stdout
    assert "use norm: layer" in done.stdout
    again = bench("run", "--grid", bench.grid(text), "--out", "out", "--way", "vmap")
    assert "4 of them done" in again.stdout


@pytest.mark.campaign
def test_everything_a_protocol_can_ask_for_runs_is_killed_and_goes_on(tmp_path: Path) -> None:
    """Packs, a training set, noise, averaging, schedules, warm-up at once; a stop in the middle changes nothing."""
    text = (
        TINY.replace("steps: 60", "steps: 800")
        .replace("dataset: ring", "dataset: [ring_unrolled_notebook, two_moons]")
        .replace("objective: [non_saturating, {name: wgan_gp, critic_steps: 2}]", "objective: r3gan")
        .replace("critic: {name: mlp,", "critic: {name: mlp, constraint: spectral,")
    )
    text += (
        "pack: 2\nema: 0.9\ntraining_set: 100\ninstance_noise: {std: 0.1, until: 0.5}\ngenerator_steps: 2\n"
        "lr_schedule: {shape: cosine, warmup: 10}\ncritic_warmup: {steps: 3, until: 5, every: 50}\n"
        "optimizer: {name: optimistic_adam, lr: 1.0e-4}\n"
    )
    bench = Bench(tmp_path)
    grid = bench.grid(text)
    whole = bench("run", "--grid", grid, "--out", "whole", "--way", "vmap")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    process = bench.start("run", "--grid", grid, "--out", "parts", "--way", "vmap")
    try:
        wait_for(lambda: list((tmp_path / "parts").glob("work/*/state.safetensors")))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        end(process)
    assert not records.finished(tmp_path / "parts")
    resumed = bench("run", "--grid", grid, "--out", "parts", "--way", "vmap")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    one, other = (frame_of(tmp_path / name) for name in ("whole", "parts"))
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    last = one.drop_duplicates("run_id", keep="last")
    assert set(last["generator_steps_done"]) == {1600}
    warm = sum(3 if step < 5 or step % 50 == 0 else 1 for step in range(800))
    assert set(last["critic_steps_done"]) == {warm}
    ring, moons = last[last["dataset"] == "unrolled_ring"], last[last["dataset"] == "two_moons"]
    assert set(ring["modes_total"]) == {7.0}
    assert moons["modes_covered"].isna().all()
    assert moons["emd"].notna().all()
