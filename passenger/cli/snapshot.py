"""The state of one instance, asked from its watchdog and its core at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from passenger.cli import api
from passenger.errors import HostError, InstanceSelectionError, PassengerError
from passenger.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from passenger.instance.registry import InstanceRecord
    from passenger.wire.status import CoreStatus

TIMEOUT = 10.0
"""Seconds per question."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What both said; `core` is None while the core is away, and `trouble` says why."""

    instance: str
    watchdog: dict[str, Any]
    core: CoreStatus | None
    trouble: str = ""

    def as_json(self) -> dict[str, Any]:
        """One flat document: the core's answer and the watchdog's; `state` is the watchdog's word.

        Without a core, `pool` is null and `trouble` says why.
        """
        core: dict[str, Any] = {"pool": None} if self.core is None else dict(self.core)
        watchdog = {name: value for name, value in self.watchdog.items() if name != "ok"}
        document = {"name": self.instance, **core, "core_state": core.get("state"), **watchdog}
        return document | ({"trouble": self.trouble} if self.trouble else {})


def take(record: InstanceRecord, *, timeout: float = TIMEOUT) -> Snapshot:
    """Ask both. A watchdog that does not answer is an error; a core that does not is part of the picture.

    Raises InstanceSelectionError, HostError, PassengerError as `api.call` does, about the watchdog.
    """
    watchdog = api.call(
        record.paths.watchdog_api,
        {"verb": "status"},
        timeout=timeout,
        what=f"the watchdog of instance {record.name}",
    )
    try:
        core, trouble = core_status(record, timeout=timeout), ""
    except (InstanceSelectionError, HostError) as error:
        core, trouble = None, error.message
    return Snapshot(instance=record.name, watchdog=watchdog, core=core, trouble=trouble)


def core_status(record: InstanceRecord, *, timeout: float = TIMEOUT) -> CoreStatus:
    """Only the core's part. Raises as `api.call` does, and PassengerError for an answer without a status."""
    what = f"the core of instance {record.name}"
    answer = api.call(record.paths.core_api, {"verb": "status"}, timeout=timeout, what=what)
    if not isinstance(answer.get("status"), dict):
        raise PassengerError(f"{what} gave no status", hint="are command line and instance of one version?")
    return cast("CoreStatus", answer["status"])
