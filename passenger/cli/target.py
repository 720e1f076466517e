"""`--target` and `--manifest` of `passenger validate`: from a file to the Target that it describes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from passenger.config.diagnostics import Diagnostic
    from passenger.config.target import Kind, Target

KINDS = ("kubernetes", "container", "systemd")
STDIN = "-"
SHOWN_STDIN = "<stdin>"


def read_target(
    kind: Kind | None, manifest: str | None, service: str | None
) -> tuple[Target | None, tuple[Diagnostic, ...]]:
    """Where the configuration is to run, or what is wrong with the manifest. Raises UsageError."""
    if kind is None:
        if manifest is not None or service is not None:
            raise click.UsageError("--manifest and --service need --target")
        return None, ()
    from passenger.config.target import without_manifest

    if manifest is None:
        if service is not None:
            raise click.UsageError("--service needs --manifest")
        return without_manifest(kind), ()
    from passenger.config.manifest import ManifestError
    from passenger.config.manifests import described

    name = SHOWN_STDIN if manifest == STDIN else manifest
    try:
        text = sys.stdin.read() if manifest == STDIN else Path(manifest).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        return None, (ManifestError("E501", f"the manifest {name} cannot be read: {reason}").diagnostic(()),)
    try:
        return described(kind, text, name, service), ()
    except ManifestError as error:
        return None, (error.diagnostic(tuple(text.splitlines())),)
