"""Behind a load balancer: its word about the client is taken, that of a client is not (F9), switched live by a reload."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.http import fetch
from tests.support.installation import Installation, hand_over
from tests.support.probe import ProbeSite, probe_site, wait_until

BALANCER, STRANGER = "127.0.0.1", "127.0.0.99"
CLIENT = "203.0.113.9"
WORDS = {
    "X-Forwarded-For": f"6.6.6.6, {CLIENT}",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.example.com",
    "X-Real-IP": "6.6.6.6",
}
TRUST = 'nginx.trusted_proxies = ["127.0.0.1/32"]'
APPS = """
[apps.plain]
app_root = "ROOT"
env.APP = "plain"
[apps.below]
app_root = "ROOT"
env.APP = "below"
base_uri = "/blog"
[apps.spoken]
app_root = "PLACE/spoken"
app_type = "node"
base_uri = "/spoken"
"""
NODE = """
require("http").createServer((request, response) => {
    response.end(JSON.stringify(request.headers));
}).listen(0);
"""


@pytest.fixture(scope="module")
def site(installation: Installation, shared_place: Path) -> Iterator[ProbeSite]:
    """The WSGI application at the root and below a base URI, and one of Node.js."""
    folder = shared_place / "spoken"
    folder.mkdir()
    (folder / "app.js").write_text(NODE)
    hand_over(folder)
    with probe_site(installation, shared_place, APPS, instance=TRUST) as running:
        yield running


def told(site: ProbeSite, path: str = "/echo", *, came_from: str) -> Any:
    """What the application learned of a request."""
    answer = fetch(site.port, path, host="a.example.com", headers=WORDS, came_from=came_from)
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


def facts(given: Any) -> tuple[str, ...]:
    assert not [name for name in given if "FORWARDED" in name or "REAL_IP" in name]
    return (given["REMOTE_ADDR"], given["wsgi.url_scheme"], given["HTTP_HOST"], given["SERVER_PORT"])


def test_the_word_of_the_balancer_arrives_as_facts(site: ProbeSite) -> None:
    assert facts(told(site, came_from=BALANCER)) == (CLIENT, "https", "shop.example.com", "443")


def test_the_word_of_a_client_does_not(site: ProbeSite) -> None:
    assert facts(told(site, came_from=STRANGER)) == (STRANGER, "http", "a.example.com", str(site.port))


def test_a_program_that_speaks_http_gets_our_own_words(site: ProbeSite) -> None:
    believed = told(site, "/spoken", came_from=BALANCER)
    assert believed["x-forwarded-for"] == CLIENT
    assert believed["x-forwarded-proto"] == "https"
    assert believed["host"] == believed["x-forwarded-host"] == "shop.example.com"
    assert believed["forwarded"] == f'for={CLIENT};host="shop.example.com";proto=https'
    own = told(site, "/spoken", came_from=STRANGER)
    assert own["x-forwarded-for"] == STRANGER
    assert own["x-forwarded-proto"] == "http"
    assert own["host"] == "a.example.com"


@pytest.mark.parametrize(
    "path", ["/blog/echo", "//blog/echo", "/./blog/echo", "/x/../blog/echo", "/%62log/echo", "/blog%2Fecho"]
)
def test_a_base_uri_in_every_spelling_that_nginx_takes_for_it(site: ProbeSite, path: str) -> None:
    """`//blog` used to be answered 400."""
    given = told(site, path, came_from=BALANCER)
    assert (given["app"], given["SCRIPT_NAME"], given["PATH_INFO"]) == ("below", "/blog", "/echo")
    assert given["REQUEST_URI"] == path


def test_a_reload_takes_the_trust_away(site: ProbeSite) -> None:
    """Live, without a new process."""
    before = site.pids("plain")
    config = site.instance.config
    text = config.read_text()
    config.write_text(text.replace(TRUST, ""))
    try:
        reloaded = site.instance.run("reload")
        assert reloaded.returncode == 0, reloaded.stderr
        own = (BALANCER, "http", "a.example.com", str(site.port))
        wait_until(lambda: facts(told(site, came_from=BALANCER)) == own, "the new workers of nginx answer")
        assert site.pids("plain") == before
    finally:
        config.write_text(text)
