"""Puts off the seconds that importing torch takes until something of it is used, which most commands never do.

``importlib.util.LazyLoader`` does not serve: before Python 3.12 every ``import torch`` but the first loads the module.
Only the command line asks for this; the workers, which train, have torch from the start.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any


class _Placeholder(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # looks from the import system and from introspection
            raise AttributeError(name)
        withdraw()
        module = importlib.import_module(self.__name__)
        self.__dict__.update(module.__dict__)
        return getattr(module, name)


def install() -> None:
    """Let ``import torch`` give a module that loads the real one at its first use."""
    spec = importlib.util.find_spec("torch") if "torch" not in sys.modules else None
    if spec is not None:
        placeholder = _Placeholder("torch")
        placeholder.__spec__, placeholder.__file__ = spec, spec.origin
        sys.modules["torch"] = placeholder


def withdraw() -> None:
    """Take the placeholder back: scipy and POT look at torch wherever it seems to be imported."""
    if isinstance(sys.modules.get("torch"), _Placeholder):
        del sys.modules["torch"]
