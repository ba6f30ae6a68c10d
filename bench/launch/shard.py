"""A part of a grid's runs for one of several machines, by hash: nobody needs to know what the others do."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from bench.errors import UserError


@dataclass(frozen=True)
class Shard:
    """The ``index``-th of ``count`` parts, counted from 1.

    Where a run belongs follows from its id alone, so that a grid which grows moves no run to another shard.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From ``3/8``.

        Raises:
            UserError: it is not two whole numbers with 1 <= index <= count.
        """
        match = re.fullmatch(r"([0-9]{1,7})/([0-9]{1,7})", text)
        shard = cls(int(match[1]), int(match[2])) if match else None
        if shard is None or not 1 <= shard.index <= shard.count:
            raise UserError(f"--shard {text[:40]!r}: write I/N, as 3/8 for the third of eight, I from 1 to N")
        return shard

    def has(self, run_id: str) -> bool:
        """Whether the run is in this part."""
        return int(hashlib.sha256(run_id.encode()).hexdigest()[:12], 16) % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
