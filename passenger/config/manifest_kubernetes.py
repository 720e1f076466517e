"""What a manifest of Kubernetes promises a container: the Pod of a Deployment, StatefulSet, DaemonSet or the like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from passenger.config.manifest import ManifestError, Node, chosen, documents
from passenger.config.target import IMAGE_USER, Fact, Target, rights

DEFAULT_GRACE: Final = 30.0
_POD_OF: Final = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Pod": (),
}
_UNITS: Final = {
    "": 1, "m": 0.001, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
_PROBES: Final = ("startupProbe", "livenessProbe", "readinessProbe")


def quantity(text: str) -> int:
    """Bytes of a quantity such as `512Mi`. Raises ValueError."""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?(?:[eE][0-9]{1,2})?)([A-Za-z]{0,2})", text)
    if match is None or match[2] not in _UNITS:
        raise ValueError("expected a quantity such as `512Mi`")
    return int(float(match[1]) * _UNITS[match[2]])


def read_kubernetes(text: str, file: str, service: str | None) -> Target:
    """The one workload, or container of one, that is meant. Raises ManifestError."""
    candidates = []
    for document in documents(text, file):
        for workload in document.get("items").each() if document.get("kind").text == "List" else (document,):
            kind = workload.get("kind").text
            if kind in _POD_OF:
                candidates.append((workload.get("metadata", "name").text, workload.get(*_POD_OF[kind], "spec")))
    names = {name for name, _ in candidates}
    pod = chosen(candidates, service if service in names else None, what="workload", file=file)
    containers = [(item.get("name").text, item) for item in pod.get("containers").each()]
    container = chosen(containers, None if service in names else service, what="container", file=file)
    return _target(pod, container, tuple(text.splitlines()))


def _target(pod: Node, container: Node, lines: tuple[str, ...]) -> Target:
    security = container.get("securityContext")
    user = security.get("runAsUser") or pod.get("securityContext", "runAsUser")
    dropped, added = security.get("capabilities", "drop"), security.get("capabilities", "add")
    no_switching, no_low_ports = rights(
        "kubernetes",
        Fact(user.text or IMAGE_USER, user.span),
        Fact(frozenset(dropped.words), dropped.span),
        frozenset(added.words),
    )
    memory = container.get("resources", "limits", "memory").fact(quantity)
    mounts = list(_mounts(pod, container))
    if memory is not None:
        memory = Fact(memory.value - sum(size for _, size in mounts), memory.span)
    grace = pod.get("terminationGracePeriodSeconds").fact(_seconds) or Fact(DEFAULT_GRACE)
    command = (*container.get("command").words, *container.get("args").words)
    read_only = security.get("readOnlyRootFilesystem")
    return Target(
        kind="kubernetes",
        lines=lines,
        workload=container.span,
        no_switching=no_switching,
        no_low_ports=no_low_ports,
        memory=memory,
        is_memory_bounded=memory is not None,
        grace=grace,
        read_only=Fact(read_only.is_true, read_only.span),
        writable=tuple(path for path, _ in mounts if path),
        ports=tuple(_ports(container)),
        daemonized=Fact("--daemonize" in command, (container.get("args") or container.get("command")).span),
        no_cgroups=Fact("a container has no cgroup of its own to divide", container.span),
    )


def _mounts(pod: Node, container: Node) -> Iterator[tuple[str, int]]:
    """Folders that can be written to ("" for one that cannot), with the memory that each may take."""
    volumes = {volume.get("name").text: volume for volume in pod.get("volumes").each()}
    for mount in container.get("volumeMounts").each():
        volume = volumes.get(mount.get("name").text)
        if volume is None:
            name = mount.get("name")
            raise ManifestError("E503", f"there is no volume `{name.text}`", span=name.span)
        empty = volume.get("emptyDir")
        size = empty.get("sizeLimit").fact(quantity) if empty.get("medium").text == "Memory" else None
        closed = mount.get("readOnly").is_true or bool(volume.get("configMap") or volume.get("secret"))
        yield "" if closed else mount.get("mountPath").text, size.value if size else 0


def _ports(container: Node) -> Iterator[Fact[int]]:
    """Declared ones, and those that probes ask by number; a name is that of a declared one."""
    for port in container.get("ports").each():
        if found := port.get("containerPort").fact(int):
            yield found
    for probe in _PROBES:
        for way in ("httpGet", "tcpSocket"):
            port = container.get(probe, way, "port")
            if port.text.isdigit() and (found := port.fact(int)):
                yield found


def _seconds(text: str) -> float:
    if not text.isdigit():
        raise ValueError("expected a number of seconds")
    return float(text)
