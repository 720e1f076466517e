"""`passenger health`: the probe of a container, a unit file or a load balancer script.

It runs every few seconds on every host, so it does without click: a third of its cost would be that import.
"""

from __future__ import annotations

import argparse
import os
import sys

from passenger.cli import api
from passenger.cli.running import chosen_instance
from passenger.errors import EXIT_FAILED, EXIT_OK

TIMEOUT = 5.0
"""Seconds; an orchestrator's own probe timeout is of this order."""

SWITCH = "PASSENGER_HEALTHCHECK"
"""Set to `off` in a container that serves nothing (a worker, a job): its image's HEALTHCHECK says nothing then."""

VERDICTS = {"live": "live", "ready": "ready", "startup": "started"}
"""Probe -> the field of the core's answer that decides it."""


def health(arguments: list[str]) -> int:
    """Ask the core. Exit status 0: yes. 1: no, with the reasons on stderr. 3: nothing runs."""
    options = _parser().parse_args(arguments)
    if os.environ.get(SWITCH) == "off":
        print(f"not checked: {SWITCH} is off")
        return EXIT_OK
    record = chosen_instance(options.instance, options.registry)
    answer = api.call(
        record.paths.core_api,
        {"verb": "health"},
        timeout=options.timeout,
        what=f"the core of instance {record.name}",
    )
    verdict = bool(answer.get(VERDICTS[options.probe]))
    state = options.probe if options.probe != "startup" else "started"
    if verdict:
        print(f"instance {record.name} is {state}")
        return EXIT_OK
    reasons = "; ".join(map(str, answer.get("reasons") or ())) or "no reason given"
    print(f"instance {record.name} is not {state}: {reasons}", file=sys.stderr)
    return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="passenger health",
        description="Say by exit status whether an instance is healthy.",
        epilog="Examples:\n  passenger health\n  passenger health --live --instance main\n\n"
        f"With {SWITCH}=off in the environment it asks nothing and says yes: for containers that serve nothing.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    probe = parser.add_mutually_exclusive_group()
    for name, meaning in (
        ("live", "the core answers; if not, restarting the instance is right"),
        ("ready", "it takes requests; if not, send them elsewhere (this is the default)"),
        ("startup", "every application has been started once, or has failed to"),
    ):
        probe.add_argument(f"--{name}", dest="probe", action="store_const", const=name, help=meaning)
    parser.set_defaults(probe="ready")
    parser.add_argument("-i", "--instance", metavar="NAME", help="instance; needed only when several are running")
    parser.add_argument("--registry", metavar="DIR", help="folder that holds the instance directories")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, metavar="SECONDS", help="default: %(default)s")
    return parser
