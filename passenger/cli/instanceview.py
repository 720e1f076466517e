"""The head of `passenger status`: the instance and its components, as lines of text. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from passenger.cli.attention import attention
from passenger.cli.poolview import Paint, duration, plain, pool_lines
from passenger.cli.snapshot import Snapshot
from passenger.log import printable


def status_lines(snapshot: Snapshot, *, now: float, heading: Paint = plain, verbose: bool = False) -> Iterator[str]:
    """Everything `passenger status` says about an instance. `now` is wall time."""
    core = snapshot.core
    version = f", version {core['version']}" if core else ""
    uptime = f", up {duration(core['uptime'])}" if core else ""
    state = core["state"] if core and core["state"] == "draining" else snapshot.watchdog.get("state", "unknown")
    yield heading(printable(f"Instance {snapshot.instance}: {state}{version}{uptime}"))
    yield from _components(snapshot)
    for app, url in (snapshot.watchdog.get("urls") or {}).items():
        yield printable(f"  {app}: {url}")
    yield ""
    if core is None:
        yield printable(f"The core does not answer: {snapshot.trouble}")
        return
    if (since := core["drained_at"]) is not None:
        yield f"DRAINED for {duration(now - since)}: load balancers are told to send nothing; what comes is served"
    if wanted := attention(core):
        yield printable(f"Look at: {wanted}")
    requests = core["requests"]
    yield (
        f"Requests: {requests['active']} active, {requests['handled']} handled, "
        f"{requests['aborted']} aborted, {requests['malformed']} malformed"
    )
    if requests["upgraded"]:
        yield f"WebSockets and other upgrades: {requests['tunnels']} open, {requests['upgraded']} in all"
    yield ""
    yield from pool_lines(core, now=now, heading=heading, verbose=verbose)


def _components(snapshot: Snapshot) -> Iterator[str]:
    yield f"  {'watchdog':<10} PID {snapshot.watchdog.get('watchdog_pid', '?')}"
    for component in snapshot.watchdog.get("components") or ():
        pid = component.get("pid")
        up = component.get("uptime")
        yield printable(
            f"  {component.get('name', '?'):<10} PID {'-' if pid is None else pid:<7} {component.get('state', '?')}, "
            f"restarts {component.get('restarts', 0)}" + (f", up {duration(up)}" if up is not None else "")
        )
