"""The files of `deploy/`, as far as this can be judged without a cluster, an engine or a cloud."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
BASE = DEPLOY / "kubernetes" / "base"
KUBERNETES = ("1.30", "1.37")
"""The oldest and the newest version that the manifests are for."""


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def found(tool: str) -> str:
    path = shutil.which(tool)
    if path is None:
        pytest.skip(f"{tool} is not on this machine")
    return path


def tool(name: str) -> str:
    """Give a command that the lock file installs beside Python."""
    return str(Path(sys.executable).parent / name)


def test_the_compose_file_is_valid() -> None:
    ran = run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose" / "compose.yaml")

    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_manifests_are_valid(version: str) -> None:
    manifests = sorted(path for path in BASE.glob("*.yaml") if path.name != "kustomization.yaml")

    ran = run(tool("kubernetes-validate"), "--strict", "-k", version, *manifests)

    assert ran.returncode == 0, ran.stdout


def test_kustomize_builds_the_base_with_every_manifest() -> None:
    ran = run(found("kubectl"), "kustomize", BASE)

    assert ran.returncode == 0, ran.stdout
    kinds = {line.removeprefix("kind: ") for line in ran.stdout.splitlines() if line.startswith("kind: ")}
    assert kinds == {
        "ConfigMap",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
        "StatefulSet",
    }


def test_the_unit_is_valid_but_for_the_program_that_is_not_installed_here() -> None:
    ran = run(found("systemd-analyze"), "verify", DEPLOY / "systemd" / "wheelgate.service")

    complaints = [line for line in ran.stdout.splitlines() if "wheelgate" in line and "is not executable" not in line]
    assert complaints == []


def test_the_unit_leaves_little_to_an_intruder() -> None:
    unit = DEPLOY / "systemd" / "wheelgate.service"

    ran = run(found("systemd-analyze"), "security", "--offline=true", "--threshold=20", unit)

    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("config", sorted(DEPLOY.rglob("*.toml")), ids=lambda path: path.relative_to(DEPLOY).as_posix())
def test_every_configuration_is_one_that_the_server_takes(config: Path) -> None:
    ran = run(sys.executable, "-m", "proxy", "check", "--offline", "--config", config)

    assert ran.returncode == 0, ran.stdout
