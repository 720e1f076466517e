"""What environment variables an application gets, and from where: pure, over mappings.

Five layers, later ones win: what the core itself has (minus what is its own, as far as `inherit` lets it through), the
login shell's additions (only with `load_shell_envvars`), Passenger's variables, `env_files`, `[apps.NAME.env]`.

Rules.
1. Nothing of the core's own business goes on: no PASSENGER_*, no service manager sockets, no shell hooks.
2. Never the connect secret, never another application's values: only what is built here from this application.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final

from passenger.config.model import App, AppInherit
from passenger.posix.users import Identity

OWN_PREFIXES: Final = ("PASSENGER_", "LISTEN_", "BASH_FUNC_", "NGINX")
OWN_NAMES: Final = frozenset(
    {
        "NOTIFY_SOCKET",  # the service manager talks with the watchdog, not with applications
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
        "CREDENTIALS_DIRECTORY",  # of the whole service: an application gets what its `env` names
        "BASH_ENV",  # would run code in every non-interactive shell
        "ENV",
        "_",
        "OLDPWD",
        "SHLVL",
    }
)

USERS_NAMES: Final = frozenset({"HOME", "USER", "LOGNAME", "SHELL"})
"""What an account says; without a switch of the user the core's own values count."""

_SECRET_NAME: Final = re.compile(
    r"SECRET|TOKEN|PASSW|PASSPHRASE|CREDENTIAL|PRIVATE|API_?KEY|(?:^|_)(?:KEY|PASS|PWD|AUTH|DSN|COOKIE)$", re.IGNORECASE
)
_SECRET_VALUE: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://[^/@\s]*:[^/@\s]+@|-----BEGIN [A-Z ]*PRIVATE KEY", re.IGNORECASE
)


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable of somebody else's making had better not be shown: by its name, or an URL with a password."""
    return name != "PWD" and bool(_SECRET_NAME.search(name) or _SECRET_VALUE.search(value))


def inherited(core: Mapping[str, str], identity: Identity, wanted: AppInherit) -> dict[str, str]:
    """The core's environment as far as it is none of its own business and is wanted, for the given user.

    Without a switch the user's own names stay as they are: a container may set HOME for a user without an account.
    """
    account = identity.account
    kept = {name: value for name, value in core.items() if not _is_own(name) and is_passed_on(name, wanted)}
    kept.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    users = {"HOME": account.home or "/", "USER": account.name, "LOGNAME": account.name}
    users["SHELL"] = account.shell or "/bin/sh"
    return kept | users if identity.switched else users | kept


def is_passed_on(name: str, wanted: AppInherit) -> bool:
    """Whether `inherit` lets a variable through."""
    allowed = any(fnmatchcase(name, pattern) for pattern in wanted.allow)
    return allowed and not any(fnmatchcase(name, pattern) for pattern in wanted.deny)


def _is_own(name: str) -> bool:
    return name in OWN_NAMES or name.startswith(OWN_PREFIXES)


def passenger_variables(app: App) -> dict[str, str]:
    """What Passenger says to the application."""
    variables = {"IN_PASSENGER": "1", "PYTHONUNBUFFERED": "1"}
    for name in ("PASSENGER_APP_ENV", "WSGI_ENV", "RACK_ENV", "RAILS_ENV", "NODE_ENV"):
        variables[name] = app.app_env
    if app.base_uri != "/":
        for name in ("PASSENGER_BASE_URI", "RACK_BASE_URI", "RAILS_RELATIVE_URL_ROOT"):
            variables[name] = app.base_uri
    return variables


def configured(app: App) -> dict[str, str]:
    """What the configuration and its env files set; it may hold secrets."""
    return {name: value.value for name, value in app.env.items()}
