"""What went wrong, in one line for a person."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in a command, a grid or a file: printed as one line without a traceback; the exit code is 2."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A remedy for a wrong word: the nearest right one, or all of them where none is near."""
    known = sorted(known)
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
