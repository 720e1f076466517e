"""Find, read and check the configuration that a command is about.

Rules.
1. Every command that needs a valid configuration gets it here: the same stages, the same report, exit status 78.
2. Warnings go to stderr and never change what happens.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from passenger.cli.colour import wants_colour
from passenger.errors import InvalidConfigurationError
from passenger.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from passenger.config.bounds import Bounds
    from passenger.config.document import Document
    from passenger.config.host import Host
    from passenger.config.load import Loaded
    from passenger.config.model import Config
    from passenger.config.ports import OwnPorts
    from passenger.config.target import Target

LOCAL_FILE = "passenger.toml"
SYSTEM_FILE = "/etc/passenger/passenger.toml"
REPORT_WIDTH = 100
"""Columns of a report that is not written to a terminal."""


@dataclass(frozen=True, slots=True)
class Valid:
    """A configuration without errors and the document it was built from."""

    config: Config
    document: Document


def misuse(message: str) -> Exception:
    """The UsageError of a mistake on the command line. Whoever makes none needs no click here."""
    from click import UsageError

    return UsageError(message)


def find_file(named: str | None, *, cwd: str, system_file: str = SYSTEM_FILE) -> str:
    """The configuration file to use: the one named, else the folder's, else the system's.

    Raises InvalidConfigurationError when none was named and none is there, UsageError for `-`.
    """
    if named == "-":
        raise misuse("standard input is read by `passenger validate -` only")
    if named is not None:
        return named
    if (Path(cwd) / LOCAL_FILE).exists():
        return LOCAL_FILE
    if Path(system_file).exists():
        return system_file
    raise InvalidConfigurationError(
        f"error: no configuration: neither {Path(cwd) / LOCAL_FILE} nor {system_file} exists",
        hint="name one with --config FILE, or run `passenger start` in a folder with an application",
    )


def judge(
    file: str,
    *,
    cwd: str,
    flags: Sequence[str],
    environ: Mapping[str, str],
    host: Host | None,
    text: str | None = None,
    own_ports: OwnPorts | None = None,
    target: Target | None = None,
    read_secrets: bool | None = None,
    read_env_files: bool | None = None,
) -> Loaded:
    """Every stage of validation; see `passenger.config.load.load`.

    Without the garbage collector, which would walk a thousand applications again and again to find nothing: it costs a
    quarter of the whole.
    """
    gc.disable()
    try:
        from passenger.config.load import load

        return load(
            file,
            text=text,
            environ=environ,
            flags=flags,
            cwd=cwd,
            host=host,
            own_ports=own_ports,
            target=target,
            read_secrets=read_secrets,
            read_env_files=read_env_files,
        )
    finally:
        gc.freeze()
        gc.enable()


def accepted(loaded: Loaded) -> Valid:
    """A configuration that passed every stage. Raises InvalidConfigurationError with the report of all mistakes."""
    report = report_on(loaded, stream_is_colour=wants_colour(sys.stderr, os.environ)) if loaded.diagnostics else ""
    if loaded.config is None or loaded.document is None:
        raise InvalidConfigurationError(report)
    if report:
        print(report.rstrip("\n"), file=sys.stderr)
    return Valid(loaded.config, loaded.document)


def validation_host(*, only_looks: bool = False) -> Host:
    """This machine, for the E4xx checks; `only_looks` for a command after which nothing is started."""
    from passenger.config.host import SystemHost

    return SystemHost(bounds_here, only_looks=only_looks)


def bounds_here() -> Bounds:
    """Our own limits; loaded only when an application has some."""
    from passenger.posix.bounds import own_bounds

    return own_bounds()


def report_on(loaded: Loaded, *, stream_is_colour: bool) -> str:
    """The caret report of a result, for people."""
    from passenger.config.report_text import render

    return render(loaded.diagnostics, loaded.document, color=stream_is_colour, width=report_width())


def report_width() -> int:
    """Columns: of the terminal, if there is one."""
    return shutil.get_terminal_size((REPORT_WIDTH, 24)).columns
