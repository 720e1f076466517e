"""The configuration in effect: what is shown is true, complete and holds no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from passenger.cli.config_keys import every_key
from passenger.cli.effective import effective, leaves, origin_of
from passenger.config.load import Loaded, load

TEXT = """
config_version = 1
[instances.main]
core.pool_idle_time = "90s"
[[instances.main.nginx.listen]]
address = "127.0.0.1:8443"
tls_certificate = "/c.pem"
tls_certificate_key = "/k.pem"
[[instances.main.nginx.listen]]
address = "127.0.0.1:8080"
[defaults]
start_timeout = "1500ms"
[apps."a.b"]
app_root = "/srv/a"
min_instances = 2
nginx.client_max_body_size = "20MiB"
[apps."a.b".env]
PLAIN = "x"
KEY = { file = "secret" }
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """A valid configuration with one of everything."""
    (tmp_path / "secret").write_text("sesame\n")
    (tmp_path / "passenger.toml").write_text(TEXT)
    flags = ['apps."a.b".max_instances=3']
    found = load("passenger.toml", environ={}, flags=flags, cwd=str(tmp_path), host=None)
    assert found.config is not None, found.diagnostics
    return found


def shown(loaded: Loaded) -> dict[str, Any]:
    """The tables in effect."""
    assert loaded.config
    assert loaded.document
    return effective(loaded.config, loaded.document)


def test_units_listeners_and_secrets(loaded: Loaded) -> None:
    """As a person would have written them."""
    data = shown(loaded)
    app = data["apps"]["a.b"]
    assert data["instances"]["main"]["core"]["pool_idle_time"] == "90s"
    assert app["nginx"]["client_max_body_size"] == "20MiB"
    assert app["start_timeout"] == "1.5s"
    assert app["env"] == {"PLAIN": "x", "KEY": "<secret>"}
    assert data["instances"]["main"]["nginx"]["listen"] == [
        {"address": "127.0.0.1:8443", "tls_certificate": "/c.pem", "tls_certificate_key": "/k.pem"},
        "127.0.0.1:8080",
    ]


def test_what_is_shown_can_be_read_again(loaded: Loaded, tmp_path: Path) -> None:
    """Shown, read and shown again, it is the same."""
    data = shown(loaded)
    again = load("again", text=tomli_w.dumps(data), environ={}, cwd=str(tmp_path), host=None)
    assert again.config is not None, again.diagnostics
    assert again.document is not None
    assert effective(again.config, again.document) == data


@pytest.mark.parametrize(
    ("path", "origin"),
    [
        (("apps", "a.b", "min_instances"), "passenger.toml:15:17"),
        (("apps", "a.b", "max_instances"), "flag"),
        (("apps", "a.b", "start_timeout"), "passenger.toml:12:17"),
        (("apps", "a.b", "thread_count"), "default"),
        (("instances", "main", "core", "pool_idle_time"), "passenger.toml:4:23"),
    ],
)
def test_origins(loaded: Loaded, path: tuple[str, ...], origin: str) -> None:
    """File and place, flag, `[defaults]`, or default."""
    assert loaded.document
    assert str(origin_of(path, loaded.document)).startswith(origin)


def test_every_leaf_has_an_origin(loaded: Loaded) -> None:
    """None is left out, none fails."""
    assert loaded.document
    found = dict(leaves(shown(loaded)))
    assert len(found) > 30
    assert all(str(origin_of(path, loaded.document)) for path in found)


def test_keys_cover_the_model() -> None:
    """One record per key that a user can set, with what a reader needs."""
    keys = {facts["key"]: facts for facts in every_key()}
    assert keys["config_version"]["required"]
    assert keys["apps.NAME.app_root"]["required"]
    assert keys["apps.NAME.start_timeout"]["default"] == "90s"
    assert keys["apps.NAME.nginx.client_max_body_size"]["default"] == "1GiB"
    assert keys["instances.NAME.nginx.listen"]["default"] == ["127.0.0.1:8080"]
    assert keys["apps.NAME.env"]["type"] == "env"
    assert "apps.NAME.nginx" not in keys
    assert all(facts["doc"] for facts in keys.values())


def test_secrets_of_defaults_reach_every_app_without_its_own(tmp_path: Path) -> None:
    """A plain value of the application wins over a secret one of `[defaults]`."""
    text = (
        'config_version = 1\n[defaults.env]\nKEY = { file = "k" }\n'
        '[apps.one]\napp_root = "/a"\nserver_names = ["one.test"]\n'
        '[apps.two]\napp_root = "/b"\nenv.KEY = "plain"\n'
    )
    data = shown(load("x", text=text, environ={}, cwd=str(tmp_path), host=None))
    assert data["apps"]["one"]["env"] == {"KEY": "<secret>"}
    assert data["apps"]["two"]["env"] == {"KEY": "plain"}
