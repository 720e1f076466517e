"""`passenger cache purge`: nginx forgets responses that it kept."""

from __future__ import annotations

from collections.abc import Callable

import click

from passenger.cli.caches import folder_of, nginxs_files
from passenger.cli.options import examples, instance_option, registry_option
from passenger.cli.running import chosen_instance
from passenger.errors import EXIT_OK
from passenger.instance.cachefiles import purge as remove


@click.command(epilog=examples("passenger cache purge blog", "passenger cache purge blog --uri '/news/*'"))
@click.argument("app")
@click.option(
    "--uri",
    metavar="URI",
    help="Only what was kept for this URI: path and query as clients send them, with the base URI; for every host, "
    "scheme, method and variant. `*` at its end stands for any rest.",
)
@instance_option
@registry_option
def purge(*, app: str, uri: str | None, instance: str | None, registry: str | None) -> int:
    """Remove kept responses of an application; the next request for each goes to the application.

    Do it after a deploy that changes what kept pages look like. A response that the application gave before, and that
    is on its way to the cache at this moment, may still get there.
    """
    record = chosen_instance(instance, registry)
    folder = folder_of(record, app)
    with nginxs_files(f"cannot purge the cache of {app}"):
        count = remove(folder, None if uri is None else meant(uri))
    print(f"removed {count} {'entry' if count == 1 else 'entries'} of {app}")
    return EXIT_OK


def meant(uri: str) -> Callable[[bytes], bool]:
    """Whether an entry's URI is the one that was named."""
    wanted = uri.encode("utf-8", "surrogateescape")
    if wanted.endswith(b"*"):
        return lambda found: found.startswith(wanted[:-1])
    return lambda found: found == wanted
