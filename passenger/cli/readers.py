"""Who may look at an instance: the names of `admin.readers` as numbers.

A name may be a user, a group, or both: then both are meant. A user whose own group has the same name, as many systems
make them, is in that group already: a group alone can be kept by the file system (`Roles.socket_rights`).
"""

from __future__ import annotations

from collections.abc import Sequence

from passenger.config.accounts import Accounts
from passenger.errors import HostError


def reader_ids(names: Sequence[str], accounts: Accounts) -> tuple[list[int], list[int]]:
    """Users and groups, sorted. Raises HostError for a name that is neither."""
    uids, gids = set(), set()
    for name in names:
        account, gid = accounts.user(name), accounts.group(name)
        if account is None and gid is None:
            raise HostError(
                f"there is no user or group {name!r} on this host", hint="create it, or take it out of admin.readers"
            )
        if gid is not None:
            gids.add(gid)
        if account is not None and account.gid != gid:
            uids.add(account.uid)
    return sorted(uids), sorted(gids)
