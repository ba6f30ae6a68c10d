"""How far a law is from its neighbours on a path, by the Wasserstein distance and by divergences.

A path is a family of laws Q_d, d from -1 to 1, given by functions g_d of one random input: Q_d is the law of g_d(z).
Along it every law is compared with the one in the middle, P = Q_0. Two paths:

- ``lines``: g_d(z) = (d, z) with z uniform on [0, 1], the parallel lines of Arjovsky et al. 2017 (arXiv:1701.07875),
  Example 1; closed forms stand beside every measurement.
- ``generator``: g_d is a network with parameters theta_t = (1 - t) theta_0 + t theta_1, t = (1 + d) / 2, both ends
  drawn as at the start of a training. If the input has one dimension, the laws lie on curves in the plane, which almost
  surely meet in points alone, so that the Jensen-Shannon divergence of any two is log 2 and the Kullback-Leibler
  divergence infinite, while the Wasserstein distance is continuous in t (their Theorem 1).

The places on a path are evenly spaced ones, and d = +-1, +-1/2, +-1/4 ..., which close in on the middle.

Q_d is sampled with the same inputs at every d, P with others: at d = 0 fresh samples of one law are compared, and the
values there are the floors of those elsewhere. Purposes of randomness: ``reference`` for the inputs of P,
``evaluation`` for those of Q_d, ``bins`` for where the bins begin; ``init_generator`` and ``init_generator_end`` for
the parameters, ``init_generator_buffers`` for the buffers of networks that have some.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from bench import seeding, sources
from bench.cell import Run, Settings, Unit, canonical
from bench.checkpoints import kept
from bench.distances import Array, between_lines, divergences, shares
from bench.experiments.base import Context, Result, Row, Stopped, check_keys, identity_row
from bench.metrics import FLOOR
from bench.metrics.emd import earth_movers_distance
from bench.networks import NETWORKS, Network
from bench.optim import Parameters
from bench.problem import Latent
from bench.settings import SettingError, build, check_block, check_named
from bench.sources import DATASET, code_digest
from datasets.parallel_lines import ParallelLines

PLANE = (2,)
"""The shape of a sample: bins of more dimensions would each hold a sample or none."""

PORTRAIT = 512
"""Samples of a law that are kept for a figure."""

PAIRED = ("wasserstein_paired", "coupling")
"""Columns for which both sides have the same inputs, so that their floor is 0."""

DATA = {"lines": "parallel_lines", "generator": "generator_path"}
"""What the laws of a path are laws of."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Where on which path, and from how many samples.

    Attributes:
        path: ``lines`` or ``generator``.
        points: how many places are evenly spaced from -1 to 1; odd, so that the middle is one of them.
        halvings: how often the distance from the middle is halved, on either side, starting from 1.
        n: samples on either side of the exact earth mover's distance, the first of those below.
        histogram_n: samples on either side of the histograms.
        bins: to a unit of length, of the finest histogram.
        coarsenings: how many further histograms there are, each with a quarter of the bins.
    """

    path: Literal["lines", "generator"]
    points: Annotated[int, Field(ge=3, le=1001)] = 21
    halvings: Annotated[int, Field(ge=1, le=20)] = 10
    n: Annotated[int, Field(ge=2, le=5000)] = 500
    histogram_n: Annotated[int, Field(ge=2, le=10**6)] = 20_000
    bins: Annotated[int, Field(ge=1, le=2**16)] = 1024
    coarsenings: Annotated[int, Field(ge=0, le=8)] = 4

    def __post_init__(self) -> None:
        if self.points % 2 == 0:
            raise ValueError(f"points is odd, so that the middle of the path is one of them, not {self.points}")
        if self.n > self.histogram_n:
            raise ValueError(f"n is at most histogram_n, the samples that there are: {self.n} > {self.histogram_n}")
        if self.bins % 4**self.coarsenings:
            raise ValueError(f"bins can be quartered {self.coarsenings} times, which {self.bins} cannot")

    def offsets(self) -> dict[float, bool]:
        """The places d in order, and whether each is one of those that are evenly spaced."""
        half = self.points // 2
        even = {index / half for index in range(-half, half + 1)}
        halved = {sign / 2**k for sign in (-1, 1) for k in range(self.halvings + 1)}
        return {d: d in even for d in sorted(even | halved)}

    def resolutions(self) -> list[int]:
        """Bins to a unit of length, of the coarsest histogram first."""
        return [self.bins // 4**k for k in range(self.coarsenings, -1, -1)]


class Path(Protocol):
    """A family of laws in the plane."""

    def position(self, d: float) -> float:
        """The place d under its own name."""
        ...

    def sample(self, d: float, n: int, generator: torch.Generator) -> torch.Tensor:
        """Samples g_d(z) [n, 2] of Q_d; the inputs z depend on the generator alone."""
        ...

    def closed(self, d: float) -> Mapping[str, float]:
        """What is known of the distance between Q_d and P without a sample, by column."""
        ...


class Lines:
    """Segments side by side; the place is theta itself."""

    def position(self, d: float) -> float:
        """Theta."""
        return d

    def sample(self, d: float, n: int, generator: torch.Generator) -> torch.Tensor:
        """See ``Path.sample``."""
        return ParallelLines(theta=d).sample(n, generator)

    def closed(self, d: float) -> Mapping[str, float]:
        """See ``between_lines``."""
        return between_lines(d)


@dataclass(frozen=True)
class Generators:
    """Networks whose parameters lie on a straight line from one drawing of them to another."""

    network: Network
    latent: Latent
    seed: int

    @cached_property
    def ends(self) -> tuple[Parameters, Parameters]:
        """Parameters at t = 0, with which a training of this seed begins, and at t = 1."""
        first, last = (
            self.network.init(seeding.generator(self.seed, purpose))
            for purpose in ("init_generator", "init_generator_end")
        )
        return first, last

    def position(self, d: float) -> float:
        """The share t of the way from the first parameters to the last."""
        return (1 + d) / 2

    def sample(self, d: float, n: int, generator: torch.Generator) -> torch.Tensor:
        """See ``Path.sample``."""
        (first, last), t = self.ends, self.position(d)
        parameters = {name: (1 - t) * first[name] + t * last[name] for name in first}
        buffers = self.network.init_buffers(parameters, seeding.generator(self.seed, "init_generator_buffers"))
        return self.network.apply({**parameters, **buffers}, self.latent.sample(n, generator))

    def closed(self, d: float) -> Mapping[str, float]:
        """Nothing."""
        return {}


class Paths:
    """The experiment ``paths``."""

    name = "paths"

    def resolve(self, raw: Mapping[str, Any]) -> Settings:
        """See ``Experiment.resolve``."""
        probe = check_block([Probe], raw.get("probe", {}), ("probe",))
        own = ("generator", "latent") if probe["path"] == "generator" else ()
        check_keys(raw, ("probe", *own))
        settings: dict[str, Any] = {"dataset": DATA[probe["path"]], "probe": probe}
        if own:
            settings["generator"] = check_named(raw.get("generator", "mlp"), "network", NETWORKS, ("generator",))
            settings["latent"] = check_block([Latent], raw.get("latent", {}), ("latent",))
            if build(settings["generator"], NETWORKS).normalises_batch:
                words = "batch norm makes a sample depend on the others of its batch, so that there is no law"
                raise SettingError(("generator", "norm"), words)
        return settings

    def sources(self, settings: Settings) -> Settings:
        """See ``Experiment.sources``."""
        lines = {} if "generator" in settings else {"dataset": code_digest(DATASET, settings["dataset"])}
        return {"metrics": {"emd": sources.metric_version("emd")}, **lines}

    def label(self, settings: Settings) -> str:
        """See ``Experiment.label``."""
        return f"paths-{settings['probe']['path']}"

    def group(self, settings: Settings) -> str:
        """See ``Experiment.group``."""
        return canonical(settings)

    def work(self, settings: Settings) -> float:
        """See ``Experiment.work``."""
        probe = Probe(**settings["probe"])
        matching, sorting = 500 * probe.n**2.5 / 30, 100 * probe.histogram_n * (probe.coarsenings + 1)
        return float(len(probe.offsets()) * (2 * matching + sorting))

    def run(self, unit: Unit, context: Context) -> list[Result]:
        """See ``Experiment.run``; what a kill costs is one run."""
        results = []
        for index, run in enumerate(unit.runs):
            if context.stopping():
                raise Stopped
            walk = _Walk(run)
            known = context.work / f"{run.seed}.json"
            rows = [{**identity_row(run), **row} for row in kept(known, walk.measure)]
            results.append(Result(run, rows, walk.portraits()))
            context.progress((index + 1) / len(unit.runs))
        return results


PATHS = Paths()


class _Walk:
    """One run: a path with its samples, and what is measured along it."""

    def __init__(self, run: Run) -> None:
        settings = run.cell.settings
        self.seed, self.probe = run.seed, Probe(**settings["probe"])
        self.path: Path = Lines()
        if "generator" in settings:
            latent = Latent(**settings["latent"])
            network = build(settings["generator"], NETWORKS).build((latent.dim,), PLANE)
            self.path = Generators(network, latent, run.seed)

    def measure(self) -> list[Row]:
        """A row a place, without the columns that say whose it is."""
        found = {d: self._distances(d) for d in self.probe.offsets()}
        floors = {f"{name}{FLOOR}": value for name, value in found[0.0].items() if name not in PAIRED}
        return [
            {
                "step": step,
                "status": "ok",
                "message": "",
                "offset": d,
                "position": self.path.position(d),
                "evenly_spaced": float(even),
                **found[d],
                **floors,
                **{f"{name}_closed": value for name, value in self.path.closed(d).items()},
            }
            for step, (d, even) in enumerate(self.probe.offsets().items())
        ]

    def portraits(self) -> dict[str, npt.NDArray[np.float32]]:
        """Samples of the first, the middle and the last law, for a figure."""
        places = {"first": -1.0, "middle": 0.0, "last": 1.0}
        return {name: self._sample(d, "reference")[:PORTRAIT].astype(np.float32) for name, d in places.items()}

    def _distances(self, d: float) -> dict[str, float]:
        n = self.probe.n
        middle, fresh, same = (
            self._sample(0.0, "reference"),
            self._sample(d, "evaluation"),
            self._sample(d, "reference"),
        )
        shift = torch.rand(PLANE, generator=seeding.generator(self.seed, "bins"), dtype=torch.float64).numpy()
        found = {
            "wasserstein": earth_movers_distance(middle[:n], fresh[:n], norm="euclidean"),
            "wasserstein_paired": earth_movers_distance(middle[:n], same[:n], norm="euclidean"),
            "coupling": float(np.linalg.norm(middle[:n] - same[:n], axis=1).mean()),
        }
        for bins in self.probe.resolutions():
            histograms = shares(middle, fresh, bins, shift)
            found |= {f"{name}[{bins}]": value for name, value in divergences(*histograms).items()}
        return found

    def _sample(self, d: float, purpose: str) -> Array:
        generator = seeding.generator(self.seed, purpose)
        return self.path.sample(d, self.probe.histogram_n, generator).to(torch.float64).numpy()
