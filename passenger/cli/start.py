"""`passenger start`: its options."""

from __future__ import annotations

from pathlib import Path

import click

from passenger.cli.options import config_option, examples, set_option
from passenger.cli.start_request import StartRequest
from passenger.cli.starting import run


@click.command(
    epilog=examples(
        "passenger start",
        "passenger start ~/blog --port 8000",
        "passenger start --config /etc/passenger/passenger.toml --daemonize --log-file /var/log/passenger.log",
    )
)
@click.argument("directory", metavar="[DIR]", required=False)
@config_option
@set_option
@click.option("--instance", "-i", "instances", metavar="NAME", multiple=True, help="Start only this one. Repeatable.")
@click.option("--port", "-p", type=click.IntRange(1, 65535), help="Listen on this port.")
@click.option("--address", "-a", metavar="IP", help="Listen on this address, such as 0.0.0.0.")
@click.option("--environment", "-e", metavar="NAME", help="`app_env` of every application, such as development.")
@click.option(
    "--daemonize", "-d", is_flag=True, help="Return when the instance is ready; it goes on in the background."
)
@click.option("--pid-file", metavar="FILE", help="Write the process id of the watchdog there; removed at the end.")
@click.option(
    "--log-file", metavar="FILE", help="Append all output there.  [default with --daemonize: passenger.NAME.log]"
)
def start(
    *,
    directory: str | None,
    config_file: str | None,
    sets: tuple[str, ...],
    instances: tuple[str, ...],
    port: int | None,
    address: str | None,
    environment: str | None,
    daemonize: bool,
    pid_file: str | None,
    log_file: str | None,
) -> int:
    """Start the instances of a configuration, or serve the application in DIR.

    Without --config: DIR/passenger.toml if there is one, else the application in DIR with default settings on
    127.0.0.1:3000, else /etc/passenger/passenger.toml. Nothing is started when the configuration has a mistake.
    """
    if directory is not None and config_file is not None:
        raise click.UsageError("give either DIR or --config, not both")
    request = StartRequest(
        cwd=str(Path.cwd()),
        config_file=config_file,
        directory=directory,
        sets=sets,
        instances=instances,
        port=port,
        address=address,
        environment=environment,
    )
    return run(request, daemonize=daemonize, pid_file=pid_file, log_file=log_file)
