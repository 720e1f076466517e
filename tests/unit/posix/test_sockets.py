"""What needs no socket: addresses as people write them, and the owner of a port from /proc's tables."""

from __future__ import annotations

from pathlib import Path

from passenger.posix.sockets import port_owner, shown_address

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def test_addresses_are_shown_with_brackets_for_ipv6() -> None:
    """A colon in the host needs brackets."""
    assert shown_address("0.0.0.0", 80) == "0.0.0.0:80"
    assert shown_address("::1", 80) == "[::1]:80"


def test_port_owner_from_proc(tmp_path: Path) -> None:
    """Only listening sockets count; the process that holds the inode is named."""
    (tmp_path / "net").mkdir()
    row = "   0: 0100007F:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1\n"
    (tmp_path / "net/tcp").write_text(
        HEAD + row.format(port=8080, state="01", inode=11) + row.format(port=8080, state="0A", inode=12)
    )
    for pid, inode in ((100, 11), (200, 12)):
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / str(pid) / "fd" / "3").symlink_to(f"socket:[{inode}]")
        (tmp_path / str(pid) / "comm").write_text("httpd\n")
    assert port_owner(8080, str(tmp_path)) == "200 (httpd)"
    assert port_owner(8081, str(tmp_path)) == ""
