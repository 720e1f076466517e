"""What a Compose file promises a service: compose.yaml for development and production, stacks of a Swarm."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from passenger.config.manifest import ManifestError, Node, chosen, documents
from passenger.config.target import IMAGE_USER, Fact, Target, rights

DEFAULT_GRACE: Final = 10.0
_SIZES: Final = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_TIMES: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_MODES: Final = frozenset({"ro", "rw", "z", "Z", "cached", "delegated"})


def size(text: str) -> int:
    """Bytes of `512m`, `1.5gb`. Raises ValueError."""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(b|[kmg]b?)?", text.lower())
    if match is None:
        raise ValueError("expected a size such as `512m`")
    return int(float(match[1]) * _SIZES[(match[2] or "")[:1]])


def seconds(text: str) -> float:
    """Of `1m30s`. Raises ValueError."""
    parts = re.findall(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(us|ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError("expected a duration such as `1m30s`")
    return sum(float(number) * _TIMES[unit] for number, unit in parts)


def read_compose(text: str, file: str, service: str | None) -> Target:
    """The service that is meant. Raises ManifestError."""
    found = documents(text, file)
    services = [(name, node) for document in found[:1] for name, node in document.get("services").items()]
    if service is None and len(services) > 1:  # databases and the like have an image that is not ours
        ours = [(name, node) for name, node in services if _is_ours(node)]
        services = ours if len(ours) == 1 else services
    return _target(chosen(services, service, what="service", file=file), tuple(text.splitlines()))


def _is_ours(service: Node) -> bool:
    return any("passenger" in word for key in ("image", "command", "entrypoint") for word in service.get(key).words)


def _target(service: Node, lines: tuple[str, ...]) -> Target:
    user, dropped = service.get("user"), service.get("cap_drop")
    no_switching, no_low_ports = rights(
        "container",
        Fact(user.text.partition(":")[0] or IMAGE_USER, user.span),
        Fact(_capabilities(dropped), dropped.span),
        _capabilities(service.get("cap_add")),
    )
    limit = service.get("mem_limit") or service.get("deploy", "resources", "limits", "memory")
    memory = limit.fact(size)
    mounts = list(_mounts(service))
    if memory is not None:
        memory = Fact(memory.value - sum(taken for _, taken in mounts), memory.span)
    command = service.get("command") or service.get("entrypoint")
    read_only = service.get("read_only")
    return Target(
        kind="container",
        lines=lines,
        workload=service.span,
        no_switching=no_switching,
        no_low_ports=no_low_ports,
        memory=memory,
        is_memory_bounded=memory is not None,
        grace=service.get("stop_grace_period").fact(seconds) or Fact(DEFAULT_GRACE),
        read_only=Fact(read_only.is_true, read_only.span),
        writable=tuple(path for path, _ in mounts if path),
        ports=tuple(_ports(service)),
        daemonized=Fact("--daemonize" in command.words, command.span),
        no_cgroups=Fact("a container has no cgroup of its own to divide", service.span),
    )


def _capabilities(node: Node) -> frozenset[str]:
    return frozenset(word.upper().removeprefix("CAP_") for word in node.words)


def _mounts(service: Node) -> Iterator[tuple[str, int]]:
    """Folders that can be written to ("" for one that cannot), with the memory that each may take."""
    tmpfs = service.get("tmpfs")
    for item in list(tmpfs.each()) or ([tmpfs] if tmpfs else []):
        path, _, options = item.text.partition(":")
        taken = next((word[5:] for word in options.split(",") if word.startswith("size=")), "0")
        yield path, _read(item, size, taken)
    for volume in service.get("volumes").each():
        if volume.text:
            parts = [part for part in volume.text.split(":") if not set(part.split(",")) <= _MODES]
            yield "" if volume.text.endswith(":ro") else parts[-1], 0
        else:
            room = volume.get("tmpfs", "size").fact(size) if volume.get("type").text == "tmpfs" else None
            yield "" if volume.get("read_only").is_true else volume.get("target").text, room.value if room else 0


def _ports(service: Node) -> Iterator[Fact[int]]:
    """The container's side of what is published."""
    for port in service.get("ports").each():
        text = (port.text or port.get("target").text).partition("/")[0].rpartition(":")[2]
        if "-" not in text and "$" not in text:
            yield Fact(_read(port, int, text), port.span)


def _read(node: Node, read: Callable[[str], int], text: str) -> int:
    try:
        return read(text)
    except ValueError as error:
        raise ManifestError("E503", f"`{text}` is not understood: {error}", span=node.span) from error
