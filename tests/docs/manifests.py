"""Reads the manifests of deploy/kubernetes as Kustomize builds them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.docs.documents import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = tuple(sorted(path.name for path in (KUBERNETES / "overlays").iterdir()))
SCALED_OBJECT = KUBERNETES / "components" / "keda" / "scaled-object.yaml"

Manifest = dict[str, Any]


def can_build() -> bool:
    """Whether this machine has kubectl, which contains Kustomize."""
    return shutil.which("kubectl") is not None


@cache
def build(overlay: str) -> tuple[Manifest, ...]:
    """Returns the manifests of an overlay."""
    folder = KUBERNETES / "overlays" / overlay
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, kind: str) -> dict[str, Manifest]:
    """Returns the manifests of one kind by name."""
    return {one["metadata"]["name"]: one for one in build(overlay) if one["kind"] == kind}


def workloads(overlay: str) -> dict[str, Manifest]:
    """Returns the manifests that start pods, by name."""
    return {**of_kind(overlay, "Deployment"), **of_kind(overlay, "CronJob")}


def template(workload: Manifest) -> dict[str, Any]:
    """Returns the template of a workload's pods."""
    spec = workload["spec"]
    return dict(spec["template"] if "template" in spec else spec["jobTemplate"]["spec"]["template"])


def pod(workload: Manifest) -> dict[str, Any]:
    """Returns the specification of a workload's pods."""
    return dict(template(workload)["spec"])


def container(workload: Manifest) -> dict[str, Any]:
    """Returns the one container of a workload's pods."""
    (only,) = pod(workload)["containers"]
    return dict(only)


def settings_of(overlay: str) -> dict[str, str]:
    """Returns the settings that all pods get from the ConfigMap."""
    (settings,) = of_kind(overlay, "ConfigMap").values()
    return dict(settings["data"])


def scaling_queries() -> Iterator[str]:
    """Returns the queries of Prometheus by which KEDA scales."""
    for trigger in yaml.safe_load(SCALED_OBJECT.read_text("utf-8"))["spec"]["triggers"]:
        yield trigger["metadata"]["query"]


def files() -> list[Path]:
    """Returns all files of deploy/kubernetes."""
    return sorted(KUBERNETES.rglob("*.yaml"))
