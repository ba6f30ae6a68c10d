"""A plug-in of objectives that take their time but not the processor's, for faults that must meet them at work."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from objectives import minimax, non_saturating

SECONDS = 0.05
"""Of each loss of a critic."""


def _slow(objective: Any) -> Any:
    def critic_loss(critic: Any, real: Any, fake: Any, noise: Any, hparams: Any) -> Any:
        time.sleep(SECONDS)
        return objective.critic_loss(critic, real, fake, noise, hparams)

    return replace(objective, name=f"slow_{objective.name}", critic_loss=critic_loss)


OBJECTIVES = [_slow(minimax.OBJECTIVE), _slow(non_saturating.OBJECTIVE)]
