"""The tables of `passenger-memory-stats`."""

from __future__ import annotations

from passenger.cli.memoryview import memory_lines, totals
from passenger.cli.processes import Kind, Seen

MIB = 1024 * 1024


def seen(pid: int, kind: Kind, *, pss: int | None = 2 * MIB, name: str = "x") -> Seen:
    private = None if pss is None else pss // 2
    return Seen(pid=pid, ppid=1, kind=kind, name=name, vmsize=10 * MIB, rss=3 * MIB, private=private, pss=pss)


def test_three_tables_with_their_totals() -> None:
    """Names are shown as far as there is room, with the application that a process belongs to."""
    processes = [seen(1, "passenger"), seen(2, "nginx", name="nginx: master"), seen(3, "app", name="python\x1b[2J" * 9)]
    lines = list(memory_lines(processes, {3: "blog"}, width=90))
    assert [line for line in lines if line.startswith("---")] == [
        "---------- Nginx processes ----------",
        "---------- Passenger processes ----------",
        "---------- Application processes ----------",
    ]
    assert "2        1          10.0 MB     1.0 MB     2.0 MB  nginx: master" in lines
    row = next(line for line in lines if line.startswith("3 "))
    assert "blog: python\\x1b[2J" in row
    assert len(row) <= 90
    assert lines.count("### Processes: 1") == 3
    assert lines[-1] == "### Total private memory of 3 processes: 3.0 MB, PSS: 6.0 MB"


def test_figures_that_may_not_be_read() -> None:
    """A question mark, and no total that would be wrong by them; the others are added up."""
    assert totals([seen(1, "app", pss=None)]) | {"vmsize": 0} == {
        "processes": 1, "vmsize": 0, "rss": 3 * MIB, "private": None, "pss": None, "unread": 1,
    }  # fmt: skip
    lines = list(memory_lines([seen(1, "app", pss=None), seen(2, "app")], {}, width=100))
    assert "1        1          10.0 MB          ?          ?  x" in lines
    assert lines[-1].endswith("1.0 MB, PSS: 2.0 MB")
