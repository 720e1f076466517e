"""UstRouter below a real watchdog, scripted: it starts, crashes, hangs and ends, and the instance lives on beside it."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from passenger.instance.plan import Plan
from tests.support.probe import wait_until
from tests.support.watchdog import Watchdog, kill, make_plan, registry, running, wait_gone

ROUTER = r"""
import json, os, signal, socket, sys
launch = json.load(os.fdopen(int(os.environ["PASSENGER_ROUTER_FD"])))
channel = socket.socket(fileno=launch["feedback_fd"])
records = socket.socket(fileno=launch["records_fd"])
def say(text):
    os.write(2, (text + "\n").encode())
def end(*_):
    say("router told to end")
    if sys.argv[1] != "stubborn":
        os._exit(0)
signal.signal(signal.SIGTERM, end)
if sys.argv[1] == "silent":
    say("router silent")
    while True:
        signal.pause()
assert records.type == socket.SOCK_SEQPACKET
say(f"router {os.getpid()} takes {json.dumps(launch['telemetry'])}")
channel.sendall(b'{"event": "ready"}\n')
if sys.argv[1] == "crashing":
    os._exit(9)
while True:
    signal.pause()
"""


def plan_of(folder: str, mode: str = "good", **changes: Any) -> Plan:
    argv = [sys.executable, "-c", ROUTER, mode]
    return make_plan(folder, router_argv=argv, telemetry={"sinks": {}, "own": {}}, **changes)


def component(watchdog: Watchdog, name: str = "ustrouter") -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in watchdog.ask("status")["components"] if c["name"] == name)
    return found


def test_it_is_acknowledged_and_goes_after_the_core_at_the_end() -> None:
    with registry() as folder, running(plan_of(folder)) as watchdog:
        watchdog.wait_ready()
        watchdog.wait_line(r'takes \{"sinks"')
        wait_until(lambda: component(watchdog)["state"] == "running", "an acknowledged router")
        pid = component(watchdog)["pid"]
        watchdog.signal(signal.SIGTERM)
        watchdog.wait_line(r'core got .*"drain"')
        watchdog.wait_line("router told to end")
        assert watchdog.wait_exit() == 0
        wait_gone(pid)


def test_it_runs_behind_everybody_else() -> None:
    """What is told about requests must not slow them, where CPU is short."""
    with registry() as folder, running(plan_of(folder)) as watchdog:
        watchdog.wait_line(r'takes \{"sinks"')
        pids = [component(watchdog, name)["pid"] for name in ("core", "ustrouter")]
        core, router = (os.getpriority(os.PRIO_PROCESS, pid) for pid in pids)
        assert router == min(19, core + 10)


def test_one_that_is_killed_comes_again_and_the_core_stays() -> None:
    with registry() as folder, running(plan_of(folder)) as watchdog:
        watchdog.wait_ready()
        wait_until(lambda: component(watchdog)["state"] == "running", "an acknowledged router")
        first, core = component(watchdog)["pid"], watchdog.pid_of("core")
        kill(first)
        watchdog.wait_line("UstRouter .*requests are served on")
        wait_until(lambda: component(watchdog)["pid"] not in {None, 0, first}, "another router")
        assert component(watchdog)["restarts"] == 1
        assert watchdog.pid_of("core") == core


def test_one_that_crashes_again_and_again_is_tried_ever_later_and_ends_nothing() -> None:
    """More often than a core may crash, with a budget of one."""
    with registry() as folder, running(plan_of(folder, "crashing", max_crashes=1)) as watchdog:
        watchdog.wait_ready()
        core = watchdog.pid_of("core")
        for _ in range(4):
            watchdog.wait_line("UstRouter .*requests are served on")
        assert component(watchdog)["restarts"] >= 4
        assert component(watchdog, "core")["pid"] == core
        watchdog.signal(signal.SIGTERM)
        assert watchdog.wait_exit() == 0, "a router that is not there holds up no end"


def test_one_that_never_answers_is_killed_at_the_deadline_and_holds_up_no_start() -> None:
    with registry() as folder, running(plan_of(folder, "silent", start_timeout=2.0)) as watchdog:
        assert watchdog.wait_ready() == {"ready": True}
        watchdog.wait_line("UstRouter is killed.*was not ready in time")
        watchdog.wait_line("UstRouter .*requests are served on")
        assert component(watchdog, "core")["state"] == "running"


def test_one_that_does_not_end_is_killed_and_the_instance_ends_well() -> None:
    with registry() as folder, running(plan_of(folder, "stubborn")) as watchdog:
        watchdog.wait_ready()
        wait_until(lambda: component(watchdog)["state"] == "running", "an acknowledged router")
        watchdog.signal(signal.SIGTERM)
        watchdog.wait_line("router told to end")
        watchdog.wait_line("UstRouter is killed.*did not end in time")
        assert watchdog.wait_exit() == 0
