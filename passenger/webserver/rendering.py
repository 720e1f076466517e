"""From an instance's configuration to the files of its nginx.

Rules.
1. Pure but for two questions to the host, which are passed in: whether an application has a folder `public`, and
   which startup file it has, which tells whether it may get upgrade requests.
2. Mode `managed`: `nginx.conf` and the files it includes, by names relative to it. Mode `external`: `passenger.conf`
   to be included in the `http` block of somebody else's nginx, with absolute names. Mode `off`: nothing.
3. The files hold the connect secret: whoever writes them makes them readable by nginx's master only.
4. Everything nginx writes is below the instance's `nginx/` folder, whatever paths were built into the binary.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from passenger.config import apptypes
from passenger.config.model import App, InstanceConfig
from passenger.config.paths import InstancePaths
from passenger.lazy_dataclass import dataclass
from passenger.webserver import (
    accesslog,
    cache,
    leaving,
    locations,
    mediatypes,
    process,
    proxies,
    scgi,
    servers,
    sites,
    upgrades,
)
from passenger.webserver.build import Build
from passenger.webserver.tree import Directive, block, serialize

MANAGED_FILE: Final = "nginx.conf"
EXTERNAL_FILE: Final = "passenger.conf"
MEDIA_TYPES_FILE: Final = "mime.types"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rendering:
    config: InstanceConfig
    paths: InstancePaths
    hop: scgi.Hop
    http2: bool
    is_folder: Callable[[str], bool]
    upgraded: frozenset[str]
    """Applications that may get upgrade requests."""


def render(
    config: InstanceConfig,
    *,
    paths: InstancePaths,
    connect_secret: str,
    workers: int,
    user: str | None,
    group: str | None,
    build: Build | None = None,
    open_files: int | None = None,
    is_folder: Callable[[str], bool] = os.path.isdir,
    exists: Callable[[str], bool] = os.path.exists,
) -> dict[str, str]:
    """File name -> text, all for one folder; empty in mode `off`.

    `user` and `group` are those of the nginx workers, None unless started as root. `build` is what the nginx binary
    can do (None = a usual one, without HTTP/2). `open_files` is the most descriptors a worker may have.
    Raises UnrenderableValueError for a value that nginx cannot carry.
    """
    mode = config.instance.nginx.mode
    if mode == "off":
        return {}
    upgraded = frozenset(name for name, app in config.apps.items() if _may_speak_http(app, exists))
    if config.instance.web_server == "apache":
        from passenger.webserver.apache import render_apache  # most instances never need it

        return render_apache(config, paths=paths, connect_secret=connect_secret, is_folder=is_folder, upgraded=upgraded)
    sites.check_name(config.name, "instance")
    hop = scgi.Hop(
        upstream=scgi.upstream_name(config.name),
        secret=connect_secret,
        retry=config.instance.nginx.retry_on_core_crash,
        folder="" if mode == "managed" else f"{paths.nginx}/current/",
        client=proxies.client_facts(config.name, config.instance.nginx),
    )
    rendering = _Rendering(
        config=config,
        paths=paths,
        hop=hop,
        http2=build is not None and build.can_http2,
        is_folder=is_folder,
        upgraded=upgraded,
    )
    body = [scgi.upstream(config.name, paths.request), *proxies.in_http(config.name, config.instance.nginx)]
    body += upgrades.in_http(hop, paths.request_http) if rendering.upgraded else []
    body += cache.in_http(config, paths)
    body += _servers(rendering)
    parameters = scgi.request_parameters(hop.client)
    files = {scgi.PARAMETERS_FILE: serialize(parameters, heading="What the core is told of every request.")}
    for name, app in config.apps.items():
        files |= _app_files(rendering, name, app)
    if mode == "external":
        return {EXTERNAL_FILE: serialize(body, heading=_external_heading(config, paths))} | files
    main = process.main(config, paths=paths, workers=workers, user=user, group=group, open_files=open_files)
    http = block("http", body=[*process.http(config, paths=paths, build=build), *body])
    return {
        MANAGED_FILE: serialize([*main, http], heading=f"nginx of the instance {config.name}. {_WARNING}"),
        MEDIA_TYPES_FILE: serialize([mediatypes.types()], heading="Content types of static files."),
    } | files


def _may_speak_http(app: App, exists: Callable[[str], bool]) -> bool:
    kind = apptypes.told(app)
    if kind is None and apptypes.leaves_it_to_files(app):
        kind = apptypes.detect(app.app_root, exists=exists)
    return kind is not None and kind.speaks_http


def _app_files(rendering: _Rendering, name: str, app: App) -> dict[str, str]:
    hop = rendering.hop
    mark = accesslog.of_app(rendering.config, name)
    ways = [*mark, *scgi.app_pass(hop, name, app), *cache.in_app(rendering.config, rendering.paths, name, hop)]
    files = {}
    if name in rendering.upgraded:
        ways = [*upgrades.turn_off(name), *ways]
        text = serialize(
            [*mark, *upgrades.upgrade_pass(hop, name, app)], heading=f"How WebSockets get to the application {name}."
        )
        files[upgrades.upgrade_file(name)] = text
    files[locations.app_file(name)] = serialize(ways, heading=f"How requests get to the application {name}.")
    return files


_WARNING: Final = "Rendered from its configuration; never edit this."


def _servers(rendering: _Rendering) -> list[Directive]:
    config = rendering.config
    found = sites.sites(config)
    taken = sites.all_names(found)
    rendered = []
    for listeners in servers.listener_sets(config.instance.nginx, http2=rendering.http2):
        if config.instance.nginx.mode == "managed" and all(site.names for site in found):
            rendered.append(servers.catch_all_server(listeners))
        for site in found:
            body = _site_body(rendering, site)
            rendered.append(servers.site_server(site, listeners, taken=taken, body=body))
    return rendered + servers.admin_server(config.instance.admin, rendering.hop)


def _site_body(rendering: _Rendering, site: sites.Site) -> list[Directive]:
    external = rendering.config.instance.nginx.mode == "external"
    body = [*(locations.file_cache() if external else []), scgi.away_location()]
    body += leaving.in_server(rendering.config, rendering.paths, upgrades=bool(rendering.upgraded))
    for _, name in site.apps:
        app = rendering.config.apps[name]
        root = locations.document_root(app, is_folder=rendering.is_folder)
        body += locations.app_locations(
            name, app, root=root, folder=rendering.hop.folder, mark=accesslog.of_app(rendering.config, name)
        )
        if name in rendering.upgraded:
            body.append(upgrades.upgrade_location(name, rendering.hop.folder))
    if all(base_uri != "/" for base_uri, _ in site.apps):
        body.append(servers.nothing_at_the_root())
    return body


def _external_heading(config: InstanceConfig, paths: InstancePaths) -> str:
    return (
        f"The instance {config.name} behind an nginx that somebody else runs. {_WARNING}\n"
        f"In the `http` block of that nginx:  include {paths.nginx}/current/{EXTERNAL_FILE};\n"
        "Its workers must run as `nginx.user` and `nginx.group` of the instance; reload it after each reload of the "
        "instance."
    )
