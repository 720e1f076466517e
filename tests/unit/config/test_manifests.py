"""Manifests: amounts and times as each kind writes them, which part is meant, and texts that make no sense."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from passenger.config import manifest_compose, manifest_kubernetes, manifest_systemd
from passenger.config.manifest import ManifestError
from passenger.config.manifests import described
from passenger.config.target import Kind, Target, without_manifest

MIB = 1 << 20


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (manifest_kubernetes.quantity, "512Mi", 512 * MIB),
        (manifest_kubernetes.quantity, "1.5Gi", 1536 * MIB),
        (manifest_kubernetes.quantity, "128974848", 128974848),
        (manifest_kubernetes.quantity, "129e6", 129 * 10**6),
        (manifest_kubernetes.quantity, "129M", 129 * 10**6),
        (manifest_compose.size, "512m", 512 * MIB),
        (manifest_compose.size, "1gb", 1024 * MIB),
        (manifest_compose.size, "67108864", 64 * MIB),
        (manifest_compose.seconds, "1m30s", 90.0),
        (manifest_compose.seconds, "1h", 3600.0),
        (manifest_compose.seconds, "500ms", 0.5),
        (manifest_systemd.size, "512M", 512 * MIB),
        (manifest_systemd.size, "infinity", None),
        (manifest_systemd.size, "80%", None),
        (manifest_systemd.seconds, "90", 90.0),
        (manifest_systemd.seconds, "1min 30s", 90.0),
        (manifest_systemd.seconds, "2min30s", 150.0),
        (manifest_systemd.seconds, "infinity", None),
        (manifest_systemd.seconds, "0", None),
    ],
)
def test_amounts(read: Callable[[str], float | None], text: str, value: float | None) -> None:
    """Each kind has its own units."""
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (manifest_kubernetes.quantity, "512MiB"),
        (manifest_kubernetes.quantity, "lots"),
        (manifest_kubernetes.quantity, ""),
        (manifest_kubernetes.quantity, "9" * 400),
        (manifest_compose.size, "9" * 400),
        (manifest_compose.seconds, "9" * 400 + "s"),
        (manifest_systemd.size, "9" * 400),
        (manifest_systemd.seconds, "9" * 400),
        (manifest_compose.size, "512Mi"),
        (manifest_compose.seconds, "90"),
        (manifest_compose.seconds, "1m 30s"),
        (manifest_systemd.size, "512MB"),
        (manifest_systemd.seconds, "soon"),
        (manifest_systemd.seconds, "5 parsecs"),
    ],
)
def test_amounts_of_another_kind(read: Callable[[str], float | None], text: str) -> None:
    """Refused, not guessed at."""
    with pytest.raises(ValueError):
        read(text)


def compose(**service: Any) -> Target:
    return described("container", yaml.safe_dump({"services": {"app": service}}), "compose.yaml", None)


@pytest.mark.parametrize(
    ("port", "inside"),
    [
        ("80:8080", [8080]),
        ("127.0.0.1:80:8080/tcp", [8080]),
        ("[::1]:80:8080", [8080]),
        (8080, [8080]),
        ({"target": 8080, "published": 80}, [8080]),
        ("8000-8010:8000-8010", []),
        ("80:${PORT}", []),
    ],
)
def test_published_ports(port: object, inside: list[int]) -> None:
    """The container's side counts; ranges and variables say nothing that could be compared."""
    assert [fact.value for fact in compose(ports=[port]).ports] == inside


def test_what_a_service_may_write_to() -> None:
    target = compose(
        read_only=True,
        mem_limit="1g",
        tmpfs=["/tmp:size=64m,mode=1777", "/run"],
        volumes=[
            "./data:/data",
            "./config:/etc/passenger:ro",
            {"type": "tmpfs", "target": "/cache", "tmpfs": {"size": 32 * MIB}},
            {"type": "bind", "source": "./x", "target": "/x", "read_only": True},
        ],
    )
    assert target.writable == ("/tmp", "/run", "/data", "/cache")
    assert target.memory is not None
    assert target.memory.value == (1024 - 96) * MIB


def test_who_may_switch_users() -> None:
    """Root with its capabilities; anybody else not. The images' own user is not root."""
    five = ["CHOWN", "DAC_OVERRIDE", "KILL", "SETGID", "SETUID"]
    assert compose(user="0").no_switching.value == ""
    assert compose(user="root", cap_drop=["ALL"], cap_add=[f"CAP_{name}" for name in five]).no_switching.value == ""
    assert "9999" in compose().no_switching.value
    assert "KILL is dropped" in compose(user="0:0", cap_drop=["cap_kill"]).no_switching.value
    assert described("systemd", "[Service]\nExecStart=x\n", "x.service", None).no_switching.value == ""
    unit = "[Service]\nCapabilityBoundingSet=~CAP_SETUID CAP_SYS_ADMIN\n"
    assert "SETUID is dropped" in described("systemd", unit, "x.service", None).no_switching.value
    unit = "[Service]\nUser=web\nAmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n"
    target = described("systemd", unit, "x.service", None)
    assert (target.no_low_ports.value, target.no_switching.value) == ("", "the unit runs as user web")


def test_a_list_of_kubernetes_and_the_choice_of_a_container() -> None:
    """`kubectl get -o yaml` gives a List; a sidecar makes it necessary to choose."""
    pod = {"containers": [{"name": "web", "args": ["start", "--daemonize"]}, {"name": "log"}]}
    workload = {"kind": "StatefulSet", "metadata": {"name": "blog"}, "spec": {"template": {"spec": pod}}}
    text = yaml.safe_dump({"kind": "List", "items": [{"kind": "Service"}, workload]})
    with pytest.raises(ManifestError, match="more than one container"):
        described("kubernetes", text, "list.yaml", None)
    assert described("kubernetes", text, "list.yaml", "web").daemonized.value
    assert not described("kubernetes", text, "list.yaml", "log").daemonized.value


def test_aliases_are_not_expanded() -> None:
    """A small text that stands for a billion values costs nothing."""
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    text = "\n".join([*lines, "services: {app: {image: passenger, ports: *a29}}"])
    with pytest.raises(ManifestError):
        described("container", text, "bomb.yaml", None)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99999) | st.text("ab:/-1m%$", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["kind", "metadata", "name", "spec", "template", "containers", "volumes", "emptyDir", "ports", "services",
                 "app", "tmpfs", "mem_limit", "volumeMounts", "resources", "limits", "memory", "user", "items", "target"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@given(VALUES, st.sampled_from(["kubernetes", "container"]))
def test_any_document_is_understood_or_refused(value: object, kind: Kind) -> None:
    """Nothing but a ManifestError comes of a manifest that is not one, whatever stands where."""
    around = {
        "services": {"app": value},
        "kind": "Pod",
        "metadata": {"name": "x"},
        "spec": {"containers": [value], "volumes": [value]},
    }
    for document in (value, around):
        with contextlib.suppress(ManifestError):
            described(kind, yaml.safe_dump(document), "any.yaml", None)


@given(st.text(max_size=60) | st.text("[Service]\n=~ MUser1%", max_size=60))
def test_any_text(text: str) -> None:
    """The same for texts that are no YAML and no unit."""
    for kind in ("kubernetes", "container", "systemd"):
        with contextlib.suppress(ManifestError):
            described(kind, text, "any", None)


def test_a_text_that_is_nested_too_deeply() -> None:
    """Refused in words, not by the interpreter."""
    with pytest.raises(ManifestError, match="too deeply"):
        described("kubernetes", "[" * 5000, "deep.yaml", None)


def test_without_a_manifest() -> None:
    """What holds for all containers; of a unit nothing is known."""
    assert without_manifest("kubernetes").no_switching.value
    assert not without_manifest("systemd").no_switching.value
    assert without_manifest("systemd").grace is None
