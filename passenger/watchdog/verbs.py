"""What `watchdog_api` understands: the verbs that tell, and those that change something."""

from __future__ import annotations

import json
import os
from typing import Any

from passenger.errors import EXIT_FAILED, PassengerError
from passenger.instance.plan import dump
from passenger.watchdog.api import Answer, Verb
from passenger.watchdog.command import Result
from passenger.watchdog.reload import RESOLVE_TIMEOUT
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

    def compare(request: dict[str, Any], answer: Answer) -> None:
        file = request.get("file")
        options = ["--compare"] if file is None else ["--compare", f"--instead={file}"]
        argv = with_options(supervisor.plan.reload_argv, options)
        try:
            supervisor.resolve(argv, dump(supervisor.plan), RESOLVE_TIMEOUT, lambda result: answer(compared(result)))
        except PassengerError as error:
            answer({"ok": False, "error": str(error)})

    return {"stop": stop, "reload": reload, "reopen_logs": reopen_logs, "compare": compare}


def with_options(argv: list[str], options: list[str]) -> list[str]:
    """A command with further options, which come before its arguments."""
    end = argv.index("--") if "--" in argv else len(argv)
    return [*argv[:end], *options, *argv[end:]]


def compared(result: Result) -> dict[str, Any]:
    """The answer that a resolver's differences make."""
    if result.summary:
        reason = result.errors or f"the configuration could not be compared: the resolver {result.summary}"
        return {"ok": False, "error": reason, "exit_status": result.status or EXIT_FAILED}
    try:
        found = json.loads(result.output)
        return {"ok": True, "files": found["files"], "changes": found["changes"]}
    except (ValueError, TypeError, KeyError) as error:
        return {"ok": False, "error": f"the configuration could not be compared: {error!r}"}
