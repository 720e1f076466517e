"""Where people find an application: a URL that can be opened."""

from __future__ import annotations

from passenger.config.model import App, InstanceConfig
from passenger.webserver import addresses

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK = {addresses.EVERY_IPV4: "127.0.0.1", addresses.EVERY_IPV6: "::1"}


def url(config: InstanceConfig, name: str) -> str:
    """URL of an application by the first listener; "" when no web server is rendered. Raises KeyError."""
    app = config.apps[name]
    nginx = config.instance.nginx
    if nginx.mode == "off" or not nginx.listen:
        return ""
    listener = nginx.listen[0]
    listen = addresses.parse(listener.address)
    scheme = "https" if listener.tls_certificate is not None else "http"
    host = _host(app, listen.host)
    port = "" if listen.port == _DEFAULT_PORTS[scheme] else f":{listen.port}"
    return f"{scheme}://{host}{port}{app.base_uri}"


def urls(config: InstanceConfig) -> dict[str, str]:
    """App name -> URL, without those that have none."""
    found = {name: url(config, name) for name in config.apps}
    return {name: text for name, text in found.items() if text}


def _host(app: App, address: str) -> str:
    """A name of the application, else the address; `*.example.com` is shown as `www.example.com`."""
    if app.server_names:
        plain = [name for name in app.server_names if not name.startswith("*.")]
        return plain[0] if plain else "www" + app.server_names[0][1:]
    shown = _LOOPBACK.get(address, address)
    return f"[{shown}]" if ":" in shown else shown
