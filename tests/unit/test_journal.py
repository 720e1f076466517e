"""Entries in the journal's own form: fields are data, and nothing in a line can become a field."""

from __future__ import annotations

import os
import struct

import pytest

from passenger.journal import entry, is_journal


def fields(data: bytes) -> dict[str, str]:
    """What the journal reads in an entry (its documented protocol)."""
    found = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack_from("<Q", rest)
            value, rest = rest[8 : 8 + length], rest[8 + length + 1 :]
        found[name.decode()] = value.decode()
        data = rest
    return found


def test_an_event_carries_app_pid_and_level() -> None:
    found = fields(entry("warn", "process crashed", {"app": "blog", "pid": 7, "exit status": 9}))
    assert found == {
        "MESSAGE": "process crashed",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "passenger",
        "PASSENGER_APP": "blog",
        "PASSENGER_PID": "7",
        "PASSENGER_EXIT_STATUS": "9",
    }


@pytest.mark.parametrize("text", ["a\nPRIORITY=0", "\n", "a\n\n_PID=1\n", "=", "\ud800", "é" * 9])
def test_a_value_never_becomes_another_field(text: str) -> None:
    found = fields(entry("info", "m", {"reason": text}))
    assert set(found) == {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "PASSENGER_REASON"}
    assert found["PASSENGER_REASON"] == text.encode("utf-8", "backslashreplace").decode()
    assert found["PRIORITY"] == "6"


def test_only_the_stream_of_the_service_manager_is_the_journal() -> None:
    """A service that was started from another one inherits the variable, not the stream."""
    reader, writer = os.pipe()
    try:
        facts = os.fstat(writer)
        assert is_journal(writer, {"JOURNAL_STREAM": f"{facts.st_dev}:{facts.st_ino}"})
        assert not is_journal(writer, {"JOURNAL_STREAM": f"{facts.st_dev}:{facts.st_ino + 1}"})
        assert not is_journal(writer, {"JOURNAL_STREAM": "garbage"})
        assert not is_journal(writer, {})
    finally:
        os.close(reader)
        os.close(writer)
    assert not is_journal(writer, {"JOURNAL_STREAM": f"{facts.st_dev}:{facts.st_ino}"})
