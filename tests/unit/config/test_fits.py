"""The quick verdict on shape and that of `jsonschema` are one: on what is right, on every known mistake, on any other."""

from __future__ import annotations

import copy
import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passenger.config.example import example, uncommented
from passenger.config.faults import faults
from passenger.config.fits import fits
from passenger.config.load import load
from passenger.config.schema import judge

BAD = Path(__file__).parent / "bad"
JUDGE = judge()
WHOLE: dict[str, Any] = tomllib.loads(uncommented(example()))
"""Every key there is."""

Place = tuple[str | int, ...]


def verdicts(document: dict[str, Any]) -> tuple[bool, bool]:
    return fits(JUDGE, document), not list(faults(JUDGE, document))


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Every place in a document, the document itself included."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from places(item, (*at, name))


PLACES = list(places(WHOLE))
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-2, 2**33),
    st.floats(allow_nan=False),
    st.sampled_from(["", "90s", "64KiB", "a\nb", "a\0", "auto", "smart", "127.0.0.1:80", "80", "\x7f", "n\n"]),
    st.text(max_size=5),
    st.just(date(2026, 1, 1)),
)
NAMES = st.one_of(
    st.sampled_from(["app_root", "env", "nginx", "listen", "address", "bad name", "", "x\n"]), st.text(max_size=3)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2), max_leaves=4
)


@settings(max_examples=400, deadline=None)
@given(place=st.sampled_from(PLACES), value=VALUES, name=NAMES, how=st.sampled_from(["replace", "remove", "add"]))
def test_any_change_of_a_whole_document_is_judged_alike(place: Place, value: Any, name: str, how: str) -> None:
    """Something else in the place of a value, nothing, or one key more."""
    document = copy.deepcopy(WHOLE)
    here: Any = document
    for part in place[:-1]:
        here = here[part]
    if how == "add":
        target = here[place[-1]] if place else here
        if isinstance(target, dict):
            target[name] = value
    elif place and how == "remove":
        del here[place[-1]]
    elif place:
        here[place[-1]] = value
    quick, explained = verdicts(document)
    assert quick == explained


@pytest.mark.parametrize("file", sorted(BAD.glob("e2*.toml")), ids=lambda file: file.name)
def test_every_known_mistake_is_judged_alike(file: Path) -> None:
    """The corpus of mistakes of shape."""
    try:
        document = tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError:
        return
    quick, explained = verdicts(document)
    assert quick == explained


def test_a_whole_document_fits() -> None:
    """What the test above changes is right to begin with."""
    assert verdicts(WHOLE) == (True, True)


def test_a_good_document_needs_no_jsonschema(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a twentieth of a second."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    loaded = load(None, text='config_version = 1\napps.a.app_root = "/srv/a"\n', environ={}, cwd="/", host=None)
    assert loaded.diagnostics == ()


def test_a_keyword_that_is_not_known_is_not_passed_over() -> None:
    """A schema that grows has to be understood."""
    with pytest.raises(KeyError):
        fits({"type": "string", "maxLength": 1}, "ab")
