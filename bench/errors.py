"""What went wrong, in one line for a person."""

import re
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from pathlib import Path


class UserError(Exception):
    """A mistake in a command, a grid or a file: printed as one line without a traceback; the exit code is 2."""


def first_line(error: BaseException) -> str:
    """What went wrong, on one line of at most 300 characters."""
    text = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__


def without_places(text: str) -> str:
    """The text with ``.`` for the folder of the command and ``~`` for the home: others may read what is stored."""
    for folder, sign in _places():
        text = folder.sub(sign, text)
    return text


@cache
def _places() -> list[tuple[re.Pattern[str], str]]:
    found = {}
    with suppress(OSError):  # the folder has been removed
        found[str(Path.cwd())] = "."
    with suppress(RuntimeError):  # there is no home
        found[str(Path.home())] = "~"
    ordered = sorted(found, key=len, reverse=True)
    return [(re.compile(rf"{re.escape(folder)}(?![\w.-])"), found[folder]) for folder in ordered if len(folder) > 1]


OTHER_WORDS = {
    "n_critic": "critic_steps", "disc_iters": "critic_steps", "d_steps": "critic_steps",
    "lambda": "penalty_weight", "gp_weight": "penalty_weight", "gamma": "penalty_weight", "clip_value": "clip",
    "discriminator": "critic", "learning_rate": "lr", "betas": "beta1", "iterations": "steps", "epochs": "steps",
    "data": "dataset", "loss": "objective", "sigma": "std", "z_dim": "dim", "n_modes": "modes",
}  # fmt: skip
"""What other codes call the settings of this one."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A remedy for a wrong word: the nearest right one, or all of them where none is near."""
    known = sorted(known)
    meant = {other: right for other, right in OTHER_WORDS.items() if right in known} | {right: right for right in known}
    close = get_close_matches(word, meant, n=1, cutoff=0.6)
    return f"did you mean {meant[close[0]]!r}?" if close else f"known: {', '.join(known) or 'none'}"
