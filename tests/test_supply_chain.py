"""What is installed beside the bench: lower bounds without known holes, a lock with hashes that agrees with them.

What needs the network is in ``.ci/audit``; that the lower bounds work, in ``.ci/oldest``.
"""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from bench import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = ROOT / ".ci" / "dev.lock"
PYTHONS = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if ":: Python :: 3." in line]

# The first release without the hole. All are in what the bench does with a package: it reads other people's files,
# fills templates, starts Ray on machines that others may reach.
ADVISORIES = [
    ("pyarrow", "14.0.1", "CVE-2023-47248, code in the metadata of an extension type"),
    ("torch", "2.6.0", "CVE-2025-32434, code in a checkpoint in spite of weights_only"),
    ("torch", "2.10.0", "CVE-2026-24747, corrupted storages in a checkpoint"),
    ("torch", "2.11.0", "CVE-2026-4538, code in a pt2 archive"),
    ("jinja2", "3.1.6", "CVE-2025-27516, out of the sandbox by |attr"),
    ("pillow", "12.3.0", "CVE-2026-59199, writes outside the heap in paste and crop"),
    ("pillow", "13.0.0", "CVE-2026-112403, heap overflow in reading a JPEG"),
    ("scikit-learn", "1.5.0", "CVE-2024-5206, training words kept in a vectoriser"),
    ("ray", "2.52.0", "CVE-2025-62593, code by way of the dashboard from a web page"),
    ("ray", "2.55.0", "CVE-2026-41486, code in the metadata of a Parquet file"),
    ("ray", "2.56.0", "CVE-2026-57516, code in an archive of samples"),
    ("setuptools", "78.1.1", "CVE-2025-47273, writes outside the folder"),
]


BUILD = [Requirement(line) for line in PROJECT["build-system"]["requires"]]
PARTS = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
REQUIRED = [Requirement(line) for part in PARTS for line in part]


def locked() -> list[tuple[Requirement, list[str]]]:
    """The lock's requirements, each with its hashes."""
    text = re.sub(r"^\s*#.*\n", "", LOCK.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [re.split(r"\s+--hash=", line.strip()) for line in text.splitlines()]
    return [(Requirement(line), hashes) for line, *hashes in lines]


@pytest.mark.parametrize(("package", "mended", "advisory"), ADVISORIES)
def test_no_allowed_version_has_a_known_hole(package: str, mended: str, advisory: str) -> None:
    allowed = [each.specifier for each in [*BUILD, *REQUIRED] if canonicalize_name(each.name) == package]
    assert allowed, f"{package} is no longer required: {advisory} may go"
    for specifier in allowed:
        bounds = [Version(part.version) for part in specifier if part.operator in (">=", "==", "~=")]
        assert bounds, f"{package} has no lower bound"
        assert max(bounds) >= Version(mended), advisory


@pytest.mark.parametrize("each", [*BUILD, *REQUIRED], ids=str)
def test_what_is_required_has_a_lower_bound_and_comes_from_the_index(each: Requirement) -> None:
    assert [part.operator for part in each.specifier] == [">="]
    assert each.url is None


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_an_allowed_version_of_everything(python: str) -> None:
    here = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux", "extra": ""}
    pinned = {
        canonicalize_name(each.name): str(each.specifier).removeprefix("==")
        for each, _ in locked()
        if each.marker is None or each.marker.evaluate(here)
    }
    for each in REQUIRED:
        assert each.specifier.contains(pinned[canonicalize_name(each.name)]), each


def test_the_lock_pins_and_hashes_and_names_no_place() -> None:
    lines = locked()
    assert len(lines) > 80
    for each, hashes in lines:
        assert [part.operator for part in each.specifier] == ["=="], each
        assert hashes, each
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", word) for word in hashes), each
    assert not re.search(r"://|index-url|find-links|trusted-host| @ ", LOCK.read_text())
