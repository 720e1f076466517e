"""`passenger stop`: ask the watchdog to drain, then wait until it has ended."""

from __future__ import annotations

import os
import select

import click

from passenger.cli import api
from passenger.cli.options import examples, instance_option, registry_option
from passenger.cli.running import chosen_instance
from passenger.errors import EXIT_OK, HostError

ASK_TIMEOUT = 10.0
"""Seconds for the watchdog to take the order; it answers before it begins to drain."""


@click.command(epilog=examples("passenger stop", "passenger stop --instance main --timeout 30", "passenger stop --now"))
@instance_option
@registry_option
@click.option("--now", is_flag=True, help="Do not wait for requests in progress: they are cut.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=120.0,
    show_default=True,
    help="Seconds to wait for the end. The instance goes on draining when they are over.",
)
def stop(*, instance: str | None, registry: str | None, now: bool, timeout: float) -> int:
    """Stop an instance: finish the requests in progress, stop the applications, remove the instance directory."""
    record = chosen_instance(instance, registry)
    pidfd = _open(record.watchdog_pid)
    what = f"the watchdog of instance {record.name}"
    try:
        api.call(record.paths.watchdog_api, {"verb": "stop", "fast": now}, timeout=ASK_TIMEOUT, what=what)
        if pidfd is not None and not _ended(pidfd, timeout):
            raise HostError(
                f"instance {record.name} is still finishing requests after {timeout:g} s",
                hint="it goes on stopping; `passenger stop --now` cuts them",
            )
    finally:
        if pidfd is not None:
            os.close(pidfd)
    print(f"instance {record.name} stopped")
    return EXIT_OK


def _open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:  # it ends just now, or lives in another pid namespace: the socket will tell
        return None


def _ended(pidfd: int, timeout: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout * 1000))
