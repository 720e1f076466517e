"""Who may act on the dashboard: nobody without a token that is worth its name."""

from __future__ import annotations

import re
from typing import Final

from passenger.config.build import Built
from passenger.config.diagnostics import Path
from passenger.config.findings import Findings

_TOKEN: Final = re.compile(r"[!-~]{16,4096}")
_HELP: Final = '`openssl rand -hex 24` makes one; keep it in a file: `token = { file = "..." }`'


def check(built: Built, findings: Findings) -> None:
    """Report actions without a token, and tokens that can be guessed or cannot be sent. Never quotes one."""
    for name, instance in built.config.instances.items():
        admin = instance.admin
        here: Path = ("instances", name, "admin")
        token = (*here, "token")
        if not built.is_whole("instances", name) or findings.is_unread(token):
            continue
        if admin.token is not None and not _TOKEN.fullmatch(admin.token):
            message = "the token is no token: it needs at least 16 printable ASCII characters without spaces"
            findings.add("E317", token, message, label="too weak, or not to be sent in a header", help=_HELP)
        elif admin.actions and admin.token is None:
            message = "`actions` needs a `token`: without one everybody who reaches the page could act"
            findings.add("E317", (*here, "actions"), message, label="set `token` beside it", help=_HELP)
