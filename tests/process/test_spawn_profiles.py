"""Fault matrix F17: hostile shell profiles. Each is either harmless, or a failure that names the shell's step."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator

import pytest

from passenger.config.accounts import Account
from passenger.config.model import App, EnvValue
from passenger.errors import PassengerError
from passenger.spawn.environment_report import explain
from passenger.spawn.spawner import SpawnError
from tests.support.spawning import Place, TestAccounts, ask, place, run, stopped

ENVIRONMENT = """
import os
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    body = repr(sorted((k, v) for k, v in os.environ.items())).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    with place() as made:
        yield made


def with_profile(here: Place, profile: str, shell: str = "/bin/bash") -> tuple[App, TestAccounts]:
    """An application whose user has the given login profile."""
    home = here.root / "home"
    home.mkdir(exist_ok=True)
    (home / ".profile").write_text(profile)
    here.home = str(home)
    name = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    entry = pwd.getpwnam(name)
    account = Account(entry.pw_name, entry.pw_uid, entry.pw_gid, str(home), shell)
    app = here.app(
        "blog",
        {"passenger_wsgi.py": ENVIRONMENT},
        load_shell_envvars=True,
        start_timeout=10.0,
        env={"COLOUR": "configured"},
    )
    return app, TestAccounts({name: account})


def environment_of(here: Place, profile: str, shell: str = "/bin/bash") -> dict[str, str]:
    app, accounts = with_profile(here, profile, shell)

    async def life() -> dict[str, str]:
        process = await here.spawner(app, accounts=accounts).spawn()
        body = ask(process).partition(b"\r\n\r\n")[2]
        await stopped(process)
        return dict(eval(body))

    return run(life())


def failure_of(here: Place, profile: str, **changes: float) -> SpawnError:
    app, accounts = with_profile(here, profile)
    for key, value in changes.items():
        app = here.app("blog", {}, load_shell_envvars=True, **{key: value})
    return here.fails(app, accounts=accounts)


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh"])
def test_the_profile_sets_variables_and_the_configuration_wins(here: Place, shell: str) -> None:
    """Values with line ends and `=` arrive whole."""
    found = environment_of(here, "export GREETING='a=b\nc'\nexport COLOUR=profile\n", shell)
    assert found["GREETING"] == "a=b\nc"
    assert found["COLOUR"] == "configured"
    assert found["PWD"].endswith("/blog")


@pytest.mark.parametrize(
    "profile",
    [
        "echo '!> Error'; echo '!> I have control 1.0'; echo noise >&2\n",
        "read answer; select x in a b; do break; done\n",
        "cd /; umask 077; set -e; trap 'echo bye' EXIT\n",
        "exec 0<&- 1>&- 2>&-\n",
        "ulimit -n 12\n",
        "exec 3>/dev/null 4</dev/null 9>/dev/null\n",
        "alias exec=echo; unset PATH; export PYTHONHOME=/nonexistent PYTHONSTARTUP=/x LD_LIBRARY_PATH=/y; unset PYTHONHOME\n",
        "head -c 300000 /dev/zero\n",
        "set -u; PS1='$(rm -rf /nonexistent) '; cat\n",
        "sleep 9999 &\n",
    ],
)
def test_harmless_profiles_do_no_harm(here: Place, profile: str) -> None:
    """Output, prompts, closed descriptors, other folders, background jobs: the application starts."""
    found = environment_of(here, profile + "export SEEN=1\n")
    assert found["SEEN"] == "1"
    assert found["COLOUR"] == "configured"


@pytest.mark.parametrize(
    "profile",
    ["exit 0\n", "exec true\n", "exec cat\n", "kill -9 $$\n", "exec() { :; }\n", "echo gone; exit 3\n"],
)
def test_a_profile_that_ends_the_shell_is_named(here: Place, profile: str) -> None:
    """The failing step is the shell's, with what it printed."""
    error = failure_of(here, profile)
    assert error.category == "shell-ended"
    assert ("load the shell environment", "failed") in [(name, state) for name, state, _ in error.steps]
    assert "profile" in error.hint
    assert ("gone" in error.output) == ("gone" in profile)


def test_a_profile_that_hangs_runs_into_the_deadline(here: Place) -> None:
    """With a hint at the profile, not at the application."""
    error = failure_of(here, "echo waiting; tail -f /dev/null\n", start_timeout=1.0)
    assert error.category == "timeout"
    assert ("load the shell environment", "failed") in [(name, state) for name, state, _ in error.steps]
    assert "profile" in error.hint
    assert "waiting" in error.output


def test_exported_functions_and_shell_hooks_do_not_come_in(here: Place) -> None:
    """BASH_ENV and friends of the core's own environment run nothing."""
    app, accounts = with_profile(here, "")
    bad = here.root / "bad.sh"
    bad.write_text("exit 5\n")
    hostile = {**os.environ, "BASH_ENV": str(bad), "ENV": str(bad), "BASH_FUNC_exec%%": "() { exit 6; }"}

    async def life() -> None:
        await stopped(await here.spawner(app, accounts=accounts, environ=hostile).spawn())

    run(life())


def test_a_user_without_a_usable_shell_gets_no_shell_step(here: Place) -> None:
    """nologin, fish: documented."""
    app, accounts = with_profile(here, "exit 1\n", shell="/usr/sbin/nologin")

    async def life() -> None:
        await stopped(await here.spawner(app, accounts=accounts).spawn())

    run(life())


def test_the_report_tells_where_each_variable_comes_from(here: Place) -> None:
    """`passenger env --explain` goes the same way."""
    app, accounts = with_profile(here, "echo noise; export FROM_PROFILE=1 COLOUR=profile\n")
    context = here.context(accounts=accounts, environ={"PATH": os.environ["PATH"], "TZ": "UTC"})
    found = {variable.name: variable for variable in explain("blog", app, context)}
    assert (found["FROM_PROFILE"].value, found["FROM_PROFILE"].origin) == ("1", "login shell")
    assert (found["COLOUR"].value, found["COLOUR"].origin) == ("configured", "configuration")
    assert (found["TZ"].value, found["TZ"].origin) == ("UTC", "inherited")
    assert found["IN_PASSENGER"].origin == "passenger"
    assert not found["COLOUR"].secret


def test_the_report_is_what_the_application_gets(here: Place) -> None:
    """Every variable with its value, none more: asked of a process that was started the same way."""
    profile = "export FROM_PROFILE=1 COLOUR=profile; unset LANG\n"
    got = environment_of(here, profile)
    app, accounts = with_profile(here, profile)
    found = {variable.name: variable.value for variable in explain("blog", app, here.context(accounts=accounts))}
    assert found.pop("PASSENGER_GUPID") == "(each process has its own)"
    assert got.pop("PASSENGER_GUPID")
    assert found == got


def test_what_comes_from_the_account_is_not_called_inherited(here: Place) -> None:
    """Nor is what Passenger adds where there is nothing. Without a switch of the user, a HOME that was set stays."""
    app = here.app("blog", {"passenger_wsgi.py": ENVIRONMENT})
    found = explain("blog", app, here.context(environ={"HOME": "/elsewhere", "LANG": "C"}))
    origins = {variable.name: variable.origin for variable in found}
    home = "account" if os.geteuid() == 0 else "inherited"
    assert [origins[name] for name in ("HOME", "USER", "LANG", "PATH")] == [home, "account", "inherited", "passenger"]


def test_the_report_marks_secrets(here: Place) -> None:
    """What was read from a file, and what looks like one, is a secret."""
    env = {
        "PLACE": EnvValue("x", secret=True),
        "DATABASE_URL": EnvValue("postgres://me:pw@db/x"),
        "PORTS": EnvValue("1"),
    }
    app = App(app_root=here.app("blog").app_root, env=env)
    context = here.context(environ={"GITHUB_TOKEN": "canary", "TZ": "UTC"})
    found = {variable.name: variable.secret for variable in explain("blog", app, context)}
    assert [name for name in ("PLACE", "DATABASE_URL", "GITHUB_TOKEN") if not found[name]] == []
    assert [name for name in ("PORTS", "TZ", "PWD", "PATH", "HOME") if found[name]] == []


@pytest.mark.parametrize(("profile", "text"), [("exit 3\n", "ended"), ("tail -f /dev/null\n", "no answer")])
def test_the_report_explains_its_own_failure(here: Place, profile: str, text: str) -> None:
    """A profile that ends or hangs the shell, and a report that ends in time."""
    _, accounts = with_profile(here, profile)
    app = here.app("blog", {}, load_shell_envvars=True, start_timeout=1.0)
    with pytest.raises(PassengerError, match=text) as caught:
        explain("blog", app, here.context(accounts=accounts))
    assert "profile" in caught.value.hint
