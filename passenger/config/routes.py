"""Who answers for which address: no two applications of an instance may share a server name and a base URI.

A base URI below another is fine (`/` and `/blog`): the longer one wins.
"""

from __future__ import annotations

from collections.abc import Mapping

from passenger.config.diagnostics import Path
from passenger.config.document import Document
from passenger.config.findings import Findings
from passenger.config.model import App
from passenger.log import printable


def check_routes(document: Document, apps: Mapping[str, App], findings: Findings) -> None:
    """Report addresses that two applications claim, and names that one application claims twice."""
    claimed: dict[tuple[str | None, str, str], tuple[str, Path]] = {}
    for name, app in apps.items():
        base = _names_path(document, name)
        own: set[str] = set()
        for index, server_name in enumerate(app.server_names):
            lowered = server_name.lower()
            if lowered in own:
                findings.add("E310", (*base, index), f"`{printable(server_name)}` stands twice", label="remove it")
                continue
            own.add(lowered)
            _claim(claimed, (app.instance, lowered, app.base_uri), name, (*base, index), findings)
        if not app.server_names:
            _claim(claimed, (app.instance, "", app.base_uri), name, ("apps", name), findings)


def _names_path(document: Document, name: str) -> Path:
    own = document.data["apps"][name]
    return ("apps", name, "server_names") if "server_names" in own else ("defaults", "server_names")


def _claim(
    claimed: dict[tuple[str | None, str, str], tuple[str, Path]],
    address: tuple[str | None, str, str],
    app: str,
    path: Path,
    findings: Findings,
) -> None:
    if address not in claimed:
        claimed[address] = (app, path)
        return
    first, first_path = claimed[address]
    _, server_name, base_uri = address
    named = bool(server_name)
    both = f'apps "{printable(first)}" and "{printable(app)}"'
    findings.add(
        "E301" if named else "E302",
        path,
        f"{both} both answer for `{printable(server_name)}{base_uri if base_uri != '/' else ''}`"
        if named
        else f"{both} are both the default for `{base_uri}`",
        at="value" if named else "table",
        label="second claim" if named else "no `server_names` here",
        also=((first_path, "value" if named else "table", "first claim" if named else "and none here"),),
        help="give one of them another server name, `base_uri` or instance"
        if named
        else "give at least one of them `server_names` or another `base_uri`",
        docs="apps.server_names",
    )
