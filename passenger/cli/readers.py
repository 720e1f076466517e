"""Who may look at an instance: the names of `admin.readers` as numbers.

A name may be a user, a group, or both (many systems give a user a group of the same name): then both are meant.
"""

from __future__ import annotations

from collections.abc import Sequence

from passenger.errors import HostError
from passenger.posix.users import Accounts


def reader_ids(names: Sequence[str], accounts: Accounts) -> tuple[list[int], list[int]]:
    """Users and groups, sorted. Raises HostError for a name that is neither."""
    uids, gids = set(), set()
    for name in names:
        account, gid = accounts.user(name), accounts.group(name)
        if account is None and gid is None:
            raise HostError(
                f"there is no user or group {name!r} on this host", hint="create it, or take it out of admin.readers"
            )
        if account is not None:
            uids.add(account.uid)
        if gid is not None:
            gids.add(gid)
    return sorted(uids), sorted(gids)
