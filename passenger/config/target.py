"""Where a configuration is to run, as far as that can be known beforehand: `passenger validate --target`.

A Target is what a manifest (of Kubernetes, of Compose, a unit of systemd) promises and takes away; without a manifest
it is what holds for every place of that kind. Pure values: `manifest_*` make them, `target_checks` compares.

Rule: what is not known (None, "", ()) is not complained about.
"""

from __future__ import annotations

from dataclasses import field
from typing import Final, Generic, Literal, TypeVar

from passenger.config.diagnostics import Span
from passenger.lazy_dataclass import dataclass

Kind = Literal["kubernetes", "container", "systemd"]

T = TypeVar("T")

IMAGE_USER: Final = "9999"
"""The user of our images when a manifest names none."""
SWITCHING: Final = frozenset({"CHOWN", "DAC_OVERRIDE", "KILL", "SETGID", "SETUID"})
"""To start processes as others, hand them folders, reach their sockets, and end them."""
LOW_PORTS: Final = "NET_BIND_SERVICE"
"""Capabilities that root has unless they are taken away."""


@dataclass(frozen=True, slots=True)
class Fact(Generic[T]):
    """One thing that a manifest says, and where; without a place it is a default."""

    value: T
    span: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What surrounds the instance."""

    kind: Kind
    lines: tuple[str, ...] = ()
    """Of the manifest, for excerpts."""
    workload: Span | None = None
    """Where the manifest begins to speak of the instance; None without a manifest."""
    no_switching: Fact[str] = field(default_factory=lambda: Fact(""))
    """Why no process can become another user; "" when it can, or nothing is known."""
    no_low_ports: Fact[str] = field(default_factory=lambda: Fact(""))
    """Why ports below 1024 cannot be bound; "" likewise."""
    memory: Fact[int] | None = None
    """Bytes that everything together may use, after what volumes in memory may take of it."""
    is_memory_bounded: bool = True
    """False when a manifest forgets to."""
    grace: Fact[float] | None = None
    """Seconds between SIGTERM and SIGKILL."""
    read_only: Fact[bool] = field(default_factory=lambda: Fact(value=False))
    writable: tuple[str, ...] = ()
    """Folders that may be written to although the rest is read-only."""
    ports: tuple[Fact[int], ...] = ()
    """Ports that somebody outside is sent to: published, asked by probes."""
    daemonized: Fact[bool] = field(default_factory=lambda: Fact(value=False))
    """Whether the command goes into the background."""
    no_cgroups: Fact[str] = field(default_factory=lambda: Fact(""))
    """Why no cgroups for applications can be made."""

    @property
    def is_container(self) -> bool:
        """Whether only what listens on the container's own address is reached, and only stdout is a log."""
        return self.kind != "systemd"


def without_manifest(kind: Kind) -> Target:
    """What holds everywhere: our images run as an ordinary user without rights; a unit can be anything."""
    if kind == "systemd":
        return Target(kind=kind)
    who = f"our images run as user {IMAGE_USER}"
    return Target(
        kind=kind,
        no_switching=Fact(who),
        no_low_ports=Fact(who),
        no_cgroups=Fact("a container has no cgroup of its own to divide"),
    )


def rights(
    kind: Kind, user: Fact[str], dropped: Fact[frozenset[str]], added: frozenset[str]
) -> tuple[Fact[str], Fact[str]]:
    """Why users cannot be switched, and why low ports cannot be bound. `dropped` may hold ALL."""
    if user.value not in {"0", "root"}:
        who = f"{'the unit' if kind == 'systemd' else 'the container'} runs as user {user.value}"
        low = Fact("", user.span) if LOW_PORTS in added and kind == "systemd" else Fact(who, user.span)
        return Fact(who, user.span), low
    missing = sorted(name for name in SWITCHING if _is_gone(name, dropped.value, added))
    dropped_ones = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} dropped from the capabilities"
    switching = dropped_ones if missing else ""
    low_ports = f"{LOW_PORTS} is dropped from the capabilities" if _is_gone(LOW_PORTS, dropped.value, added) else ""
    return Fact(switching, dropped.span), Fact(low_ports, dropped.span)


def _is_gone(name: str, dropped: frozenset[str], added: frozenset[str]) -> bool:
    return ("ALL" in dropped or name in dropped) and not {name, "ALL"} & added
