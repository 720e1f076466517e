"""The identity of an application's processes, and a clear word when there is none.

Only root switches, by the rules of `config.identity`; anybody else runs applications as himself.
"""

from __future__ import annotations

from passenger.config.accounts import Account, Accounts
from passenger.config.identity import NobodyToBe, Wish, choose, nameless
from passenger.config.ids import numeric_id
from passenger.errors import HostError
from passenger.lazy_dataclass import dataclass


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


class IdentityError(HostError):
    """No user or group to run as; `category` tells the cases apart."""

    def __init__(self, message: str, *, category: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.category = category


def identity_for(wish: Wish, *, own_uid: int, own_gid: int, own_groups: list[int], accounts: Accounts) -> Identity:
    """The identity of an application's processes. Raises IdentityError."""
    if own_uid != 0:
        return _own_identity(wish, own_uid, own_gid, own_groups, accounts)
    try:
        choice = choose(wish, accounts)
    except NobodyToBe as refusal:
        raise _told(refusal) from refusal
    return Identity(choice.account, choice.gid, tuple(sorted(choice.groups)), switched=True)


def _own_identity(wish: Wish, uid: int, gid: int, groups: list[int], accounts: Accounts) -> Identity:
    account = accounts.user_by_id(uid) or nameless(uid, gid)
    if wish.user is not None and wish.user != account.name and numeric_id(wish.user) != uid:
        raise IdentityError(
            f"the application wants user {wish.user}, but Passenger runs as {account.name}, not as root",
            category="user-not-allowed",
            hint="remove `user`, or start Passenger as root",
        )
    return Identity(account=account, gid=gid, groups=tuple(sorted(set(groups))), switched=False)


def _told(refusal: NobodyToBe) -> IdentityError:
    if refusal.problem in {"user-is-root", "group-is-root"}:
        what = "user root (uid 0)" if refusal.problem == "user-is-root" else "group root (gid 0)"
        return IdentityError(
            f"the application would run as {what}",
            category="user-is-root",
            hint="name another `user` or `group` for it, or another `default_user` or `default_group`",
        )
    kind = "user" if refusal.problem == "user-missing" else "group"
    number = "; a bare number needs a group too" if kind == "user" and numeric_id(refusal.name) is not None else ""
    return IdentityError(
        f"there is no {kind} `{refusal.name}` on this machine",
        category=refusal.problem,
        hint=f"create it, or change `{refusal.key}`{number}",
    )
