"""Sinks that speak JSON: an HTTP address that takes arrays of records, and a file of lines.

Rules.
1. A line is written whole, with one call, to a descriptor in append mode; a line that the disk took a part of is ended
   before the next one, so a full disk costs lines and never joins two.
2. The file is rotated before it would grow beyond `most`: FILE -> FILE.1 -> FILE.2 ..., `keep` old ones. Somebody else
   may rotate it, too: the name is looked at before each delivery.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from passenger.telemetry.post import Outcome, Poster
from passenger.telemetry.records import Record
from passenger.telemetry.spool import Delivery
from passenger.telemetry.words import as_object

_JSON: Final = "application/json"


class HttpJson:
    """POST of `{"records": [...]}`."""

    def __init__(self, poster: Poster, instance: str) -> None:
        self._poster = poster
        self._instance = instance

    def encode(self, records: Sequence[Record]) -> list[Delivery]:
        """Target."""
        body = json.dumps({"records": [as_object(record, self._instance) for record in records]}).encode()
        return [Delivery("", _JSON, body, len(records))]

    def deliver(self, delivery: Delivery, seconds: float | None) -> Outcome:
        """Target."""
        return self._poster.post(delivery.path, delivery.content_type, delivery.body, seconds)


class JsonLines:
    """A file, one record a line."""

    def __init__(self, path: str, *, most: int, keep: int, instance: str) -> None:
        self._path = path
        self._most = most
        self._keep = keep
        self._instance = instance
        self._is_torn = False

    def encode(self, records: Sequence[Record]) -> list[Delivery]:
        """Target."""
        lines = b"".join(json.dumps(as_object(record, self._instance)).encode() + b"\n" for record in records)
        return [Delivery("", _JSON, lines, len(records))]

    def deliver(self, delivery: Delivery, seconds: float | None) -> Outcome:  # noqa: ARG002 - Target; a file is quick
        """Target."""
        try:
            descriptor = self._open(len(delivery.body))
        except OSError as error:
            return Outcome(error.strerror or type(error).__name__, retry=True)
        try:
            data = b"\n" + delivery.body if self._is_torn else delivery.body
            before = os.fstat(descriptor).st_size
            try:
                written = os.write(descriptor, data)
            except OSError as error:
                return Outcome(error.strerror or type(error).__name__, retry=True)
            if written < len(data):
                os.ftruncate(descriptor, before)  # none of it, rather than a half that comes a second time
                return Outcome("no room", retry=True)
            self._is_torn = False
            return Outcome()
        except OSError as error:
            self._is_torn = True
            return Outcome(error.strerror or type(error).__name__, retry=True)
        finally:
            os.close(descriptor)

    def _open(self, coming: int) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, 0o640)
        size = os.fstat(descriptor).st_size
        if not size or size + coming <= self._most:
            return descriptor
        os.close(descriptor)
        self._rotate()
        return os.open(self._path, flags, 0o640)

    def _rotate(self) -> None:
        for number in range(self._keep, 0, -1):
            older = Path(self._path if number == 1 else f"{self._path}.{number - 1}")
            if older.is_file():
                older.replace(f"{self._path}.{number}")
        if not self._keep:
            Path(self._path).unlink()
