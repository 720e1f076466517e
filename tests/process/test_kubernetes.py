"""docker/kubernetes: built, checked against the schemas of Kubernetes, and against our own conventions (E1-E8)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from passenger.config.load import load
from passenger.config.manifests import described
from passenger.config.model import Config
from tests.support.kustomize import Resource, build, hash_of

FOLDER = Path(__file__).resolve().parents[2] / "docker" / "kubernetes"
OVERLAYS = sorted(path.name for path in (FOLDER / "overlays").iterdir())
VERSIONS = ("1.29", "1.32")


def overlay(name: str) -> dict[str, Resource]:
    """The resources of an overlay by kind."""
    return {resource["kind"]: resource for resource in build(FOLDER / "overlays" / name)}


def pod_of(name: str) -> Any:
    return overlay(name)["Deployment"]["spec"]["template"]["spec"]


def container_of(name: str) -> Any:
    (container,) = pod_of(name)["containers"]
    return container


def configuration(name: str) -> Config:
    """The configuration in the overlay's ConfigMap, checked against the whole manifest."""
    resources = overlay(name)
    text = resources["ConfigMap"]["data"]["passenger.toml"]
    target = described("kubernetes", yaml.safe_dump_all(resources.values()), "manifest.yaml", None)
    loaded = load(None, text=text, environ={}, cwd="/", host=None, target=target)
    assert loaded.diagnostics == ()
    assert loaded.config is not None
    return loaded.config


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OVERLAYS)
def test_schema(name: str, version: str) -> None:
    """Every resource is one that Kubernetes knows, without a key that it does not."""
    for resource in overlay(name).values():
        kubernetes_validate.validate(resource, version, strict=True)


def test_the_check_finds_a_mistake() -> None:
    """A misspelt key of a probe is one."""
    resource = overlay("prod")["Deployment"]
    resource["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(resource, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_configuration_fits_its_manifest(name: str) -> None:
    """`validate --target kubernetes` finds nothing; and the Pod has exactly the time that stopping needs (E3)."""
    config = configuration(name)
    (instance,) = config.instances.values()
    watchdog = instance.watchdog
    assert pod_of(name)["terminationGracePeriodSeconds"] == watchdog.drain_delay + watchdog.drain_timeout + 5
    assert "lifecycle" not in container_of(name), "no preStop: drain_delay does it (E2)"
    if name != "dev":
        assert watchdog.drain_delay >= 5


@pytest.mark.parametrize("name", OVERLAYS)
def test_probes_ask_the_core(name: str) -> None:
    """E1: three, none of which an application answers."""
    container = container_of(name)
    for probe, path in (("startupProbe", "/startupz"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": "probes"}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    (instance,) = configuration(name).instances.values()
    assert instance.admin.listen == f"0.0.0.0:{ports['probes']}"
    assert [listener.address for listener in instance.nginx.listen] == [f"0.0.0.0:{ports['http']}"]
    assert overlay(name)["Service"]["spec"]["ports"][0]["targetPort"] == "http"


@pytest.mark.parametrize("name", [name for name in OVERLAYS if name != "users"])
def test_restricted(name: str) -> None:
    """E4: the Pod Security standard `restricted`, and nothing of the file system but two volumes."""
    pod, container = pod_of(name), container_of(name)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_users_of_their_own_need_five_capabilities() -> None:
    """And nothing more of root; the rest is as closed as elsewhere."""
    security = container_of("users")["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN", "DAC_OVERRIDE", "KILL", "SETGID", "SETUID"]}
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    users = {app.user for app in configuration("users").apps.values()}
    assert len(users) == 2
    assert None not in users


@pytest.mark.parametrize("name", OVERLAYS)
def test_volumes_in_memory_and_memory(name: str) -> None:
    """E5, E6: what is written is bounded; memory is asked for as it is limited."""
    pod, container = pod_of(name), container_of(name)
    resources = container["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    written = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert set(written) == {"/tmp", "/run/passenger"}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for volume in written.values():
        assert volumes[volume]["emptyDir"]["medium"] == "Memory"
        assert volumes[volume]["emptyDir"]["sizeLimit"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_rollouts(name: str) -> None:
    """E7, E8: a changed configuration is a rollout; a new Pod comes before an old one goes, and they are spread."""
    resources = overlay(name)
    generated = resources["ConfigMap"]["metadata"]["name"]
    volumes = {volume["name"]: volume for volume in pod_of(name)["volumes"]}
    assert volumes["configuration"]["configMap"]["name"] == generated != "passenger"
    deployment = resources["Deployment"]["spec"]
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert pod_of(name)["topologySpreadConstraints"]
    if name != "dev":
        assert resources["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
        assert "replicas" not in deployment, "it would undo what the autoscaler decided"
        scaler = resources["HorizontalPodAutoscaler"]["spec"]
        assert scaler["scaleTargetRef"]["name"] == resources["Deployment"]["metadata"]["name"]
        assert scaler["minReplicas"] >= 2


def test_another_configuration_has_another_name() -> None:
    names = {overlay(name)["ConfigMap"]["metadata"]["name"] for name in OVERLAYS}
    assert len(names) == len(OVERLAYS)


def test_the_builder_of_the_tests_is_kustomize() -> None:
    """The hash that kubectl 1.32 gave; and where a kubectl is here that reads these files, everything it prints."""
    assert hash_of({"data": {"f": "a: b\n"}}) == "89t4k62g4h"
    if (kubectl := shutil.which("kubectl")) is None:
        return
    for name in OVERLAYS:
        command = [kubectl, "kustomize", str(FOLDER / "overlays" / name)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        if "unknown field" in done.stderr:  # Debian 12 has one of 2021
            return
        assert done.returncode == 0, done.stderr
        theirs = {resource["kind"]: resource for resource in yaml.safe_load_all(done.stdout)}
        assert theirs == overlay(name)
