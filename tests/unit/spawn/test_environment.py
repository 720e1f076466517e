"""What environment an application gets."""

from __future__ import annotations

from passenger.config.model import App, EnvValue
from passenger.posix.users import Account, Identity
from passenger.spawn import apptypes, environment


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
    assert environment.inherited(core, who(BLOG)) == {
        "PATH": "/bin",
        "LANG": "C.UTF-8",
        "HOME": "/home/blog",
        "USER": "blog",
        "LOGNAME": "blog",
        "SHELL": "/bin/bash",
    }


def test_an_empty_environment_still_has_a_path() -> None:
    """A core that was started with nothing, and a user without home and shell."""
    found = environment.inherited({}, who(Account("9", 9, 9, "", "")))
    assert found["PATH"]
    assert (found["HOME"], found["SHELL"]) == ("/", "/bin/sh")


def test_without_a_switch_the_users_own_names_stay() -> None:
    """Fault matrix D9: a random uid in a container, with HOME set by hand."""
    found = environment.inherited({"HOME": "/app", "PATH": "/bin"}, who(Account("9", 9, 9, "/", ""), switched=False))
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


def test_the_registry_finds_types_by_file_and_by_name() -> None:
    """One table."""
    wsgi = apptypes.by_name("wsgi")
    assert wsgi is not None
    assert apptypes.detect("/srv", exists=lambda path: path == "/srv/passenger_wsgi.py") is wsgi
    assert apptypes.detect("/srv", exists=lambda _path: False) is None
    assert apptypes.by_name("cobol") is None
