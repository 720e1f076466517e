"""`passenger cache status`: what nginx keeps for each application."""

from __future__ import annotations

import json
from typing import Any

import click

from passenger.cli.caches import configuration, folders, nginxs_files
from passenger.cli.options import examples, format_option, instance_option, registry_option
from passenger.cli.running import chosen_instance
from passenger.config.units import size_text
from passenger.errors import EXIT_OK
from passenger.instance.cachefiles import measure


@click.command(epilog=examples("passenger cache status", "passenger cache status --format json"))
@instance_option
@registry_option
@format_option("text", "json")
def status(*, instance: str | None, registry: str | None, form: str) -> int:
    """Show where the caches of an instance are, and how full."""
    record = chosen_instance(instance, registry)
    config = configuration(record)
    found: list[dict[str, Any]] = []
    for name, folder in folders(record, config).items():
        with nginxs_files(f"cannot look into the cache of {name}"):
            usage = measure(folder)
        limit = config.apps[name].cache.size
        found.append({"app": name, "folder": folder, "entries": usage.entries, "bytes": usage.size, "limit": limit})
    if form == "json":
        print(json.dumps({"instance": record.name, "caches": found}))
    elif not found:
        print(f"no application of instance {record.name} has a cache")
    for one in found if form == "text" else ():
        count = f"{one['entries']} {'entry' if one['entries'] == 1 else 'entries'}"
        print(f"{one['app']}: {count}, {one['bytes'] / 2**20:.1f} MiB of {size_text(one['limit'])}, in {one['folder']}")
    return EXIT_OK
