"""Dataclasses whose methods are written later: they are what the standard library's are, before and after the first call."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field
from types import SimpleNamespace
from typing import Any

import pytest

from passenger.lazy_dataclass import dataclass

KINDS: list[dict[str, bool]] = [
    {},
    {"frozen": True, "slots": True},
    {"frozen": True, "slots": True, "kw_only": True},
    {"slots": True},
    {"frozen": True},
    {"slots": True, "eq": False},
    {"repr": False},
]


def made(decorate: Callable[..., Any], **how: bool) -> Any:
    """A class with every sort of field, and one that inherits from it."""

    @decorate(**how)
    class Base:
        """A base."""

        number: int
        words: list[str] = field(default_factory=list, compare=False)
        secret: str = field(default="s", repr=False)

    @decorate(**how)
    class Derived(Base):
        """Derived."""

        last: int = field(default=7, kw_only=True)
        counted: int = field(default=1, init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "counted", self.number + self.last)

    return SimpleNamespace(Base=Base, Derived=Derived)


def outcome(call: Callable[[], Any]) -> str:
    """What comes of it, comparable between two classes of one name."""
    try:
        return repr(call())
    except (TypeError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"


QUESTIONS: list[Callable[[Any], Any]] = [
    lambda its: its.Base(number=1).number,
    lambda its: its.Base(1, ["a"], "b").secret,
    lambda its: its.Base(),
    lambda its: its.Base(number=1, other=2),
    lambda its: its.Base(number=1).words is its.Base(number=1).words,
    lambda its: its.Derived(number=1).counted,
    lambda its: its.Derived(number=1, counted=3),
    lambda its: dataclasses.asdict(its.Derived(number=1, last=3)),
    lambda its: dataclasses.replace(its.Base(number=1), number=2).number,
    lambda its: its.Base(number=1) == its.Base(number=1, words=["other"]),
    lambda its: its.Base(number=1) != its.Base(number=2),
    lambda its: its.Base(number=1) == its.Derived(number=1),
    lambda its: its.Base(number=1) == 1,
    lambda its: hash(its.Base(number=1)) == hash(its.Base(number=1)),
    lambda its: its.Derived.__match_args__,
    lambda its: setattr(its.Base(number=1), "number", 2),
    lambda its: delattr(its.Base(number=1), "number"),
    lambda its: copy.copy(its.Derived(number=1, last=3)).counted,
    lambda its: copy.deepcopy(its.Base(number=1, words=["a"])).words,
    lambda its: hasattr(its.Base(number=1), "__dict__"),
]


@pytest.mark.parametrize("how", KINDS, ids=str)
@pytest.mark.parametrize("question", range(len(QUESTIONS)))
def test_everything_is_as_in_the_standard_library(how: dict[str, bool], question: int) -> None:
    """Asked twice: the first time the method is written, the second time it is there."""
    ask = QUESTIONS[question]
    ours, standard = made(dataclass, **how), made(dataclasses.dataclass, **how)
    wanted = outcome(lambda: ask(standard))
    assert outcome(lambda: ask(ours)) == wanted
    assert outcome(lambda: ask(ours)) == wanted


@pytest.mark.parametrize("how", [kind for kind in KINDS if kind.get("repr", True)], ids=str)
def test_it_is_shown_as_the_standard_library_shows_it(how: dict[str, bool]) -> None:
    ours, standard = made(dataclass, **how), made(dataclasses.dataclass, **how)
    for _ in range(2):
        assert repr(ours.Derived(number=1)) == repr(standard.Derived(number=1))
    assert "secret" not in repr(ours.Base(number=1))


@dataclass(frozen=True, slots=True)
class Pair:
    """Has methods of its own."""

    left: int
    right: list[int] = field(default_factory=list)

    def __repr__(self) -> str:
        return "a pair"

    def __hash__(self) -> int:
        return self.left


def test_what_a_class_writes_itself_is_left_alone_and_it_travels() -> None:
    pair = Pair(1, [2])
    assert (repr(pair), hash(pair)) == ("a pair", 1)
    assert pickle.loads(pickle.dumps(pair)) == pair
    with pytest.raises(FrozenInstanceError):
        pair.left = 2  # type: ignore[misc]


def test_nothing_is_written_until_it_is_wanted() -> None:
    """Which is what it is for."""
    ours = made(dataclass, frozen=True, slots=True).Base
    before = ours.__init__, ours.__eq__
    one = ours(1)
    assert ours.__init__ is not before[0]
    assert ours.__eq__ is before[1]
    assert one == ours(1)
    assert ours.__eq__ is not before[1]
