"""Who listens on a port, by tables in the form of /proc's."""

from __future__ import annotations

from pathlib import Path

import pytest

from passenger.posix.listeners import Listener, held, port_owner, reached

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ROW = "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  {uid}        0 {inode} 1\n"
LOCAL, EVERY, OTHER = "0100007F", "00000000", "0200007F"
LOCAL6, EVERY6, MAPPED = f"{'0' * 24}01000000", "0" * 32, f"{'0' * 16}FFFF0000{LOCAL}"


@pytest.fixture(name="proc")
def _proc(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    return tmp_path


def table(proc: Path, *rows: tuple[str, int], name: str = "tcp") -> None:
    """Sockets that listen on port 8080, by address and inode; and a connection that is none of them."""
    lines = [ROW.format(local=f"{address}:1F90", state="0A", uid=7, inode=inode) for address, inode in rows]
    connection = ROW.format(local=f"{LOCAL}:1F90", state="01", uid=7, inode=99)
    (proc / "net" / name).write_text(HEAD + connection + "".join(lines))


def process(proc: Path, pid: int, *inodes: int) -> None:
    (proc / str(pid) / "fd").mkdir(parents=True)
    (proc / str(pid) / "comm").write_text("httpd\n")
    for number, inode in enumerate(inodes):
        (proc / str(pid) / "fd" / str(number)).symlink_to(f"socket:[{inode}]")


@pytest.mark.parametrize(
    ("v4", "v6", "host", "inodes"),
    [
        ([(LOCAL, 1), (EVERY, 2)], [(EVERY6, 3)], "127.0.0.1", ["1"]),
        ([(EVERY, 2), (OTHER, 1)], [(EVERY6, 3)], "127.0.0.1", ["2"]),
        ([(LOCAL, 1), (LOCAL, 2)], [], "127.0.0.1", ["1", "2"]),
        ([(EVERY, 2)], [(MAPPED, 3)], "127.0.0.1", ["3"]),
        ([], [(EVERY6, 3)], "127.0.0.1", ["3"]),
        ([(OTHER, 1)], [(LOCAL6, 3)], "127.0.0.1", []),
        ([(LOCAL, 1)], [(LOCAL6, 3), (EVERY6, 4)], "::1", ["3"]),
        ([(LOCAL, 1)], [(EVERY6, 4)], "::1", ["4"]),
        ([(LOCAL, 1), (EVERY, 2)], [], "::1", []),
    ],
)
def test_the_most_exact_address_is_reached(
    proc: Path, v4: list[tuple[str, int]], v6: list[tuple[str, int]], host: str, inodes: list[str]
) -> None:
    """As the kernel chooses; sockets that share an address are all reached."""
    table(proc, *v4)
    table(proc, *v6, name="tcp6")
    assert [listener.inode for listener in reached(host, 8080, proc=proc)] == inodes
    assert reached(host, 8081, proc=proc) == []


def test_a_host_without_ipv6_or_without_tables(proc: Path) -> None:
    """One table is enough; none is an error, not an empty answer."""
    table(proc, (LOCAL, 1))
    assert reached("127.0.0.1", 8080, proc=proc) == [Listener(LOCAL, 7, "1")]
    (proc / "net/tcp").unlink()
    with pytest.raises(FileNotFoundError):
        reached("127.0.0.1", 8080, proc=proc)


def test_holders_are_found_by_inode(proc: Path) -> None:
    """Processes that are gone hold nothing; that is no lack of knowledge."""
    process(proc, 100, 11, 12)
    process(proc, 200, 13)
    assert held({"11", "13"}, [100, 200, 300], proc=proc) == ({"11", "13"}, True)
    assert held({"13"}, [100], proc=proc) == (set(), True)


def test_port_owner_from_proc(proc: Path) -> None:
    """Only listening sockets count; the process that holds the inode is named."""
    table(proc, (LOCAL, 12))
    process(proc, 100, 99)
    process(proc, 200, 12)
    assert port_owner(8080, proc=proc) == "200 (httpd)"
    assert port_owner(8081, proc=proc) == ""
