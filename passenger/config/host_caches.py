"""Folders for nginx's caches on this machine.

Rule: nginx's master, which may be root, makes a folder in there and gives it to its workers. So nobody else may be able
to put something of that name there first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from passenger.config.access import Access
from passenger.config.cross import app_key
from passenger.config.document import Document
from passenger.config.findings import Findings
from passenger.config.host import Host, Person
from passenger.config.model import App
from passenger.log import printable

_OTHERS_WRITE: Final = 0o022
_ANYBODY_WRITES: Final = 0o002
_STICKY: Final = 0o1000


def check_caches(
    document: Document, apps: Mapping[str, App], findings: Findings, *, host: Host, access: Access
) -> None:
    """Report folders that a cache cannot be in."""
    me = host.myself
    for_others = host.only_looks and me.uid == 0
    for name, app in apps.items():
        folder, path = app.cache.folder, app_key(document, name, "cache", "folder")
        if path is not None and folder is not None and (problem := _problem(folder, me, access, for_others=for_others)):
            findings.add(
                "E450",
                path,
                f"the cache folder {printable(folder)} cannot be used: {problem}",
                label="caches would lie here",
                help=f"use a folder that belongs to {me.name} and that nobody else may write to",
            )


def _problem(folder: str, me: Person, access: Access, *, for_others: bool) -> str:
    try:
        facts = access.facts(folder)
        if facts is None:
            return "it does not exist"
        if not facts.is_folder:
            return "it is not a folder"
        if facts.uid != me.uid and not for_others:
            return f"it belongs to user {facts.uid}, not to {me.name}"
        if facts.mode & _OTHERS_WRITE:
            return f"others may write to it (mode {facts.mode & 0o7777:04o})"
        for above in map(str, PurePosixPath(folder).parents):
            found = access.facts(above)
            if found is not None and found.mode & _ANYBODY_WRITES and not found.mode & _STICKY:
                return f"others may write to {printable(above)} and could put another folder in its place"
    except PermissionError:
        return f"{me.name} cannot get there"
    return ""
