"""Is this installation whole? The findings of `validate-install`, and the first ones of `doctor`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from importlib import metadata

from passenger import __version__, resources
from passenger.cli.checks import Finding, good
from passenger.errors import HostError

MODULES = ("click", "jsonschema", "psutil", "rich", "tomli_w", "tree_sitter", "tree_sitter_toml", "uvicorn", "uvloop")
FOLDERS = ("helper_scripts", "config", "schema")
DISTRIBUTION = "passenger-in-python"


def installation() -> Iterator[Finding]:
    """Version, own files, libraries, nginx."""
    yield _version()
    yield from map(_folder, FOLDERS)
    yield _libraries()
    yield nginx(None)


def nginx(configured: str | None, modules: frozenset[str] = frozenset()) -> Finding:
    """The web server that an instance would use."""
    from passenger.webserver.binary import find

    try:
        found = find(configured, search_path=os.environ.get("PATH", os.defpath), modules=modules)
    except HostError as error:
        return Finding("fail", "nginx", error.message, error.hint)
    how = f"{found.path}, version {found.build.version_text}"
    if found.warnings:
        return Finding("warn", "nginx", f"{how}: {'; '.join(found.warnings)}", "update nginx")
    return good("nginx", how)


def _version() -> Finding:
    how = f"passenger {__version__}, Python {sys.version.split()[0]} ({sys.executable})"
    try:
        installed = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return Finding("warn", "version", f"{how}; not installed as a package", "install it with pip")
    if installed != __version__:
        todo = "reinstall it, so that commands and code are of one version"
        return Finding("warn", "version", f"{how}; installed as {installed}", todo)
    return good("version", how)


def _folder(name: str) -> Finding:
    try:
        folder = resources.folder(name)
        empty = not any(folder.iterdir())
    except OSError as error:
        return Finding("fail", name, str(error), "reinstall the package")
    if empty:
        return Finding("fail", name, f"{folder} is empty", "reinstall the package")
    return good(name, str(folder))


def _libraries() -> Finding:
    broken = []
    for name in MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            broken.append(f"{name} ({error})")
    if broken:
        return Finding("fail", "libraries", "; ".join(broken), "reinstall the package with its dependencies")
    return good("libraries", ", ".join(MODULES))
