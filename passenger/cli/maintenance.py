"""`passenger maintenance`: answer the requests of applications with a page, or stop that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from passenger.cli import api
from passenger.cli.options import examples, format_option, instance_option, registry_option
from passenger.cli.restart_app import GRACE, meant
from passenger.cli.running import chosen_instance
from passenger.errors import EXIT_OK, PassengerError
from passenger.log import printable
from passenger.wire.control import encode

LARGEST_QUESTION = 60 * 1024
"""Bytes, as JSON; the core takes 64 KiB."""


@click.command(
    epilog=examples(
        "passenger maintenance on blog",
        "passenger maintenance on blog --page public/maintenance.html --allow 192.0.2.7",
        "passenger maintenance off --all",
    )
)
@click.argument("state", type=click.Choice(("on", "off")))
@click.argument("apps", nargs=-1, metavar="[NAME|PATH]...")
@click.option("--all", "every", is_flag=True, help="Every application of the instance.")
@click.option(
    "--page", metavar="FILE", help="HTML to answer with; up to about 60 KB.  [default: a page of Passenger's]"
)
@click.option(
    "--allow",
    multiple=True,
    metavar="ADDRESS",
    help="Clients at this address, or in this network, pass. Repeatable; behind a load balancer set `trusted_proxies`.",
)
@click.option(
    "--retry-after",
    type=click.FloatRange(min=1, max=86400),
    default=60.0,
    show_default=True,
    help="Seconds after which clients are told to come again.",
)
@instance_option
@registry_option
@format_option("text", "json")
def maintenance(
    *,
    state: str,
    apps: tuple[str, ...],
    every: bool,
    page: str | None,
    allow: tuple[str, ...],
    retry_after: float,
    instance: str | None,
    registry: str | None,
    form: str,
) -> int:
    """Answer every request of applications 503 with a page, until `off`.

    Static files that nginx serves itself, and responses in its cache, go on. The page is read once, now. It stays on
    when the core crashes, and ends with the instance.
    """
    record = chosen_instance(instance, registry)
    question: dict[str, Any] = {"verb": "maintenance", "on": state == "on", "retry_after": retry_after}
    if state == "on":
        question |= {"allow": list(allow), "page": "" if page is None else _read(page)}
    elif page is not None or allow:
        raise click.UsageError("--page and --allow go with `on`")
    question |= meant(record, apps, every=every)
    if len(encode(question)) > LARGEST_QUESTION:
        raise PassengerError(
            "the page is too large", hint="keep it below 60 KB: images and styles can be files of nginx"
        )
    what = f"the core of instance {record.name}"
    told = api.call(record.paths.core_api, question, timeout=GRACE, what=what)["apps"]
    if form == "json":
        print(json.dumps({"instance": record.name, "apps": told}, indent=2))
    else:
        for name, one in told.items():
            print(printable(f"{name}: {_words(one, state)}"))
    return EXIT_OK


def _words(told: dict[str, Any], state: str) -> str:
    if state == "off":
        return "maintenance is over" if told["was_on"] else "was not under maintenance"
    allowed = told["traffic"]["allow"]
    return "under maintenance" + (f", {', '.join(allowed)} may pass" if allowed else "")


def _read(page: str) -> str:
    try:
        return Path(page).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PassengerError(f"cannot read {page}: {reason}", hint="--page is a file of HTML in UTF-8") from error
