"""Who an application runs as: the rules as a table over invented accounts."""

from __future__ import annotations

import pytest

from passenger.config.accounts import Account
from passenger.config.identity import Wish
from passenger.posix.users import Identity, IdentityError, identity_for

USERS = {
    "root": Account("root", 0, 0, "/root", "/bin/bash"),
    "nobody": Account("nobody", 65534, 65534, "/", "/usr/sbin/nologin"),
    "blog": Account("blog", 1001, 1001, "/home/blog", "/bin/bash"),
    "shop": Account("shop", 1002, 100, "/home/shop", "/bin/zsh"),
    "wheel": Account("wheel", 1003, 0, "/home/wheel", "/bin/sh"),
    "lost": Account("lost", 1004, 4444, "/home/lost", "/bin/sh"),
    "toor": Account("toor", 0, 1001, "/root", "/bin/sh"),
    "1005": Account("1005", 7777, 1001, "/", ""),
}
GROUPS = {"root": 0, "nogroup": 65534, "blog": 1001, "users": 100, "staff": 50}


class Fake:
    def user(self, name: str) -> Account | None:
        return USERS.get(name)

    def user_by_id(self, uid: int) -> Account | None:
        return next((account for account in USERS.values() if account.uid == uid), None)

    def group(self, name: str) -> int | None:
        return GROUPS.get(name)

    def group_exists(self, gid: int) -> bool:
        return gid in GROUPS.values()

    def groups_of(self, name: str, gid: int) -> list[int]:
        return [gid, 50, 0] if name == "blog" else [gid]


def decide(
    user: str | None = None,
    group: str | None = None,
    owner: int | None = 1001,
    default_user: str = "nobody",
    default_group: str | None = None,
    own: tuple[int, int] = (0, 0),
) -> Identity:
    wish = Wish(user=user, group=group, owner=owner, default_user=default_user, default_group=default_group)
    return identity_for(wish, own_uid=own[0], own_gid=own[1], own_groups=[own[1], 50], accounts=Fake())


@pytest.mark.parametrize(
    ("wish", "uid", "gid"),
    [
        ({}, 1001, 1001),  # the owner
        ({"owner": 0}, 65534, 65534),  # root's file
        ({"owner": 4242}, 65534, 65534),  # nobody's file
        ({"owner": None}, 65534, 65534),  # no file
        ({"owner": 0, "default_user": "shop"}, 1002, 100),
        ({"user": "shop"}, 1002, 100),  # explicit wins
        ({"user": "1002"}, 1002, 100),
        ({"user": "1005"}, 7777, 1001),  # a name of digits is a name first
        ({"user": "shop", "group": "staff"}, 1002, 50),
        ({"user": "shop", "group": "50"}, 1002, 50),
        ({"group": "staff"}, 1001, 50),
        ({"user": "9999", "group": "50"}, 9999, 50),  # no account, but a group
        ({"user": "wheel"}, 1003, 65534),  # primary group root gives way
        ({"user": "wheel", "default_group": "users"}, 1003, 100),
        ({"user": "lost"}, 1004, 65534),  # primary group without a name gives way
        ({"user": "lost", "default_group": "staff"}, 1004, 50),
        ({"owner": 0, "default_user": "9998", "default_group": "50"}, 9998, 50),
    ],
)
def test_user_and_group(wish: dict[str, object], uid: int, gid: int) -> None:
    """Explicit, else owner, else default; then the group likewise."""
    found = decide(**wish)  # type: ignore[arg-type]
    assert (found.uid, found.gid, found.switched) == (uid, gid, True)


@pytest.mark.parametrize(
    ("wish", "category"),
    [
        ({"user": "root"}, "user-is-root"),
        ({"user": "0"}, "user-is-root"),
        ({"user": "toor"}, "user-is-root"),
        ({"user": "blog", "group": "root"}, "user-is-root"),
        ({"user": "blog", "group": "0"}, "user-is-root"),
        ({"owner": 0, "default_user": "root"}, "user-is-root"),
        ({"owner": 0, "default_user": "toor"}, "user-is-root"),
        ({"user": "wheel", "default_user": "wheel"}, "user-is-root"),
        ({"user": "wheel", "default_group": "root"}, "user-is-root"),
        ({"user": "nosuch"}, "user-missing"),
        ({"user": "9999"}, "user-missing"),
        ({"user": "-1"}, "user-missing"),
        ({"user": "4294967295", "group": "50"}, "user-missing"),
        ({"user": "99999999999", "group": "50"}, "user-missing"),
        ({"owner": 0, "default_user": "nosuch"}, "user-missing"),
        ({"group": "nosuch"}, "group-missing"),
        ({"group": "4294967295"}, "group-missing"),
        ({"owner": 0, "default_group": "nosuch", "default_user": "wheel"}, "group-missing"),
    ],
)
def test_refusals(wish: dict[str, object], category: str) -> None:
    """Never root, whatever the way to it; and unknown names are said."""
    with pytest.raises(IdentityError) as caught:
        decide(**wish)  # type: ignore[arg-type]
    assert caught.value.category == category
    assert caught.value.hint


def test_supplementary_groups_are_those_of_the_account_without_root() -> None:
    """An explicit list, so that nothing of the core's is left."""
    assert decide().groups == (50, 1001)


def test_without_root_everything_runs_as_oneself() -> None:
    """The owner of the file does not matter; another user is refused."""
    found = decide(owner=1002, own=(1001, 1001))
    assert (found.uid, found.gid, found.groups, found.switched) == (1001, 1001, (50, 1001), False)
    assert decide(user="blog", own=(1001, 1001)).uid == decide(user="1001", own=(1001, 1001)).uid == 1001
    assert decide(own=(31337, 31337)).account == Account("31337", 31337, 31337, "/", "")
    with pytest.raises(IdentityError, match="wants user shop"):
        decide(user="shop", own=(1001, 1001))
