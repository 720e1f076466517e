"""What could not be delivered yet, on the disk: one file per delivery, the oldest goes first when there is no room.

Rules.
1. The folder is UstRouter's own (0700); a delivery is written under another name and renamed, so a file is whole or not
   there. What a crash has left half-written is removed at the next start.
2. At most `most` bytes lie there; a delivery that is larger, or that the disk refuses, is told back as not kept.
3. Names sort by age: time in nanoseconds, then a number.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

from passenger.lazy_dataclass import dataclass

_READY: Final = ".record"
_PART: Final = ".part"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request to a collector: what is posted where, and for how many records it stands."""

    path: str
    content_type: str
    body: bytes
    count: int


class Spool:
    """Oldest first. Raises OSError only from the constructor."""

    def __init__(self, folder: str, most: int) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._most = most
        self._number = 0
        self._files: dict[str, tuple[int, int]] = {}
        """Name -> (bytes, records), in order of age."""
        for name in sorted(entry.name for entry in self._folder.iterdir()):
            if name.endswith(_PART):
                (self._folder / name).unlink()
            elif name.endswith(_READY):
                self._files[name] = (self._folder / name).stat().st_size, int(name.removesuffix(_READY).split("-")[2])

    def __len__(self) -> int:
        return len(self._files)

    @property
    def records(self) -> int:
        return sum(count for _, count in self._files.values())

    @property
    def bytes(self) -> int:
        return sum(size for size, _ in self._files.values())

    def put(self, delivery: Delivery) -> tuple[bool, int]:
        """(whether it is kept, how many records were dropped to make room)."""
        head = json.dumps([delivery.path, delivery.content_type]).encode() + b"\n"
        size = len(head) + len(delivery.body)
        if size > self._most:
            return False, 0
        dropped = 0
        while self.bytes + size > self._most:
            dropped += self._remove(next(iter(self._files)))
        self._number += 1
        name = f"{time.time_ns():020d}-{self._number:08d}-{delivery.count}{_READY}"
        part = self._folder / f"{name}{_PART}"
        try:
            part.write_bytes(head + delivery.body)
            part.rename(self._folder / name)
        except OSError:
            part.unlink(missing_ok=True)
            return False, dropped
        self._files[name] = size, delivery.count
        return True, dropped

    def oldest(self) -> tuple[str, Delivery] | None:
        """The next to deliver; what cannot be read any more is forgotten."""
        while self._files:
            name = next(iter(self._files))
            try:
                head, _, body = (self._folder / name).read_bytes().partition(b"\n")
                path, content_type = json.loads(head)
            except (OSError, ValueError):
                self._remove(name)
                continue
            return name, Delivery(path, content_type, body, self._files[name][1])
        return None

    def done(self, name: str) -> None:
        """It was delivered, or never will be."""
        self._remove(name)

    def _remove(self, name: str) -> int:
        _, count = self._files.pop(name)
        (self._folder / name).unlink(missing_ok=True)
        return count
