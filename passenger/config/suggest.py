"""What the writer of a wrong name probably meant.

Rules.
1. A suggestion is made only when it is likely: few edits for the length of the name, or a known other name.
2. A key that exists under exactly this name in another table beats a distant look-alike in this one.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from passenger.config.keys import keys_of, tables
from passenger.lazy_dataclass import dataclass

OTHER_NAMES: Final = {
    "environment": "app_env",
    "rails_env": "app_env",
    "rack_env": "app_env",
    "wsgi_env": "app_env",
    "node_env": "app_env",
    "env_vars": "env",
    "envvars": "env",
    "environ": "env",
    "root": "app_root",
    "directory": "app_root",
    "chdir": "app_root",
    "domain": "server_names",
    "domains": "server_names",
    "host": "server_names",
    "hosts": "server_names",
    "hostname": "server_names",
    "workers": "max_instances",
    "processes": "max_instances",
    "threads": "thread_count",
    "concurrency": "thread_count",
    "max_concurrency": "force_max_concurrent_requests_per_process",
    "start_command": "app_start_command",
    "command": "app_start_command",
    "node": "nodejs",
    "node_path": "nodejs",
    "dotenv": "env_files",
    "environment_file": "env_files",
    "timeout": "response_timeout",
    "max_request_time": "response_timeout",
    "module": "entry_point",
    "wsgi_module": "entry_point",
    "callable": "entry_point",
    "wsgi_file": "startup_file",
    "virtualenv": "python",
    "venv": "python",
    "python_path": "python",
    "static_files_dir": "document_root",
    "public": "document_root",
    "port": "listen",
    "bind": "listen",
    "address": "listen",
    "uid": "user",
    "gid": "group",
    "instance_registry_dir": "registry_dir",
    "ssl_certificate": "tls_certificate",
    "ssl_certificate_key": "tls_certificate_key",
    "max_body_size": "client_max_body_size",
    "as": "address_space",
    "limit_as": "address_space",
    "max_requests_per_worker": "max_requests",
    "reload_on_as": "memory_limit",
    "reload_on_rss": "memory_limit",
    "evil_reload_on_rss": "hard_memory_limit",
    "max_memory": "memory_limit",
    "max_worker_lifetime": "max_worker_age",
    "max_lifetime": "max_worker_age",
    "oom_score": "oom_score_adj",
    "ulimit": "rlimits",
    "ulimits": "rlimits",
    "limits": "rlimits",
    "open_files": "nofile",
    "priority": "nice",
    "affinity": "cpu_affinity",
    "cpuset": "cpu_affinity",
}
"""Names that other servers, and Passenger's own Nginx and Apache modules, use for what a key here does."""


SHORTEST_STEM: Final = 4


def distance(left: str, right: str) -> int:
    """Edits (insert, delete, replace, swap of neighbours) that turn one text into the other."""
    before: list[int] = []
    previous = list(range(len(right) + 1))
    for row, mark in enumerate(left, 1):
        current = [row]
        for column, other in enumerate(right, 1):
            cost = min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (mark != other))
            if row > 1 and column > 1 and mark == right[column - 2] and left[row - 2] == other:
                cost = min(cost, before[column - 2] + 1)
            current.append(cost)
        before, previous = previous, current
    return previous[-1]


def closest(word: str, choices: Collection[str]) -> str:
    """The likely choice, or "" when none is near enough."""
    plain = _plain(word)
    best, edits = "", max(1, len(word) // 3) + 1
    for choice in choices:
        found = 0 if _plain(choice) == plain else distance(word.lower(), choice.lower())
        if found < edits:
            best, edits = choice, found
    return best or next((choice for choice in choices if _extends(plain, _plain(choice))), "")


def _extends(one: str, other: str) -> bool:
    """Whether one is the other with more letters behind it, as `warning` is to `warn`."""
    short, long = sorted((one, other), key=len)
    return len(short) >= SHORTEST_STEM and long.startswith(short)


def _plain(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A key that was probably meant: `anchor` is "" for the same table."""

    name: str
    table: str = ""


def _likely_first() -> list[tuple[str, type]]:
    """Every table, applications' own first: `user` or `group` without a table is most often theirs."""
    return sorted(tables().items(), key=lambda item: item[0] != "apps")


def for_key(word: str, table: type) -> Suggestion | None:
    """What an unknown key of a table was probably meant to be."""
    here = keys_of(table)
    near = closest(word, here)
    if near and (_plain(near) == _plain(word) or distance(word, near) <= 1):
        return Suggestion(near)
    bare = word.removeprefix("passenger_")
    for name in (word, bare, OTHER_NAMES.get(bare, "")):
        if name in here and name != word:
            return Suggestion(name)
        for anchor, other in _likely_first():
            if name and name in keys_of(other) and other is not table:
                return Suggestion(name, anchor)
    return Suggestion(near) if near else None
