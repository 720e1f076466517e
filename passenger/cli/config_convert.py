"""`passenger config convert`: from the files of Passenger, and a Procfile, to a passenger.toml."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from passenger.cli.configuration import judge, report_on
from passenger.cli.convert_nginx import convert_nginx
from passenger.cli.converted import Converted, put, text_of
from passenger.cli.options import examples
from passenger.errors import EXIT_OK, HostError, PassengerError
from passenger.log import printable

HEADING = "Converted by `passenger config convert`. Every note below is something that is not the same here."


@click.command(
    epilog=examples(
        "passenger config convert Passengerfile.json > passenger.toml",
        "passenger config convert /etc/nginx/nginx.conf /etc/nginx/sites-enabled/blog --out passenger.toml",
        "passenger config convert Procfile",
    )
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--out", metavar="FILE", help="Write to this new file instead of to the terminal.")
def convert(files: tuple[str, ...], out: str | None) -> int:
    """Make a configuration from Passengerfile.json, `passenger_*` directives of nginx, or a Procfile.

    What has no counterpart is named in a note at the top, with the reason. The result is checked as `passenger validate
    --no-environment` does. docs/migration.md has the table of all options.
    """
    found = Converted()
    for file in files:
        take_file(Path(file), found)
    text = toml_text(found)
    checked = judge("converted.toml", cwd=str(Path.cwd()), flags=(), environ={}, host=None, text=text)
    if checked.config is None:
        raise PassengerError(
            "what was found does not make a valid configuration\n" + report_on(checked, stream_is_colour=False),
            hint="correct the file that was converted, or the result:\n" + text,
        )
    if out is None:
        print(text, end="")
    else:
        try:
            with Path(out).open("x") as stream:
                stream.write(text)
        except OSError as error:
            raise HostError(f"cannot write {out}: {error.strerror}") from error
    return EXIT_OK


def take_file(path: Path, into: Converted) -> None:
    """Take over one file. Raises PassengerError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HostError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is no UTF-8 text'}") from error
    if path.suffix == ".json":
        passengerfile(text, path, into)
    elif path.name.startswith("Procfile"):
        procfile(text, path, into)
    else:
        convert_nginx(text, str(path), into)


def passengerfile(text: str, path: Path, into: Converted) -> None:
    """Passengerfile.json: one application with its server. Raises PassengerError."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise PassengerError(f"{path} is no JSON: {error}") from error
    if not isinstance(given, dict):
        raise PassengerError(f"{path} holds no JSON object")
    where, folder = str(path), path.absolute().parent
    app = into.app(folder.name)
    app["app_root"] = str(folder / str(given.pop("app_root", ".")))
    listen = f"{given.pop('address', '0.0.0.0')}:{given.pop('port', 3000)}"  # noqa: S104 - Standalone's own default
    put(into.instance, ("nginx", "listen"), [*into.instance.get("nginx", {}).get("listen", []), listen])
    for name, value in given.items():
        option = name.replace("-", "_")
        if option in {"envvars", "env_vars"} and isinstance(value, dict):
            for variable, content in value.items():
                into.take("env_var", [variable, str(content)], app, where)
        elif isinstance(value, dict):
            into.note(where, f"`{name}` was left out: it is a table")
        else:
            into.take(option, text_of(value), app, where)
    if "app_start_command" in app:
        app["app_type"] = "generic"


def procfile(text: str, path: Path, into: Converted) -> None:
    """The process `web` of a Procfile."""
    for name, command in re.findall(r"^([A-Za-z0-9_-]+):[ \t]*(\S.*?)\s*$", text, re.MULTILINE):
        if name != "web":
            into.note(str(path), f"`{name}` was left out: it serves no requests; a systemd unit can run `{command}`")
            continue
        app = into.app(path.absolute().parent.name)
        app |= {"app_root": str(path.absolute().parent), "app_type": "generic", "app_start_command": command}
        into.note(
            str(path),
            "`web` runs as it is, on `$PORT`; without its server, as `wsgi`, `asgi`, `rack` or `node`, it costs less "
            "and starts faster (a `startup_file` or `entry_point` instead of `app_start_command`)",
        )
    if not into.apps:
        raise PassengerError(f"{path} has no line `web: COMMAND`")


def toml_text(found: Converted) -> str:
    """The file, with the notes in front."""
    import tomli_w

    notes = [f"# - {printable(note)}" for note in found.notes]
    return "\n".join([f"# {HEADING}", *notes, "", tomli_w.dumps(found.document())])
