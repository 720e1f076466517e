"""Env files of applications: what they set, whose links are followed, and what is never said."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from passenger.config.load import Loaded, load
from passenger.config.model import EnvValue
from passenger.config.resolved import decode, encode

APP = "config_version = 1\n[apps.blog]\napp_root = '/srv/blog'\n"


def loaded(folder: Path, more: str, *, read: bool = True) -> Loaded:
    return load(None, text=APP + more, environ={}, cwd=str(folder), host=None, read_env_files=read)


def env(folder: Path, more: str) -> dict[str, EnvValue]:
    found = loaded(folder, more)
    assert found.config is not None, found.diagnostics
    return dict(found.config.apps["blog"].env)


def message(folder: Path, more: str) -> str:
    (found,) = loaded(folder, more).diagnostics
    return f"{found.code} {found.message}"


def test_later_files_win_and_env_wins_over_all(tmp_path: Path) -> None:
    """Values from files are secrets and know their line; what the configuration says is what it was."""
    (tmp_path / "one.env").write_text("A=1\nB=1\nC=1\n")
    (tmp_path / "two.env").write_text("# two\nexport B=2\nC=2\n")
    found = env(tmp_path, "env_files = ['one.env', './two.env']\nenv.C = '3'\n")
    assert {name: value.value for name, value in found.items()} == {"A": "1", "B": "2", "C": "3"}
    assert [found[name].secret for name in "ABC"] == [True, True, False]
    assert [found[name].origin for name in "ABC"] == [f"{tmp_path}/one.env:1", f"{tmp_path}/two.env:2", ""]
    assert "1" not in repr(found["A"])


def test_defaults_give_the_files_of_all(tmp_path: Path) -> None:
    """An application with files of its own has only those."""
    (tmp_path / "all.env").write_text("A=1\n")
    (tmp_path / "own.env").write_text("B=1\n")
    assert set(env(tmp_path, "[defaults]\nenv_files = ['all.env']\n")) == {"A"}
    assert set(env(tmp_path, "env_files = ['own.env']\n[defaults]\nenv_files = ['all.env']\n")) == {"B"}
    assert set(env(tmp_path, "env_files = []\n[defaults]\nenv_files = ['all.env']\n")) == set()


def test_not_read_without_the_host(tmp_path: Path) -> None:
    """`--no-environment` opens no file, so none can be missing."""
    found = loaded(tmp_path, "env_files = ['nosuch.env']\n", read=False)
    assert found.config is not None
    assert found.config.apps["blog"].env_files == (f"{tmp_path}/nosuch.env",)


def test_it_travels_with_its_origin(tmp_path: Path) -> None:
    """From the process that reads files to the others; without secrets the value stays behind."""
    (tmp_path / "a.env").write_text("KEY=sesame\n")
    value = env(tmp_path, "env_files = ['a.env']\n")["KEY"]
    assert decode(EnvValue, encode(value, secrets=True)) == value
    assert decode(EnvValue, encode(value, secrets=True)).origin == f"{tmp_path}/a.env:1"
    assert "sesame" not in str(encode(value, secrets=False))


def test_what_a_wrong_line_says_is_not_repeated(tmp_path: Path) -> None:
    """It may be half of a secret."""
    (tmp_path / "a.env").write_text("A=1\nsesame\n")
    found = loaded(tmp_path, "env_files = ['a.env']\n")
    assert found.config is None
    assert message(tmp_path, "env_files = ['a.env']\n") == "E127 a.env:2: no NAME=VALUE"
    assert "sesame" not in str(found.diagnostics)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"A=\xff\n", "it is not UTF-8 text (byte 3)"),
        (b"#" * (1024 * 1024 + 1), "it is larger than 1 MiB"),
    ],
)
def test_contents_that_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    """Text of a sane size, nothing else."""
    (tmp_path / "a.env").write_bytes(content)
    assert message(tmp_path, "env_files = ['a.env']\n") == f"E126 the env file `a.env` cannot be used: {reason}"


def test_a_byte_order_mark_is_no_name(tmp_path: Path) -> None:
    """Editors of another system write one."""
    (tmp_path / "a.env").write_bytes(b"\xef\xbb\xbfA=1\n")
    assert set(env(tmp_path, "env_files = ['a.env']\n")) == {"A"}


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """Pipes, sockets, devices and folders are refused at once."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.relpath(tmp_path / "sock"))
        for name in ("pipe", "zero", "sock", ".", "loop", "nosuch", "pipe/x"):
            assert message(tmp_path, f"env_files = ['{name}']\n").startswith("E126 ")


def test_links_of_ones_own_are_followed(tmp_path: Path) -> None:
    """As deployments have them: `current` is a link to a folder, `.env` one to a shared file."""
    (tmp_path / "releases/1").mkdir(parents=True)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/.env").write_text("A=1\n")
    (tmp_path / "releases/1/.env").symlink_to("../../shared/.env")
    (tmp_path / "current").symlink_to(tmp_path / "releases" / "1")
    assert set(env(tmp_path, "env_files = ['current/.env']\n")) == {"A"}


@pytest.mark.root("gives links to another user")
def test_root_is_not_led_to_what_is_not_the_links_owners(tmp_path: Path) -> None:
    """Else an application's user would get a secret of root's by way of a link in his folder."""
    (tmp_path / "roots.env").write_text("A=1\n")
    (tmp_path / "link.env").symlink_to("roots.env")
    (tmp_path / "folder").symlink_to(".")
    assert set(env(tmp_path, "env_files = ['link.env', 'folder/roots.env']\n")) == {"A"}
    os.lchown(tmp_path / "link.env", 65534, 65534)
    os.lchown(tmp_path / "folder", 65534, 65534)
    for name in ("link.env", "folder/roots.env"):
        assert "a symbolic link of another user leads to it" in message(tmp_path, f"env_files = ['{name}']\n")
    os.chown(tmp_path / "roots.env", 65534, 65534)
    assert set(env(tmp_path, "env_files = ['link.env', 'folder/roots.env']\n")) == {"A"}
