"""What `watchdog_api` understands: the verbs that tell, and those that change something."""

from __future__ import annotations

import os
from typing import Any

from passenger.watchdog.api import Answer, Verb
from passenger.watchdog.supervisor import Supervisor


def telling(supervisor: Supervisor) -> dict[str, Verb]:
    """For everybody with a role."""

    def status(_: dict[str, Any], answer: Answer) -> None:
        answer({
            "ok": True,
            "state": supervisor.machine.phase.value,
            "watchdog_pid": os.getpid(),
            "components": supervisor.components(),
            "urls": supervisor.plan.urls,
            "config_files": supervisor.plan.config_files,
            "log_file": supervisor.plan.log_file or None,
        })  # fmt: skip

    return {"status": status}


def changing(supervisor: Supervisor) -> dict[str, Verb]:
    """For root and the owner."""

    def stop(request: dict[str, Any], answer: Answer) -> None:
        answer({"ok": True})
        supervisor.stop(fast=bool(request.get("fast")))

    def reload(_: dict[str, Any], answer: Answer) -> None:
        supervisor.reload(answer)

    def reopen_logs(_: dict[str, Any], answer: Answer) -> None:
        answer(supervisor.reopen_logs())

    return {"stop": stop, "reload": reload, "reopen_logs": reopen_logs}
