"""Which folder on the way to a file is closed for a user: by permission bits, as the kernel would decide.

Rules.
1. Every folder of the path as written and of the path behind symbolic links must be passable (x).
2. Owner bits count for the owner alone, group bits for members, the rest for everybody else; root passes.
3. Where an access control list exists the bits do not tell: such a folder counts as open.
"""

from __future__ import annotations

from posixpath import basename, dirname, join
from typing import Final, Literal

from passenger.config.host import Facts, Host, Person
from passenger.config.suggest import closest
from passenger.lazy_dataclass import dataclass
from passenger.log import printable

Right = Literal["read", "execute", "list", "write"]
_BITS: Final = {"read": 0o4, "execute": 0o1, "list": 0o5, "write": 0o3}
_LETTERS: Final = {0o4: "r", 0o1: "x", 0o5: "rx", 0o3: "wx"}


@dataclass(frozen=True, slots=True)
class Closed:
    """The first thing on the way that a user cannot pass or use."""

    path: str
    is_target: bool
    missing: str
    """Letters for `chmod`: `x`, `r`, `rx`."""


class Access:
    """Answers about one machine; what was asked once is remembered."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._facts: dict[str, Facts | PermissionError | None] = {}
        self._verdicts: dict[tuple[Person, str, Right], Closed | None] = {}
        self._closed: dict[tuple[Person, str], bool] = {}
        self._people: dict[str, Person | None] = {}

    def facts(self, path: str) -> Facts | None:
        """Like `Host.facts`. Raises PermissionError."""
        if path not in self._facts:
            try:
                self._facts[path] = self._host.facts(path)
            except PermissionError as error:
                self._facts[path] = error
        found = self._facts[path]
        if isinstance(found, PermissionError):
            raise found
        return found

    def closed(self, person: Person, path: str, right: Right) -> Closed | None:
        """What keeps a user from a file or folder that exists; None when nothing does."""
        question = (person, path, right)
        if question not in self._verdicts:
            self._verdicts[question] = self._verdict(person, path, right)
        return self._verdicts[question]

    def person(self, name: str) -> Person | None:
        """A user by name or number."""
        if name not in self._people:
            self._people[name] = self._host.person(name)
        return self._people[name]

    def person_by_id(self, uid: int) -> Person | None:
        """A user that has an account."""
        key = f"#{uid}"
        if key not in self._people:
            self._people[key] = self._host.person_by_id(uid)
        return self._people[key]

    def _verdict(self, person: Person, path: str, right: Right) -> Closed | None:
        real = self._host.real(path)
        for folder in (*_parents(path), *(_parents(real) if real != path else ())):
            if self._cannot_pass(person, folder):
                return Closed(folder, is_target=False, missing="x")
        bits = _BITS[right]
        if self._may(person, path, bits):
            return None
        return Closed(path, is_target=True, missing=_LETTERS[bits])

    def is_there(self, path: str) -> bool:
        """Whether something exists there, or may exist where we cannot see."""
        try:
            return self.facts(path) is not None
        except PermissionError:
            return True

    def near(self, path: str) -> str:
        """What a missing path was probably meant to be, or how far it exists."""
        parent = dirname(path)
        while parent != "/" and not self.is_there(parent):
            path, parent = parent, dirname(parent)
        similar = closest(basename(path), self._host.names(parent))
        if similar:
            return f"did you mean `{printable(join(parent, similar))}`?"
        return f"there is no `{printable(basename(path))}` in {printable(parent)}"

    def _cannot_pass(self, person: Person, folder: str) -> bool:
        question = (person, folder)
        if question not in self._closed:
            self._closed[question] = not self._may(person, folder, _BITS["execute"])
        return self._closed[question]

    def _may(self, person: Person, path: str, bits: int) -> bool:
        try:
            facts = self.facts(path)
        except PermissionError:
            return False
        if facts is None or person.uid == 0:
            return True
        if facts.uid == person.uid:
            granted = facts.mode >> 6
        elif facts.gid == person.gid or facts.gid in person.groups:
            granted = facts.mode >> 3
        else:
            granted = facts.mode
        return granted & bits == bits or self._host.has_acl(path)


def _parents(path: str) -> list[str]:
    """The folders above a path, from the root down."""
    found = []
    folder = dirname(path)
    while True:
        found.append(folder)
        above = dirname(folder)
        if above == folder:
            return found[::-1]
        folder = above
