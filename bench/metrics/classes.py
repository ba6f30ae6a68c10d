"""How the samples spread over the classes that a judge of labelled images names: coverage, balance, confidence."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bench.metrics.base import Array, Column, Metric, Truth
from bench.metrics.modes import COLUMNS as OF_MODES
from bench.metrics.modes import spread

SURE = 0.9
"""The confidence from which on the judge is sure of a class."""

SHARED = "modes_covered", "modes_covered_by_mass", "modes_total", "reverse_kl", "total_variation"
"""What a class has in common with a mode of a mixture: the same columns, by the same rules."""

COLUMNS = MappingProxyType(
    {
        **{name: OF_MODES[name] for name in SHARED},
        "confident_share": Column(label="Confident share", unit="share of samples", direction="up"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many samples are classified; papers with 1000 modes take 25,600 or 26,000."""

    class_n: int = 2500

    def __post_init__(self) -> None:
        if self.class_n < 1:
            raise ValueError(f"class_n is at least 1, not {self.class_n}")


def compute(points: Array, reference: Array, truth: Truth, settings: Settings) -> dict[str, float]:
    """Coverage and balance of points [N, 2], class and confidence, over K classes; the reference is not used.

    Of the first n = min(class_n, N) samples, with n_k those of class k and w_k > 0 the class's share in the data,

    - modes_covered: how many classes have n_k >= 1.
    - modes_covered_by_mass: how many classes have n_k / n >= w_k / 5.
    - modes_total: K.
    - reverse_kl: sum_k q_k log(q_k / w_k), in nats, with q_k = n_k / n.
    - total_variation: sum_k |q_k - w_k| / 2.
    - confident_share: share of samples whose confidence is at least .9.

    Even a perfect sampler of K equal classes covers only K (1 - (1 - 1/K)^n) of them in expectation, 918 of 1000 at
    n = 2500 and all 1000 at 25,600; its reverse KL is about (K - 1) / 2n, .0195 at 25,600. One that gives k classes of
    K equally often has log(K / k). So only values of one n can be compared. All are of the judge's classes, so that
    errors of the judge are in them: a share e of them moves up to e of the mass.

    Protocol of Srivastava et al. 2017 (arXiv:1705.07761) and Lin et al. 2018 (arXiv:1712.04086): a class is covered by
    a single sample, whatever the confidence. Departures: the rule by mass and the confident share are not theirs.
    """
    assert truth.classes is not None
    judged, k = points[: settings.class_n], len(truth.classes)
    if not np.isfinite(judged).all():
        return {**dict.fromkeys(COLUMNS, np.nan), "modes_total": float(k)}
    counts = np.bincount(judged[:, 0].astype(np.int64), minlength=k)
    return {**spread(counts, counts, truth.classes), "confident_share": float((judged[:, 1] >= SURE).mean())}


METRIC = Metric(
    name="classes",
    version=1,
    reference="Srivastava et al. 2017, arXiv:1705.07761; Lin et al. 2018, arXiv:1712.04086",
    columns=COLUMNS,
    settings=Settings,
    space="classes",
    needs="classes",
    compute=compute,
)
