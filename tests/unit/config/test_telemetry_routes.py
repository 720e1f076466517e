"""What UstRouter is told of the headers of applications, and what others are shown of it."""

from __future__ import annotations

import json
from pathlib import Path

from passenger.config.load import load
from passenger.config.resolved import decode, encode
from passenger.config.telemetry import Routes, headers_of, routes_of

CONFIG = """config_version = 1
[instances.main.telemetry]
otlp.endpoint = "http://127.0.0.1:4318"
otlp.headers = {{ Authorization = "Bearer all", X_Team = "web" }}
[defaults.telemetry]
http_headers.X_Api_Key = "nobody takes it"
[apps.shop]
app_root = "{place}"
telemetry.otlp_headers.authorization = {{ file = "key" }}
[apps.blog]
app_root = "{place}"
server_names = ["blog.test"]
"""


def test_only_applications_with_headers_for_a_sink_that_there_is_are_told(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("Bearer s3cret\n")
    file = tmp_path / "passenger.toml"
    file.write_text(CONFIG.format(place=tmp_path))
    config = load(str(file), environ={}, flags=[], cwd=str(tmp_path), host=None, read_secrets=True).config
    assert config is not None
    section = config.instances["main"].telemetry
    routes = routes_of(section, {name: app.telemetry for name, app in config.apps.items()})
    assert list(routes.own) == ["shop"]
    assert not routes.own["shop"].http
    sent = headers_of(section.otlp.headers, routes.own["shop"].otlp)
    assert sent == {"authorization": "Bearer s3cret", "X-Team": "web"}
    assert decode(Routes, encode(routes, secrets=True)) == routes
    assert "s3cret" not in json.dumps(encode(config, secrets=False))
