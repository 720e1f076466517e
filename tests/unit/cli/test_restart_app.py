"""Which applications a name or path means, and how the result of a restart is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from passenger.cli.restart_app import has_worked, named, result
from passenger.errors import PassengerError
from tests.support.statuses import restart

ROOTS = {"shop": "/srv/shop", "blog": "/srv/blog", "admin": "/srv/blog/admin", "srv": "/opt/srv"}


@pytest.mark.parametrize(
    ("words", "folder", "meant"),
    [
        (["blog"], "/", ["blog"]),
        (["shop", "shop", "/srv/shop"], "/", ["shop"]),
        (["."], "/srv/shop", ["shop"]),
        (["."], "/srv/shop/lib/deep", ["shop"]),
        (["/srv"], "/", ["shop", "blog", "admin"]),
        (["/srv/blog"], "/", ["blog", "admin"]),
        (["/srv/blog/admin/x"], "/", ["admin"]),
        (["../shop"], "/srv/blog", ["shop"]),
        (["srv"], "/", ["srv"]),
        (["./srv/blog/admin"], "/", ["admin"]),
    ],
)
def test_names_and_paths(words: list[str], folder: str, meant: list[str]) -> None:
    """A name is a name; any other word is a path: the applications in it, or the one around it."""
    assert list(named(words, ROOTS, Path(folder))) == meant


def test_a_link_to_the_root_means_the_application(tmp_path: Path) -> None:
    release, current = tmp_path / "release", tmp_path / "current"
    release.mkdir()
    current.symlink_to(release)
    assert named(["release"], {"blog": str(current)}, tmp_path) == ("blog",)


def test_what_means_none_is_an_error_that_lists_them() -> None:
    with pytest.raises(PassengerError, match="no application is called 'shp'") as error:
        named(["shp"], ROOTS, Path("/"))
    assert "shop (/srv/shop)" in error.value.hint


@pytest.mark.parametrize(
    ("state", "worked", "words"),
    [
        ("done", True, "blog: restarted in 41.0 s"),
        ("running", False, "blog: rolling restart is under way, 2 of 5 processes replaced"),
        (
            "failed",
            False,
            "blog: restart FAILED, 2 of 5 processes replaced, old processes keep serving: it broke (error id abc)",
        ),
    ],
)
def test_results(state: str, worked: bool, words: str) -> None:  # noqa: FBT001
    """One line for people, one truth for the exit status."""
    assert result("blog", restart(state)) == words
    assert has_worked(restart(state)) is worked
