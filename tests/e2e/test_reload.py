"""Reloads of a running instance under load: what changed changes, nothing else does, no request is lost (C11, C12)."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from passenger.cli import api
from passenger.errors import HostError, PassengerError
from tests.support.http import fetch
from tests.support.installation import Installation, hand_over
from tests.support.load import Load, load, wait_until_count
from tests.support.probe import wait_until
from tests.support.running import RunningInstance, free_port, running

RATE = 200.0
WSGI = """
import os, threading
def application(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        threading.Event().wait(60)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ.get("COLOUR", "none").encode()]
"""


class Town:
    """Three applications and their configuration, which tests write again and again."""

    def __init__(self, place: Path) -> None:
        self.file = place / "passenger.toml"
        self.place = place
        self.port = free_port()
        for name in ("one", "two", "three"):
            root = place / name
            root.mkdir()
            (root / "passenger_wsgi.py").write_text(WSGI)
            hand_over(root)
        self.apps: dict[str, dict[str, Any]] = {
            name: {"app_root": name, "server_names": [f"{name}.test"]} for name in ("one", "two", "three")
        }
        self.nginx: dict[str, Any] = {"listen": [f"127.0.0.1:{self.port}"]}
        self.core: dict[str, Any] = {"max_pool_size": 10}
        self.hooks: dict[str, Any] = {}
        self.write()

    def write(self) -> None:
        import tomli_w

        main = {"core": self.core, "nginx": self.nginx, "hooks": self.hooks}
        self.file.write_text(tomli_w.dumps({"config_version": 1, "instances": {"main": main}, "apps": self.apps}))

    def started(self, instance: RunningInstance) -> None:
        self.instance = instance
        instance.wait_started()

    def ask(self, verb: str) -> dict[str, Any]:
        """The watchdog's answer, without the cost of a command."""
        path = str(self.instance.registry / "main" / "watchdog_api")
        return api.call(path, {"verb": verb}, timeout=60, what="the watchdog")

    def refusal(self) -> str:
        """Why a reload is refused; "" when it is not."""
        path = str(self.instance.registry / "main" / "watchdog_api")
        try:
            api.call(path, {"verb": "reload"}, timeout=60, what="the watchdog")
        except HostError:  # it hangs, or has gone
            raise
        except PassengerError as error:
            return str(error)
        return ""

    def hook_counts(self) -> dict[str, Any]:
        path = str(self.instance.registry / "main" / "core_api")
        counts: dict[str, Any] = api.call(path, {"verb": "hooks"}, timeout=60, what="the core")["hooks"]
        return counts

    def reload(self) -> dict[str, Any]:
        self.write()
        report: dict[str, Any] = self.ask("reload")["report"]
        for name in report["core"]["rolling"]:
            wait_until(lambda name=name: self.has_rolled(name), f"{name} has new processes")
        return report

    def has_rolled(self, name: str) -> bool:
        restart = self.groups()[name]["restart"]
        return bool(restart) and restart["state"] == "done"

    def groups(self) -> dict[str, Any]:
        path = str(self.instance.registry / "main" / "core_api")
        pool = api.call(path, {"verb": "status"}, timeout=60, what="the core")["status"]["pool"]
        return {group["name"]: group for group in pool["groups"]}

    def pids(self) -> dict[str, list[int]]:
        return {
            name: [one["pid"] for one in group["processes"] if one["state"] == "enabled"]
            for name, group in self.groups().items()
        }

    def colour(self, name: str) -> str:
        return fetch(self.port, host=f"{name}.test").text


@pytest.fixture
def town(installation: Installation, place: Path) -> Iterator[Town]:
    made = Town(place)
    with running(installation.passenger, made.file) as instance:
        made.started(instance)
        yield made


def all_answered(result: Load) -> None:
    """Sent = answered: not one failed."""
    assert not result.failed, [(one.status, one.problem) for one in result.failed][:5]


def test_reloads_under_load_replace_only_what_changed(town: Town) -> None:
    """C12: one of three applications changes each time, by command and by signal; the others keep their pids."""
    before = town.pids()
    with load(town.port, host="one.test", rate=RATE) as changing, load(town.port, host="two.test", rate=RATE) as quiet:
        wait_until_count(quiet, 50)
        for number in range(6):
            town.apps["one"]["env"] = {"COLOUR": str(number)}
            assert town.reload()["core"]["unchanged"] == ["two", "three"]
        town.apps["one"]["env"] = {"COLOUR": "by signal"}
        town.write()
        mark = len(town.instance.lines.seen)
        town.instance.process.send_signal(signal.SIGHUP)
        town.instance.lines.wait_for("application restarted", after=mark)
        assert town.colour("one") == "by signal"
    all_answered(changing)
    all_answered(quiet)
    after = town.pids()
    assert_kept(before, after, "two", "three")
    assert not set(after["one"]) & set(before["one"])


def assert_kept(before: dict[str, list[int]], after: dict[str, list[int]], *names: str) -> None:
    """The processes that were there are; load may have brought more."""
    for name in names:
        assert set(before[name]) <= set(after[name]), name


BROKEN = (
    *(f"[apps.one]\napp_root = 'one'\n{line}\n" for line in (
        "min_instances = -1", "min_instances = 'x'", "max_requests = 1.5", "start_timeout = 90", "start_timeout = 'x'",
        "base_uri = 'x'", "base_uri = '/../x'", "server_names = ['a b']", "server_names = 'a'", "app_type = 'perl'",
        "env = 1", "env.A = 1", "env.K = { file = '/no/such' }", "env_files = ['/no/such']", "user = 'nosuchuser'",
        "spwan_method = 'direct'", "spawn_method = 'fork'", "python = '/no/such/python'", "drain_timeout = '-1s'",
        "memory_limit = '1GiX'", "nginx.client_max_body_size = 20", "nginx.nothing = 1", "instance = 'other'",
        "app_env = 'a/b'", "restart_dir = '../x'", "rlimits.nofile = 'many'", "max_surge = 0", "health_path = 'x'",
        "nice = 99", "app_root = 'two'",
    )),
    *(f"[instances.main]\n{line}\n[apps.one]\napp_root = 'one'\n" for line in (
        "log_level = 'loud'", "core.max_pool_size = 0", "core.pool_idle_time = 5", "nginx.mode = 'maybe'",
        "nginx.listen = ['8080']", "nginx.listen = ['127.0.0.1:99999']", "nginx.listen = []", "nginx.listen = 1",
        "nginx.binary = '/no/such/nginx'", "nginx.user = 'nosuchuser'", "nginx.access_log = '/no/such/folder/log'",
        "nginx.trusted_proxies = ['x']", "admin.listen = 'x'", "unknown = 1", "registry_dir = '/no/such/registry'",
        "nginx.listen = [{ address = '127.0.0.1:1', tls_certificate = '/no/such' }]", "core.nothing = 1",
        "watchdog.max_crashes = 0", "nginx.worker_processes = 0", "nginx.worker_connections = 1",
    )),
    "[apps.one]\napp_root = ''", "[", "apps = 1", "[apps]\none = 1", "[apps.one]", "config_version = 2", "[instances.other]", "x = 1",
    "[apps.one]\napp_root = '/no/such/folder'", "\0", "[apps.one]\napp_root = 'one'\n" * 2,
)  # fmt: skip
"""What people save by mistake; without a version line where the mistake is another one."""


@pytest.mark.timeout(240)
def test_sixty_broken_configurations_change_nothing(town: Town) -> None:
    """C11: each is refused with its reason; traffic, processes, files and what `config diff` calls running stay."""
    good, description = town.file.read_text(), town.instance.registry / "main" / "config.json"
    shown, before = description.read_text(), town.pids()
    assert len(BROKEN) > 60
    with load(town.port, host="one.test", rate=RATE, limit=120.0) as result:
        for text in BROKEN:
            head = "" if "config_version" in text else "config_version = 1\n"
            town.file.write_text(head + text)
            assert town.refusal(), text
    all_answered(result)
    assert len(result.outcomes) > RATE
    assert description.read_text() == shown
    assert_kept(before, town.pids(), *before)
    town.file.write_text(good)
    assert town.ask("compare")["changes"] == []


def test_everything_that_can_change_while_it_runs(town: Town) -> None:
    """Names, addresses, variables, files behind them, applications; processes that are not concerned stay."""
    town.core["max_pool_size"] = 9
    town.apps["two"] |= {"server_names": ["other.test"], "max_requests": 1000, "drain_timeout": "7s"}
    before = town.pids()
    assert town.reload()["core"]["changed"] == ["two"]
    assert town.pids() == before
    wait_until(lambda: fetch(town.port, host="two.test").status == 404, "nobody has the name")
    assert town.colour("other") == "none"
    town.apps["one"]["server_names"], town.apps["two"]["server_names"] = ["two.test"], ["one.test"]
    second = free_port()
    town.nginx["listen"].append(f"127.0.0.1:{second}")
    town.reload()
    wait_until(lambda: fetch(second, host="one.test").status == 200, "the new address is served")
    wait_until(lambda: fetch(town.port, host="other.test").status == 404, "no old worker takes requests")
    counts = {name: group["counters"]["requests"] for name, group in town.groups().items()}
    town.colour("one")
    assert town.groups()["two"]["counters"]["requests"] == counts["two"] + 1
    del town.nginx["listen"][1]
    (town.place / "colours.env").write_text("COLOUR=red\n")
    town.apps["three"]["env_files"] = ["colours.env"]
    assert town.reload()["core"]["rolling"] == ["three"]
    assert town.colour("three") == "red"
    (town.place / "colours.env").write_text("COLOUR=green\n")
    assert town.reload()["core"]["rolling"] == ["three"]
    assert town.colour("three") == "green"
    town.apps["four"] = town.apps.pop("three")
    report = town.reload()["core"]
    assert (report["added"], report["removed"]) == (["four"], ["three"])
    wait_until(lambda: town.colour("three") == "green", "the new application answers")
    with pytest.raises(OSError, match="refused"):
        fetch(second, host="one.test")
    town.core["max_pool_size"] = 1
    for app in town.apps.values():
        app["min_instances"] = 0
    town.reload()
    assert {town.colour("one"), town.colour("two")} == {"none"}
    assert sum(len(group["processes"]) for group in town.groups().values()) <= 2


def test_differences_are_told_before_and_what_waits_stays_told(town: Town) -> None:
    """`config diff` and `--dry-run` say the same and change nothing; a key that needs a restart is held back whole."""
    secret = town.place / "secret"
    secret.write_text("sesame")
    town.apps["one"]["env"] = {"KEY": {"file": str(secret)}}
    town.reload()
    assert town.instance.run("config", "diff", "--exit-code").returncode == 0
    secret.write_text("open")
    town.apps["two"]["max_requests"] = 5
    town.nginx["user"] = "daemon" if os.geteuid() == 0 else None
    town.nginx = {name: value for name, value in town.nginx.items() if value is not None}
    town.core["max_request_header_size"] = "64KiB"
    town.write()
    before = town.pids()
    told = town.instance.run("config", "diff", "--exit-code")
    assert told.returncode == 4, told.stderr
    assert "sesame" not in told.stdout
    assert '"<secret>" -> "<secret>"' in told.stdout
    dry = town.instance.run("reload", "--dry-run", "--format", "json")
    effects = {change["key"]: change["effects"] for change in json.loads(dry.stdout)["changes"]}
    assert effects["apps.one.env.KEY"] == ["app rolls"]
    assert effects["apps.two.max_requests"] == ["applies live"]
    assert effects["instances.main.core.max_request_header_size"] == ["instance restart needed"]
    assert town.pids() == before
    waiting = {f"instances.main.{key}" for key in ("nginx.user", "core.max_request_header_size")} & set(effects)
    assert set(town.reload()["restart_needed"]) == waiting
    assert town.colour("two") == "none"
    left = town.ask("compare")["changes"]
    assert {change["key"] for change in left} == waiting
    other = town.place / "other.toml"
    other.write_text("[")
    assert town.instance.run("config", "diff", str(other)).returncode == 78


@pytest.mark.root("changes the user of an application")
def test_an_application_of_another_user(town: Town) -> None:
    """A core without root cannot start it: the reload is refused, and says what to do."""
    town.apps["one"]["user"] = "daemon"
    town.write()
    before = town.pids()
    refused = town.instance.run("reload")
    assert refused.returncode == 1
    assert "stop instance main and start it again" in refused.stderr
    assert town.pids() == before


def test_hooks_are_run_for_what_happens(town: Town) -> None:
    """Each event reaches its program, with the application; a hook that hangs holds up no request."""
    say = 'echo "hook $PASSENGER_HOOK_NAME of $PASSENGER_HOOK_APP"'
    events = ("attached_process", "detached_process", "spawn_failed", "queue_full", "max_request_time_reached")
    town.hooks = {event: ["/bin/sh", "-c", say] for event in events}
    town.hooks |= {"after_reload": ["/bin/sh", "-c", f"{say}; exec tail -f /dev/null"], "timeout": "60s"}
    town.apps["one"] |= {"max_instances": 1, "max_request_queue_size": 1, "max_request_time": "1s"}
    town.reload()
    lines = town.instance.lines
    lines.wait_for("hook after_reload of")
    with load(town.port, "/hang", host="one.test", rate=20.0) as result:
        lines.wait_for("hook queue_full of one")
        lines.wait_for("hook max_request_time_reached of one")
    assert {one.status for one in result.outcomes} <= {503, 504}
    (town.place / "three" / "passenger_wsgi.py").write_text("raise RuntimeError('broken')")
    town.apps["three"]["env"] = {"COLOUR": "blue"}
    town.write()
    town.ask("reload")
    lines.wait_for("hook spawn_failed of three")
    town.apps["two"]["env"] = {"COLOUR": "blue"}
    mark = len(lines.seen)
    town.write()
    town.ask("reload")
    lines.wait_for("hook attached_process of two", after=mark)
    lines.wait_for("hook detached_process of two", after=mark)
    counts = town.hook_counts()
    assert (counts["after_reload"]["running"], counts["after_reload"]["waiting"]) == (True, 2)
