"""nginx's cache files: what is an entry, what it is for, and what is never touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from passenger.cli.cache_purge import meant
from passenger.instance.cachefiles import measure, purge

KEY = "https GET 443 blog.test blog.test:443 "


def entry(folder: Path, number: int, uri: str, *, key: str = KEY) -> Path:
    """A file as nginx writes it: a binary head, the key, the response."""
    name = f"{number:032x}"
    path = folder / name[-1] / name[-3:-1] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x05\0\n\xffKEY\0" * 40 + f"\nKEY: {key}{uri}\n".encode() + b"HTTP/1.1 200 OK\r\n\r\nKEY: /evil")
    return path


def test_everything_goes_and_the_folders_stay(tmp_path: Path) -> None:
    files = [entry(tmp_path, number, f"/{number}") for number in range(20)]
    assert measure(str(tmp_path)).entries == 20
    assert purge(str(tmp_path)) == 20
    assert not any(path.exists() for path in files)
    assert all(path.parent.exists() for path in files)
    assert measure(str(tmp_path)) == (0, 0)


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ("/a", ["/a?x", "/a/b", "/ab"]),
        ("/a?x", ["/a", "/a/b", "/ab"]),
        ("/a*", []),
        ("/a/*", ["/a", "/a?x", "/ab"]),
        ("/evil", ["/a", "/a?x", "/a/b", "/ab"]),
        ("*", []),
    ],
)
def test_a_uri_means_itself_for_every_host_and_variant(tmp_path: Path, wanted: str, left: list[str]) -> None:
    uris = ["/a", "/a?x", "/a/b", "/ab"]
    files = {
        entry(tmp_path, number, uri, key=KEY if number % 2 else "http HEAD 80 a b ") for number, uri in enumerate(uris)
    }
    purge(str(tmp_path), meant(wanted))
    assert sorted(path.name for path in files if path.exists()) == [f"{uris.index(uri):032x}" for uri in left]


def test_nothing_but_entries_is_touched(tmp_path: Path) -> None:
    """Whoever may write there gets nothing removed elsewhere: links, pipes, folders, other names."""
    cache, outside = tmp_path / "cache", tmp_path / "outside"
    victim = entry(outside, 1, "/victim")
    name = f"{2:032x}"
    level = cache / "2" / "00"
    level.mkdir(parents=True)
    (level / name).symlink_to(victim)
    os.mkfifo(level / f"{3:032x}")
    (level / f"{4:032x}").mkdir()
    (level / "0000000001").write_text("being written")
    (level / f"{5:032x}.0000000001").write_text("being written")
    (cache / "3").symlink_to(outside / "1")
    (cache / "4").write_text("no folder")
    assert purge(str(cache)) == purge(str(cache), meant("*")) == 0
    assert victim.exists()
    assert len(list(level.iterdir())) == 5


def test_a_cache_behind_a_link_or_not_there_is_none(tmp_path: Path) -> None:
    file = entry(tmp_path / "real", 1, "/x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert purge(str(tmp_path / "missing")) == 0
    assert measure(str(tmp_path / "missing")) == (0, 0)
    assert purge(str(tmp_path / "link")) == 0
    assert file.exists()


def test_an_entry_without_a_key_is_for_no_uri(tmp_path: Path) -> None:
    path = entry(tmp_path, 1, "/x")
    path.write_bytes(b"")
    assert purge(str(tmp_path), meant("/x")) == 0
    assert purge(str(tmp_path), meant("*")) == 1
