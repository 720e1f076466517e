"""The XML that monitors of Passenger read."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from passenger.cli.poolxml import pool_xml
from tests.support.statuses import core, group, process

NOW = 1_000_000.0


def test_the_fields_have_passengers_names_and_units() -> None:
    """Times in microseconds, memory in KiB; what is unknown is left out."""
    document = pool_xml(
        core(group(processes=[process(sessions=1, concurrency=2), process(4712, pss=None, private=None)])), now=NOW
    )
    info = ET.fromstring(document.encode())
    assert (info.tag, info.attrib) == ("info", {"version": "3"})
    found = info.find("supergroups/supergroup/group")
    assert found is not None
    assert found.findtext("app_root") == "/srv/blog"
    assert found.findtext("enabled_process_count") == "2"
    first, second = found.findall("processes/process")
    fields = {child.tag: child.text for child in first}
    expected = {"pid": "4711", "sessions": "1", "busyness": str((2**31 - 1) // 2), "rss": "40960", "pss": "25600"}
    expected |= {"private_dirty": "20480", "real_memory": "20480", "cpu": "10", "uptime": "5m 2s", "enabled": "ENABLED"}
    expected |= {"spawn_end_time": "999697100000", "spawn_start_time": "999696700000", "last_used": "999996800000"}
    assert expected.items() <= fields.items()
    assert second.find("pss") is None
    assert second.findtext("real_memory") == "40960"


def test_states_in_passengers_words() -> None:
    """Draining is detached, stopping has been told."""
    states = [process(1, state="draining"), process(2, state="stopping"), process(3, state="aside")]
    info = ET.fromstring(pool_xml(core(group(processes=states)), now=NOW))
    found = [(item.findtext("enabled"), item.findtext("life_status")) for item in info.iter("process")]
    assert found == [("DETACHED", "ALIVE"), ("DETACHED", "SHUTDOWN_TRIGGERED"), ("DISABLED", "ALIVE")]


def test_characters_that_xml_cannot_carry() -> None:
    """An application cannot make the document unreadable."""
    document = pool_xml(core(group("a<b>&\x00\x1b\ud800")), now=NOW)
    name = ET.fromstring(document.encode("utf-8", "backslashreplace")).findtext("supergroups/supergroup/name")
    assert name is not None
    assert name.startswith("a<b>&\\x00\\x1b")
