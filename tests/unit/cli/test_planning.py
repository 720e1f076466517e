"""Who runs as whom, and what a plan holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from passenger.cli.planning import Identities, PlanningHost, identities, make_plan
from passenger.cli.readers import reader_ids
from passenger.config.accounts import Account
from passenger.config.instance import Admin, Core, Instance, Listener, Nginx
from passenger.config.model import App, EnvValue, InstanceConfig
from passenger.errors import HostError
from passenger.instance.plan import Listen, Plan, dump, load
from passenger.posix.users import Identity
from passenger.webserver.binary import NginxBinary
from passenger.webserver.build import parse

USERS = {
    "www-data": Account("www-data", 33, 33, "/", ""),
    "nobody": Account("nobody", 65534, 65534, "/", ""),
    "blog": Account("blog", 1001, 1001, "/", ""),
    "shop": Account("shop", 1002, 1002, "/", ""),
}
GROUPS = {"www-data": 33, "nogroup": 65534, "blog": 1001, "web": 50}
NGINX = NginxBinary(
    path="/usr/sbin/nginx", build=parse("nginx version: nginx/1.28.0\nconfigure arguments: --with-http_ssl_module")
)


class FakeAccounts:
    """A host's databases."""

    def __init__(self, users: dict[str, Account] = USERS) -> None:
        self._users = users

    def user(self, name: str) -> Account | None:
        return self._users.get(name)

    def user_by_id(self, uid: int) -> Account | None:
        return next((account for account in self._users.values() if account.uid == uid), None)

    def group(self, name: str) -> int | None:
        return GROUPS.get(name)

    def group_exists(self, gid: int) -> bool:
        return gid in GROUPS.values()

    def groups_of(self, name: str, gid: int) -> list[int]:
        return [gid]


def app_user(name: str, config: InstanceConfig) -> Identity | None:
    """Explicit user, else nobody; `shop` has a supplementary group; nothing is known about others."""
    account = USERS.get(config.apps[name].user or "nobody")
    if account is None:
        return None
    extra = (50,) if account.name == "shop" else ()
    return Identity(account=account, gid=account.gid, groups=(account.gid, *extra), switched=True)


def rendered(config: InstanceConfig, **given: Any) -> dict[str, str]:
    """What rendering was asked for, as text."""
    return {"nginx.conf": repr(sorted((name, str(value)) for name, value in given.items()))}


def host(euid: int = 0, **changes: Any) -> PlanningHost:
    """A host as root or as somebody."""
    made = PlanningHost(
        euid=euid,
        environ={"PASSENGER_INSTANCE_REGISTRY_DIR": "/run/p"},
        accounts=FakeAccounts(),
        group_name=lambda gid: next((name for name, number in GROUPS.items() if number == gid), None),
        cpus=4,
        open_files=1024,
        find_nginx=lambda configured, modules: NGINX,
        render_nginx=rendered,
        urls=lambda config: {name: f"http://{name}/" for name in config.apps},
        app_identity=app_user,
        core_argv=["python", "-m", "passenger.core"],
    )
    return replace(made, **changes)


def config(*, apps: dict[str, App] | None = None, **changes: Any) -> InstanceConfig:
    """One instance, with one application of the default user unless said otherwise."""
    apps = {"a": App(instance="main", app_root="/srv/a")} if apps is None else apps
    return InstanceConfig(name="main", instance=Instance(**changes), apps=MappingProxyType(apps))


def app(user: str | None) -> App:
    """An application of a user."""
    return App(instance="main", app_root="/srv/x", user=user)


def plan(settings: InstanceConfig, on: PlanningHost | None = None, **changes: Any) -> Plan:
    """A plan with the uninteresting arguments filled in."""
    return make_plan(settings, host=on or host(), config_files=["/etc/p.toml"], reload_argv=["reload"], **changes)


CORE_ROOT = {"core_uid": 0, "core_gid": 0, "apps_dir_mode": 0o1733}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            config(),
            {"core_uid": 65534, "core_gid": 65534, "apps_dir_mode": 0o700, "request_gid": 33, "allowed_uids": [33]},
        ),
        (config(apps={}), {"core_uid": 65534, "apps_dir_mode": 0o700}),
        (config(apps={"a": app("blog")}), CORE_ROOT),
        (config(apps={"a": app("blog"), "b": app("nobody")}), CORE_ROOT),
        (config(apps={"a": app("blog")}, core=Core(user="blog")), {"core_uid": 1001, "core_gid": 1001}),
        (config(apps={"a": app("ghost")}), CORE_ROOT),
        (config(apps={"a": app("shop")}, core=Core(user="shop")), CORE_ROOT),
        (config(core=Core(user="blog")), CORE_ROOT),
        (config(core=Core(default_group="blog")), CORE_ROOT),
        (config(nginx=Nginx(user="blog")), {"request_gid": 1001, "allowed_uids": [1001]}),
        (config(nginx=Nginx(group="web")), {"request_gid": 50, "nginx_group": "web"}),
        (config(nginx=Nginx(group="77")), {"request_gid": 77}),
        (config(nginx=Nginx(user="1002")), {"allowed_uids": [1002]}),
    ],
)
def test_as_root(settings: InstanceConfig, expected: dict[str, object]) -> None:
    """The core drops root exactly when nothing it starts needs another identity."""
    found = identities(settings, host())
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (config(), Identities(None, None, None, None, None, [1000], 0o700)),
        (config(nginx=Nginx(user="blog")), Identities(None, None, None, None, None, [1000], 0o700)),
        (
            config(nginx=Nginx(mode="external", user="www-data", group="web")),
            Identities(USERS["www-data"], None, None, None, 50, [33, 1000], 0o700),
        ),
    ],
)
def test_as_ordinary_user(settings: InstanceConfig, expected: Identities) -> None:
    """Everything is the caller's; only an external nginx may be somebody else."""
    assert identities(settings, host(1000)) == expected


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (config(nginx=Nginx(user="ghost")), "nginx.user"),
        (config(nginx=Nginx(group="ghost")), "nginx.group"),
        (config(core=Core(user="ghost")), "core.user"),
        (config(core=Core(default_user="ghost")), "core.default_user"),
        (config(core=Core(default_group="ghost")), "core.default_group"),
    ],
)
def test_missing_account_names_the_key(settings: InstanceConfig, word: str) -> None:
    """The message says what is missing, the hint which key."""
    with pytest.raises(HostError, match="ghost") as caught:
        identities(settings, host())
    assert word in caught.value.hint


def test_host_without_any_nginx_user() -> None:
    """A very bare image."""
    with pytest.raises(HostError, match="www-data, nginx, nobody"):
        identities(config(), host(accounts=FakeAccounts({})))


def test_plan_is_complete_and_travels() -> None:
    """Everything the watchdog gets, through JSON and back."""
    made = plan(config())
    assert (made.name, made.instance_dir) == ("main", "/run/p/main")
    assert made.nginx_argv == ["/usr/sbin/nginx", "-e", "stderr"]
    assert made.urls == {"a": "http://a/"}
    assert made.readiness_fd is None
    assert load(Plan, dump(made)) == made


def test_listeners_are_numeric_and_each_once() -> None:
    """What the watchdog binds: clients' addresses and the probes'."""
    section = Nginx(listen=(Listener(address="*:80"), Listener(address="[::]:80")))
    made = plan(config(nginx=section, admin=Admin(listen="127.0.0.1:9180")))
    assert made.nginx_listen == [
        Listen(host="0.0.0.0", port=80),
        Listen(host="::", port=80),
        Listen(host="127.0.0.1", port=9180),
    ]


@pytest.mark.parametrize("mode", ["external", "off"])
def test_without_a_managed_nginx_nothing_is_bound_or_looked_for(mode: str) -> None:
    """No binary is needed then."""

    def missing(configured: str | None, modules: frozenset[str]) -> NginxBinary:
        raise HostError("no nginx")

    made = plan(config(nginx=Nginx(mode=mode)), host(find_nginx=missing))
    assert (made.nginx_argv, made.nginx_listen, made.nginx_mode) == ([], [], mode)


def test_what_the_configuration_needs_is_asked_of_nginx() -> None:
    """A listener with a certificate and trusted proxies need a binary that can."""
    asked: list[tuple[str | None, frozenset[str]]] = []

    def find(configured: str | None, modules: frozenset[str]) -> NginxBinary:
        asked.append((configured, modules))
        return NGINX

    listener = Listener(address="*:443", tls_certificate="/c", tls_certificate_key="/k")
    plan(config(nginx=Nginx(listen=(listener,), binary="/opt/nginx")), host(find_nginx=find))
    plan(config(nginx=Nginx(trusted_proxies=("10.0.0.1",))), host(find_nginx=find))
    assert asked == [("/opt/nginx", frozenset({"http_ssl_module"})), (None, frozenset({"http_realip_module"}))]


@pytest.mark.parametrize(
    ("euid", "words"),
    [(0, ["('user', 'www-data')", "('group', 'www-data')"]), (1000, ["('user', 'None')", "('group', 'None')"])],
)
def test_workers_are_switched_only_by_root(euid: int, words: list[str]) -> None:
    """nginx warns about `user` when it cannot switch."""
    text = plan(config(), host(euid)).nginx_files["nginx.conf"]
    assert all(word in text for word in words)
    assert "('workers', '4')" in text


def test_shown_configuration_has_no_secret() -> None:
    """`config.json` is written to disk; the core's copy is not."""
    secret = App(instance="main", app_root="/srv/a", env=MappingProxyType({"KEY": EnvValue("sesame", secret=True)}))
    made = plan(config(apps={"a": secret}))
    assert "sesame" not in str(made.shown_config)
    assert "sesame" in str(made.core_config)


def test_connect_secret_is_new_for_a_start_and_kept_by_a_reload() -> None:
    """nginx workers of before and after must both get in."""
    first, second = plan(config()), plan(config())
    assert first.connect_secret != second.connect_secret
    assert len(first.connect_secret) >= 32
    assert plan(config(), running=first).connect_secret == first.connect_secret


def moved(settings: InstanceConfig) -> InstanceConfig:
    return replace(settings, instance=replace(settings.instance, registry_dir="/elsewhere"))


def renamed(settings: InstanceConfig) -> InstanceConfig:
    return replace(settings, name="other")


@pytest.mark.parametrize("change", [moved, renamed])
def test_reload_cannot_move_an_instance(change: Callable[[InstanceConfig], InstanceConfig]) -> None:
    """Its sockets are where they are."""
    with pytest.raises(HostError, match="cannot move instance main"):
        plan(change(config()), running=plan(config()))


def test_readers_are_numbers_in_the_plan() -> None:
    """A user, a group, and a name that is both; one that is neither is an error that says what to do."""
    found = make_plan(
        replace(config(), instance=Instance(admin=Admin(readers=("web", "www-data")))),
        host=host(),
        config_files=[],
        reload_argv=[],
    )
    assert (found.reader_uids, found.reader_gids) == ([], [33, 50])
    twin = Account("web", 70, 71, "/", "")
    assert reader_ids(("web", "blog"), FakeAccounts({**USERS, "web": twin})) == ([70], [50, 1001])
    assert reader_ids(("shop",), FakeAccounts()) == ([1002], [])
    with pytest.raises(HostError) as refused:
        reader_ids(("nosuch",), FakeAccounts())
    assert "admin.readers" in refused.value.hint


def test_a_reload_keeps_the_log_file() -> None:
    """It was opened by the start; a reload knows nothing of it."""
    running = replace(make_plan(config(), host=host(), config_files=[], reload_argv=[]), log_file="/var/log/p.log")
    again = make_plan(config(), host=host(), config_files=[], reload_argv=[], running=running)
    assert again.log_file == "/var/log/p.log"
    assert not again.nginx_log_file
    own = replace(config(), instance=Instance(nginx=Nginx(access_log="/var/log/access.log")))
    assert make_plan(own, host=host(), config_files=[], reload_argv=[]).nginx_log_file
