"""Does training converge near the equilibrium? The Dirac-GAN of Mescheder et al. 2018 (arXiv:1801.04406).

Real data are at 0, fake data at theta, and the critic, a line through 0, has one weight: nothing but the game is left.
The equilibrium is the origin. Both players' gradients are those of the real losses, by autograd in float64.

In the paper's sign: its critic, psi x, is high on fake samples, where this project's, minus psi x, is high on real
ones. For gradient descent it makes no difference but the sign of psi.

What is predicted: with the Jacobian J of the field of both players' descent at the equilibrium, one step of rate h is
``I + hJ`` in linear approximation where both move at once; where they take turns, it is the product of the critic's
steps, whose rows of J are those of psi alone, and then the generator's. A spectral radius below 1 draws every start
that is near enough into the equilibrium, one above 1 none; at 1 the linear part decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from bench.cell import Run, Settings, Unit
from bench.experiments import objective_alone
from bench.experiments.base import Context, Result, Row, Stopped, identity_row
from objectives import OBJECTIVES
from objectives.base import Objective
from objectives.closed_forms import DIRAC_FIELDS, exact

Floats = npt.NDArray[np.float64]
Vectors = Callable[[float, float], tuple[float, float]]
"""A field: (theta, psi) -> (theta', psi')."""

LATE = 0.1
"""The share of the steps, at the end, over which the largest distance says where a run has come to."""

MOST_ROWS, MOST_POINTS = 201, 1001
"""Of a run: steps in its record, and in the trajectory beside it, evenly spaced."""

NEAR = 1e-6
"""How far from the equilibrium the field is read to see whether it has a linear part there."""

BEND = 1e-3
"""How far, relative to the distance, a field may be from its linear part there: in theory, of the order of ``NEAR``."""

PULSE = 200
"""Steps between two looks up from the work."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The discrete game: from where, with which rate for both players, how often, in which order."""

    theta: Annotated[float, Field(ge=-100, le=100)] = 1.0
    psi: Annotated[float, Field(ge=-100, le=100)] = 1.0
    rate: Annotated[float, Field(gt=0, le=10)] = 0.1
    steps: Annotated[int, Field(ge=10, le=10**6)] = 1000
    update: Literal["simultaneous", "alternating"] = "simultaneous"
    critic_steps: Annotated[int, Field(ge=1, le=1000)] = 1

    def __post_init__(self) -> None:
        if self.update == "simultaneous" and self.critic_steps != 1:
            raise ValueError("simultaneous players have one update each a step; critic_steps says more")
        if self.theta == self.psi == 0:
            raise ValueError("the start is the equilibrium; theta or psi is something else than 0")


class Dirac:
    """The experiment ``dirac``: rows over steps, with the linear part at the equilibrium in each."""

    name = "dirac"

    def resolve(self, raw: Mapping[str, Any]) -> Settings:
        """See ``Experiment.resolve``."""
        return objective_alone.resolve(raw, Probe)

    def sources(self, settings: Settings) -> Settings:
        """See ``Experiment.sources``."""
        return objective_alone.sources(settings)

    def label(self, settings: Settings) -> str:
        """See ``Experiment.label``."""
        return f"{settings['objective']}-{settings['probe']['update']}"

    def group(self, settings: Settings) -> str:
        """See ``Experiment.group``: any runs may share a unit, which batches those that can be."""
        return ""

    def work(self, settings: Settings) -> float:
        """See ``Experiment.work``."""
        return float(1000 * settings["probe"]["steps"] * (1 + settings["probe"]["critic_steps"]))

    def run(self, unit: Unit, context: Context) -> list[Result]:
        """See ``Experiment.run``: a killed try begins again, since a unit takes seconds."""
        batches: dict[tuple[Any, ...], list[Run]] = {}
        for run in unit.runs:
            probe = run.cell.settings["probe"]
            key = (run.cell.settings["objective"], probe["steps"], probe["critic_steps"])
            batches.setdefault(key, []).append(run)
        results: dict[str, Result] = {}
        total, done = sum(key[1] for key in batches), 0
        for (_, steps, _), runs in batches.items():
            paths = np.empty((steps + 1, 2, len(runs)))
            for step, point in enumerate(_play(runs)):
                paths[step] = point
                if step % PULSE == 0:
                    if context.stopping():
                        raise Stopped
                    context.progress((done + step) / total)
            done += steps
            results |= {run.id: _result(run, paths[:, :, r]) for r, run in enumerate(runs)}
        return [results[run.id] for run in unit.runs]


DIRAC = Dirac()


class _Game:
    """The gradients of both players, for one replica: theta [], weight [] of this project's critic -> []."""

    def __init__(self, objective: Objective, hparams: Mapping[str, Any], noise: Mapping[str, Any]) -> None:
        self.objective, self.hparams, self.noise = objective, hparams, noise
        self.real = torch.zeros(1, 1, dtype=torch.float64)

    def generator(self, theta: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Of the generator loss in theta."""

        def loss(theta: torch.Tensor) -> torch.Tensor:
            fake = theta.reshape(1, 1)
            return self.objective.generator_loss(lambda x: weight * x[:, 0], self.real, fake, self.noise, self.hparams)

        gradient: torch.Tensor = torch.func.grad(loss)(theta)
        return gradient

    def critic(self, theta: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Of the critic loss in the weight."""
        fake = theta.reshape(1, 1)

        def loss(weight: torch.Tensor) -> torch.Tensor:
            return self.objective.critic_loss(lambda x: weight * x[:, 0], self.real, fake, self.noise, self.hparams)

        gradient: torch.Tensor = torch.func.grad(loss)(weight)
        return gradient

    def field(self, theta: torch.Tensor, psi: torch.Tensor) -> torch.Tensor:
        """Of simultaneous descent, in the paper's sign: [2]."""
        return torch.stack([-self.generator(theta, -psi), self.critic(theta, -psi)])

    def clipped(self, weight: torch.Tensor) -> torch.Tensor:
        """What the objective's projection, where it has one, leaves of the weight."""
        if self.objective.project is None:
            return weight
        return self.objective.project({"weight": weight}, self.hparams)["weight"]


def _play(runs: Sequence[Run]) -> Iterator[Floats]:
    """The points (theta, psi), [2, R], of runs that differ in scalars alone: the start, and after each step."""
    from torch.fx.experimental.proxy_tensor import make_fx

    settings = [run.cell.settings for run in runs]
    probes = [one["probe"] for one in settings]
    objective = OBJECTIVES[settings[0]["objective"]]

    def column(values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64)

    hparams = {name: column([one["hparams"][name] for one in settings]) for name in settings[0]["hparams"]}
    drawn = [objective_alone.draw_noise(run.cell.settings, run.seed, torch.float64) for run in runs]
    noise = {name: torch.stack([one[name] for one in drawn]) for name in drawn[0]}
    rate = column([probe["rate"] for probe in probes])
    in_turn = torch.tensor([probe["update"] == "alternating" for probe in probes])

    def step(
        theta: torch.Tensor, weight: torch.Tensor, rate: torch.Tensor, in_turn: torch.Tensor, hparams: Any, noise: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        game, new = _Game(objective, hparams, noise), weight
        for _ in range(probes[0]["critic_steps"]):
            new = game.clipped(new - rate * game.critic(theta, new))
        opponent = torch.where(in_turn, new, weight)
        return theta - rate * game.generator(theta, opponent), new

    theta, weight = column([probe["theta"] for probe in probes]), -column([probe["psi"] for probe in probes])
    rest = (rate, in_turn, hparams, noise)
    # The same operations without the machinery of autograd and vmap around each: three times as fast.
    traced = make_fx(torch.func.vmap(step))(theta, weight, *rest)
    for _ in range(probes[0]["steps"]):
        yield torch.stack([theta, -weight]).numpy()
        theta, weight = traced(theta, weight, *rest)
    yield torch.stack([theta, -weight]).numpy()


def _result(run: Run, path: Floats) -> Result:
    """Rows of the path [steps + 1, 2], up to where it stops being finite."""
    distance = np.hypot(*path.T)
    finite = int(np.argmin(np.isfinite(distance))) if not np.isfinite(distance).all() else len(path)
    late = distance[round((1 - LATE) * (len(path) - 1)) :].max() if finite == len(path) else math.inf
    ends = {**_equilibrium(run), "late_distance": float(late / distance[0])}

    def row(step: int, status: str = "ok", message: str = "") -> Row:
        told = {"step": step, "status": status, "message": message}
        where = dict(zip(("theta", "psi", "distance"), (*path[step].tolist(), float(distance[step])), strict=True))
        return {**identity_row(run), **told, **where, **ends}

    rows = [row(step) for step in _marks(len(path), MOST_ROWS) if step < finite]
    if finite < len(path):
        path[finite] = distance[finite] = math.nan
        rows.append(row(finite, "diverged", "theta or psi stopped being finite"))
    marks = [step for step in _marks(len(path), MOST_POINTS) if step < finite]
    with np.errstate(over="ignore"):
        return Result(run, rows, {"trajectory": path[marks].astype(np.float32)})


def _marks(length: int, most: int) -> list[int]:
    """Steps from the first to the last, evenly, at most so many."""
    return sorted({round(mark) for mark in np.linspace(0, length - 1, min(length, most)).tolist()})


def _equilibrium(run: Run) -> Row:
    """The linear part there, by autograd and in closed form, and what it predicts of the discrete game."""
    settings = run.cell.settings
    noise = objective_alone.draw_noise(settings, run.seed, torch.float64)
    hparams = objective_alone.make_hparams(settings, torch.float64)
    game = _Game(OBJECTIVES[settings["objective"]], hparams, noise)

    def measured(theta: float, psi: float) -> tuple[float, float]:
        first, second = game.field(*torch.tensor([theta, psi], dtype=torch.float64)).tolist()
        return first, second

    zeros = torch.zeros(2, dtype=torch.float64)
    jacobian = torch.stack(torch.func.jacrev(game.field, argnums=(0, 1))(*zeros), 1).numpy()
    if not np.isfinite(jacobian).all():
        # The norm of a slope has no derivative at slope 0, not even where a one-sided penalty leaves it out.
        jacobian = _differences(measured)
    linear, jump = _linear_part(measured, jacobian)
    row = {**_eigenvalues("eigenvalue", linear), "jump": jump}
    row["spectral_radius"] = _spectral_radius(linear, settings["probe"])
    closed, jump = _closed_form(settings)
    return row | _eigenvalues("closed_form", closed) | {"closed_form_jump": jump}


def _closed_form(settings: Settings) -> tuple[Floats, float]:
    """As ``_linear_part``, of the closed form: its Jacobian by differences, which in decimals are exact to 1e-13."""
    form = DIRAC_FIELDS.get(settings["objective"])
    if form is None:
        return np.full((2, 2), math.nan), math.nan
    numbers = exact(settings["hparams"])

    def field(theta: float, psi: float) -> tuple[float, float]:
        first, second = form(Decimal(theta), Decimal(psi), numbers)
        return float(first), float(second)

    return _linear_part(field, _differences(field))


def _differences(field: Vectors) -> Floats:
    """The Jacobian [2, 2] at the equilibrium by central differences, nearer to it than where it is tried after."""
    step = NEAR / 10
    pairs = [(field(step, 0.0), field(-step, 0.0)), (field(0.0, step), field(0.0, -step))]
    return np.array([np.subtract(*pair) / (2 * step) for pair in pairs]).T


def _linear_part(field: Vectors, jacobian: Floats) -> tuple[Floats, float]:
    """The Jacobian [2, 2] at the equilibrium where the field has one, else NaN; and the field's speed beside it.

    A penalty with its centre at slope 1 drives the critic away from slope 0 at the same speed however near it is: the
    field jumps. The speed is 0 where it does not.
    """
    directions = [np.array(d, dtype=np.float64) for d in product((-1, 0, 1), repeat=2) if any(d)]
    read = [np.array(field(*(NEAR * direction).tolist())) for direction in directions]
    bend = max(np.abs(value / NEAR - jacobian @ d).max() for value, d in zip(read, directions, strict=True))
    speed = max(float(np.hypot(*value)) for value in read)
    if bend <= BEND:
        return jacobian, 0.0
    return np.full((2, 2), math.nan), speed if speed > BEND else 0.0


def _spectral_radius(jacobian: Floats, probe: Settings) -> float:
    """Of one step in linear approximation; NaN where there is none."""
    if not np.isfinite(jacobian).all():
        return math.nan
    both = np.eye(2) + probe["rate"] * jacobian
    if probe["update"] == "simultaneous":
        return float(np.abs(np.linalg.eigvals(both)).max())
    generator, critic = np.eye(2), np.eye(2)
    generator[0], critic[1] = both
    one = generator @ np.linalg.matrix_power(critic, probe["critic_steps"])
    return float(np.abs(np.linalg.eigvals(one)).max())


def _eigenvalues(name: str, jacobian: Floats) -> Row:
    """Both, with the lower real part first, of equal ones the lower imaginary part."""
    values = [complex(math.nan, math.nan)] * 2
    if np.isfinite(jacobian).all():
        values = sorted(np.linalg.eigvals(jacobian).tolist(), key=lambda v: (round(v.real, 6), complex(v).imag))
    columns: Row = {}
    for number, value in enumerate(map(complex, values), 1):
        columns |= {f"{name}_real[{number}]": value.real, f"{name}_imag[{number}]": value.imag}
    return columns
