"""The manifests of deploy/kubernetes: valid by Kubernetes' schemas, and in agreement with the program."""

from __future__ import annotations

import copy
import re
from typing import Any

import click
import pytest
import yaml

from previewops import __version__
from previewops.api.auth import PUBLIC_PATHS
from previewops.api.server import SHUTDOWN_S
from previewops.cli import program
from previewops.settings import Settings
from tests.docs.documents import ROOT
from tests.docs.manifests import (
    KUBERNETES,
    OVERLAYS,
    Manifest,
    build,
    can_build,
    container,
    files,
    of_kind,
    pod,
    scaling_queries,
    settings_of,
    template,
    workloads,
)

DOCUMENT = ROOT / "docs" / "deploy-containers.md"
VARIABLES = {variable for variable, *_ in Settings.table()}
OF_OPERATORS = {"ScaledObject", "ServiceMonitor"}
VERSIONS = ("1.30", "1.37")
"""Oldest and newest version of Kubernetes whose schemas the manifests have to fit."""
WORKER, API, PRUNE = "previewops-worker", "previewops-api", "previewops-prune"
MIB, UNITS = 2**20, {"Mi": 2**20, "Gi": 2**30}

pytestmark = pytest.mark.skipif(not can_build(), reason="kubectl, which contains Kustomize, is not installed")
EACH = pytest.mark.parametrize("overlay", OVERLAYS)
EACH_POD = pytest.mark.parametrize("name", [WORKER, API, PRUNE])


def workload(overlay: str, name: str) -> Manifest:
    return workloads(overlay)[name]


def size(quantity: str) -> int:
    return int(quantity[:-2]) * UNITS[quantity[-2:]]


def labels_of_pods(overlay: str) -> list[dict[str, str]]:
    return [template(one)["metadata"]["labels"] for one in workloads(overlay).values()]


def selected(selector: dict[str, str], labels: list[dict[str, str]]) -> int:
    return sum(selector.items() <= one.items() for one in labels)


def validate(manifest: Manifest, version: str) -> None:
    from kubernetes_validate import validate as validate_by_schema

    validate_by_schema(manifest, version, strict=True)


@EACH
@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_fits_the_schema_of_its_kind(overlay: str, version: str) -> None:
    for manifest in build(overlay):
        if manifest["kind"] not in OF_OPERATORS:
            validate(manifest, version)


def test_a_misspelled_field_does_not_fit() -> None:
    from kubernetes_validate import ValidationError

    manifest = copy.deepcopy(workload("production", WORKER))
    manifest["spec"]["template"]["spec"]["terminationGraceSeconds"] = 1
    with pytest.raises(ValidationError):
        validate(manifest, VERSIONS[-1])


def test_every_file_belongs_to_an_overlay() -> None:
    kinds = {one["kind"] for overlay in OVERLAYS for one in build(overlay)}
    for path in files():
        for manifest in yaml.safe_load_all(path.read_text("utf-8")):
            assert manifest["kind"] in {*kinds, "Kustomization", "Component"}, path
    components = {path.parent for path in files() if path.parent.parent.name == "components"}
    used = set()
    for overlay in OVERLAYS:
        folder = KUBERNETES / "overlays" / overlay
        listed = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))["components"]
        used |= {(folder / component).resolve() for component in listed}
    assert used == components


@EACH
def test_the_settings_exist_and_are_valid(overlay: str) -> None:
    (settings,) = of_kind(overlay, "ConfigMap")
    for one in workloads(overlay).values():
        assert {entry["name"] for entry in container(one)["env"]} <= VARIABLES
        assert container(one)["envFrom"] == [{"configMapRef": {"name": settings}}]
    assert {*settings_of(overlay)} <= VARIABLES
    Settings.from_env(settings_of(overlay))


@EACH
@EACH_POD
def test_the_commands_exist(overlay: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click.Command, "invoke", lambda self, ctx: None)
    run = container(workload(overlay, name))
    assert program.run(run["args"]) == 0
    probes = [
        run[probe]["exec"]["command"] for probe in run if probe.endswith("Probe") and "exec" in run[probe]
    ]
    assert [command[:2] for command in probes] == ([["previewops", "alive"]] * 2 if name == WORKER else [])
    for _, *arguments in probes:
        assert program.run(arguments) == 0


@EACH
def test_probes_use_public_paths_and_the_port_of_the_api(overlay: str) -> None:
    run = container(workload(overlay, API))
    (port,) = run["ports"]
    assert run["args"][-2:] == ["--port", str(port["containerPort"])]
    probes = {name: run[name]["httpGet"] for name in run if name.endswith("Probe")}
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert {probe["path"] for probe in probes.values()} == PUBLIC_PATHS
    assert probes["livenessProbe"]["path"] == "/livez", "an absent Redis restarts nothing"
    (service,) = of_kind(overlay, "Service").values()
    assert [entry["targetPort"] for entry in service["spec"]["ports"]] == [port["name"]]
    for monitor in of_kind(overlay, "ServiceMonitor").values():
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        named = {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]}
        assert named <= {entry["name"] for entry in service["spec"]["ports"]}


@EACH
def test_a_pod_has_time_to_drain(overlay: str) -> None:
    drain_s = int(settings_of(overlay)["PREVIEW_DRAIN_TIMEOUT_S"])
    assert pod(workload(overlay, WORKER))["terminationGracePeriodSeconds"] >= drain_s + 20
    api = workload(overlay, API)
    _, wait_s = container(api)["lifecycle"]["preStop"]["exec"]["command"]
    assert pod(api)["terminationGracePeriodSeconds"] >= SHUTDOWN_S + int(wait_s) + 10


@EACH
def test_a_worker_has_the_resources_of_its_slots(overlay: str) -> None:
    settings = settings_of(overlay)
    resources = container(workload(overlay, WORKER))["resources"]
    slots = int(settings["PREVIEW_WORKER_CONCURRENCY"])
    assert resources["requests"]["cpu"] == str(slots)
    needed = (slots * int(settings["PREVIEW_MEMORY_LIMIT_MB"]) + 512) * MIB
    assert size(resources["limits"]["memory"]) >= needed
    volumes = {one["name"]: one for one in pod(workload(overlay, WORKER))["volumes"]}
    scratch = sum(size(one["emptyDir"]["sizeLimit"]) for one in volumes.values() if "emptyDir" in one)
    assert scratch <= size(resources["limits"]["ephemeral-storage"])
    cache = Settings().cache_max_mb * MIB
    assert cache + slots * Settings().output_max_mb * MIB < 8 * UNITS["Gi"]


@EACH
@EACH_POD
def test_pods_are_confined_and_confine_their_renders(overlay: str, name: str) -> None:
    of_pod, run = pod(workload(overlay, name)), container(workload(overlay, name))
    uid, gid = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)[0]
    assert of_pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": int(uid),
        "runAsGroup": int(gid),
        "fsGroup": int(gid),
        "fsGroupChangePolicy": "OnRootMismatch",
        # Permits the calls of Landlock and seccomp.
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert run["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert of_pod["enableServiceLinks"] is False
    assert of_pod["automountServiceAccountToken"] is False
    assert of_pod["serviceAccountName"] in of_kind(overlay, "ServiceAccount")
    mounted = {mount["mountPath"]: mount["name"] for mount in run["volumeMounts"]}
    assert {*mounted} == {"/data", "/tmp"}, "what the program writes to"
    assert {*mounted.values()} == {one["name"] for one in of_pod["volumes"]}


@EACH
def test_all_pods_run_one_image_that_is_set_in_one_place(overlay: str) -> None:
    base = yaml.safe_load((KUBERNETES / "base" / "kustomization.yaml").read_text("utf-8"))
    (image,) = base["images"]
    images = {container(one)["image"] for one in workloads(overlay).values()}
    assert images == {f"{image['newName']}:{image['newTag']}"}
    assert image["newTag"] == __version__


@EACH
def test_selectors_select_the_pods_of_one_workload(overlay: str) -> None:
    labels = labels_of_pods(overlay)
    budgets = of_kind(overlay, "PodDisruptionBudget")
    assert {*budgets} == {*of_kind(overlay, "Deployment")}
    selectors = [budget["spec"]["selector"]["matchLabels"] for budget in budgets.values()]
    selectors += [service["spec"]["selector"] for service in of_kind(overlay, "Service").values()]
    for one in of_kind(overlay, "Deployment").values():
        selectors.append(one["spec"]["selector"]["matchLabels"])
        spread = pod(one)["topologySpreadConstraints"]
        selectors += [constraint["labelSelector"]["matchLabels"] for constraint in spread]
    assert [selected(selector, labels) for selector in selectors] == [1] * len(selectors)


def test_the_shared_folder_is_that_of_every_pod() -> None:
    (claim,) = of_kind("shared-folder", "PersistentVolumeClaim").values()
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for one in workloads("shared-folder").values():
        volumes = {volume["name"]: volume for volume in pod(one)["volumes"]}
        assert volumes["data"] == {
            "name": "data",
            "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]},
        }


def test_a_bucket_leaves_the_data_dir_to_each_pod() -> None:
    assert settings_of("production")["PREVIEW_STORE"].startswith("s3://")
    for one in workloads("production").values():
        volumes = {volume["name"]: volume for volume in pod(one)["volumes"]}
        assert "emptyDir" in volumes["data"]


@EACH
def test_bundles_are_removed_only_when_an_operator_agrees(overlay: str) -> None:
    prune = of_kind(overlay, "CronJob")[PRUNE]
    assert "suspend" not in prune["spec"]
    assert container(prune)["args"] == ["prune", "--apply"], "what belongs to no bundle"


def test_keda_scales_the_workers_by_their_slots() -> None:
    (scaled,) = of_kind("production", "ScaledObject").values()
    spec, settings = scaled["spec"], settings_of("production")
    target = workload("production", spec["scaleTargetRef"]["name"])
    assert container(target)["args"][0] == "supervise"
    assert "replicas" not in target["spec"]
    (trigger,) = spec["triggers"]
    assert trigger["metadata"]["threshold"] == settings["PREVIEW_WORKER_CONCURRENCY"]
    assert spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]
    for query in scaling_queries():
        assert set(re.findall(r'queue="([^"]+)"', query)) == {settings["PREVIEW_QUEUE_NAME"]}


def secret_references(value: Any) -> set[tuple[str, str]]:
    """Returns name and key of every secret that a manifest names."""
    if isinstance(value, list):
        return {reference for entry in value for reference in secret_references(entry)}
    if not isinstance(value, dict):
        return set()
    own = {
        (value[name]["name"], value[name]["key"]) for name in ("secretKeyRef", "credentials") if name in value
    }
    return own | secret_references(list(value.values()))


@EACH
def test_the_document_creates_every_secret_that_the_pods_need(overlay: str) -> None:
    text = DOCUMENT.read_text("utf-8").replace("\\\n", " ")
    created = {
        (name, key)
        for name, rest in re.findall(r"kubectl .*create secret generic ([\w-]+)(.*)", text)
        for key in re.findall(r"--from-(?:literal|file)=([\w-]+)=", rest)
    }
    assert created == secret_references(list(build(overlay))) | secret_references(list(build("production")))
