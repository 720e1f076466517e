"""Keys that contradict each other: names, ports, limits, and what belongs together.

Rules.
1. Applications and instances in which something is wrong already are left out: no error follows from another.
2. An error between two places names both.
"""

from __future__ import annotations

from collections.abc import Iterator

from passenger.config.addresses import is_everybody, overlap, parse_address
from passenger.config.build import Built
from passenger.config.diagnostics import Path
from passenger.config.document import Document
from passenger.config.findings import Findings
from passenger.config.hooks import EVENTS
from passenger.config.instance import Instance
from passenger.config.model import App
from passenger.config.routes import check_routes
from passenger.config.suggest import closest
from passenger.config.type_keys import check_told
from passenger.log import printable


def check(document: Document, built: Built, findings: Findings) -> None:
    """Report every contradiction."""
    whole = {name: app for name, app in built.config.apps.items() if built.is_whole("apps", name)}
    served = {name: app for name, app in whole.items() if _served(document, name, app, built, findings)}
    for name, app in whole.items():
        _app(document, name, app, findings)
    check_routes(document, served, findings)
    _ports(built, findings)
    for name, instance in built.config.instances.items():
        if built.is_whole("instances", name):
            _instance(name, instance, findings, document)
            apps = {app_name: app for app_name, app in served.items() if app.instance == name}
            _limits(document, name, instance, apps, findings)
            _readers(name, instance, apps, findings)
            if not (built.broken or findings.has_errors) and not any(
                app.instance == name for app in built.config.apps.values()
            ):
                _no_apps(name, findings)


def app_key(document: Document, app: str, *keys: str) -> Path | None:
    """Where an application's key was given: in its own table, in `[defaults]`, or nowhere."""
    data = document.data
    own = data["apps"].get(app) if isinstance(data.get("apps"), dict) else None
    if _is_in(own, keys):
        return ("apps", app, *keys)
    return ("defaults", *keys) if "defaults" in data and _is_in(data["defaults"], keys) else None


def _is_in(table: object, keys: tuple[str, ...]) -> bool:
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table is not None


def _served(document: Document, name: str, app: App, built: Built, findings: Findings) -> bool:
    instances = built.config.instances
    if app.instance is None:
        listed = ", ".join(f"`{known}`" for known in instances)
        findings.add(
            "E308",
            ("apps", name, "instance"),
            f'app "{printable(name)}" does not say which instance serves it',
            at="table",
            label=f"add `instance`, one of {listed}" if len(instances) > 1 else "add `instance`",
        )
        return False
    if app.instance in instances:
        return True
    near = closest(app.instance, instances)
    listed = ", ".join(f"`{known}`" for known in instances)
    path = app_key(document, name, "instance") or ("apps", name, "instance")
    findings.add(
        "E307",
        path,
        f"there is no instance {findings.quote(path, app.instance)}",
        label=f"did you mean `{near}`?" if near else f"instances of this file: {listed}",
        help=f"instances of this file: {listed}" if near else f"add a table `[instances.{printable(app.instance)}]`",
    )
    return False


def _app(document: Document, name: str, app: App, findings: Findings) -> None:
    def place(key: str) -> Path:
        return app_key(document, name, key) or ("apps", name, key)

    if app.startup_file is not None and app.entry_point is not None:
        findings.add(
            "E309",
            place("entry_point"),
            "`startup_file` and `entry_point` exclude each other",
            at="key",
            label="remove this one or the other",
            also=((place("startup_file"), "key", "the other one"),),
        )
    check_told(document, name, app, findings)
    if app.max_instances is not None and app.min_instances > app.max_instances:
        given = "min_instances" if app_key(document, name, "min_instances") else "max_instances"
        other = "max_instances" if given == "min_instances" else "min_instances"
        findings.add(
            "E304",
            place(given),
            f"`min_instances` ({app.min_instances}) is greater than `max_instances` ({app.max_instances})",
            label=f"at most {app.max_instances}" if given == "min_instances" else f"at least {app.min_instances}",
            help="" if given == "min_instances" else f"or set `min_instances` to {app.max_instances} or less",
            also=((place(other), "value", f"`{other}` is set here"),) if app_key(document, name, other) else (),
        )
    if app.friendly_error_pages and app.app_env == "production":
        findings.add(
            "W302",
            place("friendly_error_pages"),
            f'app "{printable(name)}" shows clients its internals in production',
            label="remove it, or set `app_env`",
            help="error pages then hold output, paths and settings of the application",
        )
    if app.group is not None and app.user is None and app_key(document, name, "group"):
        findings.add(
            "W305",
            place("group"),
            f'app "{printable(name)}" has a `group` but no `user`',
            label="the user is worked out from the owner of the startup file",
            help="set `user` too",
        )


def _instance(name: str, instance: Instance, findings: Findings, document: Document) -> None:
    for path, listener in listeners(document, name, instance):
        certificate, key = listener
        if (certificate is None) != (key is None):
            given, missing = ("tls_certificate", "tls_certificate_key")[:: 1 if key is None else -1]
            findings.add(
                "E306",
                (*path, given),
                f"`{given}` without `{missing}`",
                at="key",
                label=f"add `{missing}` beside it",
            )
    _proxies(name, instance, findings, document)
    for event in EVENTS:
        command = getattr(instance.hooks, event)
        if command and not command[0].startswith("/"):
            findings.add(
                "E316",
                ("instances", name, "hooks", event),
                f"the program of a hook is no absolute path: {printable(command[0])}",
                help='hooks have no folder of their own; a line for the shell is `["/bin/sh", "-c", "..."]`',
            )
    nginx: Path = ("instances", name, "nginx", "listen")
    admin: Path = ("instances", name, "admin", "listen")
    for path in (nginx, admin):
        if instance.nginx.mode == "off" and _given(document, path):
            findings.add(
                "W304",
                path,
                f'this listener has no effect: instance "{printable(name)}" runs without nginx',
                at="key",
                label="remove it, or change `mode`",
                also=((("instances", name, "nginx", "mode"), "value", "switched off here"),),
            )


def _proxies(name: str, instance: Instance, findings: Findings, document: Document) -> None:
    nginx: Path = ("instances", name, "nginx")
    trusted = instance.nginx.trusted_proxies
    for index, _ in enumerate(listeners(document, name, instance)):
        if instance.nginx.listen[index].proxy_protocol and not trusted:
            findings.add(
                "E314",
                (*nginx, "listen", index, "proxy_protocol"),
                "`proxy_protocol` without `trusted_proxies`: no line of it would be believed",
                at="key",
                label=f"set `trusted_proxies` in `[{'.'.join(map(str, nginx))}]` to the address of the load balancer",
            )
    for index, network in enumerate(trusted):
        if is_everybody(network):
            findings.add(
                "W306",
                (*nginx, "trusted_proxies", index),
                "every client may say who it is and that it came by HTTPS",
                label="holds every address",
                help="name the networks of the load balancers only",
            )


def listeners(
    document: Document, name: str, instance: Instance
) -> Iterator[tuple[Path, tuple[str | None, str | None]]]:
    """Path, certificate and key of every listener that was written down."""
    if _given(document, ("instances", name, "nginx", "listen")):
        for index, listener in enumerate(instance.nginx.listen):
            path = ("instances", name, "nginx", "listen", index)
            yield path, (listener.tls_certificate, listener.tls_certificate_key)


def _given(document: Document, path: Path) -> bool:
    here: object = document.data
    for part in path:
        here = here.get(part) if isinstance(here, dict) else None
    return here is not None


def addresses(built: Built) -> Iterator[tuple[Path, tuple[str, int]]]:
    """Every address that an nginx of ours listens on, with its place."""
    for name, instance in built.config.instances.items():
        if instance.nginx.mode != "managed" or not built.is_whole("instances", name):
            continue
        base: Path = ("instances", name)
        for index, listener in enumerate(instance.nginx.listen):
            yield (*base, "nginx", "listen", index), parse_address(listener.address)
        if instance.admin.listen is not None:
            yield (*base, "admin", "listen"), parse_address(instance.admin.listen)


def _ports(built: Built, findings: Findings) -> None:
    taken: list[tuple[Path, tuple[str, int]]] = []
    for path, address in addresses(built):
        for first, other in taken:
            # Within one instance nginx tells 127.0.0.1:80 beside *:80 apart; two nginx cannot share them.
            if address == other or (path[1] != first[1] and overlap(address, other)):
                findings.add(
                    "E303",
                    path,
                    f"port {address[1]} is taken twice",
                    label="give this listener another port",
                    also=((first, "value", "first taken here"),),
                    help=""
                    if findings.document.origin(path).kind != "default"
                    else f"`{path[1]}` listens on the default address: set `[instances.{path[1]}.nginx] listen`",
                )
                break
        taken.append((path, address))


def _limits(document: Document, name: str, instance: Instance, apps: dict[str, App], findings: Findings) -> None:
    limit = instance.core.max_pool_size
    if limit is None:
        return
    here: Path = ("instances", name, "core", "max_pool_size")
    wanted = sum(app.min_instances for app in apps.values())
    places = {app_key(document, app_name, "min_instances"): app.min_instances for app_name, app in apps.items()}
    given = {path: number for path, number in places.items() if path is not None}
    if wanted > limit:
        findings.add(
            "E305",
            here,
            f'the applications of instance "{printable(name)}" keep {wanted} processes, the pool has room for {limit}',
            label=f"at least {wanted}, or lower `min_instances`",
            also=tuple((path, "value", f"{number} here") for path, number in list(given.items())[:5]),
            help="" if len(given) == len(apps) else "`min_instances` is 1 where it is not set",
        )
    for app_name, app in apps.items():
        path = app_key(document, app_name, "max_instances")
        if app.max_instances is not None and path and app.max_instances > limit:
            findings.add(
                "W303",
                path,
                f"`max_instances` ({app.max_instances}) is greater than `max_pool_size` ({limit})",
                label=f"never reached: the pool ends at {limit}",
                also=((here, "value", "the pool's size"),),
            )


def _readers(name: str, instance: Instance, apps: dict[str, App], findings: Findings) -> None:
    """Applications are kept out: one could look at all others."""
    core = instance.core
    taken = {who: "applications that name no other" for who in (core.default_user, core.default_group) if who}
    for app_name, app in apps.items():
        taken |= {who: f'app "{printable(app_name)}"' for who in (app.user, app.group) if who}
    for index, reader in enumerate(instance.admin.readers):
        if reader in taken:
            path: Path = ("instances", name, "admin", "readers", index)
            findings.add(
                "E315",
                path,
                f"{findings.quote(path, reader)} runs {taken[reader]}, and no application may look at an instance",
                label="name somebody else",
            )


def _no_apps(name: str, findings: Findings) -> None:
    findings.add(
        "W301",
        ("instances", name),
        f'instance "{printable(name)}" has no applications',
        at="table",
        label="nothing to serve",
        help=f'add a table `[apps.NAME]` with `instance = "{printable(name)}"`',
        docs="apps",
    )
