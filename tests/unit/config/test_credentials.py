"""`{ credential = "..." }`: what systemd put into $CREDENTIALS_DIRECTORY of the service."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from passenger.config.diagnostics import Diagnostic
from passenger.config.document import Document, read

SECRET = ("apps", "blog", "env", "KEY")


def follow(text: str, environ: Mapping[str, str], *, read_secrets: bool = True) -> tuple[Document, list[Diagnostic]]:
    document, problems = read(None, text=text, environ=environ, cwd="/", read_secrets=read_secrets)
    assert document is not None
    return document, problems


def test_a_secret_comes_from_the_services_folder(tmp_path: Path) -> None:
    (tmp_path / "blog-key").write_text("s3cret\n")
    document, problems = follow(
        '[apps.blog.env]\nKEY = { credential = "blog-key" }\n', {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    )
    assert problems == []
    assert document.data["apps"]["blog"]["env"] == {"KEY": "s3cret"}
    assert document.is_secret(SECRET)
    assert str(document.origin(SECRET)) == "<stdin>:2:7 (credential blog-key)"


def test_where_a_path_is_wanted_it_gives_the_path(tmp_path: Path) -> None:
    """A TLS key is read by nginx, not by us."""
    (tmp_path / "tls.key").write_text("-----BEGIN PRIVATE KEY-----\n")
    text = '[[instances.main.nginx.listen]]\naddress = "*:443"\ntls_certificate_key = { credential = "tls.key" }\n'
    document, problems = follow(text, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert problems == []
    path = ("instances", "main", "nginx", "listen", 0, "tls_certificate_key")
    assert document.data["instances"]["main"]["nginx"]["listen"][0]["tls_certificate_key"] == f"{tmp_path}/tls.key"
    assert not document.is_secret(path)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("absent", "E128", "was not given the credential `absent`"),
        ("../passwd", "E125", "is no name of a credential"),
        ("..", "E125", "is no name of a credential"),
        ("", "E125", "is no name of a credential"),
        ("binary", "E123", "the credential `binary` is not UTF-8 text"),
    ],
)
def test_what_cannot_be_had_says_so(tmp_path: Path, name: str, code: str, words: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    document, (problem,) = follow(
        f'[apps.blog.env]\nKEY = {{ credential = "{name}" }}\n', {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    )
    assert problem.code == code
    assert words in problem.message
    assert SECRET in document.unresolved


def test_a_folder_that_is_closed_is_no_traceback(tmp_path: Path) -> None:
    """As systemd leaves it in a container that may not mount: here a file stands in the folder's way."""
    (tmp_path / "folder").write_text("")
    _, (problem,) = follow(
        '[apps.blog.env]\nKEY = { credential = "k" }\n', {"CREDENTIALS_DIRECTORY": str(tmp_path / "folder")}
    )
    assert problem.code == "E121"
    assert "the credential `k` cannot be read" in problem.message


def test_outside_the_service_the_message_says_what_to_do() -> None:
    _, (problem,) = follow('[apps.blog.env]\nKEY = { credential = "blog-key" }\n', {})
    assert problem.code == "E128"
    assert "LoadCredential=blog-key:" in problem.help
    assert "--no-environment" in problem.help


def test_without_reading_secrets_nothing_is_needed() -> None:
    """`validate --no-environment` on a controller."""
    text = '[apps.blog]\nenv.KEY = { credential = "k" }\n[[instances.main.nginx.listen]]\naddress = "*:443"\n'
    document, problems = follow(text + 'tls_certificate = { credential = "c" }\n', {}, read_secrets=False)
    assert problems == []
    assert (document.data["apps"]["blog"]["env"]["KEY"], document.is_secret(SECRET)) == ("", True)
    assert document.data["instances"]["main"]["nginx"]["listen"][0]["tls_certificate"] == "/run/credentials/c"


def test_a_variable_may_be_called_credential() -> None:
    document, problems = follow('[apps.blog.env]\ncredential = "x"\n', {})
    assert problems == []
    assert document.data["apps"]["blog"]["env"] == {"credential": "x"}
