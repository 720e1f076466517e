"""A resolved configuration travels as JSON and arrives unchanged."""

from __future__ import annotations

import json
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from passenger.config.instance import Instance, Listener
from passenger.config.keys import KeySpec, keys_of
from passenger.config.model import App, Config, EnvValue, InstanceConfig
from passenger.config.resolved import decode, encode

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_SECRET = "never-shown-"


def _values(spec: KeySpec) -> st.SearchStrategy[Any]:
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "string": _TEXT,
        "path": _TEXT,
        "integer": st.integers(-(2**40), 2**40),
        "size": st.integers(0, 2**50),
        "duration": st.floats(0, 1e7, allow_nan=False),
        "boolean": st.booleans(),
        "count": st.integers(0, 2**30) | st.just("unlimited"),
        "integers": st.lists(st.integers(0, 64), max_size=3).map(tuple),
        "strings": st.lists(_TEXT, max_size=3).map(tuple),
        "env": st.dictionaries(_TEXT, st.builds(EnvValue, _TEXT, secret=st.booleans()), max_size=3).map(
            MappingProxyType
        ),
    }
    if spec.kind == "table" and spec.table:
        return _tables(spec.table)
    if spec.kind == "listeners":
        return st.lists(_tables(Listener), max_size=3).map(tuple)
    values = kinds[spec.kind]
    return st.none() | values if spec.default is None else values


def _tables(table: type) -> st.SearchStrategy[Any]:
    return st.builds(table, **{name: _values(spec) for name, spec in keys_of(table).items()})


_APPS = st.dictionaries(_TEXT, _tables(App), max_size=2).map(MappingProxyType)
_CONFIGS = st.builds(
    Config,
    config_version=st.just(1),
    instances=st.dictionaries(_TEXT, _tables(Instance), max_size=2).map(MappingProxyType),
    apps=_APPS,
)


@settings(max_examples=60, deadline=None)
@given(_CONFIGS)
def test_config_returns(config: Config) -> None:
    """decode(encode(x)) is x, through real JSON."""
    assert decode(Config, json.loads(json.dumps(encode(config, secrets=True)))) == config


@settings(max_examples=60, deadline=None)
@given(st.builds(InstanceConfig, name=_TEXT, instance=_tables(Instance), apps=_APPS))
def test_instance_config_returns(config: InstanceConfig) -> None:
    """The part that one instance gets arrives unchanged too."""
    assert decode(InstanceConfig, json.loads(json.dumps(encode(config, secrets=True)))) == config


@settings(max_examples=60, deadline=None)
@given(_APPS, _TEXT)
def test_shown_form_has_no_secret(apps: MappingProxyType[str, App], name: str) -> None:
    """Without secrets, the value of a secret variable is nowhere in the text; every other value is kept."""
    secret = {name: EnvValue(f"{_SECRET}{name}", secret=True), "open": EnvValue("shown")}
    marked = {key: replace(app, env=MappingProxyType({**secret})) for key, app in apps.items()}
    shown = encode(Config(config_version=1, apps=MappingProxyType(marked)), secrets=False)
    assert _SECRET not in json.dumps(shown)
    assert all(app["env"]["open"]["value"] == "shown" for app in shown["apps"].values() if name != "open")
