"""Which user and group an application runs as, when root starts it: a pure decision over the accounts of a machine.

Validation and spawner ask the same here; each tells a refusal in its own way.

Rules.
1. An explicit `user` wins; else the owner of the startup file (lstat: a symbolic link's own owner); an owner that is
   root or has no account gives way to `default_user`.
2. Group: an explicit `group` wins; else the user's primary group; a primary group 0 or without name gives way to
   `default_group`, else to the primary group of `default_user`.
3. uid 0 and gid 0 are refused as the result, whatever the way to them; group 0 is no supplementary group either.
4. Names may be numbers; a numeric user needs no account when its group is given too.
"""

from __future__ import annotations

from typing import Literal

from passenger.config.accounts import Account, Accounts
from passenger.config.ids import numeric_id
from passenger.lazy_dataclass import dataclass

Key = Literal["user", "group", "default_user", "default_group"]
Problem = Literal["user-missing", "group-missing", "user-is-root", "group-is-root"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the configuration and the file system say about one application."""

    user: str | None
    group: str | None
    owner: int | None
    """uid of the startup file by lstat; None when there is none."""
    default_user: str
    default_group: str | None


@dataclass(frozen=True, slots=True)
class Choice:
    """Neither user nor any group is root."""

    account: Account
    gid: int
    groups: frozenset[int]
    """Supplementary groups, the primary one included."""


class NobodyToBe(Exception):  # noqa: N818 - each of the two who ask makes an error of it
    """There is nobody to run as; `key` is what has to be changed, `name` its value."""

    def __init__(self, problem: Problem, key: Key, name: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.key = key
        self.name = name


def choose(wish: Wish, accounts: Accounts) -> Choice:
    """The user and the groups. Raises NobodyToBe."""
    account, user_key = _account(wish, accounts)
    if account.uid == 0:
        raise NobodyToBe("user-is-root", user_key, account.name)
    gid, group_key = _gid(wish, account, accounts)
    if gid == 0:
        raise NobodyToBe("group-is-root", group_key, account.name)
    groups = frozenset(accounts.groups_of(account.name, gid)) | {gid}
    return Choice(account, gid, groups - {0})


def nameless(uid: int, gid: int) -> Account:
    """A user without an account."""
    return Account(name=str(uid), uid=uid, gid=gid, home="/", shell="")


def _account(wish: Wish, accounts: Accounts) -> tuple[Account, Key]:
    if wish.user is not None:
        return _named_account(wish.user, "user", accounts, group_given=wish.group is not None), "user"
    owner = accounts.user_by_id(wish.owner) if wish.owner else None
    if owner is not None and owner.uid != 0:
        return owner, "user"
    default = _named_account(wish.default_user, "default_user", accounts, group_given=wish.default_group is not None)
    return default, "default_user"


def _named_account(name: str, key: Key, accounts: Accounts, *, group_given: bool) -> Account:
    found = accounts.user(name)
    uid = numeric_id(name)
    if found is None and uid is not None:
        found = accounts.user_by_id(uid)
        if found is None and group_given:
            found = nameless(uid, -1)
    if found is None:
        raise NobodyToBe("user-missing", key, name)
    return found


def _gid(wish: Wish, account: Account, accounts: Accounts) -> tuple[int, Key]:
    if wish.group is not None:
        return _named_group(wish.group, "group", accounts), "group"
    if account.gid > 0 and accounts.group_exists(account.gid):
        return account.gid, "user"
    if wish.default_group is not None:
        return _named_group(wish.default_group, "default_group", accounts), "default_group"
    default = accounts.user(wish.default_user)
    return (default.gid if default is not None else account.gid), "default_user"


def _named_group(name: str, key: Key, accounts: Accounts) -> int:
    gid = accounts.group(name)
    if gid is None:
        gid = numeric_id(name)
    if gid is None:
        raise NobodyToBe("group-missing", key, name)
    return gid
