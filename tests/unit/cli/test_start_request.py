"""A start request, said again for a reload; the configuration that a folder stands for."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passenger.cli.discovery import Found
from passenger.cli.resolve_plan import resolve_plan
from passenger.cli.standalone import configuration_text, instance_name
from passenger.cli.start_request import StartRequest
from passenger.config.patterns import NAME_PATTERN

WORDS = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(
    cwd=WORDS,
    config_file=st.none() | WORDS,
    directory=st.none() | WORDS,
    sets=st.lists(WORDS, max_size=3).map(tuple),
    port=st.none() | st.integers(1, 65535),
    address=st.none() | WORDS,
    environment=st.none() | WORDS,
)
def test_reload_resolves_what_start_resolved(
    cwd: str,
    config_file: str | None,
    directory: str | None,
    sets: tuple[str, ...],
    port: int | None,
    address: str | None,
    environment: str | None,
) -> None:
    """Whatever the values look like (dashes, quotes, spaces), the hidden command reads them back."""
    request = StartRequest(
        cwd=cwd,
        config_file=config_file,
        directory=directory,
        sets=sets,
        instances=("main",),
        port=port,
        address=address,
        environment=environment,
    )
    parsed = resolve_plan.make_context("resolve-plan", request.reload_arguments("main")).params
    assert (parsed.pop("is_comparing"), parsed.pop("instead")) == (False, None)
    assert StartRequest(instances=(parsed.pop("instance"),), **parsed) == request


@pytest.mark.parametrize(
    ("port", "address", "listen"),
    [
        (None, None, None),
        (8000, None, "127.0.0.1:8000"),
        (None, "0.0.0.0", "0.0.0.0:3000"),
        (80, "::", "[::]:80"),
        (80, "[::1]", "[::1]:80"),
    ],
)
def test_listen(port: int | None, address: str | None, listen: str | None) -> None:
    """Port and address make one listener; IPv6 gets its brackets."""
    assert StartRequest(cwd="/", port=port, address=address).listen == listen


@pytest.mark.parametrize(
    ("folder", "name"),
    [("/srv/blog", "blog"), ("/srv/my blog!", "my-blog"), ("/", "main"), ("/srv/.hidden", "hidden"), ("/a/ü", "main")],
)
def test_instance_name(folder: str, name: str) -> None:
    """After the folder, in the letters that a name may have."""
    assert instance_name(folder) == name


@given(st.text(max_size=100))
def test_instance_name_is_always_valid(folder: str) -> None:
    """Any folder name gives a name that the configuration accepts."""
    import re

    assert re.fullmatch(NAME_PATTERN, instance_name("/srv/" + folder.replace("\x00", "")))


def test_folder_stands_for_a_configuration() -> None:
    """Development, loopback, port 3000: like Passenger Standalone, but not open to the network."""
    text = configuration_text(StartRequest(cwd="/srv/blog"), Found("blog.wsgi:application", "x"))
    assert tomllib.loads(text) == {
        "config_version": 1,
        "instances": {"blog": {"nginx": {"listen": ["127.0.0.1:3000"]}}},
        "apps": {"blog": {"app_root": "/srv/blog", "app_env": "development", "entry_point": "blog.wsgi:application"}},
    }


def test_options_change_it() -> None:
    """`--port`, `--address`, `--environment`; no entry point when there is a startup file."""
    request = StartRequest(cwd="/srv", directory="blog/", port=80, address="::", environment="production")
    data = tomllib.loads(configuration_text(request, Found("", "passenger_wsgi.py")))
    assert data["instances"]["blog"]["nginx"]["listen"] == ["[::]:80"]
    assert data["apps"]["blog"] == {"app_root": "/srv/blog", "app_env": "production"}


def test_a_found_file_is_named_with_its_type() -> None:
    """When its own name would not tell."""
    found = Found("", "x", startup_file="bin/www", app_type="node")
    (app,) = tomllib.loads(configuration_text(StartRequest(cwd="/srv/blog"), found))["apps"].values()
    assert (app["startup_file"], app["app_type"]) == ("bin/www", "node")
