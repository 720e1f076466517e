"""`passenger config render`: the files for the web server, without starting anything."""

from __future__ import annotations

import os
from pathlib import Path

import click

from passenger.cli.configuration import accepted, find_file, judge
from passenger.cli.options import config_option, examples, set_option
from passenger.cli.planning import PlanningHost, find_nginx, identities, nginx_files
from passenger.cli.resolution import choose
from passenger.cli.system import planning_host
from passenger.config.model import InstanceConfig, of_instance
from passenger.errors import EXIT_OK, HostError

SECRET_PLACE = "CONNECT-SECRET-IS-MADE-AT-START"  # noqa: S105 - stands where the secret will be


@click.command(epilog=examples("passenger config render", "passenger config render --instance main --out /tmp/nginx"))
@config_option
@set_option
@click.option("--instance", "-i", "instance", metavar="NAME", help="Only this instance.")
@click.option("--out", metavar="DIR", help="Write the files below DIR/INSTANCE instead of to the terminal.")
def render(config_file: str | None, sets: tuple[str, ...], instance: str | None, out: str | None) -> int:
    """Show the files for nginx or Apache that an instance would use.

    They are for reading and testing: the connect secret in them is a placeholder. A running instance keeps the real
    ones in its instance directory; a web server of your own (mode `external`) includes them from there.
    """
    cwd = str(Path.cwd())
    valid = accepted(judge(find_file(config_file, cwd=cwd), cwd=cwd, flags=sets, environ=os.environ, host=None))
    host = planning_host()
    for name in choose((instance,) if instance else (), valid.config):
        files = _files(of_instance(valid.config, name), host)
        if out is not None:
            _write(Path(out) / name, files)
        else:
            for file, text in files.items():
                print(f"# ---- {name}/{file}\n{text.rstrip()}\n")
    return EXIT_OK


def _files(config: InstanceConfig, host: PlanningHost) -> dict[str, str]:
    """What this host's nginx would get; what a usual one would, on a host without."""
    try:
        nginx = find_nginx(config, host)
    except HostError:
        nginx = None
    return nginx_files(config, host=host, who=identities(config, host), nginx=nginx, secret=SECRET_PLACE)


def _write(folder: Path, files: dict[str, str]) -> None:
    """Write the files and say so. Raises HostError."""
    try:
        for file, text in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(path)
    except OSError as error:
        raise HostError(f"cannot write {error.filename or folder}: {error.strerror}") from error
