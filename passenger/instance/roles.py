"""Who may ask a running instance what: decided by who is at the other end of a control socket. Pure.

Rules.
1. Two roles. Full: root and the user that started the instance. Reader: the users and groups of `admin.readers`, who
   may ask the questions that tell, and no other; they have sockets of their own, so that they never keep root waiting.
2. On a reader's socket nobody changes anything, not even root.
3. Users and groups are numbers from the kernel, never names that a peer gives.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

from passenger.lazy_dataclass import dataclass

READERS_MODE: Final = 0o660
EVERYBODY_KNOCKS: Final = 0o666
"""A socket has one group only: with more readers the kernel lets everybody knock, and we look who it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The numbers behind the names."""

    owner: int
    reader_uids: Collection[int] = ()
    reader_gids: Collection[int] = ()

    def may_change(self, uid: int) -> bool:
        return uid in (0, self.owner)

    def may_look(self, uid: int, gids: Iterable[int]) -> bool:
        return self.may_change(uid) or uid in self.reader_uids or any(gid in self.reader_gids for gid in gids)

    @property
    def has_readers(self) -> bool:
        return bool(self.reader_uids or self.reader_gids)

    def socket_rights(self) -> tuple[int, int | None]:
        """Mode and group of a reader's socket: as closed as the file system can have it."""
        if len(self.reader_gids) == 1 and not self.reader_uids:
            return READERS_MODE, next(iter(self.reader_gids))
        return EVERYBODY_KNOCKS, None


BUSY: Final[dict[str, Any]] = {"ok": False, "error": "too many questions at a time", "hint": "try again in a moment"}
"""The answer to one connection too many."""


def not_admitted(uid: int) -> dict[str, Any]:
    """The answer to somebody without a role."""
    return {
        "ok": False,
        "error": f"user {uid} may not ask this instance",
        "hint": "use sudo, become the user that started the instance, or be one of `admin.readers`",
    }


def only_looks(verb: str) -> dict[str, Any]:
    """The answer to a reader who asks for more than looking."""
    return {
        "ok": False,
        "error": f"readers may only look, and {verb!r} is more than that",
        "hint": "use sudo, or become the user that started the instance",
    }
