"""`load` as a whole: stages, what each leaves to the others, and no input that makes it fall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from passenger.config.keys import keys_of, tables
from passenger.config.load import load
from passenger.config.report_text import render
from tests.unit.config.fake_host import machine, socket_table

APP = "config_version = 1\n[apps.blog]\napp_root = '/srv/blog'\n"


def _codes(text: str, **options: Any) -> list[str]:
    return [item.code for item in load(None, text=text, environ={}, cwd="/", **options).diagnostics]


def test_valid() -> None:
    """A valid file on a tidy machine gives a configuration and no word."""
    loaded = load(None, text=APP, environ={}, cwd="/", host=machine())
    assert loaded.diagnostics == ()
    assert loaded.config is not None
    assert loaded.document is not None


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is one error, without a document."""
    loaded = load("nowhere.toml", environ={}, cwd=str(tmp_path), host=None)
    assert (loaded.config, loaded.document) == (None, None)
    assert [item.code for item in loaded.diagnostics] == ["E101"]


def test_without_environment_the_host_is_left_alone() -> None:
    """`host=None` says nothing about folders that do not exist."""
    text = APP.replace("/srv/blog", "/nowhere")
    assert _codes(text, host=None) == []
    assert _codes(text, host=machine()) == ["E401"]


def test_without_environment_secrets_stay_closed() -> None:
    """Secret files are not opened, and what they would hold is not complained about."""
    text = (
        APP
        + "user = { file = '/nowhere/user' }\nstart_timeout = { file = '/nowhere/t' }\nenv.KEY = { file = '/nowhere/key' }\n"
    )
    assert _codes(text, host=None) == []
    assert set(_codes(text, host=machine())) == {"E121"}


def test_stages_speak_about_whole_parts_only() -> None:
    """An application with a mistake of shape is left out later; the others are checked to the end."""
    text = APP + "server_nam = 'x'\n[apps.shop]\napp_root = '/nowhere'\nmin_instances = 3\nmax_instances = 1\n"
    assert sorted(_codes(text, host=machine())) == ["E204", "E304", "E401"]


def test_newer_version_is_the_only_error() -> None:
    """A file of the future is not judged by the rules of today."""
    assert _codes("config_version = 2\nnew = 1\n[apps.blog]\n", host=machine()) == ["E202"]


def test_a_warning_leaves_the_configuration() -> None:
    """Only errors take the configuration away."""
    loaded = load(None, text=APP + "friendly_error_pages = true\n", environ={}, cwd="/", host=None)
    assert [item.code for item in loaded.diagnostics] == ["W302"]
    assert loaded.config is not None


def test_own_ports_are_free_on_reload() -> None:
    """The running instance's ports are in use, by itself."""
    host = machine()
    host.texts["/proc/net/tcp"] = socket_table("0100007F:1F90")
    assert _codes(APP, host=host) == ["E411"]
    assert _codes(APP, host=host, own_ports=lambda _: {"main": frozenset({("127.0.0.1", 8080)})}) == []


def test_secret_is_never_quoted(tmp_path: Path) -> None:
    """A secret in the wrong place is complained about without being shown."""
    (tmp_path / "secret").write_text("hunter2 with spaces")
    text = APP + "app_env = { file = 'secret' }\nuser = { file = 'secret' }\nstart_timeout = { file = 'secret' }\n"
    loaded = load(None, text=text, environ={}, cwd=str(tmp_path), host=machine())
    report = render(loaded.diagnostics, loaded.document, color=False, width=100)
    assert {"E206", "E210"} <= {item.code for item in loaded.diagnostics}
    assert "hunter2" not in report


def test_dangling_values_of_variables_are_named() -> None:
    """A mistake in a variable or flag has no caret: the message names its source."""
    loaded = load(
        None,
        text=APP,
        environ={"PASSENGER__apps__blog__min_instances": "many"},
        flags=["apps.blog.thread_count=x"],
        cwd="/",
        host=None,
    )
    messages = [item.message for item in loaded.diagnostics]
    assert [item.span for item in loaded.diagnostics] == [None, None]
    assert any("PASSENGER__apps__blog__min_instances" in message for message in messages)
    assert any("--set apps.blog.thread_count" in message for message in messages)


_NAMES = sorted(
    {name for table in tables().values() for name in keys_of(table)} | {"defaults", "main", "blog", "x y", ""}
)
_SCALARS = st.one_of(
    st.integers(-3, 70000),
    st.booleans(),
    st.floats(allow_nan=False),
    st.sampled_from(
        ["", "/", "90s", "1MiB", "*:80", "main", "~", "a\x00b", "${env:X}", "127.0.0.1:99999", "/srv/blog", "a:b"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=4),
    max_leaves=12,
)
_APPS = st.dictionaries(st.sampled_from(sorted(keys_of(tables()["apps"]))), _VALUES, max_size=6)
_INSTANCES = st.dictionaries(st.sampled_from(sorted(keys_of(tables()["instances"]))), _VALUES, max_size=4)
_DOCUMENTS = st.fixed_dictionaries(
    {"config_version": st.just(1)},
    optional={
        "apps": st.dictionaries(st.sampled_from(["blog", "shop"]), _APPS, max_size=2) | _VALUES,
        "instances": st.dictionaries(st.sampled_from(["main", "two"]), _INSTANCES, max_size=2) | _VALUES,
        "defaults": _APPS | _VALUES,
    },
)


@settings(max_examples=400, deadline=None)
@given(_DOCUMENTS)
def test_nothing_makes_it_fall(document: dict[str, Any]) -> None:
    """Any TOML document is either a configuration or has errors with a place or a cause, never an exception."""
    loaded = load(None, text=tomli_w.dumps(document), environ={}, cwd="/", host=machine())
    errors = [item for item in loaded.diagnostics if item.severity == "error"]
    assert (loaded.config is None) == bool(errors)
    assert render(loaded.diagnostics, loaded.document, color=False, width=80)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\ufeff",
        "x",
        "[apps]\n[apps.a.b.c]\n",
        "config_version = 1\napps = []\n",
        "config_version = 1\n[[apps.blog]]\n",
    ],
)
def test_odd_texts(text: str) -> None:
    """Odd documents are errors, not exceptions."""
    assert load(None, text=text, environ={}, cwd="/", host=machine()).config is None
