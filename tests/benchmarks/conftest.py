from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from turns import Against

from bench import provenance


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in a worker: one thread, denormals flushed."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(before)


@pytest.fixture
def against(benchmark: Any) -> Against:
    return Against(benchmark)


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Adds what a committed file may say of the machine."""
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    machine_info["measured_on"] = {"processor": provenance.processor(), **gpu, **provenance.versions()}
