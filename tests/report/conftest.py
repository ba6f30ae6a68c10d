from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic import OBJECTIVES, make_search, make_world

from bench.report import Report, build, train


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, not to be written to."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def built(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """A copy of the folder with its report, not to be written to."""
    folder = tmp_path_factory.mktemp("built") / "modes"
    shutil.copytree(world, folder)
    return folder, build(folder)


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """The folder of a search with its report, not to be written to."""
    folder = make_search(tmp_path_factory.mktemp("searched") / "search")
    return folder, build(folder)


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Path]:
    """Makes folders of one's own: two objectives on one mixture, two seeds."""
    return lambda **changes: make_world(
        tmp_path / "small", **{"objectives": OBJECTIVES[1:3], "datasets": ["ring"], "seeds": [0, 1]} | changes
    )


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds without figures, which take most of the time."""
    monkeypatch.setattr(train, "drawings", lambda view, load: [])
