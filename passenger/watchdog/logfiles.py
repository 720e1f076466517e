"""After a rotation: everybody who writes to a log file of the instance opens it anew, and no line is lost.

Who writes: this process and the core (stdout and stderr, when `passenger start` put them into a file), nginx into that
file (through `LogPipe`), and nginx into an access log of its own.

Rules.
1. The file is opened here, once, and handed to the core as a descriptor: the core may not even be allowed to open it.
2. A file that cannot be opened changes nothing.
"""

from __future__ import annotations

import os
import signal
from typing import Any, Final

from passenger.errors import HostError
from passenger.instance.plan import Plan
from passenger.log import Log
from passenger.watchdog.core_process import CoreProcess
from passenger.watchdog.logpipe import LogPipe
from passenger.watchdog.nginx import Nginx

LOG_MODE: Final = 0o640
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW


def reopen(plan: Plan, core: CoreProcess, nginx: Nginx | None, log_pipe: LogPipe) -> dict[str, Any]:
    """The answer to `reopen_logs`: what was opened anew, or why it could not be."""
    reopened = []
    if plan.log_file:
        try:
            file = os.open(plan.log_file, _FLAGS, LOG_MODE)
        except OSError as error:
            return {"ok": False, "error": f"cannot open log file {plan.log_file}: {error.strerror}", "hint": ""}
        os.dup2(file, 1)
        os.dup2(file, 2)
        core.send_descriptor({"command": "reopen_logs"}, file)
        os.close(file)
        try:
            log_pipe.reopen()
        except HostError as error:
            return {"ok": False, "error": error.message, "hint": error.hint}
        reopened.append(plan.log_file)
    if plan.nginx_log_file and nginx is not None:
        nginx.signal(signal.SIGUSR1)
        reopened.append("nginx")
    return {"ok": True, "reopened": reopened}


def told(answer: dict[str, Any], log: Log) -> None:
    """The outcome, for a signal that nobody waits for."""
    if not answer["ok"]:
        log.error("log files were not opened anew", reason=answer["error"], hint=answer["hint"])
    elif not answer["reopened"]:
        log.write("warn", "told to open log files anew, but this instance writes to none of its own", {})
