"""What a unit of systemd promises its service: `[Service]` of a `.service` file (drop-ins are not followed)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from passenger.config.diagnostics import Span
from passenger.config.manifest import ManifestError
from passenger.config.target import Fact, Target, rights

DEFAULT_STOP: Final = 90.0
"""DefaultTimeoutStopSec= as systemd has it."""
_SIZES: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_TIMES: Final = {
    "": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "hours": 3600.0,
}  # fmt: skip
_FOLDERS: Final = {
    "RuntimeDirectory": "/run",
    "StateDirectory": "/var/lib",
    "CacheDirectory": "/var/cache",
    "LogsDirectory": "/var/log",
}
_READ_ONLY: Final = frozenset({"strict"})
"""`true` and `full` close /usr, /boot and /etc, where nothing of ours is written."""

T = TypeVar("T")
Said = dict[str, list[Fact[str]]]


def size(text: str) -> int | None:
    """Bytes of `512M`; None without a limit, or of a share of the machine. Raises ValueError."""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([KMGT%]?)", text)
    if text == "infinity" or (match and match[2] == "%"):
        return None
    if match is None:
        raise ValueError("expected a size such as `512M`")
    return int(float(match[1]) * _SIZES[match[2]])


def seconds(text: str) -> float | None:
    """Of `1min 30s`; None without an end. Raises ValueError."""
    parts = re.findall(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([a-z]*)\s*", text)
    if text == "infinity":
        return None
    if (
        not parts
        or re.search(r"[0-9]{16}", text)
        or re.sub(r"\s", "", text) != "".join(map("".join, parts))
        or not {unit for _, unit in parts} <= set(_TIMES)
    ):
        raise ValueError("expected a time such as `1min 30s`")
    return sum(float(number) * _TIMES[unit] for number, unit in parts) or None


def read_systemd(text: str, file: str) -> Target:
    """The unit's `[Service]`. Raises ManifestError."""
    lines = text.splitlines()
    said, start = _service(lines, file)
    user = _last(said, "User") or Fact("root")
    bounding, ambient = said.get("CapabilityBoundingSet", []), _words(said, "AmbientCapabilities")
    bound = bounding[-1] if bounding else Fact("~")
    listed = _capabilities(_words(said, "CapabilityBoundingSet"))
    if bound.value.startswith("~"):  # a list of what is taken away
        dropped, kept = (
            Fact(frozenset(word.lstrip("~").removeprefix("CAP_") for word in listed), bound.span),
            frozenset[str](),
        )
    else:
        dropped, kept = Fact(frozenset({"ALL"}), bound.span), listed
    no_switching, no_low_ports = rights("systemd", user, dropped, kept | _capabilities(ambient))
    memory, stop = _last(said, "MemoryMax"), _last(said, "TimeoutStopSec") or _last(said, "TimeoutSec")
    limit = _read(memory, size) if memory else None
    grace = _read(stop, seconds) if stop else DEFAULT_STOP
    protect, command = _last(said, "ProtectSystem"), _last(said, "ExecStart")
    delegate = _last(said, "Delegate")
    delegated = delegate is not None and delegate.value.lower() not in {"", "no", "false", "0", "off"}
    return Target(
        kind="systemd",
        lines=tuple(lines),
        workload=start,
        no_switching=no_switching,
        no_low_ports=no_low_ports,
        memory=Fact(limit, memory.span) if memory and limit else None,
        grace=Fact(grace, stop.span if stop else None) if grace else None,
        read_only=Fact(protect.value in _READ_ONLY, protect.span) if protect else Fact(value=False),
        writable=tuple(_writable(said)),
        daemonized=Fact("--daemonize" in command.value.split(), command.span) if command else Fact(value=False),
        no_cgroups=Fact("" if delegated else "the unit has no `Delegate=yes`", delegate.span if delegate else start),
    )


def _service(lines: list[str], file: str) -> tuple[Said, Span]:
    said: Said = {}
    start, section = None, ""
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith("[") and text.endswith("]"):
            section = text
            if section == "[Service]":
                start = Span(file, number, 1, number, len(line) + 1)
        elif section == "[Service]" and "=" in text and text[0] not in "#;":
            name, _, value = line.partition("=")
            span = Span(file, number, len(name) + 2, number, max(len(line), len(name) + 2) + 1)
            said.setdefault(name.strip(), []).append(Fact(value.strip(), span))
    if start is None:
        raise ManifestError("E502", f"{file} has no `[Service]`", help_text="name the .service file of the instance")
    return said, start


def _last(said: Said, name: str) -> Fact[str] | None:
    return said[name][-1] if name in said else None


def _words(said: Said, name: str) -> tuple[str, ...]:
    """Lists add up; an empty value begins anew."""
    words: list[str] = []
    for fact in said.get(name, []):
        words = [*words, *fact.value.split()] if fact.value else []
    return tuple(words)


def _capabilities(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word.removeprefix("CAP_") for word in words)


def _writable(said: Said) -> Iterator[str]:
    for word in _words(said, "ReadWritePaths"):
        yield word.lstrip("+-")
    for name, above in _FOLDERS.items():
        for word in _words(said, name):
            yield f"{above}/{word}"
    if (private := _last(said, "PrivateTmp")) and private.value.lower() in {"yes", "true", "1", "on"}:
        yield "/tmp"  # noqa: S108 - the unit's own
        yield "/var/tmp"  # noqa: S108


def _read(fact: Fact[str], read: Callable[[str], T]) -> T:
    try:
        return read(fact.value)
    except ValueError as error:
        raise ManifestError("E503", f"`{fact.value}` is not understood: {error}", span=fact.span) from error
