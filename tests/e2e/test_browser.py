"""People chat: two windows of a real browser, WebSockets through nginx and the core to an application in Node.js."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.browser import chromium
from tests.support.installation import Installation, hand_over
from tests.support.nodeapps import installed, needed
from tests.support.running import free_port, running

CONFIG = """
config_version = 1
[instances.main.nginx]
listen = ["127.0.0.1:{port}"]

[apps.chat]
app_root = "node_ws"
{keys}
"""
SHOWN = "[...document.querySelectorAll('li')].map((line) => line.textContent)"


@pytest.mark.parametrize(("keys", "path"), [("", "/"), ('base_uri = "/talk"', "/talk/")])
def test_two_people_chat(
    installation: Installation, place: Path, request: pytest.FixtureRequest, keys: str, path: str
) -> None:
    """What one types the other one sees, both ways; both see the end of the server in words."""
    needed("node", "nodejs")
    assert request.config.cache is not None
    shutil.copytree(installed("node_ws", request.config.cache), place / "node_ws")
    hand_over(place / "node_ws")
    port = free_port()
    config = place / "passenger.toml"
    config.write_text(CONFIG.format(port=port, keys=keys))
    with chromium() as browser, running(installation.passenger, config) as instance:
        instance.wait_started(timeout=90)
        ann, bob = (browser.page(f"http://127.0.0.1:{port}{path}") for _ in range(2))
        for person in (ann, bob):
            person.wait_for("document.title === 'Chat: connected'")
        assert instance.status()["requests"]["tunnels"] == 2
        ann.type("hello, Bob")
        assert bob.wait_for(f"{SHOWN}.length === 1 && {SHOWN}") == ["hello, Bob"]
        bob.type("grüß dich & <b>good</b> day")
        both = ["hello, Bob", "grüß dich & <b>good</b> day"]
        assert ann.wait_for(f"{SHOWN}.length === 2 && {SHOWN}") == both
        assert bob.wait_for(f"{SHOWN}.length === 2 && {SHOWN}") == both
        assert instance.stop() == 0
        for person in (ann, bob):
            assert person.wait_for("/closed/.test(document.title) && document.title") == "Chat: closed (1001)"
