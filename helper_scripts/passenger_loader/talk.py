"""The loader's side of the spawn talk, on stdin and stdout."""

from __future__ import annotations

import os
import sys


class Explanation(Exception):  # noqa: N818 - what the spawner is told instead of Ready
    """The application cannot be served, for the reason given."""


def say(text: str) -> None:
    """Write to the spawner, past whatever the application did to `sys.stdout`."""
    data = text.encode("utf-8", "replace")
    while data:
        data = data[os.write(1, data) :]


def shake_hands() -> dict[str, str]:
    """Offer control and read the request: `key: value` lines up to an empty one."""
    say("!> I have control 1.0\n")
    held = b""
    while not held.endswith(b"\n\n"):
        piece = os.read(0, 65536)
        if not piece:
            sys.exit(1)  # the spawner gave up
        held += piece
    first, *lines = held.decode("utf-8", "surrogateescape").split("\n")
    if first != "You have control 1.0":
        raise Explanation('the spawner answered %r instead of "You have control 1.0"' % first)
    options = {}
    for line in lines:
        key, colon, value = line.partition(":")
        if colon:
            options[key] = value.strip()
    return options


def explain(error: BaseException) -> None:
    """Tell the spawner why there will be no Ready."""
    say("\n!> Error\n!> \n%s\n" % (error if isinstance(error, Explanation) else repr(error)))
