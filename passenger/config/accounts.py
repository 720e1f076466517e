"""The users and groups of a machine."""

from __future__ import annotations

import grp
import os
import pwd
from typing import Protocol

from passenger.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """One line of the user database."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


class Accounts(Protocol):
    """The user and group databases. Unknown = None."""

    def user(self, name: str) -> Account | None: ...
    def user_by_id(self, uid: int) -> Account | None: ...
    def group(self, name: str) -> int | None: ...
    def group_exists(self, gid: int) -> bool: ...
    def groups_of(self, name: str, gid: int) -> list[int]: ...


class SystemAccounts:
    """The databases of this machine (NSS)."""

    def user(self, name: str) -> Account | None:
        try:
            return _from_passwd(pwd.getpwnam(name))
        except KeyError:
            return None

    def user_by_id(self, uid: int) -> Account | None:
        try:
            return _from_passwd(pwd.getpwuid(uid))
        except KeyError:
            return None

    def group(self, name: str) -> int | None:
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            return None

    def group_exists(self, gid: int) -> bool:
        try:
            grp.getgrgid(gid)
        except KeyError:
            return False
        return True

    def groups_of(self, name: str, gid: int) -> list[int]:
        return os.getgrouplist(name, gid)


def _from_passwd(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell)
