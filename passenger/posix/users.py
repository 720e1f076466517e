"""Which user and group an application runs as: a pure decision over the accounts of the machine.

Rules.
1. Only root switches; anybody else runs applications as himself.
2. An explicit `user` wins; else the owner of the startup file (lstat: a symbolic link's own owner); an owner that is
   root or has no account gives way to `default_user`.
3. Group: an explicit `group` wins; else the user's primary group; a primary group 0 or without name gives way to
   `default_group`, else to the primary group of `default_user`.
4. uid 0 and gid 0 are refused as the result, whatever the way to them; group 0 is no supplementary group either.
5. Names may be numbers; a numeric user needs no account when its group is given too.
"""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from typing import Protocol

from passenger.config.ids import numeric_id
from passenger.errors import HostError


@dataclass(frozen=True, slots=True)
class Account:
    """One line of the user database."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


@dataclass(frozen=True, slots=True)
class Identity:
    """The user, group and supplementary groups of a process. `switched` says that it is not the core's own."""

    account: Account
    gid: int
    groups: tuple[int, ...]
    switched: bool

    @property
    def uid(self) -> int:
        return self.account.uid


class Accounts(Protocol):
    """The user and group databases. Unknown = None."""

    def user(self, name: str) -> Account | None: ...
    def user_by_id(self, uid: int) -> Account | None: ...
    def group(self, name: str) -> int | None: ...
    def group_exists(self, gid: int) -> bool: ...
    def groups_of(self, name: str, gid: int) -> list[int]: ...


class IdentityError(HostError):
    """No user or group to run as; `category` tells the cases apart."""

    def __init__(self, message: str, *, category: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.category = category


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the configuration and the file system say about one application."""

    user: str | None
    group: str | None
    owner: int | None
    """uid of the startup file by lstat; None when there is none."""
    default_user: str
    default_group: str | None


def identity_for(wish: Wish, *, own_uid: int, own_gid: int, own_groups: list[int], accounts: Accounts) -> Identity:
    """The identity of an application's processes. Raises IdentityError."""
    if own_uid != 0:
        return _own_identity(wish, own_uid, own_gid, own_groups, accounts)
    account = _account(wish, accounts)
    gid = _gid(wish, account, accounts)
    if account.uid == 0 or gid == 0:
        what = "user root (uid 0)" if account.uid == 0 else "group root (gid 0)"
        raise IdentityError(
            f"the application would run as {what}",
            category="user-is-root",
            hint="name another `user` or `group` for it, or another `default_user` or `default_group`",
        )
    groups = set(accounts.groups_of(account.name, gid)) | {gid}
    return Identity(account=account, gid=gid, groups=tuple(sorted(groups - {0})), switched=True)


def _own_identity(wish: Wish, uid: int, gid: int, groups: list[int], accounts: Accounts) -> Identity:
    account = accounts.user_by_id(uid) or _nameless(uid, gid)
    wanted = _number(wish.user)
    if wish.user is not None and wish.user != account.name and wanted != uid:
        raise IdentityError(
            f"the application wants user {wish.user}, but Passenger runs as {account.name}, not as root",
            category="user-not-allowed",
            hint="remove `user`, or start Passenger as root",
        )
    return Identity(account=account, gid=gid, groups=tuple(sorted(set(groups))), switched=False)


def _account(wish: Wish, accounts: Accounts) -> Account:
    if wish.user is not None:
        return _named_account(wish.user, "user", accounts, group_given=wish.group is not None)
    owner = accounts.user_by_id(wish.owner) if wish.owner else None
    if owner is not None and owner.uid != 0:
        return owner
    return _named_account(wish.default_user, "default_user", accounts, group_given=wish.default_group is not None)


def _named_account(name: str, key: str, accounts: Accounts, *, group_given: bool) -> Account:
    found = accounts.user(name)
    uid = _number(name)
    if found is None and uid is not None:
        found = accounts.user_by_id(uid)
        if found is None and group_given:
            found = _nameless(uid, -1)
    if found is None:
        raise IdentityError(
            f"there is no user `{name}` on this machine",
            category="user-missing",
            hint=f"create it, or change `{key}`" + ("; a bare number needs a group too" if uid is not None else ""),
        )
    return found


def _gid(wish: Wish, account: Account, accounts: Accounts) -> int:
    if wish.group is not None:
        return _named_group(wish.group, "group", accounts)
    if account.gid > 0 and accounts.group_exists(account.gid):
        return account.gid
    if wish.default_group is not None:
        return _named_group(wish.default_group, "default_group", accounts)
    default = accounts.user(wish.default_user)
    return default.gid if default is not None else account.gid


def _named_group(name: str, key: str, accounts: Accounts) -> int:
    gid = accounts.group(name)
    if gid is None:
        gid = _number(name)
    if gid is None:
        raise IdentityError(
            f"there is no group `{name}` on this machine",
            category="group-missing",
            hint=f"create it, or change `{key}`",
        )
    return gid


def _number(name: str | None) -> int | None:
    return None if name is None else numeric_id(name)


def _nameless(uid: int, gid: int) -> Account:
    return Account(name=str(uid), uid=uid, gid=gid, home="/", shell="")


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
