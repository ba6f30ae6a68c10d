"""The Dirac-GAN experiment against what is known of it: published eigenvalues, discrete maps, games written out."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from at_work import context
from scipy.special import expit

from bench.cell import Run, Unit
from bench.experiments import Result, Stopped, make_cell
from bench.experiments.dirac import DIRAC
from bench.report import dirac as report
from bench.report import style
from bench.report.view import CellView, Task, View
from bench.settings import SettingError

R1 = "non_saturating_r1"


def play(folder: Path, *cells: dict[str, Any], stop: bool = False) -> list[Result]:
    runs = [Run(make_cell(DIRAC, DIRAC.resolve(cell)), 0) for cell in cells]
    results = DIRAC.run(Unit(tuple(runs)), context(folder, lambda: stop))
    assert [result.run for result in results] == runs
    return results


def game(name: str, update: str = "simultaneous", /, *, steps: int = 30, **given: float) -> dict[str, Any]:
    """The probe's settings are known by their names, the rest are hyperparameters."""
    probe = {key: given.pop(key) for key in ("theta", "psi", "rate", "critic_steps") if key in given}
    return {"objective": {"name": name, **given}, "probe": {**probe, "steps": steps, "update": update}}


def eigenvalues(row: dict[str, Any], name: str) -> list[complex]:
    return [complex(row[f"{name}_real[{k}]"], row[f"{name}_imag[{k}]"]) for k in (1, 2)]


PUBLISHED: dict[str, list[complex]] = {
    "minimax": [-0.5j, 0.5j],
    "non_saturating": [-0.5j, 0.5j],
    "wgan_clip": [-1j, 1j],
    "wgan_lp": [-1j, 1j],
}


def test_published_eigenvalues(tmp_path: Path) -> None:
    """Of Mescheder et al. 2018; a one-sided penalty leaves the WGAN alone where slopes are small."""
    cells = [game(name, steps=10) for name in PUBLISHED]
    cells += [game(R1, steps=10, penalty_weight=gamma) for gamma in (0.3, 1.0, 2.0)]
    root = math.sqrt(1 - 0.25)
    expected = [*PUBLISHED.values(), [complex(-0.15, s * math.sqrt(0.25 - 0.0225)) for s in (-1, 1)]]
    expected += [[-0.5, -0.5], [-1 - root, -1 + root]]
    for result, values in zip(play(tmp_path, *cells), expected, strict=True):
        for row in (result.rows[0], result.rows[-1]):
            # A double eigenvalue that has one eigenvector is found to the root of the rounding error.
            np.testing.assert_allclose(eigenvalues(row, "eigenvalue"), values, atol=1e-7)
            np.testing.assert_allclose(eigenvalues(row, "closed_form"), values, atol=1e-5)
            assert (row["jump"], row["closed_form_jump"]) == (0, 0)


@pytest.mark.parametrize(("name", "speed"), [("wgan_gp", 2.0), ("dragan", 2.0), ("cramer", 4.0)])
def test_a_jump_at_the_equilibrium_has_a_height_and_no_eigenvalues(name: str, speed: float, tmp_path: Path) -> None:
    """``2 weight``; twice that where the witness has twice the slope."""
    row = play(tmp_path, game(name, steps=10, penalty_weight=1.0))[0].rows[0]
    assert [row["jump"], row["closed_form_jump"]] == pytest.approx([speed, speed], abs=1e-4)
    assert all(map(np.isnan, [*eigenvalues(row, "eigenvalue"), *eigenvalues(row, "closed_form")]))
    assert math.isnan(row["spectral_radius"])


def test_spectral_radii(tmp_path: Path) -> None:
    """Eigenvalues +- i f of a rotation: ``sqrt(1 + h^2 f^2)`` at once; in turn 1, for any number of critic steps."""
    h = 0.2
    simultaneous, one, three, damped = play(
        tmp_path,
        game("minimax", rate=h, steps=10),
        game("minimax", "alternating", rate=h, steps=10),
        game("minimax", "alternating", rate=h, steps=10, critic_steps=3),
        game(R1, "alternating", rate=h, steps=10, penalty_weight=1.0, critic_steps=2),
    )
    assert simultaneous.rows[0]["spectral_radius"] == pytest.approx(math.hypot(1, h / 2), rel=1e-14)
    assert one.rows[0]["spectral_radius"] == pytest.approx(1, rel=1e-14)
    assert three.rows[0]["spectral_radius"] == pytest.approx(1, rel=1e-14)
    # psi -> (1 - h) psi + h/2 theta, twice; then theta -> theta - h/2 psi. The roots of x^2 - trace x + determinant.
    decay, drive = (1 - h) ** 2, (h / 2) * (1 + (1 - h))
    roots = np.roots([1, -(1 - h / 2 * drive + decay), decay])
    assert damped.rows[0]["spectral_radius"] == pytest.approx(np.abs(roots).max(), rel=1e-12)


def test_paths_are_those_of_the_game_written_out(tmp_path: Path) -> None:
    """The saturating game, in numpy, in the paper's sign; three critic steps before each of the generator."""
    simultaneous, alternating = play(
        tmp_path,
        game("minimax", theta=0.8, psi=-0.3, rate=0.3, steps=40),
        game("minimax", "alternating", theta=0.8, psi=-0.3, rate=0.3, steps=40, critic_steps=3),
    )
    theta, psi = 0.8, -0.3
    expected = [(theta, psi)]
    for _ in range(40):
        pull = 0.3 * expit(-theta * psi)
        theta, psi = theta - pull * psi, psi + pull * theta
        expected.append((theta, psi))
    np.testing.assert_allclose(pd.DataFrame(simultaneous.rows)[["theta", "psi"]], expected, rtol=1e-12)
    np.testing.assert_allclose(simultaneous.samples["trajectory"], expected, rtol=1e-6)
    np.testing.assert_allclose([row["distance"] for row in simultaneous.rows], np.hypot(*zip(*expected, strict=True)))
    theta, psi = 0.8, -0.3
    for _ in range(40):
        for _ in range(3):
            psi += 0.3 * expit(-theta * psi) * theta
        theta -= 0.3 * expit(-theta * psi) * psi
    assert [alternating.rows[-1][key] for key in ("theta", "psi", "step")] == pytest.approx([theta, psi, 40], rel=1e-12)


def test_clipping_holds_the_critic(tmp_path: Path) -> None:
    frame = pd.DataFrame(play(tmp_path, game("wgan_clip", steps=120, clip=0.5, psi=0.2))[0].rows)
    assert frame["psi"].abs().max() == 0.5
    assert frame["theta"].min() < 0 < frame["theta"].max()


def test_which_games_converge(tmp_path: Path) -> None:
    """The paper's verdict: zero-centred penalties do; GAN, WGAN and WGAN-GP do not, GAN in turn keeps its distance."""
    names = ["converges", "converges in turn", "gan", "gan in turn", "wgan", "wgan_gp"]
    results = play(
        tmp_path,
        game(R1, steps=300, penalty_weight=1.0),
        game(R1, "alternating", steps=300, penalty_weight=1.0),
        game("minimax", steps=300, theta=0.1, psi=0.05),
        game("minimax", "alternating", steps=300, theta=0.1, psi=0.05),
        game("wgan_clip", steps=300, clip=1.0),
        game("wgan_gp", steps=300, penalty_weight=0.5),
    )
    late = dict(zip(names, (result.rows[0]["late_distance"] for result in results), strict=True))
    assert max(late["converges"], late["converges in turn"]) < 1e-4
    # The squared distance grows by 1 + h^2 / 4 a step, as near the equilibrium as this.
    assert late["gan"] == pytest.approx((1 + 0.1**2 / 4) ** 150, rel=1e-3)
    assert late["gan in turn"] == pytest.approx(1, abs=0.06)
    assert min(late["wgan"], late["wgan_gp"]) > 0.5


def test_a_path_that_explodes_ends_as_diverged(tmp_path: Path) -> None:
    """With a penalty so steep that its own step overshoots: ``psi -> (1 - h gamma) psi``, here times -1e8 and more."""
    (result,) = play(tmp_path, game(R1, penalty_weight=1e9, steps=100))
    frame = pd.DataFrame(result.rows)
    assert frame["status"].tolist() == ["ok"] * (len(frame) - 1) + ["diverged"]
    last = frame.iloc[-1]
    assert 308 / 8 - 2 < last["step"] < 308 / 8 + 2
    assert np.isnan(last["distance"])
    assert frame["late_distance"].tolist() == [math.inf] * len(frame)
    assert len(result.samples["trajectory"]) == last["step"]


def test_rows_are_thinned(tmp_path: Path) -> None:
    (result,) = play(tmp_path, game("fgan_reverse_kl", steps=450))
    steps = [row["step"] for row in result.rows]
    assert (steps[0], steps[-1]) == (0, 450)
    assert len(steps) == 201
    assert set(np.diff(steps)) == {2, 3}


def test_the_report(tmp_path: Path) -> None:
    cells = [game(R1, update, penalty_weight=w) for w in (1.0, 2.0) for update in ("simultaneous", "alternating")]
    results = play(tmp_path, *cells, game("wgan_gp", penalty_weight=0.5), game("fgan_reverse_kl", steps=50))
    frames = [pd.DataFrame(result.rows) for result in results]
    views = tuple(
        CellView(f["cell_id"].iloc[0], f["objective"].iloc[0], "", (0,), f, dict(f.iloc[0].dropna().items()))
        for f in frames
    )
    view = View(tmp_path, "g", "dirac", {}, pd.concat(frames), (Task("", "", views),), (), 0)
    (table,) = report.tables(view)
    assert [part.title for part in table.parts] == ["simultaneous updates", "alternating updates"]
    rows = [dict(zip([h.key for h in table.headings], row.entries, strict=True)) for row in table.parts[0].rows]
    assert [row["objective"] for row in rows] == [f"{R1}, penalty_weight 1", f"{R1}, penalty_weight 2", "wgan_gp",
                                                  "fgan_reverse_kl"]  # fmt: skip
    assert [row["eigenvalues"] for row in rows] == ["-0.5", "-1.87, -0.134", "none: jumps by 2", "± 1i"]
    assert [row["closed_form"] for row in rows] == ["-0.5", "-1.87, -0.134", "none: jumps by 2", "± 1i"]
    assert [row["prediction"] for row in rows] == ["converges", "converges", "no linear part", "does not"]
    assert rows[0]["growth"] == pytest.approx(-0.05, rel=1e-6)
    assert rows[3]["agree"] == "yes"
    trajectories = {cell.id: result.samples for cell, result in zip(views, results, strict=True)}
    with style.applied():
        drawings = report.drawings(view, lambda cell, seed: trajectories[cell.id])
        assert [drawing.name for drawing in drawings] == ["dirac", "dirac_distance"]
        assert [drawing.name for drawing in report.drawings(view, lambda cell, seed: None)] == ["dirac_distance"]
    axes = drawings[0].figure.axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), results[0].samples["trajectory"])


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ({"critic_steps": 2}, "simultaneous players have one update each"),
        ({"theta": 0.0, "psi": 0.0}, "the start is the equilibrium"),
        ({"update": "both"}, "alternating"),
    ],
)
def test_impossible_games(probe: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        DIRAC.resolve({"objective": "hinge", "probe": probe})


def test_it_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        play(tmp_path, game("hinge"), stop=True)
