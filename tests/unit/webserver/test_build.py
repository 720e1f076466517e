"""What `nginx -V` and `nginx -t` say, understood."""

from __future__ import annotations

import pytest

from passenger.webserver import build
from passenger.webserver.check import refusal

DEBIAN = """nginx version: nginx/1.22.1
built with OpenSSL 3.0.22 25 Aug 2026
TLS SNI support enabled
configure arguments: --with-cc-opt='-g -O2 --with-fake_module -fPIC' --prefix=/usr/share/nginx --with-http_ssl_module \
--with-http_v2_module --with-stream=dynamic --without-http_uwsgi_module
"""
UBUNTU = "nginx version: nginx/1.24.0 (Ubuntu)\nconfigure arguments: --prefix=/usr/share/nginx"
UPSTREAM = "nginx version: nginx/1.28.0\nconfigure arguments: --prefix=/etc/nginx --with-http_v2_module"


def test_version_and_modules_are_read() -> None:
    found = build.parse(DEBIAN)
    assert found.version == (1, 22, 1)
    assert found.prefix == "/usr/share/nginx"
    assert found.built_in == {"http_ssl_module", "http_v2_module"}
    assert found.lacks("http_uwsgi_module")
    assert not found.lacks("http_scgi_module")
    assert build.parse(UBUNTU).version_text == "1.24.0"
    assert build.parse("nginx version: openresty/1.25.3.1\n").version == (1, 25, 3)


def test_http2_needs_module_and_directive() -> None:
    assert not build.parse(DEBIAN).can_http2
    assert build.parse(UPSTREAM).can_http2
    assert not build.parse(UPSTREAM.replace("--with-http_v2_module", "")).can_http2


@pytest.mark.parametrize("text", ["", "Apache/2.4", "nginx version: nginx/", "xnginx version: nginx/1.2.3"])
def test_other_programs_are_no_nginx(text: str) -> None:
    with pytest.raises(ValueError, match="no nginx version"):
        build.parse(text)


def test_an_old_number_is_a_warning_upstream_and_none_from_a_distribution() -> None:
    """Distributions repair old versions: a start on Debian has nothing to say."""
    (upstream,) = build.warnings(build.parse(UPSTREAM))
    assert "is affected by CVE-2026-42946" in upstream
    assert build.warnings(build.parse(DEBIAN)) == ()
    assert build.warnings(build.parse("nginx version: nginx/1.30.1")) == ()


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        (
            (
                'nginx: [emerg] cannot load certificate "/c.pem": BIO_new_file() failed (SSL: error:80000002) in '
                "/run/p/nginx.conf:12\nnginx: configuration file /run/p/nginx.conf test failed\n"
            ),
            "(/run/p/nginx.conf:12)",
            "tls_certificate`",
        ),
        ('nginx: [emerg] cannot load certificate key "/k": x\n', "certificate key", "tls_certificate_key"),
        ('nginx: [emerg] getpwnam("www") failed in /run/n.conf:2\n', "getpwnam", "nginx.user"),
        (
            (
                '2026/11/22 10:14:27 [emerg] 17915#17915: SSL_CTX_use_PrivateKey("/k") failed in /run/n.conf:3\nnginx: '
                "configuration file /run/n.conf test failed\n"
            ),
            'SSL_CTX_use_PrivateKey("/k") failed (/run/n.conf:3)',
            "tls_certificate_key",
        ),
        ("nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)\n", "0.0.0.0:80", "below 1024"),
        (
            "nginx: [emerg] bind() to 9.9.9.9:80 failed (99: Cannot assign requested address)\n",
            "9.9.9.9",
            "no such address",
        ),
        (
            '2026/11/22 10:14:27 [emerg] 1#1: open() "/dev/stdout" failed (6: No such device or address)\n',
            "/dev/stdout",
            "nginx.access_log",
        ),
        ('nginx: [emerg] mkdir() "/run/x" failed (2: No such file or directory)\n', "mkdir()", "create it"),
        ('nginx: [emerg] unknown directive "http2" in /run/n.conf:9\n', "unknown directive", "nginx.binary"),
    ],
)
def test_complaints_of_nginx_say_what_to_do(said: str, message: str, hint: str) -> None:
    error = refusal(said)
    assert message in error.message
    assert hint in error.hint
    assert "test failed" not in error.message


@pytest.mark.parametrize("said", ["", "Segmentation fault\n", "\n\n"])
def test_an_answer_without_complaint_is_shown_as_it_is(said: str) -> None:
    assert (" ".join(said.split()) or "no reason") in refusal(said).message
