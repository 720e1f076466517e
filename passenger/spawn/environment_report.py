"""`passenger env`: the environment an application would get, found by really going the way of a spawn.

The same chain is run (user switch, login shell, SpawnPreparer), but in the end SpawnPreparer prints the environment
instead of executing the loader. Blocking, without an event loop: this is for the command line.
"""

from __future__ import annotations

import json
import os
import selectors
import time
from collections.abc import Mapping
from typing import Any, Literal

from passenger.config.model import App
from passenger.errors import PassengerError
from passenger.lazy_dataclass import dataclass
from passenger.posix import exits, process
from passenger.spawn import environment
from passenger.spawn.failure import SpawnFailure
from passenger.spawn.launch import MARK, Child, launch
from passenger.spawn.spec import SpawnContext, SpawnSpec, work_out

EACH_ITS_OWN = "(each process has its own)"

Origin = Literal["inherited", "account", "login shell", "passenger", "env file", "configuration"]
"""`account`: what the user database says about the application's user."""


@dataclass(frozen=True, slots=True)
class ExplainedVariable:
    """One variable of an application's environment. `secret` values must not be shown unasked."""

    name: str
    value: str
    origin: Origin
    secret: bool
    where: str = ""
    """FILE:LINE of an env file."""


def explain(name: str, app: App, context: SpawnContext) -> list[ExplainedVariable]:
    """The environment of an application, sorted by name. Raises PassengerError when it can't be found out."""
    try:
        spec = work_out(name, app, context)
        final = _environment(spec, app.start_timeout)
    except SpawnFailure as failure:
        raise PassengerError(f"application {name}: {failure.summary}", hint=failure.hint) from failure
    passengers = environment.passenger_variables(app)
    return [
        ExplainedVariable(
            variable,
            value,
            _origin(variable, value, app, passengers, spec.inherited, context.environ),
            (variable in app.env and app.env[variable].secret) or environment.looks_secret(variable, value),
            app.env[variable].origin if variable in app.env else "",
        )
        for variable, value in sorted(final.items())
    ]


def _origin(
    variable: str,
    value: str,
    app: App,
    passengers: Mapping[str, str],
    inherited: Mapping[str, str],
    own: Mapping[str, str],
) -> Origin:
    if variable == MARK:
        return "passenger"
    if variable in app.env:
        return "env file" if app.env[variable].origin else "configuration"
    if variable in passengers or variable == "PWD":
        return "passenger"
    if inherited.get(variable) != value:
        return "login shell"
    if own.get(variable) == value:
        return "inherited"
    return "account" if variable in environment.USERS_NAMES else "passenger"


def _environment(spec: SpawnSpec, timeout: float) -> dict[str, str]:
    child = launch(spec, program=None, gupid=EACH_ITS_OWN)
    try:
        streams = _read_all(child, timeout)
    finally:
        process.sweep_session(child.pid)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        child.disown(exits.reap(child.pid))
        for fd in (child.stdin, child.stdout, child.stderr, child.report, child.profile):
            os.close(fd)
    for line in streams[child.report].splitlines():
        problem = json.loads(line).get("error")
        if problem is not None:
            raise SpawnFailure(problem["category"], problem["message"], hint=problem["hint"])
    try:
        found: dict[str, Any] = json.loads(streams[child.stdout])
    except ValueError:
        said = streams[child.profile].decode("utf-8", "replace").strip()
        raise SpawnFailure(
            "shell-ended",
            "the shell or SpawnPreparer ended before it could tell" + (f": {said[-500:]}" if said else ""),
            hint="a profile of the user ends the shell: correct it, or set `load_shell_envvars = false`",
        ) from None
    return {str(key): str(value) for key, value in found.items()}


def _read_all(child: Child, timeout: float) -> dict[int, bytearray]:
    """Everything on stdout and the report pipe until both end, and what the profile printed meanwhile."""
    streams = {fd: bytearray() for fd in (child.stdout, child.report, child.profile)}
    awaited = {child.stdout, child.report}
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for fd in streams:
            selector.register(fd, selectors.EVENT_READ)
        while awaited:
            left = deadline - time.monotonic()
            if left <= 0:
                raise SpawnFailure(
                    "timeout",
                    f"no answer within {timeout:g} seconds",
                    hint="a shell profile of the user hangs, or `start_timeout` is too short",
                )
            for key, _ in selector.select(left):
                data = os.read(key.fd, 65536)
                streams[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
                    awaited.discard(key.fd)
    return streams
