"""What environment an application gets."""

from __future__ import annotations

import pytest

from passenger.config.accounts import Account
from passenger.config.model import App, AppInherit, EnvValue
from passenger.posix.users import Identity
from passenger.spawn import environment


def who(account: Account, *, switched: bool = True) -> Identity:
    return Identity(account=account, gid=account.gid, groups=(), switched=switched)


BLOG = Account("blog", 1001, 1001, "/home/blog", "/bin/bash")


def test_the_cores_own_business_is_left_out() -> None:
    """Its descriptors, its service manager, shell hooks; the user's own names come in."""
    core = {
        "PATH": "/bin",
        "LANG": "C.UTF-8",
        "HOME": "/root",
        "USER": "root",
        "PASSENGER_LAUNCH_FD": "3",
        "LISTEN_FDS": "1",
        "NOTIFY_SOCKET": "/x",
        "BASH_ENV": "/y",
        "ENV": "/y",
        "BASH_FUNC_ls%%": "() { :; }",
    }
    assert environment.inherited(core, who(BLOG), AppInherit()) == {
        "PATH": "/bin",
        "LANG": "C.UTF-8",
        "HOME": "/home/blog",
        "USER": "blog",
        "LOGNAME": "blog",
        "SHELL": "/bin/bash",
    }


def test_an_empty_environment_still_has_a_path() -> None:
    """A core that was started with nothing, and a user without home and shell."""
    found = environment.inherited({}, who(Account("9", 9, 9, "", "")), AppInherit())
    assert found["PATH"]
    assert (found["HOME"], found["SHELL"]) == ("/", "/bin/sh")


def test_without_a_switch_the_users_own_names_stay() -> None:
    """Fault matrix D9: a random uid in a container, with HOME set by hand."""
    nobody = who(Account("9", 9, 9, "/", ""), switched=False)
    found = environment.inherited({"HOME": "/app", "PATH": "/bin"}, nobody, AppInherit())
    assert found == {"HOME": "/app", "PATH": "/bin", "USER": "9", "LOGNAME": "9", "SHELL": "/bin/sh"}


def test_passenger_says_which_environment_and_where() -> None:
    """The base URI only when there is one."""
    found = environment.passenger_variables(App(app_root="/srv", app_env="staging", base_uri="/blog"))
    assert found["PASSENGER_APP_ENV"] == found["WSGI_ENV"] == found["NODE_ENV"] == "staging"
    assert found["PASSENGER_BASE_URI"] == found["RAILS_RELATIVE_URL_ROOT"] == "/blog"
    assert "PASSENGER_BASE_URI" not in environment.passenger_variables(App(app_root="/srv"))


def test_configured_values_are_taken_as_they_are() -> None:
    """Also secret ones."""
    app = App(app_root="/srv", env={"A": EnvValue("1"), "B": EnvValue("2", secret=True)})
    assert environment.configured(app) == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        (AppInherit(), {"LANG", "AWS_REGION", "AWS_SECRET", "CI_TOKEN"}),
        (AppInherit(allow=()), set()),
        (AppInherit(allow=("LANG", "AWS_*")), {"LANG", "AWS_REGION", "AWS_SECRET"}),
        (AppInherit(deny=("*_TOKEN", "AWS_S?CRET")), {"LANG", "AWS_REGION"}),
        (AppInherit(allow=("AWS_*",), deny=("AWS_*",)), set()),
        (AppInherit(allow=("lang", "PASSENGER_*", "NOTIFY_SOCKET")), set()),
    ],
)
def test_lists_say_what_is_inherited(wanted: AppInherit, kept: set[str]) -> None:
    """Allowed and not denied; names are case-sensitive; what is the core's own never goes on, whatever is allowed."""
    own = {"PASSENGER_LAUNCH_FD": "3", "NOTIFY_SOCKET": "/x"}
    core = dict.fromkeys(("LANG", "AWS_REGION", "AWS_SECRET", "CI_TOKEN"), "x") | own
    always = {"PATH", "HOME", "USER", "LOGNAME", "SHELL"}
    assert set(environment.inherited(core, who(BLOG), wanted)) == kept | always


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("AWS_SECRET_ACCESS_KEY", "x", True),
        ("GITHUB_TOKEN", "x", True),
        ("DB_PASSWORD", "x", True),
        ("MYSQL_PWD", "x", True),
        ("SECRET_KEY_BASE", "x", True),
        ("STRIPE_API_KEY", "x", True),
        ("SENTRY_DSN", "x", True),
        ("REDIS_URL", "redis://:pw@localhost/0", True),
        ("DATABASE_URL", "postgres://me:pw@db/x", True),
        ("TLS", "-----BEGIN RSA PRIVATE KEY-----", True),
        ("PWD", "/srv/blog", False),
        ("OLDPWD_HINT", "/srv", False),
        ("KEYBOARD", "de", False),
        ("HOMEPAGE", "https://example.com:8080/a@b", False),
        ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt", False),
        ("PATH", "/bin", False),
    ],
)
def test_what_looks_secret(*, name: str, value: str, secret: bool) -> None:
    """By the name, or by what the value is; a folder and an address are none."""
    assert environment.looks_secret(name, value) == secret
