"""What is offered for clusters is what their own tools accept."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from bench import ROOT, cli

DEPLOY = ROOT / "deploy"
OLDEST, NEWEST = "1.31", "1.34"


def resources() -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all(DEPLOY / "ray.yaml"))


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("resource", resources(), ids=lambda resource: resource["kind"])
def test_kubernetes_knows_every_field(resource: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(resource, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    job = next(resource for resource in resources() if resource["kind"] == "Job")
    job["spec"]["template"]["spec"]["restart"] = "Never"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, NEWEST, strict=True)


def test_pods_are_found_by_what_selects_them_and_mount_what_there_is() -> None:
    by_kind = {resource["kind"]: resource for resource in resources()}
    pods = {kind: by_kind[kind]["spec"]["template"] for kind in ("Job", "Deployment")}
    labels = {kind: pod["metadata"]["labels"].items() for kind, pod in pods.items()}
    assert by_kind["Service"]["spec"]["selector"].items() <= labels["Job"]
    assert not by_kind["Service"]["spec"]["selector"].items() <= labels["Deployment"]
    assert by_kind["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels["Deployment"]
    for kind, pod in pods.items():
        assert by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() <= labels[kind]
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        (container,) = pod["spec"]["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        assert subprocess.run(["bash", "-n", "-c", container["args"][0]], check=False).returncode == 0
    head = by_kind["Job"]["spec"]["template"]["spec"]["containers"][0]["args"][0]
    words = head.partition("python -m bench ")[2].replace("\\\n", " ").split()
    assert cli._parser().parse_args(words).launch == "ray"


def test_the_batch_file_for_slurm_is_sound() -> None:
    assert subprocess.run(["bash", "-n", DEPLOY / "ray.sbatch"], check=False).returncode == 0
    if shutil.which("shellcheck"):
        assert subprocess.run(["shellcheck", DEPLOY / "ray.sbatch"], check=False).returncode == 0
